//! What whole builds need: the stand-ins' mirror on a local server, the command, and folders that go away.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

pub(crate) use tests::{Server, binary, repository, run, serve, text};

/// Origins of the shipped profiles, all of which the mirror has.
const ORIGINS: [&str; 9] = [
    "https://cloud-images.ubuntu.com",
    "https://cdimage.ubuntu.com",
    "http://archive.ubuntu.com",
    "http://ports.ubuntu.com",
    "https://download.docker.com",
    "https://pkgs.k8s.io",
    "https://keyserver.ubuntu.com",
    "https://github.com",
    "https://raw.githubusercontent.com",
];
/// The one of Kubernetes' packages.
const KUBERNETES_ORIGIN: &str = "https://pkgs.k8s.io";
/// Which of the profiles' keys each throw-away key stands for.
const KEYS: [(&str, &str); 5] = [
    ("ubuntu-cloud-images", "cloudimg"),
    ("ubuntu-cdimage", "cdimage"),
    ("ubuntu-archive", "archive"),
    ("docker", "docker"),
    ("kubernetes", "kubernetes"),
];

/// Names an apt repository to take Kubernetes' packages from, in the place of the doubles: `URL`, signed with Kubernetes' own key,
/// or `URL#KEYRING`. It has what stands below `https://pkgs.k8s.io`; a folder serves too.
const KUBERNETES: &str = "NODEIMG_TEST_KUBERNETES";

/// Where the origin of Kubernetes' packages is, and whose key it is signed with, if not Kubernetes' own.
pub(crate) struct Repository {
    place: String,
    keyring: Option<PathBuf>,
}

impl Repository {
    /// Reads the variable's text.
    pub(crate) fn parse(text: &str) -> Self {
        let (place, keyring) = match text.split_once('#') {
            Some((place, keyring)) => (place, Some(PathBuf::from(keyring))),
            None => (text, None),
        };
        Self {
            place: place.to_owned(),
            keyring,
        }
    }
}

/// The stand-ins and the server that serves them.
pub(crate) struct World {
    keys: PathBuf,
    pub(crate) mirror: PathBuf,
    pub(crate) port: u16,
    /// Downloads, shared by the tests of one run; keyed by digest, so sharing proves nothing wrong.
    pub(crate) cache: Folder,
    /// Where the real Kubernetes is, if its doubles are not to stand in for it.
    pub(crate) kubernetes: Option<Repository>,
    _server: Server,
}

/// Returns the world, made once.
pub(crate) fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let text = text(&run(
            Command::new(repository().join("ci/stand-ins")).args(["keys", "mirror"])
        ));
        let piece = |name: &str| {
            let line = text
                .lines()
                .rev()
                .find(|it| it.split_whitespace().next() == Some(name));
            PathBuf::from(
                line.unwrap_or_else(|| panic!("ci/stand-ins prints no {name}: {text}"))
                    [name.len()..]
                    .trim(),
            )
        };
        let mirror = piece("mirror");
        let (server, port) = serve(&mirror, &[]);
        let cache = folder("cache");
        World {
            keys: piece("keys"),
            mirror,
            port,
            cache,
            kubernetes: std::env::var(KUBERNETES)
                .ok()
                .map(|it| Repository::parse(&it)),
            _server: server,
        }
    })
}

/// Machines that are booted have the processors to themselves, as far as it depends on us.
pub(crate) fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    // A test that failed with it leaves nothing behind that matters to the next.
    ALONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A folder of one test, removed when the test has passed: whole disks are in it.
pub(crate) struct Folder(PathBuf);

/// Makes an empty folder for this run.
pub(crate) fn folder(name: &str) -> Folder {
    let folder = tests::target().join("whole").join(name);
    std::fs::remove_dir_all(&folder).ok();
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    Folder(folder)
}

impl std::ops::Deref for Folder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl<T: ?Sized> AsRef<T> for Folder
where
    PathBuf: AsRef<T>,
{
    fn as_ref(&self) -> &T {
        self.0.as_ref()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            std::fs::remove_dir_all(&self.0).ok();
        }
    }
}

impl World {
    /// Returns the command with the world's mirror, keys and cache, in a working folder.
    pub(crate) fn nodeimg(&self, folder: &Path) -> Command {
        self.nodeimg_with(folder, &self.cache, self.port)
    }

    /// The same with another cache and another server.
    pub(crate) fn nodeimg_with(&self, folder: &Path, cache: &Path, port: u16) -> Command {
        self.nodeimg_of(folder, (cache, port), self.kubernetes.as_ref())
    }

    /// The same with Kubernetes' packages from a repository, or with its doubles.
    pub(crate) fn nodeimg_of(
        &self,
        folder: &Path,
        (cache, port): (&Path, u16),
        kubernetes: Option<&Repository>,
    ) -> Command {
        let mut command = Command::new(binary());
        command.current_dir(folder).arg("--cache").arg(cache);
        for origin in ORIGINS {
            let host = origin.split("//").nth(1).expect("an origin has a host");
            let place = match kubernetes {
                Some(repository) if origin == KUBERNETES_ORIGIN => repository.place.clone(),
                _ => format!("http://127.0.0.1:{port}/{host}"),
            };
            command.arg("--mirror").arg(format!("{origin}={place}"));
        }
        for (name, file) in KEYS {
            let keyring = match kubernetes {
                Some(repository) if name == "kubernetes" => repository.keyring.clone(),
                _ => Some(self.key(file)),
            };
            if let Some(keyring) = keyring {
                let key = format!("{name}={}", keyring.display());
                command.arg("--key").arg(key);
            }
        }
        command
    }

    /// Returns the path of a throw-away key.
    pub(crate) fn key(&self, file: &str) -> PathBuf {
        self.keys.join(format!("{file}.gpg"))
    }

    /// Returns what `ci/boot` is told of Kubernetes' programs.
    pub(crate) fn programs(&self) -> &'static str {
        match self.kubernetes {
            Some(_) => "real",
            None => "double",
        }
    }

    /// Says whether a test that reads the doubles' log, or holds them at a step, has something to say; tells that it is left out if not.
    #[expect(clippy::print_stderr, reason = "nothing is left out silently")]
    pub(crate) fn has_doubles(&self, test: &str) -> bool {
        if self.kubernetes.is_some() {
            eprintln!(
                "{test}: left out, for it needs the doubles and {KUBERNETES} names the real Kubernetes"
            );
        }
        self.kubernetes.is_none()
    }
}

/// A cluster of three and a file server, built once: what the tests look at.
pub(crate) struct Built {
    pub(crate) world: &'static World,
    folder: Folder,
}

const CLUSTER: &str = "\
name = \"home\"
kubernetes = \"1.36\"
node_cidr = \"192.168.56.0/24\"
pod_cidr = \"10.244.0.0/16\"
service_cidr = \"10.96.0.0/12\"
dns_domain = \"cluster.local\"
cni = \"none\"

[storage]
exports = [\"/srv/nfs\"]

[admin]
user = \"admin\"
ssh_keys = [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDfQWvZ0ZTg3b0hGNnJ3cWx0c2FtcGxla2V5MDAwMDAw admin@test\"]

[[node]]
name = \"cp1\"
role = \"controlplane\"
profile = \"controlplane-amd64\"
address = \"192.168.56.10\"

[[node]]
name = \"node01\"
role = \"worker\"
profile = \"worker-amd64\"
address = \"192.168.56.11\"

[[node]]
name = \"pi01\"
role = \"worker\"
profile = \"worker-arm64\"
address = \"192.168.56.12\"

[[node]]
name = \"files\"
role = \"storage\"
profile = \"storage-amd64\"
address = \"192.168.56.20\"
";

/// Returns the cluster, built once.
pub(crate) fn built() -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(|| {
        let world = world();
        let folder = folder("built");
        std::fs::write(folder.join("cluster.toml"), CLUSTER).expect("a file");
        run(world.nodeimg(&folder).args(["cluster", "init"]));
        // As the README has it: an image of the role, and a seed of the node.
        run(world
            .nodeimg(&folder)
            .args(["build", "--node", "files", "--format", "ova"]));
        let builds: [(&str, &[&str]); 3] = [
            ("controlplane-amd64", &["ova"]),
            ("worker-amd64", &["ova", "vmdk", "qcow2", "raw"]),
            ("worker-arm64", &["img", "img.zst"]),
        ];
        for (profile, formats) in builds {
            let mut command = world.nodeimg(&folder);
            command
                .args(["build", "--profile", profile])
                .args(formats.iter().flat_map(|it| ["--format", it]));
            run(&mut command);
        }
        Built { world, folder }
    })
}

impl Built {
    /// Returns an artifact's path.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.out().join(name)
    }

    /// Returns the folder of artifacts.
    pub(crate) fn out(&self) -> PathBuf {
        self.folder.join("out")
    }

    /// Returns the folder the cluster was made in.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns all artifacts and what stands beside them.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.out()).expect("artifacts").flatten();
        entries.map(|it| it.path()).collect()
    }

    /// Returns the command in the cluster's folder.
    pub(crate) fn nodeimg(&self) -> Command {
        self.world.nodeimg(&self.folder)
    }
}
