//! What a member does: what the runner, `farm::permit` and `farm::rollout::state` do in a real one.

use super::super::event::Tried;
use super::super::*;
use super::member::{Child, ChildState, Link, Process, Turn};
use super::scenario::Content;
use super::world::{MEMBERS, World};
use super::zookeeper::{Change, Outcome, TurnId};
use std::collections::VecDeque;
use std::sync::LazyLock;

/// The time stands still, but for deadlines.
static NOW: LazyLock<Instant> = LazyLock::new(Instant::now);
const DUE: Duration = Duration::from_secs(3600);

type Events = VecDeque<Event<Content>>;

impl World<'_> {
    /// Passes an event to a rollout, and performs what follows, as the runner does.
    pub(super) fn feed(&mut self, index: usize, event: Event<Content>) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let now = if event == Event::Tick { *NOW + DUE } else { *NOW };
            for action in self.process(index).rollout.step(now, event) {
                self.act(index, action, &mut events);
            }
        }
        let process = self.process(index);
        process.child.is_fine =
            process.child.state == ChildState::Up && process.rollout.is_confirmed();
        if process.has_ended {
            if process.is_connected() {
                self.zookeeper.leave(index);
            } else {
                self.zookeeper.leave_behind(index);
            }
            self.member(index).process = None;
        }
    }

    fn act(&mut self, index: usize, action: Action<Content>, events: &mut Events) {
        match action {
            Action::Ask => self.ask(index),
            Action::GiveBack => self.give_back(index),
            Action::NeedHead(needs_head) => {
                let permit = &mut self.process(index).permit;
                permit.needs_head = needs_head;
                permit.is_held &= !needs_head;
            }
            Action::Stage(content) => {
                let is_fit = self.scenario.is_fit(content);
                self.process(index).staged = Some(content).filter(|_| is_fit);
                events.push_back(if is_fit { Event::Staged } else { Event::Refused });
            }
            Action::Unstage => self.process(index).staged = None,
            Action::Try(version) => {
                let turn = self.new_turn(index, Content::of(version));
                self.process(index).group.begin(turn);
            }
            Action::Untouched => {
                let process = self.process(index);
                process.group.untouched(process.is_connected());
            }
            Action::Confirm(version) => {
                let turn = self.turn_on(index, Content::of(version));
                self.process(index).group.push(turn, Change::Confirm);
            }
            Action::Refuse(version) => {
                let turn = self.turn_on(index, Content::of(version));
                self.process(index).group.refuse(turn);
            }
            Action::RefuseUntried(version) => {
                let turn = self.new_turn(index, Content::of(version));
                self.process(index).group.refuse(turn);
            }
            Action::PutBack => {
                let member = self.member(index);
                member.files = member.backup.take().unwrap_or(member.files);
                events.push_back(Event::PutBack);
            }
            Action::MarkGood => {
                let is_saved = self.scenario.is_saved;
                let member = self.member(index);
                member.backup = None;
                let good = member.process.as_ref().and_then(|it| it.rollout.good().copied());
                if is_saved && good != Some(Content::Unknown) {
                    member.saved = good;
                }
            }
            Action::StopChild => self.stop_child(index),
            Action::StartChild => {
                self.start_child(index);
                events.push_back(Event::Started);
            }
            Action::CheckHealth => self.process(index).child.is_checked = true,
            Action::PauseHealth => self.process(index).child.is_checked = false,
            Action::End => self.process(index).has_ended = true,
            // These are separate moves.
            Action::Reread | Action::Install | Action::Alert(_) => {}
            Action::Drain | Action::Restore | Action::Apply => self.complain("is not in the model"),
        }
    }

    fn complain(&mut self, violation: &'static str) {
        self.violation.get_or_insert(violation);
    }

    fn ask(&mut self, index: usize) {
        if self.process(index).permit.is_wanted {
            self.complain("a member asks for the permit twice");
        }
        let process = self.process(index);
        process.permit.is_wanted = true;
        self.queue_up(index);
    }

    /// Creates the contender, if that is wanted and possible.
    fn queue_up(&mut self, index: usize) {
        let process = self.process(index);
        let permit = &mut process.permit;
        if permit.is_wanted && !permit.has_contender && process.link == Link::Connected {
            permit.has_contender = true;
            self.zookeeper.join(index);
        }
    }

    fn give_back(&mut self, index: usize) {
        let process = self.process(index);
        if process.rollout.phase() == Phase::Skipped {
            // It stays as it is, whatever its child does.
            process.child.is_down_in_turn = false;
        }
        process.permit.is_wanted = false;
        process.permit.is_held = false;
        process.permit.is_leaving = process.permit.has_contender;
        if process.is_connected() {
            self.leave_queue(index);
        }
    }

    fn leave_queue(&mut self, index: usize) {
        let permit = &mut self.process(index).permit;
        if std::mem::take(&mut permit.is_leaving) {
            permit.has_contender = false;
            self.zookeeper.leave(index);
        }
    }

    pub(super) fn permit_lost(&mut self, index: usize) {
        let permit = &mut self.process(index).permit;
        (permit.has_contender, permit.is_leaving, permit.is_held) = (false, false, false);
        if std::mem::take(&mut permit.is_wanted) {
            self.feed(index, Event::PermitLost);
        }
    }

    pub(super) fn connect(&mut self, index: usize) {
        self.process(index).link = Link::Connected;
        self.leave_queue(index);
        self.queue_up(index);
    }

    pub(super) fn hear_content(&mut self, index: usize, event: impl Fn(Content) -> Event<Content>) {
        let (wanted, published) = (self.wanted(), self.published);
        let holds = self.members[index].files == wanted;
        let process = self.process(index);
        process.seen = published;
        process.group.follow(wanted);
        let is_unknown = process.rollout.running() == Some(&Content::Unknown);
        if is_unknown && holds {
            self.feed(index, Event::Recognised(wanted));
        }
        self.feed(index, event(wanted));
    }

    pub(super) fn hear_known(&mut self, index: usize) {
        let followed = self.process(index).group.followed;
        let known = self.zookeeper.known(followed);
        self.process(index).group.known = Some(known.clone());
        self.feed(index, Event::Known(followed.version(), known));
    }

    pub(super) fn hear_orders(&mut self, index: usize, orders: Orders) {
        let group = &mut self.process(index).group;
        if group.orders != orders {
            group.orders = orders.clone();
            self.feed(index, Event::Orders(orders));
        }
    }

    /// Puts the staged files in place if the permit is certainly held.
    pub(super) fn install(&mut self, index: usize) {
        let has_place = self.zookeeper.place(index).is_some();
        let process = self.process(index);
        if !process.is_connected() || !process.permit.is_held {
            return self.feed(index, Event::PermitUnconfirmed);
        }
        if !has_place {
            return self.permit_lost(index);
        }
        if let Some(staged) = process.staged.take() {
            let allowed_in = process.group.turn_on(staged).and_then(|turn| turn.round);
            // Content that this member has worked on before is not new to it.
            let was_good = process.rollout.good() == Some(&staged);
            let is_late = allowed_in != Some(self.zookeeper.round(staged));
            if self.zookeeper.is_refused(staged) && is_late && !was_good {
                self.complain("refused content is put in place");
            }
            let member = self.member(index);
            member.backup.get_or_insert(member.files);
            member.files = staged;
        }
        self.feed(index, Event::Installed);
    }

    fn stop_child(&mut self, index: usize) {
        let has_place = self.zookeeper.place(index).is_some();
        let process = self.process(index);
        let holds = has_place && process.permit.is_held;
        let is_leaving = process.rollout.phase() == Phase::Leaving;
        let child = &mut process.child;
        child.was_fine = child.is_fine;
        child.state = ChildState::Stopping;
        child.is_down_in_turn = holds && !is_leaving;
        if child.was_fine && !holds && !is_leaving {
            self.complain("a child that works is stopped without the permit");
        }
    }

    fn start_child(&mut self, index: usize) {
        let files = self.members[index].files;
        let process = self.process(index);
        let restart = process.rollout.restarted();
        let earlier = std::mem::replace(&mut process.child, Child::on(files, restart));
        if earlier.state != ChildState::Down {
            self.complain("two children at once");
        }
        let is_asked_for = self.zookeeper.retry > 0 || self.zookeeper.round(files) > 0;
        if earlier.was_fine
            && !is_asked_for
            && (earlier.content, earlier.restart) == (files, restart)
        {
            self.complain("a child is restarted for nothing");
        }
        // A first start is no turn, and neither is a restart on what has been there since then.
        let has_turn = self.process(index).group.turn_on(files).is_some();
        if has_turn || earlier.content != files {
            self.note_turn(index, files);
        }
    }

    /// Notes who runs on the new content although it is not known to work.
    fn note_turn(&mut self, index: usize, files: Content) {
        let is_proven = self.zookeeper.verdict(files) == Some(Verdict::Confirmed);
        if self.scenario.works(files) || is_proven {
            return;
        }
        let turn = self.process(index).group.turn_on(files);
        let round = turn.and_then(|turn| turn.round).unwrap_or(self.zookeeper.round(files));
        if round > self.round {
            (self.round, self.ran) = (round, [false; MEMBERS]);
        }
        self.ran[index] |= round == self.round;
    }

    /// A turn with the first number that no other turn of this member has.
    fn new_turn(&self, index: usize, content: Content) -> Turn {
        let named = |turn: &TurnId, number| *turn == TurnId { member: index, number };
        let group = &self.members[index].process.as_ref().expect("it runs").group;
        let is_free = |number: &u8| {
            let mut records = self.zookeeper.records.iter().flatten();
            let is_queued = group.changes.iter().any(|it| it.number == *number);
            let is_kept = group.turns.iter().any(|turn| turn.number == *number);
            let is_named = records.any(|record| {
                record
                    .trials
                    .iter()
                    .chain([&record.refused_in])
                    .flatten()
                    .any(|it| named(it, *number))
            });
            !is_queued && !is_kept && !is_named
        };
        let number = (0..u8::MAX).find(is_free).expect("few turns");
        Turn { content, number, round: None }
    }

    fn turn_on(&mut self, index: usize, content: Content) -> Turn {
        let counted = self.process(index).group.turn_on(content);
        counted.unwrap_or_else(|| self.new_turn(index, content))
    }

    /// Makes the first change in the queue. Some have an answer that nothing waits for.
    pub(super) fn change(&mut self, index: usize) {
        let first = self.process(index).group.changes[0];
        let turn = TurnId { member: index, number: first.number };
        let outcome = self.zookeeper.change(turn, first.content, first.change);
        let orders = self.zookeeper.orders(index);
        let is_prompt = self.scenario.is_prompt;
        let process = self.process(index);
        process.is_slow &= is_prompt;
        let group = &mut process.group;
        match first.change {
            Change::Try | Change::Confirm => {
                group.outcome = Some(outcome);
                group.held = (outcome == Outcome::Held).then_some(orders);
            }
            Change::Untouched | Change::Refuse { .. } => drop(group.changes.remove(0)),
        }
    }

    pub(super) fn answer(&mut self, index: usize) {
        let group = &mut self.process(index).group;
        let outcome = group.outcome.take();
        let held = group.held.take();
        let first = group.changes.remove(0);
        match (first.change, outcome) {
            (Change::Try, Some(Outcome::Allowed { round })) => {
                if let Some(turn) = group.turns.last_mut()
                    && turn.number == first.number
                {
                    turn.round = Some(round);
                    self.feed(index, Event::Tried(Tried::Allowed));
                }
            }
            // Its turn was taken back meanwhile.
            (Change::Try, _) if !group.is_last(first.number) => {}
            (Change::Try, Some(Outcome::Refused)) => {
                group.turns.pop();
                if group.followed == first.content {
                    group.known = None;
                }
                self.feed(index, Event::Tried(Tried::Refused));
            }
            (Change::Try, Some(Outcome::Held)) => {
                group.turns.pop();
                let held = held.unwrap_or_default();
                // The answer may be older than what was heard since.
                let restart = held.restart.max(group.orders.restart);
                let retry = held.retry.max(group.orders.retry);
                self.hear_orders(index, Orders { restart, retry, ..held });
                self.feed(index, Event::Tried(Tried::Held));
            }
            (Change::Confirm, _) => self.feed(index, Event::Recorded),
            _ => {}
        }
    }

    /// A crashed member is started again, in one step.
    pub(super) fn boot(&mut self, index: usize) {
        let wanted = self.wanted();
        let is_proven = matches!(self.zookeeper.verdict(wanted), None | Some(Verdict::Confirmed))
            && self.zookeeper.skips[index] != Some(wanted);
        let is_fit = self.scenario.is_fit(wanted);
        let member = self.member(index);
        let (files, content) = member.start_content(wanted, is_proven, is_fit);
        member.files = files;
        (member.backup, member.can_boot) = (None, false);
        self.start(index, content, self.published);
    }

    /// Starts zkexec and its child.
    pub(super) fn start(&mut self, index: usize, content: Content, seen: usize) {
        let is_first = seen == usize::MAX;
        let wanted = if is_first { content } else { self.wanted() };
        let orders = self.zookeeper.orders(index);
        let process = Process::new(self.scenario, orders.clone(), wanted, seen);
        self.member(index).process = Some(process);
        self.feed(index, Event::Orders(orders));
        self.hear_known(index);
        let child = Child::on(self.members[index].files, self.zookeeper.restart);
        self.process(index).child = child;
        self.feed(index, Event::FirstStarted(content));
        self.feed(index, Event::Wanted(wanted));
    }
}
