//! A service manager whose queue is full, and its watchdog.

use farm_harness::{Ensemble, Running, Scratch, Signal, Tool, eventually, holds_for};
use std::fs;
use std::iter;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

/// The socket of a service manager.
struct Manager {
    path: PathBuf,
    socket: UnixDatagram,
}

impl Manager {
    fn with_a_full_queue(scratch: &Scratch) -> Self {
        let path = scratch.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        let others = UnixDatagram::unbound().unwrap();
        others.set_nonblocking(true).unwrap();
        while others.send_to(b"of other services", &path).is_ok() {}
        Self { path, socket }
    }

    fn start(&self, tool: &str, args: &[&str]) -> Running {
        Tool::new(tool)
            .args(args)
            .env("NOTIFY_SOCKET", &self.path)
            .env("WATCHDOG_USEC", "200000")
            .spawn()
    }

    fn receive(&self) -> Option<String> {
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }

    fn wait_for(&self, wanted: &str) {
        let mut seen = Vec::new();
        eventually(wanted, || {
            seen.extend(iter::from_fn(|| self.receive()));
            if seen.iter().any(|message| message == wanted) { Ok(()) } else { Err(seen.join("\n")) }
        });
    }
}

/// Takes what waits until the tool's promise holds, then looks at ready and the watchdog.
fn hears_ready_and_the_watchdog(manager: &Manager, mut running: Running, log: &str, code: i32) {
    running.wait_log(log);
    manager.wait_for("READY=1");
    for _ in 0..5 {
        manager.wait_for("WATCHDOG=1");
    }
    // The watchdog is fed by the loop alone: what does not run does not feed it.
    running.signal(Signal::SIGSTOP);
    eventually("it is stopped", || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", running.pid())).unwrap();
        if stat.contains(") T ") { Ok(()) } else { Err(stat) }
    });
    while manager.receive().is_some() {}
    holds_for(Duration::from_millis(500), "nothing feeds the watchdog", || {
        manager.receive().map_or(Ok(()), Err)
    });
    running.signal(Signal::SIGCONT);
    manager.wait_for("WATCHDOG=1");
    running.signal(Signal::SIGTERM);
    running.wait_exit().code(code);
}

#[test]
fn a_full_queue_of_the_manager_delays_ready_and_loses_nothing() {
    let chroot = Ensemble::shared().chroot("a_full_queue_of_the_manager");
    let mut zk = chroot.zk();
    zk.create_all("/farm/a", "{}").unwrap();
    zk.create("/app", "1").unwrap();
    let servers = chroot.connect_string();

    let scratch = Scratch::new();
    let manager = Manager::with_a_full_queue(&scratch);
    let conf = scratch.join("conf.json").display().to_string();
    let args = ["-H", &servers, "--name", "h", "/farm", &conf];
    hears_ready_and_the_watchdog(&manager, manager.start("zkjoin", &args), "joined; ", 0);

    let scratch = Scratch::new();
    let manager = Manager::with_a_full_queue(&scratch);
    let file = scratch.join("hosts.json").display().to_string();
    let running = manager.start("zkexport", &["-H", &servers, "/farm", &file]);
    hears_ready_and_the_watchdog(&manager, running, "the file is current; ", 0);

    let scratch = Scratch::new();
    let manager = Manager::with_a_full_queue(&scratch);
    let mirror = format!("{}=/app", scratch.join("app.conf").display());
    let args = ["-c", &servers, "-m", &mirror, "-e", "exec sleep 999"];
    hears_ready_and_the_watchdog(&manager, manager.start("zkexec", &args), "forking", 143);
}
