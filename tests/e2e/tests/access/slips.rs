//! An access list that shuts a tool out for a while.

use farm_harness::{Acl, Chroot, Ensemble, Running, Scratch, Tool, Zk, eventually_within};
use std::time::Duration;

/// The tools look every half minute at what no event announces.
const RECHECK: Duration = Duration::from_secs(45);

/// An operator who can shut the others out.
fn owner(chroot: &Chroot<'_>) -> Zk {
    let mut owner = chroot.zk();
    owner.add_auth("me:word").unwrap();
    owner
}

/// Shuts the others out, and edits the znode: the server drops the event, and with it a one-shot
/// watch.
fn edit_unseen(owner: &mut Zk, path: &str, data: &str) {
    owner.set_acl(path, Acl::Mine).unwrap();
    owner.set(path, data).unwrap();
}

#[track_caller]
fn wait_file(scratch: &Scratch, name: &str, wanted: &str) {
    eventually_within(RECHECK, &format!("{name} has {wanted:?}"), || {
        let found = scratch.read(name)?;
        if found.contains(wanted) { Ok(()) } else { Err(found) }
    });
}

#[track_caller]
fn wait_log(running: &Running, wanted: &str) {
    eventually_within(RECHECK, wanted, || {
        let log = running.stderr();
        if log.contains(wanted) { Ok(()) } else { Err(log) }
    });
}

#[test]
fn a_mirror_follows_its_znode_again_after_an_access_list_shut_it_out() {
    let chroot = Ensemble::shared().chroot("mirror_shut_out");
    let (scratch, mut owner) = (Scratch::new(), owner(&chroot));
    for path in ["/slip", "/shut"] {
        owner.create(path, "0").unwrap();
    }
    let running = Tool::new("zkexec")
        .env("ZKHOST", chroot.connect_string())
        .cwd(scratch.path())
        .args(["-m", "slip=/slip", "-m", "shut=/shut", "--on-change", "none"])
        .args(["-e", "exec sleep 1000"])
        .spawn();
    running.wait_log("forking");
    // A slip that is corrected at once.
    edit_unseen(&mut owner, "/slip", "unseen");
    owner.set_acl("/slip", Acl::Open).unwrap();
    owner.set("/slip", "seen").unwrap();
    edit_unseen(&mut owner, "/shut", "1");
    wait_file(&scratch, "slip", "seen");
    wait_log(&running, "a znode can't be read; its file stays: not authorised: ");
    owner.set_acl("/shut", Acl::Open).unwrap();
    wait_log(&running, "a znode can be read again; znode=/shut");
    wait_file(&scratch, "shut", "1");
    assert_eq!(running.stderr().matches("can't be read").count(), 1, "{}", running.stderr());
}

#[test]
fn a_joined_host_follows_its_znode_again_after_an_access_list_shut_it_out() {
    let chroot = Ensemble::shared().chroot("host_shut_out");
    let (scratch, mut owner) = (Scratch::new(), owner(&chroot));
    scratch.write("host.json", r#"{"a":"1"}"#);
    let running = Tool::new("zkjoin")
        .env("ZKHOST", chroot.connect_string())
        .cwd(scratch.path())
        .args(["--name", "host", "--no-hostname", "/db", "host.json"])
        .spawn();
    running.wait_log("joined; ");
    edit_unseen(&mut owner, "/db/host", r#"{"a":"2"}"#);
    owner.set_acl("/db/host", Acl::Open).unwrap();
    wait_file(&scratch, "host.json", "\"a\": \"2\"");
    edit_unseen(&mut owner, "/db/host", r#"{"a":"3"}"#);
    wait_log(&running, "ZooKeeper refused the request, trying again; why=\"not authorised: ");
    owner.set_acl("/db/host", Acl::Open).unwrap();
    wait_log(&running, "ZooKeeper accepts our requests again; path=/db/host");
    wait_file(&scratch, "host.json", "\"a\": \"3\"");
}

#[test]
fn a_host_that_may_be_read_again_is_exported() {
    let chroot = Ensemble::shared().chroot("readable_again");
    let (scratch, mut owner) = (Scratch::new(), owner(&chroot));
    owner.create_all("/db/open", "{}").unwrap();
    owner.create("/db/shut", r#"{"a":"1"}"#).unwrap();
    owner.set_acl("/db/shut", Acl::Mine).unwrap();
    let running = Tool::new("zkexport")
        .env("ZKHOST", chroot.connect_string())
        .cwd(scratch.path())
        .args(["/db", "db.json"])
        .spawn();
    running.wait_log("a host can't be read, leaving it out: not authorised: ");
    running.wait_log("the file is current");
    owner.set_acl("/db/shut", Acl::Open).unwrap();
    wait_log(&running, "a host can be read again; host=shut");
    wait_file(&scratch, "db.json", "\"a\": \"1\"");
}

#[test]
fn the_size_of_a_farm_is_kept_once_its_record_allows_it() {
    let chroot = Ensemble::shared().chroot("size_of_nonsense");
    let (scratch, mut owner) = (Scratch::new(), owner(&chroot));
    owner.create("/db", "nonsense").unwrap();
    scratch.write("host.json", "{}");
    let running = Tool::new("zkjoin")
        .env("ZKHOST", chroot.connect_string())
        .cwd(scratch.path())
        .args(["--name", "host", "/db", "host.json"])
        .spawn();
    running.wait_log("cannot update the farm's size");
    owner.set("/db", "{}").unwrap();
    eventually_within(RECHECK, "the size", || {
        let record = String::from_utf8(owner.get("/db").unwrap().data).unwrap();
        if record == r#"{"size":1}"# { Ok(()) } else { Err(record) }
    });
}
