//! A farm that can be read only with credentials.

use super::{PASSWORD, USER, assert_keeps_secret, assert_no_secret, auth_file, good_auth, readers};
use farm_harness::{Acl, Chroot, Ensemble, Running, Scratch, Tool, Zk, eventually};
use std::path::Path;

/// Creates the farm `/db`, accessible only with the password.
fn lock(zk: &mut Zk) {
    zk.add_auth(&format!("{USER}:{PASSWORD}")).unwrap();
    zk.create("/db", "").unwrap();
    zk.set_acl("/db", Acl::Mine).unwrap();
}

#[track_caller]
fn wait_export(scratch: &Scratch, value: &str) {
    eventually(&format!("the file has {value}"), || {
        let text = scratch.read("db.json")?;
        if text.contains(&format!("\"a\": \"{value}\"")) { Ok(()) } else { Err(text) }
    });
}

fn zkctl(servers: &str, auth: &Path) -> Tool {
    let times = ["-t", "20s", "--session-timeout", "4s"];
    Tool::new("zkctl").args(["-H", servers]).args(times).env("ZK_AUTH_FILE", auth)
}

/// Starts zkjoin and zkexport on the locked farm with the most verbose logs.
fn joiner_and_exporter(servers: &str, scratch: &Scratch, auth: &Path) -> [Running; 2] {
    let conf = scratch.write("host.json", r#"{"a":"1"}"#);
    let connection = ["-H", servers, "--session-timeout", "4s"];
    let joiner = Tool::new("zkjoin").args(connection).args(["-vvv", "--name", "host"]);
    let joiner = joiner.arg("--auth-file").arg(auth).args(["--acl", "creator", "/db"]).arg(conf);
    let exporter = Tool::new("zkexport").args(connection).cwd(scratch.path());
    let exporter = exporter.env("RUST_LOG", "trace").env("ZK_AUTH_FILE", auth);
    [joiner.spawn(), exporter.args(["/db", "db.json"]).spawn()]
}

#[test]
fn a_locked_farm_works_and_goes_on_after_a_restart_of_the_server() {
    let ensemble = Ensemble::start(1);
    let scratch = Scratch::new();
    let auth = good_auth(&scratch);
    lock(&mut ensemble.zk());
    let servers = ensemble.connect_string();
    let tools = joiner_and_exporter(&servers, &scratch, &auth);
    wait_export(&scratch, "1");
    for (times, value) in [(1, "2"), (2, "3")] {
        ensemble.server(0).kill();
        ensemble.server(0).restart();
        for running in &tools {
            running.wait_log_times("connected again, same session", times);
        }
        zkctl(&servers, &auth).args(["set", "/db/host", "a", value]).run().ok().stderr_is("");
        wait_export(&scratch, value);
    }
    let verbose = zkctl(&servers, &auth).args(["-vvv", "get", "/db/host", "a"]).run();
    assert_no_secret(&verbose.ok().stdout_is("3\n").stderr);
    for running in &tools {
        assert_keeps_secret(running);
        let log = running.stderr();
        assert!(!log.contains("authorised") && !log.contains("lost: "), "{log}");
    }
}

fn locked_chroot(test: &str) -> Chroot<'static> {
    let chroot = Ensemble::shared().chroot(test);
    lock(&mut chroot.zk());
    chroot
}

#[test]
fn nobody_else_reads_it() {
    let chroot = locked_chroot("nobody_else_reads_it");
    let scratch = Scratch::new();
    let wrong = auth_file(&scratch, "wrong", &format!("digest:{USER}:wr0ng-guess\n"));
    for tool in readers(&scratch) {
        let tool = tool.env("ZKHOST", chroot.connect_string());
        for tool in [tool.clone(), tool.arg("--auth-file").arg(&wrong)] {
            let output = tool.run();
            output.code(77).stdout_is("").stderr_has("not authorised: ").stderr_has("/db");
            assert!(!output.stderr.contains("wr0ng-guess"), "{output}");
        }
    }
    let check = Tool::new("zkctl").env("ZKHOST", chroot.connect_string()).args(["check", "/db"]);
    check.run().code(3).stdout_has("UNKNOWN: not authorised: ");
}

#[test]
fn what_systemd_hands_over_is_used_unless_a_file_is_named() {
    let chroot = locked_chroot("what_systemd_hands_over");
    let scratch = Scratch::new();
    let wrong = auth_file(&scratch, "wrong", "digest:some:body\n");
    auth_file(&scratch, "zk-auth", &format!("digest:{USER}:{PASSWORD}\n"));
    for tool in readers(&scratch).into_iter().skip(2) {
        let tool = tool.env("ZKHOST", chroot.connect_string());
        let tool = tool.env("CREDENTIALS_DIRECTORY", scratch.path());
        // The right credentials last, because the znode that this creates is open to everybody.
        tool.clone().arg("--auth-file").arg(&wrong).run().code(77);
        tool.clone().env("ZK_AUTH_FILE", &wrong).run().code(77);
        tool.run().ok();
    }
}
