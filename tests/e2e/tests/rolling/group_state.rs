//! What a group remembers, read and written by a test without the code of the tools.

use super::fixture::{CONF, GroupFixture, id};
use farm_harness::{Output, Tool, Zk, ZkError, eventually, eventually_within};
use serde_json::{Value, json};
use std::time::Duration;

/// The state of the group.
pub(crate) const STATE: &str = "/_zkexec/web";

/// Enough for two sessions to expire, one after the other.
pub(crate) const TWO_EXPIRIES: Duration = Duration::from_secs(20);

/// How often a test repeats what it shows; `FARM_ROUNDS` sets it.
pub(crate) fn rounds() -> usize {
    std::env::var("FARM_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2)
}

/// The version of a group that mirrors [`CONF`], as the documentation describes it.
#[track_caller]
pub(crate) fn version_of(content: &str) -> String {
    let mut bytes = Vec::new();
    for (text, before) in [("znode", &[][..]), (CONF, &[]), (content, &[1])] {
        bytes.extend_from_slice(before);
        bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    let sum = Tool::program("sha256sum").stdin(bytes).run();
    sum.ok().text()[..12].to_owned()
}

fn path_of(content: &str) -> String {
    format!("{STATE}/versions/{}", version_of(content))
}

/// A record; `None` if the znode does not exist.
#[track_caller]
pub(crate) fn record(zk: &mut Zk, path: &str) -> Option<Value> {
    match zk.get(path) {
        Ok(znode) => Some(serde_json::from_slice(&znode.data).unwrap()),
        Err(ZkError::NoNode) => None,
        Err(error) => panic!("{path}: {error}"),
    }
}

impl GroupFixture<'_> {
    /// What the group knows of a content; `null` if nothing.
    #[track_caller]
    pub(crate) fn verdict(&mut self, content: &str) -> Value {
        record(&mut self.zk, &path_of(content)).unwrap_or_default()
    }

    /// Waits until the group has this verdict on a content.
    #[track_caller]
    pub(crate) fn wait_verdict(&mut self, content: &str, verdict: &str) -> Value {
        self.wait_known(content, &format!("{content:?} is {verdict}"), |known| {
            known["verdict"] == verdict
        })
    }

    /// Waits until that many tries of a content are counted.
    #[track_caller]
    pub(crate) fn wait_tries(&mut self, content: &str, tries: usize) -> Value {
        self.wait_known(content, &format!("{tries} tries of {content:?}"), |known| {
            known["tries"] == tries
        })
    }

    #[track_caller]
    fn wait_known(&mut self, content: &str, what: &str, probe: impl Fn(&Value) -> bool) -> Value {
        let path = path_of(content);
        eventually_within(TWO_EXPIRIES, what, || {
            let known = record(&mut self.zk, &path).unwrap_or_default();
            if probe(&known) { Ok(known) } else { Err(known.to_string()) }
        })
    }

    /// What a member tells; `null` if nothing.
    #[track_caller]
    pub(crate) fn told_by(&mut self, member: &str) -> Value {
        record(&mut self.zk, &format!("{STATE}/members/{member}")).unwrap_or_default()
    }

    /// Waits until a member that has its own id tells that it is in this state.
    #[track_caller]
    pub(crate) fn wait_state(&mut self, who: usize, state: &str) -> Value {
        let member = id(who);
        eventually_within(TWO_EXPIRIES, &format!("{member} is {state}"), || {
            let told = self.told_by(&member);
            if told["state"] == state { Ok(told) } else { Err(told.to_string()) }
        })
    }

    /// Waits until a member that has its own id tells that it has noticed this content.
    #[track_caller]
    pub(crate) fn wait_wanted(&mut self, who: usize, content: &str) {
        let (member, version) = (id(who), version_of(content));
        eventually(&format!("{member} wants {content:?}"), || {
            let told = self.told_by(&member);
            if told["wanted"] == *version { Ok(()) } else { Err(told.to_string()) }
        });
    }

    /// Waits until a member that has its own id tells something.
    #[track_caller]
    pub(crate) fn told_again(&mut self, who: usize) -> Value {
        let member = id(who);
        eventually_within(TWO_EXPIRIES, &format!("{member} tells something"), || {
            let told = self.told_by(&member);
            if told.is_null() { Err("nothing") } else { Ok(told) }
        })
    }

    /// Changes what operators want.
    #[track_caller]
    pub(crate) fn control(&mut self, change: impl FnOnce(&mut Value)) {
        let path = format!("{STATE}/control");
        let mut wanted = record(&mut self.zk, &path).unwrap_or_else(|| json!({"v": 1}));
        change(&mut wanted);
        let bytes = wanted.to_string();
        match self.zk.set(&path, &bytes) {
            Ok(_) => {}
            Err(ZkError::NoNode) => self.zk.create_all(&path, bytes).unwrap(),
            Err(error) => panic!("{path}: {error}"),
        }
    }

    /// The restart that operators want.
    #[track_caller]
    pub(crate) fn wanted_restart(&mut self) -> u64 {
        let control = record(&mut self.zk, &format!("{STATE}/control")).unwrap_or_default();
        control["restart"].as_u64().unwrap_or_default()
    }

    /// Has all children restarted, as `zkctl rollout restart` does.
    #[track_caller]
    pub(crate) fn raise_restart(&mut self) -> u64 {
        let wanted = self.wanted_restart() + 1;
        self.control(|control| control["restart"] = wanted.into());
        wanted
    }

    /// Tells the group something of a content.
    #[track_caller]
    pub(crate) fn tell(&mut self, content: &str, known: &Value) {
        let path = path_of(content);
        match self.zk.set(&path, known.to_string()) {
            Ok(_) => {}
            Err(ZkError::NoNode) => self.zk.create_all(&path, known.to_string()).unwrap(),
            Err(error) => panic!("{path}: {error}"),
        }
    }

    /// Runs `zkctl rollout`.
    #[track_caller]
    pub(crate) fn rollout(&self, args: &[&str]) -> Output {
        self.rollout_tool(args).run()
    }

    pub(crate) fn rollout_tool(&self, args: &[&str]) -> Tool {
        Tool::new("zkctl").args(["-H", &self.servers(), "rollout"]).args(args)
    }

    /// Breaks the contender of a process by hand.
    #[track_caller]
    pub(crate) fn break_lock(&mut self, pid: u32) {
        let name = eventually("it has a contender", || {
            let queue = self.queue();
            let ours = queue.iter().find(|one| one.pid == Some(pid));
            ours.map(|one| one.name.clone()).ok_or_else(|| format!("{queue:?}"))
        });
        let zkctl = Tool::new("zkctl").args(["-H", &self.servers(), "locks", "web"]);
        zkctl.args(["--break", &name]).run().ok();
    }
}
