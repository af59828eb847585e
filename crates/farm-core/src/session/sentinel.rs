//! Notices that the threads of the client library have ended.
//!
//! The library does not tell: its requests just fail, as if the connection were broken. A
//! thread of it ends when it panics, because the system has no thread or memory for it.
//!
//! **Invariant.** The library owns the watcher on one of its threads, which ends soon after the
//! other one, and drops it however it ends.

use std::sync::{Arc, Weak};
use zookeeper::{WatchedEvent, Watcher};

/// While one exists, an end of the library is unexpected.
#[derive(Debug)]
pub(super) struct InUse;

/// A watcher whose drop shows that the library has ended.
pub(super) struct Sentinel {
    in_use: Weak<InUse>,
    report: Box<dyn Fn() + Send>,
}

impl Sentinel {
    /// Calls `report` on a thread of the library if that ends while `in_use` exists.
    pub(super) fn new(in_use: &Arc<InUse>, report: impl Fn() + Send + 'static) -> Self {
        Self { in_use: Arc::downgrade(in_use), report: Box::new(report) }
    }
}

impl Watcher for Sentinel {
    /// The relay passes no events on.
    fn handle(&self, _: WatchedEvent) {}
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        if self.in_use.strong_count() > 0 {
            (self.report)();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farm_harness::patience;
    use std::io::Write;
    use std::net::{Ipv4Addr, TcpListener};
    use std::sync::mpsc::channel;
    use std::time::Duration;
    use zookeeper::ZooKeeper;

    #[test]
    fn only_an_end_in_use_is_reported() {
        let (sender, reports) = channel();
        let in_use = Arc::new(InUse);
        let sentinel = || {
            let sender = sender.clone();
            Sentinel::new(&in_use, move || sender.send(()).unwrap())
        };
        let (early, late) = (sentinel(), sentinel());
        drop(early);
        assert!(reports.try_recv().is_ok());
        drop(in_use);
        drop(late);
        assert!(reports.try_recv().is_err());
    }

    #[test]
    fn a_panic_on_a_thread_of_the_library_is_reported() {
        let (sender, reports) = channel();
        let in_use = Arc::new(InUse);
        let sentinel = Sentinel::new(&in_use, move || sender.send(()).unwrap());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let _library = ZooKeeper::connect(&address, Duration::from_secs(60), sentinel).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        // Too short for an answer to the connect request.
        stream.write_all(&[0, 0, 0, 1, 0]).unwrap();
        reports.recv_timeout(patience(Duration::from_secs(20))).unwrap();
    }
}
