//! Checks of the files that the tools write.

use std::fs;
use std::path::Path;

/// What the name of every host of the demo starts with, in an exported file.
const NAME_START: &str = "\"10.0.0.";

/// Reads a file. The error names the path.
pub(super) fn read_text(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The part of an exported farm (PHP or JSON) that belongs to one host.
fn host_section<'a>(text: &'a str, host: &str) -> Option<&'a str> {
    let name = format!("\"{host}\"");
    let start = text.find(&name)? + name.len();
    let rest = &text[start..];
    Some(&rest[..rest.find(NAME_START).unwrap_or(rest.len())])
}

/// Checks that a host has this field, written like `"enabled": "1"` with anything between the
/// name and the value.
pub(super) fn has_field(path: &Path, host: &str, field: &str, value: &str) -> Result<(), String> {
    let text = read_text(path)?;
    let section = host_section(&text, host).ok_or_else(|| format!("no {host} in\n{text}"))?;
    let (field, value) = (format!("\"{field}\""), format!("\"{value}\""));
    let is_wanted = |line: &str| {
        let line = line.trim_start();
        line.starts_with(&field) && line.trim_end_matches(',').ends_with(&value)
    };
    if section.lines().any(is_wanted) { Ok(()) } else { Err(text) }
}

/// Checks that the first hosts are in the file, and the others are not.
pub(super) fn has_hosts(path: &Path, present: &[&str], absent: &[&str]) -> Result<(), String> {
    let text = read_text(path)?;
    let is_present = |host: &&&str| host_section(&text, host).is_some();
    let is_right = present.iter().filter(is_present).count() == present.len()
        && absent.iter().filter(is_present).count() == 0;
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
    fn a_field_is_found_at_its_host_only() {
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
    fn hosts_are_present_or_absent() {
        let scratch = Scratch::new();
        for text in [PHP, JSON] {
            let file = scratch.write("file", text);
            assert_eq!(has_hosts(&file, &["10.0.0.1", "10.0.0.2"], &["10.0.0.3"]), Ok(()));
            assert!(has_hosts(&file, &["10.0.0.1"], &["10.0.0.2"]).is_err());
            assert!(has_hosts(&file, &["10.0.0.1", "10.0.0.3"], &[]).is_err());
        }
    }
}
