//! Every difference is put right on the spot.

use super::walk::{Hand, Spot};
use super::wanted::Wanted;
use crate::files::file::Replaced;
use crate::files::folder::{Folder, Kind};
use crate::files::write_options::WriteOptions;
use nix::sys::stat::FileStat;
use std::io;

/// Needs room for one new file at a time, and keeps nothing of what was there.
#[derive(Debug, Default)]
pub(super) struct Direct {
    pub(super) options: WriteOptions,
    pub(super) is_written: bool,
}

impl Hand for Direct {
    fn remove_file(&mut self, Spot { folder, name, .. }: Spot<'_>, _: Kind) -> io::Result<()> {
        folder.ensure_no_file(name)
    }

    fn remove_folder(&mut self, Spot { folder, name, .. }: Spot<'_>) -> io::Result<bool> {
        folder.remove_empty_folder(name)
    }

    fn make_folder(
        &mut self,
        Spot { folder, name, .. }: Spot<'_>,
        _: &Wanted<'_>,
    ) -> io::Result<Option<Folder>> {
        folder.ensure_folder(name)?;
        folder.enter(name).map(Some)
    }

    fn put(
        &mut self,
        Spot { folder, name, .. }: Spot<'_>,
        stat: Option<&FileStat>,
        bytes: &[u8],
    ) -> io::Result<bool> {
        Ok(folder.put(name, stat, bytes, &self.options)? == Replaced::Written)
    }

    fn is_blocked(&mut self, Spot { folder, name, .. }: Spot<'_>) -> io::Result<()> {
        let path = folder.path_of(name);
        log::warn!(file:% = path.display(); "not written, other files are in the way");
        Ok(())
    }

    fn differs(&mut self, folder: &Folder) -> io::Result<()> {
        self.is_written = true;
        folder.sync()
    }
}
