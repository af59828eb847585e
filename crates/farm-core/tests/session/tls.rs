//! Servers that do not get to the end of a handshake.

use crate::guest::{Guest, PATIENCE, config};
use farm_core::session::{Event, Session, SessionError, Tls};
use farm_harness::{Authority, FakeServer, Scratch, patience};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// Takes connections, says this to each once it has heard something, and no more.
struct Mumbler {
    addr: SocketAddr,
    heard: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Mumbler {
    fn start(words: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let heard = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&heard);
        let serve = move || {
            let mut taken = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                // A connection without a word is the end.
                match stream.read(&mut [0; 4096]) {
                    Ok(1..) => count.fetch_add(1, Ordering::Relaxed),
                    Ok(0) | Err(_) => return,
                };
                stream.write_all(words).unwrap();
                taken.push(stream);
            }
        };
        let thread = Builder::new().name("mumbler".to_owned()).spawn(serve).unwrap();
        Self { addr, heard, thread: Some(thread) }
    }

    /// What is said of it after one round, how many connections that were, and how long it
    /// took.
    fn trouble(&self) -> (String, usize, Duration) {
        let heard = Arc::clone(&self.heard);
        trouble_at(self.addr, move || heard.load(Ordering::Relaxed))
    }
}

impl Drop for Mumbler {
    fn drop(&mut self) {
        drop(TcpStream::connect(self.addr));
        self.thread.take().map(JoinHandle::join);
    }
}

/// A session that gives up after one round over this server, and what was seen then.
fn trouble_at<T: Send + 'static>(
    addr: SocketAddr,
    look: impl Fn() -> T + Send + Sync + 'static,
) -> (String, T, Duration) {
    let scratch = Scratch::new();
    let ca = scratch.write("ca.pem", Authority::new("farm").pem());
    let mut config = config(&[&addr]);
    config.rounds_max = Some(1);
    config.tls = Some(Tls { ca: Some(ca), ..Tls::default() });
    let (sender, given_up) = channel();
    // On the thread that would begin another round.
    let notify = move |event| match event {
        Event::GaveUp(SessionError::Unreachable { trouble, .. }) => {
            drop(sender.send((trouble, look())));
        }
        other => panic!("not given up but {other:?}"),
    };
    let start = Instant::now();
    let session = Session::open(config, notify).unwrap();
    let (trouble, seen) = given_up.recv_timeout(patience(PATIENCE)).unwrap();
    let took = start.elapsed();
    drop(session);
    (trouble.expect("there is a reason").to_string(), seen, took)
}

#[test]
fn a_handshake_that_stalls_is_cut_like_every_silence() {
    // Nothing, a part of a record's head, and half of a server's first words.
    for words in [&b""[..], &[22, 3], &[22, 3, 3, 0, 122, 2, 0, 0, 118, 3, 3, 1, 2, 3]] {
        let server = Mumbler::start(words);
        let (told, heard, took) = server.trouble();
        assert_eq!(told, format!("{}: TLS: no answer in the handshake", server.addr));
        // R is a second for a session of four.
        let limit = patience(Duration::from_secs(3));
        assert!(took >= Duration::from_secs(1) && took < limit, "{took:?}");
        assert_eq!(heard, 1);
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
    let (told, _, took) = server.trouble();
    assert_eq!(told, format!("{}: TLS: server does not speak TLS", server.addr));
    assert!(took < patience(Duration::from_secs(1)), "{took:?}");
}

#[test]
fn a_server_without_tls_gets_no_session() {
    let server = FakeServer::start();
    let (told, ..) = trouble_at(server.addr(), || ());
    assert!(told.contains(": TLS: server closed the connection during the handshake"), "{told}");
    assert_eq!(server.sessions(), []);
}
