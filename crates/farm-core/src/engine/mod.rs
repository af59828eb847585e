//! The parts of an event loop: an inbox, named workers, signals, timers, log lines.
//!
//! **Invariant.** A process has one loop that owns all state and waits in one place,
//! [`Inbox::next`]. All other threads have an [`Outbox`] and only post.

mod backoff;
mod boottime;
mod byte_order_mark;
mod chain;
mod debounce;
mod environment;
mod ignored;
mod inbox;
mod log_once;
mod log_text;
mod post;
mod printable;
mod process_1;
mod retry;
mod signals;
mod stop;
mod unix_time;
mod worker;

pub use backoff::Backoff;
pub use boottime::Boottime;
pub use byte_order_mark::without_byte_order_mark;
pub use chain::chain;
pub use debounce::{Debounce, Wait};
pub use environment::variable;
pub use ignored::IgnoredSignals;
pub use inbox::{Inbox, Outbox, inbox, wait_until};
pub use log_once::LogOnce;
pub use log_text::log_text;
pub use post::Post;
pub use printable::{is_unprintable, printable, printable_lines, shown, single_line};
pub use process_1::end_process_1_on_signals;
pub use retry::{Retry, RetrySet};
pub use signals::{Signal, Signals};
pub use stop::{ask_for_stop, check_stop, forget_stop, is_stop, is_stop_overdue};
pub use unix_time::unix_ms;
pub use worker::Worker;
