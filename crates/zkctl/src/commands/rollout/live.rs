//! The status of a group on a terminal, with a bar.

use super::look::Look;
use super::picture::Picture;
use super::summary::Summary;
use farm_core::cli::printable;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::fmt::Write;
use std::time::{Duration, Instant};

/// How many members or groups are shown, so that they fit on a terminal.
const LINES_MAX: usize = 15;

/// The lines, and the bar below them.
const TEMPLATE: &str = "{lines}\n{bar:40} {pos} of {len} confirmed{left}";

/// The status on a terminal.
#[derive(Debug)]
pub(super) struct Live {
    bar: ProgressBar,
    pace: Option<Pace>,
}

impl Live {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stdout());
        Self { bar, pace: None }
    }

    pub(super) fn show_group(&mut self, look: &Look, now_ms: i64, now: Instant) {
        let picture = Picture::of(look);
        let mut lines = shortened(picture.head(now_ms));
        lines.extend(shortened(picture.undone()));
        self.draw(&lines, look.done(), look.members.len(), now);
    }

    pub(super) fn show_all(&mut self, groups: &[Summary], now_ms: i64, now: Instant) {
        let lines = shortened(groups.iter().map(|group| group.line(now_ms)).collect());
        let (done, total) = groups
            .iter()
            .fold((0, 0), |(done, total), group| (done + group.done(), total + group.total()));
        self.draw(&lines, done, total, now);
    }

    fn draw(&mut self, lines: &[String], done: usize, total: usize, now: Instant) {
        let pace = Pace::after(self.pace.take(), done, now);
        let left = pace.time_left(done, total, now);
        self.pace = Some(pace);
        let lines: Vec<_> = lines.iter().map(|line| printable(line)).collect();
        let left = left.map_or_else(String::new, |left| format!(", {}", about(left)));
        // A message would be drawn at once, beside the bar of before; a style is not.
        self.bar.set_style(style(lines.join("\n"), left));
        self.bar.update(|state| {
            state.set_len(total as u64);
            state.set_pos(done as u64);
        });
    }
}

/// How to draw the bar, with these lines above it and the time left behind it.
fn style(lines: String, left: String) -> ProgressStyle {
    let text = |text: String| {
        move |_: &ProgressState, output: &mut dyn Write| {
            // Writing to a string never fails.
            let _ = output.write_str(&text);
        }
    };
    let style = ProgressStyle::with_template(TEMPLATE);
    // The template is a valid one.
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("##-").with_key("lines", text(lines)).with_key("left", text(left))
}

/// The first lines, and how many more there are.
fn shortened(mut lines: Vec<String>) -> Vec<String> {
    let more = lines.len().saturating_sub(LINES_MAX);
    lines.truncate(LINES_MAX);
    lines.extend((more > 0).then(|| format!("and {more} more")));
    lines
}

/// How fast members get done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pace {
    begun: Instant,
    /// How many were done then.
    before: usize,
}

impl Pace {
    /// The pace goes on unless fewer members are done than at its beginning: then there is
    /// something new to do.
    fn after(pace: Option<Self>, done: usize, now: Instant) -> Self {
        pace.filter(|pace| pace.before <= done).unwrap_or(Self { begun: now, before: done })
    }

    /// The time until all are done, if it goes on like this; `None` while nobody knows.
    fn time_left(self, done: usize, total: usize, now: Instant) -> Option<Duration> {
        let gained = u32::try_from(done.saturating_sub(self.before)).ok()?;
        let rest = u32::try_from(total.saturating_sub(done)).ok()?;
        let each = now.saturating_duration_since(self.begun).checked_div(gained)?;
        (rest > 0).then(|| each.saturating_mul(rest))
    }
}

/// A time for people.
fn about(left: Duration) -> String {
    let seconds = left.as_secs();
    match seconds {
        0..=89 => format!("about {} s left", seconds.max(1)),
        90..=5399 => format!("about {} min left", (seconds + 30) / 60),
        _ => format!("about {} h left", (seconds + 1800) / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_that_of_the_members_so_far_times_the_rest() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let pace = Pace::after(None, 3, start);
        assert_eq!(pace.time_left(3, 20, at(60)), None);
        assert_eq!(pace.time_left(5, 20, at(60)), Some(Duration::from_secs(450)));
        assert_eq!(pace.time_left(20, 20, at(60)), None);
        assert_eq!(pace.time_left(2, 20, at(60)), None);
        assert_eq!(Pace::after(Some(pace), 5, at(60)), pace);
        // New content: all begin again.
        assert_eq!(Pace::after(Some(pace), 0, at(60)), Pace { begun: at(60), before: 0 });
    }

    #[test]
    fn times_are_rounded_for_people() {
        for (seconds, text) in [
            (0, "about 1 s left"),
            (89, "about 89 s left"),
            (90, "about 2 min left"),
            (3600, "about 60 min left"),
            (7200, "about 2 h left"),
        ] {
            assert_eq!(about(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn a_terminal_gets_no_more_lines_than_fit() {
        let lines = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
        assert_eq!(shortened(lines(LINES_MAX)), lines(LINES_MAX));
        let short = shortened(lines(LINES_MAX + 2));
        assert_eq!(short.len(), LINES_MAX + 1);
        assert_eq!(short.last().unwrap(), "and 2 more");
    }
}
