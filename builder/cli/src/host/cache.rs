//! The content-addressed cache: verified downloads by digest, and what was computed from them.
//!
//! `sha256/ab/<hex>` holds inputs, hashed again each time they are first opened; `derived/ab/<hex>` holds sealed files
//! (see [`sealed`]), named by the digest of their key; `partial/` downloads under way; `locks/` empty files; `grains/`
//! belongs to [`memory`](super::memory). Any of it may be deleted at any time between builds, and the whole folder carried
//! elsewhere. Processes share it: names appear by rename, and one that derives makes the others wait.

mod sealed;
#[cfg(test)]
mod tests;

use super::at;
use super::file::FileAt;
use super::lock::Lock;
use super::output::Partial;
use fstree::WriteAt;
use nodeimg::digest::Digest;
use nodeimg::error::{Error, Result};
use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use sealed::Sealed;

/// A cache folder.
#[derive(Debug)]
pub(crate) struct Cache {
    root: PathBuf,
    /// Inputs that this process has hashed, and keeps open.
    verified: Mutex<BTreeMap<Digest, Arc<FileAt>>>,
    /// Files that were found damaged and deleted.
    damaged: Mutex<Vec<PathBuf>>,
}

impl Cache {
    /// Returns the cache in a folder, which is made once something is put there.
    pub(crate) fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            verified: Mutex::default(),
            damaged: Mutex::default(),
        }
    }

    /// Returns the folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the files that were found damaged, and deleted, since this was last asked.
    pub(crate) fn take_damaged(&self) -> Vec<PathBuf> {
        std::mem::take(&mut self.damaged.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Opens an input if it is here, after hashing all of it; one that is damaged is deleted, and not here.
    pub(crate) fn open(&self, digest: Digest) -> Result<Option<Arc<FileAt>>> {
        if let Some(file) = self
            .verified
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&digest)
        {
            return Ok(Some(file.clone()));
        }
        let path = self.input(digest);
        let Some(file) = open_if_there(&path)? else {
            return Ok(None);
        };
        if Digest::of_source(&file).map_err(at("read", &path))? != digest {
            self.discard(path)?;
            return Ok(None);
        }
        Ok(Some(self.remember(digest, file)))
    }

    /// Returns whether an input is here by name and, if known, size; reads nothing.
    pub(crate) fn has(&self, digest: Digest, size: Option<u64>) -> bool {
        fs::metadata(self.input(digest))
            .is_ok_and(|it| it.is_file() && size.is_none_or(|size| it.len() == size))
    }

    /// Takes a downloaded file, hashes it, and moves it to its name if it is what it should be.
    ///
    /// Returns what the file hashes to if that is something else; the file then stays where it is.
    pub(crate) fn adopt(
        &self,
        download: &Path,
        digest: Digest,
    ) -> Result<std::result::Result<Arc<FileAt>, Digest>> {
        let file = File::open(download).map_err(at("open", download))?;
        let file = FileAt::new(file).map_err(at("open", download))?;
        let found = Digest::of_source(&file).map_err(at("read", download))?;
        if found != digest {
            return Ok(Err(found));
        }
        let path = self.input(digest);
        let folder = path.parent().expect("an input's path has a folder");
        fs::create_dir_all(folder).map_err(at("make folder", folder))?;
        fs::set_permissions(download, Permissions::from_mode(0o444))
            .map_err(at("protect", download))?;
        File::open(download)
            .and_then(|it| it.sync_all())
            .map_err(at("write", download))?;
        fs::rename(download, &path).map_err(at("name", &path))?;
        super::file::sync_folder(folder).map_err(at("write folder", folder))?;
        Ok(Ok(self.remember(digest, file)))
    }

    /// Puts bytes into the cache and returns their digest.
    #[cfg(test)]
    pub(crate) fn insert(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        if self.open(digest)?.is_none() {
            super::output::write(&self.input(digest), bytes)?;
        }
        Ok(digest)
    }

    /// Opens what was derived under a key, or makes it: `make` writes, and returns how many bytes there are.
    ///
    /// The same key always means the same bytes. While one process makes them, others wait for it.
    pub(crate) fn derive(
        &self,
        key: &str,
        make: &mut dyn FnMut(&dyn WriteAt) -> io::Result<u64>,
    ) -> Result<Arc<Sealed>> {
        let name = Digest::of(key.as_bytes()).to_string();
        let path = self.root.join("derived").join(&name[..2]).join(&name);
        if let Some(sealed) = self.open_sealed(&path, key)? {
            return Ok(sealed);
        }
        let _lock = self.lock(&format!("derived-{name}"))?;
        if let Some(sealed) = self.open_sealed(&path, key)? {
            return Ok(sealed);
        }
        let partial = Partial::create(&path)?;
        let size = make(partial.out())
            .map_err(|err| Error::world(format!("cannot make {key}")).because(err))?;
        sealed::seal(partial.out(), size, key).map_err(at("write", &path))?;
        partial.finish()?;
        let sealed = self.open_sealed(&path, key)?;
        sealed.ok_or_else(|| {
            Error::world(format!(
                "{} is damaged just after it was written",
                path.display()
            ))
        })
    }

    /// Waits for one of the cache's locks.
    pub(crate) fn lock(&self, name: &str) -> Result<Lock> {
        Lock::take(&self.root.join("locks"), name)
    }

    /// Returns where a download under way is kept, by what it is.
    pub(crate) fn partial(&self, name: &str) -> PathBuf {
        self.root.join("partial").join(name)
    }

    fn input(&self, digest: Digest) -> PathBuf {
        let name = digest.to_string();
        self.root.join("sha256").join(&name[..2]).join(name)
    }

    fn remember(&self, digest: Digest, file: FileAt) -> Arc<FileAt> {
        let file = Arc::new(file);
        self.verified
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(digest, file.clone());
        file
    }

    fn open_sealed(&self, path: &Path, key: &str) -> Result<Option<Arc<Sealed>>> {
        let Some(file) = open_if_there(path)? else {
            return Ok(None);
        };
        match Sealed::open(file, path, key) {
            Ok(sealed) => Ok(Some(Arc::new(sealed))),
            Err(err) if err.kind() == io::ErrorKind::InvalidData => {
                self.discard(path.to_owned())?;
                Ok(None)
            }
            Err(err) => Err(at("read", path)(err)),
        }
    }

    fn discard(&self, path: PathBuf) -> Result<()> {
        match fs::remove_file(&path) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => {
                return Err(at("remove damaged file", &path)(err));
            }
            _ => {}
        }
        self.damaged
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(path);
        Ok(())
    }
}

/// Returns the cache folder of this user: `$XDG_CACHE_HOME/nodeimg`, or `~/.cache/nodeimg`.
pub(crate) fn default_root() -> Result<PathBuf> {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|it| it.is_absolute())
    };
    let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|it| it.join(".cache")));
    let base = base.ok_or_else(|| {
        Error::input("there is no folder for the cache")
            .help("set HOME or XDG_CACHE_HOME, or give --cache DIR")
    })?;
    Ok(base.join("nodeimg"))
}

fn open_if_there(path: &Path) -> Result<Option<FileAt>> {
    match FileAt::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(err) => Err(at("open", path)(err)),
    }
}
