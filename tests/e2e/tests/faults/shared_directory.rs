//! Two tools write to one directory, each in a container of its own.

use crate::exec::processes::{in_container, process_1, send};
use farm_harness::{Ensemble, Scratch, Signal, Tool, eventually};

#[test]
fn a_start_in_another_container_leaves_staged_files_alone_until_their_process_is_killed() {
    let chroot = Ensemble::shared().chroot("shared_directory");
    let (scratch, mut zk) = (Scratch::new(), chroot.zk());
    zk.create_all("/farm/host", "{}").unwrap();
    zk.create("/conf", "1").unwrap();
    let servers = chroot.connect_string();
    // The staged file is there until the check ends.
    let check = "echo {} > staged; while [ ! -e go ]; do sleep 0.1; done";
    let export = || {
        Tool::new("zkexport")
            .args(["-H", &servers, "--check-cmd", check, "/farm", "hosts.json"])
            .cwd(scratch.path())
            .spawn()
    };
    let staged = || {
        eventually("a staged file", || {
            let name = scratch.read("staged")?;
            let name = name.trim_end();
            if name.is_empty() { Err("no name yet".to_owned()) } else { Ok(name.to_owned()) }
        })
    };
    let start_zkexec = || {
        let mirror = format!("{}=/conf", scratch.join("app.conf").display());
        let args = ["-c", &servers, "-m", &mirror, "-e", "exec sleep 1000"];
        let mut running = in_container("zkexec").args(args).spawn();
        running.wait_log("forked ");
        send(process_1(&running), Signal::SIGTERM);
        running.wait_exit().code(143);
    };

    let mut killed = export();
    let path = staged();
    start_zkexec();
    assert!(scratch.join(&path).exists(), "{path} is in use");
    killed.kill9();
    start_zkexec();
    assert!(!scratch.join(&path).exists(), "{path} is a left-over");

    scratch.write("staged", "");
    let running = export();
    staged();
    start_zkexec();
    scratch.write("go", "");
    running.wait_log("the file is current");
    assert!(!running.stderr().contains("trying again"), "{}", running.stderr());
    assert_eq!(scratch.read("hosts.json").unwrap().matches("host").count(), 1);
}
