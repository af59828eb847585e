//! What keeps new contents out of the file: a check, too few hosts, a dry run.

use super::*;

/// Appends what it is asked about to `seen`, and refuses what has `bad` in it.
const CHECK: &str = "cat {} >> seen; echo looked at $ZK_COUNT; echo $ZK_PATH; ! grep -q bad {}";

#[track_caller]
fn names(place: &Place) -> Vec<String> {
    let entries = fs::read_dir(place.scratch.path()).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_the_check_refuses_never_becomes_the_file() {
    let mut place = Place::with_farm("what_the_check_refuses");
    let running = place.start(&["db.json", "--check-cmd", CHECK, "-c", "echo $ZK_EVENT >> ran"]);
    place.wait_for_text("ran", "start\n");
    let good = place.scratch.read("db.json").unwrap();
    place.host("1.2.3.4", &json!({"x": "bad"}));
    running.wait_log("the check refused the new contents, the file stays: exit status 1");
    running.wait_log("the check said: looked at 2");
    running.wait_log("the check said: /services/db");
    // An unchanged record is no new data.
    place.host("1.2.3.4", &json!({"x": "bad"}));
    steadily(WHILE, "the file stays", || match place.scratch.read("db.json") {
        Ok(text) if text == good => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(names(&place), ["db.json", "ran", "seen"], "nothing else is left behind");
    place.host("1.2.3.4", &json!({"x": "fine"}));
    place.wait_for("what passes", |file| file["1.2.3.4"]["x"] == json!("fine"));
    place.wait_for_text("ran", "start\nchange\n");
    let log = stop(running);
    assert_eq!(log.matches("the check refused").count(), 1, "{log}");
    assert_eq!(log.matches("the check accepts the new contents again").count(), 1, "{log}");
    let seen = place.scratch.read("seen").unwrap();
    assert_eq!(seen.matches("1.2.3.5").count(), 3, "once for each contents: {seen}");
}

#[test]
fn a_first_file_that_is_refused_starts_nothing() {
    let mut place = Place::with_farm("a_first_file_that_is_refused");
    place.scratch.write("db.json", "{\"old\": {}}");
    place.host("1.2.3.4", &json!({"x": "bad"}));
    let mut running =
        place.tool(&["db.json", "--check-cmd", CHECK, "-c", "echo $ZK_EVENT >> ran"]).spawn();
    running.wait_log("the check refused the new contents, the file stays: exit status 1");
    // To be asked again is the one reason to look at the same contents again.
    running.signal(Signal::SIGHUP);
    running.wait_log_times("the check refused the new contents", 2);
    assert_eq!(place.scratch.read("db.json").unwrap(), "{\"old\": {}}");
    assert!(!place.scratch.join("ran").exists());
    place.host("1.2.3.4", &json!({"x": "fine"}));
    place.wait_for("what passes", |file| file["1.2.3.4"]["x"] == json!("fine"));
    place.wait_for_text("ran", "start\n");
    stop(running);
}

#[test]
fn a_slow_check_holds_up_nobody_and_what_passed_is_installed() {
    let mut place = Place::with_farm("a_slow_check");
    place.tool(&["db.json", "--once"]).run().ok();
    let check = "echo >> runs; grep -q slow $ZK_FILE || exit 0; while [ ! -e go ]; do :; done";
    let running = place.start(&["db.json", "--check-cmd", check]);
    assert!(!place.scratch.join("runs").exists(), "equal bytes are no new file");
    place.host("1.2.3.4", &json!({"x": "slow"}));
    place.wait_for_text("runs", "\n");
    // The session lives on and changes are taken while the check runs.
    for n in 0..10 {
        place.host("1.2.3.5", &json!({"n": n}));
    }
    place.host("1.2.3.4", &json!({"x": "later"}));
    steadily(WHILE, "the old file stays", || match place.json() {
        file if file["1.2.3.4"]["hostname"] == json!("db-01.example.com") => Ok(()),
        file => Err(file),
    });
    place.scratch.write("go", "");
    running.wait_log("the file has changed; file=db.json hosts=2 added=0 removed=0 changed=1");
    place.wait_for("all of it", |file| {
        *file == json!({"1.2.3.4": {"x": "later"}, "1.2.3.5": {"n": 9}})
    });
    assert_eq!(place.scratch.read("runs").unwrap(), "\n\n");
    stop(running);
}

#[test]
fn an_exporter_that_is_stopped_during_a_check_leaves_nothing() {
    let mut place = Place::with_farm("an_exporter_that_is_stopped");
    let running = place.start(&["db.json", "--check-cmd", "! grep slow {} || sleep 100"]);
    place.host("1.2.3.4", &json!({"x": "slow"}));
    eventually("a staged file", || match names(&place) {
        names if names.len() == 2 => Ok(()),
        names => Err(format!("{names:?}")),
    });
    stop(running);
    assert_eq!(names(&place), ["db.json"]);
    assert_eq!(place.json()["1.2.3.4"]["hostname"], json!("db-01.example.com"));
}

#[test]
fn a_check_that_takes_too_long_refuses() {
    let place = Place::with_farm("a_check_that_takes_too_long");
    let args = ["db.json", "--once", "--check-cmd", "sleep 100", "--cmd-timeout", "200ms"];
    let output = place.tool(&args).run();
    output.code(1).stderr_has("the file stays: not done in 200ms; file=db.json\n");
    output.stderr_has("zkexport: the check refused the new contents, db.json stays as it is\n");
    assert_eq!(names(&place), Vec::<String>::new());
    // The time for the whole is up before that of the check.
    let args = ["db.json", "--once", "--check-cmd", "sleep 100", "--timeout", "1s"];
    place.tool(&args).run().code(124);
    assert_eq!(names(&place), Vec::<String>::new());
}

#[test]
fn once_a_check_decides_about_the_exit_code() {
    let place = Place::with_farm("once_a_check_decides");
    let run = |check: &str| place.tool(&["db.json", "--once", "--check-cmd", check]).run();
    run("echo no; false").code(1).stderr_has("the check said: no\n");
    assert!(!place.scratch.join("db.json").exists());
    run("test -s {} && test {} = \"$ZK_FILE\" && test \"$ZK_COUNT\" = 2").ok();
    assert_eq!(place.json().as_object().unwrap().len(), 2);
}

#[test]
fn a_file_name_is_never_a_command() {
    let place = Place::with_farm("a_file_name_is_never");
    let folder = "it's a $(touch pwned) `touch pwned` \"folder\"; touch pwned";
    place.scratch.write(Path::new(folder).join("keep"), "");
    let conf = format!("{folder}/db.json");
    place.tool(&[&conf, "--once", "--check-cmd", "test -s {}"]).run().ok();
    assert!(place.scratch.join(&conf).exists());
    assert!(!place.scratch.join("pwned").exists());
}

#[test]
fn fewer_hosts_than_wanted_leave_the_file_as_it_is() {
    let mut place = Place::with_farm("fewer_hosts_than_wanted");
    let running = place.start(&["db.json", "--min-hosts", "2", "-c", "echo $ZK_COUNT >> ran"]);
    place.remove("1.2.3.4");
    running.wait_log("too few hosts, the file stays as it is; file=db.json hosts=1 min=2");
    place.host("1.2.3.5", &json!({"x": 1}));
    place.remove("1.2.3.5");
    steadily(WHILE, "the file stays", || match place.json() {
        file if file["1.2.3.5"]["hostname"] == json!("db-02.example.com") => Ok(()),
        file => Err(file),
    });
    place.host("a", &json!({}));
    place.host("b", &json!({}));
    place.wait_for("enough hosts", |file| *file == json!({"a": {}, "b": {}}));
    place.wait_for_text("ran", "2\n2\n");
    let log = stop(running);
    assert_eq!(log.matches("too few hosts").count(), 1, "{log}");
    assert_eq!(log.matches("there are enough hosts again").count(), 1, "{log}");
    place.remove("a");
    let output = place.tool(&["db.json", "--once", "--min-hosts", "2"]).run();
    output.code(1).stderr_is("zkexport: 1 hosts, fewer than 2: db.json stays as it is\n");
    assert_eq!(place.json(), json!({"a": {}, "b": {}}));
}

#[test]
fn a_dry_run_tells_what_would_change_and_changes_nothing() {
    let mut place = Place::with_farm("a_dry_run");
    place.host("1.2.3.5", &json!({"x": 1}));
    place.remove("1.2.3.4");
    let dry = |args: &[&str]| place.tool(&[args, &["-n", "-c", "touch ran"]].concat()).run();
    let new = "--- /dev/null\n+++ db.json\n@@ -0,0 +1,5 @@\n+{\n+  \"1.2.3.5\": {\n+    \
               \"x\": 1\n+  }\n+}\n";
    dry(&["db.json"]).code(1).stdout_is(new).stderr_is("");
    assert_eq!(names(&place), Vec::<String>::new());
    place.tool(&["db.json", "--once"]).run().ok();
    dry(&["db.json"]).ok().stdout_is("").stderr_is("");
    place.scratch.write("db.json", "{\n  \"1.2.3.5\": {\n    \"x\": 2\n  }\n}\n");
    let changed = "--- db.json\n+++ db.json\n@@ -1,5 +1,5 @@\n {\n   \"1.2.3.5\": {\n-    \
                   \"x\": 2\n+    \"x\": 1\n   }\n }\n";
    dry(&["db.json", "--check-cmd", "false"]).code(1).stdout_is(changed).stderr_is("");
    assert_eq!(names(&place), ["db.json"], "no command ran either");
    dry(&["db.json", "--min-hosts", "2"]).code(1).stdout_is("").stderr_has("fewer than 2");
    place.tool(&["-H", "127.0.0.1:1", "db.json", "-n", "--timeout", "1s"]).run().code(69);
}

#[test]
fn a_dry_run_shows_a_directory_file_by_file() {
    let mut place = Place::with_farm("a_dry_run_of_a_directory");
    place.host("1.2.3.5", &json!({"x": "1"}));
    place.remove("1.2.3.4");
    let dry = || place.tool(&["-f", "dir", "db", "-n"]).run();
    let new = "--- /dev/null\n+++ db/1.2.3.5/x\n@@ -0,0 +1 @@\n+1\n\
               \\ No newline at end of file\n";
    dry().code(1).stdout_is(new);
    assert!(!place.scratch.join("db").exists());
    place.tool(&["-f", "dir", "db", "--once"]).run().ok();
    dry().ok().stdout_is("");
    fs::rename(place.scratch.join("db/1.2.3.5"), place.scratch.join("db/old")).unwrap();
    let text = dry().code(1).text();
    assert!(text.contains(new) && text.contains("--- db/old/x\n+++ /dev/null\n"), "{text}");
    place.scratch.write("etc/passwd", "root");
    place.tool(&["etc", "-n"]).run().code(78).stdout_is("").stderr_has("hint: --adopt");
    let adopted = place.tool(&["etc", "-n", "--adopt"]).run();
    adopted.code(1).stdout_has("--- etc/passwd\n+++ /dev/null\n");
    assert_eq!(place.scratch.read("etc/passwd").unwrap(), "root");
    assert!(!place.scratch.join("etc/.zkexport").exists());
}
