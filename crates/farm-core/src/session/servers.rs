//! The servers of an ensemble.

use super::path::{PathError, ZnodePath};
use std::fmt;
use std::net::Ipv6Addr;

/// The port of a server if none is given.
pub const DEFAULT_PORT: u16 = 2181;

/// The most servers in one list.
pub const SERVERS_MAX: usize = 100;

/// The servers of an ensemble, and the chroot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Servers {
    list: Vec<Server>,
    chroot: ZnodePath,
}

/// One server by its name or address; a name is not resolved yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Server {
    host: String,
    port: u16,
}

impl Servers {
    /// Parses `host:port[,host:port...][/chroot]`; an IPv6 address is in brackets, a
    /// missing port is [`DEFAULT_PORT`].
    ///
    /// A chroot with a comma is refused although a znode could have that name: it is
    /// almost always a chroot after each server.
    ///
    /// # Errors
    ///
    /// [`ServersError`] names the piece that is wrong.
    pub fn parse(text: &str) -> Result<Self, ServersError> {
        let (hosts, chroot) = match text.find('/') {
            Some(slash) => {
                let chroot = text[slash..].trim();
                if chroot.contains(',') {
                    return Err(ServersError::CommaInChroot { chroot: chroot.to_owned() });
                }
                (&text[..slash], ZnodePath::parse(chroot).map_err(ServersError::Chroot)?)
            }
            None => (text, ZnodePath::root()),
        };
        if hosts.trim().is_empty() {
            return Err(ServersError::NoServer);
        }
        let mut list = Vec::new();
        for piece in hosts.split(',') {
            if list.len() == SERVERS_MAX {
                return Err(ServersError::TooMany);
            }
            list.push(Server::parse(piece.trim())?);
        }
        Ok(Self { list, chroot })
    }

    /// The servers in the given order, at least one.
    #[must_use]
    pub fn list(&self) -> &[Server] {
        &self.list
    }

    /// The znode below which all our paths are; `/` if none was given.
    #[must_use]
    pub const fn chroot(&self) -> &ZnodePath {
        &self.chroot
    }
}

impl fmt::Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, server) in self.list.iter().enumerate() {
            write!(f, "{}{server}", if index == 0 { "" } else { "," })?;
        }
        if self.chroot.is_root() { Ok(()) } else { write!(f, "{}", self.chroot) }
    }
}

impl Server {
    fn parse(piece: &str) -> Result<Self, ServersError> {
        let refuse = |fault| Err(ServersError::Server { piece: piece.to_owned(), fault });
        if piece.is_empty() {
            return refuse(ServerFault::Empty);
        }
        let (host, port) = match piece.strip_prefix('[') {
            Some(rest) => match rest.split_once(']') {
                Some((address, "")) => (address, None),
                Some((address, rest)) => match rest.strip_prefix(':') {
                    Some(port) => (address, Some(port)),
                    None => return refuse(ServerFault::Bracket),
                },
                None => return refuse(ServerFault::Bracket),
            },
            None => match piece.split_once(':') {
                Some((_, rest)) if rest.contains(':') => return refuse(ServerFault::BareIpv6),
                Some((host, port)) => (host, Some(port)),
                None => (piece, None),
            },
        };
        let is_host = if piece.starts_with('[') { is_ipv6(host) } else { is_name(host) };
        if !is_host {
            return refuse(ServerFault::Host);
        }
        let port = match port.map(read_port) {
            None => DEFAULT_PORT,
            Some(Some(port)) => port,
            Some(None) => return refuse(ServerFault::Port),
        };
        Ok(Self { host: host.to_owned(), port })
    }

    /// The name or address, an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

// A link-local address carries the name of its interface: fe80::1%eth0.
fn is_ipv6(text: &str) -> bool {
    let (address, zone) = text.split_once('%').unwrap_or((text, "0"));
    address.parse::<Ipv6Addr>().is_ok() && is_name(zone)
}

fn is_name(text: &str) -> bool {
    const NAME_BYTES_MAX: usize = 255;
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && text.chars().all(|c| !c.is_whitespace() && !c.is_control() && !"[]@".contains(c))
}

fn read_port(text: &str) -> Option<u16> {
    // `u16::from_str` also takes a sign.
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&port| is_number && port > 0)
}

/// A text is not a list of servers.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum ServersError {
    /// It has no server.
    #[error("no server is named")]
    NoServer,
    /// It has more than [`SERVERS_MAX`] servers.
    #[error("more than {SERVERS_MAX} servers are named")]
    TooMany,
    /// One piece is not a server.
    #[error("{piece:?} names no server: {fault}")]
    Server {
        /// The piece between the commas.
        piece: String,
        /// What is wrong with it.
        fault: ServerFault,
    },
    /// There are servers after the chroot, or a chroot has a comma in it.
    #[error("wrong chroot: {chroot:?} has a comma in it")]
    CommaInChroot {
        /// Everything from the first slash on.
        chroot: String,
    },
    /// What follows the servers is not a path.
    #[error("wrong chroot")]
    Chroot(#[source] PathError),
}

/// What is wrong with a piece that should name a server.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
pub enum ServerFault {
    /// It is empty.
    #[error("there is nothing between two commas")]
    Empty,
    /// Its host is neither a name nor an address.
    #[error("the host is neither a name nor an address")]
    Host,
    /// Its port is not a number from 1 to 65535.
    #[error("the port must be a number from 1 to 65535")]
    Port,
    /// A bracket is not closed, or is followed by something other than a port.
    #[error("it must look like [address]:port")]
    Bracket,
    /// It is an IPv6 address without brackets.
    #[error("an IPv6 address needs brackets, like [::1]:2181")]
    BareIpv6,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_reads_every_form() {
        let table = [
            ("localhost", "localhost:2181"),
            ("zk1:2182", "zk1:2182"),
            ("zk1,zk2:2182,10.0.0.3", "zk1:2181,zk2:2182,10.0.0.3:2181"),
            ("  zk1 , zk2:2182  ", "zk1:2181,zk2:2182"),
            ("[::1]", "[::1]:2181"),
            ("[::1]:2182,zk1", "[::1]:2182,zk1:2181"),
            ("[fe80::1%eth0]:2181", "[fe80::1%eth0]:2181"),
            ("zk1/app", "zk1:2181/app"),
            ("zk1,zk2/app/test", "zk1:2181,zk2:2181/app/test"),
            ("zk1 /app ", "zk1:2181/app"),
            ("zk1/", "zk1:2181"),
        ];
        for (text, canonical) in table {
            assert_eq!(Servers::parse(text).unwrap().to_string(), canonical, "{text:?}");
        }
        let servers = Servers::parse("[::1]:2182/app").unwrap();
        assert_eq!(servers.list()[0].host(), "::1");
        assert_eq!(servers.list()[0].port(), 2182);
        assert_eq!(servers.chroot().as_str(), "/app");
    }

    #[test]
    fn errors_name_the_piece() {
        let table = [
            ("zk1,,zk2", "", ServerFault::Empty),
            ("zk1,", "", ServerFault::Empty),
            (":2181", ":2181", ServerFault::Host),
            ("zk 1", "zk 1", ServerFault::Host),
            ("user@zk1", "user@zk1", ServerFault::Host),
            ("zk1,zk2:", "zk2:", ServerFault::Port),
            ("zk1:0", "zk1:0", ServerFault::Port),
            ("zk1:65536", "zk1:65536", ServerFault::Port),
            ("zk1:+1", "zk1:+1", ServerFault::Port),
            ("zk1:http", "zk1:http", ServerFault::Port),
            ("::1", "::1", ServerFault::BareIpv6),
            ("zk1:1:2", "zk1:1:2", ServerFault::BareIpv6),
            ("[::1", "[::1", ServerFault::Bracket),
            ("[::1]2181", "[::1]2181", ServerFault::Bracket),
            ("[zk1]:2181", "[zk1]:2181", ServerFault::Host),
            ("[fe80::1%]", "[fe80::1%]", ServerFault::Host),
        ];
        for (text, piece, fault) in table {
            let expected = ServersError::Server { piece: piece.to_owned(), fault };
            assert_eq!(Servers::parse(text), Err(expected), "{text:?}");
        }
        for text in ["", "  ", "/app"] {
            assert_eq!(Servers::parse(text), Err(ServersError::NoServer), "{text:?}");
        }
        assert!(matches!(Servers::parse("zk1/a//b"), Err(ServersError::Chroot(_))));
    }

    #[test]
    fn a_chroot_comes_once_and_has_no_comma() {
        for (text, chroot) in [
            ("zk1:2181/prod,zk2:2181/prod", "/prod,zk2:2181/prod"),
            ("zk1/prod,zk2", "/prod,zk2"),
            ("zk1/prod , zk2/test", "/prod , zk2/test"),
            ("zk1/a,b", "/a,b"),
            ("zk1/,zk2/", "/,zk2/"),
            ("zk1,zk2/app,", "/app,"),
            ("[::1]:2181/app,[::2]:2181/app", "/app,[::2]:2181/app"),
        ] {
            let expected = ServersError::CommaInChroot { chroot: chroot.to_owned() };
            assert_eq!(Servers::parse(text), Err(expected), "{text:?}");
        }
        // A znode may have a colon in its name.
        assert_eq!(Servers::parse("zk1/a:b").unwrap().chroot().as_str(), "/a:b");
    }

    #[test]
    fn the_number_of_servers_is_bounded() {
        let most = vec!["zk"; SERVERS_MAX].join(",");
        assert!(Servers::parse(&most).is_ok());
        assert_eq!(Servers::parse(&format!("{most},zk")), Err(ServersError::TooMany));
        let endless = ",".repeat(1_000_000);
        assert!(Servers::parse(&endless).is_err());
    }
}
