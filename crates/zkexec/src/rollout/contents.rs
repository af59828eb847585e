//! The contents that a rollout keeps track of.

/// The wanted content, the installed one, and those known to work or to fail.
#[derive(Debug, Clone, Hash)]
pub(super) struct Contents<C> {
    /// The content in ZooKeeper.
    pub(super) wanted: Option<C>,
    /// The content of the files, which the child was started on.
    pub(super) running: Option<C>,
    /// The content that worked last.
    pub(super) good: Option<C>,
    /// The content that is being staged.
    pub(super) staged: Option<C>,
    /// The content that is known to fail.
    pub(super) failed: Option<C>,
}

impl<C: Clone + PartialEq> Contents<C> {
    pub(super) const fn none() -> Self {
        Self { wanted: None, running: None, good: None, staged: None, failed: None }
    }

    /// Records what is in ZooKeeper. Equal bytes may have another version now, which then is the
    /// one of the files too.
    pub(super) fn want(&mut self, content: C) {
        for held in [&mut self.running, &mut self.good, &mut self.failed, &mut self.staged] {
            if held.as_ref() == Some(&content) {
                *held = Some(content.clone());
            }
        }
        self.wanted = Some(content);
    }

    /// Records the content of the first start.
    pub(super) fn begin(&mut self, content: C) {
        self.running = Some(content.clone());
        self.good = Some(content.clone());
        self.wanted.get_or_insert(content);
    }

    /// Records that the existing files, on which the child was started, have this content.
    pub(super) fn recognise(&mut self, content: C) {
        if self.is_good() {
            self.good = Some(content.clone());
        }
        self.running = Some(content);
    }

    /// Whether the files have the wanted content.
    pub(super) fn is_in_place(&self) -> bool {
        self.wanted == self.running
    }

    pub(super) fn is_staged(&self) -> bool {
        self.wanted == self.staged
    }

    /// Whether the wanted content was tried and failed.
    pub(super) fn is_known_to_fail(&self) -> bool {
        self.failed.is_some() && self.wanted == self.failed
    }

    /// Whether the content of the files was tried and failed.
    pub(super) fn has_failed(&self) -> bool {
        self.failed == self.running
    }

    /// Whether the files have the content that worked last.
    pub(super) fn is_good(&self) -> bool {
        self.good == self.running
    }

    /// Stages the wanted content.
    pub(super) fn stage(&mut self) -> Option<C> {
        self.staged = self.wanted.clone();
        self.staged.clone()
    }

    /// Marks the content of the files as good; returns whether that is new.
    pub(super) fn mark_good(&mut self) -> bool {
        let is_new = !self.is_good();
        if is_new {
            self.good.clone_from(&self.running);
            self.failed = None;
        }
        is_new
    }
}
