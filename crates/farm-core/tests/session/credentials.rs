//! Credentials are sent on every connection, before anything else.

use crate::fixture::{Fixture, Stop, WAIT_MAX, options, path};
use farm_core::farm::{Claim, claim};
use farm_core::session::{
    Acl, Auth, Client, CreateMode, Event, SessionError, SessionOptions, Watch,
};
use farm_harness::{FakeEnsemble, FakeServer, free_port, op, patience};
use std::fmt::Display;
use std::time::Duration;

const LINES: &[u8] = b"digest:bob:secret\ndigest:eve:other";

fn with_auth(servers: &[&dyn Display]) -> SessionOptions {
    SessionOptions { auth: Auth::parse(LINES).unwrap(), ..options(servers) }
}

fn locked(server: &FakeServer) {
    server.put("/farm", b"");
    server.put("/farm/a", b"1");
    server.lock("/farm", "digest", b"bob:secret");
    server.lock("/farm/a", "digest", b"eve:other");
}

fn read(client: &Client) -> Result<Vec<u8>, SessionError> {
    client.children(&path("/farm"), Watch::No)?;
    client.get(&path("/farm/a"), Watch::Yes).map(|znode| znode.data)
}

#[test]
fn only_a_session_with_the_credentials_can_read() {
    let server = FakeServer::start();
    locked(&server);
    let fixture = Fixture::open_with(with_auth(&[&server.addr()]));
    fixture.connected_anew();
    assert_eq!(fixture.run(read).unwrap(), b"1");
    let (anonymous, _) = Fixture::at(&server);
    let refused = anonymous.run(read);
    assert!(matches!(&refused, Err(SessionError::NoAuth(p)) if p.as_str() == "/farm"));
    let auth = Auth::parse(b"digest:bob:secret").unwrap();
    let half = Fixture::open_with(SessionOptions { auth, ..options(&[&server.addr()]) });
    half.connected_anew();
    let refused = half.run(read);
    assert!(matches!(&refused, Err(SessionError::NoAuth(p)) if p.as_str() == "/farm/a"));
}

#[test]
fn no_read_reaches_a_server_before_the_credentials() {
    let ensemble = FakeEnsemble::start();
    let (first, second) = (ensemble.server(), ensemble.server());
    locked(&first);
    let fixture = Fixture::open_with(with_auth(&[&first.addr(), &second.addr()]));
    fixture.connected_anew();
    fixture.run(|client| client.watch_tree(&path("/farm"))).unwrap();
    // The answers to credentials are slow; meanwhile readers go on.
    first.delay(Duration::from_millis(10));
    second.delay(Duration::from_millis(10));
    let stop = Stop::new();
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let is_done = stop.watch();
            fixture.start(move |client| {
                let mut answers = 0_u32;
                while !is_done() || answers == 0 {
                    match read(client) {
                        Ok(_) => answers += 1,
                        Err(SessionError::Disconnected) => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(answers)
            })
        })
        .collect();
    for _ in 0..6 {
        first.cut();
        second.cut();
        fixture.suspended();
        fixture.connected_again();
    }
    drop(stop);
    for reader in readers {
        assert!(reader.recv_timeout(patience(WAIT_MAX)).unwrap().unwrap() > 0);
    }
    for server in [&first, &second] {
        let asked = server.requests();
        let sent = asked.iter().filter(|seen| seen.opcode == op::AUTH).count();
        assert_eq!(sent as u64, 2 * server.connections_accepted());
    }
}

#[test]
fn refused_credentials_are_reported_after_each_round_and_tried_again() {
    let server = FakeServer::start();
    locked(&server);
    server.refuse_auth();
    let down = format!("127.0.0.1:{}", free_port());
    // Whichever of the two is tried last, the error that somebody can fix is reported.
    let fixture = Fixture::open_with(with_auth(&[&down, &server.addr()]));
    for _ in 0..3 {
        let error = fixture.auth_refused().to_string();
        assert_eq!(error, format!("{} refused our credentials", server.addr()));
    }
    server.heal();
    loop {
        match fixture.next() {
            Event::AuthRefused(_) => {}
            Event::Connected { is_new: true, .. } => break,
            other => panic!("not connected but {other:?}"),
        }
    }
    assert_eq!(fixture.run(read).unwrap(), b"1");
    assert_eq!(server.sessions().len(), 1);
}

#[test]
fn one_server_that_refuses_is_skipped() {
    let ensemble = FakeEnsemble::start();
    let (bad, good) = (ensemble.server(), ensemble.server());
    locked(&good);
    bad.refuse_auth();
    // The order is random: repeated until the bad one is tried first.
    for _ in 0..100 {
        let fixture = Fixture::open_with(with_auth(&[&bad.addr(), &good.addr()]));
        fixture.connected_anew();
        assert_eq!(fixture.run(read).unwrap(), b"1");
        if bad.connections_accepted() > 0 {
            return;
        }
    }
    panic!("the bad one was never tried");
}

#[test]
fn a_session_lives_while_its_credentials_are_refused() {
    let server = FakeServer::start();
    let fixture = Fixture::open_with(with_auth(&[&server.addr()]));
    let session = fixture.connected_anew();
    fixture.run(|client| client.create(&path("/own"), b"", CreateMode::Ephemeral)).unwrap();
    server.refuse_auth();
    server.cut();
    fixture.suspended();
    fixture.auth_refused();
    fixture.auth_refused();
    assert_eq!(server.owner("/own"), Some(session.0));
    server.heal();
    loop {
        match fixture.next() {
            Event::AuthRefused(_) => {}
            Event::Connected { session: again, is_new: false, .. } => {
                assert_eq!(again, session);
                break;
            }
            other => panic!("not connected but {other:?}"),
        }
    }
}

#[test]
fn a_call_ends_early_when_its_credentials_are_refused() {
    let server = FakeServer::start();
    locked(&server);
    server.refuse_auth();
    let mut fixture = Fixture::open_with(with_auth(&[&server.addr()]));
    let outcome = fixture.session.call(WAIT_MAX * 4, read);
    assert!(matches!(outcome, Err(SessionError::AuthRefused(_))), "{outcome:?}");
    fixture.session.close();
    assert_eq!(server.sessions(), []);
}

#[test]
fn a_server_that_does_not_answer_credentials_is_left() {
    let ensemble = FakeEnsemble::start();
    let (silent, good) = (ensemble.server(), ensemble.server());
    let fixtures: Vec<Fixture> = (0..6)
        .map(|_| {
            silent.before_reply(op::AUTH, FakeServer::stall);
            Fixture::open_with(with_auth(&[&silent.addr(), &good.addr()]))
        })
        .collect();
    for fixture in &fixtures {
        fixture.connected_anew();
    }
    assert_eq!(good.connections(), fixtures.len());
}

#[test]
fn created_and_replaced_znodes_get_the_access_list() {
    let server = FakeServer::start();
    let dead = server.open_session(Duration::from_secs(40));
    server.put("/farm", b"");
    server.put_ephemeral("/farm/old", b"left over", dead);
    let acl = Acl::parse("auth::cdrwa,ip:10.0.0.0/8:rw").unwrap();
    let wanted = ["auth::31", "ip:10.0.0.0/8:3"].map(str::to_owned);
    let fixture = Fixture::open_with(SessionOptions { acl, ..with_auth(&[&server.addr()]) });
    fixture.connected_anew();
    let claimed = fixture.run(|client| {
        client.create(&path("/plain"), b"", CreateMode::Persistent)?;
        client.create_all(&path("/a/b/c"))?;
        claim(client, &path("/farm/new"), b"", |_| false)?;
        claim(client, &path("/farm/old"), b"", |_| true)
    });
    assert!(matches!(claimed, Ok(Claim::Ours { replaced: Some(_), .. })), "{claimed:?}");
    for path in ["/plain", "/a", "/a/b", "/a/b/c", "/farm/new", "/farm/old"] {
        assert_eq!(server.acl(path), wanted, "{path}");
    }
    assert_eq!(server.acl("/farm"), ["world:anyone:31"]);
    let mut below = with_auth(&[&format!("{}/x/y", server.addr())]);
    below.acl = Acl::parse("creator").unwrap();
    let fixture = Fixture::open_with(below);
    fixture.connected_anew();
    fixture.run(|client| client.create_all(&path("/z"))).unwrap();
    for path in ["/x", "/x/y", "/x/y/z"] {
        assert_eq!(server.acl(path), ["auth::31"], "{path}");
    }
}

#[test]
fn debug_output_shows_no_secret() {
    let server = FakeServer::start();
    let fixture = Fixture::open_with(with_auth(&[&server.addr()]));
    fixture.connected_anew();
    let shown = format!("{:?} {:#?}", with_auth(&[&server.addr()]), fixture.session);
    assert!(shown.contains("Auth(2)") && !shown.contains("secret"), "{shown}");
}
