//! The link, driven by hand.

mod answers;
mod credentials;
mod ends;
mod lease;
mod scripts;
mod silence;
mod suppress_watch;

use super::*;
use crate::session::wire::{FrameBuilder, Frames};
use crate::session::{Change, ZnodePath};
use std::sync::mpsc::{Receiver, sync_channel};

const ID: i64 = 0x77;
const TIMEOUT_MS: i32 = 12_000;
/// An opcode whose answers have no body to be checked.
const EXISTS: i32 = 3;
const NO_NODE: i32 = -101;

/// Events hold errors, which can't be compared, but all of them can be printed.
impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

/// A link and a clock.
#[derive(Debug)]
struct Fixture {
    link: Link,
    now: Instant,
    start: Instant,
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// The content of each frame.
fn contents(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Frames::default();
    frames.push(bytes);
    let all = std::iter::from_fn(|| frames.next().unwrap()).collect();
    assert!(!frames.is_partial());
    all
}

fn content(builder: FrameBuilder) -> Vec<u8> {
    builder.finish()[4..].to_vec()
}

fn connect_response(id: i64, timeout_ms: i32) -> Vec<u8> {
    content(FrameBuilder::new().int(0).int(timeout_ms).long(id).buffer(&[9; 16]).byte(0))
}

fn reply(xid: i32, code: i32) -> Vec<u8> {
    content(FrameBuilder::new().int(xid).long(50).int(code))
}

fn event(path: &str) -> Vec<u8> {
    content(FrameBuilder::new().int(XID_EVENT).long(-1).int(0).int(3).int(3).text(path))
}

fn changed(path: &str) -> Event {
    Event::Hint(Hint { path: ZnodePath::parse(path).unwrap(), change: Change::Data })
}

fn connected(is_new: bool) -> Event {
    let granted = Duration::from_millis(u64::from(TIMEOUT_MS.unsigned_abs()));
    Event::Connected { session: SessionId(ID), is_new, granted }
}

impl Fixture {
    /// A link without a server, to which the client library is connected.
    fn down() -> Self {
        Self::down_with(Auth::default())
    }

    /// The same with credentials.
    fn down_with(auth: Auth) -> Self {
        let now = Instant::now();
        let timeout = Duration::from_millis(u64::from(TIMEOUT_MS.unsigned_abs()));
        let mut fixture =
            Self { link: Link::new(now, timeout, auth, ZnodePath::root()), now, start: now };
        fixture.link.set_boottime(fixture.boottime());
        fixture.link.client_frame(now, &[0; 44]);
        assert_eq!(contents(&std::mem::take(&mut fixture.link.out.to_client)).len(), 1);
        fixture
    }

    fn connecting() -> Self {
        let mut fixture = Self::down();
        fixture.link.connected(fixture.now);
        fixture.sent();
        fixture
    }

    fn up() -> Self {
        let mut fixture = Self::connecting();
        fixture.server(connect_response(ID, TIMEOUT_MS));
        assert_eq!(fixture.events(), [connected(true)]);
        fixture
    }

    /// A link that has set one watch and is setting it again on another server.
    fn restoring_watches() -> Self {
        let mut fixture = Self::up();
        let accepted = fixture.own_watch("/farm");
        fixture.server(reply(1, code::OK));
        assert!(accepted.try_recv().unwrap().is_ok());
        fixture.lose(DownReason::HungUp);
        fixture.events();
        fixture.link.connected(fixture.now);
        fixture.server(connect_response(ID, TIMEOUT_MS));
        assert_eq!(fixture.events(), []);
        assert_eq!(fixture.sent().last(), Some(&(2, opcode::ADD_WATCH)));
        fixture
    }

    fn over() -> Self {
        let mut fixture = Self::up();
        fixture.lose(DownReason::HungUp);
        fixture.link.connected(fixture.now);
        fixture.server(connect_response(0, 0));
        assert_eq!(fixture.events(), [Event::Suspended(DownReason::HungUp), Event::Lost]);
        fixture.sent();
        fixture
    }

    fn after(&mut self, time: Duration) {
        self.now += time;
        self.link.set_boottime(self.boottime());
        self.link.tick(self.now);
    }

    /// The clock of the lease, with another origin than `now`.
    fn boottime(&self) -> Boottime {
        Boottime::after_boot(Duration::from_secs(1000) + self.now.duration_since(self.start))
    }

    fn server(&mut self, frame: Vec<u8>) {
        self.link.server_frame(self.now, frame);
    }

    fn ask(&mut self, xid: i32) {
        self.client(xid, EXISTS);
    }

    fn client(&mut self, xid: i32, opcode: i32) {
        let frame = content(FrameBuilder::request(xid, opcode).text("/a"));
        self.link.client_frame(self.now, &frame);
    }

    fn own(&mut self, opcode: i32, watch: Option<String>) -> Receiver<OwnAnswer> {
        let (answer, answered) = sync_channel(1);
        let request = OwnRequest { opcode, body: Vec::new(), watch, answer };
        self.link.own_request(self.now, request);
        answered
    }

    fn own_watch(&mut self, path: &str) -> Receiver<OwnAnswer> {
        self.own(opcode::ADD_WATCH, Some(path.to_owned()))
    }

    fn lose(&mut self, reason: DownReason) {
        self.link.out.cut = None;
        self.link.disconnected(reason);
    }

    /// The xids and opcodes of what was sent to the server since the last call. A connect
    /// request has neither: its first eight bytes take their place.
    fn sent(&mut self) -> Vec<(i32, i32)> {
        let head = |frame: Vec<u8>| {
            let mut fields = wire::Fields::of(&frame);
            (fields.int().unwrap(), fields.int().unwrap())
        };
        let bytes = std::mem::take(&mut self.link.out.to_server);
        contents(&bytes).into_iter().map(head).collect()
    }

    /// The xids and codes of the answers to the client library since the last call.
    fn answers(&mut self) -> Vec<(i32, i32)> {
        let head = |frame: Vec<u8>| {
            let head = ReplyHead::parse(&frame).unwrap();
            (head.xid, head.code)
        };
        let bytes = std::mem::take(&mut self.link.out.to_client);
        contents(&bytes).into_iter().map(head).collect()
    }

    fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.link.out.events)
    }
}
