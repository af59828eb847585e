//! The tutorial of zkexec, with the scripts on its page.

#![expect(clippy::unwrap_used, reason = "the steps that tests share fail as tests do")]

use farm_harness::{Chroot, Ensemble, Running, Scratch, Signal, Tool, eventually};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const PAGE: &str = include_str!("../../../docs/zkexec.md");
const PREFIXED_CAT: &str = "prefixed-cat";

/// A directory with the scripts of the page, and a chroot.
struct TutorialFixture {
    scratch: Scratch,
    chroot: Chroot<'static>,
}

impl TutorialFixture {
    fn new(test: &str) -> Self {
        let chroot = Ensemble::shared().chroot(test);
        let scratch = Scratch::new();
        let script = scratch.write(PREFIXED_CAT, script(PREFIXED_CAT));
        fs::set_permissions(script, Permissions::from_mode(0o755)).unwrap();
        Self { scratch, chroot }
    }

    fn zkexec(&self, args: &[&str]) -> Tool {
        let tool = Tool::new("zkexec").cwd(self.scratch.path());
        tool.args(["--cluster", &self.chroot.connect_string()]).args(args)
    }

    /// Runs a command line of the page, which prints nothing.
    #[track_caller]
    fn line(&self, line: &str) {
        assert!(PAGE.contains(&format!("$ {line}\n")), "the page has no {line}");
        self.shell(line);
    }

    /// Stores the prefix as the page does.
    #[track_caller]
    fn put(&self, text: &str) {
        self.shell(&format!("printf {text} | zkctl put --create /prefix"));
    }

    #[track_caller]
    fn shell(&self, line: &str) {
        let tools = Tool::path_of("zkctl");
        let tools = tools.parent().unwrap_or(Path::new("."));
        let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap_or_default());
        let shell = Tool::program("sh").args(["-c", line]).env("PATH", path);
        let output = shell.env("ZKHOST", self.chroot.connect_string()).run();
        output.ok().stdout_is("").stderr_is("");
    }

    #[track_caller]
    fn wait_file(&self, name: &str, wanted: &str) {
        eventually(&format!("{name} contains {wanted:?}"), || {
            let found = self.scratch.read(name)?;
            if found == wanted { Ok(()) } else { Err(found) }
        });
    }

    /// A member of a group. Its command exits with 3 if the prefix contains `bad`. It is healthy
    /// when it has read its file and the file `NAME.well` exists.
    fn member(&self, name: &str, more: &[&str]) -> Running {
        let exec = format!(
            "case $(cat {name}.conf) in *bad*) exit 3;; esac; cp {name}.conf {name}.runs; \
             exec sleep 600"
        );
        let mirror = format!("{name}.conf=/prefix");
        let health = format!("test -e {name}.well && cmp -s {name}.conf {name}.runs");
        let args = ["-e", &exec, "-m", &mirror, "-l", "foo", "-H", &health];
        let member = self.zkexec(&args).args(["-i", "0.05", "-d", "60"]).args(more).spawn();
        member.wait_log("forked ");
        member
    }

    /// The contenders in their order: whether each holds the lock, and its pid.
    fn queue(&self) -> Result<Vec<(bool, u32)>, String> {
        let servers = self.chroot.connect_string();
        let output = Tool::new("zkctl").args(["-H", &servers, "locks", "foo", "--json"]).run();
        let found: serde_json::Value =
            serde_json::from_str(&output.text()).map_err(|e| format!("{e}: {output}"))?;
        let entry = |entry: &serde_json::Value| {
            let pid = entry["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
            (entry["state"] == "holds", pid.unwrap_or_default())
        };
        Ok(found.as_array().into_iter().flatten().map(entry).collect())
    }

    /// Waits until there are `length` contenders and one of them holds the lock.
    #[track_caller]
    fn wait_queue(&self, length: usize) -> u32 {
        eventually(&format!("{length} contenders"), || {
            let queue = self.queue()?;
            let holders = queue.iter().filter(|(holds, _)| *holds).count();
            if (queue.len(), holders) == (length, 1) {
                Ok(queue[0].1)
            } else {
                Err(format!("{queue:?}"))
            }
        })
    }
}

/// The script that the page shows after `$ cat NAME`.
fn script(name: &str) -> String {
    let (_, rest) = PAGE.split_once(&format!("$ cat {name}\n")).expect("a script on the page");
    rest.split("```").next().unwrap_or_default().to_owned()
}

/// Makes a fifo that stands for the keyboard.
fn keyboard(path: &Path) -> File {
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    // Open for reading too, so that opening does not block.
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

#[test]
fn a_wrapped_command_is_the_command() {
    let fixture = TutorialFixture::new("a_wrapped_command");
    fixture.scratch.write("prefix", "hello");
    let wrapped = fixture.zkexec(&["--silent", "--exec", "./prefixed-cat prefix"]);
    let output = wrapped.stdin("world\n").run();
    output.ok().stdout_is("hello world\n").stderr_is("");
}

#[test]
fn it_ends_as_the_command_does() {
    let fixture = TutorialFixture::new("it_ends_as_the_command_does");
    let output = fixture.zkexec(&["--exec", "false"]).run();
    output.code(1);
    for text in ["connecting to ", "forking false", "forked ", "command failed"] {
        output.stderr_has(text);
    }
    for (command, code) in [("exit 3", 3), ("kill -9 $$", 137), ("kill -15 $$", 143), ("true", 0)] {
        fixture.zkexec(&["--silent", "--exec", command]).run().code(code).stderr_is("");
    }
    fixture.zkexec(&["--", "./nothing-of-that-name"]).run().code(127);
    fixture.zkexec(&["--", "/etc/passwd"]).run().code(126);
}

#[test]
fn a_znode_that_is_missing_at_the_start_is_named() {
    let fixture = TutorialFixture::new("a_znode_that_is_missing");
    let output = fixture.zkexec(&["--exec", "echo ran", "--mirror", "prefix=/prefix"]).run();
    output.code(1).stdout_is("").stderr_has("no such znode: /prefix");
    let optional = ["--exec", "echo ran", "--mirror", "prefix=/prefix,optional"];
    fixture.zkexec(&optional).run().ok().stdout_is("ran\n");
}

#[test]
fn what_is_typed_after_a_change_meets_the_new_prefix() {
    let fixture = TutorialFixture::new("what_is_typed");
    fixture.line("printf hello | zkctl put --create /prefix");
    let path = fixture.scratch.join("keyboard");
    let mut keyboard = keyboard(&path);
    let line = "exec \"$0\" --silent --cluster \"$1\" --exec './prefixed-cat prefix' \
                --mirror prefix=/prefix < keyboard";
    let zkexec = Tool::path_of("zkexec");
    let servers = fixture.chroot.connect_string();
    let running = Tool::program("sh")
        .args(["-c", line])
        .args([zkexec.as_os_str(), servers.as_ref()])
        .cwd(fixture.scratch.path())
        .spawn();
    fixture.wait_file("prefix", "hello");
    keyboard.write_all(b"world\n").unwrap();
    running.wait_stdout("hello world\n");
    fixture.line("printf goodbye | zkctl put /prefix");
    fixture.wait_file("prefix", "goodbye");
    // Both the old and the new child may read a line.
    eventually("the new prefix", || {
        keyboard.write_all(b"world\n").unwrap();
        let found = running.stdout();
        if found.ends_with("goodbye world\n") { Ok(()) } else { Err(found) }
    });
}

#[test]
fn who_waits_for_its_turn_has_the_old_file_and_the_old_command() {
    let fixture = TutorialFixture::new("who_waits");
    fixture.put("one");
    let names = ["a", "b"];
    let members = names.map(|name| fixture.member(name, &[]));
    fixture.put("two");
    let first = fixture.wait_queue(2);
    let at = members.iter().position(|member| member.pid() == first).unwrap();
    let other = 1 - at;
    members[at].wait_log_times("forked ", 2);
    fixture.wait_file(&format!("{}.conf", names[at]), "two");
    assert_eq!(fixture.scratch.read(format!("{}.conf", names[other])).unwrap(), "one");
    assert_eq!(members[other].stderr().matches("forked ").count(), 1);
    fixture.scratch.write(format!("{}.well", names[at]), "");
    members[at].wait_log("released the lock");
    fixture.wait_file(&format!("{}.conf", names[other]), "two");
    members[other].wait_log_times("forked ", 2);
}

#[test]
fn bad_content_stops_at_the_first_and_good_content_reaches_all() {
    let fixture = TutorialFixture::new("bad_content");
    fixture.put("one");
    let names = ["a", "b", "c"];
    let alert = ["-a", "echo \"$ZKEXEC_EVENT $ZKEXEC_STATUS\" >> alerts"];
    let members = names.map(|name| {
        fixture.scratch.write(format!("{name}.well"), "");
        fixture.member(name, &alert)
    });
    fixture.put("bad");
    let at = eventually("one has failed", || {
        members.iter().position(|one| one.stderr().contains("config failure")).ok_or("none")
    });
    let first = members[at].pid();
    fixture.wait_file("alerts", "config 3\n");
    for (name, _) in names.iter().zip(&members).filter(|(_, member)| member.pid() != first) {
        assert_eq!(fixture.scratch.read(format!("{name}.conf")).unwrap(), "one");
    }
    // The others do not wait for content that the group has refused.
    assert_eq!(fixture.wait_queue(1), first);
    fixture.put("two");
    for (name, member) in names.iter().zip(&members) {
        fixture.wait_file(&format!("{name}.conf"), "two");
        member.wait_log("released the lock");
    }
    assert_eq!(fixture.scratch.read("alerts").unwrap(), "config 3\n");
}

#[test]
fn with_rollback_the_member_is_back_on_the_old_files() {
    let fixture = TutorialFixture::new("with_rollback");
    fixture.put("one");
    fixture.scratch.write("a.well", "");
    let member = fixture.member("a", &["--on-failed-restart", "rollback"]);
    fixture.put("bad");
    member.wait_log("config failure");
    fixture.wait_file("a.conf", "one");
    member.wait_log_times("forked ", 3);
    assert_eq!(fixture.wait_queue(1), member.pid());
}

#[test]
fn nothing_that_the_command_has_started_outlives_a_stop() {
    let fixture = TutorialFixture::new("nothing_outlives");
    // An orphaned daemon in its own session that ignores TERM.
    let deaf = "(setsid sh -c 'trap \"\" TERM; echo $$ > deaf; while :; do sleep 600; done' &)";
    let exec = format!("{deaf}; while ! test -s deaf; do :; done; echo up; exec sleep 600");
    let mut running = fixture.zkexec(&["--exec", &exec, "--kill-timeout", "0.3"]).spawn();
    running.wait_stdout("up\n");
    let deaf = fixture.scratch.read("deaf").unwrap();
    let deaf = format!("/proc/{}", deaf.trim());
    assert!(Path::new(&deaf).exists());
    running.signal(Signal::SIGTERM);
    running.wait_exit().code(143);
    assert!(!Path::new(&deaf).exists());
}
