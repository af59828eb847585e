//! Random events in random order: there are never too many holders at once, each member has one
//! contender, the order is that of the queue, and no member waits for ever.

use super::model::{Client, Job, RUBY, Server, hint_of, unanswered};
use super::*;
use fastrand::Rng;
use fixture::group;
use std::collections::VecDeque;

#[derive(Debug)]
enum Inbound {
    Hint(u64, Contender),
    /// The number of hints before it, received or lost.
    Suspended(u64),
    Lost,
    Connected {
        is_new: bool,
    },
}

/// A member: its permit, its connection, and what its owner wants.
#[derive(Debug)]
struct Member {
    permit: Permit,
    session: i64,
    /// Whether the session is connected, even if the member does not know yet.
    is_up: bool,
    inbox: VecDeque<Inbound>,
    jobs: Vec<Job>,
    /// Each with the number of hints that the server had sent before it.
    answers: Vec<(u64, Answer)>,
    hints_seen: u64,
    has_asked: bool,
    is_leaving: bool,
    is_confirming: bool,
}

struct Storm {
    seed: u64,
    rng: Rng,
    now: Instant,
    count: u32,
    server: Server,
    sessions: i64,
    members: Vec<Member>,
    grants: u32,
}

impl Storm {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let count = rng.u32(1..=3);
        let mut storm = Self {
            seed,
            now: Instant::now(),
            count,
            server: Server::default(),
            sessions: 0,
            members: Vec::new(),
            grants: 0,
            rng,
        };
        for _ in 0..storm.rng.usize(2..=5) {
            let id = MemberId { host: "h".to_owned(), pid: 1 };
            let mut member = Member {
                permit: Permit::new(group(), holders(count), id),
                session: 0,
                is_up: false,
                inbox: VecDeque::new(),
                jobs: Vec::new(),
                answers: Vec::new(),
                hints_seen: 0,
                has_asked: false,
                is_leaving: false,
                is_confirming: false,
            };
            storm.begin_session(&mut member);
            storm.members.push(member);
        }
        storm
    }

    fn begin_session(&mut self, member: &mut Member) {
        self.sessions += 1;
        member.session = self.sessions;
        member.is_up = true;
        member.hints_seen = 0;
        self.server.clients.insert(member.session, Client::default());
        member.inbox.push_back(Inbound::Connected { is_new: true });
    }

    fn on(&mut self, index: usize, event: Event) {
        let member = &mut self.members[index];
        for action in member.permit.step(self.now, event) {
            match action {
                Action::Request(request) if member.is_up => {
                    member.jobs.push(Job::new(request, member.session));
                }
                Action::Request(request) => fail(member, &request),
                Action::Report(news) => {
                    let is_expected = match news {
                        News::Granted { .. } => {
                            self.grants += 1;
                            member.has_asked && member.permit.is_held()
                        }
                        News::Waiting { ahead } => ahead >= self.count as usize,
                        News::Lost => {
                            member.is_confirming = false;
                            std::mem::take(&mut member.has_asked)
                        }
                        News::Confirmed => {
                            std::mem::take(&mut member.is_confirming) && member.permit.is_held()
                        }
                        News::Unconfirmed => std::mem::take(&mut member.is_confirming),
                        News::Left => std::mem::take(&mut member.is_leaving),
                        News::UnequalHolders { .. } | News::Refused(_) => false,
                    };
                    assert!(
                        is_expected,
                        "seed {}: {}, {member:#?}",
                        self.seed,
                        fixture::text_of(&news)
                    );
                }
            }
        }
        let (is_held, is_waiting) = (member.permit.is_held(), member.permit.is_waiting());
        assert_eq!(member.has_asked, is_held || is_waiting, "seed {}: {member:#?}", self.seed);
    }

    fn owner_acts(&mut self, index: usize) {
        let member = &mut self.members[index];
        if member.permit.is_held() && !member.is_confirming && self.rng.bool() {
            member.is_confirming = true;
            self.on(index, Event::Confirm);
        } else if member.has_asked {
            (member.has_asked, member.is_leaving) = (false, true);
            member.is_confirming = false;
            self.on(index, Event::GiveBack);
        } else {
            member.has_asked = true;
            self.on(index, ask());
        }
    }

    /// All requests of the member end without an answer, done or not.
    fn cut(&mut self, index: usize) {
        let member = &mut self.members[index];
        if !std::mem::take(&mut member.is_up) {
            return;
        }
        for mut job in std::mem::take(&mut member.jobs) {
            match (&job.request.ask, self.rng.u8(..3)) {
                (Ask::Create(_), 0) => self.server.delay_create(member.session),
                (_, 1) => drop(job.advance(&mut self.server)),
                _ => {}
            }
            fail(member, &job.request);
        }
        pull_hints(&mut self.server, member);
        while self.rng.bool() && matches!(member.inbox.back(), Some(Inbound::Hint(..))) {
            member.inbox.pop_back();
        }
        let sent = self.server.cut(member.session);
        member.inbox.push_back(Inbound::Suspended(sent));
    }

    fn reconnect(&mut self, index: usize) {
        let member = &mut self.members[index];
        if member.is_up || matches!(member.inbox.back(), Some(Inbound::Lost)) {
            return;
        }
        if self.server.clients.contains_key(&member.session) {
            member.is_up = true;
            member.inbox.push_back(Inbound::Connected { is_new: false });
        } else {
            member.inbox.push_back(Inbound::Lost);
        }
    }

    fn receive(&mut self, index: usize) {
        let member = &mut self.members[index];
        let Some(inbound) = member.inbox.pop_front() else { return };
        let event = match inbound {
            Inbound::Hint(number, contender) => {
                member.hints_seen = number;
                hint_of(&contender)
            }
            Inbound::Suspended(sent) => {
                member.hints_seen = sent;
                suspended()
            }
            Inbound::Connected { is_new } => {
                Event::Session(session::Event::connected(member.session, is_new))
            }
            Inbound::Lost => lost(),
        };
        let is_over = matches!(event, Event::Session(session::Event::Lost));
        self.on(index, event);
        if is_over {
            // Answers of the old session may still be on their way.
            for (due, _) in &mut self.members[index].answers {
                *due = 0;
            }
            let mut member = self.members.remove(index);
            self.begin_session(&mut member);
            self.members.insert(index, member);
        }
    }

    fn work(&mut self, index: usize) {
        let member = &mut self.members[index];
        if member.jobs.is_empty() {
            return;
        }
        let job = self.rng.usize(..member.jobs.len());
        if let Some(outcome) = member.jobs[job].advance(&mut self.server) {
            let request = member.jobs.remove(job).request;
            let sent = self.server.clients.get(&member.session).map(|client| client.hints_sent);
            let answer = Answer { ticket: request.ticket, outcome };
            member.answers.push((sent.unwrap_or_default(), answer));
        }
    }

    fn answer(&mut self, index: usize) {
        let member = &mut self.members[index];
        if member.answers.is_empty() {
            return;
        }
        let answer = self.rng.usize(..member.answers.len());
        if member.answers[answer].0 <= member.hints_seen {
            let (_, answer) = member.answers.remove(answer);
            self.on(index, Event::Answered(answer));
        }
    }

    fn tick(&mut self, index: usize) {
        if let Some(deadline) = self.members[index].permit.deadline() {
            self.now = self.now.max(deadline);
            self.on(index, Event::Tick);
        }
    }

    fn interfere(&mut self) {
        match self.rng.u8(..6) {
            0 => {
                let contenders: Vec<Contender> = self.server.contenders.keys().cloned().collect();
                if let Some(contender) = self.rng.choice(&contenders) {
                    self.server.delete(contender);
                }
            }
            1 => drop(self.server.create(RUBY)),
            2 | 3 => {
                if let Some(contender) = self.server.of_session(RUBY).first() {
                    self.server.delete(contender);
                }
                self.server.remove_directory();
            }
            4 => {
                if let Some(session) = self.server.any_late() {
                    self.server.catch_up(session);
                }
            }
            _ => {
                let index = self.rng.usize(..self.members.len());
                if !self.members[index].is_up {
                    self.server.expire(self.members[index].session);
                }
            }
        }
    }

    fn act(&mut self, is_storm: bool) {
        let index = self.rng.usize(..self.members.len());
        match self.rng.u8(..if is_storm { 52 } else { 46 }) {
            0..12 => self.receive(index),
            12..28 => self.work(index),
            28..40 => self.answer(index),
            40..43 => self.reconnect(index),
            43..46 => self.tick(index),
            46..49 => self.owner_acts(index),
            49 => self.cut(index),
            _ => self.interfere(),
        }
        self.send_hints();
        self.check();
    }

    fn send_hints(&mut self) {
        for member in &mut self.members {
            pull_hints(&mut self.server, member);
        }
    }

    fn check(&self) {
        let queue = self.server.queue();
        for member in &self.members {
            let ours = self.server.of_session(member.session);
            assert!(ours.len() <= 1, "seed {}: {ours:?}", self.seed);
            // Checked by the order of the queue, so that there are never too many holders and
            // nobody is overtaken. A contender that somebody deleted does not count.
            if let (true, [ours]) = (member.permit.is_held(), &*ours) {
                let before = queue.before(ours).len();
                assert!(before < self.count as usize, "seed {}: {queue:?}, {member:#?}", self.seed);
            }
        }
    }

    fn is_quiet(&self) -> bool {
        self.members.iter().all(|member| {
            member.is_up
                && member.inbox.is_empty()
                && member.jobs.is_empty()
                && member.answers.is_empty()
                && member.permit.deadline().is_none()
        })
    }

    /// Without further faults, every member that has asked gets a turn.
    fn finish_all_turns(&mut self) {
        for contender in self.server.of_session(RUBY) {
            self.server.delete(&contender);
        }
        self.send_hints();
        loop {
            let mut acts = 0;
            while !self.is_quiet() {
                self.act(false);
                acts += 1;
                assert!(acts < 100_000, "seed {}: never quiet, {:#?}", self.seed, self.members);
            }
            let is_held = |member: &Member| member.permit.is_held();
            let turns = self.members.iter().filter(|member| is_held(member)).count();
            let asked = self.members.iter().filter(|member| member.has_asked).count();
            let contenders = self.server.contenders.len();
            assert_eq!(contenders, asked, "seed {}: {:#?}", self.seed, self.members);
            let missed = "a member waits for what has happened already";
            assert_eq!(turns, asked.min(self.count as usize), "seed {}: {missed}", self.seed);
            let Some(index) = self.members.iter().position(is_held) else { return };
            self.owner_acts(index);
        }
    }
}

fn fail(member: &mut Member, request: &Request) {
    member.answers.push((0, Answer { ticket: request.ticket, outcome: unanswered(request) }));
}

fn pull_hints(server: &mut Server, member: &mut Member) {
    if let Some(client) = server.clients.get_mut(&member.session).filter(|_| member.is_up) {
        let hints = client.hints.drain(..);
        member.inbox.extend(hints.map(|(number, contender)| Inbound::Hint(number, contender)));
    }
}

#[test]
fn no_storm_grants_too_many_permits_or_leaves_a_member_waiting() {
    let mut grants = 0;
    for seed in farm_harness::seeds(1200) {
        let mut storm = Storm::new(seed);
        for _ in 0..storm.rng.u32(200..2000) {
            storm.act(true);
        }
        storm.finish_all_turns();
        grants += storm.grants;
    }
    assert!(grants > 5_000, "only {grants} turns in all these storms");
}
