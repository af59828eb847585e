//! Created znodes have the access list of `--acl`.

use super::{PASSWORD, USER, good_auth};
use farm_harness::{Acl, Chroot, Ensemble, Running, Scratch, Tool, Zk};

const OPEN: &str = "world:anyone:cdrwa";

/// A chroot on the shared server, a directory, and an authenticated client.
struct AclFixture {
    chroot: Chroot<'static>,
    scratch: Scratch,
    zk: Zk,
}

impl AclFixture {
    fn new(test: &str) -> Self {
        let chroot = Ensemble::shared().chroot(test);
        let mut zk = chroot.zk();
        zk.add_auth(&format!("{USER}:{PASSWORD}")).unwrap();
        Self { zk, chroot, scratch: Scratch::new() }
    }

    /// A tool with this access list, with or without credentials.
    fn tool(&self, name: &str, acl: &str, has_credentials: bool) -> Tool {
        let tool = Tool::new(name).env("ZKHOST", self.chroot.connect_string());
        let tool = tool.cwd(self.scratch.path()).args(["--session-timeout", "4s", "--acl", acl]);
        if has_credentials { tool.arg("--auth-file").arg(good_auth(&self.scratch)) } else { tool }
    }

    fn join(&self, acl: &str, farm: &str) -> Running {
        self.scratch.write("host.json", r#"{"a":"1"}"#);
        let tool = self.tool("zkjoin", acl, true);
        let joined = tool.args(["--name", "host", farm, "host.json"]).spawn();
        joined.wait_log("joined; ");
        joined
    }

    /// The access list that gives our two identities all permissions, as the server writes it.
    fn own_entries(&mut self) -> Vec<String> {
        self.zk.add_auth("other:one").unwrap();
        self.zk.create("/whoever", "").unwrap();
        self.zk.set_acl("/whoever", Acl::Mine).unwrap();
        let ours = self.sorted("/whoever");
        assert!(ours.iter().any(|entry| entry.starts_with("digest:farmer:")), "{ours:?}");
        ours
    }

    #[track_caller]
    fn sorted(&mut self, path: &str) -> Vec<String> {
        let mut acl = self.zk.get_acl(path).unwrap();
        acl.sort();
        acl
    }
}

#[test]
fn every_form_is_set_on_the_znode_and_on_what_was_missing_above_it() {
    let mut fixture = AclFixture::new("every_form_is_set");
    let ours = fixture.own_entries();
    let known = ours[0].clone();
    let list = format!("{known},ip:127.0.0.1:r,world:anyone:r");
    let and_read = [&ours[..], &["world:anyone:r".to_owned()]].concat();
    let listed = vec![known, "ip:127.0.0.1:r".to_owned(), "world:anyone:r".to_owned()];
    let table = [
        ("open", true, vec![OPEN.to_owned()]),
        ("open", false, vec![OPEN.to_owned()]),
        ("creator", true, ours),
        ("creator+read", true, and_read),
        (&list, true, listed),
        ("world:anyone:cr", false, vec!["world:anyone:cr".to_owned()]),
    ];
    for (number, (acl, has_credentials, mut wanted)) in table.into_iter().enumerate() {
        wanted.sort();
        let path = format!("/{number}/farm/host");
        let set =
            fixture.tool("zkctl", acl, has_credentials).args(["set", "--create", &path, "a", "1"]);
        set.run().ok().stderr_is("");
        let conf = format!("/{number}/conf/app");
        let put = fixture.tool("zkctl", acl, has_credentials).args(["put", "--create", &conf]);
        put.stdin("x").run().ok().stderr_is("");
        let above = ["", "/farm", "/conf"].map(|below| format!("/{number}{below}"));
        for path in above.into_iter().chain([path, conf]) {
            assert_eq!(fixture.sorted(&path), wanted, "--acl {acl}: {path}");
        }
    }
}

#[test]
fn a_joiner_and_an_exporter_create_with_it() {
    let mut fixture = AclFixture::new("a_joiner_and_an_exporter_create");
    let ours = fixture.own_entries();
    let joined = fixture.join("creator", "/a/farm");
    for path in ["/a", "/a/farm", "/a/farm/host"] {
        assert_eq!(fixture.sorted(path), ours, "{path}");
    }
    drop(joined);
    let exporter = fixture.tool("zkexport", "creator", true);
    exporter.args(["--once", "--create-farm", "/b/farm", "b.json"]).run().ok();
    for path in ["/b", "/b/farm"] {
        assert_eq!(fixture.sorted(path), ours, "{path}");
    }
    let conf = fixture.scratch.write("common.json", "{}");
    let common = fixture.tool("zkjoin", "creator", true).args(["--common", "/c"]).arg(conf).spawn();
    common.wait_log("joined; ");
    assert_eq!(fixture.sorted("/c/common"), ours);
    // The access list of the existing chroot is unchanged.
    assert_eq!(fixture.sorted("/"), [OPEN]);
}

#[test]
fn what_takes_the_place_of_a_left_over_znode_has_it_too() {
    let mut fixture = AclFixture::new("what_takes_the_place");
    let mut ours = fixture.own_entries();
    fixture.join("open", "/farm").kill9();
    assert_eq!(fixture.sorted("/farm/host"), [OPEN]);
    let left_over = fixture.zk.exists("/farm/host").unwrap().unwrap().ephemeral_owner;
    let _joined = fixture.join("creator+read", "/farm");
    let now = fixture.zk.exists("/farm/host").unwrap().unwrap().ephemeral_owner;
    assert_ne!(now, left_over, "it was not left over long enough");
    ours.push("world:anyone:r".to_owned());
    ours.sort();
    assert_eq!(fixture.sorted("/farm/host"), ours);
    assert_eq!(fixture.sorted("/farm"), [OPEN]);
}

#[test]
fn a_list_that_the_server_does_not_take_is_named() {
    let fixture = AclFixture::new("a_list_that_the_server_does_not_take");
    for acl in ["ip:nonsense:r", "unheard-of:x:r"] {
        let set = fixture.tool("zkctl", acl, true).args(["set", "--create", "/host", "a", "1"]);
        let path = format!("refused the access list of {}/host", fixture.chroot.path());
        set.run().code(78).stdout_is("").stderr_has(&path).stderr_has("--acl");
    }
}
