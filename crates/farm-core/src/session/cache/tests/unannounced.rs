//! Changes that no event announces.

use super::*;

/// The server drops the events of changes that the client may not read.
fn drop_events(fixture: &mut Fixture) {
    while fixture.server.next_note().is_some() {}
}

#[test]
fn a_change_without_an_event_is_found_within_half_a_minute_and_costs_one_read() {
    let scope = || Scope::new(path("/t"), Depth::ZNODE, Contents::All);
    let mut fixture = Fixture::complete(scope(), server(&TREE));
    for round in 0..20_u8 {
        if round % 2 == 0 {
            fixture.server.put("/t", &[round]);
            drop_events(&mut fixture);
        }
        let (before, requests) = (fixture.now, fixture.requests);
        fixture.tick();
        assert!(
            fixture.now - before <= Retry::UNANNOUNCED_MOST
                && fixture.now - before >= Retry::UNANNOUNCED_MOST / 2
        );
        assert_eq!(fixture.asks(), ["read /t Yes"]);
        fixture.catch_up();
        assert_eq!(fixture.requests, requests + 1);
        let expected = if round % 2 == 0 { vec!["changed /t"] } else { vec![] };
        assert_eq!(fixture.news(), expected, "{round}");
    }
    fixture.server.put("/t", b"with an event");
    fixture.catch_up();
    assert_eq!(fixture.news(), ["changed /t"], "the read has left a watch");
}

#[test]
fn a_znode_that_was_forbidden_for_a_while_is_read_again_with_all_its_changes() {
    let scope = Scope::new(path("/t"), Depth::ZNODE, Contents::All);
    let mut fixture = Fixture::complete(scope, server(&TREE));
    fixture.server.forbid("/t", true);
    fixture.server.put("/t", b"unseen");
    drop_events(&mut fixture);
    fixture.tick();
    fixture.catch_up();
    assert_eq!(fixture.news(), ["refused not authorised: /t"]);
    for _ in 0..20 {
        let before = fixture.now;
        fixture.tick();
        fixture.catch_up();
        assert!(fixture.now - before <= Retry::UNANNOUNCED_MOST, "{:?}", fixture.now - before);
        assert_eq!(fixture.news(), NONE, "it is reported once");
    }
    fixture.server.allow_all();
    fixture.tick();
    fixture.catch_up();
    assert_eq!(fixture.news(), ["changed /t", "complete"]);
    assert_eq!(fixture.cache.top().unwrap().data, b"unseen");
}

#[test]
fn a_top_that_is_created_without_an_event_is_found() {
    for (depth, is_old) in [(Depth::ZNODE, true), (Depth::CHILDREN, true), (Depth::SUBTREE, false)]
    {
        let contents = if depth == Depth::ZNODE { Contents::All } else { Contents::Below };
        let scope = Scope::new(path("/t"), depth, contents);
        let mut fixture = Fixture::complete(scope, server_of(&[], is_old));
        fixture.tick();
        fixture.catch_up();
        assert_eq!(fixture.news(), NONE);
        fixture.server.put("/t", b"");
        fixture.server.put("/t/a", b"");
        drop_events(&mut fixture);
        fixture.tick();
        fixture.catch_up();
        assert_eq!(fixture.news().last().unwrap(), "complete", "{depth:?}");
    }
}

#[test]
fn forbidden_znodes_and_subtrees_are_retried_every_half_minute() {
    let table = [
        (below(Depth::CHILDREN), "unreadable /t/a"),
        (below(Depth::SUBTREE).all_or_nothing(), "refused not authorised: /t/a"),
    ];
    for (scope, news) in table {
        let mut fixture = Fixture::complete(scope, server(&TREE));
        fixture.server.forbid("/t/a", true);
        fixture.server.put("/t/a", b"new");
        fixture.catch_up();
        assert_eq!(fixture.news(), [news]);
        for _ in 0..20 {
            let before = fixture.now;
            fixture.tick();
            fixture.catch_up();
            assert!(fixture.now - before <= Retry::UNANNOUNCED_MOST, "{:?}", fixture.now - before);
        }
        fixture.server.allow_all();
        fixture.tick();
        fixture.catch_up();
        assert_eq!(fixture.cache.get(&path("/t/a")).unwrap().data, b"new");
    }
}
