//! The requests about our znode, as couriers make them, and what is in it.

use crate::member::{HOSTNAME, MemberOptions};
use farm_core::codec::json;
use farm_core::farm::{Claim, Share, claim as claim_entry, share};
use farm_core::model::{Record, Value};
use farm_core::session::{Client, SessionError, SessionId, Stat, Znode, ZnodePath};

/// How many of our own sessions are remembered: a server does not lag far behind.
const PAST_SESSIONS_MAX: usize = 8;

/// What came of a request.
pub(crate) enum Answer {
    Claim(Result<Claim, SessionError>),
    Look(Result<Option<Znode>, SessionError>),
    Publish(Result<Stat, SessionError>),
}

/// Which znodes of other sessions are in truth our own.
#[derive(Debug, Clone, Default)]
pub(crate) struct LeftOver {
    /// Those that name this host; `None` once we have joined, when whoever comes
    /// later is somebody else.
    pub(crate) hostname: Option<String>,
    /// Those of these sessions, which were ours: a server may lag behind their end.
    pub(crate) sessions: Vec<SessionId>,
}

impl LeftOver {
    /// That session of ours is over, but a server that lags behind may still show its znode.
    pub(crate) fn lost(&mut self, session: SessionId) {
        if self.sessions.len() == PAST_SESSIONS_MAX {
            self.sessions.remove(0);
        }
        self.sessions.push(session);
    }

    pub(crate) fn has(&self, znode: &Znode) -> bool {
        let is_of_host = || self.hostname.is_some() && hostname_of(znode) == self.hostname;
        self.sessions.contains(&SessionId(znode.stat.ephemeral_owner)) || is_of_host()
    }
}

/// Makes the znode stand: as ours, or as the one that all hosts share.
pub(crate) fn claim(
    client: &Client,
    entry: &ZnodePath,
    terms: &MemberOptions,
    record: &Record,
    left_over: &LeftOver,
) -> Answer {
    let data = json::encode_znode(record);
    if terms.is_common {
        return match share(client, entry, &data) {
            Ok(Share::Created(znode)) => Answer::Claim(Ok(Claim::Ours { znode, replaced: None })),
            Ok(Share::Found(znode)) => Answer::Look(Ok(Some(znode))),
            Err(error) => Answer::Claim(Err(error)),
        };
    }
    Answer::Claim(claim_entry(client, entry, &data, |znode| left_over.has(znode)))
}

/// Writes the record if the znode still has that version.
pub(crate) fn publish(client: &Client, entry: &ZnodePath, record: &Record, version: i32) -> Answer {
    Answer::Publish(client.set(entry, &json::encode_znode(record), Some(version)))
}

/// The host that a znode says it is of.
pub(crate) fn hostname_of(znode: &Znode) -> Option<String> {
    let record = json::decode_znode(&znode.data).ok()?;
    record.as_map().get(HOSTNAME).and_then(Value::as_str).map(str::to_owned)
}
