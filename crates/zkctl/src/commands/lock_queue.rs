//! The contenders for the lock of a group, as they were read.
//!
//! **Invariant.** The order, and whose turn it is, follow the rule of the members.

use farm_core::farm::permit::{Contender, ContenderInfo, GroupName, Queue};
use farm_core::session::{Client, SessionError, SessionId, Stat, Watch, Znode, ZnodePath};
use std::collections::BTreeMap;

/// How many contenders are read at once.
const READS_MAX: usize = 100;

/// The data and the metadata of a contender.
#[derive(Debug, Clone)]
pub(super) struct ContenderZnode {
    pub(super) info: ContenderInfo,
    pub(super) stat: Stat,
}

impl ContenderZnode {
    /// Reads one contender; `None` if it is gone.
    pub(super) fn read(client: &Client, path: &ZnodePath) -> Result<Option<Self>, SessionError> {
        Self::from_answer(client, path, client.get(path, Watch::No))
    }

    /// The contender from the answer to a read; without its data if we may not read that.
    fn from_answer(
        client: &Client,
        path: &ZnodePath,
        answer: Result<Znode, SessionError>,
    ) -> Result<Option<Self>, SessionError> {
        match answer {
            Ok(Znode { data, stat }) => Ok(Some(Self { info: ContenderInfo::read(&data), stat })),
            Err(SessionError::NoNode(_)) => Ok(None),
            Err(SessionError::NoAuth(_)) => {
                let stat = client.exists(path, Watch::No)?;
                Ok(stat.map(|stat| Self { info: ContenderInfo::default(), stat }))
            }
            Err(error) => Err(error),
        }
    }

    /// By the host's clock if the contender has it, else by the server's.
    pub(super) fn since_ms(&self) -> i64 {
        self.info.since_ms.unwrap_or(self.stat.ctime_ms)
    }

    pub(super) fn session(&self) -> Option<String> {
        let session = self.stat.ephemeral_owner;
        (session != 0).then(|| SessionId(session).to_string())
    }

    pub(super) fn pid(&self) -> String {
        self.info.pid.map_or_else(String::new, |pid| pid.to_string())
    }

    /// The host, or else the session, that the contender belongs to.
    pub(super) fn owner(&self) -> String {
        match (&self.info.host, self.session()) {
            (Some(host), _) => host.clone(),
            (None, Some(session)) => format!("session={session}"),
            (None, None) => "persistent".to_owned(),
        }
    }
}

/// A contender in its place.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) contender: Contender,
    /// Whether it has its turn.
    pub(super) is_turn: bool,
    pub(super) znode: ContenderZnode,
}

impl Place {
    /// Sorts the contenders and finds whose turn it is.
    pub(super) fn in_order(found: Vec<(Contender, ContenderZnode)>) -> Vec<Self> {
        let queue = Queue::of(found.iter().map(|(contender, _)| contender.name()));
        let mut found: BTreeMap<Contender, ContenderZnode> = found.into_iter().collect();
        // A member that does not state how many may hold, like one in Ruby, allows one.
        let holders = |contender: &Contender| {
            let stated = found.get(contender).and_then(|znode| znode.info.holders);
            stated.map_or(1, std::num::NonZero::get)
        };
        let turns: Vec<(Contender, bool)> =
            queue.turns(holders).map(|(contender, is_turn)| (contender.clone(), is_turn)).collect();
        let places = turns.into_iter().filter_map(|(contender, is_turn)| {
            let znode = found.remove(&contender)?;
            Some(Self { contender, is_turn, znode })
        });
        places.collect()
    }

    /// The word for whether it has its turn.
    pub(super) const fn state(&self) -> &'static str {
        if self.is_turn { "holds" } else { "waits" }
    }
}

/// All contenders of a group, in order; `None` if its lock has no directory.
pub(super) fn read_queue(
    client: &Client,
    group: &GroupName,
) -> Result<Option<Vec<Place>>, SessionError> {
    let names = match client.children(group.directory(), Watch::No) {
        Ok(names) => names,
        Err(SessionError::NoNode(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let queue = Queue::of(names);
    let path = |contender: &Contender| {
        Some((contender.clone(), group.directory().child(contender.name()).ok()?))
    };
    let mut found = Vec::new();
    // Of the data, which anybody may have written, little is kept.
    for places in queue.places().chunks(READS_MAX) {
        let (contenders, paths): (Vec<_>, Vec<_>) = places.iter().filter_map(path).unzip();
        for ((contender, path), read) in
            contenders.into_iter().zip(&paths).zip(client.get_many(&paths)?)
        {
            let znode = ContenderZnode::from_answer(client, path, read)?;
            found.extend(znode.map(|znode| (contender, znode)));
        }
    }
    Ok(Some(Place::in_order(found)))
}

/// The names of all groups whose lock has a directory.
pub(super) fn locked_groups(client: &Client) -> Result<Vec<String>, SessionError> {
    // Cannot fail: the path is a constant.
    let Ok(all) = GroupName::all() else { return Ok(Vec::new()) };
    match client.children(&all, Watch::No) {
        Err(SessionError::NoNode(_)) => Ok(Vec::new()),
        names => names,
    }
}
