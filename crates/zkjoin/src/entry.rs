//! The requests about our znode, which run on request threads, and its contents.

use crate::member::{HOSTNAME, MemberOptions};
use farm_core::codec::{DecodeError, json};
use farm_core::farm::{Claim, Share, claim as claim_entry, share};
use farm_core::model::{Record, Value};
use farm_core::session::{Client, SessionError, SessionId, Stat, Znode, ZnodePath};

/// How many of our earlier sessions are remembered: a server does not lag far behind.
const PAST_SESSIONS_MAX: usize = 8;

/// The outcome of a request.
pub(crate) enum Answer {
    Claim(Result<Claim, SessionError>),
    Read(Result<Option<Znode>, SessionError>),
    Publish(Result<Stat, SessionError>),
    /// The record is not sent, because nobody could read it.
    Unfit(DecodeError),
}

/// Tells which znodes of other sessions are our own, left over from earlier.
#[derive(Debug, Clone, Default)]
pub(crate) struct Leftovers {
    /// Znodes with this hostname; `None` once we have joined, because a znode that
    /// appears later belongs to another host.
    pub(crate) hostname: Option<String>,
    /// Znodes of these earlier sessions of ours: a server may lag behind their end.
    pub(crate) sessions: Vec<SessionId>,
}

impl Leftovers {
    /// Adds a session of ours that is over.
    pub(crate) fn add(&mut self, session: SessionId) {
        if self.sessions.len() == PAST_SESSIONS_MAX {
            self.sessions.remove(0);
        }
        self.sessions.push(session);
    }

    pub(crate) fn contain(&self, znode: &Znode) -> bool {
        let is_of_host = || self.hostname.is_some() && hostname_of(znode) == self.hostname;
        self.sessions.contains(&SessionId(znode.stat.ephemeral_owner)) || is_of_host()
    }
}

/// Creates or takes over the znode: as ours, or as the one that all hosts share.
pub(crate) fn claim(
    client: &Client,
    entry: &ZnodePath,
    options: &MemberOptions,
    record: &Record,
    leftovers: &Leftovers,
) -> Answer {
    let data = match encode(record) {
        Ok(data) => data,
        Err(error) => return Answer::Unfit(error),
    };
    if options.is_common {
        return match share(client, entry, &data) {
            Ok(Share::Created(znode)) => Answer::Claim(Ok(Claim::Ours { znode, replaced: None })),
            Ok(Share::Found(znode)) => Answer::Read(Ok(Some(znode))),
            Err(error) => Answer::Claim(Err(error)),
        };
    }
    Answer::Claim(claim_entry(client, entry, &data, |znode| leftovers.contain(znode)))
}

/// Writes the record if the znode still has that version.
pub(crate) fn publish(client: &Client, entry: &ZnodePath, record: &Record, version: i32) -> Answer {
    match encode(record) {
        Ok(data) => Answer::Publish(client.set(entry, &data, Some(version))),
        Err(error) => Answer::Unfit(error),
    }
}

/// The bytes of a record. One that is merged from two can be larger than a record may be.
fn encode(record: &Record) -> Result<Vec<u8>, DecodeError> {
    let data = json::encode_znode(record);
    json::check_znode(&data).map(|()| data)
}

/// The znode's field `hostname`.
pub(crate) fn hostname_of(znode: &Znode) -> Option<String> {
    let record = json::decode_znode(&znode.data).ok()?;
    record.as_map().get(HOSTNAME).and_then(Value::as_str).map(str::to_owned)
}
