//! Whatever happens, the last child runs on what ZooKeeper has.

use super::fixture::ExecFixture;
use super::processes::children;
use farm_harness::{Ensemble, FaultProxy, ZkError, eventually, steadily};
use std::time::Duration;

const NAMES: [&str; 3] = ["a", "b", "c"];

/// What is there now; of one that is gone, what its file is to keep is not known.
fn write(fixture: &mut ExecFixture, random: &mut fastrand::Rng, round: u32) {
    let path = format!("/{}", NAMES[random.usize(..NAMES.len())]);
    let outcome = match random.u8(..8) {
        0 => fixture.zk.delete(&path),
        _ => fixture.zk.set(&path, round.to_string()).map(drop),
    };
    match outcome {
        Err(ZkError::NoNode) => fixture.zk.create(&path, round.to_string()).unwrap(),
        other => other.unwrap(),
    }
}

fn storm(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut fixture = ExecFixture::new("storm");
    for name in NAMES {
        fixture.zk.create(&format!("/{name}"), "0").unwrap();
    }
    let proxy = FaultProxy::start(Ensemble::shared().server(0).addr());
    // It takes its time to go, now and then, and leaves somebody behind.
    let child = "trap 'sleep 0.0$(($$ % 7)); exit 0' TERM; (setsid sleep 1000 &); \
                 echo \"$$ $(cat a) $(cat b) $(cat c)\" >> starts; while :; do sleep 0.02; done";
    let servers = fixture.servers_at(proxy.addr());
    let args = ["-c", &servers, "-w", "10ms:50ms", "-m", "a=/a", "-m", "b=/b", "-m", "c=/c"];
    let running = fixture.zkexec(&args).args(["-e", child]).spawn();
    fixture.wait_starts(1);
    for round in 1..=150 {
        write(&mut fixture, &mut random, round);
        match random.u8(..30) {
            0 => proxy.cut(),
            1 => proxy.reset(),
            // Too early for a session that is about to begin.
            2 => drop(proxy.expire()),
            3 => proxy.stall(),
            4..=6 => proxy.pass(),
            _ => {}
        }
        let pause = Duration::from_millis(random.u64(..12));
        steadily(pause, "a pause", || Ok::<_, String>(()));
    }
    proxy.pass();
    // All are there in the end, so that it is known what is wanted.
    let wanted: Vec<String> = NAMES
        .iter()
        .map(|name| {
            let path = format!("/{name}");
            match fixture.zk.exists(&path).unwrap() {
                Some(_) => drop(fixture.zk.set(&path, *name).unwrap()),
                None => fixture.zk.create(&path, *name).unwrap(),
            }
            (*name).to_owned()
        })
        .collect();
    let wanted = wanted.join(" ");
    let what = format!("the last child on the last content, with seed {seed}");
    // It and whom it left behind, and nobody of the earlier ones; the pause of its loop is
    // its own child. (An earlier one may have read the last content just before its end.)
    eventually(&what, || {
        let (last, family) = (fixture.starts().pop(), children(running.pid().cast_signed()));
        let is_well = matches!(&last, Some((pid, found)) if *found == wanted
            && family.len() == 2
            && family.iter().all(|process| process.state != 'Z')
            && family.iter().any(|process| process.pid == *pid));
        if is_well { Ok(()) } else { Err(format!("{last:?} {family:?}\n{}", running.stderr())) }
    });
    let log = stop_any(running);
    assert!(!log.contains("can't") && !log.contains("failure"), "seed {seed}\n{log}");
}

fn stop_any(mut running: farm_harness::Running) -> String {
    running.signal(farm_harness::Signal::SIGTERM);
    let output = running.wait_exit();
    output.code(0);
    output.stderr
}

#[test]
fn the_last_child_runs_on_the_last_content() {
    let seed = fastrand::u64(..);
    storm(seed);
}
