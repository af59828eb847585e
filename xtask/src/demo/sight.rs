//! Looking into the files that the tools write.

use std::fs;
use std::path::Path;

/// The start of every host's name in the demo.
const NAME_START: &str = "\"10.0.0.";

/// Reads a file, or says why not.
pub(super) fn text_of(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The part of an exported farm that is about one host, PHP or JSON.
pub(super) fn part_about<'a>(text: &'a str, host: &str) -> Option<&'a str> {
    let name = format!("\"{host}\"");
    let start = text.find(&name)? + name.len();
    let rest = &text[start..];
    Some(&rest[..rest.find(NAME_START).unwrap_or(rest.len())])
}

/// Looks for a field of a host, written like `"enabled": "1"`, whatever stands
/// between name and value.
pub(super) fn has_field(path: &Path, host: &str, field: &str, value: &str) -> Result<(), String> {
    let text = text_of(path)?;
    let part = part_about(&text, host).ok_or_else(|| format!("no {host} in\n{text}"))?;
    let (field, value) = (format!("\"{field}\""), format!("\"{value}\""));
    let is_told = |line: &str| {
        let line = line.trim_start();
        line.starts_with(&field) && line.trim_end_matches(',').ends_with(&value)
    };
    if part.lines().any(is_told) { Ok(()) } else { Err(text) }
}

/// Looks for these hosts, and for no others.
pub(super) fn has_hosts(path: &Path, present: &[&str], absent: &[&str]) -> Result<(), String> {
    let text = text_of(path)?;
    let is_there = |host: &&&str| part_about(&text, host).is_some();
    let is_right = present.iter().filter(is_there).count() == present.len()
        && absent.iter().filter(is_there).count() == 0;
    if is_right { Ok(()) } else { Err(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farm_harness::Scratch;

    const PHP: &str = "<?php\nreturn array\n(\n    \"10.0.0.1\" => array\n    (\n        \
        \"enabled\" => \"0\",\n    ),\n    \"10.0.0.2\" => array\n    (\n        \
        \"enabled\" => \"1\",\n        \"weight\" => \"10\",\n    ),\n);\n";
    const JSON: &str = "{\n  \"10.0.0.1\": {\n    \"enabled\": \"0\"\n  },\n  \
        \"10.0.0.2\": {\n    \"enabled\": \"1\",\n    \"weight\": \"10\"\n  }\n}\n";

    #[test]
    fn a_field_is_found_with_its_host_only() {
        let scratch = Scratch::new();
        for text in [PHP, JSON] {
            let file = scratch.write("file", text);
            assert_eq!(has_field(&file, "10.0.0.1", "enabled", "0"), Ok(()));
            assert_eq!(has_field(&file, "10.0.0.2", "enabled", "1"), Ok(()));
            assert!(has_field(&file, "10.0.0.1", "enabled", "1").is_err());
            assert!(has_field(&file, "10.0.0.2", "weight", "0").is_err());
            assert!(has_field(&file, "10.0.0.3", "enabled", "1").is_err());
        }
        assert!(has_field(&scratch.join("gone"), "10.0.0.1", "enabled", "0").is_err());
    }

    #[test]
    fn hosts_are_there_or_not() {
        let scratch = Scratch::new();
        for text in [PHP, JSON] {
            let file = scratch.write("file", text);
            assert_eq!(has_hosts(&file, &["10.0.0.1", "10.0.0.2"], &["10.0.0.3"]), Ok(()));
            assert!(has_hosts(&file, &["10.0.0.1"], &["10.0.0.2"]).is_err());
            assert!(has_hosts(&file, &["10.0.0.1", "10.0.0.3"], &[]).is_err());
        }
    }
}
