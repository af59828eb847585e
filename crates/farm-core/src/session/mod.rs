//! One ZooKeeper session, reported as a stream of events.
//!
//! This layer deals with paths, versions and bytes. It knows nothing of farms, hosts
//! and formats. Its parts, from the wire up:
//!
//! - `wire` and `multi` encode and decode the protocol, `link` is its state machine,
//!   `timeouts` says how long to wait for an answer, `lease` how long the session is sure to
//!   live;
//! - `dial` finds a server, `stream` is a socket, `tls` encrypts it, `listener` accepts
//!   the connection of the client library, `relay` is the thread that runs all of them,
//!   `reporter` logs the events of the link and passes them on;
//! - `client` makes blocking requests through the client library, which only ever talks
//!   to the relay, and whose end `sentinel` notices; `request_pool` holds the threads that make
//!   them for the loop;
//! - `handle` is the [`Session`] that owns all of this, `generation` its part for one
//!   session; `opening` retries the first one while the host or the process lacks something.
//!
//! **Invariant.** The link is the only source of truth about the connection, and its
//! events arrive in the order in which they happened: a hint that follows
//! [`Event::Connected`] belongs to that connection, and nothing of a session follows its
//! [`Event::Lost`].

mod acl;
mod action;
mod auth;
pub mod cache;
mod client;
mod closed;
mod connect_error;
mod connection_gate;
mod dial;
mod down_reason;
mod error;
mod event;
#[doc(hidden)]
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod generation;
mod handle;
mod hint;
mod id;
mod lease;
mod link;
mod listener;
#[doc(hidden)]
#[cfg(any(test, feature = "testing"))]
pub mod live;
mod multi;
mod opening;
mod options;
mod panic_slot;
mod path;
mod peer;
mod reader;
mod relay;
mod reporter;
mod request_pool;
mod sentinel;
mod servers;
mod stream;
mod timeouts;
mod tls;
mod waker;
mod wire;
mod znode;

pub use acl::{Acl, AclError};
pub use action::Action;
pub use auth::{Auth, AuthError, CREDENTIALS_MAX};
pub use client::Client;
pub use connect_error::ConnectError;
pub use down_reason::DownReason;
pub use error::{DATA_BYTES_MAX, SessionError};
pub use event::Event;
pub use handle::Session;
pub use hint::{Change, Hint};
pub use id::SessionId;
pub use lease::Lease;
pub use options::{SESSION_TIMEOUT_LEAST, SessionOptions};
pub use path::{PATH_BYTES_MAX, PathError, PathFault, ZnodePath};
pub use reader::ReaderEvent;
pub use servers::{DEFAULT_PORT, SERVERS_MAX, Server, ServerFault, Servers, ServersError};
pub use tls::{FileFault, Identity, SYSTEM_CA, Tls, TlsError, check_server_name};
pub use znode::{CreateMode, Stat, Watch, Znode};
