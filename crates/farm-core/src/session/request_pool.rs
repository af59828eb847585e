//! Threads that make blocking requests for the loop.

use super::client::Client;
use super::panic_slot::PanicSlot;
use crate::engine::Worker;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

type Job = Box<dyn FnOnce(&Client) + Send>;

/// A fixed number of threads that share one queue of jobs. Jobs start in the order in
/// which they were sent; with one thread they also end in that order.
#[derive(Debug)]
pub(super) struct RequestPool {
    // Above the threads: they end when the last sender is dropped.
    jobs: Sender<Job>,
    workers: Vec<Worker>,
}

impl RequestPool {
    /// A job that panics ends the session and not the thread: otherwise whoever waits
    /// for its outcome would wait forever.
    pub(super) fn start(
        count: usize,
        client: &Arc<Client>,
        panic_slot: &PanicSlot,
    ) -> std::io::Result<Self> {
        let (jobs, queue) = channel::<Job>();
        // A thread holds the lock only while it waits for the next job.
        let queue = Arc::new(Mutex::new(queue));
        // Dropped as a whole if a thread is missing: the queue is closed before the threads
        // that wait for it are joined.
        let mut pool = Self { jobs, workers: Vec::with_capacity(count) };
        for number in 0..count {
            let (queue, client, panic_slot) =
                (Arc::clone(&queue), Arc::clone(client), panic_slot.clone());
            let work = move || {
                while let Some(job) = next(&queue) {
                    if !panic_slot.guard(|| job(&client)) {
                        client.declare_over();
                    }
                }
            };
            pool.workers.push(Worker::start(&format!("request-{number}"), work)?);
        }
        Ok(pool)
    }

    pub(super) fn send(&self, job: Job) {
        // The threads live as long as this handle.
        drop(self.jobs.send(job));
    }
}

fn next(queue: &Mutex<Receiver<Job>>) -> Option<Job> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}
