//! The znodes below another one, with what they hold.

use farm_core::cli::chain;
use farm_core::codec::json::{Decoded, decode_shared};
use farm_core::model::Record;
use farm_core::session::cache::{Cache, Contents, Depth, Scope, snapshot};
use farm_core::session::{Client, SessionError, Stat, Watch, Znode, ZnodePath};

/// Where a znode stands below the one that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Location {
    /// Its path from there: `1.2.3.4`, or `db/1.2.3.4`.
    pub(super) name: String,
    /// Its whole path, or why it has none that we can use.
    pub(super) path: Result<ZnodePath, String>,
}

/// A znode that was read.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) place: Location,
    /// The record, or why it can't be read.
    pub(super) content: Result<Record, String>,
    pub(super) stat: Option<Stat>,
}

/// A znode and those below it, read once.
#[derive(Debug)]
pub(super) struct Below {
    top: ZnodePath,
    contents: Contents,
    cache: Cache<Decoded>,
}

impl Below {
    /// Reads what is below a znode; a znode whose children can't be listed is warned of.
    pub(super) fn read(
        client: &Client,
        top: &ZnodePath,
        depth: Depth,
        contents: Contents,
    ) -> Result<Self, SessionError> {
        let scope = Scope::new(top.clone(), depth, contents);
        let cache = snapshot(client, scope, |data| decode_shared(&data))?;
        for (_, error) in cache.unlisted() {
            log::warn!("its children are left out: {error}");
        }
        Ok(Self { top: top.clone(), contents, cache })
    }

    /// The record of the top, whose data was to be read too.
    pub(super) fn top(&self) -> Result<&Decoded, SessionError> {
        match (self.cache.top_trouble(), self.cache.top()) {
            (None, Some(znode)) => Ok(&znode.data),
            (Some(error), _) => Err(error.clone()),
            (None, None) => Err(SessionError::NoNode(self.top.clone())),
        }
    }

    /// All of them, every znode before its children, else sorted by the bytes of their
    /// names. One that is gone by now is left out.
    pub(super) fn children(&self, client: &Client) -> Result<Vec<Child>, SessionError> {
        let mut children = Vec::new();
        for (path, znode) in self.cache.below() {
            let name = path.below_or_at(&self.top).unwrap_or_default().to_owned();
            let place = Location { name, path: Ok(path.clone()) };
            children.extend(self.child(client, place, path, znode)?);
        }
        for (parent, name) in self.cache.ignored() {
            let above = parent.below_or_at(&self.top).unwrap_or_default();
            let whole = if above.is_empty() { name.to_owned() } else { format!("{above}/{name}") };
            let why = parent.child(name).err().map_or_else(String::new, |error| error.to_string());
            let place = Location { name: whole, path: Err(why.clone()) };
            let content = if self.is_named_only() { Ok(Record::new()) } else { Err(why) };
            children.push(Child { place, content, stat: None });
        }
        children.sort_by(|a, b| a.place.name.split('/').cmp(b.place.name.split('/')));
        Ok(children)
    }

    fn child(
        &self,
        client: &Client,
        place: Location,
        path: &ZnodePath,
        znode: Option<&Znode<Decoded>>,
    ) -> Result<Option<Child>, SessionError> {
        let child = |content, stat| Child { place, content, stat };
        if self.is_named_only() {
            return Ok(Some(child(Ok(Record::new()), None)));
        }
        if let Some(error) = self.cache.trouble(path) {
            // Its metadata is open to everybody all the same.
            let stat = client.exists(path, Watch::No)?;
            return Ok(stat.map(|stat| child(Err(error.to_string()), Some(stat))));
        }
        Ok(znode.map(|znode| child(described(path, &znode.data), Some(znode.stat))))
    }

    fn is_named_only(&self) -> bool {
        self.contents == Contents::Names
    }
}

/// What a znode holds, or why that is no record.
fn described(path: &ZnodePath, decoded: &Decoded) -> Result<Record, String> {
    decoded.clone().map_err(|error| format!("{path} holds no record: {}", chain(&error)))
}

#[cfg(test)]
pub(super) fn decode(path: &ZnodePath, data: &[u8]) -> Result<Record, String> {
    described(path, &decode_shared(data))
}
