//! Why zkexec refuses to start: usage, access lists, files that are not its own.

use super::fixture::{ExecFixture, RECORDING_CHILD, stop};
use farm_harness::{Acl, Ensemble, FaultProxy};
use std::fs;

#[test]
fn two_mirrors_of_one_file_are_wrong_usage() {
    let fixture = ExecFixture::with_conf("two_mirrors_of_one_file", "a");
    for other in ["conf=/other", "./conf=/conf", "conf/=/conf/"] {
        let output =
            fixture.zkexec(&["-m", "conf=/conf", "-m", other, "-e", RECORDING_CHILD]).run();
        output.code(2).stdout_is("").stderr_has("zkexec: ").stderr_has("conf");
        assert_eq!(fixture.names(""), Vec::<String>::new());
    }
}

#[test]
fn a_znode_that_may_not_be_read_is_told_before_anything_is_started() {
    let mut fixture = ExecFixture::with_conf("may_not_be_read", "secret");
    fixture.zk.add_auth("user:password").unwrap();
    fixture.zk.set_acl("/conf", Acl::Mine).unwrap();
    for mirror in ["conf=/conf", "conf=/conf,optional", "conf/=/conf/"] {
        let output = fixture.zkexec(&["-m", mirror, "-e", RECORDING_CHILD]).run();
        output.code(77).stderr_has("/conf");
        assert_eq!(fixture.names(""), Vec::<String>::new());
    }
    let auth = fixture.scratch.write("auth", "digest:user:password\n");
    fs::set_permissions(&auth, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let args = ["--auth-file", "auth", "-w", "0", "-m", "conf=/conf", "-e", RECORDING_CHILD];
    let running = fixture.zkexec(&args).spawn();
    fixture.wait_starts(1);
    stop(running);
}

#[test]
fn a_znode_that_is_closed_later_keeps_its_file_and_is_read_once_it_is_open() {
    let mut fixture = ExecFixture::with_conf("closed_later", "a");
    fixture.zk.add_auth("user:password").unwrap();
    let proxy = FaultProxy::start(Ensemble::shared().server(0).addr());
    let running = fixture.start(&["-c", &fixture.servers_at(proxy.addr())]);
    fixture.zk.set_acl("/conf", Acl::Mine).unwrap();
    fixture.zk.set("/conf", "b").unwrap();
    // A watch does not report a change of a znode that the client can't read, but a new
    // session reads again.
    proxy.expire().unwrap();
    running.wait_log("a znode can't be read; its file stays");
    assert_eq!(fixture.contents(), ["a"]);
    fixture.zk.set_acl("/conf", Acl::Open).unwrap();
    assert_eq!(fixture.wait_starts(2).1, "b");
    let log = stop(running).stderr;
    assert_eq!(log.matches("can't be read").count(), 1, "{log}");
}

#[test]
fn a_directory_of_somebody_else_is_refused() {
    let mut fixture = ExecFixture::with_conf("somebody_else", "");
    fixture.zk.create("/conf/a", "1").unwrap();
    let precious = fixture.scratch.write("etc/passwd", "root");
    let output = fixture.zkexec(&["-m", "etc/=/conf/", "-e", RECORDING_CHILD]).run();
    output.code(78).stderr_has("etc").stderr_has(".zkexec").stderr_has("\nhint: ");
    assert_eq!(fs::read(precious).unwrap(), b"root");
    assert_eq!(fixture.names("etc"), ["passwd"]);
    // A directory where a file is expected, and a file where a directory is expected.
    fixture.scratch.write("file", "text");
    fs::create_dir(fixture.scratch.join("dir")).unwrap();
    fixture.zkexec(&["-m", "dir=/conf", "-e", RECORDING_CHILD]).run().code(78).stderr_has("dir");
    fixture
        .zkexec(&["-m", "file/=/conf/", "-e", RECORDING_CHILD])
        .run()
        .code(78)
        .stderr_has("file");
    assert_eq!(fixture.scratch.read("file").unwrap(), "text");
    assert_eq!(fixture.starts(), []);
}
