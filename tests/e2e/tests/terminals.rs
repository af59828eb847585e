//! Foreign text on a terminal is shown, and never acted on. A pipe gets it as it is.

#![expect(clippy::unwrap_used, reason = "the steps that tests share fail as tests do")]

use crate::join::fixture::JoinFixture;
use farm_harness::{Chroot, Ensemble, Scratch, Tool, Zk, die_with_parent};
use nix::fcntl::OFlag;
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use serde_json::json;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::process::Stdio;
use std::thread::{Builder, JoinHandle};

/// It clears the screen, paints it red by a C1 control, goes back to the start of the line, and
/// turns the direction of the text around.
const ACTIVE: &str = "a\u{1b}[2J\u{9b}31m\r\u{202e}b\u{2066}\u{200e}\u{200f}\u{61c}\u{7f}\u{85}c";

/// A name that ZooKeeper accepts, and that looks like another one.
const HOST: &str = "h\u{202e}1-bd";

/// A pseudo-terminal: our end and that of a program.
pub(crate) fn open_terminal() -> (PtyMaster, File) {
    let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let tty = File::options().read(true).write(true).open(ptsname_r(&master).unwrap()).unwrap();
    (master, tty)
}

/// A terminal that passes on all bytes as they are, and what was written to it.
fn collecting_terminal() -> (File, JoinHandle<Vec<u8>>) {
    let (master, tty) = open_terminal();
    let mut settings = tcgetattr(&tty).unwrap();
    cfmakeraw(&mut settings);
    tcsetattr(&tty, SetArg::TCSANOW, &settings).unwrap();
    let mut output = File::from(master.as_fd().try_clone_to_owned().unwrap());
    let read = move || {
        // Until the last process has closed the terminal, which is an error here.
        let (mut all, mut piece) = (Vec::new(), [0; 4096]);
        while let Ok(count @ 1..) = output.read(&mut piece) {
            all.extend(&piece[..count]);
        }
        drop(master);
        all
    };
    (tty, Builder::new().name("screen".to_owned()).spawn(read).unwrap())
}

struct Screens {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    code: Option<i32>,
}

/// Whether a terminal would do something else with this than show it.
fn is_active(text: &str) -> bool {
    let is_active = |c: char| match c {
        '\n' | '\t' | '\0' => false,
        '\u{2028}' | '\u{2029}' | '\u{61c}' | '\u{200e}' | '\u{200f}' => true,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        c => c.is_control(),
    };
    text.contains(is_active)
}

#[track_caller]
fn assert_inert(bytes: &[u8], what: &str) {
    let text = std::str::from_utf8(bytes).map_err(|e| format!("{what}: {e}")).unwrap();
    assert!(!is_active(text), "{what}: {text:?}");
}

struct Fixture {
    scratch: Scratch,
    zk: Zk,
    chroot: Chroot<'static>,
}

impl Fixture {
    /// A farm with a hostile host, one that is malformed, and a contender in a group.
    fn new(test: &str) -> Self {
        let chroot = Ensemble::shared().chroot(test);
        let mut zk = chroot.zk();
        let record = json!({"note": ACTIVE, "b": {ACTIVE: [ACTIVE]}, "lines": "x\n--- y\n\r"});
        zk.create_all("/farm", r#"{"size":3}"#).unwrap();
        zk.create(&format!("/farm/{HOST}"), record.to_string()).unwrap();
        zk.create("/farm/malformed", b"caf\xe9\x1b[31m\x9b").unwrap();
        let info = json!({"host": ACTIVE, "pid": 1, "since": 0, "why": ACTIVE, "n": 1});
        let group = format!("/_zklocking/g{HOST}");
        zk.create_all(&group, "").unwrap();
        zk.create_sequential(&format!("{group}/ex"), info.to_string()).unwrap();
        let member = json!({"state": "failed", "reason": ACTIVE, "waits_for": ACTIVE});
        zk.create_all(&format!("/_zkexec/g/members/{HOST}"), member.to_string()).unwrap();
        let verdict = json!({"verdict": "refused", "by": ACTIVE, "reason": ACTIVE});
        zk.create_all("/_zkexec/g/versions/0123456789ab", verdict.to_string()).unwrap();
        let control = json!({"paused": true, "by": ACTIVE, "why": ACTIVE, "skip": {
            ACTIVE: "0123456789ab"
        }});
        zk.create("/_zkexec/g/control", control.to_string()).unwrap();
        Self { scratch: Scratch::new(), zk, chroot }
    }

    fn host(&self) -> String {
        format!("/farm/{HOST}")
    }

    /// Runs a tool with a terminal for stdout and another one for stderr.
    fn on_terminals(&self, tool: &str, args: &[&str]) -> Screens {
        let ((stdout, out), (stderr, err)) = (collecting_terminal(), collecting_terminal());
        let mut command = die_with_parent(Tool::path_of(tool).as_os_str());
        command.args(args).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env("ZKHOST", self.chroot.connect_string()).current_dir(self.scratch.path());
        let mut child = command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).spawn().unwrap();
        drop(command);
        let (stdout, stderr) = (out.join().unwrap(), err.join().unwrap());
        Screens { stdout, stderr, code: child.wait().unwrap().code() }
    }

    fn in_pipes(&self, tool: &str, args: &[&str]) -> farm_harness::Output {
        let tool = Tool::new(tool).env("ZKHOST", self.chroot.connect_string());
        tool.cwd(self.scratch.path()).args(args).run()
    }

    /// Runs a tool in both ways; both have to end with this code.
    #[track_caller]
    fn assert_inert(&self, tool: &str, args: &[&str], code: i32) {
        let screens = self.on_terminals(tool, args);
        let what = format!("{tool} {args:?}");
        assert_inert(&screens.stdout, &what);
        assert_inert(&screens.stderr, &what);
        let seen = String::from_utf8_lossy(&screens.stderr).into_owned();
        assert_eq!(screens.code, Some(code), "{what}: {seen}");
        let output = self.in_pipes(tool, args);
        output.code(code);
        // Errors and log lines are for people wherever they go.
        assert_inert(output.stderr.as_bytes(), &what);
    }
}

#[test]
fn zkctl_shows_foreign_text_on_a_terminal_and_passes_it_on_in_a_pipe() {
    let fixture = Fixture::new("zkctl_on_a_terminal");
    let host = fixture.host();
    let (path, bad_filter) = (host.as_str(), format!("={ACTIVE}"));
    let mut lines: Vec<(Vec<&str>, i32)> = vec![
        (vec!["ls", "/farm"], 0),
        (vec!["-0", "ls", "/farm"], 0),
        (vec!["ls", "-l", "-R", "/"], 0),
        (vec!["ls", "/farm", "--fields", "note,b,lines"], 0),
        (vec!["ls", "/farm", "--fields", "note,b", "-0"], 0),
        (vec!["ls", "/farm", "-F", "note"], 0),
        (vec!["get", path], 0),
        (vec!["get", path, "note"], 0),
        (vec!["get", path, "note", "-0"], 0),
        (vec!["get", path, "lines"], 0),
        (vec!["get", path, "b"], 0),
        (vec!["get", path, "--raw"], 0),
        (vec!["get", path, "--stat"], 0),
        (vec!["get", "/farm/malformed", "--raw"], 0),
        (vec!["get", "/farm/malformed"], 65),
        (vec!["get", path, ACTIVE], 1),
        (vec!["get", path, "no", "--default", ACTIVE], 0),
        (vec!["get", "/farm/\u{202e}"], 1),
        (vec!["ls", ACTIVE], 2),
        (vec![ACTIVE], 2),
        (vec!["set", path, "note", "x", "-n"], 1),
        (vec!["set", path, "note.x", "y"], 65),
        (vec!["unset", "--strict", path, ACTIVE], 1),
        (vec!["check", "/farm", "-v"], 2),
        (vec!["check", "/farm", "-F", &bad_filter], 3),
        (vec!["check", "/farm", "--json"], 2),
        (vec!["locks"], 0),
        (vec!["locks", ACTIVE], 2),
        (vec!["rollout", "status"], 0),
        (vec!["rollout", "status", "g"], 0),
        (vec!["rollout", "history", "g"], 0),
        (vec!["rollout", "skip", "g", ACTIVE], 1),
        (vec!["rollout", "skip", "g", HOST], 1),
        (vec!["rollout", "wait", "g", "--for", "10s"], 1),
    ];
    for format in ["text", "json", "jsonl", "tsv", "yaml"] {
        for line in [
            vec!["ls", "/farm"],
            vec!["get", path],
            vec!["get", path, "b"],
            vec!["locks"],
            vec!["rollout", "status"],
            vec!["rollout", "status", "g"],
            vec!["rollout", "history", "g"],
        ] {
            lines.push(([line, vec!["-o", format]].concat(), 0));
        }
    }
    for format in ["yaml", "json", "php"] {
        lines.push((vec!["get", path, "-f", format], 0));
    }
    for (args, code) in lines {
        fixture.assert_inert("zkctl", &args, code);
    }
    let in_pipe = |args: &[&str]| fixture.in_pipes("zkctl", args).ok().stdout.clone();
    assert_eq!(in_pipe(&["get", path, "note"]), format!("{ACTIVE}\n").as_bytes());
    assert_eq!(in_pipe(&["get", "/farm/malformed", "--raw"]), b"caf\xe9\x1b[31m\x9b");
    assert_eq!(in_pipe(&["-0", "ls", "/farm"]), format!("{HOST}\0malformed\0").as_bytes());
    assert_eq!(in_pipe(&["ls", "/farm"]), format!("{HOST}\nmalformed\n").as_bytes());
    for format in ["-ojson", "-fjson"] {
        let text = in_pipe(&["get", path, format]);
        let record: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!((&record["note"], &record["b"][ACTIVE][0]), (&json!(ACTIVE), &json!(ACTIVE)));
    }
}

#[test]
fn zkexport_shows_foreign_text_on_a_terminal_and_passes_it_on_in_a_pipe() {
    let fixture = Fixture::new("zkexport_on_a_terminal");
    let file = |name: &str| fixture.scratch.join(name).display().to_string();
    for format in ["json", "yaml", "php"] {
        let name = file(&format!("whole.{format}"));
        fixture.in_pipes("zkexport", &["--once", "/farm", &name]).ok();
        let args = ["-f", format, "/farm", "-"];
        fixture.assert_inert("zkexport", &args, 0);
        let whole = std::fs::read(&name).unwrap();
        assert_eq!(fixture.in_pipes("zkexport", &args).stdout, whole, "{format}");
        // All is new, and a part is new.
        fixture.assert_inert("zkexport", &["-n", "/farm", &file(&format!("new.{format}"))], 1);
        let old = String::from_utf8(whole).unwrap().replace("lines", "older");
        fixture.scratch.write(format!("whole.{format}"), old);
        fixture.assert_inert("zkexport", &["-n", "/farm", &name], 1);
    }
    fixture.in_pipes("zkexport", &["--once", "-f", "dir", "/farm", &file("dir")]).ok();
    fixture.assert_inert("zkexport", &["-n", "-f", "dir", "/farm", &file("new")], 1);
    let note = format!("dir/{HOST}/note");
    fixture.scratch.write(&note, "\u{1b}old\r");
    fixture.assert_inert("zkexport", &["-n", "-f", "dir", "/farm", &file("dir")], 1);
    let output = fixture.in_pipes("zkexport", &["-n", "-f", "dir", "/farm", "dir"]);
    // The lines of the two values, which both end in no line end, and nothing between them.
    let gone = "-\u{1b}old\r\n\\ No newline at end of file\n";
    let new = format!("+{ACTIVE}\n\\ No newline at end of file\n");
    output.code(1).stdout_has(&format!("\n@@ -1 +1 @@\n{gone}{new}"));
    assert_eq!(output.text().matches("\n@@ ").count(), 1, "{output}");
    fixture.assert_inert("zkexport", &["--once", "/farm\u{202e}", "x.json"], 1);
}

#[test]
fn log_lines_have_nothing_that_a_terminal_acts_on() {
    let mut fixture = Fixture::new("log_lines_on_a_terminal");
    let servers = fixture.chroot.connect_string();
    let malformed = format!("/farm/{HOST}2");
    fixture.zk.create(&malformed, format!("{{\"{ACTIVE}")).unwrap();
    let command = "printf '\\033[31m\\302\\233m\\342\\200\\256\\n'; exit 1";
    let tool = Tool::new("zkexport").env("ZKHOST", &servers).cwd(fixture.scratch.path());
    let exporter = tool.args(["/farm", "farm.json", "-c", command]).spawn();
    exporter.wait_log("a host can't be read");
    exporter.wait_log("command said: ");

    fixture.zk.create_all("/conf/.x\u{202e}", ACTIVE).unwrap();
    let tool = Tool::new("zkexec").env("ZKHOST", &servers).cwd(fixture.scratch.path());
    let exec = tool.args(["-m", "tree/=/conf/", "-e", "sleep 999"]).spawn();
    exec.wait_log("a znode is left out");

    let mut join = JoinFixture::new("conflicts_on_a_terminal");
    join.zk.create_all("/farm/common", json!({"note": ACTIVE}).to_string()).unwrap();
    join.scratch.write("conf.json", json!({"note": format!("{ACTIVE}x")}).to_string());
    let tool = Tool::new("zkjoin").args(["-H", &join.servers(), "--common", "/farm"]);
    let joined = tool.arg(join.scratch.join("conf.json")).spawn();
    joined.wait_log("the remote value stands");
    joined.wait_log("wrote the config");
    join.scratch.write("conf.json", format!("{{\"{ACTIVE}"));
    joined.wait_log("the config is left alone");
    for running in [exporter, exec, joined] {
        assert_inert(running.stderr().as_bytes(), "the log");
    }
}
