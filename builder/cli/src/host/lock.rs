//! Locks between processes and threads: `flock(2)` on small files that are left where they are.
//!
//! A lock goes with the file description that holds it, so a killed process leaves none behind, and two threads that
//! open the same lock exclude each other too.

use super::at;
use nodeimg::error::Result;
use rustix::fs::FlockOperation;
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for the lock of this name in a folder; the folder is made if need be.
    pub(crate) fn take(folder: &Path, name: &str) -> Result<Self> {
        fs::create_dir_all(folder).map_err(at("make folder", folder))?;
        let path = folder.join(name);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        let file = file.map_err(at("open lock", &path))?;
        wait(&file).map_err(at("lock", &path))?;
        Ok(Self { _file: file })
    }
}

/// Waits for the lock of a folder itself, where no file is wanted beside what is in it.
pub(crate) fn folder(path: &Path) -> io::Result<Lock> {
    let file = File::open(path)?;
    // Some network file systems lock no folders: then builds at once in one are not told apart.
    wait(&file).ok();
    Ok(Lock { _file: file })
}

/// Waits for the lock of an open file.
pub(crate) fn wait(file: &File) -> io::Result<()> {
    loop {
        match rustix::fs::flock(file, FlockOperation::LockExclusive) {
            Err(rustix::io::Errno::INTR) => {}
            done => return Ok(done?),
        }
    }
}

/// Takes the lock of an open file if nobody has it.
pub(crate) fn try_take(file: &File) -> bool {
    rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive).is_ok()
}
