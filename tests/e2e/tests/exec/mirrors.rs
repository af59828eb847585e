//! Files mirrored from znodes.

use super::fixture::{ExecFixture, RECORDING_CHILD, stop};
use farm_harness::{Signal, eventually, holds_for, patience};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::{Duration, Instant};

/// How long a test waits to see that something does not happen.
const QUIET_TIME: Duration = Duration::from_millis(300);

#[test]
fn the_file_is_there_before_the_child_and_equal_to_the_last_byte() {
    let all: Vec<u8> = (0..=255).cycle().take(1_000_000).collect();
    let marked = "\u{feff}{}".as_bytes();
    for bytes in [&b""[..], b"\n", b"no newline", b"\0\xff\r\n\xfe", marked, &all] {
        let mut fixture = ExecFixture::with_conf("equal_to_the_last_byte", bytes);
        let child = "cat conf > seen; echo \"$$ $(wc -c < conf)\" >> starts; exec sleep 1000";
        let running = fixture.zkexec(&["-w", "0", "-m", "conf=/conf", "-e", child]).spawn();
        assert_eq!(fixture.wait_starts(1).1, bytes.len().to_string());
        assert!(fs::read(fixture.scratch.join("seen")).unwrap() == bytes);
        let other: Vec<u8> = bytes.iter().rev().copied().chain([0, b'x']).collect();
        fixture.zk.set("/conf", &other).unwrap();
        assert_eq!(fixture.wait_starts(2).1, other.len().to_string());
        assert!(fs::read(fixture.scratch.join("seen")).unwrap() == other);
        stop(running);
        assert_eq!(fixture.names(""), ["conf", "seen", "starts"], "nothing else is left behind");
    }
}

#[test]
fn many_edits_of_many_znodes_are_one_restart() {
    let mut fixture = ExecFixture::new("many_edits");
    for name in ["a", "b", "c"] {
        fixture.zk.create(&format!("/{name}"), "0").unwrap();
    }
    let child = "echo \"$$ $(cat a b c)\" >> starts; exec sleep 1000";
    let args = ["-w", "1s:20s", "-m", "a=/a", "-m", "b=/b", "-m", "c=/c", "-e", child];
    let running = fixture.zkexec(&args).spawn();
    fixture.wait_starts(1);
    for n in 1..=5 {
        for name in ["a", "b", "c"] {
            fixture.zk.set(&format!("/{name}"), n.to_string()).unwrap();
        }
    }
    fixture.wait_starts(2);
    assert_eq!(fixture.contents(), ["000", "555"]);
    // A change that is taken back within the wait is no change.
    fixture.zk.set("/a", "6").unwrap();
    fixture.zk.set("/a", "5").unwrap();
    holds_for(Duration::from_millis(1300), "the child runs on", || match fixture.starts().len() {
        2 => Ok(()),
        more => Err(more),
    });
    let log = stop(running).stderr;
    assert_eq!(log.matches("forking").count(), 2, "{log}");
}

#[test]
fn edits_that_never_pause_are_taken_all_the_same() {
    let mut fixture = ExecFixture::with_conf("never_pause", "0");
    let args = ["-w", "1s:2s", "-m", "conf=/conf", "-e", RECORDING_CHILD];
    let running = fixture.zkexec(&args).spawn();
    fixture.wait_starts(1);
    let begun = Instant::now();
    let mut n = 0;
    eventually("a restart in between", || {
        n += 1;
        fixture.zk.set("/conf", n.to_string()).unwrap();
        if fixture.starts().len() > 1 { Ok(()) } else { Err(n) }
    });
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    stop(running);
}

#[test]
fn a_path_that_leads_elsewhere_gets_the_next_content_there() {
    let mut fixture = ExecFixture::with_conf("leads_elsewhere", "1");
    fs::create_dir_all(fixture.scratch.join("app/etc")).unwrap();
    let child = "echo \"$$ $(cat app/etc/conf)\" >> starts; exec sleep 1000";
    let check = "app/etc/conf=/conf,check=grep -q 3 {} || exit 0; echo > seen; while [ ! -e go ]; do :; done";
    let running = fixture.zkexec(&["-w", "0", "-m", check, "-e", child]).spawn();
    fixture.wait_starts(1);
    let replace = || {
        drop(fs::remove_dir_all(fixture.scratch.join("app.old")));
        fs::rename(fixture.scratch.join("app"), fixture.scratch.join("app.old")).unwrap();
        fs::create_dir_all(fixture.scratch.join("app/etc")).unwrap();
    };
    replace();
    fixture.zk.set("/conf", "2").unwrap();
    assert_eq!(fixture.wait_starts(2).1, "2");
    assert_eq!(fixture.scratch.read("app.old/etc/conf").unwrap(), "1");
    // Also between staging and installation.
    fixture.zk.set("/conf", "3").unwrap();
    fixture.wait_file("seen", "\n");
    replace();
    fixture.scratch.write("go", "");
    assert_eq!(fixture.wait_starts(3).1, "3");
    assert_eq!(fixture.scratch.read("app.old/etc/conf").unwrap(), "2");
    assert_eq!(fixture.names("app.old/etc"), ["conf"]);
    stop(running);
}

#[test]
fn equal_bytes_are_no_change() {
    let mut fixture = ExecFixture::with_conf("equal_bytes", "a");
    let path = fixture.scratch.write("conf", "a");
    let before = fs::metadata(&path).unwrap();
    let running = fixture.start(&[]);
    for _ in 0..3 {
        fixture.zk.set("/conf", "a").unwrap();
    }
    holds_for(QUIET_TIME, "nothing happens", || match fixture.starts().len() {
        1 => Ok(()),
        more => Err(more),
    });
    let after = fs::metadata(&path).unwrap();
    assert_eq!((before.ino(), before.mtime_nsec()), (after.ino(), after.mtime_nsec()));
    stop(running);
}

#[test]
fn a_missing_znode_is_named_and_nothing_is_started() {
    let mut fixture = ExecFixture::with_conf("a_missing_znode", "a");
    fixture.zk.create("/top", "").unwrap();
    for mirror in ["gone=/gone", "gone=/top/x/y", "gone/=/gone/"] {
        let begun = Instant::now();
        let output =
            fixture.zkexec(&["-m", "conf=/conf", "-m", mirror, "-e", RECORDING_CHILD]).run();
        let znode = mirror.trim_end_matches('/').rsplit_once('=').unwrap().1;
        output.code(1).stderr_has(&format!("{znode}\n"));
        output.stderr_has("\nhint: ").stderr_has(",optional");
        assert!(begun.elapsed() < patience(Duration::from_secs(3)), "{output}");
        assert_eq!(fixture.names(""), Vec::<String>::new(), "not even the files of the others");
    }
}

#[test]
fn an_optional_znode_may_be_missing_and_come_later() {
    let mut fixture = ExecFixture::new("optional");
    let child = "echo \"$$ $(cat conf 2>/dev/null || echo none)\" >> starts; exec sleep 1000";
    let args = ["-w", "0", "-m", "conf=/deep/conf,optional", "-e", child];
    let running = fixture.zkexec(&args).spawn();
    assert_eq!(fixture.wait_starts(1).1, "none");
    fixture.zk.create_all("/deep/conf", "here").unwrap();
    assert_eq!(fixture.wait_starts(2).1, "here");
    stop(running);
    // An existing file stays, even if zkexec did not write it.
    fixture.zk.delete("/deep/conf").unwrap();
    fixture.scratch.write("conf", "mine");
    let running = fixture.zkexec(&args).spawn();
    assert_eq!(fixture.wait_starts(3).1, "mine");
    stop(running);
}

#[test]
fn a_znode_that_goes_leaves_file_and_child_and_one_line() {
    let mut fixture = ExecFixture::with_conf("a_znode_that_goes", "a");
    let running = fixture.start(&[]);
    let (pid, _) = fixture.wait_starts(1);
    fixture.zk.delete("/conf").unwrap();
    running.wait_log("a znode was deleted; its file stays; znode=/conf");
    holds_for(QUIET_TIME, "the child runs on", || match fixture.starts().len() {
        1 if super::processes::is_alive(pid) => Ok(()),
        other => Err(other),
    });
    assert_eq!(fixture.scratch.read("conf").unwrap(), "a");
    // The same content again changes nothing.
    fixture.zk.create("/conf", "a").unwrap();
    holds_for(QUIET_TIME, "the child runs on", || match fixture.starts().len() {
        1 => Ok(()),
        more => Err(more),
    });
    fixture.zk.delete("/conf").unwrap();
    running.wait_log_times("a znode was deleted", 2);
    fixture.zk.create("/conf", "b").unwrap();
    assert_eq!(fixture.wait_starts(2).1, "b");
    let log = stop(running).stderr;
    assert_eq!(log.matches("was deleted").count(), 2, "{log}");
}

#[test]
fn an_emptied_znode_is_an_empty_file() {
    let mut fixture = ExecFixture::with_conf("an_emptied_znode", "a");
    let running = fixture.start(&[]);
    fixture.zk.set("/conf", "").unwrap();
    assert_eq!(fixture.wait_starts(2).1, "");
    assert_eq!(fs::metadata(fixture.scratch.join("conf")).unwrap().len(), 0);
    stop(running);
}

#[test]
fn mode_and_owner_are_as_asked_or_kept() {
    let mut fixture = ExecFixture::with_conf("mode_and_owner", "a");
    let mode = |name: &str| fs::metadata(fixture.scratch.join(name)).unwrap().mode() & 0o7777;
    let kept = fixture.scratch.write("kept", "old");
    fs::set_permissions(&kept, fs::Permissions::from_mode(0o604)).unwrap();
    let me = fs::metadata(&kept).unwrap();
    let owner = if me.uid() == 0 { "65534:65534".to_owned() } else { me.uid().to_string() };
    let owned = format!("owned=/conf,owner={owner},mode=640");
    let child = "echo \"$$ $(cat kept)\" >> starts; exec sleep 1000";
    let line = "umask 027; exec \"$@\"";
    let args = ["-w", "0", "-m", "kept=/conf", "-m", "new=/conf", "-m", &owned, "-e", child];
    let running = fixture.by_shell(line, &args).spawn();
    for (round, content) in ["a", "b"].into_iter().enumerate() {
        fixture.zk.set("/conf", content).unwrap();
        eventually("the content", || match fixture.scratch.read("owned")? {
            found if found == content => Ok(()),
            found => Err(found),
        });
        fixture.wait_starts(round + 1);
        assert_eq!((mode("kept"), mode("new"), mode("owned")), (0o604, 0o640, 0o640), "{content}");
        let uid = fs::metadata(fixture.scratch.join("owned")).unwrap().uid().to_string();
        assert!(owner.starts_with(&uid), "{uid} {owner}");
    }
    stop(running);
}

#[test]
fn a_link_stays_a_link() {
    let mut fixture = ExecFixture::with_conf("a_link", "a");
    fs::create_dir(fixture.scratch.join("real")).unwrap();
    symlink("real/conf", fixture.scratch.join("conf")).unwrap();
    let running = fixture.start(&[]);
    fixture.zk.set("/conf", "b").unwrap();
    fixture.wait_starts(2);
    assert_eq!(fs::read_link(fixture.scratch.join("conf")).unwrap().to_str(), Some("real/conf"));
    assert_eq!(fixture.scratch.read("real/conf").unwrap(), "b");
    assert_eq!(fixture.names("real"), ["conf"]);
    stop(running);
}

#[test]
fn what_a_check_refuses_changes_neither_file_nor_child() {
    let mut fixture = ExecFixture::with_conf("a_check_refuses", "good 1");
    let check = "conf=/conf,check=cat {} >> seen; test $ZK_PATH = /conf || exit 9; \
                 echo looked at $(cat \"$ZK_FILE\"); ! grep -q bad {}";
    let alert = "echo $ZKEXEC_EVENT >> alerts";
    let args = ["-w", "0", "-m", check, "-a", alert, "-e", RECORDING_CHILD];
    let running = fixture.zkexec(&args).spawn();
    let (pid, _) = fixture.wait_starts(1);
    fixture.zk.set("/conf", "bad").unwrap();
    running.wait_log("the check refuses the new content; the files stay: exit status 1");
    running.wait_log("the check said: looked at bad");
    fixture.wait_file("alerts", "config\n");
    holds_for(QUIET_TIME, "file and child stay", || match fixture.scratch.read("conf")?.as_str() {
        "good 1" if super::processes::is_alive(pid) && fixture.starts().len() == 1 => Ok(()),
        other => Err(other.to_owned()),
    });
    assert_eq!(fixture.names(""), ["alerts", "conf", "seen", "starts"]);
    fixture.zk.set("/conf", "good 2").unwrap();
    assert_eq!(fixture.wait_starts(2).1, "good 2");
    stop(running);
    let seen = fixture.scratch.read("seen").unwrap();
    assert_eq!(seen, "good 1badgood 2", "once for each content");
}

#[test]
fn a_first_content_that_a_check_refuses_is_not_started_on() {
    let fixture = ExecFixture::with_conf("a_first_content", "bad");
    let check = "conf=/conf,check=! grep bad {}";
    let output = fixture.zkexec(&["-m", check, "-e", RECORDING_CHILD]).run();
    output.code(65).stderr_has("the check said: bad\n").stderr_has("\nhint: ");
    assert_eq!(fixture.names(""), Vec::<String>::new());
    // With an existing file the child is started on that.
    fixture.scratch.write("conf", "old");
    let running = fixture.zkexec(&["-m", check, "-e", RECORDING_CHILD]).spawn();
    assert_eq!(fixture.wait_starts(1).1, "old");
    stop(running);
}

#[test]
fn a_check_that_hangs_is_ended_with_us() {
    let mut fixture = ExecFixture::with_conf("a_check_that_hangs", "a");
    let check = "conf=/conf,check=grep -q slow {} || exit 0; echo $$ > hangs; exec sleep 1000";
    let mut running = fixture.zkexec(&["-w", "0", "-m", check, "-e", RECORDING_CHILD]).spawn();
    fixture.wait_starts(1);
    fixture.zk.set("/conf", "slow").unwrap();
    let check = fixture.pid_in("hangs");
    running.signal(Signal::SIGTERM);
    running.wait_exit().code(143);
    assert!(!super::processes::is_alive(check));
    assert_eq!(fixture.scratch.read("conf").unwrap(), "a");
    assert_eq!(fixture.names(""), ["conf", "hangs", "starts"]);
}

#[test]
fn what_a_killed_one_has_left_is_swept_by_the_next() {
    let mut fixture = ExecFixture::with_conf("a_killed_one", "a");
    fixture.zk.create("/tree", "").unwrap();
    fixture.zk.create("/tree/x", "1").unwrap();
    let args = ["--on-failed-restart", "rollback", "-m", "tree/=/tree/"];
    let mut running = fixture.start(&args);
    fixture.zk.set("/conf", "b").unwrap();
    fixture.wait_starts(2);
    fixture.zk.set("/tree/x", "2").unwrap();
    fixture.wait_starts(3);
    // The backups for a rollback are kept beside the files, each with its lock file.
    assert_eq!((fixture.names("").len(), fixture.names("tree").len()), (5, 4));
    running.kill9();
    let running = fixture.start(&args);
    fixture.wait_starts(4);
    assert_eq!(fixture.names(""), ["conf", "starts", "tree"]);
    assert_eq!(fixture.names("tree"), [".zkexec", "x"]);
    stop(running);
}

#[test]
fn a_znode_shown_twice_is_two_files() {
    let mut fixture = ExecFixture::with_conf("shown_twice", "a");
    let child = "echo \"$$ $(cat conf other)\" >> starts; exec sleep 1000";
    let args = ["-w", "0", "-m", "conf=/conf", "-m", "other=/conf,mode=600", "-e", child];
    let running = fixture.zkexec(&args).spawn();
    fixture.wait_starts(1);
    fixture.zk.set("/conf", "b").unwrap();
    fixture.wait_starts(2);
    assert_eq!(fixture.contents(), ["aa", "bb"]);
    stop(running);
}
