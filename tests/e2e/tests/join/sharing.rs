//! Several hosts that share one record, with races and faults.

use super::fixture::{JoinFixture, edit, record};
use super::shared::{COMMON, join_common, join_common_with, wait_znode};
use farm_harness::{Acl, Ensemble, FaultProxy, Running, eventually, holds_for};
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;

/// Two hosts with the configs `one.json` and the directory `two`. A machine can run one
/// `zkjoin` per name and server, so each connects through its own proxy.
struct Pair {
    fixture: JoinFixture,
    proxies: [FaultProxy; 2],
    hosts: [Running; 2],
}

impl Pair {
    #[track_caller]
    fn start(test: &str, text: &str) -> Self {
        let fixture = JoinFixture::new(test);
        fixture.scratch.write("one.json", text);
        fs::create_dir(fixture.scratch.join("two")).unwrap();
        let proxies = [(); 2].map(|()| FaultProxy::start(Ensemble::shared().server(0).addr()));
        let one = join_common(&fixture, &fixture.servers_at(proxies[0].addr()), "one.json");
        one.wait_log("joined; ");
        let two = join_common(&fixture, &fixture.servers_at(proxies[1].addr()), "two");
        two.wait_log("joined; ");
        Self { fixture, proxies, hosts: [one, two] }
    }

    /// Edits one field of the first config as an editor does.
    #[track_caller]
    fn edit_one(&self, field: &str, value: &Value) {
        let mut record = eventually("a whole file", || self.fixture.json("one.json"));
        record[field] = value.clone();
        self.fixture.replace("one.json", &record.to_string());
    }

    #[track_caller]
    fn wait_all(&mut self, wanted: &Value) {
        wait_znode(&mut self.fixture, COMMON, wanted);
        eventually(&format!("one.json holds {wanted}"), || {
            match self.fixture.json("one.json")? {
                found if found == *wanted => Ok(()),
                found => Err(found.to_string()),
            }
        });
        let fields = wanted.as_object().unwrap();
        for (name, value) in fields {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            self.fixture.wait_file(&format!("two/{name}"), &text);
        }
        eventually("no other file", || {
            let count = fs::read_dir(self.fixture.scratch.join("two")).unwrap().count();
            if count == fields.len() { Ok(()) } else { Err(count) }
        });
    }
}

#[test]
fn a_hundred_edits_of_each_host_arrive_everywhere() {
    let mut pair = Pair::start("common_race", r#"{"one":"0","still":"s","three":0}"#);
    pair.wait_all(&json!({"one": "0", "still": "s", "three": 0}));
    let mut third = pair.fixture.new_client();
    for round in 1..=100 {
        std::thread::scope(|scope| {
            scope.spawn(|| edit(&mut third, COMMON, |record| record["three"] = json!(round)));
            scope.spawn(|| pair.fixture.scratch.write("two/two", round.to_string()));
            pair.edit_one("one", &json!(round.to_string()));
        });
        eventually(&format!("the three edits of round {round}"), || {
            let found = record(&mut pair.fixture.zk, COMMON)?;
            let text = round.to_string();
            let is_there =
                found["one"] == text && found["two"] == text && found["three"] == json!(round);
            if is_there { Ok(()) } else { Err(found.to_string()) }
        });
    }
    pair.wait_all(&json!({"one": "100", "two": "100", "three": 100, "still": "s"}));
    for host in &pair.hosts {
        assert!(!host.stderr().contains("is lost"), "{}", host.stderr());
    }
    let version = pair.fixture.zk.get(COMMON).unwrap().stat.version;
    holds_for(Duration::from_secs(1), "nothing is written", || {
        match pair.fixture.zk.get(COMMON).unwrap() {
            znode if znode.stat.version == version => Ok(()),
            znode => Err(znode.text()),
        }
    });
}

#[test]
fn of_two_hosts_that_edit_one_field_one_wins_everywhere() {
    let mut pair = Pair::start("common_conflict", r#"{"f":"0"}"#);
    for round in 1..=30 {
        let (here, there) = (json!(format!("one {round}")), format!("two {round}"));
        std::thread::scope(|scope| {
            scope.spawn(|| pair.fixture.scratch.write("two/f", &there));
            pair.edit_one("f", &here);
        });
        eventually("all agree on one of the two", || {
            let shared = record(&mut pair.fixture.zk, COMMON)?["f"].clone();
            let one = pair.fixture.json("one.json")?["f"].clone();
            let two = json!(pair.fixture.scratch.read("two/f")?);
            let is_one = one == here || one == json!(there);
            let all = format!("{shared} {one} {two}");
            if is_one && shared == one && one == two { Ok(()) } else { Err(all) }
        });
    }
    assert!(pair.hosts.iter_mut().all(Running::is_running));
}

#[test]
fn what_is_deleted_by_hand_is_back_and_no_edit_is_lost_by_it() {
    let mut pair = Pair::start("common_gone", r#"{"one":"0"}"#);
    let mut wanted = json!({"one": "0"});
    for round in 1..=10 {
        // A new znode's version begins at 0 again. Raises the version, so that a pending
        // compare-and-set on the old znode does not match the new one by chance.
        for _ in 0..20 {
            let text = pair.fixture.zk.get(COMMON).unwrap().text();
            pair.fixture.zk.set(COMMON, text).unwrap();
        }
        edit(&mut pair.fixture.zk, COMMON, |record| record["round"] = json!(round));
        wanted["round"] = json!(round);
        pair.wait_all(&wanted);
        if round % 3 == 0 {
            // A host may create it again meanwhile.
            pair.fixture.zk.delete_recursive("/farm").unwrap_or_default();
        } else {
            pair.fixture.zk.delete(COMMON).unwrap_or_default();
        }
        pair.fixture.scratch.write("two/two", round.to_string());
        pair.edit_one("one", &json!(round.to_string()));
        wanted["one"] = json!(round.to_string());
        wanted["two"] = json!(round.to_string());
        pair.wait_all(&wanted);
    }
    assert_eq!(pair.fixture.zk.get(COMMON).unwrap().stat.ephemeral_owner, 0);
}

#[test]
fn outages_and_expired_sessions_lose_no_edit() {
    let mut pair = Pair::start("common_outage", r#"{"one":"0"}"#);
    pair.wait_all(&json!({"one": "0"}));
    let mut wanted = json!({"one": "0"});
    for round in 1_usize..=4 {
        for proxy in &pair.proxies {
            proxy.refuse();
            if round % 2 == 0 { proxy.expire().unwrap() } else { proxy.cut() }
        }
        for host in &pair.hosts {
            host.wait_log_times("suspended", round);
        }
        let text = round.to_string();
        pair.fixture.scratch.write("two/two", &text);
        pair.edit_one("one", &json!(text));
        let field = format!("three{round}");
        edit(&mut pair.fixture.zk, COMMON, |record| record[&field] = json!(round));
        wanted["one"] = json!(text);
        wanted["two"] = json!(text);
        wanted[&field] = json!(round);
        pair.proxies.iter().for_each(FaultProxy::accept);
        pair.wait_all(&wanted);
    }
    for host in &pair.hosts {
        assert!(!host.stderr().contains("is lost"), "{}", host.stderr());
    }
}

#[test]
fn with_a_malformed_config_nothing_is_shared_and_nothing_overwritten() {
    let mut fixture = JoinFixture::new("common_bad_conf");
    fixture.scratch.write("one.json", "{\"a\": ");
    let running = join_common(&fixture, &fixture.servers(), "one.json");
    running.wait_log("the config is left alone");
    holds_for(Duration::from_millis(300), "nothing is shared", || {
        match fixture.zk.exists(COMMON).unwrap() {
            None => Ok(()),
            Some(stat) => Err(format!("{stat:?}")),
        }
    });
    fixture.zk.create_all(COMMON, r#"{"a":"theirs"}"#).unwrap();
    running.wait_log("joined; ");
    assert_eq!(fixture.scratch.read("one.json").unwrap(), "{\"a\": ");
    // zkjoin is still starting, so the shared record replaces the whole config.
    fixture.replace("one.json", r#"{"a": "mine", "b": "mine"}"#);
    eventually("the config is replaced", || match fixture.json("one.json")? {
        found if found == json!({"a": "theirs"}) => Ok(()),
        found => Err(found.to_string()),
    });
    assert_eq!(fixture.zk.get(COMMON).unwrap().text(), r#"{"a":"theirs"}"#);
    running.wait_log("field=b remote=none local=\"mine\"");
}

#[test]
fn nonsense_that_is_there_at_the_start_is_told_once_and_left_alone() {
    let mut fixture = JoinFixture::new("common_bad_start");
    let text = r#"{"a":  "mine"}"#;
    fixture.scratch.write("one.json", text);
    fixture.zk.create_all(COMMON, "nonsense").unwrap();
    let mut running = join_common(&fixture, &fixture.servers(), "one.json");
    running.wait_log("ERROR the znode is malformed");
    running.signal(farm_harness::Signal::SIGHUP);
    fixture.replace("one.json", r#"{"a":  "edited"}"#);
    holds_for(Duration::from_millis(300), "both are left alone", || {
        let both = (fixture.zk.get(COMMON).unwrap().text(), fixture.scratch.read("one.json")?);
        let is_still = both.0 == "nonsense" && both.1 == r#"{"a":  "edited"}"#;
        if is_still { Ok(()) } else { Err(format!("{both:?}")) }
    });
    assert_eq!(running.stderr().matches("is malformed").count(), 1, "{}", running.stderr());
    fixture.zk.set(COMMON, r#"{"b":1}"#).unwrap();
    eventually("the config is replaced", || match fixture.json("one.json")? {
        found if found == json!({"b": 1}) => Ok(()),
        found => Err(found.to_string()),
    });
}

#[test]
fn an_absent_config_is_created_from_what_all_share() {
    for conf in ["one.json", "one.yaml"] {
        let mut fixture = JoinFixture::new("common_absent");
        fixture.zk.create_all(COMMON, r#"{"a":1,"b":{"c":"2"}}"#).unwrap();
        let _running = join_common(&fixture, &fixture.servers(), conf);
        eventually("the config is there", || match fixture.scratch.read(conf)? {
            text if text.contains('a') && text.contains("\"2\"") => Ok(()),
            text => Err(text),
        });
        assert_eq!(fixture.zk.get(COMMON).unwrap().stat.version, 0, "read, and not written");
    }
}

#[test]
fn one_way_and_shared_the_config_wins_and_is_never_written() {
    let mut fixture = JoinFixture::new("common_one_way");
    let text = r#"{"a": 1,  "b": 1}"#;
    fixture.scratch.write("one.json", text);
    fixture.zk.create_all(COMMON, r#"{"a":9,"z":9}"#).unwrap();
    let _running = join_common_with(&fixture, &fixture.servers(), "one.json", &["--import"]);
    wait_znode(&mut fixture, COMMON, &json!({"a": 1, "b": 1}));
    edit(&mut fixture.zk, COMMON, |record| record["b"] = json!("remote"));
    holds_for(Duration::from_millis(300), "the remote edit stands", || {
        let found = record(&mut fixture.zk, COMMON)?;
        let is_right = found["b"] == "remote" && fixture.scratch.read("one.json")? == text;
        if is_right { Ok(()) } else { Err(found.to_string()) }
    });
    fixture.zk.delete(COMMON).unwrap();
    wait_znode(&mut fixture, COMMON, &json!({"a": 1, "b": 1}));
    assert_eq!(fixture.scratch.read("one.json").unwrap(), text);
}

#[test]
fn what_all_share_may_be_forbidden_to_write() {
    let mut fixture = JoinFixture::new("common_forbidden");
    fixture.scratch.write("one.json", r#"{"a": 1}"#);
    let mut running = join_common(&fixture, &fixture.servers(), "one.json");
    wait_znode(&mut fixture, COMMON, &json!({"a": 1}));
    fixture.zk.add_auth("me:word").unwrap();
    fixture.zk.set_acl(COMMON, Acl::ReadOnly).unwrap();
    fixture.replace("one.json", r#"{"a": 2}"#);
    running.wait_log("not authorised");
    holds_for(Duration::from_secs(1), "it runs on and logs nothing again", || {
        let logged = running.stderr().matches("not authorised").count();
        if running.is_running() && logged == 1 { Ok(()) } else { Err(running.stderr()) }
    });
    fixture.zk.delete(COMMON).unwrap();
    wait_znode(&mut fixture, COMMON, &json!({"a": 2}));
}

#[test]
fn one_zkjoin_on_a_host_keeps_what_all_share_and_it_needs_no_name() {
    let mut fixture = JoinFixture::new("common_twice");
    fixture.scratch.write("one.json", r#"{"a": 1}"#);
    fixture.scratch.write("two.json", r#"{"a": 2}"#);
    let first = join_common(&fixture, &fixture.servers(), "one.json");
    wait_znode(&mut fixture, COMMON, &json!({"a": 1}));
    let second = join_common(&fixture, &fixture.servers(), "two.json").wait_exit();
    second.code(75).stderr_has(&first.pid().to_string());
    assert_eq!(fixture.scratch.read("two.json").unwrap(), r#"{"a": 2}"#);
    // A host's own zkjoin can run beside it.
    fixture.dir(&[("b", "1")]);
    let host = fixture.join("conf", &[]);
    assert_eq!(fixture.zk.children("/farm").unwrap(), ["common", "host"]);
    drop((first, host));
    join_common_with(&fixture, &fixture.servers(), "one.json", &["--name", "x"])
        .wait_exit()
        .code(2);
}

#[test]
fn a_host_that_slept_through_edits_merges_them_when_it_wakes() {
    let mut pair = Pair::start("common_slept", r#"{"a":"0","b":"0"}"#);
    pair.wait_all(&json!({"a": "0", "b": "0"}));
    let id = |fixture: &mut JoinFixture| fixture.zk.get(COMMON).unwrap().stat.czxid;
    for round in 1..=3 {
        pair.hosts[1].signal(farm_harness::Signal::SIGSTOP);
        let value = json!(round.to_string());
        pair.edit_one("a", &value);
        if round == 2 {
            // The znode is deleted and created while the host is stopped.
            let before = id(&mut pair.fixture);
            pair.fixture.zk.delete(COMMON).unwrap();
            eventually("it is back", || match pair.fixture.zk.get(COMMON) {
                Ok(znode) if znode.stat.czxid != before => Ok(()),
                other => Err(format!("{other:?}")),
            });
        }
        pair.fixture.scratch.write("two/b", round.to_string());
        wait_znode(&mut pair.fixture, COMMON, &json!({"a": value, "b": (round - 1).to_string()}));
        pair.hosts[1].signal(farm_harness::Signal::SIGCONT);
        pair.wait_all(&json!({"a": value, "b": value}));
    }
    assert!(!pair.hosts[1].stderr().contains("is lost"), "{}", pair.hosts[1].stderr());
}

#[test]
fn whoever_comes_first_nobody_s_config_is_mixed_in() {
    for round in 0..10 {
        let mut fixture = JoinFixture::new("common_first");
        fixture.scratch.write("one.json", r#"{"a":"one","one":"1"}"#);
        fixture.scratch.write("two/a", "two");
        fixture.scratch.write("two/two", "2");
        let proxy = FaultProxy::start(Ensemble::shared().server(0).addr());
        let one = join_common(&fixture, &fixture.servers(), "one.json");
        let two = join_common(&fixture, &fixture.servers_at(proxy.addr()), "two");
        one.wait_log("joined; ");
        two.wait_log("joined; ");
        eventually("both have the record of one of them", || {
            let shared = record(&mut fixture.zk, COMMON)?;
            let is_one = shared == json!({"a": "one", "one": "1"});
            let is_two = shared == json!({"a": "two", "two": "2"});
            let first = fixture.json("one.json")?;
            let second = fixture.scratch.read("two/a")?;
            let is_same = first == shared && json!(second) == shared["a"];
            let count = fs::read_dir(fixture.scratch.join("two")).unwrap().count();
            if (is_one || is_two) && is_same && count == 2 {
                Ok(())
            } else {
                Err(format!("round {round}: {shared} {first} {second}"))
            }
        });
    }
}
