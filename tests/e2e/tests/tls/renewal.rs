//! Certificates that change while a tool runs.

use super::{TlsFixture, write_certificates};
use farm_harness::{Authority, eventually, holds_for};
use std::fs;
use std::time::Duration;

#[test]
fn renewed_files_are_used_without_a_restart() {
    let fixture = TlsFixture::strict(1);
    let host = fixture.join("30s");
    let before = fixture.ensemble.zk().get("/farm/host").unwrap().stat;
    // From here on, certificates of the old authority are refused.
    write_certificates(&fixture.scratch, &Authority::new("next"));
    fixture.server().restart();
    host.wait_log("connected again, same session");
    let after = fixture.ensemble.zk().get("/farm/host").unwrap().stat;
    assert_eq!((after.czxid, after.ephemeral_owner), (before.czxid, before.ephemeral_owner));
}

#[test]
fn a_file_that_is_gone_is_told_once_and_waited_for() {
    let fixture = TlsFixture::strict(1);
    let host = fixture.join("30s");
    let (key, away) = (fixture.scratch.join("client.key"), fixture.scratch.join("away"));
    fixture.server().kill();
    fs::rename(&key, &away).unwrap();
    host.wait_log("suspended");
    fixture.server().restart();
    let expected = format!("TLS: cannot use {}: No such file", key.display());
    host.wait_log(&expected);
    holds_for(Duration::from_secs(1), "it is logged once", || {
        let log = host.stderr();
        if log.matches(&expected).count() == 1 { Ok(()) } else { Err(log) }
    });
    fs::rename(&away, &key).unwrap();
    host.wait_log("connected again, same session");
    fixture.scratch.write("conf/enabled", "0");
    eventually("the edit arrives", || {
        let record = crate::join::fixture::record(&mut fixture.ensemble.zk(), "/farm/host")?;
        if record["enabled"] == "0" { Ok(()) } else { Err(record.to_string()) }
    });
}
