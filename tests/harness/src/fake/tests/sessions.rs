use crate::raw_client::{PATIENCE, RawClient};
use crate::wire::{Pack, op};
use crate::{FakeEnsemble, FakeServer, Timeouts};
use std::io::ErrorKind;
use std::time::Duration;

#[test]
fn timeouts_are_granted_within_bounds() {
    let server = FakeServer::start();
    for (asked_ms, granted_ms) in [(1, 4_000), (10_000, 10_000), (90_000, 40_000), (-5, 4_000)] {
        let mut client = RawClient::open(server.addr()).unwrap();
        client.timeout_ms = asked_ms;
        client.send_handshake().unwrap();
        client.receive_handshake().unwrap();
        assert_eq!(client.timeout_ms, granted_ms, "{asked_ms} asked for");
    }
    let always = Some(Duration::from_secs(7));
    server.set_timeouts(Timeouts { always, ..Timeouts::default() });
    assert_eq!(RawClient::connect(server.addr()).unwrap().timeout_ms, 7_000);
}

#[test]
fn session_moves_between_servers_and_leaves_its_connection_behind() {
    let ensemble = FakeEnsemble::start();
    let (first, second) = (ensemble.server(), ensemble.server());
    let mut client = RawClient::connect(first.addr()).unwrap();
    client.create("/e", b"", 1).unwrap();
    let mut moved = client.resume(second.addr()).unwrap();
    assert_eq!((moved.session, &moved.password), (client.session, &client.password));
    assert_eq!(client.read_until_closed(), b"");
    assert_eq!(moved.get("/e", false), Ok(Vec::new()));
    assert_eq!((first.connections(), second.connections()), (0, 1));
    assert_eq!(ensemble.owner("/e"), Some(client.session));
}

#[test]
fn session_resumes_with_its_password_only() {
    let server = FakeServer::start();
    let mut client = RawClient::connect(server.addr()).unwrap();
    server.cut();
    assert_eq!(client.read_until_closed(), b"");
    client.password[3] ^= 1;
    let mut refused = client.resume(server.addr()).unwrap();
    assert_eq!((refused.timeout_ms, refused.session), (0, 0));
    assert_eq!(refused.read_until_closed(), b"");
    assert!(!server.sessions()[0].is_connected);
    client.password[3] ^= 1;
    let again = client.resume(server.addr()).unwrap();
    assert!(again.timeout_ms > 0 && server.sessions()[0].is_connected);
}

#[test]
fn closed_session_takes_its_nodes_along() {
    let server = FakeServer::start();
    let mut client = RawClient::connect(server.addr()).unwrap();
    let mut watcher = RawClient::connect(server.addr()).unwrap();
    client.create("/e", b"", 1).unwrap();
    watcher.get("/e", true).unwrap();
    client.ask(op::CLOSE_SESSION, Pack::new()).unwrap();
    assert_eq!(client.read_until_closed(), b"");
    assert_eq!(watcher.event(), (2, "/e".to_owned()));
    assert_eq!(server.get("/e"), None);
    assert_eq!(server.sessions().len(), 1);
}

#[test]
fn expired_session_is_cut_and_can_not_come_back() {
    let server = FakeServer::start();
    let mut client = RawClient::connect(server.addr()).unwrap();
    client.create("/e", b"", 1).unwrap();
    assert!(server.expire(client.session));
    assert!(!server.expire(client.session));
    assert_eq!(server.get("/e"), None);
    assert_eq!(client.read_until_closed(), b"");
    assert_eq!(client.resume(server.addr()).unwrap().timeout_ms, 0);
    let mut clients = [(); 3].map(|()| RawClient::connect(server.addr()).unwrap());
    server.expire_all();
    assert!(clients.iter_mut().all(|client| client.read_until_closed().is_empty()));
    assert_eq!(server.sessions(), []);
}

#[test]
fn silent_session_runs_out_and_a_pinging_one_does_not() {
    let timeout = Duration::from_secs(1);
    let server = FakeServer::start_with(Timeouts { always: Some(timeout), ..Timeouts::default() });
    let mut silent = RawClient::connect(server.addr()).unwrap();
    let mut alive = RawClient::connect(server.addr()).unwrap();
    silent.create("/silent", b"", 1).unwrap();
    alive.create("/alive", b"", 1).unwrap();
    // Pings as fast as the server answers.
    while server.get("/silent").is_some() {
        alive.ping();
    }
    assert_eq!(silent.read_until_closed(), b"");
    assert_eq!(server.owner("/alive"), Some(alive.session));
    drop(alive);
    assert!(server.wait_for(PATIENCE, |view| view.sessions().is_empty()));
    assert_eq!(server.get("/alive"), None);
}

#[test]
fn held_expiry_keeps_everybody() {
    let timeout = Duration::from_millis(20);
    let server = FakeServer::start_with(Timeouts { always: Some(timeout), ..Timeouts::default() });
    server.hold_expiry();
    let held = server.open_session(timeout);
    server.put_ephemeral("/left", b"", held);
    assert!(!server.wait_for(timeout * 4, |view| view.sessions().is_empty()));
    assert_eq!(server.owner("/left"), Some(held));
    server.resume_expiry();
    assert!(server.wait_for(PATIENCE, |view| view.owner("/left").is_none()));
}

#[test]
fn client_with_a_later_zxid_is_refused() {
    let server = FakeServer::start();
    let mut client = RawClient::open(server.addr()).unwrap();
    let request = crate::wire::ConnectRequest {
        last_zxid: 1 << 40,
        timeout_ms: 4_000,
        session: 0,
        password: vec![0; 16],
        read_only: None,
    };
    std::io::Write::write_all(&mut client.stream, &request.frame()).unwrap();
    assert_eq!(client.read_until_closed(), b"");
}

#[test]
fn dropped_servers_leave_no_port_and_no_connection() {
    let ensemble = FakeEnsemble::start();
    let (kept, gone) = (ensemble.server(), ensemble.server());
    let mut client = RawClient::connect(gone.addr()).unwrap();
    let addr = gone.addr();
    drop(gone);
    assert_eq!(client.read_until_closed(), b"");
    let refused = RawClient::connect(addr).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert!(client.resume(kept.addr()).unwrap().timeout_ms > 0);
}
