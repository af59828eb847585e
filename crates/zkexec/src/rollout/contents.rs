//! The contents that a rollout knows.

/// The content that is wanted, the one in the files, and those known to work or to fail.
#[derive(Debug)]
pub(super) struct Contents<C> {
    /// What ZooKeeper has.
    pub(super) wanted: Option<C>,
    /// What is in the files, and what the child was started on.
    pub(super) running: Option<C>,
    /// What worked last.
    pub(super) good: Option<C>,
    /// What is being staged.
    pub(super) staged: Option<C>,
    /// What is known not to work.
    pub(super) failed: Option<C>,
}

impl<C: Clone + PartialEq> Contents<C> {
    pub(super) const fn none() -> Self {
        Self { wanted: None, running: None, good: None, staged: None, failed: None }
    }

    /// The first child runs on this.
    pub(super) fn begin(&mut self, content: C) {
        self.running = Some(content.clone());
        self.good = Some(content.clone());
        self.wanted.get_or_insert(content);
    }

    /// What the child runs on turns out to be this.
    pub(super) fn recognise(&mut self, content: C) {
        if self.is_good() {
            self.good = Some(content.clone());
        }
        self.running = Some(content);
    }

    /// Is what is wanted what is in the files?
    pub(super) fn is_in_place(&self) -> bool {
        self.wanted == self.running
    }

    pub(super) fn is_staged(&self) -> bool {
        self.wanted == self.staged
    }

    /// Has what is wanted been tried, and did it not work?
    pub(super) fn is_known_to_fail(&self) -> bool {
        self.failed.is_some() && self.wanted == self.failed
    }

    /// Has what is in the files been tried, and did it not work?
    pub(super) fn has_failed(&self) -> bool {
        self.failed == self.running
    }

    /// Is what is in the files what worked last?
    pub(super) fn is_good(&self) -> bool {
        self.good == self.running
    }

    /// Stages the wanted content.
    pub(super) fn stage(&mut self) -> Option<C> {
        self.staged = self.wanted.clone();
        self.staged.clone()
    }

    /// Marks the content in the files as good; returns whether it was not before.
    pub(super) fn keep(&mut self) -> bool {
        let is_news = !self.is_good();
        if is_news {
            self.good.clone_from(&self.running);
            self.failed = None;
        }
        is_news
    }
}
