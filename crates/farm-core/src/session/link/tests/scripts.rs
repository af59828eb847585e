//! Random runs of a link: whatever happens, every request gets one answer, in order.

use super::*;

struct Run {
    seed: u64,
    fixture: Fixture,
    rng: fastrand::Rng,
    /// The xids of the client's requests, and of the answers to them.
    asked: Vec<i32>,
    answered: Vec<i32>,
    own: Vec<Receiver<OwnAnswer>>,
    /// The xids of the requests that the server has not answered yet.
    at_server: std::collections::VecDeque<i32>,
    is_connected: bool,
    is_answered: bool,
    last: Option<Event>,
}

impl Run {
    fn new(seed: u64) -> Self {
        // Some of them have credentials.
        let auth = ["digest:a:b", "digest:a:b\ndigest:c:d"].get(seed as usize % 3);
        let auth = auth.map_or_else(Auth::default, |text| Auth::parse(text.as_bytes()).unwrap());
        Self {
            seed,
            fixture: Fixture::down_with(auth),
            rng: fastrand::Rng::with_seed(seed),
            asked: Vec::new(),
            answered: Vec::new(),
            own: Vec::new(),
            at_server: std::collections::VecDeque::new(),
            is_connected: false,
            is_answered: false,
            last: None,
        }
    }

    fn ask(&mut self, opcode: i32) {
        let number = i32::try_from(self.asked.len()).unwrap() + 1;
        let xid = if opcode == opcode::PING { XID_PING } else { number };
        self.fixture.client(xid, opcode);
        self.asked.push(xid);
    }

    fn server(&mut self) {
        if !self.is_connected {
            if !self.fixture.link.wants_server() {
                return;
            }
            self.fixture.link.connected(self.fixture.now);
            self.is_connected = true;
            self.is_answered = false;
        } else if !self.is_answered {
            let frame = match self.rng.u8(..40) {
                0 => connect_response(0, 0),
                1 => connect_response(ID + 1, TIMEOUT_MS),
                2 => vec![1; self.rng.usize(..20)],
                _ => connect_response(ID, TIMEOUT_MS),
            };
            self.is_answered = true;
            self.fixture.server(frame);
        } else {
            let frame = match self.rng.u8(..60) {
                0 => reply(self.rng.i32(..), code::OK),
                1 => (0..self.rng.usize(..24)).map(|_| self.rng.u8(..)).collect(),
                2..=9 => event("/a"),
                10 => reply(XID_PING, code::OK),
                11 => reply(self.at_server.pop_front().unwrap_or(3), code::SESSION_MOVED),
                _ => match self.at_server.pop_front() {
                    Some(xid) => reply(xid, if self.rng.bool() { code::OK } else { NO_NODE }),
                    None => return,
                },
            };
            self.fixture.server(frame);
        }
    }

    fn step(&mut self) {
        match self.rng.u8(..100) {
            0..=29 => self.ask(EXISTS),
            30..=34 => self.ask(opcode::PING),
            35..=39 => {
                let own = self.fixture.own(opcode::MULTI, None);
                self.own.push(own);
            }
            40..=41 => {
                let own = self.fixture.own_watch("/farm");
                self.own.push(own);
            }
            42..=47 => {
                let time = Duration::from_millis(self.rng.u64(..3000));
                self.fixture.after(time);
            }
            48 if self.is_connected => self.fixture.link.out.cut = Some(DownReason::HungUp),
            _ => self.server(),
        }
        self.flush();
    }

    /// What the relay does after every turn.
    fn flush(&mut self) {
        let sent = self.fixture.sent();
        if self.is_answered {
            let asks = |xid: &i32| *xid > 0 || *xid == XID_AUTH;
            self.at_server.extend(sent.iter().map(|(xid, _)| *xid).filter(asks));
        }
        if let Some(reason) = self.fixture.link.out.cut.take()
            && self.is_connected
        {
            self.is_connected = false;
            self.is_answered = false;
            self.at_server.clear();
            self.fixture.lose(reason);
        }
        let answers = self.fixture.answers();
        self.answered.extend(answers.iter().map(|(xid, _)| *xid));
        assert!(self.asked.starts_with(&self.answered), "seed {}", self.seed);
        for event in self.fixture.events() {
            self.check_order(event);
        }
    }

    /// Checks that events come in a possible order.
    fn check_order(&mut self, event: Event) {
        let is_up = matches!(self.last, Some(Event::Connected { .. }));
        let is_over = matches!(self.last, Some(Event::Lost));
        match &event {
            Event::Hint(_) => {
                assert!(!is_over, "seed {}: a change after the end", self.seed);
                return;
            }
            Event::Connected { is_new, .. } => {
                assert!(!is_up && !is_over, "seed {}: up again", self.seed);
                assert_eq!(*is_new, self.last.is_none(), "seed {}", self.seed);
            }
            Event::Suspended(_) => assert!(is_up, "seed {}: down without being up", self.seed),
            Event::Lost => assert!(!is_over, "seed {}: over twice", self.seed),
            Event::GaveUp(_) | Event::AuthRefused(_) => panic!("seed {}: {event:?}", self.seed),
        }
        self.last = Some(event);
    }
}

#[test]
fn everybody_gets_one_answer_in_order_whatever_happens() {
    for seed in 0..400 {
        let mut run = Run::new(seed);
        let end = run.rng.usize(20..400);
        for _ in 0..end {
            run.step();
        }
        match run.rng.u8(..4) {
            0 => run.fixture.link.close(run.fixture.now),
            1 => run.fixture.link.declare_over(),
            2 => run.fixture.lose(DownReason::Silent),
            _ => run.fixture.client(-5, opcode::CLOSE_SESSION),
        }
        let mut answers = run.fixture.answers();
        if answers.last() == Some(&(0, code::OK)) {
            // The close of the client itself.
            answers.pop();
        } else {
            run.fixture.link.close(run.fixture.now);
        }
        run.answered.extend(answers.iter().map(|(xid, _)| *xid));
        assert_eq!(run.asked, run.answered, "seed {seed}");
        run.fixture.link.declare_over();
        for (number, own) in run.own.iter().enumerate() {
            assert!(own.try_recv().is_ok(), "seed {seed}: own request {number} was not answered");
            assert!(
                own.try_recv().is_err(),
                "seed {seed}: own request {number} was answered twice"
            );
        }
    }
}
