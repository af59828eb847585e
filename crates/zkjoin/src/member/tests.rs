//! The member in a world where requests, answers and writes fail at random.

use super::*;
use farm_core::model::Value;
use serde_json::json;
use std::collections::VecDeque;
use std::time::Duration;

const HOST: &str = "db-01";

fn record(value: &Value) -> Record {
    Record::from_map(value.as_object().unwrap().clone())
}

fn remote(value: &Value, version: i32) -> Remote {
    Remote { record: Some(record(value)), version }
}

fn good(value: &Value) -> Event {
    Event::Conf(Conf::Good(record(value)))
}

fn with_hostname() -> MemberOptions {
    MemberOptions { hostname: Some(HOST.to_owned()), ..MemberOptions::default() }
}

/// A member that has joined, with this record on both sides, at version 0.
fn joined(value: &Value) -> Member {
    let mut member = Member::new(MemberOptions::default());
    let now = Instant::now();
    assert_eq!(member.step(now, good(value)), []);
    assert_eq!(member.step(now, Event::Connected), [Action::Claim(record(value))]);
    let claimed = Event::Claimed { remote: remote(value, 0), overruled: None };
    assert_eq!(member.step(now, claimed), [Action::ReportJoined]);
    member
}

#[test]
fn the_hostname_reaches_the_znode_first_and_then_the_config() {
    let mut member = Member::new(with_hostname());
    let now = Instant::now();
    member.step(now, good(&json!({"enabled": "0", "hostname": "wrong"})));
    let wanted = json!({"enabled": "0", "hostname": HOST});
    assert_eq!(member.step(now, Event::Connected), [Action::Claim(record(&wanted))]);
    let claimed = Event::Claimed { remote: remote(&wanted, 0), overruled: None };
    let actions = member.step(now, claimed);
    assert_eq!(actions[..2], [Action::ReportJoined, Action::Store(record(&wanted))]);
}

#[test]
fn edits_of_different_fields_reach_both_sides() {
    let mut member = joined(&json!({"a": 1, "b": 1}));
    let now = Instant::now();
    let actions = member.step(now, good(&json!({"a": 2, "b": 1})));
    let local_edit = record(&json!({"a": 2, "b": 1}));
    assert_eq!(actions, [Action::Publish { record: local_edit, version: 0 }]);
    // Another writer changes the other field first.
    assert_eq!(member.step(now, Event::BadVersion), [Action::Read]);
    let both = record(&json!({"a": 2, "b": 2}));
    assert_eq!(
        member.step(now, Event::Read(remote(&json!({"a": 1, "b": 2}), 1))),
        [Action::Store(both.clone()), Action::Publish { record: both, version: 1 }]
    );
}

#[test]
fn of_two_edits_of_one_field_the_remote_one_stands_and_the_other_is_logged() {
    let mut member = joined(&json!({"a": 1}));
    let now = Instant::now();
    member.step(now, Event::Disconnected);
    assert_eq!(member.step(now, good(&json!({"a": 2}))), []);
    assert_eq!(member.step(now, Event::Connected), [Action::Read]);
    let actions = member.step(now, Event::Read(remote(&json!({"a": 3}), 1)));
    let [Action::ReportConflicts(conflicts), Action::Store(stored)] = &actions[..] else {
        panic!("{actions:?}")
    };
    assert_eq!(*stored, record(&json!({"a": 3})));
    let values = (conflicts[0].local.clone(), conflicts[0].remote.clone());
    assert_eq!(values, (Some(json!(2)), Some(json!(3))));
}

#[test]
fn an_edit_right_after_our_own_write_is_an_edit_of_what_we_wrote() {
    let mut member = joined(&json!({"a": 1}));
    let now = Instant::now();
    member.step(now, Event::Hint);
    let stored = Action::Store(record(&json!({"a": 2})));
    assert_eq!(member.step(now, Event::Read(remote(&json!({"a": 2}), 1))), [stored]);
    // Somebody edited the config before it was read back.
    let edited = Event::Stored(Conf::Good(record(&json!({"a": 3}))));
    let published = Action::Publish { record: record(&json!({"a": 3})), version: 1 };
    assert_eq!(member.step(now, edited), [published]);
}

#[test]
fn a_record_that_zookeeper_rejects_does_not_cost_the_place_in_the_farm() {
    let mut member = joined(&json!({"a": 1}));
    let now = Instant::now();
    assert!(!member.step(now, good(&json!({"a": 2}))).is_empty());
    assert_eq!(member.step(now, Event::Refused { is_final: true }), []);
    member.step(now, Event::Hint);
    assert_eq!(member.step(now, Event::Gone), [Action::Claim(record(&json!({"a": 1})))]);
    // If that one is rejected too, it is retried later, not in a loop.
    assert_eq!(member.step(now, Event::Refused { is_final: true }), []);
    assert!(member.deadline().is_some_and(|at| at > now));
}

#[test]
fn a_bad_config_is_left_alone_and_the_znode_keeps_its_record() {
    let mut member = joined(&json!({"a": 1}));
    let now = Instant::now();
    assert_eq!(member.step(now, Event::Conf(Conf::Bad)), []);
    assert_eq!(member.step(now, Event::Hint), [Action::Read]);
    // The remote change waits.
    assert_eq!(member.step(now, Event::Read(remote(&json!({"a": 2}), 1))), []);
    // Edits made meanwhile are merged with it as soon as the config parses.
    let both = record(&json!({"a": 2, "b": 5}));
    assert_eq!(
        member.step(now, good(&json!({"a": 1, "b": 5}))),
        [Action::Store(both.clone()), Action::Publish { record: both, version: 1 }]
    );
}

#[test]
fn with_nothing_good_yet_only_the_hostname_is_published() {
    let now = Instant::now();
    let mut member = Member::new(with_hostname());
    member.step(now, Event::Conf(Conf::Bad));
    let wanted = record(&json!({"hostname": HOST}));
    assert_eq!(member.step(now, Event::Connected), [Action::Claim(wanted)]);
}

#[test]
fn a_missing_config_is_created_at_the_start_and_later_only_after_a_remote_change() {
    let now = Instant::now();
    let mut member = Member::new(MemberOptions::default());
    member.step(now, Event::Conf(Conf::Missing));
    member.step(now, Event::Connected);
    let claimed = Event::Claimed { remote: remote(&json!({}), 0), overruled: None };
    assert!(member.step(now, claimed).contains(&Action::Store(Record::new())));
    let mut member = joined(&json!({"a": 1}));
    assert_eq!(member.step(now, Event::Conf(Conf::Missing)), []);
    member.step(now, Event::Hint);
    assert_eq!(
        member.step(now, Event::Read(remote(&json!({"a": 2}), 1))),
        [Action::Store(record(&json!({"a": 2})))]
    );
}

#[test]
fn a_malformed_znode_is_repaired_and_the_config_is_left_alone() {
    let now = Instant::now();
    let mut member = joined(&json!({"a": 1}));
    member.step(now, Event::Hint);
    let malformed = Event::Read(Remote { record: None, version: 4 });
    let repaired = Action::Publish { record: record(&json!({"a": 1})), version: 4 };
    assert_eq!(member.step(now, malformed), [repaired]);
}

#[test]
fn a_record_left_over_is_overruled_field_by_field_and_logged() {
    let now = Instant::now();
    let mut member = Member::new(MemberOptions::default());
    member.step(now, good(&json!({"a": 1, "same": 1})));
    member.step(now, Event::Connected);
    let overruled = Some(record(&json!({"a": 2, "same": 1, "old": 3})));
    let actions = member
        .step(now, Event::Claimed { remote: remote(&json!({"a": 1, "same": 1}), 0), overruled });
    let Action::ReportOverruled(lost) = &actions[0] else { panic!("{actions:?}") };
    assert_eq!((&lost[0].local, &lost[0].remote), (&Some(json!(1)), &Some(json!(2))));
    let fields: Vec<String> = lost.iter().map(|lost| lost.field.to_string()).collect();
    assert_eq!(fields, ["a", "old"]);
}

#[test]
fn a_deleted_znode_is_claimed_again_and_a_taken_one_is_waited_for() {
    let now = Instant::now();
    let mut member = joined(&json!({"a": 1}));
    member.step(now, Event::Hint);
    let claim = Action::Claim(record(&json!({"a": 1})));
    assert_eq!(member.step(now, Event::Gone), std::slice::from_ref(&claim));
    assert_eq!(member.step(now, Event::Taken), []);
    assert_eq!(member.step(now, Event::Tick), []);
    assert_eq!(member.step(now, Event::Hint), [claim]);
}

#[test]
fn a_rejected_record_is_not_published_again_until_it_changes() {
    let now = Instant::now();
    let mut member = joined(&json!({"a": 1}));
    assert!(!member.step(now, good(&json!({"a": 2}))).is_empty());
    assert_eq!(member.step(now, Event::Refused { is_final: true }), []);
    assert_eq!(member.step(now, good(&json!({"a": 2}))), []);
    assert!(!member.step(now, good(&json!({"a": 3}))).is_empty());
}

#[test]
fn a_refused_request_and_a_failed_store_are_retried_later_and_not_before() {
    let now = Instant::now();
    let mut member = joined(&json!({"a": 1}));
    assert!(!member.step(now, good(&json!({"a": 2}))).is_empty());
    assert_eq!(member.step(now, Event::Refused { is_final: false }), []);
    let at = member.deadline().unwrap();
    assert!(at > now);
    assert_eq!(member.step(now, Event::Tick), []);
    assert!(!member.step(at, Event::Tick).is_empty());
    assert_eq!(member.deadline(), None, "only the answer is waited for");

    let mut member = joined(&json!({"a": 1}));
    member.step(now, Event::Hint);
    assert!(!member.step(now, Event::Read(remote(&json!({"a": 2}), 1))).is_empty());
    assert_eq!(member.step(now, Event::StoreFailed), []);
    let at = member.deadline().unwrap();
    assert!(!member.step(at, Event::Tick).is_empty());
    assert_eq!(member.deadline(), None, "only the answer is waited for");
}

fn common() -> MemberOptions {
    MemberOptions { is_common: true, ..MemberOptions::default() }
}

#[test]
fn the_common_record_replaces_the_config_at_the_start_and_lost_fields_are_logged() {
    let now = Instant::now();
    let mut member = Member::new(common());
    member.step(now, good(&json!({"a": 1, "mine": 1, "same": 1})));
    assert!(matches!(member.step(now, Event::Connected)[..], [Action::Claim(_)]));
    let shared = json!({"a": 2, "same": 1, "theirs": 3});
    let actions = member.step(now, Event::Read(remote(&shared, 7)));
    let [Action::ReportJoined, Action::ReportConflicts(lost), Action::Store(stored)] = &actions[..]
    else {
        panic!("{actions:?}")
    };
    let fields: Vec<String> = lost.iter().map(|lost| lost.field.to_string()).collect();
    assert_eq!(fields, ["a", "mine"]);
    assert_eq!(*stored, record(&shared));
    assert_eq!(member.step(now, Event::Stored(Conf::Good(record(&shared)))), []);
    // From then on edits are synced both ways.
    let edited = json!({"a": 5, "same": 1, "theirs": 3});
    let publish = Action::Publish { record: record(&edited), version: 7 };
    assert_eq!(member.step(now, good(&edited)), [publish]);
}

#[test]
fn with_a_bad_config_no_common_znode_is_created_and_an_existing_one_waits() {
    let now = Instant::now();
    let mut member = Member::new(common());
    member.step(now, Event::Conf(Conf::Bad));
    assert_eq!(member.step(now, Event::Connected), [Action::Read]);
    assert_eq!(member.step(now, Event::Gone), []);
    assert_eq!(member.step(now, Event::Hint), [Action::Read]);
    let shared = json!({"a": 2});
    assert_eq!(member.step(now, Event::Read(remote(&shared, 0))), [Action::ReportJoined]);
    let actions = member.step(now, good(&json!({"a": 1})));
    assert!(actions.contains(&Action::Store(record(&shared))), "{actions:?}");
    let mut member = Member::new(common());
    member.step(now, Event::Conf(Conf::Bad));
    member.step(now, Event::Connected);
    member.step(now, Event::Gone);
    let claim = Action::Claim(record(&json!({"a": 1})));
    assert_eq!(member.step(now, good(&json!({"a": 1}))), [claim]);
}

#[test]
fn a_malformed_common_znode_is_left_alone() {
    let now = Instant::now();
    let mut member = Member::new(common());
    member.step(now, good(&json!({"a": 1})));
    member.step(now, Event::Connected);
    let malformed = Event::Read(Remote { record: None, version: 4 });
    assert_eq!(member.step(now, malformed), [Action::ReportJoined]);
    assert_eq!(member.step(now, good(&json!({"a": 2}))), []);
}

#[test]
fn one_way_a_remote_edit_stands_until_the_config_changes() {
    let now = Instant::now();
    let mut member = Member::new(MemberOptions { is_one_way: true, ..with_hostname() });
    member.step(now, good(&json!({"a": 1})));
    let first = json!({"a": 1, "hostname": HOST});
    assert_eq!(member.step(now, Event::Connected), [Action::Claim(record(&first))]);
    let claimed = Event::Claimed { remote: remote(&first, 0), overruled: None };
    assert_eq!(member.step(now, claimed), [Action::ReportJoined]);
    member.step(now, Event::Hint);
    assert_eq!(member.step(now, Event::Read(remote(&json!({"a": 7, "b": 7}), 1))), []);
    assert_eq!(member.step(now, good(&json!({"a": 1}))), []);
    let second = record(&json!({"a": 2, "hostname": HOST}));
    let publish = Action::Publish { record: second.clone(), version: 1 };
    assert_eq!(member.step(now, good(&json!({"a": 2}))), [publish]);
    // The outcome is unknown until the znode is read; its record shows that it succeeded.
    member.step(now, Event::Disconnected);
    assert_eq!(member.step(now, Event::Connected), [Action::Read]);
    let seen = Event::Read(Remote { record: Some(second), version: 2 });
    assert_eq!(member.step(now, seen), []);
}

#[test]
fn one_way_the_config_wins_over_the_common_record() {
    let now = Instant::now();
    let mut member = Member::new(MemberOptions { is_one_way: true, ..common() });
    member.step(now, good(&json!({"a": 1})));
    member.step(now, Event::Connected);
    assert_eq!(
        member.step(now, Event::Read(remote(&json!({"a": 2}), 3))),
        [Action::ReportJoined, Action::Publish { record: record(&json!({"a": 1})), version: 3 }]
    );
}

/// A znode, a config, and a connection between them that breaks at random.
struct World {
    rng: fastrand::Rng,
    now: Instant,
    member: Member,
    conf: Record,
    znode: Option<(Record, i32)>,
    is_connected: bool,
    request: Option<Action>,
    is_disk_full: bool,
    seed: u64,
    history: Vec<String>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            rng: fastrand::Rng::with_seed(seed),
            now: Instant::now(),
            member: Member::new(MemberOptions::default()),
            conf: record(&json!({"l": {"0": 0, "1": 0}, "r": {"0": 0, "1": 0}})),
            znode: None,
            is_connected: false,
            request: None,
            is_disk_full: false,
            seed,
            history: Vec::new(),
        };
        world.feed(Event::Conf(Conf::Good(world.conf.clone())));
        world
    }

    fn fail(&self, what: &str) -> ! {
        panic!("seed {}: {what}\n{}", self.seed, self.history.join("\n"))
    }

    fn feed(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            self.history.push(format!("event {event:?}"));
            for action in self.member.step(self.now, event) {
                self.history.push(format!("    {action:?}"));
                match action {
                    Action::Store(_) if self.is_disk_full => events.push_back(Event::StoreFailed),
                    Action::Store(record) => {
                        self.conf = record.clone();
                        events.push_back(Event::Stored(Conf::Good(record)));
                    }
                    Action::ReportConflicts(conflicts) => self.fail(&format!("{conflicts:?}")),
                    Action::ReportJoined => {}
                    request => {
                        assert!(self.is_connected, "{request:?} without a connection");
                        assert!(self.request.is_none(), "{request:?} beside {:?}", self.request);
                        self.request = Some(request);
                    }
                }
            }
        }
    }

    /// Carries out the request that is in flight; the answer may be lost.
    fn serve(&mut self, is_answer_lost: bool) {
        let Some(request) = self.request.take() else { return };
        let mut is_changed = false;
        let event = match request {
            Action::Claim(record) => {
                is_changed = self.znode.is_none();
                let (record, version) = self.znode.get_or_insert((record, 0)).clone();
                Event::Claimed { remote: Remote { record: Some(record), version }, overruled: None }
            }
            Action::Read => match &self.znode {
                None => Event::Gone,
                Some((record, version)) => {
                    Event::Read(Remote { record: Some(record.clone()), version: *version })
                }
            },
            Action::Publish { record, version } => match &mut self.znode {
                None => Event::Gone,
                Some((_, is)) if *is != version => Event::BadVersion,
                Some(znode) => {
                    *znode = (record, version + 1);
                    is_changed = true;
                    Event::Published { version: version + 1 }
                }
            },
            other => panic!("{other:?} is no request"),
        };
        // As in ZooKeeper, the watch event comes before the answer to the request.
        if is_changed {
            self.feed(Event::Hint);
        }
        if is_answer_lost {
            self.disconnect();
        } else {
            self.feed(event);
        }
    }

    fn disconnect(&mut self) {
        self.is_connected = false;
        self.request = None;
        self.feed(Event::Disconnected);
    }

    fn edit(rng: &mut fastrand::Rng, record: &Record, side: &str, value: usize) -> Record {
        let mut record = record.clone();
        let field = FieldPath::from_keys(vec![side.to_owned(), rng.u8(..3).to_string()]);
        if rng.u8(..5) == 0 {
            record.unset(&field);
        } else {
            record.set(&field, json!(value)).unwrap();
        }
        record
    }

    fn random_event(&mut self, step: usize) {
        match self.rng.u8(..12) {
            0 | 1 => {
                self.conf = Self::edit(&mut self.rng, &self.conf, "l", step);
                self.feed(Event::Conf(Conf::Good(self.conf.clone())));
            }
            2 | 3 => {
                if let Some((record, version)) = self.znode.clone() {
                    let record = Self::edit(&mut self.rng, &record, "r", step);
                    self.znode = Some((record, version + 1));
                    if self.is_connected {
                        self.feed(Event::Hint);
                    }
                }
            }
            4 => self.disconnect(),
            5 | 6 if !self.is_connected => {
                self.is_connected = true;
                self.feed(Event::Connected);
            }
            7 => self.is_disk_full = !self.is_disk_full,
            8 => {
                self.now += Duration::from_secs(31);
                self.feed(Event::Tick);
            }
            9 => self.serve(true),
            _ => self.serve(false),
        }
    }

    fn recover(&mut self) {
        self.is_disk_full = false;
        self.disconnect();
        self.is_connected = true;
        self.feed(Event::Connected);
        for _ in 0..50 {
            self.serve(false);
            self.now += Duration::from_secs(31);
            self.feed(Event::Tick);
        }
    }
}

#[test]
fn whatever_fails_no_edit_is_lost_and_both_sides_end_equal() {
    for seed in farm_harness::seeds(2000) {
        let mut world = World::new(seed);
        // Each field has one side that edits it, so its last edit must survive.
        let (mut local, mut remote) = (world.conf.clone(), None);
        for step in 1..60 {
            world.random_event(step);
            let field = |name: &str| FieldPath::parse(name).unwrap();
            if world.conf.get(&field("l")) != local.get(&field("l")) {
                local = world.conf.clone();
            }
            if let Some((record, _)) = &world.znode {
                remote = record.get(&field("r")).cloned();
            }
        }
        world.recover();
        let Some((znode, _)) = world.znode.clone() else { world.fail("no znode") };
        if znode != world.conf {
            world.fail("the two sides differ");
        }
        let field = |name: &str| FieldPath::parse(name).unwrap();
        if znode.get(&field("l")) != local.get(&field("l")) {
            world.fail("a local edit is lost");
        }
        if remote.is_some() && znode.get(&field("r")) != remote.as_ref() {
            world.fail("a remote edit is lost");
        }
    }
}
