//! What others can make a tool hold: memory, files, and the time to stop.

#![expect(clippy::unwrap_used, reason = "what a test sets up either works or fails the test")]

mod records;
mod stopping;

use farm_harness::{
    Chroot, Ensemble, Options, Running, Scratch, Signal, Tool, Zk, eventually_within, patience,
};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// As a server accepts it by default, but for the request around it.
const ZNODE_BYTES: usize = 1_000_000;

/// A chroot on a server with room for large znodes, and a directory.
struct Fixture {
    chroot: Chroot<'static>,
    zk: Zk,
    scratch: Scratch,
}

impl Fixture {
    fn new(test: &str) -> Self {
        static SERVER: OnceLock<Ensemble> = OnceLock::new();
        let server =
            SERVER.get_or_init(|| Ensemble::with(&Options { heap_mb: 256, ..Options::default() }));
        let chroot = server.chroot(test);
        let mut zk = chroot.zk();
        zk.create_all("/farm", "").unwrap();
        Self { zk, chroot, scratch: Scratch::new() }
    }

    fn host(&mut self, name: &str, data: &str) {
        let path = format!("/farm/{name}");
        match self.zk.exists(&path).unwrap() {
            Some(_) => drop(self.zk.set(&path, data).unwrap()),
            None => self.zk.create(&path, data).unwrap(),
        }
    }

    fn tool(&self, name: &str, args: &[&str]) -> Tool {
        let tool = Tool::new(name).env("ZKHOST", self.chroot.connect_string());
        tool.cwd(self.scratch.path()).args(args)
    }
}

/// A record with a field for each number.
fn fields(count: usize) -> String {
    let fields: Vec<String> = (0..count).map(|n| format!("\"f{n}\":\"x\"")).collect();
    format!("{{{}}}", fields.join(","))
}

/// A record with a list of as many copies as fit.
fn list_of(item: &str, bytes: usize) -> String {
    format!("{{\"a\":[{}]}}", vec![item; bytes / (item.len() + 1) - 2].join(","))
}

/// How many files and directories are below, hidden ones not counted.
fn count(path: &Path) -> usize {
    let Ok(entries) = fs::read_dir(path) else { return 0 };
    let entries =
        entries.flatten().filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
    entries.map(|entry| 1 + count(&entry.path())).sum()
}

/// Sends TERM, and returns what was logged.
#[track_caller]
fn stop(mut running: Running, code: i32) -> String {
    let asked_at = Instant::now();
    running.signal(Signal::SIGTERM);
    let output = running.wait_exit();
    assert!(asked_at.elapsed() < patience(Duration::from_secs(2)), "took {:?}", asked_at.elapsed());
    output.code(code);
    output.stderr
}

/// As [`Running::wait_log_times`], for work that takes long on a loaded machine.
#[track_caller]
fn wait_log(running: &Running, text: &str, times: usize) {
    eventually_within(Duration::from_secs(60), text, || {
        let log = running.stderr();
        if log.matches(text).count() >= times { Ok(()) } else { Err(log) }
    });
}

#[track_caller]
fn assert_memory(running: &Running, mb_max: u64) {
    let kb = running.memory_peak_kb();
    assert!(kb < mb_max << 10, "{kb} kB");
}
