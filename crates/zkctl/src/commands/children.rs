//! The znodes below another one, with their records.

use farm_core::cli::chain;
use farm_core::codec::{Decoded, Malformed, Parse};
use farm_core::model::{PackedRecord, Record};
use farm_core::session::cache::{Cache, Contents, Depth, Limits, Scope, snapshot};
use farm_core::session::{Client, SessionError, Stat, Watch, Znode, ZnodePath};
use std::borrow::Cow;
use std::sync::Arc;

/// The most znodes that are listed, and the most bytes of their records.
const LIMITS: Limits = Limits { znodes: 1_000_000, bytes: 256 << 20 };

/// The position of a znode below the top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Location {
    /// The path relative to the top: `1.2.3.4`, or `db/1.2.3.4`.
    pub(super) name: String,
    /// The absolute path, or why we cannot use it.
    pub(super) path: Result<ZnodePath, String>,
}

/// A znode that was read.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) location: Location,
    /// The record, or why it cannot be read.
    pub(super) content: Result<PackedRecord, String>,
    pub(super) stat: Option<Stat>,
}

impl Child {
    /// The record, if it can be read.
    pub(super) fn record(&self) -> Option<Cow<'_, Record>> {
        self.content.as_ref().ok().map(PackedRecord::unpack)
    }
}

/// A znode and its descendants, read once.
#[derive(Debug)]
pub(super) struct Subtree {
    top: ZnodePath,
    contents: Contents,
    parse: Parse,
    cache: Cache<Decoded>,
}

impl Subtree {
    /// Reads the znodes below `top`; warns of each whose children cannot be listed.
    pub(super) fn read(
        client: &Client,
        top: &ZnodePath,
        depth: Depth,
        contents: Contents,
        parse: Parse,
    ) -> Result<Self, SessionError> {
        let scope = Scope::new(top.clone(), depth, contents).within(LIMITS);
        let cache = snapshot(client, scope, parse.decoder())?;
        for (_, error) in cache.unlisted() {
            log::warn!("cannot list children, leaving them out: {error}");
        }
        Ok(Self { top: top.clone(), contents, parse, cache })
    }

    /// The record of the top; `contents` must have included its data.
    pub(super) fn top(&self) -> Result<&Decoded, SessionError> {
        match (self.cache.top_error(), self.cache.top()) {
            (None, Some(znode)) => Ok(&znode.data),
            (Some(error), _) => Err(error.clone()),
            (None, None) => Err(SessionError::NoNode(self.top.clone())),
        }
    }

    /// All znodes below the top, sorted by the bytes of their names, each before its
    /// children. Leaves out a znode that was deleted meanwhile.
    pub(super) fn children(&self, client: &Client) -> Result<Vec<Child>, SessionError> {
        let mut children = Vec::new();
        for (path, znode) in self.cache.below() {
            let name = path.below_or_at(&self.top).unwrap_or_default().to_owned();
            let location = Location { name, path: Ok(path.clone()) };
            children.extend(self.child(client, location, path, znode)?);
        }
        for (parent, name) in self.cache.ignored() {
            let above = parent.below_or_at(&self.top).unwrap_or_default();
            let whole = if above.is_empty() { name.to_owned() } else { format!("{above}/{name}") };
            let why = parent.child(name).err().map_or_else(String::new, |error| error.to_string());
            let location = Location { name: whole, path: Err(why.clone()) };
            let content = if self.has_names_only() { Ok(Record::new().into()) } else { Err(why) };
            children.push(Child { location, content, stat: None });
        }
        children.sort_by(|a, b| a.location.name.split('/').cmp(b.location.name.split('/')));
        Ok(children)
    }

    fn child(
        &self,
        client: &Client,
        location: Location,
        path: &ZnodePath,
        znode: Option<&Znode<Decoded>>,
    ) -> Result<Option<Child>, SessionError> {
        let child = |content, stat| Child { location, content, stat };
        if self.has_names_only() {
            return Ok(Some(child(Ok(Record::new().into()), None)));
        }
        if let Some(error) = self.cache.error(path) {
            // The metadata can be read without permission.
            let stat = client.exists(path, Watch::No)?;
            let content = match self.parse {
                Parse::None => Ok(Record::new().into()),
                _ => Err(error.to_string()),
            };
            return Ok(stat.map(|stat| child(content, Some(stat))));
        }
        Ok(znode.map(|znode| child(record_of(path, &znode.data), Some(znode.stat))))
    }

    fn has_names_only(&self) -> bool {
        self.contents == Contents::Names
    }
}

/// The record of a znode, or why its data is none.
fn record_of(path: &ZnodePath, decoded: &Decoded) -> Result<PackedRecord, String> {
    let what = |malformed: Arc<Malformed>| {
        let hint = malformed.hint().map_or_else(String::new, |hint| format!("; {hint}"));
        format!("{path} holds no record: {}{hint}", chain(&malformed))
    };
    decoded.clone().map_err(what)
}

#[cfg(test)]
pub(super) fn decode(path: &ZnodePath, data: &[u8]) -> Result<PackedRecord, String> {
    record_of(path, &Parse::Json.decoder()(data.to_vec()).0)
}
