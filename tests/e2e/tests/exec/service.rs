//! Notifications to the service manager (`sd_notify`).

use super::fixture::{ExecFixture, RECORDING_CHILD};
use farm_harness::{Running, Signal, Tool, eventually};
use std::os::unix::net::UnixDatagram;

struct Manager {
    socket: UnixDatagram,
    received: String,
}

impl Manager {
    fn of(fixture: &ExecFixture) -> Self {
        let socket = UnixDatagram::bind(fixture.scratch.join("notify")).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, received: String::new() }
    }

    fn start(fixture: &ExecFixture, tool: Tool) -> Running {
        tool.env("NOTIFY_SOCKET", fixture.scratch.join("notify")).spawn()
    }

    fn receive(&mut self) -> &str {
        let mut buffer = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            self.received += &format!("{}\n", String::from_utf8_lossy(&buffer[..length]));
        }
        &self.received
    }

    #[track_caller]
    fn wait_for(&mut self, line: &str) {
        eventually(line, || {
            let received = self.receive();
            if received.contains(line) { Ok(()) } else { Err(received.to_owned()) }
        });
    }
}

#[test]
fn ready_is_said_when_the_child_runs() {
    let mut fixture = ExecFixture::new("ready_when_the_child_runs");
    fixture.zk.create("/other", "").unwrap();
    let mut manager = Manager::of(&fixture);
    let args = ["-w", "0", "-m", "conf=/conf,optional", "-m", "other=/other", "-c", "127.0.0.1:1"];
    let mut running = Manager::start(&fixture, fixture.zkexec(&args).args(["-e", RECORDING_CHILD]));
    manager.wait_for("STATUS=looking for ZooKeeper\n");
    running.wait_log("no server can be reached");
    assert!(!manager.receive().contains("READY"), "{}", manager.received);
    running.signal(Signal::SIGTERM);
    running.wait_exit().ok();
    manager.wait_for("STOPPING=1\n");

    let socket = fixture.scratch.join("notify");
    std::fs::remove_file(&socket).unwrap();
    let mut manager = Manager::of(&fixture);
    let args = ["-w", "0", "-m", "conf=/conf,optional", "-m", "other=/other", "-e"];
    let child = "echo \"$$ ${NOTIFY_SOCKET-none}\" >> starts; exec sleep 1000";
    let mut running = Manager::start(&fixture, fixture.zkexec(&args).arg(child));
    manager.wait_for("READY=1\n");
    manager.wait_for("STATUS=running\n");
    assert_eq!(fixture.wait_starts(1).1, "none");
    fixture.zk.set("/other", "new").unwrap();
    fixture.wait_starts(2);
    running.signal(Signal::SIGTERM);
    running.wait_exit().code(143);
    manager.wait_for("STOPPING=1\n");
    assert_eq!(manager.received.matches("READY=1\n").count(), 1, "{}", manager.received);
}

#[test]
fn ready_is_said_after_the_first_good_check_if_there_are_checks() {
    let fixture = ExecFixture::new("ready_after_the_first_good_check");
    let mut manager = Manager::of(&fixture);
    let args = ["-e", "sleep 1000", "-H", "test -e well", "-d", "0", "-i", "0.05"];
    let mut running = Manager::start(&fixture, fixture.zkexec(&args));
    running.wait_log_times("failed health check", 2);
    assert!(!manager.receive().contains("READY"), "{}", manager.received);
    fixture.scratch.write("well", "");
    manager.wait_for("READY=1\n");
    running.wait_log("successful health check");
    running.signal(Signal::SIGTERM);
    running.wait_exit().code(143);
}

#[test]
fn a_child_that_can_not_be_started_is_never_ready() {
    let fixture = ExecFixture::new("never_ready");
    let mut manager = Manager::of(&fixture);
    Manager::start(&fixture, fixture.zkexec(&["--", "no-such-program"])).wait_exit().code(127);
    assert!(!manager.receive().contains("READY"), "{}", manager.received);
}
