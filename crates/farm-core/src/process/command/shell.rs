//! Texts as a shell takes them.

/// One word for a shell, whatever is in it.
#[must_use]
pub fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_one_word_of_a_shell_whatever_is_in_it() {
        assert_eq!(shell_quoted("/etc/db.php"), "'/etc/db.php'");
        assert_eq!(shell_quoted("/a b/$(id)`x`\n"), "'/a b/$(id)`x`\n'");
        assert_eq!(shell_quoted("/it's"), r"'/it'\''s'");
    }
}
