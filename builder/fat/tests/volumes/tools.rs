//! The independent programs, and images for them.

use fstree::ReadAt;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use tempfile::TempDir;

/// Runs a program and returns what it prints; panics with the package to install if it is not there.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let package = if program.starts_with('m') && program != "mkfs.vfat" {
        "mtools"
    } else {
        "dosfstools"
    };
    let package = if program == "blkid" {
        "util-linux"
    } else {
        package
    };
    let path = "/usr/sbin:/usr/bin:/sbin:/bin";
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", path)
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC")
        .env("MTOOLS_SKIP_CHECK", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|err| {
            panic!("{program} does not run ({err}): install the Debian package {package}")
        });
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}\n{text}{errors}",
        output.status
    );
    text
}

/// Returns a folder in memory where there is one, so that no test waits for a disk.
fn in_memory() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

/// A file that holds a volume, holes as holes.
pub(crate) struct Image {
    pub(crate) folder: TempDir,
    pub(crate) path: PathBuf,
}

impl Image {
    pub(crate) fn new(volume: &dyn ReadAt) -> Self {
        let folder = in_memory();
        let path = folder.path().join("volume");
        let file = std::fs::File::create(&path).unwrap();
        file.set_len(volume.size()).unwrap();
        let mut at = 0;
        let mut piece = vec![0; 1 << 20];
        while let Some(data) = volume.next_data(at).unwrap() {
            at = data.start;
            while at < data.end {
                let n = usize::try_from((data.end - at).min(1 << 20)).unwrap();
                volume.read_exact_at(&mut piece[..n], at).unwrap();
                file.write_all_at(&piece[..n], at).unwrap();
                at += u64::try_from(n).unwrap();
            }
        }
        Self { folder, path }
    }

    pub(crate) fn name(&self) -> &str {
        self.path.to_str().unwrap()
    }

    pub(crate) fn load(&self) -> Arc<dyn ReadAt> {
        Arc::new(std::fs::read(&self.path).unwrap())
    }

    /// Runs the checker, which changes nothing and finds nothing.
    pub(crate) fn check(&self) {
        run("fsck.fat", &["-n", "-v", self.name()]);
    }

    /// Copies everything out.
    pub(crate) fn extract(&self) -> PathBuf {
        let to = self.folder.path().join("out");
        std::fs::create_dir(&to).unwrap();
        run(
            "mcopy",
            &[
                "-s",
                "-n",
                "-m",
                "-i",
                self.name(),
                "::/",
                to.to_str().unwrap(),
            ],
        );
        to
    }
}

/// Returns all bytes.
pub(crate) fn bytes(volume: &dyn ReadAt) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(volume.size()).unwrap()];
    volume.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

/// Returns the files below a folder of the host: path and content, `None` for a folder.
pub(crate) fn files_below(folder: &Path) -> Vec<(String, Option<Vec<u8>>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(here) = folders.pop() {
        for entry in std::fs::read_dir(here).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("/{}", path.strip_prefix(folder).unwrap().to_str().unwrap());
            if path.is_dir() {
                found.push((name, None));
                folders.push(path);
            } else {
                found.push((name, Some(std::fs::read(&path).unwrap())));
            }
        }
    }
    found.sort();
    found
}
