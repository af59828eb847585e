//! What each member was doing, from when to when.
//!
//! **Invariant.** The spans of a lane follow each other without a gap, from the first word of the
//! member to the end of the run, and two neighbours differ.

use super::run::{Event, Run, Told, What};
use farm_core::farm::rollout::MemberState;

/// What is drawn of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Its child works on content that the operator has replaced since, or will replace first.
    Old,
    /// The same, while it waits for its turn.
    Waiting,
    /// The same, because the group has refused the new content.
    Refused,
    /// Its child is being stopped and started.
    Restarting,
    /// Its child runs on the new content and is not known to work.
    Unconfirmed,
    /// Its child works on the content that the operator has put last.
    New,
    /// Its turn has failed.
    Failed,
}

impl Kind {
    pub(super) const ALL: [Self; 7] = [
        Self::Old,
        Self::Waiting,
        Self::Refused,
        Self::Restarting,
        Self::Unconfirmed,
        Self::New,
        Self::Failed,
    ];

    /// The word for it in the legend, and in the style sheet.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Old => "old",
            Self::Waiting => "waiting",
            Self::Refused => "refused",
            Self::Restarting => "restarting",
            Self::Unconfirmed => "unconfirmed",
            Self::New => "new",
            Self::Failed => "failed",
        }
    }

    fn of(told: &Told, newest: Option<&str>) -> Self {
        match told.state {
            MemberState::Starting | MemberState::Restarting | MemberState::Stopping => {
                Self::Restarting
            }
            MemberState::OffHours
            | MemberState::Waiting
            | MemberState::Blocked
            | MemberState::Paused => Self::Waiting,
            MemberState::Unconfirmed => Self::Unconfirmed,
            MemberState::Failed => Self::Failed,
            MemberState::Refused | MemberState::Skipped => Self::Refused,
            MemberState::Running | MemberState::Soaking
                if newest.is_some() && told.running.as_deref() == newest =>
            {
                Self::New
            }
            MemberState::Running | MemberState::Soaking => Self::Old,
        }
    }
}

/// The lane of a member.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lane<'a> {
    pub(super) member: &'a str,
    pub(super) spans: Vec<Span<'a>>,
}

/// A part of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span<'a> {
    pub(super) kind: Kind,
    pub(super) from_ms: u64,
    pub(super) to_ms: u64,
    /// What the child runs on, or is about to run on.
    pub(super) version: Option<&'a str>,
    pub(super) reason: Option<&'a str>,
}

/// The version that the operator put at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark<'a> {
    pub(super) at_ms: u64,
    pub(super) version: &'a str,
}

/// The lanes of all members, sorted by name.
pub(super) fn lanes(run: &Run) -> Vec<Lane<'_>> {
    let told = run.events.iter().filter_map(|event| match &event.what {
        What::Told { member, .. } => Some(member.as_str()),
        What::Put { .. } => None,
    });
    let mut members: Vec<&str> = told.collect();
    members.sort_unstable();
    members.dedup();
    members.into_iter().map(|member| Lane { member, spans: spans(run, member) }).collect()
}

fn spans<'a>(run: &'a Run, own: &str) -> Vec<Span<'a>> {
    let mut spans: Vec<Span<'a>> = Vec::new();
    let (mut newest, mut last) = (None, None::<&Told>);
    for Event { at_ms, what } in &run.events {
        match what {
            What::Put { version } => newest = Some(version.as_str()),
            What::Told { member, told } if member == own => last = Some(told),
            What::Told { .. } => continue,
        }
        let Some(told) = last else { continue };
        let kind = Kind::of(told, newest);
        // While it is restarted, a child runs on nothing.
        let version = if kind == Kind::Restarting { &told.wanted } else { &told.running };
        let next = Span {
            kind,
            from_ms: *at_ms,
            to_ms: run.end_ms,
            version: version.as_deref(),
            reason: told.reason.as_deref(),
        };
        push(&mut spans, next);
    }
    spans.retain(|span| span.from_ms < span.to_ms);
    spans
}

/// Begins the next span where the last one ends, unless both are alike.
fn push<'a>(spans: &mut Vec<Span<'a>>, next: Span<'a>) {
    if let Some(span) = spans.last_mut() {
        span.to_ms = next.from_ms;
    }
    // What took no time may leave two neighbours that are alike.
    spans.pop_if(|span| span.from_ms == span.to_ms);
    match spans.last_mut() {
        Some(span) if (span.kind, span.version) == (next.kind, next.version) => {
            span.to_ms = next.to_ms;
            span.reason = span.reason.or(next.reason);
        }
        _ => spans.push(next),
    }
}

/// What the operator did.
pub(super) fn marks(run: &Run) -> Vec<Mark<'_>> {
    let events = run.events.iter();
    events
        .filter_map(|event| match &event.what {
            What::Put { version } => Some(Mark { at_ms: event.at_ms, version }),
            What::Told { .. } => None,
        })
        .collect()
}

/// Whether this version has failed on a member.
pub(super) fn is_bad(lanes: &[Lane<'_>], version: &str) -> bool {
    let spans = lanes.iter().flat_map(|lane| &lane.spans);
    spans.into_iter().any(|span| span.kind == Kind::Failed && span.version == Some(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run of members that want V2. Each event has a time, a member or `+` for the operator, a
    /// state, and a version.
    fn run(events: &[(u64, &str, &str, &str)], end_ms: u64) -> Run {
        let event = |(at_ms, who, state, version): &(u64, &str, &str, &str)| {
            let version = (*version).to_owned();
            let what = if *who == "+" {
                What::Put { version }
            } else {
                let told = Told {
                    state: MemberState::parse(state).unwrap(),
                    wanted: Some("V2".to_owned()),
                    running: Some(version),
                    confirmed: None,
                    reason: (*state == "failed").then(|| "why".to_owned()),
                };
                What::Told { member: (*who).to_owned(), told }
            };
            Event { at_ms: *at_ms, what }
        };
        Run { events: events.iter().map(event).collect(), end_ms }
    }

    fn spans_of(run: &Run) -> Vec<(Kind, u64, u64, &str)> {
        let lanes = lanes(run);
        let spans = lanes.iter().flat_map(|lane| &lane.spans);
        spans.map(|s| (s.kind, s.from_ms, s.to_ms, s.version.unwrap_or_default())).collect()
    }

    #[test]
    fn a_turn_is_old_waiting_restarting_unconfirmed_and_new() {
        let run = run(
            &[
                (0, "a", "running", "V1"),
                (10, "+", "", "V2"),
                (11, "a", "running", "V1"),
                (12, "a", "waiting", "V1"),
                (20, "a", "restarting", "V1"),
                (25, "a", "restarting", "V2"),
                (30, "a", "unconfirmed", "V2"),
                (40, "a", "soaking", "V2"),
                (41, "a", "running", "V2"),
            ],
            50,
        );
        assert_eq!(
            spans_of(&run),
            [
                (Kind::Old, 0, 12, "V1"),
                (Kind::Waiting, 12, 20, "V1"),
                (Kind::Restarting, 20, 30, "V2"),
                (Kind::Unconfirmed, 30, 40, "V2"),
                (Kind::New, 40, 50, "V2"),
            ]
        );
    }

    #[test]
    fn what_was_new_is_old_when_other_content_is_put() {
        let run = run(
            &[
                (0, "a", "running", "V1"),
                (1, "+", "", "V1"),
                (5, "+", "", "V2"),
                (7, "a", "refused", "V1"),
            ],
            9,
        );
        assert_eq!(
            spans_of(&run),
            [
                (Kind::Old, 0, 1, "V1"),
                (Kind::New, 1, 5, "V1"),
                (Kind::Old, 5, 7, "V1"),
                (Kind::Refused, 7, 9, "V1"),
            ]
        );
    }

    #[test]
    fn what_takes_no_time_is_left_out() {
        let run = run(
            &[
                (0, "a", "running", "V1"),
                (5, "a", "waiting", "V1"),
                (5, "a", "running", "V1"),
                (9, "a", "waiting", "V1"),
            ],
            9,
        );
        assert_eq!(spans_of(&run), [(Kind::Old, 0, 9, "V1")]);
    }

    #[test]
    fn a_version_that_failed_on_a_member_is_bad() {
        let run =
            run(&[(0, "b", "running", "V1"), (0, "a", "failed", "V2"), (1, "+", "", "V2")], 9);
        let lanes = lanes(&run);
        assert_eq!(lanes.iter().map(|lane| lane.member).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(lanes[0].spans[0].reason, Some("why"));
        assert!(is_bad(&lanes, "V2") && !is_bad(&lanes, "V1"));
        assert_eq!(marks(&run), [Mark { at_ms: 1, version: "V2" }]);
    }
}
