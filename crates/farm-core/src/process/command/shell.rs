//! Commands for a shell, and their environment.

/// The placeholder for the file in a command.
const PLACEHOLDER: &str = "{}";

/// Variables for the environment of a command.
pub type Environment = Vec<(&'static str, String)>;

/// A command about a file: each `{}` in it is replaced by the file name. `ZK_FILE` holds the
/// file name too, and `ZK_PATH` the znode that the file is made from.
#[must_use]
pub fn about_file(command: &str, file: &str, znode: String) -> (String, Environment) {
    let environment = vec![("ZK_FILE", file.to_owned()), ("ZK_PATH", znode)];
    (command.replace(PLACEHOLDER, &shell_quoted(file)), environment)
}

/// Whether a shell, and a program that gets the word as an argument, take the text for itself
/// even where it is not quoted: it consists of letters, digits and `. _ : - @ % + ,`, and does not
/// begin with a sign that could introduce an option, a job or a file of arguments.
///
/// Names from ZooKeeper are anybody's choice: `*`, `-rf`, `$(id)`.
#[must_use]
pub fn is_plain_word(text: &str) -> bool {
    let begins = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | ':');
    let goes_on = |c: char| begins(c) || matches!(c, '-' | '@' | '%' | '+' | ',');
    text.starts_with(begins) && text.chars().all(goes_on)
}

/// Quotes any text as one word for a shell.
fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_placeholder_in_a_command_becomes_the_file() {
        let (command, environment) = about_file("a {} > {}; b '{}'", "/x y", "/farm".to_owned());
        assert_eq!(command, "a '/x y' > '/x y'; b ''/x y''");
        assert_eq!(environment, [("ZK_FILE", "/x y".to_owned()), ("ZK_PATH", "/farm".to_owned())]);
    }

    #[test]
    fn host_names_are_plain_words_and_what_a_shell_acts_on_is_none() {
        for text in [
            "db-01.example.com",
            "10.0.0.1",
            "10.0.0.1:8080",
            "::1",
            "fe80::1%eth0",
            "db_1",
            "_db",
            "worker+1,2@rack",
            "m\u{fc}nchen",
            "\u{6f22}\u{5b57}",
            "\u{5d0}",
            "0",
        ] {
            assert!(is_plain_word(text), "{text}");
        }
        for text in [
            "",
            " ",
            "a b",
            "a\tb",
            "a\nb",
            "a\u{a0}b",
            "a\u{2028}b",
            "a\u{202e}b",
            "a\u{85}b",
            "a\0b",
            "*",
            "a*",
            "a?",
            "[a]",
            "[::1]:80",
            "{a,b}",
            "-rf",
            "--",
            "-",
            "+x",
            "@file",
            "%1",
            ",",
            "`id`",
            "$(id)",
            "$HOME",
            "${x}",
            "a;b",
            "a&b",
            "a|b",
            "a<b",
            "a>b",
            "(a)",
            "a'b",
            "a\"b",
            "a\\b",
            "~",
            "~root",
            "a~b",
            "!x",
            "a!b",
            "#x",
            "a#b",
            "a=b",
            "=x",
            "^a",
            "a/b",
        ] {
            assert!(!is_plain_word(text), "{text:?}");
        }
        for code in 0..0x80_u8 {
            let c = char::from(code);
            let is_plain = c.is_ascii_alphanumeric() || "._:-@%+,".contains(c);
            assert_eq!(is_plain_word(&format!("a{c}a")), is_plain, "{c:?}");
        }
    }

    #[test]
    fn any_text_is_quoted_as_one_word() {
        assert_eq!(shell_quoted("/etc/db.php"), "'/etc/db.php'");
        assert_eq!(shell_quoted("/a b/$(id)`x`\n"), "'/a b/$(id)`x`\n'");
        assert_eq!(shell_quoted("/it's"), r"'/it'\''s'");
    }
}
