//! What keeps it from starting: usage, access lists, places that are not its own.

use super::stage::{NOTES, Stage, stop};
use farm_harness::{Acl, Ensemble, FaultProxy};
use std::fs;

#[test]
fn two_mirrors_of_one_file_are_wrong_usage() {
    let stage = Stage::with_conf("two_mirrors_of_one_file", "a");
    for other in ["conf=/other", "./conf=/conf", "conf/=/conf/"] {
        let output = stage.zkexec(&["-m", "conf=/conf", "-m", other, "-e", NOTES]).run();
        output.code(2).stdout_is("").stderr_has("zkexec: ").stderr_has("conf");
        assert_eq!(stage.names(""), Vec::<String>::new());
    }
}

#[test]
fn a_znode_that_may_not_be_read_is_told_before_anything_is_started() {
    let mut stage = Stage::with_conf("may_not_be_read", "secret");
    stage.zk.add_auth("user:password").unwrap();
    stage.zk.set_acl("/conf", Acl::Mine).unwrap();
    for mirror in ["conf=/conf", "conf=/conf,optional", "conf/=/conf/"] {
        let output = stage.zkexec(&["-m", mirror, "-e", NOTES]).run();
        output.code(77).stderr_has("/conf");
        assert_eq!(stage.names(""), Vec::<String>::new());
    }
    let auth = stage.scratch.write("auth", "digest:user:password\n");
    fs::set_permissions(&auth, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let args = ["--auth-file", "auth", "-w", "0", "-m", "conf=/conf", "-e", NOTES];
    let running = stage.zkexec(&args).spawn();
    stage.wait_starts(1);
    stop(running);
}

#[test]
fn a_znode_that_is_closed_later_keeps_its_file_and_is_read_once_it_is_open() {
    let mut stage = Stage::with_conf("closed_later", "a");
    stage.zk.add_auth("user:password").unwrap();
    let proxy = FaultProxy::start(Ensemble::shared().server(0).addr());
    let running = stage.start(&["-c", &stage.servers_at(proxy.addr())]);
    stage.zk.set_acl("/conf", Acl::Mine).unwrap();
    stage.zk.set("/conf", "b").unwrap();
    // Of what may not be read, servers tell nothing; a new session looks for itself.
    proxy.expire().unwrap();
    running.wait_log("a znode can't be read; its file stays");
    assert_eq!(stage.found(), ["a"]);
    stage.zk.set_acl("/conf", Acl::Open).unwrap();
    assert_eq!(stage.wait_starts(2).1, "b");
    let log = stop(running).stderr;
    assert_eq!(log.matches("can't be read").count(), 1, "{log}");
}

#[test]
fn a_directory_of_somebody_else_is_refused() {
    let mut stage = Stage::with_conf("somebody_else", "");
    stage.zk.create("/conf/a", "1").unwrap();
    let precious = stage.scratch.write("etc/passwd", "root");
    let output = stage.zkexec(&["-m", "etc/=/conf/", "-e", NOTES]).run();
    output.code(78).stderr_has("etc").stderr_has(".zkexec").stderr_has("\nhint: ");
    assert_eq!(fs::read(precious).unwrap(), b"root");
    assert_eq!(stage.names("etc"), ["passwd"]);
    // A directory in the place of a file, and a file in the place of a directory.
    stage.scratch.write("file", "text");
    fs::create_dir(stage.scratch.join("dir")).unwrap();
    stage.zkexec(&["-m", "dir=/conf", "-e", NOTES]).run().code(78).stderr_has("dir");
    stage.zkexec(&["-m", "file/=/conf/", "-e", NOTES]).run().code(78).stderr_has("file");
    assert_eq!(stage.scratch.read("file").unwrap(), "text");
    assert_eq!(stage.starts(), []);
}
