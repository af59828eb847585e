//! Changes the files of a directory one by one.

use super::walk::{Slot, Visitor};
use super::wanted::Wanted;
use crate::files::file::Replaced;
use crate::files::folder::Folder;
use crate::files::kind::Kind;
use crate::files::write_options::WriteOptions;
use nix::sys::stat::FileStat;
use std::io;

/// Needs room for one new file at a time, and keeps no old file.
#[derive(Debug, Default)]
pub(super) struct DirectWriter {
    pub(super) options: WriteOptions,
    pub(super) is_written: bool,
}

impl Visitor for DirectWriter {
    fn remove_file(&mut self, Slot { folder, name, .. }: Slot<'_>, _: Kind) -> io::Result<()> {
        folder.ensure_no_file(name)
    }

    fn remove_folder(&mut self, Slot { folder, name, .. }: Slot<'_>) -> io::Result<bool> {
        folder.remove_empty_folder(name)
    }

    fn make_folder(
        &mut self,
        Slot { folder, name, .. }: Slot<'_>,
        _: &Wanted<'_>,
    ) -> io::Result<Option<Folder>> {
        folder.ensure_folder(name)?;
        folder.enter(name).map(Some)
    }

    fn put(
        &mut self,
        Slot { folder, name, .. }: Slot<'_>,
        stat: Option<&FileStat>,
        bytes: &[u8],
    ) -> io::Result<bool> {
        Ok(folder.put(name, stat, bytes, &self.options)? == Replaced::Written)
    }

    fn blocked(&mut self, Slot { folder, name, .. }: Slot<'_>) -> io::Result<()> {
        let path = folder.path_of(name);
        log::warn!(file:% = path.display(); "not written, other files are in the way");
        Ok(())
    }

    fn folder_differs(&mut self, folder: &Folder) -> io::Result<()> {
        self.is_written = true;
        folder.sync()
    }
}
