//! The one queue of a process.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

/// Opens the queue: the end that waits, and the end that posts.
#[must_use]
pub fn inbox<E>() -> (Inbox<E>, Outbox<E>) {
    let (sender, receiver) = channel();
    (Inbox { receiver }, Outbox { sender })
}

/// The receiving end, held by the loop on the main thread.
#[derive(Debug)]
pub struct Inbox<E> {
    receiver: Receiver<E>,
}

impl<E> Inbox<E> {
    /// Waits for the next event, or for the deadline; no deadline waits for ever.
    ///
    /// `None` means that the deadline has passed, or that nobody is left who
    /// could post: either way there is nothing to wait for.
    pub fn next(&self, deadline: Option<Instant>) -> Option<E> {
        let Some(deadline) = deadline else { return self.receiver.recv().ok() };
        let patience = deadline.saturating_duration_since(Instant::now());
        self.receiver.recv_timeout(patience).ok()
    }

    /// Takes what is there already, without waiting.
    pub fn take(&self) -> Option<E> {
        self.receiver.try_recv().ok()
    }
}

/// The posting end; cheap to clone, never blocks.
#[derive(Debug)]
pub struct Outbox<E> {
    sender: Sender<E>,
}

impl<E> Clone for Outbox<E> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone() }
    }
}

impl<E> Outbox<E> {
    /// Posts an event. A closed inbox means that the process is ending, and
    /// then nobody misses the event.
    pub fn post(&self, event: E) {
        drop(self.sender.send(event));
    }

    /// A callback that posts what it is given as such an event.
    pub fn posting<A>(&self, event: fn(A) -> E) -> impl Fn(A) + Clone + use<A, E> {
        let outbox = self.clone();
        move |answer| outbox.post(event(answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn next_returns_events_in_order_and_none_at_the_deadline() {
        let (inbox, outbox) = inbox();
        outbox.post(1);
        outbox.clone().post(2);
        assert_eq!(inbox.next(None), Some(1));
        assert_eq!(inbox.next(Some(Instant::now())), Some(2));
        let deadline = Instant::now() + Duration::from_millis(5);
        assert_eq!(inbox.next(Some(deadline)), None);
        assert!(Instant::now() >= deadline);
    }

    #[test]
    fn what_a_callback_is_given_is_posted_as_its_event() {
        let (inbox, outbox) = inbox();
        let post = outbox.posting(Some);
        post(1);
        let _worker = crate::engine::Worker::start("post", move || post(2)).unwrap();
        assert_eq!(inbox.next(None), Some(Some(1)));
        assert_eq!(inbox.next(None), Some(Some(2)));
    }

    #[test]
    fn next_does_not_hang_when_nobody_can_post() {
        let (inbox, outbox) = inbox::<u8>();
        drop(outbox);
        assert_eq!(inbox.next(None), None);
    }
}
