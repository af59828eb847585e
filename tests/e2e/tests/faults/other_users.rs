//! What other users of the host can reach: the port on which zkjoin's relay listens, and the locks
//! of temporary files.

use super::ensemble::session_of;
use crate::join::fixture::JoinFixture;
use farm_harness::{Ensemble, FaultProxy, Output, Running, Scratch, Tool, eventually};
use serde_json::json;
use std::fs;

/// The loopback port on which a process listens.
fn port(running: &Running) -> u16 {
    eventually("it listens", || {
        let of = format!("/proc/{}", running.pid());
        let sockets: Vec<String> = fs::read_dir(format!("{of}/fd"))
            .map_err(|e| e.to_string())?
            .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
            .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.replace(']', "")))
            .collect();
        let table = fs::read_to_string(format!("{of}/net/tcp")).map_err(|e| e.to_string())?;
        let port = table.lines().find_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
            let is_its_own = *state == "0A" && sockets.iter().any(|socket| socket == inode);
            let (address, port) = local.split_once(':')?;
            assert!(!is_its_own || address == "0100007F", "it listens on all interfaces: {line}");
            is_its_own.then(|| u16::from_str_radix(port, 16).ok())?
        });
        port.ok_or(table)
    })
}

/// Another user opens a ZooKeeper session at a port and lists the children of the root. The
/// last line on standard error is the user id.
fn intrude(port: u16) -> Output {
    let greeting = r"\0\0\0\x2c\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x27\x10\0\0\0\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let children = r"\0\0\0\x0e\0\0\0\x01\0\0\0\x08\0\0\0\x01/\0";
    let script = format!(
        "trap '' PIPE; exec 3<>/dev/tcp/127.0.0.1/{port}
         {{ printf '{greeting}'; printf '{children}'; }} >&3 2>/dev/null
         timeout 1 cat <&3 2>/dev/null; id -u >&2"
    );
    other_user("bash").args(["-c", &script]).cwd("/").run()
}

/// A program that another user runs; without root, there is none.
fn other_user(program: &str) -> Tool {
    if !nix::unistd::geteuid().is_root() {
        return Tool::program(program);
    }
    let nobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups", program];
    Tool::program("setpriv").args(nobody)
}

#[test]
fn another_users_process_gets_nothing_from_the_port_of_a_host() {
    let mut fixture = JoinFixture::new("intruder");
    fixture.dir(&[("a", "1")]);
    let proxy = FaultProxy::start(Ensemble::shared().server(0).addr());
    let running = fixture.zkjoin_at(&fixture.servers_at(proxy.addr()), "conf").spawn();
    running.wait_log("joined; ");
    // A server answers this handshake, so it is valid.
    let addr = Ensemble::shared().server(0).addr();
    assert!(!intrude(addr.port()).stdout.is_empty());
    for round in 2..=3 {
        let session = session_of(&running);
        let got = intrude(port(&running));
        assert!(got.stdout.is_empty(), "{got}");
        let who = got.stderr.lines().last().and_then(|id| id.parse::<u32>().ok());
        let is_root = nix::unistd::geteuid().is_root();
        assert_eq!(who, Some(if is_root { 65534 } else { nix::unistd::geteuid().as_raw() }));
        // The host is not affected.
        fixture.scratch.write("conf/a", round.to_string());
        fixture.wait_record(json!({"a": round.to_string()}));
        assert_eq!(session_of(&running), session, "{}", running.stderr());
        // The next session uses another port.
        proxy.expire().unwrap();
        running.wait_log_times(" connected; ", round);
        running.wait_log_times("joined again; ", round - 1);
    }
}

#[test]
fn another_users_locks_keep_no_temporary_file_on_the_disk() {
    let chroot = Ensemble::shared().chroot("flocks");
    let (scratch, mut zk) = (Scratch::new(), chroot.zk());
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(scratch.path(), open).unwrap();
    zk.create_all("/farm/host", "{}").unwrap();
    let check = "echo {} > staged; sleep 1000";
    let args = ["-H", &chroot.connect_string(), "/farm", "hosts.json"];
    let export = Tool::new("zkexport").args(args).cwd(scratch.path());
    let mut killed = export.clone().args(["--check-cmd", check]).spawn();
    let path = eventually("a staged file", || {
        let name = scratch.read("staged")?;
        if name.is_empty() { Err("no name yet".to_owned()) } else { Ok(name.trim_end().to_owned()) }
    });
    // The lock of what everybody may read is everybody's.
    let is_root = nix::unistd::geteuid().is_root();
    let lock = path.replace(".new", ".lock");
    if is_root {
        let refused = other_user("flock").args(["-n", &lock, "true"]).cwd("/").run();
        assert!(refused.stderr.contains("Permission denied"), "{refused}");
    }
    let held = [scratch.path().display().to_string(), path.clone()].map(|path| {
        let held = other_user("flock").args([&path, "sh", "-c", "echo held; sleep 1000"]).cwd("/");
        let held = held.spawn();
        held.wait_stdout("held");
        held
    });
    // What runs is left alone in spite of them.
    export.clone().arg("--once").run().ok();
    assert!(std::path::Path::new(&path).exists() && std::path::Path::new(&lock).exists());
    killed.kill9();
    export.arg("--once").run().ok();
    let mut names: Vec<_> =
        fs::read_dir(scratch.path()).unwrap().flatten().map(|e| e.file_name()).collect();
    names.sort();
    assert_eq!(names, ["hosts.json", "staged"]);
    drop(held);
}
