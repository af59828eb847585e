//! Why new contents are not written: the check refuses them, too few hosts, a dry run.

use super::*;

/// Appends the new contents to `seen`, and refuses contents with `bad`.
const CHECK: &str = "cat {} >> seen; echo looked at $ZK_COUNT; echo $ZK_PATH; ! grep -q bad {}";

#[track_caller]
fn names(fixture: &ExportFixture) -> Vec<String> {
    let entries = fs::read_dir(fixture.scratch.path()).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_the_check_refuses_never_becomes_the_file() {
    let mut fixture = ExportFixture::with_farm("what_the_check_refuses");
    let running = fixture.start(&["db.json", "--check-cmd", CHECK, "-c", "echo $ZK_EVENT >> ran"]);
    fixture.wait_for_text("ran", "start\n");
    let good = fixture.scratch.read("db.json").unwrap();
    fixture.host("1.2.3.4", &json!({"x": "bad"}));
    running.wait_log("the check refused the new contents, the file stays: exit status 1");
    running.wait_log("the check said: looked at 2");
    running.wait_log("the check said: /services/db");
    // The same record again is not checked again.
    fixture.host("1.2.3.4", &json!({"x": "bad"}));
    holds_for(QUIET_TIME, "the file stays", || match fixture.scratch.read("db.json") {
        Ok(text) if text == good => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(names(&fixture), ["db.json", "ran", "seen"], "nothing else is left behind");
    fixture.host("1.2.3.4", &json!({"x": "fine"}));
    fixture.wait_for("what passes", |file| file["1.2.3.4"]["x"] == json!("fine"));
    fixture.wait_for_text("ran", "start\nchange\n");
    let log = stop(running);
    assert_eq!(log.matches("the check refused").count(), 1, "{log}");
    assert_eq!(log.matches("the check accepts the new contents again").count(), 1, "{log}");
    let seen = fixture.scratch.read("seen").unwrap();
    assert_eq!(seen.matches("1.2.3.5").count(), 3, "once for each contents: {seen}");
}

#[test]
fn a_first_file_that_is_refused_starts_nothing() {
    let mut fixture = ExportFixture::with_farm("a_first_file_that_is_refused");
    fixture.scratch.write("db.json", "{\"old\": {}}");
    fixture.host("1.2.3.4", &json!({"x": "bad"}));
    let mut running =
        fixture.tool(&["db.json", "--check-cmd", CHECK, "-c", "echo $ZK_EVENT >> ran"]).spawn();
    running.wait_log("the check refused the new contents, the file stays: exit status 1");
    // Only HUP makes zkexport check the same contents again.
    running.signal(Signal::SIGHUP);
    running.wait_log_times("the check refused the new contents", 2);
    assert_eq!(fixture.scratch.read("db.json").unwrap(), "{\"old\": {}}");
    assert!(!fixture.scratch.join("ran").exists());
    fixture.host("1.2.3.4", &json!({"x": "fine"}));
    fixture.wait_for("what passes", |file| file["1.2.3.4"]["x"] == json!("fine"));
    fixture.wait_for_text("ran", "start\n");
    stop(running);
}

#[test]
fn a_slow_check_holds_up_nobody_and_what_passed_is_installed() {
    let mut fixture = ExportFixture::with_farm("a_slow_check");
    fixture.tool(&["db.json", "--once"]).run().ok();
    let check = "echo >> runs; grep -q slow $ZK_FILE || exit 0; while [ ! -e go ]; do :; done";
    let running = fixture.start(&["db.json", "--check-cmd", check]);
    assert!(!fixture.scratch.join("runs").exists(), "equal bytes are no new file");
    fixture.host("1.2.3.4", &json!({"x": "slow"}));
    fixture.wait_for_text("runs", "\n");
    // While the check runs, the session lives on and changes are read.
    for n in 0..10 {
        fixture.host("1.2.3.5", &json!({"n": n}));
    }
    fixture.host("1.2.3.4", &json!({"x": "later"}));
    holds_for(QUIET_TIME, "the old file stays", || match fixture.json() {
        file if file["1.2.3.4"]["hostname"] == json!("db-01.example.com") => Ok(()),
        file => Err(file),
    });
    fixture.scratch.write("go", "");
    running.wait_log("the file has changed; file=db.json hosts=2 added=0 removed=0 changed=1");
    fixture.wait_for("all of it", |file| {
        *file == json!({"1.2.3.4": {"x": "later"}, "1.2.3.5": {"n": 9}})
    });
    assert_eq!(fixture.scratch.read("runs").unwrap(), "\n\n");
    stop(running);
}

#[test]
fn an_exporter_that_is_stopped_during_a_check_leaves_nothing() {
    let mut fixture = ExportFixture::with_farm("an_exporter_that_is_stopped");
    let running = fixture.start(&["db.json", "--check-cmd", "! grep slow {} || sleep 100"]);
    fixture.host("1.2.3.4", &json!({"x": "slow"}));
    eventually("a staged file", || match names(&fixture) {
        names if names.iter().any(|name| name.ends_with(".new")) => Ok(()),
        names => Err(format!("{names:?}")),
    });
    stop(running);
    assert_eq!(names(&fixture), ["db.json"]);
    assert_eq!(fixture.json()["1.2.3.4"]["hostname"], json!("db-01.example.com"));
}

#[test]
fn a_check_that_takes_too_long_refuses() {
    let fixture = ExportFixture::with_farm("a_check_that_takes_too_long");
    let args = ["db.json", "--once", "--check-cmd", "sleep 100", "--cmd-timeout", "200ms"];
    let output = fixture.tool(&args).run();
    output.code(1).stderr_has("the file stays: not done in 200ms; file=db.json\n");
    output.stderr_has("zkexport: the check refused the new contents, db.json stays as it is\n");
    assert_eq!(names(&fixture), Vec::<String>::new());
    // `--timeout` ends before the timeout of the check.
    let args = ["db.json", "--once", "--check-cmd", "sleep 100", "--timeout", "1s"];
    fixture.tool(&args).run().code(124);
    assert_eq!(names(&fixture), Vec::<String>::new());
}

#[test]
fn once_a_check_decides_about_the_exit_code() {
    let fixture = ExportFixture::with_farm("once_a_check_decides");
    let run = |check: &str| fixture.tool(&["db.json", "--once", "--check-cmd", check]).run();
    run("echo no; false").code(1).stderr_has("the check said: no\n");
    assert!(!fixture.scratch.join("db.json").exists());
    run("test -s {} && test {} = \"$ZK_FILE\" && test \"$ZK_COUNT\" = 2").ok();
    assert_eq!(fixture.json().as_object().unwrap().len(), 2);
}

#[test]
fn a_file_name_is_never_a_command() {
    let fixture = ExportFixture::with_farm("a_file_name_is_never");
    let folder = "it's a $(touch pwned) `touch pwned` \"folder\"; touch pwned";
    fixture.scratch.write(Path::new(folder).join("keep"), "");
    let conf = format!("{folder}/db.json");
    fixture.tool(&[&conf, "--once", "--check-cmd", "test -s {}"]).run().ok();
    assert!(fixture.scratch.join(&conf).exists());
    assert!(!fixture.scratch.join("pwned").exists());
}

#[test]
fn fewer_hosts_than_wanted_leave_the_file_as_it_is() {
    let mut fixture = ExportFixture::with_farm("fewer_hosts_than_wanted");
    let running = fixture.start(&["db.json", "--min-hosts", "2", "-c", "echo $ZK_COUNT >> ran"]);
    fixture.remove("1.2.3.4");
    running.wait_log("too few hosts, the file stays as it is; file=db.json hosts=1 min=2");
    fixture.host("1.2.3.5", &json!({"x": 1}));
    fixture.remove("1.2.3.5");
    holds_for(QUIET_TIME, "the file stays", || match fixture.json() {
        file if file["1.2.3.5"]["hostname"] == json!("db-02.example.com") => Ok(()),
        file => Err(file),
    });
    fixture.host("a", &json!({}));
    fixture.host("b", &json!({}));
    fixture.wait_for("enough hosts", |file| *file == json!({"a": {}, "b": {}}));
    fixture.wait_for_text("ran", "2\n2\n");
    let log = stop(running);
    assert_eq!(log.matches("too few hosts").count(), 1, "{log}");
    assert_eq!(log.matches("there are enough hosts again").count(), 1, "{log}");
    fixture.remove("a");
    let output = fixture.tool(&["db.json", "--once", "--min-hosts", "2"]).run();
    output.code(1).stderr_is("zkexport: 1 hosts, fewer than 2: db.json stays as it is\n");
    assert_eq!(fixture.json(), json!({"a": {}, "b": {}}));
}

#[test]
fn a_dry_run_tells_what_would_change_and_changes_nothing() {
    let mut fixture = ExportFixture::with_farm("a_dry_run");
    fixture.host("1.2.3.5", &json!({"x": 1}));
    fixture.remove("1.2.3.4");
    let dry = |args: &[&str]| fixture.tool(&[args, &["-n", "-c", "touch ran"]].concat()).run();
    let new = "--- /dev/null\n+++ db.json\n@@ -0,0 +1,5 @@\n+{\n+  \"1.2.3.5\": {\n+    \
               \"x\": 1\n+  }\n+}\n";
    dry(&["db.json"]).code(1).stdout_is(new).stderr_is("");
    assert_eq!(names(&fixture), Vec::<String>::new());
    fixture.tool(&["db.json", "--once"]).run().ok();
    dry(&["db.json"]).ok().stdout_is("").stderr_is("");
    fixture.scratch.write("db.json", "{\n  \"1.2.3.5\": {\n    \"x\": 2\n  }\n}\n");
    let changed = "--- db.json\n+++ db.json\n@@ -1,5 +1,5 @@\n {\n   \"1.2.3.5\": {\n-    \
                   \"x\": 2\n+    \"x\": 1\n   }\n }\n";
    dry(&["db.json", "--check-cmd", "false"]).code(1).stdout_is(changed).stderr_is("");
    assert_eq!(names(&fixture), ["db.json"], "no command ran either");
    dry(&["db.json", "--min-hosts", "2"]).code(1).stdout_is("").stderr_has("fewer than 2");
    fixture.tool(&["-H", "127.0.0.1:1", "db.json", "-n", "--timeout", "1s"]).run().code(69);
}

#[test]
fn a_dry_run_shows_a_directory_file_by_file() {
    let mut fixture = ExportFixture::with_farm("a_dry_run_of_a_directory");
    fixture.host("1.2.3.5", &json!({"x": "1"}));
    fixture.remove("1.2.3.4");
    let dry = || fixture.tool(&["-f", "dir", "db", "-n"]).run();
    let new = "--- /dev/null\n+++ db/1.2.3.5/x\n@@ -0,0 +1 @@\n+1\n\
               \\ No newline at end of file\n";
    dry().code(1).stdout_is(new);
    assert!(!fixture.scratch.join("db").exists());
    fixture.tool(&["-f", "dir", "db", "--once"]).run().ok();
    dry().ok().stdout_is("");
    fs::rename(fixture.scratch.join("db/1.2.3.5"), fixture.scratch.join("db/old")).unwrap();
    let text = dry().code(1).text();
    assert!(text.contains(new) && text.contains("--- db/old/x\n+++ /dev/null\n"), "{text}");
    fixture.scratch.write("etc/passwd", "root");
    fixture.tool(&["etc", "-n"]).run().code(78).stdout_is("").stderr_has("hint: --adopt");
    let adopted = fixture.tool(&["etc", "-n", "--adopt"]).run();
    adopted.code(1).stdout_has("--- etc/passwd\n+++ /dev/null\n");
    assert_eq!(fixture.scratch.read("etc/passwd").unwrap(), "root");
    assert!(!fixture.scratch.join("etc/.zkexport").exists());
}
