//! The command that runs after a change of CONF.

use crate::options::Config;
use farm_core::process::command::Finished;
use farm_core::process::hook::Hook;
use std::time::Instant;

/// The changed-command, and why it has to run.
#[derive(Debug)]
pub(crate) struct Announcer {
    pub(crate) hook: Hook,
    path: String,
    conf: String,
    pub(crate) due: Option<&'static str>,
}

impl Announcer {
    /// The one that the options ask for.
    pub(crate) fn of(
        config: &Config,
        post: impl Fn(Finished) + Send + Sync + 'static,
    ) -> Option<Self> {
        let command = config.hook.clone()?;
        let hook = Hook::new(command.text, command.limit, post);
        let (path, conf) = (config.entry.to_string(), config.conf.display().to_string());
        Some(Self { hook, path, conf, due: None })
    }

    /// Runs the command once for all that has been done up to now.
    pub(crate) fn announce(&mut self, is_written: bool) {
        let due = self.due.take().or(is_written.then_some("change"));
        if let Some(event) = due {
            let (path, conf) = (self.path.clone(), self.conf.clone());
            let environment =
                vec![("ZK_EVENT", event.to_owned()), ("ZK_PATH", path), ("ZK_FILE", conf)];
            self.hook.request(Instant::now(), environment);
        }
    }
}
