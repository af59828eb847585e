//! TERM while a tool writes thousands of files.

use super::*;
use farm_harness::eventually;

const FIELDS: usize = 9_000;

/// Waits until there are files, but by far not all.
#[track_caller]
fn wait_for_some(path: &Path, all: usize) {
    eventually("the first files", || match count(path) {
        0..200 => Err("not yet"),
        _ => Ok(()),
    });
    assert!(count(path) < all / 2, "the test is too slow to see a part of them");
}

#[test]
fn term_ends_an_export_between_two_files_and_the_next_start_writes_the_rest() {
    const HOSTS: usize = 30;
    let mut fixture = Fixture::new("stop_export");
    for n in 0..HOSTS {
        fixture.host(&format!("h{n:02}"), &fields(FIELDS));
    }
    let db = fixture.scratch.join("db");
    let running = fixture.tool("zkexport", &["/farm", "db", "-f", "dir"]).spawn();
    wait_for_some(&db, HOSTS * FIELDS);
    let log = stop(running, 0);
    assert!(log.contains("stopping before everything is written; file=db"), "{log}");
    assert!(!log.contains("trying again"), "{log}");
    for n in 2..HOSTS {
        fixture.zk.delete(&format!("/farm/h{n:02}")).unwrap();
    }
    fixture.host("h00", "{\"a\":1}");
    fixture.host("h01", "{\"f1\":\"x\"}");
    let running = fixture.tool("zkexport", &["/farm", "db", "-f", "dir"]).spawn();
    wait_log(&running, "hosts=2", 1);
    assert_eq!(count(&db), 4);
    assert_eq!(fixture.scratch.read("db/h01/f1").unwrap(), "x");
    stop(running, 0);
}

#[test]
fn term_ends_zkjoin_while_it_writes_a_config_of_many_files() {
    let mut fixture = Fixture::new("stop_join");
    fs::create_dir(fixture.scratch.join("conf")).unwrap();
    let running = fixture.tool("zkjoin", &["--name", "host", "/farm", "conf"]).spawn();
    wait_log(&running, "joined; ", 1);
    fixture.host("host", &fields(FIELDS));
    wait_for_some(&fixture.scratch.join("conf"), FIELDS);
    let log = stop(running, 0);
    assert!(!log.contains("trying again"), "{log}");
    // It has left cleanly all the same.
    assert_eq!(fixture.zk.exists("/farm/host").unwrap().map(|stat| stat.version), None);
    let conf = fixture.scratch.join("conf");
    let odd = fs::read_dir(&conf).unwrap().flatten().find(|entry| {
        let name = entry.file_name().into_string().unwrap();
        name != "hostname" && fs::read_to_string(entry.path()).unwrap() != "x"
    });
    assert!(odd.is_none(), "{odd:?}");
}

#[test]
fn term_ends_zkexec_while_it_stages_a_subtree_of_many_files() {
    let mut fixture = Fixture::new("stop_exec");
    let znodes: Vec<_> = (0..FIELDS).map(|n| (format!("/farm/z{n}"), "x".to_owned())).collect();
    fixture.zk.create_each(&znodes).unwrap();
    let args = ["-m", "tree/=/farm/", "-e", "exec sleep 1000"];
    let mut running = fixture.tool("zkexec", &args).spawn();
    let tree = fixture.scratch.join("tree");
    eventually("staged files", || {
        let hidden = fs::read_dir(&tree).map_err(|error| error.to_string())?.flatten();
        let staged =
            hidden.filter(|entry| entry.file_name() != ".zkexec").map(|entry| count(&entry.path()));
        match staged.sum() {
            0..200 => Err("not yet".to_owned()),
            _ => Ok(()),
        }
    });
    let asked_at = Instant::now();
    running.signal(Signal::SIGTERM);
    let output = running.wait_exit();
    assert!(asked_at.elapsed() < patience(Duration::from_secs(2)), "took {:?}", asked_at.elapsed());
    assert!(output.stderr.contains("stopping before all files are written"), "{output}");
    let left: Vec<_> =
        fs::read_dir(&tree).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, [".zkexec"]);
}
