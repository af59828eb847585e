//! Notifications to the service manager (`sd_notify`).

use super::{ExportFixture, stop};
use farm_harness::eventually;
use serde_json::json;
use std::os::unix::net::UnixDatagram;

#[test]
fn the_service_manager_hears_when_the_file_is_current() {
    let mut fixture = ExportFixture::new("the_service_manager");
    let socket = fixture.scratch.join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_nonblocking(true).unwrap();
    let mut received = String::new();
    let mut wait_for = |line: &str| {
        eventually(line, || {
            let mut buffer = [0; 4096];
            while let Ok(length) = manager.recv(&mut buffer) {
                received += &format!("{}\n", String::from_utf8_lossy(&buffer[..length]));
            }
            if received.contains(line) { Ok(received.clone()) } else { Err(received.clone()) }
        })
    };
    let running = fixture.tool(&["db.json"]).env("NOTIFY_SOCKET", &socket).spawn();
    let received = wait_for("STATUS=waiting for /services/db, which is not there\n");
    assert!(!received.contains("READY"), "{received}");
    fixture.zk.create_all("/services/db", "").unwrap();
    fixture.host("a", &json!({}));
    wait_for("READY=1\n");
    assert!(fixture.scratch.join("db.json").exists());
    wait_for("STATUS=1 hosts in db.json\n");
    stop(running);
    wait_for("STOPPING=1\n");
}
