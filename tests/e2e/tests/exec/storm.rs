//! After random changes and faults, the last child runs on the last content.

use super::fixture::ExecFixture;
use super::processes::children;
use farm_harness::{Ensemble, FaultProxy, ZkError, eventually, holds_for};
use std::time::Duration;

const NAMES: [&str; 3] = ["a", "b", "c"];

/// Writes or deletes a random znode.
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
    // The child sometimes ends slowly, and it leaves a background process behind.
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
            // Fails while no session is open.
            2 => drop(proxy.expire()),
            3 => proxy.stall(),
            4..=6 => proxy.pass(),
            _ => {}
        }
        let pause = Duration::from_millis(random.u64(..12));
        holds_for(pause, "a pause", || Ok::<_, String>(()));
    }
    proxy.pass();
    // All znodes exist in the end: the file of a deleted znode keeps some earlier content.
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
    // zkexec has two children: the last child and the process that it left behind. The `sleep`
    // of its loop is its own child. An earlier child may have read the last content, too.
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
