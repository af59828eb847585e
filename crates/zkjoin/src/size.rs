//! The farm's size, which is raised after we have joined.

use farm_core::engine::LogOnce;
use farm_core::farm::Size;
use farm_core::session::{SessionError, ZnodePath};

/// Whether the size is still to be raised.
#[derive(Debug, Default)]
pub(crate) struct SizeKeeping {
    /// We have joined since that was done last.
    pub(crate) is_due: bool,
    told: LogOnce,
}

impl SizeKeeping {
    /// What did not work is tried again at the next contact: the size is a high-water
    /// mark, and the next host that joins raises it too.
    pub(crate) fn kept(&mut self, farm: &ZnodePath, outcome: Result<Size, SessionError>) {
        let why = match outcome {
            Ok(Size::Kept) => {
                self.is_due = false;
                self.told.clear();
                return;
            }
            Ok(Size::Malformed) => "its own record is malformed".to_owned(),
            Err(error) if error.is_transient() => return,
            Err(error) => error.to_string(),
        };
        log::warn!(logger: self.told, farm:%, why; "size is not kept");
    }
}
