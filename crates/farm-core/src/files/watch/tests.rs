use super::*;
use farm_harness::{Scratch, eventually, eventually_within, holds_for, patience};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

struct Fixture {
    watch: FileWatch,
    hints: Receiver<Hint>,
}

impl Fixture {
    fn start(path: &Path, watched: Watched) -> Self {
        let (sender, hints) = channel();
        let post = move |hint| sender.send(hint).unwrap_or(());
        Self { watch: FileWatch::start(path.to_owned(), watched, post).unwrap(), hints }
    }

    /// Lowers, runs `change`, and waits for `hint`.
    fn expect(&mut self, what: &str, hint: Hint, change: impl FnOnce()) {
        self.drain();
        change();
        eventually(what, || match self.hints.try_recv() {
            Ok(got) if got == hint => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }

    /// Waits for earlier events, and discards their hints.
    fn drain(&mut self) {
        let mut quiet = 0;
        eventually("quiet", || {
            self.watch.rearm().unwrap();
            quiet = if self.hints.try_iter().count() == 0 { quiet + 1 } else { 0 };
            if quiet > 3 { Ok(()) } else { Err("hints") }
        });
    }

    fn expect_nothing(&mut self, what: &str, change: impl FnOnce()) {
        self.drain();
        change();
        holds_for(Duration::from_millis(100), what, || match self.hints.try_recv() {
            Ok(hint) => Err(format!("{hint:?}")),
            Err(_) => Ok(()),
        });
    }
}

#[test]
fn a_file_that_was_closed_renamed_or_removed_is_a_hint_at_once() {
    let scratch = Scratch::new();
    let path = scratch.write("conf", "1");
    let mut fixture = Fixture::start(&path, Watched::File);
    fixture.expect("written", Hint::Now, || drop(scratch.write("conf", "2")));
    fixture.expect("renamed into place", Hint::Now, || {
        scratch.write("other", "3");
        fs::rename(scratch.join("other"), &path).unwrap();
    });
    fixture.expect("removed", Hint::Now, || fs::remove_file(&path).unwrap());
    fixture.expect("made again", Hint::Now, || drop(scratch.write("conf", "4")));
    fixture.expect("renamed away", Hint::Now, || {
        fs::rename(&path, scratch.join("away")).unwrap();
    });
    fixture.expect_nothing("a neighbour is no hint", || drop(scratch.write("other", "5")));
}

#[test]
fn a_writer_that_holds_the_file_open_is_a_hint_for_soon() {
    let scratch = Scratch::new();
    let path = scratch.write("conf", "1");
    let mut fixture = Fixture::start(&path, Watched::File);
    let mut writer = OpenOptions::new().append(true).open(&path).unwrap();
    fixture.expect("appended", Hint::Soon, || writer.write_all(b"2").unwrap());
    fixture.expect("closed", Hint::Now, || drop(writer));
}

#[test]
fn a_thousand_saves_are_one_hint_until_it_is_lowered() {
    let scratch = Scratch::new();
    let path = scratch.write("conf", "1");
    let mut fixture = Fixture::start(&path, Watched::File);
    fixture.expect("the first save", Hint::Now, || {
        for n in 0..1000 {
            scratch.write("conf", n.to_string());
        }
    });
    holds_for(Duration::from_millis(100), "no further hint", || match fixture.hints.try_recv() {
        Ok(hint) => Err(format!("{hint:?}")),
        Err(_) => Ok(()),
    });
    fixture.expect("a save after it was lowered", Hint::Now, || drop(scratch.write("conf", "2")));
}

#[test]
fn links_are_followed_also_to_new_targets() {
    let scratch = Scratch::new();
    scratch.write("v1/conf", "1");
    scratch.write("v2/conf", "2");
    symlink("v1", scratch.join("data")).unwrap();
    let path = scratch.join("conf");
    symlink("data/conf", &path).unwrap();
    let mut fixture = Fixture::start(&path, Watched::File);
    fixture.expect("target written", Hint::Now, || drop(scratch.write("v1/conf", "3")));
    fixture.expect("link turned", Hint::Now, || {
        symlink("v2", scratch.join("data.new")).unwrap();
        fs::rename(scratch.join("data.new"), scratch.join("data")).unwrap();
    });
    fixture.expect("new target written", Hint::Now, || drop(scratch.write("v2/conf", "4")));
    fixture.expect_nothing("the old target is not watched", || drop(scratch.write("v1/conf", "5")));
}

#[test]
fn a_file_whose_directories_do_not_exist_yet_is_noticed_when_it_comes() {
    let scratch = Scratch::new();
    let path = scratch.join("a/b/conf");
    let mut fixture = Fixture::start(&path, Watched::File);
    fs::create_dir_all(scratch.join("a/b")).unwrap();
    fixture.expect("made", Hint::Now, || drop(scratch.write("a/b/conf", "1")));
    fs::remove_dir_all(scratch.join("a")).unwrap();
    fixture.drain();
    scratch.write("a/b/conf", "2");
    eventually("made again", || {
        fixture.watch.rearm().unwrap();
        fixture.hints.try_recv()
    });
    fixture.expect("and written again", Hint::Now, || drop(scratch.write("a/b/conf", "3")));
}

#[test]
fn renewed_watches_are_on_what_the_path_names() {
    for watched in [Watched::File, Watched::Tree] {
        let scratch = Scratch::new();
        scratch.write("app2/etc/conf/a", "1");
        let path = match watched {
            Watched::File => scratch.write("app/etc/conf/a", "1"),
            Watched::Tree => scratch.write("app/etc/conf/a", "1").parent().unwrap().to_owned(),
        };
        let mut fixture = Fixture::start(&path, watched);
        fs::rename(scratch.join("app"), scratch.join("app.old")).unwrap();
        fs::rename(scratch.join("app2"), scratch.join("app")).unwrap();
        fixture.watch.renew();
        fixture.expect("written", Hint::Now, || drop(scratch.write("app/etc/conf/a", "2")));
        fixture.expect_nothing("the old one is not watched", || {
            scratch.write("app.old/etc/conf/a", "3");
        });
        fixture.watch.renew();
        fixture.expect("written again", Hint::Now, || drop(scratch.write("app/etc/conf/a", "4")));
    }
}

#[test]
fn a_directory_is_watched_to_its_depth() {
    let scratch = Scratch::new();
    let path = scratch.join("conf");
    scratch.write("conf/enabled", "1");
    scratch.write("conf/mysql/delay", "1");
    let mut fixture = Fixture::start(&path, Watched::Tree);
    fixture.expect("top", Hint::Now, || drop(scratch.write("conf/enabled", "2")));
    fixture.expect("below", Hint::Now, || drop(scratch.write("conf/mysql/delay", "2")));
    fixture.expect("new directory", Hint::Soon, || {
        fs::create_dir(scratch.join("conf/new")).unwrap();
    });
    fixture.expect("in it", Hint::Now, || drop(scratch.write("conf/new/x", "1")));
    fixture.expect("deep at once", Hint::Soon, || {
        fs::create_dir_all(scratch.join("conf/d1/d2/d3")).unwrap();
    });
    fixture.expect("at the bottom", Hint::Now, || drop(scratch.write("conf/d1/d2/d3/x", "1")));
    fixture.expect("removed", Hint::Now, || {
        fs::remove_dir_all(scratch.join("conf/d1")).unwrap();
    });
    fixture.expect("moved in", Hint::Now, || {
        scratch.write("elsewhere/y", "1");
        fs::rename(scratch.join("elsewhere"), scratch.join("conf/moved")).unwrap();
    });
    fixture.expect("in what was moved in", Hint::Now, || {
        scratch.write("conf/moved/y", "2");
    });
    fixture.expect_nothing("dot-files are not ours", || {
        scratch.write("conf/.hidden", "1");
        scratch.write("conf/.git/index", "1");
    });
    fixture.expect_nothing("neighbours are not ours", || drop(scratch.write("beside", "1")));
}

#[test]
fn a_directory_that_is_deleted_and_made_again_is_watched_again() {
    let scratch = Scratch::new();
    let path = scratch.join("conf");
    scratch.write("conf/mysql/delay", "1");
    let mut fixture = Fixture::start(&path, Watched::Tree);
    for round in 0..20 {
        fixture.expect("deleted", Hint::Now, || fs::remove_dir_all(&path).unwrap());
        fs::create_dir_all(path.join("mysql")).unwrap();
        if round % 2 == 0 {
            fs::remove_dir_all(&path).unwrap();
            fs::create_dir_all(path.join("mysql")).unwrap();
        }
        fixture.expect("written below", Hint::Now, || {
            scratch.write("conf/mysql/delay", round.to_string());
        });
    }
}

#[test]
fn links_in_a_directory_are_not_followed() {
    let scratch = Scratch::new();
    scratch.write("outside/x", "1");
    scratch.write("conf/a", "1");
    symlink(scratch.join("outside"), scratch.join("conf/link")).unwrap();
    let mut fixture = Fixture::start(&scratch.join("conf"), Watched::Tree);
    fixture.expect_nothing("outside", || drop(scratch.write("outside/x", "2")));
}

#[test]
fn a_directory_that_changes_places_with_a_link_leads_nowhere_and_holds_up_nobody() {
    let scratch = Scratch::new();
    scratch.write("conf/sub/a", "1");
    scratch.write("conf/b", "1");
    // A large tree: who watched all of it would not be done for a long time.
    symlink("/usr", scratch.join("conf/link")).unwrap();
    let mut fixture = Fixture::start(&scratch.join("conf"), Watched::Tree);
    let [sub, link, aside] = ["sub", "link", "aside"].map(|name| scratch.join("conf").join(name));
    let begun = Instant::now();
    let mut longest = Duration::ZERO;
    while begun.elapsed() < Duration::from_secs(1) {
        for _ in 0..100 {
            fs::rename(&sub, &aside).unwrap();
            fs::rename(&link, &sub).unwrap();
            fs::rename(&sub, &link).unwrap();
            fs::rename(&aside, &sub).unwrap();
        }
        let asked = Instant::now();
        // It may take too long.
        drop(fixture.watch.rearm());
        longest = longest.max(asked.elapsed());
    }
    assert!(longest < patience(Duration::from_secs(2)), "{longest:?}");
    eventually("the watches are set", || fixture.watch.rearm());
    fixture.expect("written", Hint::Now, || drop(scratch.write("conf/b", "2")));
    fixture.expect("written below", Hint::Now, || drop(scratch.write("conf/sub/a", "2")));
}

#[test]
fn nobody_waits_for_a_watch_that_takes_too_long_and_it_is_told_of_when_it_is_set() {
    let scratch = Scratch::new();
    scratch.write("conf/a", "1");
    let (sender, hints) = channel();
    let (go, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    // This blocks notify's thread, as more events would than it can handle.
    let post = move |hint| {
        sender.send(hint).unwrap_or(());
        wait.lock().unwrap().recv_timeout(patience(Duration::from_secs(120))).unwrap_or(());
    };
    let mut watch = FileWatch::start(scratch.join("conf"), Watched::Tree, post).unwrap();
    scratch.write("conf/new/b", "1");
    eventually("notify's thread is blocked", || hints.try_recv());
    let begun = Instant::now();
    for _ in 0..100 {
        let error = watch.rearm().unwrap_err();
        assert!(error.to_string().ends_with("/conf: that takes too long"), "{error}");
    }
    assert!(begun.elapsed() < patience(Duration::from_secs(5)), "only the first one has waited");
    drop(go);
    eventually("a hint when it is set", || hints.try_recv());
    eventually("it is set", || watch.rearm());
    while hints.try_recv().is_ok() {}
    watch.rearm().unwrap();
    scratch.write("conf/new/b", "2");
    eventually("a hint", || hints.try_recv());
}

#[test]
fn our_own_staged_files_and_reads_cause_no_hint() {
    let scratch = Scratch::new();
    let path = scratch.write("conf/a", "1");
    let folder = super::super::folder::Folder::open(&scratch.join("conf")).unwrap();
    for watched in [(scratch.join("conf"), Watched::Tree), (path, Watched::File)] {
        let mut fixture = Fixture::start(&watched.0, watched.1);
        fixture.expect_nothing("staged and dropped", || {
            drop(folder.stage(b"new", None).unwrap());
        });
        fixture.expect_nothing("read", || drop(fs::read(scratch.join("conf/a")).unwrap()));
    }
}

#[test]
fn a_late_writer_of_a_displaced_file_is_a_hint() {
    let scratch = Scratch::new();
    let path = scratch.write("conf", "1");
    let mut fixture = Fixture::start(&path, Watched::File);
    let mut writer = OpenOptions::new().write(true).open(&path).unwrap();
    let swapped =
        super::super::compare_and_swap::compare_and_swap(&path, Some(b"1"), b"2").unwrap();
    fixture.expect("late writing", Hint::Soon, || writer.write_all(b"3").unwrap());
    fixture.expect("late closing", Hint::Now, || drop(writer));
    drop(swapped);
}

#[test]
fn more_events_than_the_queue_takes_end_in_a_hint() {
    const LIMIT: Duration = Duration::from_secs(120);
    let scratch = Scratch::new();
    let path = scratch.join("conf");
    fs::create_dir(&path).unwrap();
    let (sender, hints) = channel();
    let (go, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    // This blocks notify's thread, so that the queue overflows.
    let post = move |hint| {
        sender.send(hint).unwrap_or(());
        wait.lock().unwrap().recv_timeout(patience(LIMIT)).unwrap_or(());
    };
    let mut watch = FileWatch::start(path.clone(), Watched::Tree, post).unwrap();
    drop(File::create(path.join("first")).unwrap());
    eventually_within(LIMIT, "notify's thread is blocked", || hints.try_recv());
    for n in 0..8000 {
        let name = path.join(format!("f{n}"));
        drop(File::create(&name).unwrap());
        fs::remove_file(&name).unwrap();
    }
    watch.rearm().unwrap();
    drop(go);
    eventually_within(LIMIT, "a hint after all", || match hints.try_recv() {
        Ok(Hint::Now) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    eventually_within(LIMIT, "the watches are to be set again", || {
        watch.shared.is_stale.load(Ordering::Acquire).then_some(()).ok_or("not yet")
    });
}
