//! Many hosts that disappear at once (`--hold-drop`).

use super::*;

fn farm_of(fixture: &mut ExportFixture, hosts: usize) {
    for n in 0..hosts {
        fixture.host(&format!("h{n}"), &json!({"n": n}));
    }
}

fn count(file: &Value) -> usize {
    file.as_object().map_or(0, serde_json::Map::len)
}

#[test]
fn hosts_that_go_at_once_stay_for_a_while_and_are_believed_in_the_end() {
    let mut fixture = ExportFixture::with_farm("hosts_that_go_at_once");
    farm_of(&mut fixture, 8);
    let running =
        fixture.start(&["db.json", "--hold-drop", "50%:2s", "-c", "echo $ZK_COUNT >> ran"]);
    let before = fixture.json();
    let start = Instant::now();
    for n in 0..8 {
        fixture.remove(&format!("h{n}"));
    }
    running.wait_log("many hosts went at once, keeping them for 2s");
    // Edits and new hosts are not delayed.
    fixture.host("1.2.3.4", &json!({"x": 1}));
    fixture.host("new", &json!({}));
    fixture.wait_for("the newcomer", |file| file.get("new").is_some() && count(file) == 11);
    let seen = fixture.json();
    assert_eq!((&seen["h7"], &seen["1.2.3.4"]), (&before["h7"], &json!({"x": 1})));
    fixture.wait_for("the end of the hold", |file| count(file) == 3);
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
    let log = stop(running);
    assert_eq!(log.matches("many hosts went at once").count(), 1, "{log}");
    assert!(log.contains("held hosts did not come back, removing them; hosts="), "{log}");
}

#[test]
fn hosts_that_come_back_were_never_missing() {
    let mut fixture = ExportFixture::with_farm("hosts_that_come_back");
    farm_of(&mut fixture, 8);
    // The debounce delays the first few hosts, which disappear before they count as many.
    let args = ["db.json", "--hold-drop", "30%", "-w", "1s:9s", "-c", "echo $ZK_COUNT >> ran"];
    let running = fixture.start(&args);
    for n in 0..8 {
        fixture.remove(&format!("h{n}"));
    }
    running.wait_log("many hosts went at once, keeping them for 300s");
    farm_of(&mut fixture, 8);
    running.wait_log("all hosts that were held are back");
    fixture.host("last", &json!({}));
    fixture.wait_for("the last change", |file| count(file) == 11);
    fixture.wait_for_text("ran", "10\n11\n");
    stop(running);
    assert_eq!(fixture.scratch.read("ran").unwrap(), "10\n11\n");
}

#[test]
fn a_few_hosts_and_those_that_the_filter_drops_are_never_held() {
    let mut fixture = ExportFixture::with_farm("a_few_hosts_and_those");
    farm_of(&mut fixture, 8);
    let running =
        fixture.start(&["db.json", "--hold-drop", "50%:1h", "-F", "n<100", "--min-hosts", "3"]);
    assert_eq!(count(&fixture.json()), 8);
    for n in 0..4 {
        fixture.host(&format!("h{n}"), &json!({"n": 100}));
    }
    fixture.wait_for("the filtered ones gone", |file| count(file) == 4);
    fixture.remove("h4");
    fixture.wait_for("a single one gone", |file| count(file) == 3);
    // Five of ten hosts are gone. All of them count, but those that the filter drops stay out of
    // the file.
    for name in ["h0", "h1", "h2", "h3"] {
        fixture.remove(name);
    }
    running.wait_log("many hosts went at once");
    fixture.wait_for("the one that went first", |file| count(file) == 4);
    assert!(fixture.json().get("h4").is_some());
    stop(running);
}

#[test]
fn hosts_that_are_missing_after_an_outage_are_held_too() {
    let ensemble = Ensemble::start(1);
    let chroot = ensemble.chroot("hosts_missing_after_an_outage");
    let mut zk = chroot.zk();
    zk.create_all("/services/db", "").unwrap();
    for n in 0..4 {
        zk.create(&format!("/services/db/h{n}"), "{}").unwrap();
    }
    let scratch = Scratch::new();
    let proxy = farm_harness::FaultProxy::start(ensemble.server(0).addr());
    let running = Tool::new("zkexport")
        .env("ZKHOST", format!("{}{}", proxy.addr(), chroot.path()))
        .cwd(scratch.path())
        .args(["/services/db", "db.json", "--hold-drop", "50%:2s"])
        .spawn();
    running.wait_log("the file is current");
    proxy.refuse();
    proxy.cut();
    running.wait_log("suspended");
    for n in 0..3 {
        zk.delete(&format!("/services/db/h{n}")).unwrap();
    }
    zk.create("/services/db/new", "{}").unwrap();
    proxy.accept();
    let hosts = || scratch.read("db.json").map(|text| text.matches("{}").count());
    eventually("the newcomer beside the held ones", || match hosts()? {
        5 => Ok(()),
        other => Err(other.to_string()),
    });
    running.wait_log("many hosts went at once, keeping them for 2s; hosts=3");
    eventually("the end of the hold", || match hosts()? {
        2 => Ok(()),
        other => Err(other.to_string()),
    });
    stop(running);
}
