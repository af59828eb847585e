//! Creating a znode together with those above it.

use super::super::{Acl, CreateMode, SessionError, ZnodePath};
use super::{Client, library_acl};
use zookeeper::ZooKeeper;

impl Client {
    /// Creates an empty persistent znode that everybody may use, whatever the session's access
    /// list, and those that are missing above it. One that exists stays as it is.
    ///
    /// # Errors
    ///
    /// Those of [`Self::create_all`].
    pub fn create_open(&self, path: &ZnodePath) -> Result<(), SessionError> {
        let create = || {
            let (acl, mode) = (library_acl(&Acl::open()), zookeeper::CreateMode::Persistent);
            self.call(path, |zk, full| zk.create(full, Vec::new(), acl, mode))
        };
        let created = match (create(), path.parent()) {
            (Err(SessionError::NoNode(_)), Some(parent)) => {
                self.create_all(&parent)?;
                create()
            }
            (created, _) => created,
        };
        match created {
            Ok(_) | Err(SessionError::NodeExists(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Creates an empty persistent znode, and those that are missing above it.
    ///
    /// # Errors
    ///
    /// Those of [`Self::create`], except [`SessionError::NodeExists`]. After
    /// [`SessionError::Disconnected`] some may exist: repeat it to create the others.
    pub fn create_all(&self, path: &ZnodePath) -> Result<(), SessionError> {
        match self.create(path, b"", CreateMode::Persistent) {
            Err(SessionError::NodeExists(_)) => return Ok(()),
            Err(SessionError::NoNode(_)) => {}
            other => return other,
        }
        let Some(parent) = path.parent() else {
            // Only the chroot itself can be missing here.
            return self.create_chroot();
        };
        self.create_all(&parent)?;
        match self.create(path, b"", CreateMode::Persistent) {
            Err(SessionError::NodeExists(_)) => Ok(()),
            other => other,
        }
    }

    /// Creates a persistent znode, and empty ones that are missing above it. If even the chroot is
    /// missing and the path is `/`, the znode is created empty, and the error is
    /// [`SessionError::NodeExists`].
    ///
    /// # Errors
    ///
    /// Those of [`Self::create`]; [`SessionError::NoNode`] if an ancestor was deleted meanwhile.
    /// After [`SessionError::Disconnected`], repeat it, as with [`Self::create`].
    pub fn create_with_parents(&self, path: &ZnodePath, data: &[u8]) -> Result<(), SessionError> {
        match self.create(path, data, CreateMode::Persistent) {
            Err(SessionError::NoNode(_)) => {}
            other => return other,
        }
        // Above the root only the chroot can be missing.
        self.create_all(path.parent().as_ref().unwrap_or(path))?;
        self.create(path, data, CreateMode::Persistent)
    }

    fn create_chroot(&self) -> Result<(), SessionError> {
        let mut missing = vec![self.chroot.clone()];
        while let Some(parent) = missing.last().and_then(ZnodePath::parent) {
            missing.push(parent);
        }
        for path in missing.iter().rev().filter(|path| !path.is_root()) {
            let create = |zk: &ZooKeeper| {
                let acl = library_acl(&self.acl);
                zk.create(path.as_str(), Vec::new(), acl, zookeeper::CreateMode::Persistent)
            };
            match self.catching_panics(path, create) {
                Ok(_) | Err(SessionError::NodeExists(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
