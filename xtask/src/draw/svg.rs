//! Elements of an SVG document, written with indentation.
//!
//! **Invariant.** Texts and attributes are escaped here and nowhere else.

use std::fmt;

/// An element with children or with a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    children: Vec<Self>,
    text: String,
}

impl Element {
    pub(super) const fn new(name: &'static str) -> Self {
        Self { name, attributes: Vec::new(), children: Vec::new(), text: String::new() }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.attributes.push((name, value.into()));
        self
    }

    /// Adds attributes that are numbers.
    pub(super) fn at<const N: usize>(mut self, numbers: [(&'static str, f64); N]) -> Self {
        self.attributes.extend(numbers.map(|(name, value)| (name, number(value))));
        self
    }

    pub(super) fn class(self, name: impl Into<String>) -> Self {
        self.with("class", name)
    }

    pub(super) fn text(mut self, text: impl Into<String>) -> Self {
        self.text = text.into();
        self
    }

    pub(super) fn child(mut self, child: Self) -> Self {
        self.children.push(child);
        self
    }

    pub(super) fn children(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        self.children.extend(children);
        self
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        write!(f, "{:indent$}<{}", "", self.name, indent = depth * 2)?;
        for (name, value) in &self.attributes {
            write!(f, " {name}=\"{}\"", Escaped(value))?;
        }
        if self.children.is_empty() && self.text.is_empty() {
            return f.write_str("/>\n");
        }
        write!(f, ">{}", Escaped(&self.text))?;
        if !self.children.is_empty() {
            f.write_str("\n")?;
            self.children.iter().try_for_each(|child| child.write(f, depth + 1))?;
            write!(f, "{:indent$}", "", indent = depth * 2)?;
        }
        writeln!(f, "</{}>", self.name)
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}

/// A number with at most one decimal.
pub(super) fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        self.0.chars().try_for_each(|char| match char {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\n' => f.write_char('\n'),
            // XML has no way to write them.
            char if char.is_control() || matches!(char, '\u{fffe}' | '\u{ffff}') => {
                f.write_char('\u{fffd}')
            }
            char => f.write_char(char),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_indented_and_escaped() {
        let text = Element::new("text").at([("x", 1.0)]).text("a<b & \"c\"\u{7}");
        let group = Element::new("g").class("x\"y").child(text).child(Element::new("rect"));
        assert_eq!(
            group.to_string(),
            "<g class=\"x&quot;y\">\n  <text x=\"1\">a&lt;b &amp; &quot;c&quot;\u{fffd}</text>\n  \
             <rect/>\n</g>\n"
        );
    }

    #[test]
    fn numbers_have_at_most_one_decimal() {
        let shown = [0.0, 1.0, 1.25, -0.01, -2.5, 100.06].map(number);
        assert_eq!(shown, ["0", "1", "1.2", "0", "-2.5", "100.1"]);
    }
}
