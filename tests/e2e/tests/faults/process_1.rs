//! Tools that are process 1 of a container: nobody else reaps there, and the kernel drops the
//! signals that they do not catch.

use crate::exec::processes::{children, in_container, process_1, send, wait_children};
use farm_harness::{Ensemble, Running, Scratch, Signal, Zk, eventually};

const EDITS: usize = 20;

/// Leaves a process behind that ends later.
const LEAVES_ONE: &str = "(sleep 0.1)& echo >> left; exit 0";

/// A container whose process 1 runs commands.
struct Container {
    running: Running,
    scratch: Scratch,
    zk: Zk,
    /// The znode that it watches.
    path: &'static str,
}

impl Container {
    fn start(test: &str, tool: &str, args: &[&str]) -> Self {
        let chroot = Ensemble::shared().chroot(test);
        let (scratch, mut zk) = (Scratch::new(), chroot.zk());
        let path = "/farm/host";
        if tool == "zkexport" {
            zk.create_all(path, "{}").unwrap();
        }
        let running = in_container(tool)
            .args(["-H", &chroot.connect_string()])
            .args(args)
            .args(["/farm", "conf.json"])
            .cwd(scratch.path())
            .spawn();
        Self { running, scratch, zk, path }
    }

    /// Edits the znode again and again, each time until as many commands have run.
    #[track_caller]
    fn edit(&mut self, commands_per_edit: usize) {
        // The first ones run at the start.
        self.wait_ran(commands_per_edit);
        for edit in 1..=EDITS {
            self.zk.set(self.path, format!("{{\"edit\":{edit}}}")).unwrap();
            self.wait_ran((edit + 1) * commands_per_edit);
        }
    }

    #[track_caller]
    fn wait_ran(&self, count: usize) {
        eventually("the commands run", || {
            let ran = self.scratch.read("left").unwrap_or_default().lines().count();
            if ran >= count { Ok(()) } else { Err(format!("{ran} of {count}")) }
        });
    }

    #[track_caller]
    fn send(&self, signal: Signal) {
        send(process_1(&self.running), signal);
    }
}

#[test]
fn zkjoin_as_process_1_reaps_what_its_command_leaves_and_ends_on_term() {
    let args = ["--name", "host", "--changed-cmd", LEAVES_ONE];
    let mut container = Container::start("zkjoin_as_process_1", "zkjoin", &args);
    container.edit(1);
    wait_children(process_1(&container.running), 0);
    container.send(Signal::SIGTERM);
    container.running.wait_exit().code(0);
}

#[test]
fn zkexport_as_process_1_reaps_what_its_commands_leave_and_ends_on_int() {
    let args = ["-w", "0", "-c", LEAVES_ONE, "--check-cmd", LEAVES_ONE];
    let mut container = Container::start("zkexport_as_process_1", "zkexport", &args);
    container.edit(2);
    wait_children(process_1(&container.running), 0);
    container.send(Signal::SIGINT);
    container.running.wait_exit().code(0);
}

#[test]
fn zkexport_once_as_process_1_reaps_while_its_check_runs() {
    let check = "(true&); (true&); (true&); echo >> left; while [ ! -e go ]; do sleep 0.1; done";
    let args = ["--once", "--check-cmd", check];
    let mut container = Container::start("once_as_process_1", "zkexport", &args);
    container.wait_ran(1);
    // Only the check is left.
    eventually("the rest is reaped", || {
        let children = children(process_1(&container.running));
        if children.len() == 1 { Ok(()) } else { Err(format!("{children:?}")) }
    });
    container.scratch.write("go", "");
    container.running.wait_exit().code(0);
}

#[test]
fn a_second_signal_ends_process_1_at_once() {
    // It holds up the end for a while.
    let deaf = "trap '' TERM; echo >> left; while :; do sleep 1; done";
    let mut container = Container::start("second_signal", "zkexport", &["-c", deaf]);
    container.wait_ran(1);
    let init = process_1(&container.running);
    send(init, Signal::SIGTERM);
    send(init, Signal::SIGINT);
    let output = container.running.wait_exit();
    assert!(matches!(output.code, Some(130 | 143)), "{output}");
}

#[test]
fn commands_as_process_1_end_on_signals_as_in_a_shell() {
    let once = ["-v", "--once", "--timeout", "60s", "/farm", "conf.json"];
    let check = ["-v", "--timeout", "60s", "check", "/farm"];
    let cases: [(&str, &[&str], Signal, i32); 5] = [
        ("zkctl", &["-v", "--timeout", "60s", "ls", "/farm"], Signal::SIGTERM, 143),
        ("zkctl", &["-v", "--timeout", "60s", "get", "/farm"], Signal::SIGINT, 130),
        ("zkctl", &check, Signal::SIGHUP, 129),
        ("zkexport", &once, Signal::SIGTERM, 143),
        ("zkexport", &once, Signal::SIGINT, 130),
    ];
    let scratch = Scratch::new();
    for (tool, args, signal, code) in cases {
        let tool = in_container(tool).args(["-H", "127.0.0.1:1"]).args(args);
        let mut running = tool.cwd(scratch.path()).spawn();
        running.wait_log("no server can be reached");
        send(process_1(&running), signal);
        running.wait_exit().code(code);
    }
}
