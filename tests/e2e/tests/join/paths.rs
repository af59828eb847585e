//! The config is what its path names, also when that becomes another file.

use super::fixture::{ENTRY, JoinFixture, edit, record};
use farm_harness::{Signal, eventually_within};
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;

/// How long a change may go unnoticed that the kernel does not report.
const UNREPORTED: Duration = Duration::from_secs(10);
/// The limit for changes that it reports: less than the time between two looks at the path.
const REPORTED: Duration = Duration::from_secs(3);

/// Where the value of a field is kept, and how it is written.
struct Place {
    conf: &'static str,
    file: &'static str,
}

const PLACES: [Place; 2] = [
    Place { conf: "app/etc/c.json", file: "app/etc/c.json" },
    Place { conf: "app/etc/dir", file: "app/etc/dir/a" },
];

impl Place {
    /// The contents of the file if the field `a` has this value.
    fn text(&self, value: &str) -> String {
        if self.conf == self.file { format!("{{\"a\": \"{value}\"}}") } else { value.to_owned() }
    }

    /// The path of the file in the directory `app2`.
    fn elsewhere(&self) -> String {
        self.file.replacen("app", "app2", 1)
    }
}

#[track_caller]
fn wait_within(fixture: &mut JoinFixture, limit: Duration, what: &str, wanted: &Value) {
    eventually_within(limit, what, || {
        let found = record(&mut fixture.zk, ENTRY)?;
        if found == *wanted { Ok(()) } else { Err(found.to_string()) }
    });
}

/// Exchanges the directory `app` with `app2`.
fn exchange(fixture: &JoinFixture) {
    let at = |name: &str| fixture.scratch.join(name);
    fs::rename(at("app"), at("app.old")).unwrap();
    fs::rename(at("app2"), at("app")).unwrap();
    fs::rename(at("app.old"), at("app2")).unwrap();
}

#[test]
fn a_directory_above_that_is_exchanged_is_noticed_and_followed() {
    for place in &PLACES {
        let mut fixture = JoinFixture::new("exchanged");
        fixture.scratch.write(place.file, place.text("1"));
        fixture.scratch.write(place.elsewhere(), place.text("2"));
        let _running = fixture.join(place.conf, &["--no-hostname"]);
        wait_within(&mut fixture, REPORTED, "the first one", &json!({"a": "1"}));
        exchange(&fixture);
        wait_within(&mut fixture, UNREPORTED, "the other one", &json!({"a": "2"}));
        // From now on, its edits are reported.
        fixture.scratch.write(place.file, place.text("3"));
        wait_within(&mut fixture, REPORTED, "an edit of it", &json!({"a": "3"}));
        edit(&mut fixture.zk, ENTRY, |record| record["a"] = json!("4"));
        eventually_within(REPORTED, "a remote edit is in it", || {
            let text = fixture.scratch.read(place.file)?;
            if text.contains('4') { Ok(()) } else { Err(text) }
        });
        let old = fixture.scratch.read(place.elsewhere()).unwrap();
        assert!(old.contains('1'), "the old one is left alone: {old}");
    }
}

#[test]
fn hup_watches_what_the_path_names_then() {
    for place in &PLACES {
        let mut fixture = JoinFixture::new("exchanged_hup");
        fixture.scratch.write(place.file, place.text("1"));
        fixture.scratch.write(place.elsewhere(), place.text("2"));
        let mut running = fixture.join(place.conf, &["--no-hostname"]);
        for (found, edited) in [("2", "3"), ("1", "4"), ("3", "5")] {
            exchange(&fixture);
            running.signal(Signal::SIGHUP);
            wait_within(&mut fixture, REPORTED, "what is there", &json!({"a": found}));
            fixture.scratch.write(place.file, place.text(edited));
            wait_within(&mut fixture, REPORTED, "its edit", &json!({"a": edited}));
        }
    }
}

#[test]
fn an_edit_through_another_hard_link_is_noticed() {
    for place in &PLACES {
        let mut fixture = JoinFixture::new("hard_link");
        let file = fixture.scratch.write(place.file, place.text("1"));
        fs::create_dir(fixture.scratch.join("elsewhere")).unwrap();
        fs::hard_link(&file, fixture.scratch.join("elsewhere/link")).unwrap();
        let _running = fixture.join(place.conf, &["--no-hostname"]);
        wait_within(&mut fixture, REPORTED, "the first value", &json!({"a": "1"}));
        for value in ["2", "3"] {
            fixture.scratch.write("elsewhere/link", place.text(value));
            wait_within(&mut fixture, UNREPORTED, "the edit", &json!({"a": value}));
        }
    }
}

#[test]
fn a_directory_that_is_deleted_and_made_again_is_followed_without_a_word_of_the_library() {
    let mut fixture = JoinFixture::new("made_again");
    fixture.dir(&[("a", "1"), ("o/b", "1")]);
    let running = fixture.join("conf", &["--no-hostname"]);
    let path = fixture.scratch.join("conf");
    for round in 0..20 {
        fs::remove_dir_all(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let value = format!("round {round}");
        fixture.scratch.write("conf/a", &value);
        fixture.scratch.write("conf/o/b", &value);
        let wanted = json!({"a": value, "o": {"b": value}});
        wait_within(&mut fixture, REPORTED, &value, &wanted);
    }
    let log = running.stderr();
    let mut warnings = log.lines().filter(|line| line.contains(" WARN "));
    // A look in between may have found the directory missing.
    assert_eq!(warnings.find(|line| !line.contains("there is no config")), None, "{log}");
}
