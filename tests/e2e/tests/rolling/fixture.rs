//! A group of members that restart in turn, each in its own directory.

use super::observer::{ChildEvent, Observer};
use farm_harness::{Chroot, Ensemble, FaultProxy, Running, Scratch, Tool, Zk, ZkError, eventually};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::Value;
use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::Write;

/// The znode that all members mirror.
pub(crate) const CONF: &str = "/conf";

/// The znode whose children are the contenders of the group.
pub(crate) const QUEUE: &str = "/_zklocking/web";

/// The child. Its content is a version and an optional behaviour: `dies`, `fails` and `leaves`
/// exit at once, with 1, 3 and 0; `needs` does that with 3 unless the group's file `mended`
/// exists, and `picky` if the member's file `picky` does. On TERM it exits, after the gate `end`
/// if there is one. The file `starts` has a line for each start: the version, and the zkexec.
const CHILD: &str = r#"
who=$1
exec 8>alive
read -r version how <conf
echo $$ >"pid-$version"
echo "$version $PPID" >>starts
echo "$who up $version $$" >../events
on_term() {
    echo "$who stopping" >../events
    if [ -p end ]; then read -r _ <end; fi
    exit 7
}
on_hup() {
    read -r version _ <conf
    echo "$who reloaded $version" >../events
}
case $how in
    dies) exit 1 ;;
    fails) exit 3 ;;
    needs) [ -e ../mended ] || exit 3 ;;
    picky) [ ! -e picky ] || exit 3 ;;
    leaves) exit 0 ;;
esac
trap on_term TERM
trap on_hup HUP
# Short, because a child that is killed together with zkexec leaves it behind.
while :; do
    sleep 20 8>&- &
    wait $!
done
"#;

/// The health check. It takes the given seconds, or until the gate `health` opens. It fails
/// on content on which the child fails, and on `unwell` content; on `killed` content it kills the
/// child and succeeds. The file `well-VERSION` tells that it has succeeded.
const HEALTH: &str = r#"
who=$1
sleep "$2"
if [ -p health ]; then read -r _ <health; fi
read -r version how <conf
case $how in
    unwell|dies|fails) exit 1 ;;
    needs) [ -e ../mended ] || exit 1 ;;
    picky) [ ! -e picky ] || exit 1 ;;
    killed)
        until [ -s "pid-$version" ]; do sleep 0.01; done
        read -r pid <"pid-$version"
        kill -KILL "$pid"
        while read -r _ _ state _ <"/proc/$pid/stat" && [ "$state" != Z ]; do :; done 2>/dev/null
        exit 0
        ;;
esac
: >"well-$version"
echo "$who healthy $version" >../events
"#;

/// The check of the content. It refuses `refused` content, after the gate `check`.
const CHECK: &str = r#"
echo "$1 checking" >../events
if [ -p check ]; then read -r _ <check; fi
! grep -q refused "$2"
"#;

/// A fifo at which a script waits until the test opens it.
#[derive(Debug)]
pub(crate) struct Gate {
    path: std::path::PathBuf,
    held: Option<File>,
}

impl Gate {
    pub(crate) fn open(&mut self) {
        // Open for reading too, so that opening does not block. Each script that passes takes
        // one line.
        let mut file = OpenOptions::new().read(true).write(true).open(&self.path).unwrap();
        file.write_all(&[b'\n'; 1000]).unwrap();
        self.held = Some(file);
    }
}

/// A contender: the name of its znode, and the pid in its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Contender {
    pub(crate) name: String,
    pub(crate) pid: Option<u32>,
}

pub(crate) struct GroupFixture<'a> {
    pub(crate) zk: Zk,
    pub(crate) observer: Observer,
    pub(crate) scratch: Scratch,
    members: usize,
    chroot: Chroot<'a>,
}

impl GroupFixture<'static> {
    /// A group of `members` on the shared server.
    #[track_caller]
    pub(crate) fn new(test: &str, members: usize) -> Self {
        Self::on(Ensemble::shared(), test, members)
    }
}

impl<'a> GroupFixture<'a> {
    #[track_caller]
    pub(crate) fn on(ensemble: &'a Ensemble, test: &str, members: usize) -> Self {
        let scratch = Scratch::new();
        for (name, script) in [("child.sh", CHILD), ("health.sh", HEALTH), ("check.sh", CHECK)] {
            scratch.write(name, script);
        }
        for who in 0..members {
            scratch.write(format!("{who}/made"), "");
        }
        let chroot = ensemble.chroot(test);
        let mut zk = chroot.zk();
        zk.create(CONF, "v1").unwrap();
        Self { zk, observer: Observer::open(scratch.path(), members), scratch, members, chroot }
    }

    /// Another client.
    #[track_caller]
    pub(crate) fn new_client(&self) -> Zk {
        self.chroot.zk()
    }

    pub(crate) fn servers(&self) -> String {
        self.chroot.connect_string()
    }

    /// The connect string of this test's chroot at another address.
    pub(crate) fn servers_at(&self, addr: impl Display) -> String {
        format!("{addr}{}", self.chroot.path())
    }

    /// A proxy to the shared server.
    pub(crate) fn proxy() -> FaultProxy {
        FaultProxy::start(Ensemble::shared().server(0).addr())
    }

    /// A member whose health check takes no time.
    pub(crate) fn zkexec(&self, who: usize) -> Member {
        Member {
            who,
            servers: self.servers(),
            mirror: format!("{}={CONF}", self.scratch.join(format!("{who}/conf")).display()),
            health: Some(format!("sh ../health.sh {who} 0")),
            delay: "20s",
            timeout: "4s",
            more: Vec::new(),
            dir: self.scratch.join(who.to_string()),
        }
    }

    /// Starts a member and waits until its child runs on this content.
    #[track_caller]
    pub(crate) fn start(&self, member: &Member, version: &str) -> Running {
        let running = member.tool().spawn();
        self.observer.wait_up(member.who, version);
        running
    }

    /// Makes a closed gate in a member's directory.
    #[track_caller]
    pub(crate) fn gate(&self, who: usize, name: &str) -> Gate {
        let path = self.scratch.join(format!("{who}/{name}"));
        mkfifo(&path, Mode::S_IRWXU).unwrap();
        Gate { path, held: None }
    }

    /// Replaces a gate by a closed one.
    #[track_caller]
    pub(crate) fn gate_anew(&self, who: usize, name: &str) -> Gate {
        std::fs::remove_file(self.scratch.join(format!("{who}/{name}"))).unwrap();
        self.gate(who, name)
    }

    #[track_caller]
    pub(crate) fn publish(&mut self, content: &str) {
        self.zk.set(CONF, content).unwrap();
    }

    /// The content of a member's file.
    #[track_caller]
    pub(crate) fn file(&self, who: usize) -> String {
        self.scratch.read(format!("{who}/conf")).unwrap()
    }

    /// The contenders in their order.
    #[track_caller]
    pub(crate) fn queue(&mut self) -> Vec<Contender> {
        queue(&mut self.zk)
    }

    /// Waits until the queue satisfies the probe.
    #[track_caller]
    pub(crate) fn wait_queue(&mut self, what: &str, probe: impl Fn(&[Contender]) -> bool) {
        eventually(what, || {
            let queue = self.queue();
            if probe(&queue) { Ok(()) } else { Err(format!("{queue:?}")) }
        });
    }

    /// Waits until a process has this many contenders.
    #[track_caller]
    pub(crate) fn wait_contenders(&mut self, running: &Running, times: usize) {
        let pid = Some(running.pid());
        let what = format!("{} has {times} contenders", running.pid());
        self.wait_queue(&what, |queue| queue.iter().filter(|one| one.pid == pid).count() == times);
    }

    #[track_caller]
    pub(crate) fn wait_queue_empty(&mut self) {
        self.wait_queue("the queue is empty", <[_]>::is_empty);
    }

    /// Queues as a member written in Ruby does.
    #[track_caller]
    pub(crate) fn ruby_enqueue(&mut self) -> String {
        loop {
            match self.zk.create_sequential(&format!("{QUEUE}/ex"), "") {
                Ok(name) => return name,
                Err(ZkError::NoNode) => drop(self.zk.create_all(QUEUE, "")),
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Leaves the queue as a member written in Ruby does: the last one deletes the directory.
    #[track_caller]
    pub(crate) fn ruby_leave(&mut self, name: &str) {
        self.zk.delete(&format!("{QUEUE}/{name}")).unwrap();
        match self.zk.delete(QUEUE) {
            Ok(()) | Err(ZkError::NotEmpty | ZkError::NoNode) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Leaves the queue and tries to delete the directory repeatedly, in a race with others who
    /// queue meanwhile.
    #[track_caller]
    pub(crate) fn ruby_leave_racing(&mut self, name: &str) {
        self.zk.delete(&format!("{QUEUE}/{name}")).unwrap();
        for _ in 0..20 {
            match self.zk.delete(QUEUE) {
                Ok(()) | Err(ZkError::NoNode | ZkError::NotEmpty) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Waits until the Ruby member is the first in the queue.
    #[track_caller]
    pub(crate) fn wait_ruby_holds(&mut self, name: &str) {
        self.wait_queue(&format!("{name} is the first"), |queue| {
            queue.first().is_some_and(|first| first.name == name)
        });
    }

    /// Waits until a member is healthy on this content, and checks its file and its child.
    #[track_caller]
    pub(crate) fn wait_healthy_on(&self, who: usize, version: &str) -> u32 {
        self.observer.wait_event(who, &ChildEvent::Healthy(version.to_owned()));
        assert!(self.file(who).starts_with(version), "{}", self.file(who));
        self.observer.wait_up(who, version)
    }

    #[track_caller]
    pub(crate) fn wait_all_healthy_on(&self, version: &str) {
        for who in 0..self.members {
            self.wait_healthy_on(who, version);
        }
    }
}

/// The contenders in their order.
#[track_caller]
pub(crate) fn queue(zk: &mut Zk) -> Vec<Contender> {
    let names = match zk.children(QUEUE) {
        Ok(names) => names,
        Err(ZkError::NoNode) => return Vec::new(),
        Err(error) => panic!("{error}"),
    };
    let info = |name: String| {
        let znode = zk.get(&format!("{QUEUE}/{name}")).ok()?;
        let info: Value = serde_json::from_slice(&znode.data).unwrap_or_default();
        Some(Contender { name, pid: info["pid"].as_u64().map(|pid| u32::try_from(pid).unwrap()) })
    };
    names.into_iter().filter_map(info).collect()
}

/// The id of a [`Member::named`].
pub(crate) fn id(who: usize) -> String {
    format!("m{who}")
}

/// The options of a zkexec.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) who: usize,
    servers: String,
    mirror: String,
    health: Option<String>,
    delay: &'static str,
    timeout: &'static str,
    more: Vec<String>,
    dir: std::path::PathBuf,
}

impl Member {
    /// Sets the servers.
    pub(crate) fn at(mut self, servers: String) -> Self {
        self.servers = servers;
        self
    }

    /// Sets how many seconds the health check takes.
    pub(crate) fn healthy_after(mut self, seconds: f64) -> Self {
        self.health = Some(format!("sh ../health.sh {} {seconds}", self.who));
        self
    }

    pub(crate) fn without_health(mut self) -> Self {
        self.health = None;
        self
    }

    /// Sets the id in the group to [`id`]; otherwise it depends on the other members on this host.
    pub(crate) fn named(self) -> Self {
        let id = id(self.who);
        self.more(&["--name", &id])
    }

    /// Keeps the content that works in the member's directory.
    pub(crate) fn keeping(self) -> Self {
        let directory = self.dir.join("state").display().to_string();
        self.more(&["--state-dir", &directory])
    }

    /// Sets the health delay.
    pub(crate) fn delay(mut self, delay: &'static str) -> Self {
        self.delay = delay;
        self
    }

    /// Sets the session timeout.
    pub(crate) fn timeout(mut self, timeout: &'static str) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the mode of the file.
    pub(crate) fn mode(mut self, mode: &str) -> Self {
        self.mirror += &format!(",mode={mode}");
        self
    }

    /// Adds a check of the content.
    pub(crate) fn checked(mut self) -> Self {
        self.mirror += &format!(",check=sh ../check.sh {} {{}}", self.who);
        self
    }

    pub(crate) fn more(mut self, more: &[&str]) -> Self {
        self.more.extend(more.iter().map(|&text| text.to_owned()));
        self
    }

    pub(crate) fn tool(&self) -> Tool {
        self.tool_of(&["sh", "../child.sh", &self.who.to_string()])
    }

    /// Runs another child.
    pub(crate) fn tool_of(&self, argv: &[&str]) -> Tool {
        let mut args =
            vec!["-c", &self.servers, "--session-timeout", self.timeout, "-m", &self.mirror];
        if !self.more.iter().any(|argument| argument == "--wait") {
            args.extend(["--wait", "0"]);
        }
        args.extend(["-i", "100ms", "-d", self.delay, "-l", "web"]);
        args.extend(self.health.iter().flat_map(|health| ["-H", health]));
        args.extend(self.more.iter().map(String::as_str));
        args.push("--");
        args.extend(argv);
        Tool::new("zkexec").args(args).cwd(&self.dir)
    }
}
