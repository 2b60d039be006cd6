//! A world so small that a whole build of it takes a fraction of a second: two base images of some MiB, a repository of
//! three packages, one signing key, a cluster of two nodes.
//!
//! Made anew by each run, with the tools that make the real ones (mke2fs, sfdisk, qemu-img, dpkg-deb, gpg), so that the
//! builds of hundreds of kill points and full disks are affordable. What is in it exercises every step of a plan: `vm` is a
//! qcow2 with a GPT and a seed partition of its own, `card` an xz with an MBR and a FAT boot partition.

mod base;
mod packages;
mod profiles;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use tests::{binary, run, target};

/// The one host of this world.
pub(crate) const HOST: &str = "mini.example";
/// Every format there is.
pub(crate) const FORMATS: [&str; 7] = ["ova", "vmdk", "qcow2", "raw", "img", "img.zst", "img.xz"];

/// The world: what is the same for all builds.
pub(crate) struct World {
    folder: PathBuf,
}

/// A folder somebody builds in, with the world's profiles, cluster and settings, and a cache of its own.
pub(crate) struct Place {
    folder: PathBuf,
}

/// What a build is compared with: every file it leaves, by name.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// Returns the world, made once a run.
pub(crate) fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let folder = target().join("small/world");
        fs::remove_dir_all(&folder).ok();
        World::make(&folder);
        World { folder }
    })
}

impl World {
    fn make(folder: &Path) {
        let host = folder.join("mirror").join(HOST);
        let (images, repository) = (host.join("images"), host.join("debian"));
        let (work, keys) = (folder.join("work"), folder.join("keys"));
        for it in [&images, &repository, &work, &keys] {
            fs::create_dir_all(it).expect("a folder");
        }
        packages::key(&keys);
        base::make(&work, &images);
        packages::sign(&keys, "images", &images);
        packages::make(&work, &repository);
        packages::sign(&keys, "release", &repository);
        let cluster = folder.join("cluster");
        fs::create_dir_all(&cluster).expect("a folder");
        fs::write(cluster.join("cluster.toml"), profiles::CLUSTER).expect("a file");
        run(Command::new(binary())
            .current_dir(&cluster)
            .args(["cluster", "init"]));
        fs::remove_dir_all(&work).expect("the work is done");
    }

    /// Returns the folder that stands in for the world's servers, by host.
    pub(crate) fn mirror(&self) -> PathBuf {
        self.folder.join("mirror")
    }

    /// Returns the public key that signed everything.
    pub(crate) fn key(&self) -> PathBuf {
        self.folder.join("keys/mini.gpg")
    }

    /// Returns the folder of keys, by which more can be signed.
    pub(crate) fn keys(&self) -> PathBuf {
        self.folder.join("keys")
    }

    /// Copies the mirror, the key, and the cluster: for a user who may not look where the tests are.
    pub(crate) fn copy(&self, to: &Path) -> Self {
        run(Command::new("cp")
            .arg("-a")
            .args([self.mirror(), self.folder.join("cluster")])
            .arg(to));
        fs::create_dir_all(to.join("keys")).expect("a folder");
        fs::copy(self.key(), to.join("keys/mini.gpg")).expect("a copy");
        Self {
            folder: to.to_owned(),
        }
    }

    /// Makes an empty place to build in, which takes its inputs straight from the mirror's folder.
    pub(crate) fn place(&self, name: &str) -> Place {
        let folder = target().join("small/places").join(name);
        fs::remove_dir_all(&folder).ok();
        self.place_at(folder)
    }

    /// The same in a folder of the caller's.
    pub(crate) fn place_at(&self, folder: PathBuf) -> Place {
        profiles::write(&folder);
        run(Command::new("cp")
            .arg("-a")
            .args([
                self.folder.join("cluster/cluster.toml"),
                self.folder.join("cluster/cluster.secrets"),
            ])
            .arg(&folder));
        let place = Place { folder };
        place.take_from(&self.mirror().join(HOST).display().to_string(), &self.key());
        place
    }
}

impl Place {
    /// Returns the folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns where the cache is.
    pub(crate) fn cache(&self) -> PathBuf {
        self.folder.join("cache")
    }

    /// Returns where artifacts go.
    pub(crate) fn out(&self) -> PathBuf {
        self.folder.join("out")
    }

    /// Writes settings that take everything from a URL or a folder.
    pub(crate) fn take_from(&self, source: &str, key: &Path) {
        let text = format!(
            "[mirrors]\n\"http://{HOST}\" = {source:?}\n[keys]\nmini = {:?}\n",
            key.display().to_string()
        );
        fs::write(self.folder.join("nodeimg.toml"), text).expect("a file");
    }

    /// Returns the command, in this place.
    pub(crate) fn nodeimg(&self) -> Command {
        let mut command = Command::new(binary());
        self.set(&mut command);
        command
    }

    /// Gives a command this place's folder and cache; the machine's own settings play no part.
    pub(crate) fn set(&self, command: &mut Command) {
        command
            .current_dir(&self.folder)
            .env("XDG_CONFIG_HOME", self.folder.join("no-settings"))
            .env("HOME", &self.folder)
            .env("XDG_CACHE_HOME", self.folder.join("elsewhere"))
            .arg("--cache")
            .arg(self.cache());
    }

    /// Returns a build of a profile to some formats.
    pub(crate) fn build(&self, profile: &str, formats: &[&str]) -> Command {
        let mut command = self.nodeimg();
        command
            .args(["build", "--profile", profile])
            .args(formats.iter().flat_map(|it| ["--format", it]));
        command
    }

    /// Forgets everything that builds left: cache, locks and artifacts.
    pub(crate) fn forget(&self) {
        for it in [self.cache(), self.out(), self.folder.join("locks")] {
            fs::remove_dir_all(it).ok();
        }
    }

    /// Returns what is in the folder of artifacts.
    pub(crate) fn files(&self) -> Files {
        read(&self.out())
    }

    /// Returns the paths of files that a build has begun and not named, wherever it may write.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let found = below(&self.folder);
        let names = found.iter().map(|it| it.display().to_string());
        names.filter(|it| it.contains(".partial-")).collect()
    }

    /// Returns every file of the cache but its locks, which are empty.
    pub(crate) fn cached(&self) -> Vec<PathBuf> {
        let mut found = below(&self.cache());
        found.retain(|it| !it.starts_with(self.cache().join("locks")));
        found
    }
}

/// Returns what a folder's files hold; none if there is no folder.
pub(crate) fn read(folder: &Path) -> Files {
    let Ok(entries) = fs::read_dir(folder) else {
        return Files::new();
    };
    let file = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().expect("UTF-8");
        (name, fs::read(entry.path()).expect("a file"))
    };
    entries.flatten().map(file).collect()
}

/// Returns a command as another program starts it: its arguments, environment and folder stay.
pub(crate) fn through<S: AsRef<OsStr>>(program: &[S], command: &Command) -> Command {
    let mut res = Command::new(&program[0]);
    res.args(&program[1..])
        .arg(command.get_program())
        .args(command.get_args())
        .envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
    if let Some(folder) = command.get_current_dir() {
        res.current_dir(folder);
    }
    res
}

/// Returns the permission bits of a file.
pub(crate) fn mode(path: &Path) -> u32 {
    let known = fs::metadata(path).expect("it is there");
    known.permissions().mode() & 0o777
}

/// Returns all files below a folder.
pub(crate) fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|it| it.is_dir()) {
                folders.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

/// Returns what an undisturbed build of a profile leaves, every format of it; built once.
pub(crate) fn reference(profile: &'static str) -> &'static Files {
    static REFERENCES: [OnceLock<Files>; 2] = [OnceLock::new(), OnceLock::new()];
    let at = usize::from(profile == "card");
    REFERENCES[at].get_or_init(|| {
        let place = world().place(&format!("reference-{profile}"));
        run(&mut place.build(profile, &FORMATS));
        place.files()
    })
}

/// Returns the names of the files that describe an artifact.
pub(crate) fn beside(profile: &str, format: &str) -> Vec<String> {
    let (map, sums) = (
        format!("{profile}.bmap"),
        format!("{profile}.{format}.sha256"),
    );
    match format {
        "raw" | "img" => vec![map],
        "img.zst" | "img.xz" => vec![map, sums],
        _ => vec![sums],
    }
}

/// Says which of the files are not what the reference has under their names.
pub(crate) fn wrong(files: &Files, reference: &Files) -> Vec<String> {
    let differs = |(name, bytes): (&String, &Vec<u8>)| match reference.get(name) {
        _ if name.contains(".partial-") => None,
        None => Some(format!("{name} should not be there")),
        Some(it) if it == bytes => None,
        Some(it) => {
            let at = it.iter().zip(bytes).position(|(a, b)| a != b);
            Some(format!(
                "{name} differs at byte {:?}: {} bytes of {}",
                at,
                bytes.len(),
                it.len()
            ))
        }
    };
    files.iter().filter_map(differs).collect()
}

/// Checks that the formats asked for are all there, and equal to the reference's byte for byte.
#[track_caller]
pub(crate) fn assert_whole(files: &Files, profile: &'static str, formats: &[&str]) {
    let reference = reference(profile);
    assert_eq!(wrong(files, reference), [""; 0]);
    for format in formats {
        for name in beside(profile, format)
            .into_iter()
            .chain([format!("{profile}.{format}")])
        {
            assert!(files.contains_key(&name), "{name} is missing");
        }
    }
    assert!(
        files.keys().all(|it| !it.starts_with('.')),
        "left over: {:?}",
        files.keys()
    );
}
