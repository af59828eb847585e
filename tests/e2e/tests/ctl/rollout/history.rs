//! `zkctl rollout history`.

use super::super::json;
use super::fixture::{Group, STATE, version};
use serde_json::json;

#[test]
fn versions_are_shown_with_what_came_of_them_newest_first() {
    let mut group = Group::new("versions_are_shown", "new");
    group.run("history", &[]).ok().stdout_is("").stderr_is("");
    group.run("history", &["--json"]).ok().stdout_is("[]\n");
    group.know("one", &json!({"verdict": "confirmed", "by": "web-1", "at": 0}));
    group.know(
        "two",
        &json!({"verdict": "trying", "by": "web-2", "at": 60_000, "tries": 1,
        "trials": [{"id": "web-2", "token": "t"}]}),
    );
    group.fixture.create(&format!("{STATE}/versions/odd\u{202e}"), "nonsense");
    // The version that was changed last is the newest one.
    group.know("one", &json!({"verdict": "refused", "by": "web-3", "at": 120_000, "reason": "no"}));
    let (one, two) = (version("one"), version("two"));
    let text = group.run("history", &[]).ok().stderr_is("").text();
    let lines: Vec<&str> = text.lines().collect();
    let first = format!("{one} refused   1970-01-01T00:02:00Z web-3                no");
    assert_eq!(lines[0], first, "{text}");
    assert!(lines[1].starts_with("odd"), "{text}");
    let last = format!("{two} trying    1970-01-01T00:01:00Z web-2                tried by web-2");
    assert_eq!(lines[2], last, "{text}");
    let rows = json(&group.run("history", &["--json"]).ok().stdout);
    assert_eq!((&rows[0]["version"], &rows[0]["reason"]), (&json!(one), &json!("no")));
    assert_eq!((&rows[2]["tries"], &rows[2]["tried_by"]), (&json!(1), &json!(["web-2"])));
    assert_eq!(rows[1]["verdict"], json!(null));
    let rows = group.run("history", &["-o", "tsv", "--header"]).ok().text();
    assert!(rows.starts_with(&format!("version\tverdict\tat\tby\ttried_by\treason\n{one}\t")));
}
