//! Servers that do not complete a TLS handshake.

use crate::fixture::{Fixture, WAIT_MAX, options};
use farm_core::session::{Event, Session, SessionError, Tls};
use farm_harness::{Authority, FakeServer, Scratch, patience};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// Accepts connections and sends the same bytes on each, once it has received something.
struct FixedReplyServer {
    addr: SocketAddr,
    /// How many connections have sent something.
    contacts: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl FixedReplyServer {
    fn start(reply: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let contacts = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&contacts);
        let serve = move || {
            let mut open = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                // An empty connection ends the server.
                match stream.read(&mut [0; 4096]) {
                    Ok(1..) => count.fetch_add(1, Ordering::Relaxed),
                    Ok(0) | Err(_) => return,
                };
                stream.write_all(reply).unwrap();
                open.push(stream);
            }
        };
        let thread = Builder::new().name("fixed-reply".to_owned()).spawn(serve).unwrap();
        Self { addr, contacts, thread: Some(thread) }
    }

    /// The error after one round, the number of connections, and how long the round took.
    fn connect_error(&self) -> (String, usize, Duration) {
        let contacts = Arc::clone(&self.contacts);
        connect_error(self.addr, move || contacts.load(Ordering::Relaxed))
    }
}

impl Drop for FixedReplyServer {
    fn drop(&mut self) {
        drop(TcpStream::connect(self.addr));
        self.thread.take().map(JoinHandle::join);
    }
}

/// The error of a session that gives up after one round over this server, what `look`
/// returned then, and how long the round took.
fn connect_error<T: Send + 'static>(
    addr: SocketAddr,
    look: impl Fn() -> T + Send + Sync + 'static,
) -> (String, T, Duration) {
    let scratch = Scratch::new();
    let ca = scratch.write("ca.pem", Authority::new("farm").pem());
    let mut options = options(&[&addr]);
    options.rounds_max = Some(1);
    options.tls = Some(Tls { ca: Some(ca), ..Tls::default() });
    let (sender, given_up) = channel();
    // `look` runs on the relay's thread, before another round can begin.
    let notify = move |event| match event {
        Event::GaveUp(SessionError::Unreachable { last_error: error, .. }) => {
            drop(sender.send((error, look())));
        }
        other => panic!("not given up but {other:?}"),
    };
    let start = Instant::now();
    let session = Session::open(options, notify);
    let (error, seen) = given_up.recv_timeout(patience(WAIT_MAX)).unwrap();
    let took = start.elapsed();
    drop(session);
    (error.expect("there is a reason").to_string(), seen, took)
}

#[test]
fn a_handshake_that_stalls_is_cut_like_any_silent_server() {
    // Nothing, a part of a record header, and half of a ServerHello.
    for reply in [&b""[..], &[22, 3], &[22, 3, 3, 0, 122, 2, 0, 0, 118, 3, 3, 1, 2, 3]] {
        let server = FixedReplyServer::start(reply);
        let (error, contacts, took) = server.connect_error();
        assert_eq!(error, format!("{}: TLS: no answer in the handshake", server.addr));
        // For a session timeout of 4 s an answer may take a second.
        let limit = patience(Duration::from_secs(3));
        assert!(took >= Duration::from_secs(1) && took < limit, "{took:?}");
        assert_eq!(contacts, 1);
    }
}

#[test]
fn a_handshake_is_given_longer_after_one_that_stalled() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let scratch = Scratch::new();
    let ca = scratch.write("ca.pem", Authority::new("farm").pem());
    let mut options = options(&[&listener.local_addr().unwrap()]);
    options.session_timeout = Duration::from_secs(6);
    options.tls = Some(Tls { ca: Some(ca), ..Tls::default() });
    // Before the session opens, as the connection may wait to be accepted.
    let start = Instant::now();
    let fixture = Fixture::open_with(options);
    // When the other side gives up.
    let given_up_after = || {
        let (mut stream, _) = listener.accept().unwrap();
        while matches!(stream.read(&mut [0; 4096]), Ok(1..)) {}
        start.elapsed()
    };
    // For a session timeout of 6 s an answer may take a second, later up to a third of it.
    let (first, second) = (given_up_after(), given_up_after());
    assert!(first >= Duration::from_millis(900), "{first:?}");
    assert!(second >= Duration::from_millis(900 + 1900), "{first:?} {second:?}");
    fixture.session.abandon();
}

#[test]
fn a_server_with_another_protocol_is_reported_at_once() {
    let server = FixedReplyServer::start(b"SSH-2.0-OpenSSH_9.2\r\n");
    let (error, _, took) = server.connect_error();
    assert_eq!(error, format!("{}: TLS: server does not speak TLS", server.addr));
    assert!(took < patience(Duration::from_secs(1)), "{took:?}");
}

#[test]
fn a_server_without_tls_gets_no_session() {
    let server = FakeServer::start();
    let (error, ..) = connect_error(server.addr(), || ());
    assert!(error.contains(": TLS: server closed the connection during the handshake"), "{error}");
    assert_eq!(server.sessions(), []);
}
