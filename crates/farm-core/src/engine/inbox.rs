//! The one queue of a process.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

/// Creates the queue, with its receiving and its posting end.
#[must_use]
pub fn inbox<E>() -> (Inbox<E>, Outbox<E>) {
    let (sender, receiver) = channel();
    (Inbox { receiver }, Outbox { sender })
}

/// Waits until then, in a command without an event loop.
pub fn wait_until(deadline: Instant) {
    let (inbox, _open) = inbox::<()>();
    inbox.next(Some(deadline));
}

/// The receiving end, held by the loop on the main thread.
#[derive(Debug)]
pub struct Inbox<E> {
    receiver: Receiver<E>,
}

impl<E> Inbox<E> {
    /// Waits for the next event until the deadline, or without one forever.
    ///
    /// `None` means that the deadline has passed, or that no [`Outbox`] is left.
    pub fn next(&self, deadline: Option<Instant>) -> Option<E> {
        let Some(deadline) = deadline else { return self.receiver.recv().ok() };
        let left = deadline.saturating_duration_since(Instant::now());
        self.receiver.recv_timeout(left).ok()
    }

    /// Takes the next event without waiting, if there is one.
    pub fn take(&self) -> Option<E> {
        self.receiver.try_recv().ok()
    }
}

/// The posting end. A clone is cheap, and posting never blocks.
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
    /// Posts an event. If the inbox is closed, the process is ending, and the event is
    /// dropped.
    pub fn post(&self, event: E) {
        drop(self.sender.send(event));
    }

    /// A callback that wraps its argument as an event and posts it.
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
    fn a_callback_posts_its_argument_as_an_event() {
        let (inbox, outbox) = inbox();
        let post = outbox.posting(Some);
        post(1);
        let _worker = crate::engine::Worker::start("post", move || post(2)).unwrap();
        assert_eq!(inbox.next(None), Some(Some(1)));
        assert_eq!(inbox.next(None), Some(Some(2)));
    }

    #[test]
    fn next_does_not_hang_without_an_outbox() {
        let (inbox, outbox) = inbox::<u8>();
        drop(outbox);
        assert_eq!(inbox.next(None), None);
    }
}
