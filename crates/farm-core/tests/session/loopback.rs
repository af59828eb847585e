//! A host whose loopback interface is not up yet.
//!
//! The tests run again below `unshare`, in a network of their own.

use crate::fixture::{Fixture, options, path};
use farm_core::session::{Event, SessionError, Watch};
use farm_harness::{FakeServer, patience, until};
use std::env;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const INSIDE: &str = "FARM_TEST_WITHOUT_LOOPBACK";

/// Runs a test below `unshare` if it is not there yet; tells whether it is.
fn is_inside(test: &str) -> bool {
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    // Without root, a user namespace gives the permission.
    let may = |args: &&[&str]| {
        let mut trial = Command::new("unshare");
        trial.args(*args).args(["ip", "link"]).stdout(Stdio::null()).stderr(Stdio::null());
        trial.status().is_ok_and(|end| end.success())
    };
    let Some(args) = [&["-n"][..], &["-Urn"]].into_iter().find(may) else {
        let note = b"no network of its own here: not tested\n";
        std::io::stderr().write_all(note).unwrap();
        return false;
    };
    let mut inner = Command::new("unshare");
    inner.args(args).arg(env::current_exe().unwrap());
    inner.args([&format!("loopback::{test}"), "--exact", "--nocapture"]).env(INSIDE, "1");
    let output = inner.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{output:?}");
    false
}

#[test]
fn a_session_begins_as_soon_as_the_loopback_is_up() {
    if !is_inside("a_session_begins_as_soon_as_the_loopback_is_up") {
        return;
    }
    let server = FakeServer::start();
    let mut fixture = Fixture::open(&[&server.addr()]);
    assert!(!fixture.session.lease().is_valid());
    let begun = Instant::now();
    let error = fixture
        .session
        .call(Duration::from_millis(500), |client| client.get(&path("/"), Watch::No).map(drop));
    let error = error.unwrap_err();
    assert!(matches!(error, SessionError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("the loopback interface of this host: "), "{error}");
    assert!(begun.elapsed() >= Duration::from_millis(500), "{:?}", begun.elapsed());
    assert!(begun.elapsed() < patience(Duration::from_secs(2)), "{:?}", begun.elapsed());
    assert!(fixture.states().is_empty());
    let end = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    assert!(end.unwrap().success());
    let mut begin = || {
        fixture.session.tick(Instant::now());
        match fixture.states().first() {
            Some(Event::Connected { is_new: true, .. }) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    };
    until(Instant::now() + patience(Duration::from_secs(10)), &mut begin).unwrap();
    fixture.get("/").unwrap();
    assert_eq!(fixture.session.deadline(), None);
}

#[test]
fn attempts_without_a_loopback_are_rounds() {
    if !is_inside("attempts_without_a_loopback_are_rounds") {
        return;
    }
    let mut options = options(&[&"127.0.0.1:2181"]);
    options.rounds_max = Some(3);
    let mut fixture = Fixture::open_with(options);
    for _ in 0..2 {
        assert!(fixture.states().is_empty());
        fixture.session.tick(fixture.session.deadline().unwrap());
    }
    assert!(fixture.gave_up().is_some());
    // Whoever waits stops waiting.
    let error = fixture.session.call(Duration::from_secs(3600), |_| Ok(())).unwrap_err();
    assert!(matches!(error, SessionError::Unreachable { .. }), "{error:?}");
    fixture.session.close();
}
