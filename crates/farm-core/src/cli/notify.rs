//! What the service manager is told, if there is one.
//!
//! The protocol is one datagram per message to the socket that `NOTIFY_SOCKET`
//! names. **Invariant.** Nothing here blocks or fails: a manager that does not
//! listen is no reason to stop working.

use crate::engine::printable;
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::{env, io};

const SOCKET: &str = "NOTIFY_SOCKET";

/// Speaks to the service manager that started us.
#[derive(Debug, Default)]
pub struct Notifier {
    line: Option<(UnixDatagram, SocketAddr)>,
    status: String,
    is_ready: bool,
}

impl Notifier {
    /// Finds the service manager; without one, nothing is sent.
    #[must_use]
    pub fn from_environment() -> Self {
        Self::speaking_to(env::var_os(SOCKET))
    }

    fn speaking_to(address: Option<OsString>) -> Self {
        let Some(address) = address.filter(|address| !address.is_empty()) else {
            return Self::default();
        };
        match open(&address) {
            Ok(line) => Self { line: Some(line), ..Self::default() },
            Err(error) => {
                log::warn!("the service manager can't be told anything: {error}");
                Self::default()
            }
        }
    }

    /// Says that the tool's promise holds from now on. Said once.
    pub fn ready(&mut self) {
        if !self.is_ready {
            self.is_ready = true;
            self.send("READY=1");
        }
    }

    /// Says in words what state the tool is in; the same words are not repeated.
    pub fn status(&mut self, status: &(impl Display + ?Sized)) {
        // Nobody else needs it in words.
        if self.line.is_none() {
            return;
        }
        let status = status.to_string();
        if self.status != status {
            self.send(&format!("STATUS={}", printable(&status)));
            self.status = status;
        }
    }

    /// Says that the tool is about to end.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    fn send(&self, message: &str) {
        let Some((socket, address)) = &self.line else { return };
        if let Err(error) = socket.send_to_addr(message.as_bytes(), address) {
            log::debug!("the service manager was not told {message:?}: {error}");
        }
    }
}

fn open(address: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match address.as_bytes().split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(address)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use farm_harness::Scratch;
    use std::time::Duration;

    fn hear(manager: &UnixDatagram) -> Option<String> {
        manager.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let mut buffer = [0; 4096];
        let length = manager.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
    }

    fn tell_all(mut notifier: Notifier, manager: &UnixDatagram) {
        notifier.status("waiting for ZooKeeper");
        notifier.ready();
        notifier.ready();
        notifier.status("3 hosts\nREADY=1");
        notifier.status("3 hosts\nREADY=1");
        notifier.stopping();
        let heard: Vec<String> = std::iter::from_fn(|| hear(manager)).collect();
        assert_eq!(
            heard,
            ["STATUS=waiting for ZooKeeper", "READY=1", "STATUS=3 hosts\\nREADY=1", "STOPPING=1"]
        );
    }

    #[test]
    fn a_manager_with_a_path_hears_each_thing_once() {
        let scratch = Scratch::new();
        let path = scratch.join("socket");
        let manager = UnixDatagram::bind(&path).unwrap();
        tell_all(Notifier::speaking_to(Some(path.into())), &manager);
    }

    #[test]
    fn a_manager_with_an_abstract_name_hears_too() {
        let name = format!("farm-core-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        tell_all(Notifier::speaking_to(Some(format!("@{name}").into())), &manager);
    }

    #[test]
    fn without_a_manager_or_with_a_deaf_one_nothing_happens() {
        for address in [None, Some(""), Some("/nowhere/at/all"), Some("@nobody"), Some("\0")] {
            let mut notifier = Notifier::speaking_to(address.map(OsString::from));
            notifier.ready();
            notifier.status("well");
            notifier.stopping();
        }
    }
}
