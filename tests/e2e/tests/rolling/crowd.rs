//! Six members, two at a time, while hosts and servers fail.
//!
//! `FARM_ROLLS=20` makes it twenty rolls with a health check that takes two seconds.

use super::eye::{Mark, Sight};
use super::site::{Member, Site};
use super::tell;
use farm_harness::{Ensemble, Options, Running, eventually, eventually_within};
use std::time::{Duration, Instant};

const MEMBERS: usize = 6;
const AT_ONCE: usize = 2;

/// How many rolls there are, and how long a health check takes.
fn scale() -> (usize, f64) {
    let rolls = std::env::var("FARM_ROLLS").ok().and_then(|text| text.parse().ok());
    rolls.map_or((3, 0.3), |rolls| (rolls, 2.0))
}

/// The most that had no child at one moment, and the most that were out of service: from
/// the end of a child until its successor was found healthy. Who was killed with its
/// zkexec does not count until it is up again.
fn most_down(sights: &[Sight]) -> (usize, usize) {
    let (mut is_down, mut is_out) = ([false; MEMBERS], [false; MEMBERS]);
    let mut is_killed = [true; MEMBERS];
    let (mut most_down, mut most_out) = (0, 0);
    for Sight { who, mark, .. } in sights {
        let who = *who;
        match mark {
            Mark::Killed => (is_killed[who], is_down[who], is_out[who]) = (true, false, false),
            Mark::Down if !is_killed[who] => (is_down[who], is_out[who]) = (true, true),
            Mark::Up(..) if is_killed[who] => is_killed[who] = false,
            Mark::Up(..) => is_down[who] = false,
            Mark::Healthy(_) => is_out[who] = false,
            Mark::Down | Mark::Stopping | Mark::Told(_) | Mark::Checking => {}
        }
        let count = |states: &[bool]| states.iter().filter(|state| **state).count();
        most_down = most_down.max(count(&is_down));
        most_out = most_out.max(count(&is_out));
    }
    (most_down, most_out)
}

/// When a holder is killed.
#[derive(Debug, Clone, Copy)]
enum RecentVersions {
    /// It has the permit, and its child runs yet, or is being stopped.
    Granted,
    /// Its child is up again and not confirmed.
    Unconfirmed,
}

/// Waits until a member holds the permit, and is that far.
fn holder(
    site: &mut Site<'_>,
    members: &[Running],
    version: &str,
    moment: RecentVersions,
) -> usize {
    eventually(&format!("a holder that is {moment:?}"), || {
        let line = site.line();
        let holders = line.iter().take(AT_ONCE).filter_map(|one| one.pid);
        let mut whos = holders.filter_map(|pid| members.iter().position(|run| run.pid() == pid));
        let is_so = |who: &usize| match moment {
            RecentVersions::Granted => true,
            RecentVersions::Unconfirmed => {
                let marks = site.eye.marks_of(*who);
                let up = marks
                    .iter()
                    .rposition(|mark| matches!(mark, Mark::Up(seen, _) if seen == version));
                up.is_some_and(|up| !marks[up..].contains(&Mark::Healthy(version.to_owned())))
            }
        };
        whos.find(is_so).ok_or_else(|| format!("{line:?}"))
    })
}

/// Waits until all run on it, and nobody wants a turn any more.
fn all_on(site: &mut Site<'_>, version: &str, limit: Duration) {
    for who in 0..MEMBERS {
        site.eye.sees_up_within(limit, who, version);
        assert!(site.file(who).starts_with(version));
    }
    eventually_within(limit, "nobody is in line", || {
        let line = site.line();
        if line.is_empty() { Ok(()) } else { Err(format!("{line:?}")) }
    });
}

fn crowd(site: &Site<'_>, check: f64) -> Vec<Member> {
    let member = |who| {
        site.zkexec(who).healthy_after(check).delay("60s").more(&[
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
    let mut site = Site::new("two_of_six_are_down_at_most_though_holders_are_killed", MEMBERS);
    let members = crowd(&site, check);
    let mut running: Vec<Running> = members.iter().map(|member| site.start(member, "v1")).collect();
    let mut longest = Duration::ZERO;
    for roll in 2..rolls + 2 {
        let version = format!("v{roll}");
        let start = Instant::now();
        site.publish(&version);
        if roll % 3 == 0 {
            let moment =
                if roll % 2 == 0 { RecentVersions::Granted } else { RecentVersions::Unconfirmed };
            let who = holder(&mut site, &running, &version, moment);
            site.eye.kills(who);
            running[who].kill9();
            running[who] = members[who].tool().spawn();
        }
        all_on(&mut site, &version, Duration::from_secs(60));
        longest = longest.max(start.elapsed());
        let took = start.elapsed().as_millis();
        tell(&format!("roll {}: {took} ms", roll - 1));
    }
    let (down, out) = most_down(&site.eye.sights());
    tell(&format!("{rolls} rolls: {down} down, {out} out of service at most; longest {longest:?}"));
    assert!(out <= AT_ONCE, "{out} were out of service at once: {:#?}", site.eye.sights());
    // Otherwise nothing was measured.
    assert!(down > 0 && out == AT_ONCE, "{down} {out}");
}

#[test]
fn two_of_six_are_down_at_most_though_servers_fail() {
    let (rolls, check) = scale();
    let options = Options { servers: 3, ..Options::default() };
    let ensemble = Ensemble::with(&options);
    let mut site = Site::on(&ensemble, "two_of_six_are_down_at_most_though_servers_fail", MEMBERS);
    let servers = site.servers();
    let members = crowd(&site, check);
    let member = |member: &Member| {
        let more = member.clone().at(servers.clone()).timeout("10s");
        site.start(&more, "v1")
    };
    let mut running: Vec<Running> = members.iter().map(member).collect();
    for roll in 2..rolls + 2 {
        let version = format!("v{roll}");
        let start = Instant::now();
        site.zk = site.observer();
        site.publish(&version);
        holder(&mut site, &running, &version, RecentVersions::Unconfirmed);
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
        site.zk = site.observer();
        all_on(&mut site, &version, Duration::from_secs(90));
        tell(&format!("roll {}: {} ms", roll - 1, start.elapsed().as_millis()));
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
    let (down, out) = most_down(&site.eye.sights());
    tell(&format!("{rolls} rolls: {down} down, {out} out of service at most"));
    assert!(out <= AT_ONCE, "{out} were out of service at once: {:#?}", site.eye.sights());
    assert!(down > 0 && out == AT_ONCE, "{down} {out}");
}
