//! Faults, one after the other, each taken back again.

use super::error::SoakError;
use super::plan::{Fault, Step, Target, Wire};
use super::stage::{SHARE_MAX, Stage};
use super::tools::{Daemon, Joiner};
use farm_harness::{FaultProxy, Server, Signal};
use std::time::{Duration, Instant};

/// What a server may take to serve again.
const SERVE_WAIT: Duration = Duration::from_secs(60);
/// What an outage may cost a tool: 5 % of a processor, and what the edits before took.
const CPU_SHARE_MAX: f64 = 0.05;
const CPU_FREE: Duration = Duration::from_millis(200);

impl Stage {
    /// Lets the faults fall.
    pub(super) fn storm(&mut self, steps: &[Step]) -> Result<(), SoakError> {
        self.is_editing = true;
        for step in steps {
            self.pass(step.rest)?;
            self.report.note(&step.to_string());
            self.befall(step)?;
        }
        Ok(())
    }

    fn befall(&mut self, step: &Step) -> Result<(), SoakError> {
        match step.fault {
            Fault::KillServer(target) => self.without(&[self.server(target)], "kill", step.hold),
            Fault::FreezeServer(target) => {
                self.without(&[self.server(target)], "freeze", step.hold)
            }
            Fault::RestartServer(target) => {
                self.without(&[self.server(target)], "kill", Duration::ZERO)
            }
            Fault::RollingRestart => (0..self.ensemble.servers().len())
                .try_for_each(|index| self.without(&[index], "kill", Duration::ZERO)),
            Fault::LoseQuorum => {
                let leader = self.server(Target::Leader);
                let others: Vec<_> = (0..3).filter(|index| *index != leader).collect();
                self.outage(step.hold, |stage| stage.without(&others, "kill", step.hold))
            }
            Fault::LoseAllServers => {
                self.outage(step.hold, |stage| stage.without(&[0, 1, 2], "kill", step.hold))
            }
            Fault::OneWire(which, wire) => {
                let index = which % self.wires.len();
                self.disturb(&[index], wire, step.hold)
            }
            Fault::AllWires(wire) => {
                let is_outage = !matches!(wire, Wire::Cut | Wire::Reset | Wire::Slow(_));
                let all: Vec<_> = (0..self.wires.len()).collect();
                if !is_outage {
                    return self.disturb(&all, wire, step.hold);
                }
                // Up to a third of the timeout has passed since a tool spoke last.
                if step.hold > self.session_timeout.mul_f64(SHARE_MAX - 0.15) {
                    self.excuse_all("no server can be reached");
                }
                self.outage(step.hold, |stage| stage.disturb(&all, wire, step.hold))
            }
            Fault::Expire(which) => self.expire(which),
            Fault::KillJoiner(which) => self.end_joiner(which, Signal::SIGKILL, step.hold),
            Fault::StopJoiner(which) => self.end_joiner(which, Signal::SIGTERM, step.hold),
            Fault::FreezeJoiner(which) => {
                let index = which % self.joiners.len();
                // It speaks every third of the timeout at least, and has to come back.
                if step.hold > self.session_timeout.mul_f64(SHARE_MAX - 0.15) {
                    self.joiners[index].is_excused = true;
                }
                self.freeze(|stage| &mut stage.joiners[index].daemon, step.hold)
            }
            Fault::KillSharer(which) => {
                let index = which % self.common.sharers.len();
                self.common.sharers[index].excuse();
                self.common.sharers[index].daemon.end(Signal::SIGKILL);
                self.pass(step.hold)?;
                self.common.sharers[index].daemon.start_again();
                Ok(())
            }
            Fault::FreezeSharer(which) => {
                let index = which % self.common.sharers.len();
                self.freeze(|stage| &mut stage.common.sharers[index].daemon, step.hold)
            }
            Fault::KillExporter(which) => {
                let index = which % self.exporters.len();
                self.exporters[index].daemon.end(Signal::SIGKILL);
                self.pass(step.hold)?;
                self.exporters[index].daemon.start_again();
                Ok(())
            }
            Fault::KillRoller(which) => {
                let index = which % self.rollers.rollers.len();
                self.rollers.excuse(index);
                self.rollers.rollers[index].daemon.end(Signal::SIGKILL);
                self.pass(step.hold)?;
                self.rollers.rollers[index].daemon.start_again();
                Ok(())
            }
            Fault::FreezeExporter(which) => {
                let index = which % self.exporters.len();
                self.freeze(|stage| &mut stage.exporters[index].daemon, step.hold)
            }
        }
    }

    fn freeze(
        &mut self,
        daemon: impl Fn(&mut Self) -> &mut Daemon,
        hold: Duration,
    ) -> Result<(), SoakError> {
        daemon(self).running.signal(Signal::SIGSTOP);
        self.pass(hold)?;
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

    /// Takes servers away for a while, and waits until they serve again.
    fn without(&mut self, indexes: &[usize], how: &str, hold: Duration) -> Result<(), SoakError> {
        let is_frozen = how == "freeze";
        for index in indexes {
            let server = self.ensemble.server(*index);
            if is_frozen { server.pause() } else { server.kill() }
        }
        self.pass(hold)?;
        for index in indexes {
            let server = self.ensemble.server(*index);
            if is_frozen { server.resume() } else { server.start_again() }
        }
        self.wait_serving()
    }

    /// Waits until every server serves.
    pub(super) fn wait_serving(&mut self) -> Result<(), SoakError> {
        let deadline = Instant::now() + SERVE_WAIT;
        let serves = |server: &Server| farm_harness::mode(server.addr()).is_ok();
        while !self.ensemble.servers().iter().all(serves) {
            if Instant::now() > deadline {
                return Err(self.broken("the servers do not serve again".to_owned(), String::new()));
            }
            self.pass(Duration::from_millis(100))?;
        }
        Ok(())
    }

    /// Spoils wires for a while.
    fn disturb(&mut self, indexes: &[usize], wire: Wire, hold: Duration) -> Result<(), SoakError> {
        for index in indexes {
            spoil(&self.wires[*index], wire);
        }
        self.pass(hold)?;
        for index in indexes {
            self.wires[*index].pass();
        }
        Ok(())
    }

    /// A fault that leaves the tools nothing to do: they may not do much.
    fn outage(
        &mut self,
        hold: Duration,
        befall: impl FnOnce(&mut Self) -> Result<(), SoakError>,
    ) -> Result<(), SoakError> {
        self.is_editing = false;
        let start = Instant::now();
        let clock = |stage: &mut Self| -> Vec<Duration> {
            let clock = |daemon: &mut Daemon| {
                daemon.usage.clock(&daemon.running);
                daemon.usage.cpu()
            };
            stage.daemons().map(clock).collect()
        };
        let before = clock(self);
        befall(self)?;
        let allowed = CPU_FREE + start.elapsed().max(hold).mul_f64(CPU_SHARE_MAX);
        let costs: Vec<_> =
            clock(self).into_iter().zip(before).map(|(after, before)| after - before).collect();
        self.is_editing = true;
        let took = start.elapsed();
        let spent = self.daemons().zip(costs).find(|(_, cost)| *cost > allowed);
        let spent = spent.map(|(daemon, cost)| {
            let what = format!("{}: an outage of {took:?} cost {cost:?}", daemon.name);
            (what, daemon.running.stderr())
        });
        spent.map_or(Ok(()), |(what, log)| Err(self.broken(what, log)))
    }

    /// Ends the session that a wire has seen last.
    fn expire(&mut self, which: usize) -> Result<(), SoakError> {
        let index = which % self.wires.len();
        let Some((session, _)) = self.wires[index].last_session() else { return Ok(()) };
        let owns = |joiner: &&mut Joiner| {
            joiner.identity.is_some_and(|identity| identity.owner == session)
        };
        let joiner = self.joiners.iter_mut().find(owns);
        let name = joiner.map(|joiner| {
            joiner.is_excused = true;
            joiner.daemon.name.clone()
        });
        let name = name.or_else(|| self.rollers.lose(session));
        self.report
            .note(&format!("  session 0x{session:x} of {}", name.as_deref().unwrap_or("another")));
        self.wires[index].expire().map_err(SoakError::System)
    }

    fn end_joiner(
        &mut self,
        which: usize,
        signal: Signal,
        hold: Duration,
    ) -> Result<(), SoakError> {
        let index = which % self.joiners.len();
        self.joiners[index].is_excused = true;
        self.joiners[index].daemon.end(signal);
        self.pass(hold)?;
        self.joiners[index].daemon.start_again();
        Ok(())
    }
}

fn spoil(proxy: &FaultProxy, wire: Wire) {
    match wire {
        Wire::Cut => proxy.cut(),
        Wire::Reset => proxy.reset(),
        Wire::Refuse => {
            proxy.refuse();
            proxy.cut();
        }
        Wire::Swallow => proxy.stall(),
        Wire::SwallowRequests => proxy.stall_towards_server(),
        Wire::SwallowAnswers => proxy.stall_towards_client(),
        Wire::HalfFrame => proxy.half_frame_then_stall(),
        Wire::Slow(delay) => proxy.slow(delay),
    }
}
