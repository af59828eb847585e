//! Six members restart, two at a time, while hosts and servers fail.
//!
//! `FARM_ROLLS=20` runs twenty rolls with a health check that takes two seconds.

use super::fixture::{GroupFixture, Member};
use super::observer::{ChildEvent, most_down};
use super::print;
use farm_harness::{Ensemble, Options, Running, eventually, eventually_within};
use std::time::{Duration, Instant};

const MEMBERS: usize = 6;
const AT_ONCE: usize = 2;

/// The number of rolls, and how many seconds a health check takes.
fn scale() -> (usize, f64) {
    let rolls = std::env::var("FARM_ROLLS").ok().and_then(|text| text.parse().ok());
    rolls.map_or((3, 0.3), |rolls| (rolls, 2.0))
}

/// The state in which a holder is killed.
#[derive(Debug, Clone, Copy)]
enum HolderState {
    /// It holds the permit; its child still runs or is being stopped.
    Granted,
    /// Its new child runs but is not confirmed as healthy.
    Unconfirmed,
}

/// Waits until a member holds the permit and is in this state.
fn wait_holder(
    group: &mut GroupFixture<'_>,
    members: &[Running],
    version: &str,
    state: HolderState,
) -> usize {
    eventually(&format!("a holder that is {state:?}"), || {
        let queue = group.queue();
        let holders = queue.iter().take(AT_ONCE).filter_map(|one| one.pid);
        let mut whos = holders.filter_map(|pid| members.iter().position(|run| run.pid() == pid));
        let is_so = |who: &usize| match state {
            HolderState::Granted => true,
            HolderState::Unconfirmed => {
                let events = group.observer.events_of(*who);
                let up = events
                    .iter()
                    .rposition(|event| matches!(event, ChildEvent::Up(seen, _) if seen == version));
                up.is_some_and(|up| {
                    !events[up..].contains(&ChildEvent::Healthy(version.to_owned()))
                })
            }
        };
        whos.find(is_so).ok_or_else(|| format!("{queue:?}"))
    })
}

/// Waits until all members run on this content and the queue is empty.
fn wait_all_on(group: &mut GroupFixture<'_>, version: &str, limit: Duration) {
    for who in 0..MEMBERS {
        group.observer.wait_up_within(limit, who, version);
        assert!(group.file(who).starts_with(version));
    }
    eventually_within(limit, "the queue is empty", || {
        let queue = group.queue();
        if queue.is_empty() { Ok(()) } else { Err(format!("{queue:?}")) }
    });
}

fn members(group: &GroupFixture<'_>, check: f64) -> Vec<Member> {
    let member = |who| {
        group.zkexec(who).healthy_after(check).delay("60s").more(&[
            "--concurrency",
            "2",
            "--kill-timeout",
            "10s",
        ])
    };
    (0..MEMBERS).map(member).collect()
}

#[test]
fn two_of_six_are_down_at_most_though_holders_are_killed() {
    let (rolls, check) = scale();
    let mut group =
        GroupFixture::new("two_of_six_are_down_at_most_though_holders_are_killed", MEMBERS);
    let members = members(&group, check);
    let mut running: Vec<Running> =
        members.iter().map(|member| group.start(member, "v1")).collect();
    let mut longest = Duration::ZERO;
    for roll in 2..rolls + 2 {
        let version = format!("v{roll}");
        let start = Instant::now();
        group.publish(&version);
        if roll % 3 == 0 {
            let state = if roll % 2 == 0 { HolderState::Granted } else { HolderState::Unconfirmed };
            let who = wait_holder(&mut group, &running, &version, state);
            group.observer.record_kill(who);
            running[who].kill9();
            running[who] = members[who].tool().spawn();
        }
        wait_all_on(&mut group, &version, Duration::from_secs(60));
        longest = longest.max(start.elapsed());
        let took = start.elapsed().as_millis();
        print(&format!("roll {}: {took} ms", roll - 1));
    }
    let (down, out) = most_down(&group.observer.observations());
    print(&format!(
        "{rolls} rolls: {down} down, {out} out of service at most; longest {longest:?}"
    ));
    assert!(
        out <= AT_ONCE,
        "{out} were out of service at once: {:#?}",
        group.observer.observations()
    );
    // Otherwise the test has measured nothing.
    assert!(down > 0 && out == AT_ONCE, "{down} {out}");
}

#[test]
fn two_of_six_are_down_at_most_though_servers_fail() {
    let (rolls, check) = scale();
    let options = Options { servers: 3, ..Options::default() };
    let ensemble = Ensemble::with(&options);
    let mut group =
        GroupFixture::on(&ensemble, "two_of_six_are_down_at_most_though_servers_fail", MEMBERS);
    let servers = group.servers();
    let members = members(&group, check);
    let member = |member: &Member| {
        let more = member.clone().at(servers.clone()).timeout("10s");
        group.start(&more, "v1")
    };
    let mut running: Vec<Running> = members.iter().map(member).collect();
    for roll in 2..rolls + 2 {
        let version = format!("v{roll}");
        let start = Instant::now();
        group.zk = group.new_client();
        group.publish(&version);
        wait_holder(&mut group, &running, &version, HolderState::Unconfirmed);
        let server = match roll % 3 {
            0 => ensemble.leader(),
            1 => ensemble.follower(),
            _ => ensemble.server(0),
        };
        if roll % 2 == 0 {
            server.kill();
        } else {
            server.pause();
        }
        let others = ensemble.servers().iter().find(|other| other.addr() != server.addr());
        others.unwrap().wait_until_serving();
        group.zk = group.new_client();
        wait_all_on(&mut group, &version, Duration::from_secs(90));
        print(&format!("roll {}: {} ms", roll - 1, start.elapsed().as_millis()));
        if roll % 2 == 0 {
            server.restart();
        } else {
            server.resume();
        }
        server.wait_until_serving();
    }
    for run in &mut running {
        assert!(run.is_running());
    }
    let (down, out) = most_down(&group.observer.observations());
    print(&format!("{rolls} rolls: {down} down, {out} out of service at most"));
    assert!(
        out <= AT_ONCE,
        "{out} were out of service at once: {:#?}",
        group.observer.observations()
    );
    assert!(down > 0 && out == AT_ONCE, "{down} {out}");
}
