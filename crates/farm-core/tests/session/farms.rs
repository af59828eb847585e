//! Entries, edits and sizes over connections that break and with concurrent writers.

use crate::fixture::{Fixture, Stop, WAIT_MAX, path};
use farm_core::farm::{
    Absent, Claim, Edit, EditError, claim, edit_record, edit_znode, keep_size, look, share,
};
use farm_core::model::{FieldPath, Record, Value};
use farm_core::session::{Change, Client, SessionError, Stat, Watch, Znode};
use farm_harness::{FakeServer, op};
use std::convert::Infallible;
use std::time::{Duration, Instant};

const ENTRY: &str = "/farm/host";

fn claim_entry(client: &Client) -> Result<Claim, SessionError> {
    claim(client, &path(ENTRY), b"mine", |znode| znode.data == b"left over")
}

#[test]
fn claim_creates_the_entry_and_the_farm_above_it() {
    let server = FakeServer::start();
    let (fixture, session) = Fixture::at(&server);
    let Claim::Ours { znode, replaced: None } = fixture.run(claim_entry).unwrap() else {
        panic!("not ours")
    };
    assert_eq!((znode.data, znode.stat.ephemeral_owner), (b"mine".to_vec(), session.0));
    server.put(ENTRY, b"changed");
    assert_eq!(fixture.hint(), (ENTRY.to_owned(), Change::Data));
    // It is ours already, and is left as it is.
    let Claim::Ours { znode, replaced: None } = fixture.run(claim_entry).unwrap() else {
        panic!("not ours")
    };
    assert_eq!(znode.data, b"changed");
}

#[test]
fn claim_finds_its_own_work_after_a_create_that_was_cut() {
    let server = FakeServer::start();
    server.put("/farm", b"");
    let (fixture, session) = Fixture::at(&server);
    server.before_reply(op::CREATE, FakeServer::cut);
    let first = fixture.run(claim_entry);
    assert!(matches!(first, Err(SessionError::Disconnected)), "{first:?}");
    fixture.suspended();
    fixture.connected_again();
    let again = fixture.run(claim_entry).unwrap();
    assert!(matches!(again, Claim::Ours { .. }), "{again:?}");
    assert_eq!(server.owner(ENTRY), Some(session.0));
}

#[test]
fn claim_leaves_what_belongs_to_another_and_watches_it() {
    let server = FakeServer::start();
    let other = server.open_session(Duration::from_secs(40));
    server.put("/farm", b"");
    server.put_ephemeral(ENTRY, b"theirs", other);
    let (fixture, _) = Fixture::at(&server);
    let Claim::Taken { znode } = fixture.run(claim_entry).unwrap() else { panic!("not taken") };
    assert_eq!(znode.data, b"theirs");
    assert!(server.expire(other));
    assert_eq!(fixture.hint(), (ENTRY.to_owned(), Change::Deleted));
}

#[test]
fn claim_replaces_a_left_over_entry_without_a_gap() {
    let server = FakeServer::start();
    let dead = server.open_session(Duration::from_secs(40));
    server.put("/farm", b"");
    server.put_ephemeral(ENTRY, b"left over", dead);
    let (fixture, session) = Fixture::at(&server);
    let (observer, _) = Fixture::at(&server);
    let stop = Stop::new();
    let is_done = stop.watch();
    let seen = observer.start(move |client| {
        let mut count = 0_u32;
        while !is_done() {
            client.get(&path(ENTRY), Watch::No)?;
            count += 1;
        }
        Ok::<u32, SessionError>(count)
    });
    assert!(server.wait_for(WAIT_MAX, |view| view.count(op::GET_DATA) > 0), "it reads");
    let Claim::Ours { znode, replaced: Some(replaced) } = fixture.run(claim_entry).unwrap() else {
        panic!("not replaced")
    };
    assert_eq!((znode.stat.ephemeral_owner, replaced.data), (session.0, b"left over".to_vec()));
    // The end of its former owner does not touch it.
    assert!(server.expire(dead));
    assert_eq!(server.owner(ENTRY), Some(session.0));
    drop(stop);
    assert!(seen.recv_timeout(WAIT_MAX).unwrap().expect("it is never missing") > 0);
    assert_eq!(server.requests().iter().filter(|seen| seen.opcode == op::DELETE).count(), 0);
}

#[test]
fn claim_of_a_left_over_entry_survives_a_cut_and_a_race() {
    let server = FakeServer::start();
    let dead = server.open_session(Duration::from_secs(40));
    server.put("/farm", b"");
    server.put_ephemeral(ENTRY, b"left over", dead);
    let (fixture, session) = Fixture::at(&server);
    // Another client changes it between our read and our replacement.
    server.before_reply(op::GET_DATA, |server| server.put(ENTRY, b"left over"));
    server.before_reply(op::MULTI, |_| {});
    server.before_reply(op::MULTI, FakeServer::cut);
    let first = fixture.run(claim_entry);
    assert!(matches!(first, Err(SessionError::Disconnected)), "{first:?}");
    fixture.suspended();
    fixture.connected_again();
    assert!(matches!(fixture.run(claim_entry).unwrap(), Claim::Ours { .. }));
    assert_eq!(server.owner(ENTRY), Some(session.0));
}

#[test]
fn claims_of_many_sessions_end_with_one_owner() {
    let server = FakeServer::start();
    let fixtures: Vec<_> = (0..6).map(|_| Fixture::at(&server)).collect();
    let never = |client: &Client| claim(client, &path(ENTRY), b"", |_: &Znode| false);
    let claims: Vec<_> = fixtures.iter().map(|(fixture, _)| fixture.start(never)).collect();
    let outcomes: Vec<Claim> =
        claims.iter().map(|claim| claim.recv_timeout(WAIT_MAX).unwrap().unwrap()).collect();
    let owner = server.owner(ENTRY).unwrap();
    for ((_, session), outcome) in fixtures.iter().zip(&outcomes) {
        assert_eq!(matches!(outcome, Claim::Ours { .. }), session.0 == owner, "{outcome:?}");
    }
}

#[test]
fn look_leaves_a_watch_whether_the_entry_is_there_or_not() {
    let server = FakeServer::start();
    let (fixture, _) = Fixture::at(&server);
    assert_eq!(fixture.run(|client| look(client, &path("/a"))).unwrap(), None);
    server.put("/a", b"1");
    assert_eq!(fixture.hint(), ("/a".to_owned(), Change::Created));
    assert!(fixture.run(|client| look(client, &path("/a"))).unwrap().is_some());
    server.delete("/a");
    assert_eq!(fixture.hint(), ("/a".to_owned(), Change::Deleted));
}

/// Adds one to a field of its own and to a shared field, again after every cut.
fn count_up(client: &Client, own: &str, times: u32) -> u32 {
    let (own, mut cuts) = (FieldPath::parse(own).unwrap(), 0);
    for wanted in 1..=times {
        let until = Instant::now() + WAIT_MAX;
        loop {
            let edited = edit_record(client, &path("/farm"), until, |record| {
                // Done already by the attempt whose answer was lost.
                if record.get(&own) == Some(&Value::from(wanted)) {
                    return Ok(());
                }
                let all = FieldPath::parse("all").unwrap();
                let sum = record.get(&all).and_then(Value::as_u64).unwrap_or(0) + 1;
                record.set(&own, Value::from(wanted)).unwrap();
                record.set(&all, Value::from(sum)).unwrap();
                Ok::<(), Infallible>(())
            });
            match edited {
                Ok(_) => break,
                Err(EditError::Session(SessionError::Disconnected)) => cuts += 1,
                Err(other) => panic!("{other:?}"),
            }
            assert!(Instant::now() < until);
        }
    }
    cuts
}

#[test]
fn no_edit_is_lost_under_contention_and_cuts() {
    const WRITERS: u32 = 4;
    const EDITS: u32 = 10;
    let server = FakeServer::start();
    server.put("/farm", b"");
    let fixtures: Vec<_> = (0..WRITERS).map(|_| Fixture::at(&server).0).collect();
    server.before_reply(op::SET_DATA, FakeServer::cut);
    server.drop_before_apply(op::SET_DATA);
    let writers: Vec<_> = (0..)
        .zip(&fixtures)
        .map(|(number, fixture): (u32, _)| {
            fixture.start(move |client| count_up(client, &format!("writer{number}"), EDITS))
        })
        .collect();
    let mut cuts = 0;
    for writer in writers {
        cuts += writer.recv_timeout(WAIT_MAX).unwrap();
    }
    assert!(cuts > 0, "nobody was cut");
    let record = farm_core::codec::json::decode_znode(&server.get("/farm").unwrap()).unwrap();
    let field = |name: &str| record.get(&FieldPath::parse(name).unwrap()).and_then(Value::as_u64);
    assert_eq!(field("all"), Some(u64::from(WRITERS * EDITS)));
    for number in 0..WRITERS {
        assert_eq!(field(&format!("writer{number}")), Some(u64::from(EDITS)));
    }
}

#[test]
fn edit_ends_in_time_when_other_writers_are_always_faster() {
    let server = FakeServer::start();
    server.put("/farm", b"{}");
    let (fixture, _) = Fixture::at(&server);
    let until = Instant::now() + Duration::from_millis(300);
    for _ in 0..200 {
        server.before_reply(op::GET_DATA, |server| server.put("/farm", b"{\"other\":1}"));
    }
    let edited = fixture.run(move |client| {
        edit_record(client, &path("/farm"), until, |record| {
            record.set(&FieldPath::parse("mine").unwrap(), Value::from(1)).unwrap();
            Ok::<(), Infallible>(())
        })
    });
    assert!(matches!(edited, Err(EditError::Contended { .. })), "{edited:?}");
    assert_eq!(server.get("/farm"), Some(b"{\"other\":1}".to_vec()));
}

#[test]
fn size_is_the_most_hosts_with_any_number_of_concurrent_counts() {
    const HOSTS: usize = 6;
    let server = FakeServer::start();
    server.put("/farm/common", b"");
    server.put("/farm", b"{\"size\":2,\"other\":\"kept\"}");
    let fixtures: Vec<_> = (0..HOSTS).map(|_| Fixture::at(&server).0).collect();
    let sizes: Vec<_> = fixtures
        .iter()
        .enumerate()
        .map(|(number, fixture)| {
            server.put(&format!("/farm/host{number}"), b"");
            fixture.start(|client| keep_size(client, &path("/farm")))
        })
        .collect();
    for size in sizes {
        size.recv_timeout(WAIT_MAX).unwrap().unwrap();
    }
    assert_eq!(server.get("/farm"), Some(b"{\"other\":\"kept\",\"size\":6}".to_vec()));
    server.delete("/farm/host0");
    fixtures[0].run(|client| keep_size(client, &path("/farm"))).unwrap();
    assert_eq!(server.get("/farm"), Some(b"{\"other\":\"kept\",\"size\":6}".to_vec()));
}

#[test]
fn size_of_a_farm_with_a_malformed_record_is_left_alone() {
    let server = FakeServer::start();
    server.put("/farm/a", b"");
    server.put("/farm", b"{oops");
    let (fixture, _) = Fixture::at(&server);
    fixture.run(|client| keep_size(client, &path("/farm"))).unwrap();
    assert_eq!(server.get("/farm"), Some(b"{oops".to_vec()));
}

#[test]
fn every_write_is_settled_by_its_repetition() {
    type Write = fn(&Client) -> Result<(), SessionError>;
    let share_it: Write = |client| share(client, &path("/farm/common"), b"{}").map(drop);
    let create_it: Write = |client| client.create_all(&path("/farm/below/deeper"));
    let size_it: Write = |client| keep_size(client, &path("/farm")).map(drop);
    let edit = |client: &Client| {
        let until = Instant::now() + WAIT_MAX;
        let change = |record: &mut Record, _: Option<&Stat>| {
            record.set(&FieldPath::parse("n").unwrap(), 1.into()).map(Edit::Write)
        };
        match edit_znode(client, &path("/farm/new"), until, Absent::Create, change) {
            Ok(_) => Ok(()),
            Err(EditError::Session(error)) => Err(error),
            Err(error) => panic!("{error}"),
        }
    };
    let edit_it: Write = edit;
    let delete_it: Write = |client| match client.delete(&path("/farm/old"), None) {
        Err(SessionError::NoNode(_)) => Ok(()),
        other => other,
    };
    let table = [
        (share_it, op::CREATE, "/farm/common", Some("{}")),
        (create_it, op::CREATE, "/farm/below/deeper", Some("")),
        (size_it, op::SET_DATA, "/farm", Some("{\"size\":1}")),
        (edit_it, op::CREATE, "/farm/new", Some("{\"n\":1}")),
        (delete_it, op::DELETE, "/farm/old", None),
    ];
    for (write, opcode, at, expected) in table {
        for is_done in [true, false] {
            let server = FakeServer::start();
            server.put("/farm/old", b"{}");
            if is_done {
                server.before_reply(opcode, FakeServer::cut);
            } else {
                server.drop_before_apply(opcode);
            }
            let (mut fixture, _) = Fixture::at(&server);
            let first = fixture.run(write);
            assert!(matches!(first, Err(SessionError::Disconnected)), "{at}: {first:?}");
            fixture.session.call(WAIT_MAX, write).unwrap();
            let stands = server.get(at).map(|data| String::from_utf8(data).unwrap());
            assert_eq!(stands.as_deref(), expected, "{at}, done at first: {is_done}");
        }
    }
}
