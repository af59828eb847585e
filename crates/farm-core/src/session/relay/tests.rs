//! Who is served at our port.

use super::*;
use crate::session::connection_gate::ConnectionGate;
use crate::session::{Acl, Auth, Servers};
use std::net::TcpStream;
use std::process::{Command, Stdio};

fn relay() -> Relay {
    // Nobody answers at this port, and nobody has to.
    let config = SessionOptions {
        servers: Servers::parse("127.0.0.1:1").unwrap(),
        session_timeout: Duration::from_secs(4),
        rounds_max: None,
        couriers: 1,
        auth: Auth::default(),
        acl: Acl::open(),
        tls: None,
    };
    let reporter = Reporter {
        gate: Arc::new(ConnectionGate::new()),
        session: Arc::default(),
        notify: crate::engine::Post::new(|_| {}),
        rounds_max: None,
        rounds: 0,
        lasting: 0,
    };
    Relay::open(&config, reporter, &PanicSlot::default()).unwrap()
}

/// A frame as the client library begins with.
const GREETING: [u8; 12] = [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0];

/// How many bytes another process is answered to the same greeting.
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
    stream.write_all(&GREETING).unwrap();
    matches!(stream.read(&mut [0; 64]), Ok(1..))
}

#[test]
fn another_process_gets_nothing_from_our_port() {
    let relay = relay();
    assert_eq!(answered_to_another(relay.address()), 0);
    let mut ours = TcpStream::connect(relay.address()).unwrap();
    assert!(is_answered(&mut ours));
    // Later it is not even turned away.
    assert_eq!(answered_to_another(relay.address()), 0);
}

#[test]
fn port_serves_one_client_and_no_second_one() {
    let relay = relay();
    let mut first = TcpStream::connect(relay.address()).unwrap();
    assert!(is_answered(&mut first));
    let mut second = TcpStream::connect(relay.address()).unwrap();
    second.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    second.write_all(&GREETING).unwrap();
    assert!(second.read(&mut [0; 64]).is_err());
    // What is no greeting and no request ends nothing but the one who sent it.
    first.write_all(&[0xff; 64]).unwrap();
    drop(first);
    relay.begin_close(Instant::now());
    drop(relay);
}
