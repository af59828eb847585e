//! Twenty hosts and one exported file.

use super::ensemble::{Cluster, print_duration, session_of};
use farm_harness::{
    Chroot, Ensemble, FaultProxy, Running, Scratch, Stat, Tool, Zk, eventually, eventually_within,
    holds_for, mode,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use serde_json::Value;
use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const HOSTS: usize = 20;
const FARM: &str = "/farm";

fn name(index: usize) -> String {
    format!("host-{index:02}")
}

fn join(servers: &str, scratch: &Scratch, index: usize) -> Running {
    scratch.write(format!("{}/enabled", name(index)), "1");
    Tool::new("zkjoin")
        .args(["-H", servers, "--session-timeout", "4s", "--name", &name(index), FARM])
        .arg(scratch.join(name(index)))
        .spawn()
}

fn stats(zk: &mut Zk) -> Vec<Stat> {
    (0..HOSTS).map(|index| zk.get(&format!("{FARM}/{}", name(index))).unwrap().stat).collect()
}

/// Fails with the names that are missing in the exported file, or if it can't be read.
fn check_complete(scratch: &Scratch) -> Result<(), String> {
    let text = scratch.read("farm.json")?;
    let farm: Value = serde_json::from_str(&text).map_err(|e| format!("{e} in {text:?}"))?;
    let missing: Vec<_> = (0..HOSTS).map(name).filter(|name| farm.get(name).is_none()).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("without {missing:?}")) }
}

/// Sets the flag on drop, also if the work panics.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Checks the file whenever inotify reports that it was replaced, written or removed, until
/// `work` ends; returns how often that was.
fn check_always_complete(scratch: &Scratch, work: impl FnOnce()) -> Result<usize, String> {
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK).unwrap();
    let every_way = AddWatchFlags::IN_MOVE | AddWatchFlags::IN_CLOSE_WRITE;
    inotify.add_watch(scratch.path(), every_way | AddWatchFlags::IN_DELETE).unwrap();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let checker = scope.spawn(|| {
            let mut contents = 0;
            loop {
                let was_over = is_over.load(Ordering::Relaxed);
                let mut fds = [PollFd::new(inotify.as_fd(), PollFlags::POLLIN)];
                poll(&mut fds, PollTimeout::from(20_u8)).unwrap();
                let events = inotify.read_events().unwrap_or_default();
                let is_the_file =
                    |name: Option<&std::ffi::OsStr>| name == Some("farm.json".as_ref());
                contents +=
                    events.iter().filter(|event| is_the_file(event.name.as_deref())).count();
                check_complete(scratch)?;
                if was_over {
                    return Ok(contents);
                }
            }
        });
        let working = SetOnDrop(&is_over);
        work();
        drop(working);
        checker.join().unwrap()
    })
}

/// Edits one host after the other, ten edits a second.
struct Editor<'a> {
    scratch: &'a Scratch,
    edits: usize,
    next: Instant,
}

impl Editor<'_> {
    fn edit_if_due(&mut self) {
        if Instant::now() >= self.next {
            self.next += Duration::from_millis(100);
            self.edits += 1;
            let host = name(self.edits % HOSTS);
            self.scratch.write(format!("{host}/edits"), self.edits.to_string());
        }
    }
}

#[test]
fn a_rolling_restart_takes_no_host_from_the_file() {
    let cluster = Cluster::start();
    let (servers, scratch) = (cluster.servers(), Scratch::new());
    let joined: Vec<Running> = (0..HOSTS).map(|index| join(&servers, &scratch, index)).collect();
    joined.iter().for_each(|running| running.wait_log("joined; "));
    let exporter = Tool::new("zkexport")
        .args(["-H", &servers, "--session-timeout", "4s", FARM])
        .arg(scratch.join("farm.json"))
        .spawn();
    exporter.wait_log("the file is current; ");
    check_complete(&scratch).unwrap();
    let before = stats(&mut cluster.ensemble.zk());
    let mut editor = Editor { scratch: &scratch, edits: 0, next: Instant::now() };
    let start = Instant::now();
    let looked = check_always_complete(&scratch, || {
        for server in cluster.ensemble.servers() {
            server.start_again();
            eventually_within(Duration::from_secs(30), "the server is back", || {
                editor.edit_if_due();
                mode(server.addr())
            });
        }
        // A host whose session was lost disappears from the file within the timeout.
        holds_for(Duration::from_secs(5), "time passes", || {
            editor.edit_if_due();
            Ok::<_, String>(())
        });
    });
    let contents = looked.unwrap_or_else(|e| panic!("{e}\n{}", exporter.stderr()));
    print_duration(
        &format!("{contents} contents of the file, each with all hosts, in"),
        start.elapsed(),
    );
    assert!(contents > editor.edits / 4, "{} edits, {contents} contents", editor.edits);
    let last = format!("\"edits\": \"{}\"", editor.edits);
    eventually("the last edit is in the file", || match scratch.read("farm.json")? {
        text if text.contains(&last) => Ok(()),
        text => Err(text),
    });
    let after = stats(&mut cluster.ensemble.zk());
    for (index, (before, after)) in before.iter().zip(&after).enumerate() {
        let (was, is) =
            ((before.czxid, before.ephemeral_owner), (after.czxid, after.ephemeral_owner));
        assert_eq!(was, is, "{}: {}", name(index), joined[index].stderr());
    }
}

/// A host behind its own proxy.
struct ProxiedHost {
    running: Running,
    proxy: FaultProxy,
}

fn join_through_proxy(chroot: &Chroot<'_>, scratch: &Scratch, index: usize) -> ProxiedHost {
    let proxy = FaultProxy::start(Ensemble::shared().server(0).addr());
    let running = join(&format!("{}{}", proxy.addr(), chroot.path()), scratch, index);
    ProxiedHost { running, proxy }
}

#[test]
fn twenty_hosts_whose_sessions_end_at_once_are_back_within_two_seconds() {
    let chroot = Ensemble::shared().chroot("twenty_hosts");
    let (scratch, mut zk) = (Scratch::new(), chroot.zk());
    let hosts: Vec<ProxiedHost> =
        (0..HOSTS).map(|index| join_through_proxy(&chroot, &scratch, index)).collect();
    hosts.iter().for_each(|host| host.running.wait_log("joined; "));
    let old: Vec<i64> = stats(&mut zk).iter().map(|stat| stat.ephemeral_owner).collect();
    hosts.iter().for_each(|host| host.proxy.expire().unwrap());
    let expired = Instant::now();
    let owners = eventually_within(Duration::from_secs(2), "all hosts are back", || {
        let mut owners = BTreeSet::new();
        for index in 0..HOSTS {
            let stat = zk.exists(&format!("{FARM}/{}", name(index))).map_err(|e| e.to_string())?;
            let owner = stat.ok_or_else(|| name(index))?.ephemeral_owner;
            if old.contains(&owner) {
                return Err(format!("{} is the old one", name(index)));
            }
            owners.insert(owner);
        }
        Ok::<_, String>(owners)
    });
    print_duration("all hosts are back after", expired.elapsed());
    assert_eq!(owners.len(), HOSTS);
    let live = Ensemble::shared().server(0).four_letter("cons");
    for (index, host) in hosts.iter().enumerate() {
        host.running.wait_log_times(" connected; ", 2);
        let (log, session) = (host.running.stderr(), session_of(&host.running));
        let owner = zk.get(&format!("{FARM}/{}", name(index))).unwrap().stat.ephemeral_owner;
        assert_eq!(format!("0x{owner:x}"), session, "{log}");
        assert!(live.contains(&format!("sid={session},")), "{session} in\n{live}");
        assert_eq!(log.matches(" connected; ").count(), 2, "{log}");
    }
}
