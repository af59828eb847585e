//! Threads with a name and an owner.

use std::thread::{Builder, JoinHandle};

/// A thread that is joined when its owner is dropped.
///
/// The owner must be able to end it: keep the sender that feeds it *above* the worker in
/// the struct, so that it is dropped first.
#[derive(Debug)]
pub struct Worker {
    handle: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// If the system can't create a thread.
    pub fn start(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<Self> {
        let handle = Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(Self { handle: Some(handle) })
    }

    /// Detaches the thread: for one in a call that can't be interrupted, such as a name
    /// look-up.
    pub fn leave(mut self) {
        self.handle = None;
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let Some(handle) = self.handle.take() else { return };
        // A worker may hold the last reference to its owner, and can't join itself.
        if handle.thread().id() != std::thread::current().id() && handle.join().is_err() {
            log::error!("a worker thread panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn drop_waits_for_the_thread() {
        let (sender, receiver) = channel();
        let worker = Worker::start("test", move || sender.send(7).unwrap()).unwrap();
        drop(worker);
        assert_eq!(receiver.try_recv(), Ok(7));
    }
}
