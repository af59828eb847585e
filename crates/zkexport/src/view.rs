//! The part of the farm that the file shows.

use farm_core::model::{Farm, Filter, PackedRecord, Selection};

/// The hosts that the file shows, and the fields of each.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub(crate) filter: Option<Filter>,
    pub(crate) fields: Option<Selection>,
}

impl View {
    /// What the file shows of a host with this record; `None` if it leaves the host out.
    pub(crate) fn of(&self, record: &PackedRecord) -> Option<PackedRecord> {
        if self.filter.is_none() && self.fields.is_none() {
            return Some(record.clone());
        }
        let whole = record.unpack();
        // A field that is not shown can be in the filter.
        if self.filter.as_ref().is_some_and(|filter| !filter.keeps(&whole)) {
            return None;
        }
        let selected = self.fields.as_ref().map(|fields| fields.of(&whole).into());
        Some(selected.unwrap_or_else(|| record.clone()))
    }

    /// What the file shows of a farm.
    pub(crate) fn of_farm(&self, farm: &Farm) -> Farm {
        if self.filter.is_none() && self.fields.is_none() {
            return farm.clone();
        }
        let shown = farm.iter().filter_map(|(host, record)| Some((host.clone(), self.of(record)?)));
        shown.collect()
    }
}
