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
    fn any_text_is_quoted_as_one_word() {
        assert_eq!(shell_quoted("/etc/db.php"), "'/etc/db.php'");
        assert_eq!(shell_quoted("/a b/$(id)`x`\n"), "'/a b/$(id)`x`\n'");
        assert_eq!(shell_quoted("/it's"), r"'/it'\''s'");
    }
}
