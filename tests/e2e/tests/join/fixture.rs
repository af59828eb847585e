//! Starts zkjoin with a config in its own directory and chroot.

use farm_harness::{Chroot, Ensemble, Running, Scratch, Tool, Zk, ZkError, eventually};
use serde_json::{Value, json};
use std::fmt::Display;
use std::fs;
use std::path::PathBuf;

/// The znode of the host.
pub(crate) const ENTRY: &str = "/farm/host";

/// A chroot on the shared server, and a directory.
pub(crate) struct JoinFixture {
    pub(crate) scratch: Scratch,
    pub(crate) zk: Zk,
    chroot: Chroot<'static>,
}

impl JoinFixture {
    #[track_caller]
    pub(crate) fn new(test: &str) -> Self {
        let chroot = Ensemble::shared().chroot(test);
        Self { scratch: Scratch::new(), zk: chroot.zk(), chroot }
    }

    /// Another client.
    #[track_caller]
    pub(crate) fn new_client(&self) -> Zk {
        self.chroot.zk()
    }

    /// The connect string of this test's chroot.
    pub(crate) fn servers(&self) -> String {
        self.chroot.connect_string()
    }

    /// The connect string of this test's chroot at another address.
    pub(crate) fn servers_at(&self, addr: impl Display) -> String {
        format!("{addr}{}", self.chroot.path())
    }

    /// `zkjoin` of [`ENTRY`] with this config.
    pub(crate) fn zkjoin(&self, conf: &str) -> Tool {
        self.zkjoin_at(&self.servers(), conf)
    }

    pub(crate) fn zkjoin_at(&self, servers: &str, conf: &str) -> Tool {
        Tool::new("zkjoin")
            .args(["-H", servers, "--session-timeout", "4s", "--name", "host", "/farm"])
            .arg(self.scratch.join(conf))
    }

    /// Starts zkjoin and waits until it has joined.
    #[track_caller]
    pub(crate) fn join(&self, conf: &str, more: &[&str]) -> Running {
        let running = self.zkjoin(conf).args(more).spawn();
        running.wait_log("joined; ");
        running
    }

    /// Makes the directory `conf` with these files.
    #[track_caller]
    pub(crate) fn dir(&self, files: &[(&str, &str)]) {
        fs::create_dir(self.scratch.join("conf")).unwrap();
        for (name, text) in files {
            self.scratch.write(format!("conf/{name}"), text);
        }
    }

    #[track_caller]
    pub(crate) fn record(&mut self) -> Value {
        record(&mut self.zk, ENTRY).unwrap()
    }

    /// Waits until the znode holds this record and the field `hostname`.
    #[track_caller]
    pub(crate) fn wait_record(&mut self, mut wanted: Value) {
        wanted["hostname"] = json!(hostname());
        self.wait_exact_record(&wanted);
    }

    #[track_caller]
    pub(crate) fn wait_exact_record(&mut self, wanted: &Value) {
        eventually(&format!("{ENTRY} holds {wanted}"), || {
            let found = record(&mut self.zk, ENTRY)?;
            if found == *wanted { Ok(()) } else { Err(found.to_string()) }
        });
    }

    /// Edits the znode with compare-and-set, as another tool would.
    #[track_caller]
    pub(crate) fn edit(&mut self, change: impl Fn(&mut Value)) {
        edit(&mut self.zk, ENTRY, change);
    }

    /// Waits until a file has this text.
    #[track_caller]
    pub(crate) fn wait_file(&self, name: &str, wanted: &str) {
        eventually(&format!("{name} contains {wanted:?}"), || {
            let found = self.scratch.read(name)?;
            if found == wanted { Ok(()) } else { Err(found) }
        });
    }

    #[track_caller]
    pub(crate) fn wait_removed(&self, name: &str) {
        eventually(&format!("{name} is gone"), || {
            if self.scratch.join(name).exists() { Err("it is there") } else { Ok(()) }
        });
    }

    /// Waits until a JSON config holds this record and the field `hostname`.
    #[track_caller]
    pub(crate) fn wait_json(&self, name: &str, mut wanted: Value) {
        wanted["hostname"] = json!(hostname());
        eventually(&format!("{name} contains {wanted}"), || {
            let found = self.json(name)?;
            if found == wanted { Ok(()) } else { Err(found.to_string()) }
        });
    }

    pub(crate) fn json(&self, name: &str) -> Result<Value, String> {
        let text = self.scratch.read(name)?;
        serde_json::from_str(&text).map_err(|e| format!("{e} in {text:?}"))
    }

    /// Replaces a file as most programs do: writes another file and renames it.
    #[track_caller]
    pub(crate) fn replace(&self, name: &str, text: &str) -> PathBuf {
        let path = self.scratch.join(name);
        let beside = self.scratch.write(format!("{name}.new"), text);
        fs::rename(&beside, &path).unwrap();
        path
    }
}

/// The hostname of this machine.
pub(crate) fn hostname() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned()
}

pub(crate) fn record(zk: &mut Zk, path: &str) -> Result<Value, String> {
    let znode = zk.get(path).map_err(|e| format!("{path}: {e:?}"))?;
    serde_json::from_slice(&znode.data).map_err(|e| format!("{e} in {:?}", znode.text()))
}

#[track_caller]
pub(crate) fn edit(zk: &mut Zk, path: &str, change: impl Fn(&mut Value)) {
    loop {
        let znode = zk.get(path).unwrap();
        let mut record: Value = serde_json::from_slice(&znode.data).unwrap();
        change(&mut record);
        match zk.set_if(path, record.to_string(), znode.stat.version) {
            Ok(_) => return,
            Err(ZkError::BadVersion) => {}
            Err(e) => panic!("{path}: {e:?}"),
        }
    }
}
