use crate::raw_client::{PATIENCE, RawClient};
use crate::wire::{Pack, code, op, read_frame};
use crate::{FakeEnsemble, FakeServer, Garble};
use std::io::{ErrorKind, Read, Write};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

fn server_and_client() -> (FakeServer, RawClient) {
    let server = FakeServer::start();
    server.put("/a", b"0");
    let client = RawClient::connect(server.addr()).unwrap();
    (server, client)
}

fn get_request() -> Pack {
    Pack::new().string("/a").flag(false)
}

fn set_request(data: &[u8]) -> Pack {
    Pack::new().string("/a").buffer(data).int(-1)
}

#[test]
fn stalled_server_reads_and_is_silent_and_catches_up() {
    let (server, mut client) = server_and_client();
    client.get("/a", true).unwrap();
    server.stall();
    client.send(op::SET_DATA, set_request(b"1"));
    let mut late = RawClient::open(server.addr()).unwrap();
    late.send_handshake().unwrap();
    assert!(server.wait_for(PATIENCE, |view| {
        view.count(op::SET_DATA) == 1 && view.connections_accepted() == 2
    }));
    assert!(client.receives_nothing() && late.receives_nothing());
    assert_eq!(server.get("/a"), Some(b"0".to_vec()));
    server.unstall();
    assert_eq!(client.event(), (3, "/a".to_owned()));
    assert_eq!(client.receive().unwrap().xid, 2);
    late.receive_handshake().unwrap();
    assert_eq!(late.get("/a", false), Ok(b"1".to_vec()));
}

#[test]
fn stalled_server_still_does_what_a_client_that_left_had_asked_for() {
    let (server, mut client) = server_and_client();
    server.stall();
    client.send(op::SET_DATA, set_request(b"late"));
    drop(client);
    assert!(server.wait_for(PATIENCE, |view| view.count(op::SET_DATA) == 1));
    server.unstall();
    assert!(server.wait_for(PATIENCE, |view| view.get("/a") == Some(b"late".to_vec())));
    assert!(server.wait_for(PATIENCE, |view| view.connections() == 0));
}

#[test]
fn stalled_server_holds_its_memory() {
    let (server, mut client) = server_and_client();
    server.stall();
    client.stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    let request = Pack::new().int(1).int(op::SET_DATA).bytes(&[0; 100_000]).frame();
    let sent = (0..1_000).find(|_| client.stream.write_all(&request).is_err());
    assert!(sent.is_some(), "100 MB were taken in");
}

#[test]
fn cut_ends_connections_and_keeps_sessions() {
    let (server, mut client) = server_and_client();
    server.cut();
    assert_eq!(client.read_until_closed(), b"");
    let mut again = client.resume(server.addr()).unwrap();
    assert_eq!(again.session, client.session);
    again.ping();
    assert_eq!(server.connections_accepted(), 2);
}

#[test]
fn refused_port_leaves_open_connections_alone() {
    let (server, mut client) = server_and_client();
    for _ in 0..3 {
        server.refuse();
        let refused = RawClient::connect(server.addr()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        client.ping();
        server.accept();
        RawClient::connect(server.addr()).unwrap().ping();
    }
}

#[test]
fn write_can_happen_without_an_answer() {
    let (server, mut client) = server_and_client();
    server.before_reply(op::SET_DATA, FakeServer::cut);
    client.send(op::SET_DATA, set_request(b"1"));
    assert_eq!(client.read_until_closed(), b"");
    assert_eq!(server.get("/a"), Some(b"1".to_vec()));
    // The hook runs once only.
    let mut again = client.resume(server.addr()).unwrap();
    assert_eq!(again.set("/a", b"2"), Ok(()));
}

#[test]
fn hook_runs_between_effect_and_answer() {
    let (server, mut client) = server_and_client();
    let (sender, receiver) = channel();
    server.before_reply(op::SET_DATA, move |server| {
        drop(sender.send((server.addr(), server.get("/a"))));
        server.put("/a", b"other");
        server.stall();
    });
    client.get("/a", false).unwrap();
    client.send(op::SET_DATA, set_request(b"mine"));
    let seen = receiver.recv_timeout(PATIENCE).unwrap();
    assert_eq!(seen, (server.addr(), Some(b"mine".to_vec())));
    assert!(client.receives_nothing());
    server.unstall();
    assert_eq!(client.receive().unwrap().error, 0);
    assert_eq!(client.get("/a", false), Ok(b"other".to_vec()));
}

#[test]
fn hook_reaches_the_other_servers_of_its_ensemble() {
    let ensemble = FakeEnsemble::start();
    let (first, second) = (ensemble.server(), ensemble.server());
    let session = {
        let mut client = RawClient::connect(first.addr()).unwrap();
        let mut other = RawClient::connect(second.addr()).unwrap();
        let doomed = other.session;
        first.before_reply(op::CREATE, move |server| assert!(server.expire(doomed)));
        client.create("/a", b"", 0).unwrap();
        assert_eq!(other.read_until_closed(), b"");
        client.session
    };
    let sessions = ensemble.sessions();
    assert_eq!(sessions.iter().map(|seen| seen.id).collect::<Vec<_>>(), [session]);
}

#[test]
fn write_can_be_lost_before_it_happens() {
    let (server, mut client) = server_and_client();
    server.drop_before_apply(op::SET_DATA);
    assert_eq!(client.get("/a", false), Ok(b"0".to_vec()));
    client.send(op::SET_DATA, set_request(b"1"));
    assert_eq!(client.read_until_closed(), b"");
    assert_eq!(server.get("/a"), Some(b"0".to_vec()));
}

#[test]
fn any_error_can_be_the_answer() {
    const QUOTA_EXCEEDED: i32 = -125;
    let (server, mut client) = server_and_client();
    server.answer_with(op::SET_DATA, QUOTA_EXCEEDED);
    assert_eq!(client.set("/a", b"1"), Err(QUOTA_EXCEEDED));
    assert_eq!(server.get("/a"), Some(b"0".to_vec()));
    assert_eq!(client.set("/a", b"1"), Ok(()));
}

#[test]
fn delay_holds_replies_and_keeps_their_order() {
    let (server, mut client) = server_and_client();
    let delay = Duration::from_millis(60);
    server.delay(delay);
    let start = Instant::now();
    let xids = [1, 2, 3].map(|_| client.send(op::GET_DATA, get_request()));
    assert_eq!([1, 2, 3].map(|_| client.receive().unwrap().xid), xids);
    assert!(start.elapsed() >= delay);
    server.delay(Duration::from_secs(3600));
    client.send(op::GET_DATA, get_request());
    assert!(client.receives_nothing());
    server.delay(Duration::ZERO);
    assert_eq!(client.receive().unwrap().error, 0);
}

#[test]
fn old_version_knows_no_new_requests() {
    let (server, mut client) = server_and_client();
    server.old_version();
    for opcode in [op::ADD_WATCH, op::MULTI_READ, 999] {
        client = client.resume(server.addr()).unwrap();
        let asked = client.ask(opcode, Pack::new().string("/a").int(0));
        assert_eq!(asked, Err(code::UNIMPLEMENTED), "{opcode}");
        assert_eq!(client.read_until_closed(), b"");
    }
}

#[test]
fn refused_auth_ends_the_connection() {
    let (server, mut client) = server_and_client();
    server.refuse_auth();
    let auth = Pack::new().int(0).string("digest").buffer(b"me:pw");
    assert_eq!(client.ask(op::AUTH, auth), Err(code::AUTH_FAILED));
    assert_eq!(client.read_until_closed(), b"");
}

#[test]
fn request_beyond_the_limit_is_cut() {
    let (server, mut client) = server_and_client();
    server.max_frame(100);
    assert_eq!(client.set("/a", &[0; 50]), Ok(()));
    client.send(op::SET_DATA, set_request(&[0; 100]));
    assert_eq!(client.read_until_closed(), b"");
    assert_eq!(server.get("/a"), Some(vec![0; 50]));
}

#[test]
fn spoilt_handshakes_are_short_or_odd() {
    let server = FakeServer::start();
    for (garble, length) in [(Garble::ShortConnectResponse, 10), (Garble::OddConnectResponse, 21)] {
        server.garble(garble);
        let mut client = RawClient::open(server.addr()).unwrap();
        client.send_handshake().unwrap();
        let body = read_frame(&mut client.stream).unwrap();
        assert_eq!(body.len(), length, "{garble:?}");
        assert!(crate::wire::ConnectResponse::unpack(&body).is_none());
    }
    RawClient::connect(server.addr()).unwrap().ping();
}

#[test]
fn spoilt_replies_arrive_as_described() {
    let (server, mut client) = server_and_client();
    server.garble(Garble::WrongXid);
    let xid = client.send(op::GET_DATA, get_request());
    assert_ne!(client.receive().unwrap().xid, xid);

    server.garble(Garble::SwapReplies);
    let first = client.send(op::GET_DATA, get_request());
    assert!(client.receives_nothing());
    let second = client.send(op::GET_DATA, get_request());
    assert_eq!([client.receive().unwrap().xid, client.receive().unwrap().xid], [second, first]);

    server.garble(Garble::ReplyTooMany);
    let xid = client.send(op::GET_DATA, get_request());
    assert_eq!([client.receive().unwrap().xid, client.receive().unwrap().xid], [xid, xid]);
    client.ping();
}

#[test]
fn spoilt_lengths_and_noise_arrive_as_described() {
    for (garble, length) in [(Garble::HugeLength, i32::MAX), (Garble::NegativeLength, -1)] {
        let (server, mut client) = server_and_client();
        server.garble(garble);
        client.send(op::GET_DATA, get_request());
        let mut prefix = [0; 4];
        client.stream.read_exact(&mut prefix).unwrap();
        assert_eq!(i32::from_be_bytes(prefix), length);
    }
    let (server, mut client) = server_and_client();
    server.garble(Garble::RandomBytes(1));
    let xid = client.send(op::SYNC, Pack::new().string("/"));
    let mut noise = [0; 4 + 16 + 5];
    client.stream.read_exact(&mut noise).unwrap();
    let clean = [&21_i32.to_be_bytes(), &xid.to_be_bytes()[..]].concat();
    assert_ne!(noise[..8], clean);
    client.ping();
}

#[test]
fn half_a_frame_is_followed_by_silence_or_by_the_end() {
    let (server, mut client) = server_and_client();
    let whole = 4 + 16 + 4 + 1 + 68;
    server.garble(Garble::HalfFrame);
    client.send(op::GET_DATA, get_request());
    let mut half = vec![0; whole / 2];
    client.stream.read_exact(&mut half).unwrap();
    client.send(op::PING, Pack::new());
    assert!(client.receives_nothing());
    let mut other = RawClient::connect(server.addr()).unwrap();
    server.garble(Garble::HalfFrameThenCut);
    other.send(op::GET_DATA, get_request());
    assert_eq!(other.read_until_closed().len(), whole / 2);
    drop(client);
    assert!(server.wait_for(PATIENCE, |view| view.connections() == 0));
}

#[test]
fn healed_server_is_as_new() {
    let (server, mut client) = server_and_client();
    server.stall();
    server.refuse();
    server.garble(Garble::HugeLength);
    server.drop_before_apply(op::GET_DATA);
    server.delay(Duration::from_secs(3600));
    server.heal();
    assert_eq!(client.get("/a", false), Ok(b"0".to_vec()));
    RawClient::connect(server.addr()).unwrap().ping();
}

#[test]
fn hundreds_of_servers_come_and_go_quickly() {
    let start = Instant::now();
    for _ in 0..10 {
        let servers: Vec<_> = (0..30).map(|_| server_and_client()).collect();
        for (server, mut client) in servers {
            server.stall();
            client.send(op::GET_DATA, get_request());
            drop(server);
            assert_eq!(client.read_until_closed(), b"");
        }
    }
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
}
