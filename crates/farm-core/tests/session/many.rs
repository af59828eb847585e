//! Many reads in one request, and servers that do not support it.

use crate::fixture::{Fixture, WAIT_MAX, path};
use farm_core::session::{Client, SessionError, Znode, ZnodePath};
use farm_harness::{FakeServer, code, op};

const HOSTS: usize = 100;

fn paths() -> Vec<ZnodePath> {
    (0..HOSTS).map(|number| path(&format!("/farm/{number:03}"))).collect()
}

/// A server with a farm whose hosts hold their own paths.
fn farm() -> FakeServer {
    let server = FakeServer::start();
    for path in paths() {
        server.put(path.as_str(), path.as_str().as_bytes());
    }
    server
}

type Outcomes = Vec<Result<Znode, SessionError>>;

fn get_all(client: &Client) -> Result<Outcomes, SessionError> {
    client.get_many(&paths())
}

#[track_caller]
fn assert_all(read: Outcomes) {
    assert_eq!(read.len(), HOSTS);
    for (read, path) in read.into_iter().zip(paths()) {
        assert_eq!(read.unwrap().data, path.as_str().as_bytes());
    }
}

fn count(server: &FakeServer, opcode: i32) -> usize {
    server.requests().iter().filter(|seen| seen.opcode == opcode).count()
}

#[test]
fn a_hundred_reads_are_a_handful_of_requests() {
    let server = farm();
    let (fixture, _) = Fixture::at(&server);
    assert_all(fixture.run(get_all).unwrap());
    // Four reads to learn how long the data is, then 32 in each request.
    assert_eq!((count(&server, op::MULTI_READ), count(&server, op::GET_DATA)), (4, 0));
    assert_all(fixture.run(get_all).unwrap());
    assert_eq!(count(&server, op::MULTI_READ), 8);
    assert_eq!(fixture.run(|client| client.get_many(&[])).unwrap().len(), 0);
}

#[test]
fn an_error_of_one_znode_is_in_its_place() {
    let server = farm();
    server.delete("/farm/017");
    server.lock("/farm/042", "digest", b"secret");
    let (fixture, _) = Fixture::at(&server);
    for (number, read) in fixture.run(get_all).unwrap().into_iter().enumerate() {
        let is_expected = match (number, &read) {
            (17, Err(SessionError::NoNode(at))) => at.as_str() == "/farm/017",
            (42, Err(SessionError::NoAuth(at))) => at.as_str() == "/farm/042",
            (17 | 42, _) | (_, Err(_)) => false,
            (_, Ok(znode)) => znode.data == format!("/farm/{number:03}").into_bytes(),
        };
        assert!(is_expected, "{number}: {read:?}");
    }
    assert!(fixture.states().is_empty());
}

#[test]
fn metadata_are_those_of_a_single_read() {
    let server = FakeServer::start();
    let session = server.open_session(WAIT_MAX);
    server.put("/farm", b"");
    server.put_ephemeral("/farm/a", b"1", session);
    server.put_ephemeral("/farm/a", b"22", session);
    server.put("/farm/b/below", b"");
    let (fixture, _) = Fixture::at(&server);
    let names = ["/farm/a", "/farm/b"];
    let many = fixture.run(move |client| client.get_many(&names.map(path))).unwrap();
    for (read, name) in many.into_iter().zip(names) {
        assert_eq!(read.unwrap(), fixture.get(name).unwrap());
    }
}

#[test]
fn an_old_server_gets_one_multi_read_in_a_session() {
    let server = farm();
    server.old_version();
    let (mut fixture, session) = Fixture::at(&server);
    for _ in 0..3 {
        assert_all(fixture.session.call(WAIT_MAX, get_all).unwrap());
    }
    assert_eq!(count(&server, op::MULTI_READ), 1);
    assert_eq!(server.connections_accepted(), 2, "it hangs up once");
    fixture.suspended();
    assert_eq!(fixture.connected_again(), session);
    assert!(fixture.states().is_empty());
}

#[test]
fn an_old_server_that_gets_many_at_once_hangs_up_once() {
    let server = farm();
    server.old_version();
    let (mut fixture, _) = Fixture::at(&server);
    let all: Vec<_> = (0..8).map(|_| fixture.start(get_all)).collect();
    for read in all {
        drop(read.recv_timeout(WAIT_MAX).unwrap());
    }
    assert_all(fixture.session.call(WAIT_MAX, get_all).unwrap());
    assert_eq!(server.connections_accepted(), 2);
}

#[test]
fn a_refusal_of_the_whole_request_is_no_answer_about_any_znode() {
    let server = farm();
    let (fixture, _) = Fixture::at(&server);
    server.answer_with(op::MULTI_READ, code::MARSHALLING_ERROR);
    assert_all(fixture.run(get_all).unwrap());
    assert_eq!((count(&server, op::MULTI_READ), count(&server, op::GET_DATA)), (1, HOSTS));
    assert!(fixture.states().is_empty());
}

#[test]
fn requests_get_smaller_if_connections_break_over_the_answers() {
    let server = farm();
    // As if an answer were too large for the server or for us.
    for _ in 0..20 {
        server.before_reply(op::MULTI_READ, |server| server.cut());
    }
    let (mut fixture, _) = Fixture::at(&server);
    assert_all(fixture.session.call(WAIT_MAX * 2, get_all).unwrap());
    assert!(count(&server, op::MULTI_READ) <= 3, "{}", count(&server, op::MULTI_READ));
}

#[test]
fn long_data_are_read_in_small_answers() {
    const LONG: usize = 900_000;
    let server = FakeServer::start();
    let names: Vec<_> = (0..20).map(|number| path(&format!("/long/{number}"))).collect();
    names.iter().for_each(|name| server.put(name.as_str(), &vec![b'x'; LONG]));
    let (fixture, _) = Fixture::at(&server);
    let read = fixture.run(move |client| client.get_many(&names)).unwrap();
    assert!(read.into_iter().all(|read| read.unwrap().data.len() == LONG));
    assert_eq!((count(&server, op::MULTI_READ), count(&server, op::GET_DATA)), (1, 16));
    assert!(fixture.states().is_empty());
}
