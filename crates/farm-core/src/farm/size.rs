//! The largest number of hosts that a farm has ever had, which `zkctl check` compares it with.

use crate::codec::json;
use crate::model::raise_size;
use crate::session::{Client, SessionError, Watch, ZnodePath};

/// The name of the znode that all hosts of a farm share. It is not a host.
pub const COMMON: &str = "common";

/// The result of [`keep_size`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// The size is at least the number of hosts.
    Kept,
    /// The farm's own znode holds no record, or one without room for a size, and was left alone.
    Malformed,
}

/// Raises the farm's `size` to the number of hosts that it has now.
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
        let data = json::encode_znode(&raised);
        if json::check_znode(&data).is_err() {
            return Ok(Size::Malformed);
        }
        match client.set(farm, &data, Some(znode.stat.version)) {
            Ok(_) => return Ok(Size::Kept),
            Err(SessionError::BadVersion(_)) => {}
            Err(error) => return Err(error),
        }
    }
}
