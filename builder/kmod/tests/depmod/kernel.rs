//! A real kernel's modules: a Debian package, fetched once and kept; and depmod, run over trees made of it.

use kmod::{IndexFile, Kernel, Modules, SEARCH};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use tempfile::TempDir;

/// Runs a program in a folder; panics with the package to install if it is not there.
pub(crate) fn run(folder: &Path, program: &str, package: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C.UTF-8")
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

/// Returns the kernel package, from the cache or fetched into it.
fn package() -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _held = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let variable = |name: &str| {
        std::env::var_os(name)
            .filter(|it| !it.is_empty())
            .map(PathBuf::from)
    };
    let cache = variable("NODEIMG_TEST_CACHE").unwrap_or_else(|| {
        let base =
            variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|it| it.join(".cache")));
        base.expect("HOME is set").join("nodeimg-tests")
    });
    std::fs::create_dir_all(&cache).unwrap();
    let kept = |it: &Path| it.extension().is_some_and(|it| it == "deb") && is_kernel(it);
    let found = std::fs::read_dir(&cache)
        .unwrap()
        .map(|it| it.unwrap().path())
        .filter(|it| kept(it))
        .max();
    found.unwrap_or_else(|| fetch(&cache))
}

fn is_kernel(path: &Path) -> bool {
    path.file_name().is_some_and(|it| {
        it.to_string_lossy().starts_with("linux-image-") && it.to_string_lossy().contains("cloud")
    })
}

/// Fetches the newest kernel for clouds, which has a thousand modules, under its name, version and architecture.
fn fetch(cache: &Path) -> PathBuf {
    let scratch = tempfile::tempdir_in(cache).unwrap();
    let depends = run(
        scratch.path(),
        "apt-cache",
        "apt",
        &["depends", "linux-image-cloud-amd64"],
    );
    let name = depends
        .lines()
        .find_map(|it| it.trim().strip_prefix("Depends: "));
    let name = name.unwrap_or_else(|| {
        panic!("apt knows no linux-image-cloud-amd64, run apt-get update: {depends}")
    });
    run(scratch.path(), "apt-get", "apt", &["download", "-q", name]);
    let fetched = std::fs::read_dir(scratch.path())
        .unwrap()
        .next()
        .expect("apt-get fetched a file")
        .unwrap();
    let to = cache.join(fetched.file_name());
    std::fs::rename(fetched.path(), &to).unwrap();
    to
}

/// A kernel's folder on the host.
pub(crate) struct Tree {
    base: TempDir,
    pub(crate) abi: String,
}

impl Tree {
    /// Unpacks the kernel package.
    pub(crate) fn unpack() -> Self {
        let base = tempfile::tempdir().unwrap();
        run(
            base.path(),
            "dpkg-deb",
            "dpkg",
            &["-x", package().to_str().unwrap(), "."],
        );
        // Newer packages are merged into /usr; depmod looks below /lib.
        if !base.path().join("lib").exists() {
            std::os::unix::fs::symlink("usr/lib", base.path().join("lib")).unwrap();
        }
        let mut folders = std::fs::read_dir(base.path().join("lib/modules")).unwrap();
        let abi = folders
            .next()
            .unwrap()
            .unwrap()
            .file_name()
            .into_string()
            .unwrap();
        Self { base, abi }
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.base.path().join("lib/modules").join(&self.abi)
    }

    pub(crate) fn file(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder().join(name)).unwrap_or_else(|err| panic!("{name}: {err}"))
    }

    /// Returns the paths of all modules, sorted.
    pub(crate) fn modules(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![self.folder()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path
                    .file_name()
                    .is_some_and(|it| it.to_string_lossy().contains(".ko"))
                {
                    found.push(
                        path.strip_prefix(self.folder())
                            .unwrap()
                            .to_str()
                            .unwrap()
                            .to_owned(),
                    );
                }
            }
        }
        found.sort();
        found
    }

    /// Runs depmod, with its own defaults and not the host's, and returns the files it wrote.
    pub(crate) fn depmod(&self) -> BTreeMap<String, Vec<u8>> {
        let none = self.base.path().join("no-configuration");
        std::fs::create_dir_all(&none).unwrap();
        let base = self.base.path().to_str().unwrap();
        run(
            &self.folder(),
            "depmod",
            "kmod",
            &["-C", none.to_str().unwrap(), "-b", base, &self.abi],
        );
        let inputs = [
            "modules.order",
            "modules.builtin",
            "modules.builtin.modinfo",
        ];
        let entries = std::fs::read_dir(self.folder())
            .unwrap()
            .map(|it| it.unwrap());
        let entries = entries.map(|it| (it.file_name().into_string().unwrap(), it.path()));
        let written = entries
            .filter(|(name, _)| name.starts_with("modules.") && !inputs.contains(&name.as_str()));
        written
            .map(|(name, path)| (name, std::fs::read(path).unwrap()))
            .collect()
    }

    /// Returns what we make of the same.
    pub(crate) fn index(&self) -> Result<Vec<IndexFile>, kmod::Error> {
        let paths = self.modules();
        let paths: Vec<_> = paths.iter().map(String::as_str).collect();
        let load = |it: usize| std::fs::read(self.folder().join(paths[it]));
        let [order, builtin, modinfo] = [
            "modules.order",
            "modules.builtin",
            "modules.builtin.modinfo",
        ]
        .map(|it| self.file(it));
        let kernel = Kernel {
            order: &order,
            builtin: &builtin,
            builtin_modinfo: &modinfo,
            search: SEARCH,
        };
        kmod::index(
            &Modules {
                paths: &paths,
                load: &load,
            },
            &kernel,
        )
    }
}

/// Compares our files with depmod's, which newer versions write more of.
pub(crate) fn assert_equal(ours: &[IndexFile], depmods: &BTreeMap<String, Vec<u8>>) {
    for IndexFile { name, bytes } in ours {
        let want = depmods
            .get(*name)
            .unwrap_or_else(|| panic!("depmod writes no {name}"));
        if bytes != want {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let (ours, want) = (text(bytes), text(want));
            let first = ours.lines().zip(want.lines()).find(|(a, b)| a != b);
            panic!(
                "{name} differs, of {} and {} bytes: {first:?}",
                ours.len(),
                want.len()
            );
        }
    }
    let others = depmods
        .keys()
        .filter(|name| ours.iter().all(|it| it.name != name.as_str()));
    let others: Vec<_> = others
        .filter(|it| !it.contains("builtin") && *it != "modules.weakdep")
        .collect();
    assert!(others.is_empty(), "depmod also writes {others:?}");
}
