//! The most hosts a farm has ever had, which `check` measures it by.

use crate::codec::json;
use crate::model::raise_size;
use crate::session::{Client, SessionError, Watch, ZnodePath};

/// The name of the entry that all hosts share; it is no host.
pub const COMMON: &str = "common";

/// What came of keeping the size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// It is at least the number of hosts.
    Kept,
    /// The farm's own record is malformed, and was left alone.
    Malformed,
}

/// Raises the farm's `size` to the number of hosts it has now.
///
/// # Errors
///
/// Those of the session.
pub fn keep_size(client: &Client, farm: &ZnodePath) -> Result<Size, SessionError> {
    loop {
        let hosts = client.children(farm, Watch::No)?.iter().filter(|name| *name != COMMON).count();
        let znode = client.get(farm, Watch::No)?;
        let Ok(record) = json::decode_znode(&znode.data) else {
            return Ok(Size::Malformed);
        };
        let Some(raised) = raise_size(&record, hosts) else { return Ok(Size::Kept) };
        match client.set(farm, &json::encode_znode(&raised), Some(znode.stat.version)) {
            Ok(_) => return Ok(Size::Kept),
            Err(SessionError::BadVersion(_)) => {}
            Err(error) => return Err(error),
        }
    }
}
