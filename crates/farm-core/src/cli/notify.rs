//! Messages to the service manager (`sd_notify`), if there is one.
//!
//! Each message is one datagram to the socket that `NOTIFY_SOCKET` names.
//! **Invariant.** Nothing here blocks or fails: a tool works on when the service manager
//! does not listen.

use crate::engine::printable;
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::{env, io};

const SOCKET_VARIABLE: &str = "NOTIFY_SOCKET";

/// Sends messages to the service manager that started us.
#[derive(Debug, Default)]
pub struct Notifier {
    socket: Option<(UnixDatagram, SocketAddr)>,
    status: String,
    is_ready: bool,
}

impl Notifier {
    /// Reads `NOTIFY_SOCKET`; without it, nothing is sent.
    #[must_use]
    pub fn from_environment() -> Self {
        Self::with_socket(env::var_os(SOCKET_VARIABLE))
    }

    fn with_socket(address: Option<OsString>) -> Self {
        let Some(address) = address.filter(|address| !address.is_empty()) else {
            return Self::default();
        };
        match open(&address) {
            Ok(socket) => Self { socket: Some(socket), ..Self::default() },
            Err(error) => {
                log::warn!("cannot use the socket of the service manager: {error}");
                Self::default()
            }
        }
    }

    /// Tells the service manager once that the tool is ready.
    pub fn ready(&mut self) {
        if !self.is_ready {
            self.is_ready = true;
            self.send("READY=1");
        }
    }

    /// Sends the state of the tool in words, unless it is the same as before.
    pub fn status(&mut self, status: &(impl Display + ?Sized)) {
        // Saves formatting a status that nobody reads.
        if self.socket.is_none() {
            return;
        }
        let status = status.to_string();
        if self.status != status {
            self.send(&format!("STATUS={}", printable(&status)));
            self.status = status;
        }
    }

    /// Tells the service manager that the tool is about to exit.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    fn send(&self, message: &str) {
        let Some((socket, address)) = &self.socket else { return };
        if let Err(error) = socket.send_to_addr(message.as_bytes(), address) {
            log::debug!("cannot send {message:?} to the service manager: {error}");
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

    fn receive(manager: &UnixDatagram) -> Option<String> {
        manager.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let mut buffer = [0; 4096];
        let length = manager.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
    }

    fn send_all(mut notifier: Notifier, manager: &UnixDatagram) {
        notifier.status("waiting for ZooKeeper");
        notifier.ready();
        notifier.ready();
        notifier.status("3 hosts\nREADY=1");
        notifier.status("3 hosts\nREADY=1");
        notifier.stopping();
        let received: Vec<String> = std::iter::from_fn(|| receive(manager)).collect();
        assert_eq!(
            received,
            ["STATUS=waiting for ZooKeeper", "READY=1", "STATUS=3 hosts\\nREADY=1", "STOPPING=1"]
        );
    }

    #[test]
    fn a_manager_with_a_path_receives_each_message_once() {
        let scratch = Scratch::new();
        let path = scratch.join("socket");
        let manager = UnixDatagram::bind(&path).unwrap();
        send_all(Notifier::with_socket(Some(path.into())), &manager);
    }

    #[test]
    fn a_manager_with_an_abstract_name_receives_them_too() {
        let name = format!("farm-core-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        send_all(Notifier::with_socket(Some(format!("@{name}").into())), &manager);
    }

    #[test]
    fn a_missing_or_unreachable_manager_is_no_error() {
        for address in [None, Some(""), Some("/nowhere/at/all"), Some("@nobody"), Some("\0")] {
            let mut notifier = Notifier::with_socket(address.map(OsString::from));
            notifier.ready();
            notifier.status("well");
            notifier.stopping();
        }
    }
}
