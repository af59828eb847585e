//! Messages to the service manager (`sd_notify`), if there is one.
//!
//! Each message is one datagram to the socket that `NOTIFY_SOCKET` names.
//! **Invariant.** Nothing here blocks or fails: a tool works on when the service manager
//! does not listen. A message that finds the manager's queue full is sent again until it is
//! taken, in the order of the messages; only the newest status is kept.
//!
//! The watchdog of the manager (`WATCHDOG_USEC`) is fed by [`Notifier::tick`] and nowhere else,
//! so that it is fed only while the main loop turns.

use crate::engine::{printable, variable};
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::io::{self, ErrorKind};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

const SOCKET_VARIABLE: &str = "NOTIFY_SOCKET";
const WATCHDOG_VARIABLE: &str = "WATCHDOG_USEC";
const WATCHDOG_PID_VARIABLE: &str = "WATCHDOG_PID";

const STATUS: &str = "STATUS=";
const WATCHDOG: &str = "WATCHDOG=1";

/// How long to wait for room in the manager's queue.
const RESEND_INTERVAL: Duration = Duration::from_millis(100);
/// The watchdog is fed no more often, whatever interval it has.
const FEED_INTERVAL_LEAST: Duration = Duration::from_millis(10);

/// Sends messages to the service manager that started us.
#[derive(Debug, Default)]
pub struct Notifier {
    socket: Option<(UnixDatagram, SocketAddr)>,
    status: String,
    is_ready: bool,
    /// Messages that the manager's queue had no room for, oldest first.
    unsent: VecDeque<String>,
    resend_at: Option<Instant>,
    watchdog: Option<Watchdog>,
}

#[derive(Debug, Clone, Copy)]
struct Watchdog {
    interval: Duration,
    next: Instant,
}

impl Notifier {
    /// Reads `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`; without the first, nothing is
    /// sent.
    #[must_use]
    pub fn from_environment() -> Self {
        let watchdog = feed_interval(variable(WATCHDOG_VARIABLE), variable(WATCHDOG_PID_VARIABLE));
        Self::new(variable(SOCKET_VARIABLE), watchdog)
    }

    fn new(address: Option<OsString>, feed_interval: Option<Duration>) -> Self {
        let Some(address) = address else { return Self::default() };
        let watchdog = feed_interval.map(|interval| Watchdog { interval, next: Instant::now() });
        match open(&address) {
            Ok(socket) => Self { socket: Some(socket), watchdog, ..Self::default() },
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
            self.send("READY=1".to_owned());
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
            self.unsent.retain(|message| !message.starts_with(STATUS));
            self.send(format!("{STATUS}{}", printable(&status)));
            self.status = status;
        }
    }

    /// Tells the service manager that the tool is about to exit.
    pub fn stopping(&mut self) {
        self.send("STOPPING=1".to_owned());
    }

    /// When [`Self::tick`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.resend_at.into_iter().chain(self.watchdog.map(|watchdog| watchdog.next)).min()
    }

    /// Feeds the watchdog and sends again what the manager had no room for, if either is due.
    pub fn tick(&mut self, now: Instant) {
        if let Some(watchdog) = self.watchdog.as_mut().filter(|watchdog| watchdog.next <= now) {
            watchdog.next = now + watchdog.interval;
            // One that finds no room is as good as sent: the manager has something to read.
            let _ = self.try_send(WATCHDOG);
        }
        if self.resend_at.is_some_and(|at| at <= now) {
            self.send_unsent(now);
        }
    }

    fn send(&mut self, message: String) {
        if self.socket.is_some() {
            self.unsent.push_back(message);
            self.send_unsent(Instant::now());
        }
    }

    fn send_unsent(&mut self, now: Instant) {
        self.resend_at = None;
        while let Some(message) = self.unsent.front() {
            if self.try_send(message).is_err() {
                self.resend_at = Some(now + RESEND_INTERVAL);
                return;
            }
            self.unsent.pop_front();
        }
    }

    /// Sends a message; an error says that there is no room for it now.
    fn try_send(&self, message: &str) -> Result<(), NoRoom> {
        let Some((socket, address)) = &self.socket else { return Ok(()) };
        match socket.send_to_addr(message.as_bytes(), address) {
            Ok(_) => Ok(()),
            Err(error) if is_no_room(&error) => Err(NoRoom),
            Err(error) => {
                log::debug!("cannot send {message:?} to the service manager: {error}");
                Ok(())
            }
        }
    }
}

#[derive(Debug)]
struct NoRoom;

fn is_no_room(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::OutOfMemory)
        || error.raw_os_error() == Some(nix::errno::Errno::ENOBUFS as i32)
}

/// How often to feed the watchdog: twice in the time that it allows, as sd_watchdog_enabled(3)
/// asks for. `None` if it is off or meant for another process.
fn feed_interval(usec: Option<OsString>, pid: Option<OsString>) -> Option<Duration> {
    let number = |text: OsString| text.to_str()?.parse::<u64>().ok();
    if pid.is_some_and(|pid| number(pid) != Some(std::process::id().into())) {
        return None;
    }
    let usec = usec.and_then(number).filter(|usec| *usec > 0)?;
    Some((Duration::from_micros(usec) / 2).max(FEED_INTERVAL_LEAST))
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
        send_all(Notifier::new(Some(path.into()), None), &manager);
    }

    #[test]
    fn a_manager_with_an_abstract_name_receives_them_too() {
        let name = format!("farm-core-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        send_all(Notifier::new(Some(format!("@{name}").into()), None), &manager);
    }

    #[test]
    fn a_missing_or_unreachable_manager_is_no_error() {
        for address in [None, Some("/nowhere/at/all"), Some("@nobody"), Some("\0")] {
            let mut notifier = Notifier::new(address.map(OsString::from), None);
            notifier.ready();
            notifier.status("well");
            notifier.stopping();
        }
    }

    #[test]
    fn what_a_full_queue_has_no_room_for_is_sent_when_there_is_some() {
        let scratch = Scratch::new();
        let path = scratch.join("socket");
        let manager = UnixDatagram::bind(&path).unwrap();
        let other = UnixDatagram::unbound().unwrap();
        other.set_nonblocking(true).unwrap();
        while other.send_to(b"another service", &path).is_ok() {}
        let mut notifier = Notifier::new(Some(path.into()), None);
        notifier.ready();
        notifier.status("first");
        notifier.status("second");
        let due = notifier.deadline().unwrap();
        notifier.tick(due);
        assert!(notifier.deadline().unwrap() > due, "there is still no room");

        while receive(&manager).is_some_and(|message| message == "another service") {}
        notifier.tick(notifier.deadline().unwrap());
        let received: Vec<String> = std::iter::from_fn(|| receive(&manager)).collect();
        assert_eq!(received, ["READY=1", "STATUS=second"]);
        assert_eq!(notifier.deadline(), None);
    }

    #[test]
    fn the_watchdog_is_fed_twice_in_its_time_and_only_by_ticks() {
        let interval = |usec: &str, pid: Option<&str>| {
            feed_interval(Some(usec.into()), pid.map(OsString::from))
        };
        let own = std::process::id().to_string();
        assert_eq!(interval("3000000", None), Some(Duration::from_millis(1500)));
        assert_eq!(interval("3000000", Some(&own)), Some(Duration::from_millis(1500)));
        assert_eq!(interval("3000000", Some("1")), None, "the watchdog of another process");
        assert_eq!(interval("1", None), Some(FEED_INTERVAL_LEAST));
        for bad in ["0", "-1", "soon", "", "99999999999999999999999"] {
            assert_eq!(interval(bad, None), None, "{bad}");
        }

        let scratch = Scratch::new();
        let path = scratch.join("socket");
        let manager = UnixDatagram::bind(&path).unwrap();
        let second = Duration::from_secs(1);
        let mut notifier = Notifier::new(Some(path.into()), Some(second));
        assert_eq!(receive(&manager), None);
        let first = notifier.deadline().unwrap();
        for beat in 0..3 {
            notifier.tick(first + beat * second);
            assert_eq!(receive(&manager).as_deref(), Some("WATCHDOG=1"));
            notifier.tick(first + beat * second + second / 2);
            assert_eq!(receive(&manager), None);
        }
        assert_eq!(notifier.deadline(), Some(first + 3 * second));
    }
}
