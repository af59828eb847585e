//! Servers that grant a session timeout that nobody can use.

use farm_harness::{FakeServer, Scratch, Signal, Timeouts, Tool, holds_for, patience};
use std::time::Duration;

const DAEMONS: [(&str, &[&str]); 3] = [
    ("zkjoin", &["--name", "host", "/db", "host.json"]),
    ("zkexport", &["/db", "db.json"]),
    ("zkexec", &["-m", "conf=/db/a", "-e", "exec sleep 1000"]),
];

fn server(granted_ms: u64) -> FakeServer {
    let always = Some(Duration::from_millis(granted_ms));
    let server = FakeServer::start_with(Timeouts { always, ..Timeouts::default() });
    server.put("/db/a", b"{}");
    server
}

fn tool(name: &str, scratch: &Scratch, server: &FakeServer) -> Tool {
    Tool::new(name).cwd(scratch.path()).env("ZKHOST", server.addr().to_string())
}

#[test]
fn a_session_timeout_of_a_millisecond_costs_neither_cpu_nor_connections() {
    for is_lie in [true, false] {
        for (name, args) in DAEMONS {
            let (server, scratch) = (server(1), Scratch::new());
            if is_lie {
                server.hold_expiry();
            }
            scratch.write("host.json", "{}");
            let mut running = tool(name, &scratch, &server).args(args).spawn();
            running.wait_log("the server grants an unusable session timeout; granted_ms=1 ");
            let (before, connections) = (running.cpu_time(), server.connections_accepted());
            holds_for(Duration::from_secs(3), name, || {
                if running.is_running() { Ok(()) } else { Err("it has ended") }
            });
            let took = running.cpu_time() - before;
            let more = server.connections_accepted() - connections;
            assert!(took < patience(Duration::from_millis(300)), "{name}: {took:?} of CPU");
            assert!(more < if is_lie { 1 } else { 40 }, "{name}: {more} connections");
            running.signal(Signal::SIGTERM);
            let output = running.wait_exit();
            assert!(!output.stderr.contains("panicked"), "{output}");
        }
    }
}

#[test]
fn a_command_works_with_a_millisecond_that_is_none_and_ends_in_time_with_one() {
    let (lying, scratch) = (server(1), Scratch::new());
    lying.hold_expiry();
    tool("zkctl", &scratch, &lying).args(["get", "--raw", "/db/a"]).run().ok().stdout_is("{}");
    for granted_ms in [0, 1] {
        let server = server(granted_ms);
        let output = tool("zkctl", &scratch, &server).args(["-t", "1s", "get", "/db/a"]).run();
        assert!(output.elapsed < patience(Duration::from_secs(3)), "{output}");
        assert!(server.connections_accepted() < 30, "{}", server.connections_accepted());
    }
}
