//! zkexec accepts every command line on the documentation pages.

use clap::Parser;
use std::fs;
use std::path::Path;
use zkexec::Args;

/// Splits a line into words as a shell does, without expanding anything.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(q), c) if q == c => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// The zkexec command lines in the code blocks of a page, with continued lines joined.
fn calls(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for part in page.split("```").skip(1).step_by(2) {
        for line in part.replace("\\\n", " ").lines() {
            let line = line.trim_start_matches("$ ").trim_start_matches("ExecStart=");
            if line.starts_with("zkexec ") {
                found.push(line.split(" 2> ").next().unwrap_or(line).to_owned());
            }
        }
    }
    found
}

#[test]
fn every_call_on_the_pages_is_understood() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (page, least) in [("docs/zkexec.md", 6), ("crates/zkexec/README.md", 5), ("README.md", 0)] {
        let text = fs::read_to_string(root.join(page)).unwrap();
        let calls = calls(&text);
        assert!(calls.len() >= least, "{page}: {calls:?}");
        for call in calls {
            let parsed = Args::try_parse_from(words(&call));
            assert!(parsed.is_ok(), "{page}: {call}\n{}", parsed.unwrap_err());
        }
    }
}

#[test]
fn words_are_split_like_in_a_shell() {
    assert_eq!(words("a 'b c' \"d\"e ''"), ["a", "b c", "de", ""]);
    assert_eq!(calls("zkexec no\n```\n$ zkexec -e \\\n  x 2> log\n```\n"), ["zkexec -e    x"]);
}
