//! Commands as a shell takes them, and what they find in their environment.

/// What stands for the file in a command about one.
const PLACE: &str = "{}";

/// Names and values for the command to find in its environment.
pub type Environment = Vec<(&'static str, String)>;

/// A command about a file: each `{}` in it becomes the file, which it finds as `ZK_FILE` too,
/// and the znode behind it as `ZK_PATH`.
#[must_use]
pub fn about_file(command: &str, file: &str, znode: String) -> (String, Environment) {
    let environment = vec![("ZK_FILE", file.to_owned()), ("ZK_PATH", znode)];
    (command.replace(PLACE, &shell_quoted(file)), environment)
}

/// One word for a shell, whatever is in it.
fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_about_a_file_names_it_wherever_the_place_is() {
        let (command, environment) = about_file("a {} > {}; b '{}'", "/x y", "/farm".to_owned());
        assert_eq!(command, "a '/x y' > '/x y'; b ''/x y''");
        assert_eq!(environment, [("ZK_FILE", "/x y".to_owned()), ("ZK_PATH", "/farm".to_owned())]);
    }

    #[test]
    fn a_text_is_one_word_of_a_shell_whatever_is_in_it() {
        assert_eq!(shell_quoted("/etc/db.php"), "'/etc/db.php'");
        assert_eq!(shell_quoted("/a b/$(id)`x`\n"), "'/a b/$(id)`x`\n'");
        assert_eq!(shell_quoted("/it's"), r"'/it'\''s'");
    }
}
