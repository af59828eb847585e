//! A recorded run: what the members told and what the operator did, and its text.
//!
//! **Invariant.** Its events are in the order of their times, and none is later than its end.

use farm_core::engine::printable;
use farm_core::farm::rollout::MemberState;
use std::error::Error;
use std::fmt;
use std::str::FromStr;

const HEAD: &str = "\
# A rolling restart over five members: what they told in their znodes, and what the operator did.
# `cargo xtask draw --record` wrote it, and `cargo xtask draw` renders it. Do not edit it.
# A member writes its znode at most five times a second, so it may skip what lasts less than 200 ms.
# ms\twho\twhat\twanted\trunning\tconfirmed\treason
";
/// Stands for nothing in a column.
const NONE: &str = "-";
/// Who puts content, and who ends the run.
const OPERATOR: &str = "operator";

/// A run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) events: Vec<Event>,
    pub(super) end_ms: u64,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// Since the start of the run.
    pub(super) at_ms: u64,
    pub(super) what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// The operator put this version in place.
    Put { version: String },
    /// A member told this of itself.
    Told { member: String, told: Told },
}

/// What a member tells. Versions have names, not digests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) state: MemberState,
    pub(super) wanted: Option<String>,
    pub(super) running: Option<String>,
    pub(super) confirmed: Option<String>,
    pub(super) reason: Option<String>,
}

/// Why a text is no run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunError {
    /// The number of the line.
    pub(crate) line: usize,
    /// What is wrong with it.
    pub(crate) fault: RunFault,
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunFault {
    /// It has not seven columns.
    Columns,
    /// Its time is no number, or earlier than that of the line before.
    Time,
    /// No member has this state.
    State,
    /// The operator does not do this.
    Deed,
    /// It follows the end of the run.
    AfterEnd,
    /// The text ends before the run does.
    NoEnd,
    /// No member tells anything, or the run takes no time.
    Empty,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.fault)
    }
}

impl fmt::Display for RunFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Columns => "a line has seven columns",
            Self::Time => "the time is no number, or before that of an earlier line",
            Self::State => "no member has this state",
            Self::Deed => "the operator does not do this",
            Self::AfterEnd => "the run has ended already",
            Self::NoEnd => "the run does not end",
            Self::Empty => "the run is empty",
        })
    }
}

impl Error for RunError {}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEAD)?;
        for Event { at_ms, what } in &self.events {
            let columns = match what {
                What::Put { version } => [OPERATOR, "put", version, NONE, NONE, NONE].map(cell),
                What::Told { member, told } => {
                    let [wanted, running, confirmed, reason] =
                        [&told.wanted, &told.running, &told.confirmed, &told.reason]
                            .map(|text| text.as_deref().unwrap_or(NONE));
                    [member, told.state.name(), wanted, running, confirmed, reason].map(cell)
                }
            };
            writeln!(f, "{at_ms}\t{}", columns.join("\t"))?;
        }
        let columns = [OPERATOR, "end", NONE, NONE, NONE, NONE];
        writeln!(f, "{}\t{}", self.end_ms, columns.join("\t"))
    }
}

/// A text in one column.
fn cell(text: &str) -> String {
    printable(text).to_string()
}

impl FromStr for Run {
    type Err = RunError;

    fn from_str(text: &str) -> Result<Self, RunError> {
        let (mut events, mut end_ms) = (Vec::<Event>::new(), None);
        let mut last_ms = 0;
        for (line, number) in text.lines().zip(1..) {
            if line.starts_with('#') {
                continue;
            }
            let wrong = |fault| RunError { line: number, fault };
            if end_ms.is_some() {
                return Err(wrong(RunFault::AfterEnd));
            }
            let columns: Vec<&str> = line.split('\t').collect();
            let [at_ms, who, what, columns @ ..] = columns.as_slice() else {
                return Err(wrong(RunFault::Columns));
            };
            let [wanted, running, confirmed, reason] = columns else {
                return Err(wrong(RunFault::Columns));
            };
            let at_ms = at_ms.parse().ok().filter(|at_ms| *at_ms >= last_ms);
            let at_ms = at_ms.ok_or_else(|| wrong(RunFault::Time))?;
            last_ms = at_ms;
            let given = |text: &str| (text != NONE).then(|| text.to_owned());
            let what = match (*who, *what) {
                (OPERATOR, "put") => What::Put { version: (*wanted).to_owned() },
                (OPERATOR, "end") => {
                    end_ms = Some(at_ms);
                    continue;
                }
                (OPERATOR, _) => return Err(wrong(RunFault::Deed)),
                (member, state) => {
                    let state = MemberState::parse(state).ok_or_else(|| wrong(RunFault::State))?;
                    let told = Told {
                        state,
                        wanted: given(wanted),
                        running: given(running),
                        confirmed: given(confirmed),
                        reason: given(reason),
                    };
                    What::Told { member: member.to_owned(), told }
                }
            };
            events.push(Event { at_ms, what });
        }
        let wrong = |fault| RunError { line: text.lines().count(), fault };
        let end_ms = end_ms.ok_or_else(|| wrong(RunFault::NoEnd))?;
        let has_member = events.iter().any(|event| matches!(event.what, What::Told { .. }));
        if !has_member || end_ms == 0 {
            return Err(wrong(RunFault::Empty));
        }
        Ok(Self { events, end_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(member: &str, state: MemberState, reason: Option<&str>) -> What {
        let told = Told {
            state,
            wanted: Some("V2".to_owned()),
            running: Some("V1".to_owned()),
            confirmed: None,
            reason: reason.map(str::to_owned),
        };
        What::Told { member: member.to_owned(), told }
    }

    #[test]
    fn a_run_is_read_back() {
        let events = vec![
            Event { at_ms: 0, what: told("a", MemberState::Running, None) },
            Event { at_ms: 10, what: What::Put { version: "V2".to_owned() } },
            Event { at_ms: 10, what: told("a", MemberState::Failed, Some("it ended")) },
        ];
        let run = Run { events, end_ms: 25 };
        let text = run.to_string();
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            lines,
            [
                "0\ta\trunning\tV2\tV1\t-\t-",
                "10\toperator\tput\tV2\t-\t-\t-",
                "10\ta\tfailed\tV2\tV1\t-\tit ended",
                "25\toperator\tend\t-\t-\t-\t-",
            ]
        );
        assert_eq!(text.parse(), Ok(run));
    }

    #[test]
    fn a_reason_stays_in_its_line_and_column() {
        let what = told("a", MemberState::Failed, Some("one\ttwo\nthree"));
        let run = Run { events: vec![Event { at_ms: 0, what }], end_ms: 1 };
        let read: Run = run.to_string().parse().unwrap();
        assert_eq!(read.events.len(), 1);
    }

    #[test]
    fn a_text_that_is_no_run_is_refused_with_its_line() {
        let good = "# head\n5\ta\trunning\t-\t-\t-\t-\n";
        let end = "9\toperator\tend\t-\t-\t-\t-\n";
        assert!(format!("{good}{end}").parse::<Run>().is_ok());
        for (text, line, fault) in [
            (format!("{good}{end}{end}"), 4, RunFault::AfterEnd),
            (format!("{good}6\ta\trunning\n{end}"), 3, RunFault::Columns),
            (format!("{good}6\ta\trunning\t-\t-\t-\t-\t-\n{end}"), 3, RunFault::Columns),
            (format!("{good}\n{end}"), 3, RunFault::Columns),
            (format!("{good}4\ta\trunning\t-\t-\t-\t-\n{end}"), 3, RunFault::Time),
            (format!("{good}x\ta\trunning\t-\t-\t-\t-\n{end}"), 3, RunFault::Time),
            (format!("{good}6\ta\tdancing\t-\t-\t-\t-\n{end}"), 3, RunFault::State),
            (format!("{good}6\toperator\tsleep\t-\t-\t-\t-\n{end}"), 3, RunFault::Deed),
            (good.to_owned(), 2, RunFault::NoEnd),
            (String::new(), 0, RunFault::NoEnd),
            (end.to_owned(), 1, RunFault::Empty),
            (
                "0\ta\trunning\t-\t-\t-\t-\n0\toperator\tend\t-\t-\t-\t-\n".to_owned(),
                2,
                RunFault::Empty,
            ),
        ] {
            assert_eq!(text.parse::<Run>(), Err(RunError { line, fault }), "{text}");
        }
    }
}
