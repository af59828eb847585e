//! Users who may have hardly any processes. The limit counts threads, and does not bind root.

use farm_harness::{
    Chroot, Ensemble, FaultProxy, Output, Running, Scratch, Signal, Tool, eventually,
    eventually_within, holds_for, patience,
};
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

/// More than any tool needs.
const PLENTY: u32 = 1000;
const LIMITS: std::ops::RangeInclusive<u32> = 1..=26;
/// A child that appends what it runs on to `starts`.
const RECORDING_CHILD: &str = "cat conf >> starts; echo >> starts; exec sleep 1000";
const NO_PROCESS: &str = "Resource temporarily unavailable";
const NO_THREAD: &str = "cannot open a session: Resource temporarily unavailable";

/// A directory in which one user runs the tools.
struct User {
    id: u32,
    scratch: Scratch,
    chroot: Chroot<'static>,
}

impl User {
    /// `None` if this process may not run anything as another user. The id is that of no other
    /// test: the limit is about all processes of a user.
    fn new(test: &str, number: u32) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            std::io::stderr().write_all(b"not run by root: not tested\n").unwrap();
            return None;
        }
        let id = 100_000 + std::process::id() * 16 + number;
        let scratch = Scratch::new();
        fs::set_permissions(scratch.path(), Permissions::from_mode(0o777)).unwrap();
        let chroot = Ensemble::shared().chroot(test);
        let mut zk = chroot.zk();
        zk.create_all("/farm/a", "{}").unwrap();
        zk.create("/conf", "v1").unwrap();
        Some(Self { id, scratch, chroot })
    }

    /// A tool that may have that many threads; the limit can be raised.
    fn tool(&self, name: &str, threads: u32) -> Tool {
        let program = self.scratch.join(name);
        if !program.exists() {
            self.scratch.program(&Tool::path_of(name), name);
        }
        Tool::program("prlimit")
            .args([format!("--nproc={threads}:{PLENTY}"), "setpriv".to_owned()])
            .args(self.identity())
            .arg(program)
            .cwd(self.scratch.path())
            .env("ZKHOST", self.chroot.connect_string())
            .env("ZK_SESSION_TIMEOUT", "4s")
    }

    fn identity(&self) -> [String; 5] {
        let id = self.id.to_string();
        ["--reuid", &id, "--regid", &id, "--clear-groups"].map(str::to_owned)
    }

    /// Runs a daemon under every limit. It has to work, to end with an error or to say that it
    /// tries again, and to end on TERM. With the last limit it has to work.
    #[track_caller]
    fn try_limits(
        &self,
        name: &str,
        args: impl Fn(u32) -> Vec<String>,
        works: impl Fn(&Running, u32) -> bool,
    ) {
        for threads in LIMITS {
            let mut running = self.tool(name, threads).args(args(threads)).spawn();
            let what = format!("{name} with {threads} threads");
            let has_worked = eventually(&what, || match works(&running, threads) {
                true => Ok(true),
                false if !running.is_running() => Ok(false),
                false if is_retrying(&running.stderr()) => Ok(false),
                false => Err(running.stderr()),
            });
            assert!(has_worked || threads < *LIMITS.end(), "{what}\n{}", running.stderr());
            let output = stop(running);
            assert!(!output.stderr.contains("panicked"), "{what}\n{output}");
            assert!(
                has_worked || output.code != Some(0) || is_retrying(&output.stderr),
                "{output}"
            );
        }
    }
}

fn is_retrying(log: &str) -> bool {
    log.contains("retrying") || log.contains("trying again")
}

/// Sends TERM if it still runs; it has to end soon.
#[track_caller]
fn stop(mut running: Running) -> Output {
    if running.is_running() {
        running.signal(Signal::SIGTERM);
    }
    let asked_at = Instant::now();
    let output = running.wait_exit();
    assert!(asked_at.elapsed() < patience(Duration::from_secs(2)), "{output}");
    output
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

#[test]
fn zkjoin_joins_or_ends_or_retries_with_any_number_of_threads() {
    let Some(user) = User::new("threads_zkjoin", 0) else { return };
    let mut zk = user.chroot.zk();
    let zk = std::cell::RefCell::new(&mut zk);
    let args = |threads| words(&format!("--name host-{threads} /farm host-{threads}.json"));
    user.try_limits("zkjoin", args, |_, threads| {
        matches!(zk.borrow_mut().exists(&format!("/farm/host-{threads}")), Ok(Some(_)))
    });
}

#[test]
fn zkexport_writes_or_ends_or_retries_with_any_number_of_threads() {
    let Some(user) = User::new("threads_zkexport", 1) else { return };
    let args = |threads| words(&format!("/farm {threads}.json"));
    user.try_limits("zkexport", args, |_, threads| {
        user.scratch.read(format!("{threads}.json")).is_ok_and(|text| text.contains("\"a\""))
    });
}

#[test]
fn zkexec_runs_its_command_or_ends_or_retries_with_any_number_of_threads() {
    let Some(user) = User::new("threads_zkexec", 2) else { return };
    let args = |threads| {
        let mut args = words(&format!("-m {threads}=/conf -e"));
        args.push("echo up; exec sleep 1000".to_owned());
        args
    };
    user.try_limits("zkexec", args, |running, _| running.stdout() == "up\n");
}

#[test]
fn a_command_that_ends_by_itself_does_so_in_time_with_any_number_of_threads() {
    let Some(user) = User::new("threads_once", 3) else { return };
    for threads in LIMITS {
        for (name, args) in [
            ("zkctl", "-t 500ms get --raw /farm/a"),
            ("zkexport", "--once --timeout 500ms --format json /farm -"),
            ("zkexport", "--once --timeout 500ms /farm once.json"),
        ] {
            let output = user.tool(name, threads).args(words(args)).run();
            let is_error = !matches!(output.code, Some(0)) && !output.stderr.is_empty();
            assert!(output.code == Some(0) || is_error, "{threads} threads\n{output}");
            assert!(output.code == Some(0) || threads < *LIMITS.end(), "{output}");
            assert!(!output.stderr.contains("panicked"), "{threads} threads\n{output}");
            assert!(output.elapsed < patience(Duration::from_secs(3)), "{threads}\n{output}");
        }
    }
}

/// Ends the session again and again while the tool may start only so many more threads, and gives
/// it plenty afterwards: it has to have a session then, within a few seconds.
#[track_caller]
fn starve(running: &mut Running, proxy: &FaultProxy, further_threads: &[u32]) {
    let count = |running: &Running, text: &str| running.stderr().matches(text).count();
    let run_for = |running: &mut Running, time| {
        holds_for(time, "it runs", || if running.is_running() { Ok(()) } else { Err("it ended") });
    };
    for (round, further) in further_threads.iter().enumerate() {
        // A session that ends earlier is not replaced at once.
        run_for(running, Duration::from_millis(1100));
        let retries = count(running, "no new session yet, retrying; ");
        let threads = u32::try_from(running.thread_count()).unwrap();
        running.set_limit("nproc", threads + further);
        proxy.expire().unwrap();
        running.wait_log_times("lost: the session is over", round + 1);
        let is_connected = |running: &Running| count(running, " connected; ") == round + 2;
        eventually("a session, or a line that there is none", || {
            let is_retrying = count(running, "no new session yet, retrying; ") > retries;
            if is_connected(running) || is_retrying { Ok(()) } else { Err(running.stderr()) }
        });
        if *further == 0 {
            let before = running.cpu_time();
            run_for(running, Duration::from_secs(2));
            let took = running.cpu_time() - before;
            assert!(took < Duration::from_millis(300), "{took:?} of CPU");
            assert_eq!(count(running, NO_THREAD), 1, "{}", running.stderr());
        }
        running.set_limit("nproc", PLENTY);
        eventually_within(Duration::from_secs(15), "a session", || {
            if is_connected(running) { Ok(()) } else { Err(running.stderr()) }
        });
    }
    assert!(!running.stderr().contains("panicked"), "{}", running.stderr());
    assert!(!running.stderr().contains("as soon as they had begun"), "{}", running.stderr());
}

/// A tool behind a proxy.
fn behind(proxy: &FaultProxy, user: &User, name: &str) -> Tool {
    user.tool(name, PLENTY).env("ZKHOST", format!("{}{}", proxy.addr(), user.chroot.path()))
}

#[test]
fn a_host_without_threads_joins_again_when_it_has_some() {
    let Some(user) = User::new("a_host_without_threads", 4) else { return };
    let proxy = FaultProxy::start(Ensemble::shared().server(0).addr());
    let tool = behind(&proxy, &user, "zkjoin").args(words("--name host /farm conf.json"));
    let mut running = tool.spawn();
    running.wait_log("joined; ");
    starve(&mut running, &proxy, &[0, 1, 2, 3, 4, 5, 6, 7]);
    let mut zk = user.chroot.zk();
    eventually("its znode is back", || match zk.exists("/farm/host") {
        Ok(Some(_)) => Ok(()),
        other => Err(format!("{other:?}\n{}", running.stderr())),
    });
    // And it stops while it has none.
    running.set_limit("nproc", 1);
    proxy.expire().unwrap();
    running.wait_log_times("lost: the session is over", 9);
    stop(running).ok();
}

#[test]
fn an_export_without_threads_goes_on_when_it_has_some() {
    let Some(user) = User::new("an_export_without_threads", 5) else { return };
    let proxy = FaultProxy::start(Ensemble::shared().server(0).addr());
    let tool = behind(&proxy, &user, "zkexport").args(words("/farm farm.json"));
    let mut running = tool.spawn();
    running.wait_log("the file is current");
    starve(&mut running, &proxy, &[0, 4, 5, 12, 19, 20]);
    user.chroot.zk().create("/farm/b", "{}").unwrap();
    eventually_within(Duration::from_secs(15), "the new host in the file", || {
        match user.scratch.read("farm.json") {
            Ok(text) if text.contains("\"b\"") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    stop(running).ok();
}

#[test]
fn a_child_runs_on_without_threads_and_the_next_change_is_noticed() {
    let Some(user) = User::new("a_child_runs_on_without_threads", 8) else { return };
    let proxy = FaultProxy::start(Ensemble::shared().server(0).addr());
    let tool = behind(&proxy, &user, "zkexec");
    let mut running = tool.args(words("-m conf=/conf -w 0 -- sleep 1000")).spawn();
    running.wait_log("forked ");
    starve(&mut running, &proxy, &[0, 1, 3, 4, 5, 6, 8]);
    user.chroot.zk().set("/conf", "v2").unwrap();
    running.wait_log_times("forked ", 2);
    stop(running).code(143);
}

#[test]
fn a_child_for_which_there_is_no_process_is_started_when_there_is_one() {
    let Some(user) = User::new("a_child_without_a_process", 6) else { return };
    for more in [&[][..], &["-l", "group"], &["--on-failed-restart", "rollback", "-l", "group"]] {
        user.scratch.write("starts", "");
        let starts = user.scratch.join("starts");
        fs::set_permissions(&starts, Permissions::from_mode(0o666)).unwrap();
        let mut zk = user.chroot.zk();
        zk.set("/conf", "v1").unwrap();
        let mut running = user
            .tool("zkexec", PLENTY)
            .args(["-m", "conf=/conf", "-w", "0", "-d", "1s", "-e", RECORDING_CHILD])
            .args(more)
            .spawn();
        let wait_last = |wanted: &str| {
            eventually_within(Duration::from_secs(15), wanted, || {
                let text = user.scratch.read("starts")?;
                if text.lines().last() == Some(wanted) { Ok(()) } else { Err(text) }
            });
        };
        wait_last("v1");
        running.set_limit("nproc", 1);
        zk.set("/conf", "v2").unwrap();
        running.wait_log(&format!("cannot start a process: {NO_PROCESS}"));
        holds_for(Duration::from_secs(2), "it is no failure of the content", || {
            let is_well = running.is_running() && !running.stderr().contains("config failure");
            if is_well { Ok(()) } else { Err(running.stderr()) }
        });
        running.set_limit("nproc", PLENTY);
        wait_last("v2");
        // A second time, it is stopped meanwhile.
        running.set_limit("nproc", 1);
        zk.set("/conf", "v3").unwrap();
        running.wait_log_times(&format!("cannot start a process: {NO_PROCESS}"), 2);
        // As the last child ended.
        stop(running).code(143);
    }
}

#[test]
fn a_check_for_which_there_is_no_process_refuses_nothing() {
    let Some(user) = User::new("a_check_without_a_process", 7) else { return };
    let (exec, export) = ("-m conf=/conf,check=true -w 0 -- sleep 1000", "/farm farm.json");
    for (name, args, file) in [("zkexec", exec, "conf"), ("zkexport", export, "farm.json")] {
        let tool = user.tool(name, PLENTY).args(words(args));
        let tool = if name == "zkexport" { tool.args(["--check-cmd", "true"]) } else { tool };
        let running = tool.spawn();
        eventually(file, || user.scratch.read(file));
        running.set_limit("nproc", 1);
        let mut zk = user.chroot.zk();
        if name == "zkexec" {
            zk.set("/conf", "new").unwrap();
        } else {
            zk.create("/farm/new", "{}").unwrap();
        }
        running.wait_log(&format!("the check can't be run: cannot start a process: {NO_PROCESS}"));
        running.set_limit("nproc", PLENTY);
        eventually_within(Duration::from_secs(15), "the new content", || {
            let text = user.scratch.read(file)?;
            if text.contains("new") { Ok(()) } else { Err(text) }
        });
        stop(running);
    }
}
