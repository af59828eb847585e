//! Injects faults, one after the other, and removes each one again.

use super::error::SoakError;
use super::plan::{Fault, NetworkFault, PlannedFault, Target};
use super::testbed::{SAFE_SHARE, Testbed};
use super::tools::{Daemon, Joiner};
use farm_harness::{FaultProxy, Server, Signal};
use std::io;
use std::time::{Duration, Instant};

/// The time that a server may take until it serves again.
const SERVE_WAIT: Duration = Duration::from_secs(60);
/// The share of a CPU that a tool may use in an outage.
const CPU_SHARE_MAX: f64 = 0.05;
/// The CPU time that it may use besides, for the edits just before the outage.
const CPU_FREE: Duration = Duration::from_millis(200);

impl Testbed {
    /// Injects the faults of a round.
    pub(super) fn inject(&mut self, faults: &[PlannedFault]) -> Result<(), SoakError> {
        self.is_editing = true;
        for planned in faults {
            self.run_for(planned.pause)?;
            self.report.note(&planned.to_string());
            self.inject_one(planned)?;
        }
        Ok(())
    }

    fn inject_one(&mut self, planned: &PlannedFault) -> Result<(), SoakError> {
        match planned.fault {
            Fault::KillServer(target) => {
                self.without_servers(&[self.server(target)], "kill", planned.duration)
            }
            Fault::FreezeServer(target) => {
                self.without_servers(&[self.server(target)], "freeze", planned.duration)
            }
            Fault::RestartServer(target) => {
                self.without_servers(&[self.server(target)], "kill", Duration::ZERO)
            }
            Fault::RollingRestart => (0..self.ensemble.servers().len())
                .try_for_each(|index| self.without_servers(&[index], "kill", Duration::ZERO)),
            Fault::LoseQuorum => {
                let leader = self.server(Target::Leader);
                let others: Vec<_> = (0..3).filter(|index| *index != leader).collect();
                self.outage(planned.duration, |testbed| {
                    testbed.without_servers(&others, "kill", planned.duration)
                })
            }
            Fault::LoseAllServers => self.outage(planned.duration, |testbed| {
                testbed.without_servers(&[0, 1, 2], "kill", planned.duration)
            }),
            Fault::OneProxy(which, fault) => {
                let index = which % self.proxies.len();
                self.disturb(&[index], fault, planned.duration)
            }
            Fault::AllProxies(fault) => {
                let is_outage = !matches!(
                    fault,
                    NetworkFault::Cut | NetworkFault::Reset | NetworkFault::Slow(_)
                );
                let all: Vec<_> = (0..self.proxies.len()).collect();
                if !is_outage {
                    return self.disturb(&all, fault, planned.duration);
                }
                // A third of the timeout may have passed since the last ping of a tool.
                if planned.duration > self.session_timeout.mul_f64(SAFE_SHARE - 0.15) {
                    self.expect_session_ends("no server can be reached");
                }
                self.outage(planned.duration, |testbed| {
                    testbed.disturb(&all, fault, planned.duration)
                })
            }
            Fault::Expire(which) => self.expire(which),
            Fault::KillJoiner(which) => self.stop_joiner(which, Signal::SIGKILL, planned.duration),
            Fault::StopJoiner(which) => self.stop_joiner(which, Signal::SIGTERM, planned.duration),
            Fault::FreezeJoiner(which) => {
                let index = which % self.joiners.len();
                // It pings every third of the timeout, and needs time to reconnect.
                if planned.duration > self.session_timeout.mul_f64(SAFE_SHARE - 0.15) {
                    self.joiners[index].session_may_have_ended = true;
                }
                self.freeze(|testbed| &mut testbed.joiners[index].daemon, planned.duration)
            }
            Fault::KillSharer(which) => {
                let index = which % self.shared.sharers.len();
                self.shared.sharers[index].expect_kill();
                self.shared.sharers[index].daemon.stop(Signal::SIGKILL);
                self.run_for(planned.duration)?;
                self.shared.sharers[index].daemon.restart();
                Ok(())
            }
            Fault::FreezeSharer(which) => {
                let index = which % self.shared.sharers.len();
                self.freeze(|testbed| &mut testbed.shared.sharers[index].daemon, planned.duration)
            }
            Fault::KillExporter(which) => {
                let index = which % self.exporters.len();
                self.exporters[index].daemon.stop(Signal::SIGKILL);
                self.run_for(planned.duration)?;
                self.exporters[index].daemon.restart();
                Ok(())
            }
            Fault::KillExec(which) => {
                let index = which % self.execs.members.len();
                self.execs.expect_kill(index);
                self.execs.members[index].daemon.stop(Signal::SIGKILL);
                self.run_for(planned.duration)?;
                self.execs.members[index].daemon.restart();
                Ok(())
            }
            Fault::HoldStderr(which) => {
                let index = which % self.daemons().count();
                self.daemons().skip(index).take(1).for_each(|daemon| daemon.running.hold_stderr());
                self.run_for(planned.duration)?;
                self.daemons().for_each(|daemon| daemon.running.release_stderr());
                Ok(())
            }
            Fault::LimitThreads(which) => {
                self.limit_threads(1);
                self.expire(which)?;
                self.run_for(planned.duration)?;
                self.limit_threads(1000);
                Ok(())
            }
            Fault::MoveDirectory(which) => {
                let movable = self.joiners.len() + self.exporters.len();
                self.with_movable(which % movable, Daemon::move_away)?;
                self.run_for(planned.duration)?;
                self.with_movable(which % movable, Daemon::move_back)
            }
            Fault::FreezeExporter(which) => {
                let index = which % self.exporters.len();
                self.freeze(|testbed| &mut testbed.exporters[index].daemon, planned.duration)
            }
        }
    }

    /// Sets the soft limit of threads. A health check that can't start fails, so the zkexec
    /// have none.
    fn limit_threads(&mut self, most: u32) {
        let count = self.daemons().count() - self.execs.members.len();
        self.daemons().take(count).for_each(|daemon| daemon.running.set_limit("nproc", most));
    }

    /// The tools whose directory can be moved. The children of zkexec need theirs.
    fn with_movable(
        &mut self,
        index: usize,
        act: impl FnOnce(&mut Daemon) -> io::Result<()>,
    ) -> Result<(), SoakError> {
        let joiners = self.joiners.iter_mut().map(|joiner| &mut joiner.daemon);
        let exporters = self.exporters.iter_mut().map(|exporter| &mut exporter.daemon);
        joiners.chain(exporters).nth(index).map_or(Ok(()), act).map_err(SoakError::System)
    }

    fn freeze(
        &mut self,
        daemon: impl Fn(&mut Self) -> &mut Daemon,
        duration: Duration,
    ) -> Result<(), SoakError> {
        daemon(self).running.signal(Signal::SIGSTOP);
        self.run_for(duration)?;
        daemon(self).running.signal(Signal::SIGCONT);
        Ok(())
    }

    fn server(&self, target: Target) -> usize {
        let leader = self.ensemble.leader().addr();
        let index = self.ensemble.servers().iter().position(|server| server.addr() == leader);
        match target {
            Target::Leader => index.unwrap_or_default(),
            Target::Follower => (index.unwrap_or_default() + 1) % self.ensemble.servers().len(),
        }
    }

    /// Kills or freezes servers for a while, and waits until they serve again.
    fn without_servers(
        &mut self,
        indexes: &[usize],
        how: &str,
        duration: Duration,
    ) -> Result<(), SoakError> {
        let is_frozen = how == "freeze";
        for index in indexes {
            let server = self.ensemble.server(*index);
            if is_frozen { server.pause() } else { server.kill() }
        }
        self.run_for(duration)?;
        for index in indexes {
            let server = self.ensemble.server(*index);
            if is_frozen { server.resume() } else { server.start_again() }
        }
        self.wait_for_servers()
    }

    /// Waits until every server serves.
    pub(super) fn wait_for_servers(&mut self) -> Result<(), SoakError> {
        let deadline = Instant::now() + SERVE_WAIT;
        let serves = |server: &Server| farm_harness::mode(server.addr()).is_ok();
        while !self.ensemble.servers().iter().all(serves) {
            if Instant::now() > deadline {
                return Err(
                    self.violated("the servers do not serve again".to_owned(), String::new())
                );
            }
            self.run_for(Duration::from_millis(100))?;
        }
        Ok(())
    }

    /// Disturbs the connections through some proxies for a while.
    fn disturb(
        &mut self,
        indexes: &[usize],
        fault: NetworkFault,
        duration: Duration,
    ) -> Result<(), SoakError> {
        for index in indexes {
            apply(&self.proxies[*index], fault);
        }
        self.run_for(duration)?;
        for index in indexes {
            self.proxies[*index].pass();
        }
        Ok(())
    }

    /// Injects a fault that leaves the tools nothing to do, so they must use almost no CPU time.
    fn outage(
        &mut self,
        duration: Duration,
        inject: impl FnOnce(&mut Self) -> Result<(), SoakError>,
    ) -> Result<(), SoakError> {
        self.is_editing = false;
        let start = Instant::now();
        let cpu_times = |testbed: &mut Self| -> Vec<Duration> {
            let cpu_time = |daemon: &mut Daemon| {
                daemon.usage.read_cpu_time(&daemon.running);
                daemon.usage.cpu()
            };
            testbed.daemons().map(cpu_time).collect()
        };
        let before = cpu_times(self);
        inject(self)?;
        let allowed = CPU_FREE + start.elapsed().max(duration).mul_f64(CPU_SHARE_MAX);
        let costs: Vec<_> =
            cpu_times(self).into_iter().zip(before).map(|(after, before)| after - before).collect();
        self.is_editing = true;
        let took = start.elapsed();
        let spent = self.daemons().zip(costs).find(|(_, cost)| *cost > allowed);
        let spent = spent.map(|(daemon, cost)| {
            let what =
                format!("{}: used {cost:?} of CPU time in an outage of {took:?}", daemon.name);
            (what, daemon.running.stderr())
        });
        spent.map_or(Ok(()), |(what, log)| Err(self.violated(what, log)))
    }

    /// Closes the latest session that went through a proxy.
    fn expire(&mut self, which: usize) -> Result<(), SoakError> {
        let index = which % self.proxies.len();
        let Some((session, _)) = self.proxies[index].last_session() else { return Ok(()) };
        let owns = |joiner: &&mut Joiner| {
            joiner.identity.is_some_and(|identity| identity.owner == session)
        };
        let joiner = self.joiners.iter_mut().find(owns);
        let name = joiner.map(|joiner| {
            joiner.session_may_have_ended = true;
            joiner.daemon.name.clone()
        });
        let name = name.or_else(|| self.execs.expect_session_end(session));
        self.report.note(&format!(
            "  closes session 0x{session:x} of {}",
            name.as_deref().unwrap_or("another client")
        ));
        self.proxies[index].expire().map_err(SoakError::System)
    }

    fn stop_joiner(
        &mut self,
        which: usize,
        signal: Signal,
        duration: Duration,
    ) -> Result<(), SoakError> {
        let index = which % self.joiners.len();
        self.joiners[index].session_may_have_ended = true;
        self.joiners[index].daemon.stop(signal);
        self.run_for(duration)?;
        self.joiners[index].daemon.restart();
        Ok(())
    }
}

fn apply(proxy: &FaultProxy, fault: NetworkFault) {
    match fault {
        NetworkFault::Cut => proxy.cut(),
        NetworkFault::Reset => proxy.reset(),
        NetworkFault::Refuse => {
            proxy.refuse();
            proxy.cut();
        }
        NetworkFault::Swallow => proxy.stall(),
        NetworkFault::SwallowRequests => proxy.stall_towards_server(),
        NetworkFault::SwallowAnswers => proxy.stall_towards_client(),
        NetworkFault::HalfFrame => proxy.half_frame_then_stall(),
        NetworkFault::Slow(delay) => proxy.slow(delay),
    }
}
