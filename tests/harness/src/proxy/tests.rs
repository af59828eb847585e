use super::FaultProxy;
use crate::raw_client::{PATIENCE, RawClient};
use crate::wire::{Pack, op};
use crate::{FakeServer, Garble};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

fn server_proxy_and_client() -> (FakeServer, FaultProxy, RawClient) {
    let server = FakeServer::start();
    server.put("/a", b"0");
    let proxy = FaultProxy::start(server.addr());
    let client = RawClient::connect(proxy.addr()).unwrap();
    (server, proxy, client)
}

fn get_request() -> Pack {
    Pack::new().string("/a").flag(false)
}

#[test]
fn passing_proxy_is_not_noticed() {
    let (server, proxy, mut client) = server_proxy_and_client();
    let large = vec![7; 700_000];
    assert_eq!(client.set("/a", &large), Ok(()));
    assert_eq!(client.get("/a", true), Ok(large));
    server.put("/a", b"");
    assert_eq!(client.event(), (3, "/a".to_owned()));
    let counts = proxy.counts();
    assert_eq!((counts.connections, counts.open), (1, 1));
    assert!(counts.bytes_to_server > 700_000 && counts.bytes_to_client > 700_000);
    assert_eq!(proxy.last_session(), Some((client.session, client.password.clone())));
    drop(client);
    assert!(server.wait_for(PATIENCE, |view| view.connections() == 0));
    assert!(proxy.wait_for(PATIENCE, |counts| counts.open == 0));
}

#[test]
fn stalled_proxy_is_a_black_hole_that_gives_everything_back() {
    let (server, proxy, mut client) = server_proxy_and_client();
    client.get("/a", true).unwrap();
    proxy.stall();
    let xid = client.send(op::SYNC, Pack::new().string("/"));
    server.put("/a", b"1");
    let mut late = RawClient::open(proxy.addr()).unwrap();
    late.send_handshake().unwrap();
    assert!(proxy.wait_for(PATIENCE, |counts| counts.connections == 2));
    assert!(client.receives_nothing() && late.receives_nothing());
    assert_eq!((server.connections_accepted(), server.requests().len()), (1, 1));
    proxy.pass();
    assert_eq!(client.event(), (3, "/a".to_owned()));
    assert_eq!(client.receive().unwrap().xid, xid);
    late.receive_handshake().unwrap();
    late.ping();
}

#[test]
fn one_way_stalls_hold_one_way() {
    let (server, proxy, mut client) = server_proxy_and_client();
    client.get("/a", true).unwrap();
    proxy.stall_towards_server();
    server.put("/a", b"1");
    assert_eq!(client.event(), (3, "/a".to_owned()));
    client.send(op::SYNC, Pack::new().string("/"));
    assert!(client.receives_nothing());
    assert_eq!(server.requests().len(), 1);
    proxy.pass();
    assert_eq!(client.receive().unwrap().error, 0);
    proxy.stall_towards_client();
    client.send(op::SET_DATA, Pack::new().string("/a").buffer(b"2").int(-1));
    assert!(server.wait_for(PATIENCE, |view| view.get("/a") == Some(b"2".to_vec())));
    assert!(client.receives_nothing());
    proxy.pass();
    assert_eq!(client.receive().unwrap().error, 0);
}

#[test]
fn client_that_leaves_a_black_hole_is_not_missed_until_it_passes() {
    let (server, proxy, mut client) = server_proxy_and_client();
    proxy.stall();
    client.send(op::SET_DATA, Pack::new().string("/a").buffer(b"late").int(-1));
    client.stream.shutdown(Shutdown::Both).unwrap();
    assert!(!server.wait_for(Duration::from_millis(30), |view| view.connections() == 0));
    proxy.pass();
    assert!(server.wait_for(PATIENCE, |view| view.connections() == 0));
    assert_eq!(server.get("/a"), Some(b"late".to_vec()));
}

#[test]
fn stalled_proxy_holds_its_memory() {
    let (_server, proxy, mut client) = server_proxy_and_client();
    proxy.stall();
    client.stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    let request = Pack::new().int(1).int(op::SET_DATA).bytes(&[0; 500_000]).frame();
    let sent = (0..400).find(|_| client.stream.write_all(&request).is_err());
    assert!(sent.is_some(), "200 MB were taken in");
}

#[test]
fn slow_proxy_takes_its_time_each_way() {
    let (_server, proxy, mut client) = server_proxy_and_client();
    let delay = Duration::from_millis(40);
    proxy.slow(delay);
    let start = Instant::now();
    let xids = [1, 2, 3].map(|_| client.send(op::GET_DATA, get_request()));
    assert_eq!([1, 2, 3].map(|_| client.receive().unwrap().xid), xids);
    assert!(start.elapsed() >= 2 * delay);
}

#[test]
fn cut_and_reset_end_both_ends_each_in_its_way() {
    let (server, proxy, mut client) = server_proxy_and_client();
    proxy.cut();
    assert_eq!(client.stream.read(&mut [0]).unwrap(), 0);
    assert!(server.wait_for(PATIENCE, |view| view.connections() == 0));
    let mut again = client.resume(proxy.addr()).unwrap();
    proxy.reset();
    let error = again.stream.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(server.wait_for(PATIENCE, |view| view.connections() == 0));
    client.resume(proxy.addr()).unwrap().ping();
    assert_eq!(proxy.counts().connections, 3);
}

#[test]
fn refused_port_comes_back() {
    let (_server, proxy, mut client) = server_proxy_and_client();
    proxy.refuse();
    let refused = RawClient::connect(proxy.addr()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    client.ping();
    proxy.accept();
    RawClient::connect(proxy.addr()).unwrap().ping();
}

#[test]
fn missing_server_shows_as_the_end_of_the_connection() {
    let (server, proxy, _client) = server_proxy_and_client();
    server.refuse();
    let mut client = RawClient::open(proxy.addr()).unwrap();
    assert_eq!(client.read_until_closed(), b"");
}

#[test]
fn frames_are_spoilt_on_their_way_to_the_client() {
    let (_server, proxy, mut client) = server_proxy_and_client();
    proxy.garble_next(Garble::WrongXid);
    let xid = client.send(op::GET_DATA, get_request());
    assert_ne!(client.receive().unwrap().xid, xid);
    proxy.garble_next(Garble::HalfFrameThenCut);
    client.send(op::GET_DATA, get_request());
    assert_eq!(client.read_until_closed().len(), (4 + 16 + 5 + 68) / 2);
    proxy.garble_next(Garble::ShortConnectResponse);
    assert_eq!(client.resume(proxy.addr()).unwrap_err().kind(), ErrorKind::InvalidData);
    proxy.garble_next(Garble::HalfFrame);
    let mut mute = RawClient::open(proxy.addr()).unwrap();
    mute.send_handshake().unwrap();
    mute.stream.read_exact(&mut [0; (4 + 37) / 2]).unwrap();
    assert!(mute.receives_nothing());
    client.resume(proxy.addr()).unwrap().ping();
}

#[test]
fn other_half_of_a_frame_comes_after_the_stall() {
    let (_server, proxy, mut client) = server_proxy_and_client();
    proxy.half_frame_then_stall();
    let xid = client.send(op::GET_DATA, get_request());
    let mut whole = [0; 4 + 16 + 5 + 68];
    let half = whole.len() / 2;
    client.stream.read_exact(&mut whole[..half]).unwrap();
    assert!(client.receives_nothing());
    proxy.pass();
    client.stream.read_exact(&mut whole[half..]).unwrap();
    assert_eq!(whole[..4], (whole.len() as i32 - 4).to_be_bytes());
    assert_eq!(whole[4..8], xid.to_be_bytes());
    client.ping();
}

#[test]
fn expired_session_is_gone_on_the_server() {
    let (server, proxy, mut client) = server_proxy_and_client();
    client.create("/e", b"", 1).unwrap();
    proxy.expire().unwrap();
    assert_eq!(server.sessions(), []);
    assert_eq!(server.get("/e"), None);
    assert_eq!(client.read_until_closed(), b"");
    assert_eq!(client.resume(proxy.addr()).unwrap().timeout_ms, 0);
    proxy.expire().expect("once more does no harm");
    let unused = FaultProxy::start(server.addr());
    assert_eq!(unused.expire().unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn bytes_that_are_no_frames_pass_as_they_are() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = FaultProxy::start(listener.local_addr().unwrap());
    let mut client = TcpStream::connect(proxy.addr()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(b"ruok").unwrap();
    let mut asked = [0; 4];
    server.read_exact(&mut asked).unwrap();
    assert_eq!(&asked, b"ruok");
    // Shorter than a length field, and then the end.
    server.write_all(b"imo").unwrap();
    drop(server);
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    assert_eq!(text, "imo");
}

#[test]
fn dropped_proxy_leaves_no_port_and_no_connection() {
    let (server, proxy, mut client) = server_proxy_and_client();
    let addr = proxy.addr();
    proxy.stall();
    client.send(op::GET_DATA, get_request());
    drop(proxy);
    client.read_until_closed();
    assert_eq!(TcpStream::connect(addr).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert!(server.wait_for(PATIENCE, |view| view.connections() == 0));
}
