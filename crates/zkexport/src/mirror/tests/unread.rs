//! Farms of which nothing can be read.

use super::*;

/// A farm with this many hosts, none of which can be read.
fn unread(hosts: usize) -> Fixture {
    let mut fixture = Fixture::new(None);
    fixture.step(Event::Unreadable(hosts));
    fixture.step(Event::Complete);
    fixture
}

#[test]
fn a_farm_without_a_record_is_never_stored() {
    let mut fixture = unread(3);
    fixture.step(Event::Unknown);
    fixture.step(Event::Refresh);
    fixture.step(Event::Complete);
    fixture.wait_until(60_000);
    assert_eq!(fixture.take_done(), ["0 no-record 3"]);
    let reason = BehindReason::Withheld(Withheld::NoRecord(3));
    assert_eq!(fixture.mirror.behind_reason(), Some(reason));
    assert!(!fixture.mirror.is_stored() && !fixture.mirror.is_current());
}

#[test]
fn the_first_record_and_the_departure_of_the_last_host_end_that() {
    let mut fixture = unread(2);
    fixture.step(Event::Unreadable(1));
    fixture.set(1000, "a", 1);
    assert_eq!(
        fixture.take_done(),
        ["0 no-record 2", "1000 records", "1000 store a=1", "1000 start"]
    );
    let mut fixture = unread(1);
    fixture.wait_until(1000);
    fixture.step(Event::Unreadable(0));
    fixture.wait_until(2000);
    assert_eq!(fixture.take_done(), ["0 no-record 1", "1050 records", "1050 store ", "1050 start"]);
}

#[test]
fn a_farm_without_hosts_is_stored_and_so_is_what_a_filter_leaves() {
    assert_eq!(unread(0).take_done(), ["0 store ", "0 start"]);
    let mut fixture = Fixture::new(Some("n>5"));
    fixture.farm.insert(host("a"), record(&json!({"n": 1})));
    fixture.step(Event::Unreadable(2));
    fixture.step(Event::Complete);
    assert_eq!(fixture.take_done(), ["0 store ", "0 start"]);
}

#[test]
fn the_file_stays_when_the_last_host_with_a_record_leaves() {
    let mut fixture = Fixture::live();
    fixture.step(Event::Unreadable(1));
    fixture.remove(1000, "a");
    fixture.remove(1000, "b");
    fixture.wait_until(5000);
    assert_eq!(fixture.take_done(), ["1050 no-record 1"]);
    assert_eq!(fixture.file, Some(json!({"a": {"n": 1}, "b": {"n": 2}})));
    // The host that can't be read leaves too: the farm is empty.
    fixture.step(Event::Unreadable(0));
    fixture.wait_until(6000);
    assert_eq!(fixture.take_done(), ["5050 records", "5050 store ", "5050 announce"]);
}

#[test]
fn a_host_that_is_back_ends_it() {
    let mut fixture = Fixture::live();
    fixture.step(Event::Unreadable(1));
    fixture.remove(1000, "a");
    fixture.remove(1000, "b");
    fixture.set(2000, "b", 2);
    assert_eq!(
        fixture.take_done(),
        ["1050 no-record 1", "2000 records", "2000 store b=2", "2000 announce"]
    );
}

#[test]
fn what_cannot_be_read_comes_before_too_few_hosts() {
    let mut fixture = Fixture::with_hosts_min(None, 2);
    fixture.step(Event::Unreadable(5));
    fixture.step(Event::Complete);
    fixture.step(Event::Unreadable(4));
    fixture.set(1000, "a", 1);
    fixture.step(Event::Unreadable(3));
    fixture.set(2000, "b", 1);
    assert_eq!(
        fixture.take_done(),
        ["0 no-record 5", "1000 too-few 1", "2000 enough", "2000 store a=1 b=1", "2000 start"]
    );
}
