//! A stderr that nobody reads: the tools work on, and end when they are asked to.

use farm_harness::{Ensemble, Running, Scratch, Signal, Tool, Zk, eventually, patience};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// A pipe with a reader that reads only when it is told to.
pub(super) struct UnreadPipe {
    path: PathBuf,
    reader: File,
}

impl UnreadPipe {
    pub(super) fn new(scratch: &Scratch) -> Self {
        let path = scratch.join("stderr");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let reader = Self::open(&path, OpenOptions::new().read(true));
        Self { path, reader }
    }

    fn full(scratch: &Scratch) -> Self {
        let pipe = Self::new(scratch);
        pipe.fill();
        pipe
    }

    fn open(path: &PathBuf, options: &mut OpenOptions) -> File {
        options.custom_flags(OFlag::O_NONBLOCK.bits()).open(path).unwrap()
    }

    /// Fills it with dots.
    pub(super) fn fill(&self) {
        let writer = Self::open(&self.path, OpenOptions::new().write(true));
        while nix::unistd::write(&writer, b".").is_ok() {}
        assert_eq!(nix::unistd::write(&writer, b"."), Err(Errno::EAGAIN));
    }

    /// Starts a tool that has this as its stderr.
    fn start(&self, tool: &str, args: &[&str]) -> Running {
        self.tool(tool).args(args).spawn()
    }

    /// A tool that has this as its stderr.
    pub(super) fn tool(&self, name: &str) -> Tool {
        let line = "exec \"$@\" 2>\"$STDERR\"";
        let shell = Tool::program("sh").args(["-c", line, "sh"]);
        shell.arg(Tool::path_of(name)).env("STDERR", &self.path)
    }

    /// Reads all that is there.
    pub(super) fn drain(&self) {
        let mut bytes = [0; 4096];
        while nix::unistd::read(&self.reader, &mut bytes).is_ok_and(|count| count > 0) {}
    }

    /// Reads until the text was there.
    fn read_until(&self, text: &str) {
        fcntl(&self.reader, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
        let (mut seen, mut bytes) = (String::new(), [0; 4096]);
        while !seen.contains(text) {
            let count = nix::unistd::read(&self.reader, &mut bytes).unwrap();
            assert!(count > 0, "the end, without {text:?}: {seen}");
            seen += &String::from_utf8_lossy(&bytes[..count]);
        }
    }
}

fn ends_on_term(running: &mut Running, code: i32) {
    let asked = Instant::now();
    running.signal(Signal::SIGTERM);
    let output = running.wait_exit();
    output.code(code);
    assert!(asked.elapsed() < patience(Duration::from_secs(2)), "{output}");
}

fn wait_znode(zk: &mut Zk, path: &str, text: &str) {
    eventually("the znode has the edit", || match zk.get(path) {
        Ok(znode) if znode.text().contains(text) => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

fn wait_file(path: &PathBuf, text: &str) {
    eventually("the file has the change", || match fs::read_to_string(path) {
        Ok(found) if found.contains(text) => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

#[test]
fn zkjoin_works_on_while_nobody_reads_its_log() {
    for level in [&[][..], &["-q"]] {
        let chroot = Ensemble::shared().chroot("zkjoin_unread_log");
        let (scratch, mut zk) = (Scratch::new(), chroot.zk());
        let (pipe, conf) = (UnreadPipe::full(&scratch), scratch.join("conf.json"));
        let (servers, file) = (chroot.connect_string(), conf.display().to_string());
        let args = ["-H", &servers, "--name", "h", "/farm", &file];
        let mut running = pipe.start("zkjoin", &[&args, level].concat());
        wait_znode(&mut zk, "/farm/h", "hostname");
        for edit in 0..20 {
            // A malformed config is a warning, whatever -q says.
            scratch.write("conf.json", "{");
            scratch.write("conf.json", format!("{{\"edit\":{edit}}}"));
            wait_znode(&mut zk, "/farm/h", &format!("\"edit\":{edit}"));
        }
        zk.set("/farm/h", r#"{"edit":"remote"}"#).unwrap();
        wait_file(&conf, "remote");
        if level.is_empty() {
            pipe.read_until("joined; ");
        }
        ends_on_term(&mut running, 0);
    }
}

#[test]
fn zkexport_works_on_while_nobody_reads_its_log() {
    for level in [&[][..], &["-q"]] {
        let chroot = Ensemble::shared().chroot("zkexport_unread_log");
        let (scratch, mut zk) = (Scratch::new(), chroot.zk());
        zk.create_all("/farm/h", "{}").unwrap();
        let (pipe, target) = (UnreadPipe::full(&scratch), scratch.join("hosts.json"));
        let (servers, file) = (chroot.connect_string(), target.display().to_string());
        // A command that fails is a warning, whatever -q says.
        let args = ["-H", &servers, "-c", "echo no; false", "/farm", &file];
        let mut running = pipe.start("zkexport", &[&args, level].concat());
        for edit in 0..20 {
            zk.set("/farm/h", format!("{{\"edit\":{edit}}}")).unwrap();
            wait_file(&target, &format!("\"edit\": {edit}"));
        }
        ends_on_term(&mut running, 0);
    }
}

#[test]
fn zkexec_works_on_while_nobody_reads_its_log() {
    for level in [&[][..], &["-s"]] {
        let chroot = Ensemble::shared().chroot("zkexec_unread_log");
        let (scratch, mut zk) = (Scratch::new(), chroot.zk());
        zk.create("/app", "0").unwrap();
        let (pipe, seen) = (UnreadPipe::full(&scratch), scratch.join("seen"));
        let servers = chroot.connect_string();
        let mirror = format!("{}=/app", scratch.join("app.conf").display());
        let child = format!(
            "cat {} > {}; exec sleep 999",
            scratch.join("app.conf").display(),
            seen.display()
        );
        let args = ["-c", &servers, "-w", "0", "-m", &mirror, "-l", "g", "-H", "echo no; false"];
        let args = [&args, level, &["--health-delay", "0", "-e", &child]].concat();
        let mut running = pipe.start("zkexec", &args);
        wait_file(&seen, "0");
        for edit in 1..10 {
            zk.set("/app", format!("{edit}")).unwrap();
            wait_file(&seen, &edit.to_string());
        }
        ends_on_term(&mut running, 143);
    }
}

#[test]
fn an_error_that_nobody_reads_ends_a_tool_all_the_same() {
    let scratch = Scratch::new();
    let pipe = UnreadPipe::full(&scratch);
    for (tool, args) in [
        ("zkjoin", &["--acl", "creator", "/farm", "c.json"][..]),
        ("zkexport", &["--once", "--timeout", "1s", "-H", "127.0.0.1:1", "/farm", "c.json"]),
        ("zkctl", &["--timeout", "1s", "-H", "127.0.0.1:1", "-v", "ls", "/farm"]),
    ] {
        let asked = Instant::now();
        let output = pipe.start(tool, args).wait_exit();
        assert!(output.code.is_some_and(|code| code > 60), "{output}");
        assert!(asked.elapsed() < patience(Duration::from_secs(4)), "{output}");
    }
}
