//! Which connections the relay's port serves.

use super::*;
use crate::session::connection_gate::ConnectionGate;
use crate::session::{Acl, Auth, Servers, ZnodePath};
use farm_harness::patience;
use std::io::Write;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;

fn relay() -> Relay {
    relay_with(|_| {})
}

fn relay_with(notify: impl Fn(Event) + Send + Sync + 'static) -> Relay {
    // No server listens on this port, and none is needed.
    let options = SessionOptions {
        servers: Servers::parse("127.0.0.1:1").unwrap(),
        session_timeout: Duration::from_secs(4),
        rounds_max: None,
        request_threads: 1,
        auth: Auth::default(),
        acl: Acl::open(),
        tls: None,
    };
    let reporter = Reporter {
        gate: Arc::new(ConnectionGate::new()),
        chroot: ZnodePath::root(),
        session: Arc::default(),
        notify: crate::engine::Post::new(notify),
        odd_timeout: None,
        rounds_max: None,
        rounds_failed: 0,
        lasting_failures: 0,
    };
    Relay::open(&options, reporter, &PanicSlot::default()).unwrap()
}

const EXISTS: i32 = 3;

/// A first frame, as the client library sends one.
const FIRST_FRAME: [u8; 12] = [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0];

/// How many bytes another process gets for the same frame.
fn answered_to_another(address: SocketAddr) -> usize {
    let port = address.port();
    let script = format!(
        "exec 3<>/dev/tcp/127.0.0.1/{port}; printf '\\0\\0\\0\\10\\0\\0\\0\\0\\0\\0\\0\\0' >&3; \
         timeout 2 cat <&3"
    );
    let mut bash = Command::new("bash");
    bash.args(["-c", &script]).stdin(Stdio::null()).stderr(Stdio::null());
    bash.output().unwrap().stdout.len()
}

fn is_answered(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(&FIRST_FRAME).unwrap();
    matches!(stream.read(&mut [0; 64]), Ok(1..))
}

#[test]
fn another_process_gets_nothing_from_our_port() {
    let relay = relay();
    assert_eq!(answered_to_another(relay.address()), 0);
    let mut ours = TcpStream::connect(relay.address()).unwrap();
    assert!(is_answered(&mut ours));
    // With a client connected, the connection is not even accepted.
    assert_eq!(answered_to_another(relay.address()), 0);
}

#[test]
fn port_serves_one_client_and_no_second_one() {
    let relay = relay();
    let mut first = TcpStream::connect(relay.address()).unwrap();
    assert!(is_answered(&mut first));
    let mut second = TcpStream::connect(relay.address()).unwrap();
    second.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    second.write_all(&FIRST_FRAME).unwrap();
    assert!(second.read(&mut [0; 64]).is_err());
    // Garbage affects only the connection that sent it.
    first.write_all(&[0xff; 64]).unwrap();
    drop(first);
    relay.begin_close(Instant::now());
    drop(relay);
}

#[test]
fn the_end_of_the_client_library_is_the_end_of_the_session() {
    let (sender, events) = channel();
    let relay = relay_with(move |event| drop(sender.send(event)));
    let report = relay.end_reporter();
    report();
    report();
    let event = events.recv_timeout(patience(Duration::from_secs(20))).unwrap();
    assert!(matches!(event, Event::Lost), "{event:?}");
    assert!(matches!(relay.ask(EXISTS, Vec::new(), None), Err(Unanswered::SessionOver)));
    drop(relay);
    assert!(events.recv().is_err());
    // The relay is gone.
    report();
}
