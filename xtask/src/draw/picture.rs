//! The picture of a run.
//!
//! Time goes to the right, and each member has a lane. A state has a shape of its own besides its
//! colour: the picture has to be clear in print and to people who see no colours. It has its own
//! background, because a page may be dark where the reader's system is light.

use super::labels::{rows, tick_seconds, width};
use super::lanes::{Kind, Lane, Mark, Span, is_bad, lanes, marks};
use super::run::Run;
use super::svg::{Element, number};
use std::fmt::Write as _;

const STYLE: &str = include_str!("picture.css");
const HEADING: &str = "A rolling restart, as the members told it";

const WIDTH: f64 = 960.0;
const MARGIN: f64 = 24.0;
const HEADING_Y: f64 = 34.0;
/// Where the labels of the operator's marks begin.
const MARKS_Y: f64 = 56.0;
const MARK_ROW: f64 = 18.0;
const LANE: f64 = 32.0;
/// The height of what runs on new content, and of what runs on old content.
const BAR: f64 = 20.0;
const SLIM_BAR: f64 = 14.0;
/// The height of the line for a child that is down.
const LINE: f64 = 5.0;
const TICK_DISTANCE: f64 = 80.0;
const TEXT: f64 = 12.0;
const VERSION_TEXT: f64 = 11.0;
const SWATCH: f64 = 30.0;
/// Texts stand on a line that is this far below the middle of what they belong to.
const BASELINE: f64 = 4.2;

/// Where things are.
struct Layout {
    plot_x: f64,
    plot_width: f64,
    end_ms: u64,
    lanes_y: f64,
    lanes_end: f64,
}

impl Layout {
    fn x(&self, at_ms: u64) -> f64 {
        self.plot_x + self.plot_width * at_ms as f64 / self.end_ms as f64
    }
}

/// The SVG document.
pub(super) fn render(run: &Run) -> String {
    let (lanes, marks) = (lanes(run), marks(run));
    let names = lanes.iter().map(|lane| lane.member).chain(["operator"]);
    let names_width = names.map(|name| width(name, TEXT)).fold(0.0, f64::max);
    let plot_x = (MARGIN + names_width + 14.0).round();
    let mut layout = Layout {
        plot_x,
        plot_width: WIDTH - MARGIN - plot_x,
        end_ms: run.end_ms,
        lanes_y: 0.0,
        lanes_end: 0.0,
    };
    let labels: Vec<_> = marks.iter().map(|mark| Label::of(&layout, &lanes, *mark)).collect();
    let label_rows = rows(labels.iter().map(|label| (label.start, label.end)));
    let rows_count = label_rows.iter().max().map_or(1, |row| row + 1);
    layout.lanes_y = MARKS_Y + rows_count as f64 * MARK_ROW + 8.0;
    layout.lanes_end = layout.lanes_y + lanes.len() as f64 * LANE;
    let legend_y = layout.lanes_end + 56.0;
    let height = legend_y + 26.0;
    let view_box = format!("0 0 {} {}", number(WIDTH), number(height));
    let svg = Element::new("svg")
        .with("xmlns", "http://www.w3.org/2000/svg")
        .with("viewBox", view_box)
        .at([("width", WIDTH), ("height", height)])
        .with("role", "img")
        .with("aria-labelledby", "rollout-title rollout-desc")
        .child(Element::new("title").with("id", "rollout-title").text(HEADING))
        .child(Element::new("desc").with("id", "rollout-desc").text(story(&lanes, &marks)))
        .child(Element::new("style").text(format!("\n{STYLE}")))
        .child(patterns())
        .child(card(height))
        .child(text(MARGIN, HEADING_Y, HEADING).class("heading"))
        .child(axis(&layout))
        .children(lanes.iter().zip(0..).map(|(lane, index)| lane_of(&layout, lane, index)))
        .child(operator(&layout, &labels, &label_rows))
        .child(legend(legend_y));
    svg.to_string()
}

fn card(height: f64) -> Element {
    let size = [("x", 0.5), ("y", 0.5), ("width", WIDTH - 1.0), ("height", height - 1.0)];
    Element::new("rect").class("card").at(size).at([("rx", 8.0)])
}

fn text(x: f64, y: f64, text: &str) -> Element {
    Element::new("text").at([("x", x), ("y", y)]).text(text)
}

fn line(class: &str, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2]) -> Element {
    Element::new("line").class(class).at([("x1", x1), ("y1", y1), ("x2", x2), ("y2", y2)])
}

fn rect(x: f64, y: f64, width: f64, height: f64) -> Element {
    Element::new("rect").at([("x", x), ("y", y), ("width", width), ("height", height)])
}

/// The patterns that tell the states apart without colours.
fn patterns() -> Element {
    let pattern = |id, size: f64| {
        let units = ("patternUnits", "userSpaceOnUse");
        let pattern = Element::new("pattern").with("id", id).with(units.0, units.1);
        pattern.at([("width", size), ("height", size)])
    };
    let dot = Element::new("circle").class("dot").at([("cx", 4.0), ("cy", 4.0), ("r", 1.3)]);
    let hatch = pattern("hatch", 7.0).with("patternTransform", "rotate(45)");
    let cross = pattern("cross", 7.0).with("patternTransform", "rotate(45)");
    Element::new("defs")
        .child(pattern("dots", 8.0).child(dot))
        .child(pattern("bars", 9.0).child(line("bar", [4.5, 0.0], [4.5, 9.0])))
        .child(hatch.child(line("hatch", [3.5, 0.0], [3.5, 7.0])))
        .child(cross.child(line("cross", [3.5, 0.0], [3.5, 7.0])).child(line(
            "cross",
            [0.0, 3.5],
            [7.0, 3.5],
        )))
}

/// The shape of a state. Lanes and legend have the same.
fn shape(kind: Kind, x: f64, middle: f64, width: f64) -> Vec<Element> {
    let bar = |height: f64| rect(x, middle - height / 2.0, width, height);
    let old = || bar(SLIM_BAR).class("body-old");
    let pattern = |pattern: &str| bar(SLIM_BAR).with("fill", pattern);
    // The line of an outline is inside of the shape.
    let outlined = |class: &'static str, pattern: &str| {
        let (top, width) = (middle - BAR / 2.0 + 0.75, (width - 1.5).max(0.0));
        let outline = rect(x + 0.75, top, width, BAR - 1.5).class(class).with("fill", pattern);
        vec![bar(BAR).class("plate"), outline]
    };
    match kind {
        Kind::Old => vec![old()],
        Kind::Waiting => vec![old(), pattern("url(#dots)")],
        Kind::Refused => vec![old(), pattern("url(#bars)")],
        Kind::Restarting => vec![bar(LINE).class("body-restarting")],
        Kind::Unconfirmed => outlined("body-unconfirmed", "url(#hatch)"),
        Kind::New => vec![bar(BAR).class("body-new")],
        Kind::Failed => outlined("body-failed", "url(#cross)"),
    }
}

fn lane_of(layout: &Layout, lane: &Lane<'_>, index: u32) -> Element {
    let middle = layout.lanes_y + (f64::from(index) + 0.5) * LANE;
    let name = text(MARGIN, middle + BASELINE, lane.member).class("member");
    let spans = lane.spans.iter().map(|span| span_of(layout, lane.member, span, middle));
    Element::new("g").child(name).children(spans)
}

fn span_of(layout: &Layout, member: &str, span: &Span<'_>, middle: f64) -> Element {
    let (x, end) = (layout.x(span.from_ms), layout.x(span.to_ms));
    // Neighbours are a pixel apart, if they are wide enough for it.
    let width = (end - x - 1.0).max((end - x) / 2.0);
    let mut title = format!("{member}: {}", span.kind.name());
    let version = span.version.unwrap_or_default();
    for part in [Some(version), span.reason].into_iter().flatten().filter(|part| !part.is_empty()) {
        write!(title, ", {part}").unwrap_or_default();
    }
    let (from, to) = (seconds(span.from_ms), seconds(span.to_ms));
    write!(title, ", {from} to {to}").unwrap_or_default();
    Element::new("g")
        .child(Element::new("title").text(title))
        .children(shape(span.kind, x, middle, width))
        .children(version_label(span.kind, version, x, middle, width))
}

/// The version at the start of a bar that has room for it, on a plate if the bar has a pattern.
fn version_label(kind: Kind, version: &str, x: f64, middle: f64, room: f64) -> Vec<Element> {
    let (class, plate) = match kind {
        Kind::Old => ("on-old", None),
        Kind::New => ("on-new", None),
        Kind::Refused => ("on-old", Some(("body-old", 0.0, SLIM_BAR))),
        Kind::Failed => ("on-failed", Some(("plate", 1.5, BAR - 3.0))),
        Kind::Waiting | Kind::Restarting | Kind::Unconfirmed => return Vec::new(),
    };
    let needed = width(version, VERSION_TEXT);
    if version.is_empty() || needed + 12.0 > room {
        return Vec::new();
    }
    let plate = plate.map(|(class, inset, height)| {
        let width = needed + 10.0 - inset;
        rect(x + inset, middle - height / 2.0, width, height).class(class)
    });
    let label = text(x + 6.0, middle + BASELINE - 0.2, version).class(format!("version {class}"));
    plate.into_iter().chain([label]).collect()
}

fn axis(layout: &Layout) -> Element {
    let pixels = layout.plot_width * 1000.0 / layout.end_ms as f64;
    let step = tick_seconds(pixels, TICK_DISTANCE);
    let ticks = (0..).map(|tick| tick * step).take_while(|tick| tick * 1000 <= layout.end_ms);
    let (top, bottom) = (layout.lanes_y, layout.lanes_end + 4.0);
    let tick = |seconds: u64| {
        let x = layout.x(seconds * 1000);
        let label = text(x, bottom + 17.0, &format!("{seconds} s")).class("tick");
        [line("grid", [x, top], [x, bottom]), label]
    };
    Element::new("g").children(ticks.flat_map(tick))
}

/// The label of a mark.
struct Label {
    x: f64,
    text: String,
    start: f64,
    end: f64,
}

impl Label {
    fn of(layout: &Layout, lanes: &[Lane<'_>], mark: Mark<'_>) -> Self {
        let bad = if is_bad(lanes, mark.version) { "bad " } else { "" };
        let text = format!("put {bad}{}", mark.version);
        let (x, needed) = (layout.x(mark.at_ms), width(&text, TEXT));
        // Behind its arrow, or before it at the right edge.
        let start = if x + 8.0 + needed > WIDTH - MARGIN { x - 8.0 - needed } else { x + 8.0 };
        Self { x, text, start, end: start + needed }
    }
}

fn operator(layout: &Layout, labels: &[Label], label_rows: &[usize]) -> Element {
    let name = text(MARGIN, MARKS_Y + BASELINE + MARK_ROW / 2.0, "operator");
    let mark = |(label, row): (&Label, &usize)| {
        let middle = MARKS_Y + (*row as f64 + 0.5) * MARK_ROW;
        let (x, y) = (label.x, middle + 4.0);
        let corners = [[x - 4.5, y - 7.0], [x + 4.5, y - 7.0], [x, y]];
        let points = corners.map(|[x, y]| format!("{},{}", number(x), number(y))).join(" ");
        let put = if label.start > x {
            text(label.start, middle + BASELINE, &label.text)
        } else {
            text(label.end, middle + BASELINE, &label.text).with("text-anchor", "end")
        };
        [
            line("mark", [x, y], [x, layout.lanes_end + 4.0]),
            Element::new("polygon").class("head").with("points", points),
            put.class("put"),
        ]
    };
    let marks = labels.iter().zip(label_rows).flat_map(mark);
    Element::new("g").child(name).children(marks)
}

fn legend(middle: f64) -> Element {
    let words = Kind::ALL.map(|kind| width(kind.name(), TEXT));
    let entries: f64 = words.iter().map(|word| SWATCH + 7.0 + word).sum();
    let gap = (WIDTH - 2.0 * MARGIN - entries) / (words.len() - 1) as f64;
    let mut legend = Element::new("g");
    let mut x = MARGIN;
    for (kind, word) in Kind::ALL.into_iter().zip(words) {
        legend = legend.children(shape(kind, x, middle, SWATCH)).child(text(
            x + SWATCH + 7.0,
            middle + BASELINE,
            kind.name(),
        ));
        x += SWATCH + 7.0 + word + gap;
    }
    legend
}

/// The run in words.
fn story(lanes: &[Lane<'_>], marks: &[Mark<'_>]) -> String {
    let members: Vec<_> = lanes.iter().map(|lane| lane.member).collect();
    let members = members.join(", ");
    let mut story = format!("Time goes to the right; each of {members} has a lane.");
    for mark in marks {
        let reached = |kind: Kind| {
            let of = |span: &&Span<'_>| span.kind == kind && span.version == Some(mark.version);
            let first = lanes.iter().filter_map(|lane| {
                lane.spans.iter().find(of).map(|span| (span.from_ms, lane.member))
            });
            let mut first: Vec<_> = first.collect();
            first.sort_unstable();
            let at = |(at_ms, member)| format!("{member} at {}", seconds(at_ms));
            first.into_iter().map(at).collect::<Vec<_>>().join(", ")
        };
        let (at, version) = (seconds(mark.at_ms), mark.version);
        write!(story, "\nAt {at} the operator puts {version}.").unwrap_or_default();
        for (kind, verb) in [(Kind::New, "works on"), (Kind::Failed, "fails on")] {
            let members = reached(kind);
            if !members.is_empty() {
                write!(story, " It {verb} {members}.").unwrap_or_default();
            }
        }
        let refusing = refusing(lanes, marks, *mark);
        if !refusing.is_empty() {
            write!(story, " It is refused by {refusing}.").unwrap_or_default();
        }
    }
    story
}

/// The members that refuse a version before the next one is put.
fn refusing(lanes: &[Lane<'_>], marks: &[Mark<'_>], mark: Mark<'_>) -> String {
    let next = marks.iter().map(|mark| mark.at_ms).find(|at_ms| *at_ms > mark.at_ms);
    let while_put = mark.at_ms..next.unwrap_or(u64::MAX);
    let refuses = |span: &Span<'_>| span.kind == Kind::Refused && while_put.contains(&span.from_ms);
    let refusing = lanes.iter().filter(|lane| lane.spans.iter().any(refuses));
    refusing.map(|lane| lane.member).collect::<Vec<_>>().join(", ")
}

fn seconds(at_ms: u64) -> String {
    format!("{}.{:03} s", at_ms / 1000, at_ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Two members; V2 works on both, V3 fails on the first one.
    const RUN: &str = "\
0\ta\trunning\tV1\tV1\tV1\t-
0\tb\trunning\tV1\tV1\tV1\t-
1000\toperator\tput\tV2\t-\t-\t-
1100\ta\trestarting\tV2\tV1\tV1\t-
1150\tb\twaiting\tV2\tV1\tV1\t-
1700\ta\tunconfirmed\tV2\tV2\tV1\t-
2700\ta\trunning\tV2\tV2\tV2\t-
2750\tb\trestarting\tV2\tV1\tV1\t-
3300\tb\tunconfirmed\tV2\tV2\tV1\t-
4500\tb\trunning\tV2\tV2\tV2\t-
6000\toperator\tput\tV3\t-\t-\t-
6100\tb\twaiting\tV3\tV2\tV2\t-
6100\ta\trestarting\tV3\tV2\tV2\t-
6700\ta\tunconfirmed\tV3\tV3\tV2\t-
7500\ta\tfailed\tV3\tV3\tV2\texit status 3
7520\tb\trefused\tV3\tV2\tV2\texit status 3
9500\toperator\tend\t-\t-\t-\t-
";

    fn rendered(run: &str) -> String {
        render(&run.parse().unwrap())
    }

    /// The value of an attribute of an element that has one line.
    fn attribute<'a>(line: &'a str, name: &str) -> Option<&'a str> {
        let (_, rest) = line.split_once(&format!(" {name}=\""))?;
        rest.split_once('"').map(|(value, _)| value)
    }

    fn coordinate(line: &str, name: &str) -> f64 {
        attribute(line, name).unwrap().parse().unwrap()
    }

    /// All texts with their left, right and lower edges.
    fn texts(svg: &str) -> Vec<(&str, f64, f64, f64)> {
        let lines = svg.lines().map(str::trim).filter(|line| line.starts_with("<text "));
        let place = |line| {
            let text = str::split_once(line, '>').unwrap().1.strip_suffix("</text>").unwrap();
            let class = attribute(line, "class").unwrap_or_default();
            let size = if class == "heading" { 15.0 } else { TEXT };
            let (x, y, width) = (coordinate(line, "x"), coordinate(line, "y"), width(text, size));
            let left = match (class, attribute(line, "text-anchor")) {
                ("tick", _) => x - width / 2.0,
                (_, Some("end")) => x - width,
                _ => x,
            };
            (text, left, left + width, y)
        };
        lines.map(place).collect()
    }

    /// A run of so many members in which the operator puts content at these times.
    fn busy(members: u32, puts: &[u64]) -> String {
        let told = |member| format!("0\thost-{member}.example.org\trunning\tV1\tV1\tV1\t-\n");
        let mut run: String = (0..members).map(told).collect();
        for at_ms in puts {
            run += &format!("{at_ms}\toperator\tput\tVERSION-{at_ms}\t-\t-\t-\n");
        }
        run + "20000\toperator\tend\t-\t-\t-\t-\n"
    }

    #[test]
    fn texts_do_not_overlap_and_stay_inside() {
        let puts = [100, 200, 300, 9000, 9500, 19_000, 19_900];
        for run in [RUN.to_owned(), busy(5, &puts), busy(1, &[]), busy(30, &[20_000])] {
            let svg = rendered(&run);
            let texts = texts(&svg);
            let height = coordinate(svg.lines().next().unwrap(), "height");
            for (index, &(text, left, right, y)) in texts.iter().enumerate() {
                assert!(left >= 0.0 && right <= WIDTH && y < height - 4.0, "{text} is outside");
                for (other, start, end, lower) in &texts[index + 1..] {
                    let is_apart = right <= *start || *end <= left || (y - lower).abs() >= TEXT;
                    assert!(is_apart, "{text} and {other} overlap in\n{svg}");
                }
            }
        }
    }

    #[test]
    fn every_member_version_deed_and_state_has_its_word() {
        let svg = rendered(RUN);
        let texts: BTreeSet<_> = texts(&svg).into_iter().map(|(text, ..)| text).collect();
        let words = ["a", "b", "V1", "V2", "V3", "put V2", "put bad V3", "operator", "0 s", "9 s"];
        for word in words.into_iter().chain(Kind::ALL.map(Kind::name)) {
            assert!(texts.contains(word), "{word} is missing in\n{svg}");
        }
    }

    #[test]
    fn the_states_differ_without_colours() {
        let drawn = |kind| {
            let elements = shape(kind, 0.0, 0.0, SWATCH);
            let colourless = |element: &Element| {
                let line = element.to_string();
                let class = attribute(&line, "class").unwrap_or_default();
                line.replace(&format!(" class=\"{class}\""), "")
            };
            elements.iter().map(colourless).collect::<String>()
        };
        let shapes: BTreeSet<_> = Kind::ALL.into_iter().map(drawn).collect();
        assert_eq!(shapes.len(), Kind::ALL.len());
    }

    #[test]
    fn every_class_has_a_style_and_every_pattern_is_defined() {
        let svg = rendered(RUN);
        let classes = svg.lines().filter_map(|line| attribute(line, "class"));
        for class in classes.flat_map(str::split_whitespace) {
            let is_styled =
                |line: &str| line.split(['{', ',', ' ']).any(|name| name == format!(".{class}"));
            assert!(STYLE.lines().any(is_styled), "{class} has no style");
        }
        for fill in svg.lines().filter_map(|line| attribute(line, "fill")) {
            let id = fill.strip_prefix("url(#").and_then(|rest| rest.strip_suffix(')')).unwrap();
            assert!(svg.contains(&format!("<pattern id=\"{id}\"")), "{id} is not defined");
        }
    }

    #[test]
    fn the_description_tells_the_run() {
        let svg = rendered(RUN);
        let start = svg.find("<desc").unwrap();
        let story = svg[start..].split_once('>').unwrap().1.split_once("</desc>").unwrap().0;
        assert_eq!(
            story,
            "Time goes to the right; each of a, b has a lane.\n\
             At 1.000 s the operator puts V2. It works on a at 2.700 s, b at 4.500 s.\n\
             At 6.000 s the operator puts V3. It fails on a at 7.500 s. It is refused by b."
        );
        assert!(svg.contains("<title>a: failed, V3, exit status 3, 7.500 s to 9.500 s</title>"));
    }

    #[test]
    fn spans_are_drawn_to_scale() {
        let svg = rendered(RUN);
        let x_of = |title: &str| {
            let mut lines = svg.lines().skip_while(|line| !line.contains(title));
            coordinate(lines.nth(1).unwrap(), "x")
        };
        let (one, two) = (x_of("a: restarting, V2, 1.100 s"), x_of("a: restarting, V3, 6.100 s"));
        let start = x_of("a: old, V1, 0.000 s");
        let scale = (WIDTH - MARGIN - start) / 9.5;
        assert!((one - start - 1.1 * scale).abs() < 0.1, "{one}");
        assert!((two - start - 6.1 * scale).abs() < 0.1, "{two}");
    }

    #[test]
    fn a_name_cannot_become_markup() {
        let svg = rendered(&RUN.replace("\ta\t", "\t<a href=\"x\">&\t"));
        assert!(svg.contains("&lt;a href=&quot;x&quot;&gt;&amp;: failed"));
        assert!(!svg.contains("<a "));
    }
}
