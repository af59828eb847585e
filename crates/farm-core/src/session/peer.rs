//! Which process is at the other end of a loopback connection.

use nix::sys::socket::{SockaddrStorage, getpeername, getsockname};
use std::net::{SocketAddr, TcpStream};

/// Tells whether the other end of an accepted connection belongs to this process.
///
/// Any user of the host can connect to a loopback port, and this one gives access to our
/// session. The peer is ours if one of our own descriptors is the mirror image of the
/// accepted socket, with local and peer address exchanged.
pub(super) fn is_own(accepted: &TcpStream) -> std::io::Result<bool> {
    let (here, there) = (accepted.local_addr()?, accepted.peer_addr()?);
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let Some(fd) = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // This fails for a descriptor that is no socket, or was closed since it was listed.
        let (Ok(name), Ok(peer)) =
            (getsockname::<SockaddrStorage>(fd), getpeername::<SockaddrStorage>(fd))
        else {
            continue;
        };
        if to_std(&name) == Some(there) && to_std(&peer) == Some(here) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn to_std(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddr::V4((*v4).into()));
    }
    address.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::process::{Command, Stdio};

    #[test]
    fn our_own_connection_is_known_and_a_foreign_one_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let _ours = TcpStream::connect(address).unwrap();
        assert!(is_own(&listener.accept().unwrap().0).unwrap());

        let script = format!("exec 3<>/dev/tcp/127.0.0.1/{}; read -r _ <&3", address.port());
        let mut other =
            Command::new("bash").args(["-c", &script]).stdin(Stdio::null()).spawn().unwrap();
        let (foreign, _) = listener.accept().unwrap();
        assert!(!is_own(&foreign).unwrap());
        drop(foreign);
        other.wait().unwrap();
    }
}
