//! Files that appear under their name whole or not at all.
//!
//! A [`Partial`] is written as `.<name>.partial-<pid>-<n>` beside its goal and takes its name in one step, after its
//! bytes are on the disk. It locks itself while its process lives: what a killed build left behind has no lock, and the
//! next build in that folder removes it.

use super::file::{FileOut, sync_folder};
use super::{at, lock};
use nodeimg::error::{Error, Result};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A file on its way to its name. Dropped before [`Partial::finish`], it is gone.
#[derive(Debug)]
pub(crate) struct Partial {
    out: FileOut,
    path: PathBuf,
    goal: PathBuf,
    done: bool,
}

/// Tells apart the partial files of one process.
static COUNT: AtomicU32 = AtomicU32::new(0);

const MARK: &str = ".partial-";

impl Partial {
    /// Makes an empty file that will be called `goal`, in a folder that is made if need be.
    ///
    /// Partial files of the same goal whose process is gone are removed.
    pub(crate) fn create(goal: &Path) -> Result<Self> {
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
        sweep(folder, &format!(".{name}{MARK}"));
        loop {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!(".{name}{MARK}{}-{count}", std::process::id()));
            let file = match File::options()
                .create_new(true)
                .read(true)
                .write(true)
                .open(&path)
            {
                Err(err) if err.kind() == io::ErrorKind::AlreadyExists => continue,
                file => file.map_err(at("make", &path))?,
            };
            lock::wait(&file).map_err(at("lock", &path))?;
            // Between making and locking, another build may have taken the file for a dead one.
            if file.metadata().map_err(at("look at", &path))?.nlink() > 0 {
                return Ok(Self {
                    out: FileOut::new(file),
                    path,
                    goal: goal.to_owned(),
                    done: false,
                });
            }
        }
    }

    /// Returns the file to write into.
    pub(crate) fn out(&self) -> &FileOut {
        &self.out
    }

    /// Brings the bytes to the disk and gives the file its name, in place of an older file.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.out.sync().map_err(at("write", &self.path))?;
        fs::rename(&self.path, &self.goal).map_err(at("name", &self.goal))?;
        self.done = true;
        let folder = folder_of(&self.goal);
        sync_folder(folder).map_err(at("write folder", folder))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.done {
            // Nothing can be done about a failure here; the next build sweeps.
            drop(fs::remove_file(&self.path));
        }
    }
}

/// Writes a small file whole.
pub(crate) fn write(goal: &Path, bytes: &[u8]) -> Result<()> {
    let partial = Partial::create(goal)?;
    partial
        .out()
        .file()
        .write_all(bytes)
        .map_err(at("write", goal))?;
    partial.finish()
}

/// Writes a small file whole, with these permission bits from its first byte on, whatever the umask.
pub(crate) fn write_with_mode(goal: &Path, mode: u32, bytes: &[u8]) -> Result<()> {
    let partial = Partial::create(goal)?;
    let mut file = partial.out().file();
    file.set_permissions(fs::Permissions::from_mode(mode))
        .map_err(at("protect", goal))?;
    file.write_all(bytes).map_err(at("write", goal))?;
    partial.finish()
}

/// Removes the partial files of processes that are gone: those whose name begins so and that nobody locks.
fn sweep(folder: &Path, prefix: &str) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|it| {
        it.file_name()
            .to_str()
            .is_some_and(|it| it.starts_with(prefix))
    }) {
        let path = entry.path();
        // A failure leaves a file that is hidden and hurts nobody.
        if let Ok(file) = File::options().write(true).open(&path)
            && lock::try_take(&file)
        {
            drop(fs::remove_file(&path));
        }
    }
}

fn folder_of(path: &Path) -> &Path {
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
        let partial = Partial::create(&goal).unwrap();
        partial.out().write_all_at(b"new", 0).unwrap();
        assert!(!goal.exists());
        drop(partial);
        assert_eq!(names(&folder.path().join("deep")), [""; 0]);
        fs::write(&goal, "old").unwrap();
        let partial = Partial::create(&goal).unwrap();
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
        let living = Partial::create(&goal).unwrap();
        fs::write(folder.path().join(".a.img.partial-4000000-0"), "left").unwrap();
        fs::write(
            folder.path().join(".b.img.partial-4000000-0"),
            "of another goal",
        )
        .unwrap();
        drop(Partial::create(&goal).unwrap());
        let left = names(folder.path());
        assert_eq!(left.len(), 2, "{left:?}");
        assert!(left[0].starts_with(".a.img.partial-") && left[0] != ".a.img.partial-4000000-0");
        living.finish().unwrap();
        assert_eq!(names(folder.path()), [".b.img.partial-4000000-0", "a.img"]);
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
                matches!(Partial::create(goal), Err(Error::Input { .. })),
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
