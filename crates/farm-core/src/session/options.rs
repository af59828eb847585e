//! The options of a session.

use super::{Acl, Auth, Servers, Tls};
use std::time::Duration;

/// The shortest session timeout that is asked for: a shorter one leaves no time to
/// notice a silent server and to reach another one.
pub const SESSION_TIMEOUT_LEAST: Duration = Duration::from_secs(4);

/// The options of a session.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// The servers of the ensemble, and the chroot.
    pub servers: Servers,
    /// The session timeout to ask for, at least [`SESSION_TIMEOUT_LEAST`].
    pub session_timeout: Duration,
    /// After this many failed rounds over all servers in a row,
    /// [`Event::GaveUp`](super::Event::GaveUp) is posted; `None` never gives up.
    pub rounds_max: Option<u32>,
    /// How many blocking requests may be in flight at once.
    pub request_threads: usize,
    /// The credentials that every server is given before any other request.
    pub auth: Auth,
    /// The access list of the znodes that we create.
    pub acl: Acl,
    /// How to use TLS with the servers; `None` is plain text.
    pub tls: Option<Tls>,
}
