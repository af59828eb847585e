//! What a service manager is told.

use super::stage::{NOTES, Stage};
use farm_harness::{Running, Signal, Tool, eventually};
use std::os::unix::net::UnixDatagram;

struct Manager {
    socket: UnixDatagram,
    heard: String,
}

impl Manager {
    fn of(stage: &Stage) -> Self {
        let socket = UnixDatagram::bind(stage.scratch.join("notify")).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, heard: String::new() }
    }

    fn start(stage: &Stage, tool: Tool) -> Running {
        tool.env("NOTIFY_SOCKET", stage.scratch.join("notify")).spawn()
    }

    fn hear(&mut self) -> &str {
        let mut buffer = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            self.heard += &format!("{}\n", String::from_utf8_lossy(&buffer[..length]));
        }
        &self.heard
    }

    #[track_caller]
    fn wait_for(&mut self, line: &str) {
        eventually(line, || {
            let heard = self.hear();
            if heard.contains(line) { Ok(()) } else { Err(heard.to_owned()) }
        });
    }
}

#[test]
fn ready_is_said_when_the_child_runs() {
    let mut stage = Stage::new("ready_when_the_child_runs");
    stage.zk.create("/other", "").unwrap();
    let mut manager = Manager::of(&stage);
    let args = ["-w", "0", "-m", "conf=/conf,optional", "-m", "other=/other", "-c", "127.0.0.1:1"];
    let mut running = Manager::start(&stage, stage.zkexec(&args).args(["-e", NOTES]));
    manager.wait_for("STATUS=looking for ZooKeeper\n");
    running.wait_log("no server can be reached");
    assert!(!manager.hear().contains("READY"), "{}", manager.heard);
    running.signal(Signal::SIGTERM);
    running.wait_exit().ok();
    manager.wait_for("STOPPING=1\n");

    let socket = stage.scratch.join("notify");
    std::fs::remove_file(&socket).unwrap();
    let mut manager = Manager::of(&stage);
    let args = ["-w", "0", "-m", "conf=/conf,optional", "-m", "other=/other", "-e"];
    let child = "echo \"$$ ${NOTIFY_SOCKET-none}\" >> starts; exec sleep 1000";
    let mut running = Manager::start(&stage, stage.zkexec(&args).arg(child));
    manager.wait_for("READY=1\n");
    manager.wait_for("STATUS=running\n");
    assert_eq!(stage.wait_starts(1).1, "none");
    stage.zk.set("/other", "new").unwrap();
    stage.wait_starts(2);
    running.signal(Signal::SIGTERM);
    running.wait_exit().code(143);
    manager.wait_for("STOPPING=1\n");
    assert_eq!(manager.heard.matches("READY=1\n").count(), 1, "{}", manager.heard);
}

#[test]
fn ready_is_said_after_the_first_good_check_if_there_are_checks() {
    let stage = Stage::new("ready_after_the_first_good_check");
    let mut manager = Manager::of(&stage);
    let args = ["-e", "sleep 1000", "-H", "test -e well", "-d", "0", "-i", "0.05"];
    let mut running = Manager::start(&stage, stage.zkexec(&args));
    running.wait_log_times("failed health check", 2);
    assert!(!manager.hear().contains("READY"), "{}", manager.heard);
    stage.scratch.write("well", "");
    manager.wait_for("READY=1\n");
    running.wait_log("successful health check");
    running.signal(Signal::SIGTERM);
    running.wait_exit().code(143);
}

#[test]
fn a_child_that_can_not_be_started_is_never_ready() {
    let stage = Stage::new("never_ready");
    let mut manager = Manager::of(&stage);
    Manager::start(&stage, stage.zkexec(&["--", "no-such-program"])).wait_exit().code(127);
    assert!(!manager.hear().contains("READY"), "{}", manager.heard);
}
