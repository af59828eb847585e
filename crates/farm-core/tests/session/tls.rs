//! Servers that do not get to the end of a handshake.

use crate::guest::{Guest, config, timed};
use farm_core::session::Tls;
use farm_harness::{Authority, FakeServer, Scratch, patience};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// Takes connections, says this to each once it has heard something, and no more.
struct Mumbler {
    addr: SocketAddr,
    thread: Option<JoinHandle<usize>>,
}

impl Mumbler {
    fn start(words: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let serve = move || {
            let mut taken = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                // A connection without a word is the end.
                match stream.read(&mut [0; 4096]) {
                    Ok(1..) => {}
                    Ok(0) | Err(_) => return taken.len(),
                }
                stream.write_all(words).unwrap();
                taken.push(stream);
            }
            taken.len()
        };
        let thread = Builder::new().name("mumbler".to_owned()).spawn(serve).unwrap();
        Self { addr, thread: Some(thread) }
    }

    /// Ends it, and tells how many connections it had.
    fn taken(mut self) -> usize {
        drop(std::net::TcpStream::connect(self.addr).unwrap());
        self.thread.take().unwrap().join().unwrap()
    }
}

/// A session that gives up after one round over this server.
fn trouble_at(addr: SocketAddr) -> (String, Duration) {
    let scratch = Scratch::new();
    let ca = scratch.write("ca.pem", Authority::new("farm").pem());
    let mut config = config(&[&addr]);
    config.rounds_max = Some(1);
    config.tls = Some(Tls { ca: Some(ca), ..Tls::default() });
    let (guest, took) = timed(|| Guest::open_with(config).gave_up());
    (guest.expect("there is a reason").to_string(), took)
}

#[test]
fn a_handshake_that_stalls_is_cut_like_every_silence() {
    // Nothing, a part of a record's head, and half of a server's first words.
    for words in [&b""[..], &[22, 3], &[22, 3, 3, 0, 122, 2, 0, 0, 118, 3, 3, 1, 2, 3]] {
        let server = Mumbler::start(words);
        let (told, took) = trouble_at(server.addr);
        assert_eq!(told, format!("{}: TLS: no answer in the handshake", server.addr));
        // R is a second for a session of four.
        let limit = patience(Duration::from_secs(3));
        assert!(took >= Duration::from_secs(1) && took < limit, "{took:?}");
        assert_eq!(server.taken(), 1);
    }
}

#[test]
fn a_handshake_is_given_longer_after_one_that_stalled() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let scratch = Scratch::new();
    let ca = scratch.write("ca.pem", Authority::new("farm").pem());
    let mut config = config(&[&listener.local_addr().unwrap()]);
    config.session_timeout = Duration::from_secs(6);
    config.tls = Some(Tls { ca: Some(ca), ..Tls::default() });
    // Not from the moment in which we come to take the connection.
    let start = Instant::now();
    let guest = Guest::open_with(config);
    // Until the other side has had enough.
    let hear_out = || {
        let (mut stream, _) = listener.accept().unwrap();
        while matches!(stream.read(&mut [0; 4096]), Ok(1..)) {}
        start.elapsed()
    };
    // R is a second for a session of six, and a third of it at the most.
    let (first, second) = (hear_out(), hear_out());
    assert!(first >= Duration::from_millis(900), "{first:?}");
    assert!(second >= Duration::from_millis(900 + 1900), "{first:?} {second:?}");
    guest.session.abandon();
}

#[test]
fn a_server_that_speaks_something_else_is_told_at_once() {
    let server = Mumbler::start(b"SSH-2.0-OpenSSH_9.2\r\n");
    let (told, took) = trouble_at(server.addr);
    assert_eq!(told, format!("{}: TLS: server speaks no TLS", server.addr));
    assert!(took < patience(Duration::from_secs(1)), "{took:?}");
    server.taken();
}

#[test]
fn a_server_without_tls_gets_no_session() {
    let server = FakeServer::start();
    let (told, _) = trouble_at(server.addr());
    assert!(told.contains(": TLS: server hung up in the handshake"), "{told}");
    assert_eq!(server.sessions(), []);
}
