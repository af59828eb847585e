//! The command that runs after a change of CONF.

use crate::options::Config;
use farm_core::process::command::Finished;
use farm_core::process::hook::Hook;
use std::time::Instant;

/// Runs the changed-command.
#[derive(Debug)]
pub(crate) struct Announcer {
    pub(crate) hook: Hook,
    path: String,
    conf: String,
    /// The event that the next run announces, if it is not a change.
    pub(crate) pending_event: Option<&'static str>,
}

impl Announcer {
    /// `None` without `--changed-cmd`.
    pub(crate) fn new(
        config: &Config,
        post: impl Fn(Finished) + Send + Sync + 'static,
    ) -> Option<Self> {
        let command = config.hook.clone()?;
        let hook = Hook::new(command.text, command.limit, post);
        let (path, conf) = (config.entry.to_string(), config.conf.display().to_string());
        Some(Self { hook, path, conf, pending_event: None })
    }

    /// Runs the command once for everything since the last call.
    pub(crate) fn announce(&mut self, is_written: bool) {
        let event = self.pending_event.take().or(is_written.then_some("change"));
        if let Some(event) = event {
            let (path, conf) = (self.path.clone(), self.conf.clone());
            let environment =
                vec![("ZK_EVENT", event.to_owned()), ("ZK_PATH", path), ("ZK_FILE", conf)];
            self.hook.request(Instant::now(), environment);
        }
    }
}
