//! Files that appear under their name whole or not at all.
//!
//! A [`Partial`] is written as `.<name>.partial-<pid>-<n>` beside its goal and takes its name in one step, after its
//! bytes are on the disk. It locks itself while its process lives: what a killed build left behind has no lock, and the
//! next build in that folder removes it. A process that is asked to end removes its own: see [`abandon_all`].

use super::file::{self, FileOut, sync_folder};
use super::{at, lock};
use nodeimg::error::{Error, Result};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Who may read a file; the umask takes its part from both.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Readers {
    /// Everybody.
    All,
    /// Its owner: it holds secrets.
    Owner,
}

/// A file on its way to its name. Dropped before [`Partial::finish`], it is gone.
#[derive(Debug)]
pub(crate) struct Partial {
    out: FileOut,
    path: PathBuf,
    goal: PathBuf,
}

/// Tells apart the partial files of one process.
static COUNT: AtomicU32 = AtomicU32::new(0);
/// The partial files of this process. Names are made and taken away while it is locked.
static UNDER_WAY: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

const MARK: &str = ".partial-";

fn under_way() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Partial {
    /// Makes an empty file that will be called `goal`, in a folder that is made if need be.
    ///
    /// Partial files in that folder whose process is gone are removed.
    pub(crate) fn create(goal: &Path, readers: Readers) -> Result<Self> {
        let name = goal.file_name().and_then(|it| it.to_str());
        let name =
            name.ok_or_else(|| Error::input(format!("{} is no file name", goal.display())))?;
        let folder = folder_of(goal);
        if fs::symlink_metadata(goal).is_ok_and(|it| !it.is_file()) {
            let what = format!("{} exists and is no regular file", goal.display());
            return Err(Error::input(what)
                .help("choose another name; nodeimg writes files, not devices or links"));
        }
        fs::create_dir_all(folder).map_err(at("make folder", folder))?;
        sweep(folder);
        let mode = match readers {
            Readers::All => 0o666,
            Readers::Owner => 0o600,
        };
        loop {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!(".{name}{MARK}{}-{count}", std::process::id()));
            let mut under_way = under_way();
            let file = match File::options()
                .create_new(true)
                .read(true)
                .write(true)
                .mode(mode)
                .open(&path)
            {
                Err(err) if err.kind() == io::ErrorKind::AlreadyExists => continue,
                file => file.map_err(at("make", &path))?,
            };
            under_way.insert(path.clone());
            drop(under_way);
            let partial = Self {
                out: FileOut::new(file, &path),
                path,
                goal: goal.to_owned(),
            };
            let file = partial.out.file();
            lock::wait(file).map_err(at("lock", &partial.path))?;
            // Between making and locking, another build may have taken the file for a dead one.
            if file
                .metadata()
                .map_err(at("look at", &partial.path))?
                .nlink()
                > 0
            {
                return Ok(partial);
            }
        }
    }

    /// Returns the file to write into.
    pub(crate) fn out(&self) -> &FileOut {
        &self.out
    }

    /// Returns the name that the file will have.
    pub(crate) fn goal(&self) -> &Path {
        &self.goal
    }

    /// Brings the bytes to the disk and gives the file its name, in place of an older file.
    pub(crate) fn finish(self) -> Result<()> {
        Self::finish_all(vec![self], &[])
    }

    /// Does so with an artifact and those that describe it, all in one folder: older descriptions go before the artifact
    /// comes, and the new ones come after it, so that at no time one stands beside an artifact that it is not of. Those
    /// of the names `stale` go and do not come again.
    pub(crate) fn finish_all(partials: Vec<Self>, stale: &[String]) -> Result<()> {
        for it in &partials {
            it.out.sync().map_err(at("write", &it.path))?;
        }
        let Some(first) = partials.first() else {
            return Ok(());
        };
        let folder = folder_of(&first.goal).to_owned();
        // Nor may another build's names come between these.
        let _lock = (partials.len() > 1 || !stale.is_empty())
            .then(|| lock::folder(&folder))
            .transpose()
            .map_err(at("lock", &folder))?;
        let older = partials[1..].iter().map(|it| it.goal.clone());
        for old in older.chain(stale.iter().map(|it| folder.join(it))) {
            file::remove(&old).map_err(at("replace", &old))?;
        }
        for it in partials {
            it.finish_unsynced()?;
        }
        sync_folder(&folder).map_err(at("write folder", &folder))
    }

    /// Gives the file its name without waiting for the disk: for what is checked when it is read, and can be made again.
    pub(crate) fn finish_unsynced(self) -> Result<()> {
        let mut under_way = under_way();
        fs::rename(&self.path, &self.goal).map_err(at("name", &self.goal))?;
        under_way.remove(&self.path);
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if under_way().remove(&self.path) {
            // Nothing can be done about a failure here; the next build sweeps.
            drop(fs::remove_file(&self.path));
        }
    }
}

/// Removes all files of this process that have no name yet, for good: no file gets a name after this.
pub(crate) fn abandon_all() {
    let mut under_way = under_way();
    for path in std::mem::take(&mut *under_way) {
        drop(fs::remove_file(path));
    }
    std::mem::forget(under_way);
}

/// Writes a small file whole.
pub(crate) fn write(goal: &Path, bytes: &[u8]) -> Result<()> {
    let partial = Partial::create(goal, Readers::All)?;
    partial
        .out()
        .file()
        .write_all(bytes)
        .map_err(at("write", goal))?;
    partial.finish()
}

/// Writes a small file whole, with these permission bits whatever the umask; until it has them it is its owner's alone.
pub(crate) fn write_with_mode(goal: &Path, mode: u32, bytes: &[u8]) -> Result<()> {
    let partial = Partial::create(goal, Readers::Owner)?;
    let mut file = partial.out().file();
    file.set_permissions(fs::Permissions::from_mode(mode))
        .map_err(at("protect", goal))?;
    file.write_all(bytes).map_err(at("write", goal))?;
    partial.finish()
}

/// Returns whether a file's name is one that [`Partial::create`] gives.
fn is_partial(name: &str) -> bool {
    let numbers = name
        .strip_prefix('.')
        .and_then(|it| it.rsplit_once(MARK))
        .and_then(|(_, numbers)| numbers.split_once('-'));
    let digits = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit());
    numbers.is_some_and(|(pid, count)| digits(pid) && digits(count))
}

/// Removes the partial files of processes that are gone: those that nobody locks.
pub(crate) fn sweep(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|it| it.file_name().to_str().is_some_and(is_partial)) {
        let path = entry.path();
        // A failure leaves a file that is hidden and hurts nobody.
        if let Ok(file) = File::options().write(true).open(&path)
            && lock::try_take(&file)
        {
            drop(fs::remove_file(&path));
        }
    }
}

/// Returns the folder a file is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|it| !it.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fstree::WriteAt as _;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().flatten();
        let mut names: Vec<_> = entries
            .map(|it| it.file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let goal = folder.path().join("deep/a.img");
        let partial = Partial::create(&goal, Readers::All).unwrap();
        partial.out().write_all_at(b"new", 0).unwrap();
        assert!(!goal.exists());
        drop(partial);
        assert_eq!(names(&folder.path().join("deep")), [""; 0]);
        fs::write(&goal, "old").unwrap();
        let partial = Partial::create(&goal, Readers::All).unwrap();
        partial.out().write_all_at(b"new", 0).unwrap();
        assert_eq!(fs::read(&goal).unwrap(), b"old");
        partial.finish().unwrap();
        assert_eq!(fs::read(&goal).unwrap(), b"new");
        assert_eq!(names(&folder.path().join("deep")), ["a.img"]);
    }

    #[test]
    fn what_a_killed_build_left_is_removed_and_what_a_living_one_writes_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let goal = folder.path().join("a.img");
        let living = Partial::create(&goal, Readers::All).unwrap();
        for name in [".a.img.partial-4000000-0", ".b.img.partial-4000000-12"] {
            fs::write(folder.path().join(name), "left").unwrap();
        }
        let others = [".a.img.partial-x-0", ".c.partial-1", "a.partial-1-1"];
        for name in others {
            fs::write(folder.path().join(name), "somebody else's").unwrap();
        }
        drop(Partial::create(&goal, Readers::All).unwrap());
        living.finish().unwrap();
        let mut kept = [&others[..], &["a.img"]].concat();
        kept.sort_unstable();
        assert_eq!(names(folder.path()), kept);
    }

    #[test]
    fn descriptions_come_after_what_they_describe_and_secrets_are_their_owners() {
        let folder = tempfile::tempdir().unwrap();
        let goals = ["a.img", "a.bmap"].map(|it| folder.path().join(it));
        fs::write(folder.path().join("a.sha256"), "of an older artifact").unwrap();
        for text in ["old", "new"] {
            let partials = goals.iter().map(|goal| {
                let partial = Partial::create(goal, Readers::Owner).unwrap();
                partial.out().write_all_at(text.as_bytes(), 0).unwrap();
                partial
            });
            Partial::finish_all(partials.collect(), &["a.sha256".to_owned()]).unwrap();
            for goal in &goals {
                assert_eq!(fs::read_to_string(goal).unwrap(), text);
                assert_eq!(fs::metadata(goal).unwrap().mode() & 0o777, 0o600);
            }
        }
        assert_eq!(names(folder.path()), ["a.bmap", "a.img"]);
    }

    #[test]
    fn folders_devices_and_links_are_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/null", folder.path().join("link")).unwrap();
        for goal in [
            Path::new("/dev/null"),
            folder.path(),
            &folder.path().join("link"),
        ] {
            assert!(
                matches!(
                    Partial::create(goal, Readers::All),
                    Err(Error::Input { .. })
                ),
                "{}",
                goal.display()
            );
        }
    }

    #[test]
    fn many_threads_make_partials_of_one_goal() {
        let folder = tempfile::tempdir().unwrap();
        let goal = folder.path().join("a");
        std::thread::scope(|scope| {
            for it in 0..8_u8 {
                let goal = &goal;
                scope.spawn(move || (0..20).for_each(|_| write(goal, &[it; 5000]).unwrap()));
            }
        });
        let bytes = fs::read(&goal).unwrap();
        assert!(bytes.len() == 5000 && bytes.iter().all(|it| *it == bytes[0]));
        assert_eq!(names(folder.path()), ["a"]);
    }
}
