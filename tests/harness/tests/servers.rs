//! Tests of the servers and the client with a real ZooKeeper.

use farm_harness::{
    Acl, Create, Ensemble, Options, Tool, Zk, ZkError, Znode, eventually, eventually_within,
    kill_session, mode,
};
use std::io::Write;
use std::time::{Duration, Instant};

/// How long a server may take to start on a busy machine, as the harness allows it.
const SERVER_START_MAX: Duration = Duration::from_secs(120);

#[test]
fn chroots_are_apart_and_start_empty() {
    let (one, other) =
        (Ensemble::shared().chroot("same::name"), Ensemble::shared().chroot("same::name"));
    assert_ne!(one.connect_string(), other.connect_string());
    one.zk().create("/host", "text").unwrap();
    assert_eq!(other.zk().children("/").unwrap(), Vec::<String>::new());
    let absolute = format!("{}/host", one.path());
    assert_eq!(Ensemble::shared().zk().get(&absolute).unwrap().text(), "text");
    assert!(one.connect_string().ends_with(one.path()));
}

#[test]
fn client_reads_what_it_wrote() {
    let chroot = Ensemble::shared().chroot("client_reads_what_it_wrote");
    let mut zk = chroot.zk();
    zk.create_all("/farm/deep/host", "one").unwrap();
    assert!(matches!(zk.create("/farm", ""), Err(ZkError::NodeExists)));
    assert!(matches!(zk.get("/nobody"), Err(ZkError::NoNode)));
    assert!(matches!(zk.delete("/farm"), Err(ZkError::NotEmpty)));
    let stat = zk.set("/farm/deep/host", b"\0\xff").unwrap();
    assert_eq!((stat.version, stat.data_length), (1, 2));
    assert!(matches!(zk.set_if("/farm/deep/host", "x", 0), Err(ZkError::BadVersion)));
    let znode = zk.get("/farm/deep/host").unwrap();
    assert_eq!((znode.data.as_slice(), znode.stat), (&b"\0\xff"[..], stat));
    zk.create("/farm/b", "").unwrap();
    zk.create("/farm/a", "").unwrap();
    assert_eq!(zk.children("/farm").unwrap(), ["a", "b", "deep"]);
    zk.delete_recursive("/farm").unwrap();
    assert_eq!(zk.exists("/farm").unwrap(), None);
}

#[test]
fn a_watch_tells_one_change_also_between_two_answers() {
    let chroot = Ensemble::shared().chroot("a_watch_tells_one_change");
    let (mut watcher, mut writer) = (chroot.zk(), chroot.zk());
    let path = format!("{}/host", chroot.path());
    writer.create("/host", "one").unwrap();
    assert_eq!(watcher.watch("/host").unwrap().text(), "one");
    writer.set("/host", "two").unwrap();
    assert_eq!(watcher.next_change().unwrap(), path);
    assert_eq!(watcher.watch("/host").unwrap().text(), "two");
    writer.set("/host", "three").unwrap();
    // The event has arrived before this answer.
    assert_eq!(watcher.get("/host").unwrap().text(), "three");
    assert_eq!(watcher.next_change().unwrap(), path);
}

#[test]
fn many_requests_are_answered_in_their_order() {
    let chroot = Ensemble::shared().chroot("many_requests_are_answered");
    let mut zk = chroot.zk();
    let znodes: Vec<_> = (0..2345).map(|n| (format!("/{n}"), format!("data {n}"))).collect();
    zk.create_each(&znodes).unwrap();
    let paths: Vec<_> = znodes.iter().map(|(path, _)| path.clone()).collect();
    let read: Vec<_> = zk.get_all(&paths).unwrap().iter().map(Znode::text).collect();
    assert!(znodes.iter().map(|(_, data)| data).eq(&read));
    assert_eq!(zk.children("/").unwrap().len(), paths.len());
    assert!(matches!(zk.get_all(&["/nobody".to_owned()]), Err(ZkError::NoNode)));
    assert_eq!(zk.get_all(&[]).unwrap(), []);
}

#[test]
fn ephemerals_go_with_their_session() {
    let chroot = Ensemble::shared().chroot("ephemerals_go_with_their_session");
    let mut watcher = chroot.zk();
    let mut owner = chroot.zk();
    owner.create_as("/host", "", Create::Ephemeral).unwrap();
    assert_eq!(watcher.get("/host").unwrap().stat.ephemeral_owner, owner.session_id());
    owner.close().unwrap();
    assert_eq!(watcher.exists("/host").unwrap(), None);
}

#[test]
fn a_session_can_be_ended_from_outside() {
    let chroot = Ensemble::shared().chroot("a_session_can_be_ended_from_outside");
    let addr = Ensemble::shared().server(0).addr();
    let mut owner = chroot.zk();
    owner.create_as("/host", "", Create::Ephemeral).unwrap();
    assert!(kill_session(addr, owner.session_id(), &[1; 16]).is_err());
    assert!(chroot.zk().exists("/host").unwrap().is_some());
    kill_session(addr, owner.session_id(), owner.password()).unwrap();
    assert_eq!(chroot.zk().exists("/host").unwrap(), None);
    assert!(owner.get("/").is_err());
}

#[test]
fn acls_keep_strangers_out() {
    let chroot = Ensemble::shared().chroot("acls_keep_strangers_out");
    let mut owner = chroot.zk();
    owner.create("/mine", "secret").unwrap();
    owner.create("/fixed", "").unwrap();
    owner.add_auth("me:word").unwrap();
    owner.set_acl("/mine", Acl::Mine).unwrap();
    owner.set_acl("/fixed", Acl::ReadOnly).unwrap();
    let mut stranger = chroot.zk();
    assert!(matches!(stranger.get("/mine"), Err(ZkError::NoAuth)));
    assert!(matches!(stranger.set("/fixed", "x"), Err(ZkError::NoAuth)));
    assert_eq!(owner.get("/mine").unwrap().text(), "secret");
    stranger.add_auth("me:word").unwrap();
    assert_eq!(stranger.get("/mine").unwrap().text(), "secret");
}

#[test]
fn a_server_survives_a_kill_and_a_pause() {
    let ensemble = Ensemble::start(1);
    let server = ensemble.server(0);
    assert_eq!(mode(server.addr()).unwrap(), "standalone");
    assert!(server.four_letter("mntr").contains("zk_znode_count"));
    ensemble.zk().create("/kept", "data").unwrap();

    server.pause();
    let mut zk = None;
    let frozen = Instant::now();
    // A frozen server accepts connections and answers only after it is resumed.
    std::thread::scope(|scope| {
        let late = scope.spawn(|| Zk::connect(server.addr()));
        eventually("half a second of silence", || {
            assert!(!late.is_finished(), "a frozen server answered");
            if frozen.elapsed() > Duration::from_millis(500) { Ok(()) } else { Err("too early") }
        });
        server.resume();
        zk = Some(late.join().unwrap().unwrap());
    });
    drop(zk);

    server.kill();
    assert!(mode(server.addr()).is_err());
    server.restart();
    assert_eq!(ensemble.zk().get("/kept").unwrap().text(), "data");
}

#[test]
fn three_servers_elect_again_when_the_leader_dies() {
    let ensemble = Ensemble::start(3);
    let leader = ensemble.leader();
    assert!(!ensemble.follower().is_leader());
    assert_eq!(ensemble.connect_string().split(',').count(), 3);
    ensemble.zk().create("/kept", "data").unwrap();
    let old = leader.addr();
    leader.kill();
    let new = ensemble.leader();
    assert_ne!(new.addr(), old);
    assert_eq!(Zk::connect(new.addr()).unwrap().get("/kept").unwrap().text(), "data");
    leader.restart();
    assert_eq!(mode(old).unwrap(), "follower");
}

#[test]
fn options_reach_the_server() {
    let lines = vec!["maxSessionTimeout=1234".to_owned()];
    let ensemble = Ensemble::with(&Options { tick_ms: 300, lines, ..Options::default() });
    let conf = ensemble.server(0).four_letter("conf");
    assert!(conf.contains("tickTime=300"), "{conf}");
    assert!(conf.contains("maxSessionTimeout=1234"), "{conf}");
    assert!(conf.contains("maxClientCnxns=0"), "{conf}");
}

#[test]
fn servers_die_with_a_killed_test_process() {
    const VICTIM: &str = "FARM_HARNESS_VICTIM";
    if std::env::var_os(VICTIM).is_some() {
        let ensemble = Ensemble::start(1);
        let port = ensemble.server(0).addr().port();
        std::io::stderr().write_all(format!("port {port}.").as_bytes()).unwrap();
        eventually_within(SERVER_START_MAX, "the kill", || Err::<(), _>("still alive"));
    }
    let this = std::env::current_exe().unwrap();
    let mut victim =
        Tool::program(this).args(["--exact", "servers_die_with_a_killed_test_process"]);
    for (name, value) in std::env::vars_os() {
        victim = victim.env(name, value);
    }
    let mut victim = victim.env(VICTIM, "1").spawn();
    let port: u16 = eventually_within(SERVER_START_MAX, "a server in the other process", || {
        let log = victim.stderr();
        let port = log.strip_prefix("port ").and_then(|rest| rest.split_once('.'));
        port.and_then(|(port, _)| port.parse().ok()).ok_or(log)
    });
    let addr = ([127, 0, 0, 1], port).into();
    assert!(mode(addr).is_ok());
    victim.kill9();
    eventually("the server's end", || match mode(addr) {
        Ok(mode) => Err(mode),
        Err(_) => Ok::<(), String>(()),
    });
}
