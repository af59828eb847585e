//! `zkctl` with a real server.

mod check;
mod conditions;
mod formats;
mod get;
mod locks;
mod ls;
mod manual;
mod parse;
mod put;
mod rollout;
mod set;
mod trouble;
mod unset;

use farm_harness::{Chroot, Ensemble, Output, Tool, Zk, Znode};
use serde_json::{Value, from_slice};

/// A chroot on the shared server, and a client.
struct CtlFixture {
    chroot: Chroot<'static>,
    zk: Zk,
}

impl CtlFixture {
    #[track_caller]
    fn new(test_name: &str) -> Self {
        let chroot = Ensemble::shared().chroot(test_name);
        let zk = chroot.zk();
        Self { chroot, zk }
    }

    /// Also creates the host `/db/web1`.
    #[track_caller]
    fn with_host(test_name: &str, data: impl AsRef<[u8]>) -> Self {
        let mut fixture = Self::new(test_name);
        fixture.create("/db/web1", data);
        fixture
    }

    /// Creates a znode and its missing ancestors.
    #[track_caller]
    fn create(&mut self, path: &str, data: impl AsRef<[u8]>) {
        if let Err(e) = self.zk.create_all(path, data) {
            panic!("cannot create {path}: {e}");
        }
    }

    fn tool(&self, arguments: &[&str]) -> Tool {
        Tool::new("zkctl").env("ZKHOST", self.chroot.connect_string()).args(arguments)
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Output {
        self.tool(arguments).run()
    }

    /// Reads the host of [`Self::with_host`].
    #[track_caller]
    fn host(&mut self) -> Znode {
        self.zk.get("/db/web1").unwrap_or_else(|e| panic!("cannot read the host: {e}"))
    }
}

fn json(bytes: impl AsRef<[u8]>) -> Value {
    let bytes = bytes.as_ref();
    from_slice(bytes).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(bytes)))
}

/// Asserts the code, an empty standard output and one line on standard error.
#[track_caller]
fn assert_fails(output: &Output, code: i32, line: &str) {
    output.code(code).stdout_is("").stderr_is(&format!("zkctl: {line}\n"));
}

/// Like [`assert_fails`], with a hint on a second line.
#[track_caller]
fn assert_fails_with_hint(output: &Output, code: i32, line: &str, hint: &str) {
    output.code(code).stdout_is("").stderr_is(&format!("zkctl: {line}\nhint: {hint}\n"));
}

/// Asserts that access to this znode is refused.
#[track_caller]
fn assert_forbidden(output: &Output, fixture: &CtlFixture, path: &str) {
    let line = format!("not authorised: {}{path}", fixture.chroot.path());
    assert_fails_with_hint(output, 77, &line, "credentials come from --auth-file or ZK_AUTH_FILE");
}
