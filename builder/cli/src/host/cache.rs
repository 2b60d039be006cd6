//! The content-addressed cache: verified downloads by digest, and what was computed from them.
//!
//! `sha256/ab/<hex>` holds inputs, verified whenever they are used (see [`input`]); `derived/ab/<hex>` holds sealed files
//! (see [`sealed`]), named by the digest of their key; `partial/` downloads under way; `locks/` empty files; `grains/`
//! belongs to [`memory`](super::memory). Any of it may be deleted at any time between builds, and the whole folder carried
//! elsewhere. Processes share it: names appear by rename, and one that derives makes the others wait. What rots is deleted
//! when it is found, and made anew; what changes while a build uses it is found by [`Cache::check_again`] before anything
//! made of it gets a name.

mod checked;
mod input;
mod sealed;
#[cfg(test)]
mod tests;

use super::at;
use super::file::{self, FileAt};
use super::lock::Lock;
use super::output::{Partial, Readers};
use fstree::WriteAt;
use nodeimg::digest::Digest;
use nodeimg::error::{Error, Result};
use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

pub(crate) use input::Input;
pub(crate) use sealed::Sealed;
use sealed::Summed;

/// A cache folder.
#[derive(Debug)]
pub(crate) struct Cache {
    root: PathBuf,
    /// Inputs that this process has verified, or verifies as it reads them, and keeps open.
    inputs: Mutex<BTreeMap<Digest, Arc<Input>>>,
    /// Derived files that this process has opened.
    opened: Mutex<Vec<Weak<Sealed>>>,
    damage: Arc<Damage>,
}

/// Files that were found damaged and deleted.
#[derive(Debug, Default)]
struct Damage {
    files: Mutex<Vec<PathBuf>>,
    /// Whether one of them was found so after its use had begun.
    in_use: AtomicBool,
}

impl Damage {
    /// Deletes a file that is damaged, and takes note.
    fn discard(&self, path: &Path) -> io::Result<()> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if !files.iter().any(|it| it == path) {
            files.push(path.to_owned());
        }
        file::remove(path)
    }

    /// The same for a file that something was made of already: that is to be done again.
    fn in_use(&self, path: &Path) -> io::Error {
        self.in_use.store(true, Ordering::Relaxed);
        // A file that cannot be deleted is found again by the next build.
        self.discard(path).ok();
        file::Failed::damaged(path)
    }
}

impl Cache {
    /// Returns the cache in a folder, which is made once something is put there.
    pub(crate) fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            inputs: Mutex::default(),
            opened: Mutex::default(),
            damage: Arc::default(),
        }
    }

    /// Returns the folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the files that were found damaged, and deleted, since this was last asked.
    pub(crate) fn take_damaged(&self) -> Vec<PathBuf> {
        let mut files = self
            .damage
            .files
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut files)
    }

    /// Looks again at every file in use that may have changed since it was checked. What is damaged is deleted, and an
    /// error until [`Cache::take_spoiled`] is asked: whatever was made of it is not to be trusted.
    pub(crate) fn check_again(&self) -> Result<()> {
        let mut damaged = None;
        let changed = |path: &Path| format!("{} changed while it was used", path.display());
        self.inputs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|digest, input| {
                let good = !input.is_broken()
                    && (!input.may_have_changed()
                        || Digest::of_source(&**input).is_ok_and(|it| it == *digest));
                if !good {
                    let path = self.input(*digest);
                    damaged = Some((changed(&path), self.damage.in_use(&path)));
                }
                good
            });
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        for sealed in opened.iter().filter_map(Weak::upgrade) {
            if let Err(cause) = sealed.check_again() {
                damaged = Some((changed(sealed.path()), cause));
            }
        }
        if damaged.is_none() && self.damage.in_use.load(Ordering::Relaxed) {
            let what = "a file of the cache changed while it was used".to_owned();
            damaged = Some((what, file::Failed::damaged(&self.root)));
        }
        damaged.map_or(Ok(()), |(what, cause)| {
            Err(Error::world(what).because(cause).help(
                "build again: it will be made anew; and see who writes to the cache, or whether its disk fails",
            ))
        })
    }

    /// Returns, once, whether something this process used turned out to be damaged: doing the same again may succeed.
    pub(crate) fn take_spoiled(&self) -> bool {
        self.check_again().ok();
        self.damage.in_use.swap(false, Ordering::Relaxed)
    }

    /// Opens an input if it is here; one that is damaged is deleted, and not here. What is read of it is verified.
    pub(crate) fn open(&self, digest: Digest) -> Result<Option<Arc<Input>>> {
        if let Some(file) = self
            .inputs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&digest)
        {
            return Ok(Some(file.clone()));
        }
        let input = Input::open(self, digest, &self.input(digest))?;
        Ok(input.map(|it| self.remember(digest, it)))
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
    ) -> Result<std::result::Result<Arc<Input>, Digest>> {
        let file = File::open(download).map_err(at("open", download))?;
        let path = self.input(digest);
        let file = FileAt::new(file, &path).map_err(at("open", download))?;
        let input = match Input::adopt(self, digest, file, download)? {
            Ok(input) => input,
            Err(found) => return Ok(Err(found)),
        };
        let folder = path.parent().expect("an input's path has a folder");
        fs::create_dir_all(folder).map_err(at("make folder", folder))?;
        fs::set_permissions(download, Permissions::from_mode(0o444))
            .map_err(at("protect", download))?;
        File::open(download)
            .and_then(|it| it.sync_all())
            .map_err(at("write", download))?;
        fs::rename(download, &path).map_err(at("name", &path))?;
        super::file::sync_folder(folder).map_err(at("write folder", folder))?;
        Ok(Ok(self.remember(digest, input)))
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
        let path = self.derived(key);
        if let Some(sealed) = self.open_sealed(&path, key)? {
            return Ok(sealed);
        }
        let name = Digest::of(key.as_bytes());
        let _lock = self.lock(&format!("derived-{name}"))?;
        if let Some(sealed) = self.open_sealed(&path, key)? {
            return Ok(sealed);
        }
        let partial = Partial::create(&path, Readers::All)?;
        let out = Summed::new(partial.out());
        let size =
            make(&out).map_err(|err| Error::world(format!("cannot make {key}")).because(err))?;
        sealed::seal(partial.out(), size, key, out.sum()).map_err(|err| {
            if err.kind() == io::ErrorKind::InvalidData {
                // To be made again, like what is damaged later.
                self.damage.in_use.store(true, Ordering::Relaxed);
            }
            at("write", &path)(err)
        })?;
        // What it was made of is what it says only if it still is what was checked.
        self.check_again()?;
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

    /// Returns where what was derived under a key is. The layout of sealed files is part of the name.
    fn derived(&self, key: &str) -> PathBuf {
        let name = Digest::of(format!("{key} in chunks of 64 KiB").as_bytes()).to_string();
        self.root.join("derived").join(&name[..2]).join(&name)
    }

    fn remember(&self, digest: Digest, input: Arc<Input>) -> Arc<Input> {
        self.inputs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(digest, input.clone());
        input
    }

    fn open_sealed(&self, path: &Path, key: &str) -> Result<Option<Arc<Sealed>>> {
        let Some(file) = open_if_there(path)? else {
            return Ok(None);
        };
        match Sealed::open(file, path, key, &self.damage) {
            Ok(sealed) => {
                let sealed = Arc::new(sealed);
                let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
                opened.push(Arc::downgrade(&sealed));
                Ok(Some(sealed))
            }
            Err(err) if err.kind() == io::ErrorKind::InvalidData => {
                self.discard(path)?;
                Ok(None)
            }
            Err(err) => Err(at("read", path)(err)),
        }
    }

    fn discard(&self, path: &Path) -> Result<()> {
        self.damage
            .discard(path)
            .map_err(at("remove damaged file", path))
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
