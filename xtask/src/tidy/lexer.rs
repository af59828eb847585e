//! The tokens of a Rust file, without comments, characters and lifetimes.

/// A piece of code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A keyword, a name or a number.
    Word(&'a str),
    /// `::`
    Separator,
    /// Any other character.
    Mark(char),
    /// A string literal, without its quotes.
    Text(&'a str),
}

/// All tokens of a text, each with its line, counted from 1.
pub(super) fn tokens(text: &str) -> Vec<(usize, Token<'_>)> {
    let mut found = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let (token, length) = first_token(rest, first);
        found.extend(token.map(|token| (line, token)));
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    found
}

/// The name that a text starts with; empty if it starts with something else.
pub(super) fn ident(text: &str) -> &str {
    &text[..text.find(|c: char| !is_part_of_word(c)).unwrap_or(text.len())]
}

pub(super) fn is_part_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The token at the start of a text, unless it is blank or a comment, and its length in bytes.
fn first_token(text: &str, first: char) -> (Option<Token<'_>>, usize) {
    if text.starts_with("//") {
        return (None, text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return (None, block_comment_length(text));
    }
    if text.starts_with("::") {
        return (Some(Token::Separator), "::".len());
    }
    if let Some((content, length)) = string(text) {
        return (Some(Token::Text(content)), length);
    }
    if first == '\'' {
        return (None, character_or_lifetime_length(text));
    }
    if is_part_of_word(first) {
        let raw = text.strip_prefix("r#").map_or("", ident);
        if !raw.is_empty() {
            return (Some(Token::Word(raw)), "r#".len() + raw.len());
        }
        let word = ident(text);
        return (Some(Token::Word(word)), word.len());
    }
    let mark = (!first.is_whitespace()).then_some(Token::Mark(first));
    (mark, first.len_utf8())
}

/// Block comments nest.
fn block_comment_length(text: &str) -> usize {
    let (mut nesting, mut at) = (0_usize, 0);
    while at < text.len() {
        let rest = &text[at..];
        let step = if rest.starts_with("/*") {
            nesting += 1;
            2
        } else if rest.starts_with("*/") {
            nesting -= 1;
            2
        } else {
            rest.chars().next().map_or(1, char::len_utf8)
        };
        at += step;
        if nesting == 0 {
            break;
        }
    }
    at
}

/// The content of the string literal that a text starts with, and the length of the literal.
fn string(text: &str) -> Option<(&str, usize)> {
    let after_prefix = text.trim_start_matches(['b', 'c', 'r']);
    let prefix = &text[..text.len() - after_prefix.len()];
    let is_raw = prefix.contains('r');
    let after_hashes = if is_raw { after_prefix.trim_start_matches('#') } else { after_prefix };
    let hashes = after_prefix.len() - after_hashes.len();
    let content = after_hashes.strip_prefix('"')?;
    let end = if is_raw {
        content.find(&format!("\"{}", "#".repeat(hashes)))
    } else {
        closing_quote(content)
    };
    let end = end.unwrap_or(content.len());
    let length = text.len() - content.len() + end + "\"".len() + hashes;
    Some((&content[..end], length.min(text.len())))
}

fn closing_quote(content: &str) -> Option<usize> {
    let mut is_escaped = false;
    content.char_indices().find_map(|(at, c)| {
        let is_end = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_end.then_some(at)
    })
}

fn character_or_lifetime_length(text: &str) -> usize {
    let mut inside = text.chars().skip(1);
    match (inside.next(), inside.next()) {
        (Some('\\'), Some(escaped)) => {
            let start = "'\\".len() + escaped.len_utf8();
            text[start..].find('\'').map_or(text.len(), |end| start + end + 1)
        }
        (Some(c), Some('\'')) => "''".len() + c.len_utf8(),
        _ => 1 + ident(&text[1..]).len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let shown = tokens(text).into_iter().map(|(line, token)| match token {
            Token::Word(word) => format!("{line}{word}"),
            Token::Separator => format!("{line}::"),
            Token::Mark(mark) => format!("{line}{mark}"),
            Token::Text(text) => format!("{line}\"{text}\""),
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_are_left_out() {
        assert_eq!(shown("a // b\nc /* d /* e */\n f */ g\n//"), "1a 2c 3g");
        assert_eq!(shown("a::b{é}"), "1a 1:: 1b 1{ 1é 1}");
    }

    #[test]
    fn a_string_is_one_token_whatever_it_contains() {
        assert_eq!(shown(r#""a \" // b" c"#), r#"1"a \" // b" 1c"#);
        assert_eq!(shown(r##"br#"a " b"# r"\" c"##), r##"1"a " b" 1"\" 1c"##);
        assert_eq!(shown("\"a\nb\" c \"open"), "1\"a\nb\" 2c 2\"open\"");
    }

    #[test]
    fn characters_and_lifetimes_are_left_out() {
        assert_eq!(shown(r"'{' '\'' '\u{7d}' 'é' &'a b '_"), "1& 1b");
        assert_eq!(shown("r#type crab"), "1type 1crab");
    }
}
