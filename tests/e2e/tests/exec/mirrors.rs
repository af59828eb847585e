//! Files from znodes.

use super::stage::{NOTES, Stage, stop};
use farm_harness::{Signal, eventually, patience, steadily};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::{Duration, Instant};

/// Long enough for what must not happen to happen.
const WHILE: Duration = Duration::from_millis(300);

#[test]
fn the_file_is_there_before_the_child_and_equal_to_the_last_byte() {
    let all: Vec<u8> = (0..=255).cycle().take(1_000_000).collect();
    for bytes in [&b""[..], b"\n", b"no newline", b"\0\xff\r\n\xfe", &all] {
        let mut stage = Stage::with_conf("equal_to_the_last_byte", bytes);
        let child = "cat conf > seen; echo \"$$ $(wc -c < conf)\" >> starts; exec sleep 1000";
        let running = stage.zkexec(&["-w", "0", "-m", "conf=/conf", "-e", child]).spawn();
        assert_eq!(stage.wait_starts(1).1, bytes.len().to_string());
        assert!(fs::read(stage.scratch.join("seen")).unwrap() == bytes);
        let other: Vec<u8> = bytes.iter().rev().copied().chain([0, b'x']).collect();
        stage.zk.set("/conf", &other).unwrap();
        assert_eq!(stage.wait_starts(2).1, other.len().to_string());
        assert!(fs::read(stage.scratch.join("seen")).unwrap() == other);
        stop(running);
        assert_eq!(stage.names(""), ["conf", "seen", "starts"], "nothing else is left behind");
    }
}

#[test]
fn many_edits_of_many_znodes_are_one_restart() {
    let mut stage = Stage::new("many_edits");
    for name in ["a", "b", "c"] {
        stage.zk.create(&format!("/{name}"), "0").unwrap();
    }
    let child = "echo \"$$ $(cat a b c)\" >> starts; exec sleep 1000";
    let args = ["-w", "1s:20s", "-m", "a=/a", "-m", "b=/b", "-m", "c=/c", "-e", child];
    let running = stage.zkexec(&args).spawn();
    stage.wait_starts(1);
    for n in 1..=5 {
        for name in ["a", "b", "c"] {
            stage.zk.set(&format!("/{name}"), n.to_string()).unwrap();
        }
    }
    stage.wait_starts(2);
    assert_eq!(stage.found(), ["000", "555"]);
    // And back again is no change at all.
    stage.zk.set("/a", "6").unwrap();
    stage.zk.set("/a", "5").unwrap();
    steadily(Duration::from_millis(1300), "the child runs on", || match stage.starts().len() {
        2 => Ok(()),
        more => Err(more),
    });
    let log = stop(running).stderr;
    assert_eq!(log.matches("forking").count(), 2, "{log}");
}

#[test]
fn edits_that_never_pause_are_taken_all_the_same() {
    let mut stage = Stage::with_conf("never_pause", "0");
    let args = ["-w", "1s:2s", "-m", "conf=/conf", "-e", NOTES];
    let running = stage.zkexec(&args).spawn();
    stage.wait_starts(1);
    let begun = Instant::now();
    let mut n = 0;
    eventually("a restart in between", || {
        n += 1;
        stage.zk.set("/conf", n.to_string()).unwrap();
        if stage.starts().len() > 1 { Ok(()) } else { Err(n) }
    });
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    stop(running);
}

#[test]
fn equal_bytes_are_no_change() {
    let mut stage = Stage::with_conf("equal_bytes", "a");
    let path = stage.scratch.write("conf", "a");
    let before = fs::metadata(&path).unwrap();
    let running = stage.start(&[]);
    for _ in 0..3 {
        stage.zk.set("/conf", "a").unwrap();
    }
    steadily(WHILE, "nothing happens", || match stage.starts().len() {
        1 => Ok(()),
        more => Err(more),
    });
    let after = fs::metadata(&path).unwrap();
    assert_eq!((before.ino(), before.mtime_nsec()), (after.ino(), after.mtime_nsec()));
    stop(running);
}

#[test]
fn a_missing_znode_is_named_and_nothing_is_started() {
    let mut stage = Stage::with_conf("a_missing_znode", "a");
    stage.zk.create("/top", "").unwrap();
    for mirror in ["gone=/gone", "gone=/top/x/y", "gone/=/gone/"] {
        let begun = Instant::now();
        let output = stage.zkexec(&["-m", "conf=/conf", "-m", mirror, "-e", NOTES]).run();
        let znode = mirror.trim_end_matches('/').rsplit_once('=').unwrap().1;
        output.code(1).stderr_has(&format!("{znode}\n"));
        output.stderr_has("\nhint: ").stderr_has(",optional");
        assert!(begun.elapsed() < patience(Duration::from_secs(3)), "{output}");
        assert_eq!(stage.names(""), Vec::<String>::new(), "not even the files of the others");
    }
}

#[test]
fn an_optional_znode_may_be_missing_and_come_later() {
    let mut stage = Stage::new("optional");
    let child = "echo \"$$ $(cat conf 2>/dev/null || echo none)\" >> starts; exec sleep 1000";
    let args = ["-w", "0", "-m", "conf=/deep/conf,optional", "-e", child];
    let running = stage.zkexec(&args).spawn();
    assert_eq!(stage.wait_starts(1).1, "none");
    stage.zk.create_all("/deep/conf", "here").unwrap();
    assert_eq!(stage.wait_starts(2).1, "here");
    stop(running);
    // A file that is there stays, whoever wrote it.
    stage.zk.delete("/deep/conf").unwrap();
    stage.scratch.write("conf", "mine");
    let running = stage.zkexec(&args).spawn();
    assert_eq!(stage.wait_starts(3).1, "mine");
    stop(running);
}

#[test]
fn a_znode_that_goes_leaves_file_and_child_and_one_line() {
    let mut stage = Stage::with_conf("a_znode_that_goes", "a");
    let running = stage.start(&[]);
    let (pid, _) = stage.wait_starts(1);
    stage.zk.delete("/conf").unwrap();
    running.wait_log("a znode was deleted; its file stays; znode=/conf");
    steadily(WHILE, "the child runs on", || match stage.starts().len() {
        1 if super::processes::is_alive(pid) => Ok(()),
        other => Err(other),
    });
    assert_eq!(stage.scratch.read("conf").unwrap(), "a");
    // The same again is nothing to do.
    stage.zk.create("/conf", "a").unwrap();
    steadily(WHILE, "the child runs on", || match stage.starts().len() {
        1 => Ok(()),
        more => Err(more),
    });
    stage.zk.delete("/conf").unwrap();
    running.wait_log_times("a znode is gone", 2);
    stage.zk.create("/conf", "b").unwrap();
    assert_eq!(stage.wait_starts(2).1, "b");
    let log = stop(running).stderr;
    assert_eq!(log.matches("gone").count(), 2, "{log}");
}

#[test]
fn an_emptied_znode_is_an_empty_file() {
    let mut stage = Stage::with_conf("an_emptied_znode", "a");
    let running = stage.start(&[]);
    stage.zk.set("/conf", "").unwrap();
    assert_eq!(stage.wait_starts(2).1, "");
    assert_eq!(fs::metadata(stage.scratch.join("conf")).unwrap().len(), 0);
    stop(running);
}

#[test]
fn mode_and_owner_are_as_asked_or_kept() {
    let mut stage = Stage::with_conf("mode_and_owner", "a");
    let mode = |name: &str| fs::metadata(stage.scratch.join(name)).unwrap().mode() & 0o7777;
    let kept = stage.scratch.write("kept", "old");
    fs::set_permissions(&kept, fs::Permissions::from_mode(0o604)).unwrap();
    let me = fs::metadata(&kept).unwrap();
    let owner = if me.uid() == 0 { "65534:65534".to_owned() } else { me.uid().to_string() };
    let owned = format!("owned=/conf,owner={owner},mode=640");
    let child = "echo \"$$ $(cat kept)\" >> starts; exec sleep 1000";
    let line = "umask 027; exec \"$@\"";
    let args = ["-w", "0", "-m", "kept=/conf", "-m", "new=/conf", "-m", &owned, "-e", child];
    let running = stage.by_shell(line, &args).spawn();
    for (round, content) in ["a", "b"].into_iter().enumerate() {
        stage.zk.set("/conf", content).unwrap();
        eventually("the content", || match stage.scratch.read("owned")? {
            found if found == content => Ok(()),
            found => Err(found),
        });
        stage.wait_starts(round + 1);
        assert_eq!((mode("kept"), mode("new"), mode("owned")), (0o604, 0o640, 0o640), "{content}");
        let uid = fs::metadata(stage.scratch.join("owned")).unwrap().uid().to_string();
        assert!(owner.starts_with(&uid), "{uid} {owner}");
    }
    stop(running);
}

#[test]
fn a_link_stays_a_link() {
    let mut stage = Stage::with_conf("a_link", "a");
    fs::create_dir(stage.scratch.join("real")).unwrap();
    symlink("real/conf", stage.scratch.join("conf")).unwrap();
    let running = stage.start(&[]);
    stage.zk.set("/conf", "b").unwrap();
    stage.wait_starts(2);
    assert_eq!(fs::read_link(stage.scratch.join("conf")).unwrap().to_str(), Some("real/conf"));
    assert_eq!(stage.scratch.read("real/conf").unwrap(), "b");
    assert_eq!(stage.names("real"), ["conf"]);
    stop(running);
}

#[test]
fn what_a_check_refuses_changes_neither_file_nor_child() {
    let mut stage = Stage::with_conf("a_check_refuses", "good 1");
    let check = "conf=/conf,check=cat {} >> seen; test $ZK_PATH = /conf || exit 9; \
                 echo looked at $(cat \"$ZK_FILE\"); ! grep -q bad {}";
    let alert = "echo $ZKEXEC_EVENT >> alerts";
    let args = ["-w", "0", "-m", check, "-a", alert, "-e", NOTES];
    let running = stage.zkexec(&args).spawn();
    let (pid, _) = stage.wait_starts(1);
    stage.zk.set("/conf", "bad").unwrap();
    running.wait_log("refused, the files stay: exit status 1");
    running.wait_log("the check said: looked at bad");
    stage.file_says("alerts", "config\n");
    steadily(WHILE, "file and child stay", || match stage.scratch.read("conf")?.as_str() {
        "good 1" if super::processes::is_alive(pid) && stage.starts().len() == 1 => Ok(()),
        other => Err(other.to_owned()),
    });
    assert_eq!(stage.names(""), ["alerts", "conf", "seen", "starts"]);
    stage.zk.set("/conf", "good 2").unwrap();
    assert_eq!(stage.wait_starts(2).1, "good 2");
    stop(running);
    let seen = stage.scratch.read("seen").unwrap();
    assert_eq!(seen, "good 1badgood 2", "once for each content");
}

#[test]
fn a_first_content_that_a_check_refuses_is_not_started_on() {
    let stage = Stage::with_conf("a_first_content", "bad");
    let check = "conf=/conf,check=! grep bad {}";
    let output = stage.zkexec(&["-m", check, "-e", NOTES]).run();
    output.code(65).stderr_has("the check said: bad\n").stderr_has("\nhint: ");
    assert_eq!(stage.names(""), Vec::<String>::new());
    // With a file from before there is something to start on.
    stage.scratch.write("conf", "old");
    let running = stage.zkexec(&["-m", check, "-e", NOTES]).spawn();
    assert_eq!(stage.wait_starts(1).1, "old");
    stop(running);
}

#[test]
fn a_check_that_hangs_is_ended_with_us() {
    let mut stage = Stage::with_conf("a_check_that_hangs", "a");
    let check = "conf=/conf,check=grep -q slow {} || exit 0; echo $$ > hangs; exec sleep 1000";
    let mut running = stage.zkexec(&["-w", "0", "-m", check, "-e", NOTES]).spawn();
    stage.wait_starts(1);
    stage.zk.set("/conf", "slow").unwrap();
    let check = stage.pid_in("hangs");
    running.signal(Signal::SIGTERM);
    running.wait_exit().code(143);
    assert!(!super::processes::is_alive(check));
    assert_eq!(stage.scratch.read("conf").unwrap(), "a");
    assert_eq!(stage.names(""), ["conf", "hangs", "starts"]);
}

#[test]
fn what_a_killed_one_has_left_is_swept_by_the_next() {
    let mut stage = Stage::with_conf("a_killed_one", "a");
    stage.zk.create("/tree", "").unwrap();
    stage.zk.create("/tree/x", "1").unwrap();
    let args = ["--on-failed-restart", "rollback", "-m", "tree/=/tree/"];
    let mut running = stage.start(&args);
    stage.zk.set("/conf", "b").unwrap();
    stage.wait_starts(2);
    stage.zk.set("/tree/x", "2").unwrap();
    stage.wait_starts(3);
    // What would be put back waits beside the files.
    assert_eq!((stage.names("").len(), stage.names("tree").len()), (4, 3));
    running.kill9();
    let running = stage.start(&args);
    stage.wait_starts(4);
    assert_eq!(stage.names(""), ["conf", "starts", "tree"]);
    assert_eq!(stage.names("tree"), [".zkexec", "x"]);
    stop(running);
}

#[test]
fn a_znode_shown_twice_is_two_files() {
    let mut stage = Stage::with_conf("shown_twice", "a");
    let child = "echo \"$$ $(cat conf other)\" >> starts; exec sleep 1000";
    let args = ["-w", "0", "-m", "conf=/conf", "-m", "other=/conf,mode=600", "-e", child];
    let running = stage.zkexec(&args).spawn();
    stage.wait_starts(1);
    stage.zk.set("/conf", "b").unwrap();
    stage.wait_starts(2);
    assert_eq!(stage.found(), ["aa", "bb"]);
    stop(running);
}
