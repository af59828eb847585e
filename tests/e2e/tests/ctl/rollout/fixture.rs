//! A group whose members write what the test says.

use super::super::CtlFixture;
use farm_core::farm::rollout::{Source, SourceBytes, version_of};
use farm_core::session::ZnodePath;
use farm_harness::{Create, Output, Running, Tool, Zk};
use serde_json::{Value, json};

/// The group of the tests, and where its state and its lock are.
pub(super) const GROUP: &str = "services/app";
pub(super) const STATE: &str = "/_zkexec/services__app";
pub(super) const LOCK: &str = "/_zklocking/services__app";

/// The znode that the members mirror.
pub(super) const CONF: &str = "/conf/app";

/// The version of the znode that the members mirror, with this content.
pub(super) fn version(content: &str) -> String {
    let source = Source::Znode(ZnodePath::parse(CONF).unwrap());
    version_of([(&source, &SourceBytes::Bytes(content.as_bytes().into()))]).to_string()
}

/// A record of a member that runs on this content, and is known to work on it.
pub(super) fn runs(content: &str) -> Value {
    json!({
        "v": 1, "state": "running", "since": 1_700_000_000_000_i64, "restarted": 0,
        "sources": [{"kind": "znode", "path": CONF}], "health": "ok",
        "wanted": version(content), "running": version(content), "confirmed": version(content),
    })
}

/// A record with other fields.
pub(super) fn with(record: &Value, fields: &Value) -> Value {
    let mut record = record.clone();
    for (name, value) in fields.as_object().unwrap() {
        record[name] = value.clone();
    }
    record
}

/// A record of a member that runs on the content `old` and wants `new`.
pub(super) fn wants(state: &str, old: &str, new: &str) -> Value {
    with(&runs(old), &json!({"state": state, "wanted": version(new)}))
}

/// A group in a chroot of its own.
pub(super) struct Group {
    pub(super) fixture: CtlFixture,
}

/// A member with a session of its own.
pub(super) struct Member {
    zk: Zk,
    path: String,
}

impl Group {
    /// A group whose members mirror a znode with this content.
    #[track_caller]
    pub(super) fn new(test_name: &str, content: &str) -> Self {
        let mut fixture = CtlFixture::new(test_name);
        fixture.create(CONF, content);
        fixture.create(&format!("{STATE}/members"), "");
        fixture.create(&format!("{STATE}/versions"), "");
        fixture.create(LOCK, "");
        Self { fixture }
    }

    /// Adds a member with this record.
    #[track_caller]
    pub(super) fn join(&self, id: &str, record: &Value) -> Member {
        let (mut zk, path) = (self.fixture.chroot.zk(), format!("{STATE}/members/{id}"));
        let created = zk.create_as(&path, record.to_string(), Create::Ephemeral);
        assert!(created.is_ok(), "{path}: {created:?}");
        Member { zk, path }
    }

    /// Writes the content that the members mirror.
    #[track_caller]
    pub(super) fn publish(&mut self, content: &str) {
        self.fixture.zk.set(CONF, content).unwrap();
    }

    /// Writes what is known of a content.
    #[track_caller]
    pub(super) fn know(&mut self, content: &str, record: &Value) {
        let path = format!("{STATE}/versions/{}", version(content));
        let bytes = record.to_string();
        if self.fixture.zk.exists(&path).unwrap().is_some() {
            self.fixture.zk.set(&path, bytes).unwrap();
        } else {
            self.fixture.create(&path, bytes);
        }
    }

    /// What is known of a content.
    #[track_caller]
    pub(super) fn known(&mut self, content: &str) -> Value {
        self.read(&format!("{STATE}/versions/{}", version(content)))
    }

    /// Writes what operators want.
    #[track_caller]
    pub(super) fn order(&mut self, control: &Value) {
        let path = format!("{STATE}/control");
        if self.fixture.zk.exists(&path).unwrap().is_some() {
            self.fixture.zk.set(&path, control.to_string()).unwrap();
        } else {
            self.fixture.create(&path, control.to_string());
        }
    }

    /// What operators want.
    #[track_caller]
    pub(super) fn control(&mut self) -> Value {
        self.read(&format!("{STATE}/control"))
    }

    #[track_caller]
    fn read(&mut self, path: &str) -> Value {
        let znode = self.fixture.zk.get(path);
        super::super::json(znode.unwrap_or_else(|e| panic!("cannot read {path}: {e}")).data)
    }

    fn tool(&self, command: &str, arguments: &[&str]) -> Tool {
        self.fixture.tool(&["rollout", command, GROUP]).args(arguments).env("USER", "ann")
    }

    /// Runs `zkctl rollout COMMAND` for this group.
    #[track_caller]
    pub(super) fn run(&self, command: &str, arguments: &[&str]) -> Output {
        self.tool(command, arguments).run()
    }

    /// Starts `zkctl rollout COMMAND` for this group.
    #[track_caller]
    pub(super) fn start(&self, command: &str, arguments: &[&str]) -> Running {
        self.tool(command, arguments).spawn()
    }
}

impl Member {
    #[track_caller]
    pub(super) fn tell(&mut self, record: &Value) {
        self.zk.set(&self.path, record.to_string()).unwrap();
    }

    /// Joins the queue for the lock; returns the name of the contender.
    #[track_caller]
    pub(super) fn contend(&mut self, data: &str) -> String {
        contend(&mut self.zk, data)
    }

    /// Leaves the queue.
    #[track_caller]
    pub(super) fn leave_queue(&mut self, contender: &str) {
        self.zk.delete(&format!("{LOCK}/{contender}")).unwrap();
    }
}

/// Joins the queue for the lock of the group.
#[track_caller]
pub(super) fn contend(zk: &mut Zk, data: &str) -> String {
    zk.create_sequential(&format!("{LOCK}/ex"), data).unwrap()
}
