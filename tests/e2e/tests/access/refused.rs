//! Servers that refuse all credentials.

use super::{assert_no_secret, good_auth, readers};
use farm_harness::{
    Ensemble, FakeServer, Options, Running, Scratch, Tool, eventually, holds_for, patience,
};
use std::time::Duration;

const REFUSED: &str = "refused our credentials";

#[test]
fn a_server_that_refuses_them_ends_every_tool_at_once() {
    // A real server without the scheme answers, closes the connection and keeps the session.
    let lines = vec!["DigestAuthenticationProvider.enabled=false".to_owned()];
    let ensemble = Ensemble::with(&Options { lines, ..Options::default() });
    ensemble.zk().create("/db", "").unwrap();
    let fake = FakeServer::start();
    fake.put("/db", b"");
    fake.refuse_auth();
    let scratch = Scratch::new();
    let auth = good_auth(&scratch);
    for servers in [ensemble.connect_string(), fake.addr().to_string()] {
        for tool in readers(&scratch) {
            let output = tool.env("ZKHOST", &servers).env("ZK_AUTH_FILE", &auth).run();
            output.code(77).stdout_is("").stderr_has(&format!("{servers} {REFUSED}"));
            assert!(output.elapsed < patience(Duration::from_secs(3)), "{output}");
            assert_no_secret(&output.stderr);
        }
    }
    assert_eq!(fake.sessions(), []);
}

#[track_caller]
fn assert_running_and_told_once(tools: &mut [Running]) {
    holds_for(Duration::from_secs(2), "they run on and log it once", || {
        for running in &mut *tools {
            let count = running.stderr().matches(REFUSED).count();
            if count != 1 || !running.is_running() {
                return Err(running.stderr());
            }
        }
        Ok(())
    });
}

#[test]
fn once_they_were_ready_they_tell_it_once_and_try_on() {
    let server = FakeServer::start();
    server.put("/db", b"");
    let scratch = Scratch::new();
    let auth = good_auth(&scratch);
    let [joiner, exporter, ..] = readers(&scratch);
    let start = |tool: Tool| {
        tool.env("ZKHOST", server.addr().to_string()).env("ZK_AUTH_FILE", &auth).spawn()
    };
    let mut tools = [start(joiner), start(exporter)];
    tools[0].wait_log("joined; ");
    tools[1].wait_log("the file is current");
    server.refuse_auth();
    server.cut();
    tools.iter().for_each(|running| running.wait_log(REFUSED));
    assert_running_and_told_once(&mut tools);
    server.heal();
    tools.iter().for_each(|running| running.wait_log("connected again, same session"));
    scratch.write("host.json", r#"{"a":"2"}"#);
    eventually("the change is exported", || {
        let text = scratch.read("daemon.json")?;
        if text.contains("\"a\": \"2\"") { Ok(()) } else { Err(text) }
    });
}
