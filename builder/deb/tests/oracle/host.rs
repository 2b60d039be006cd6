//! The independent tools' side: folders of the host as trees, and a small Debian to work in.

use deb::{Arch, Archive, Package};
use fstree::{Content, Dir, File, FileKind, FileTree, Layer, Meta, Name, Node, ReadAt, Timestamp};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::{env, fs, io};

/// What a run needs: the tools, and the right to change owners.
pub(crate) fn require(tools: &[(&str, &str)]) {
    for (tool, package) in tools {
        let found = Command::new("sh")
            .args(["-c", &format!("command -v {tool}")])
            .output()
            .unwrap();
        assert!(
            found.status.success(),
            "{tool} is missing: install the Debian package {package}"
        );
    }
    let id = Command::new("id").arg("-u").output().unwrap();
    assert_eq!(
        id.stdout, b"0\n",
        "this test unpacks with owners and chroots: run it as root"
    );
}

/// Runs a program to its good end and returns its output.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C.UTF-8")
        .env("DPKG_COLORS", "never")
        .output()
        .unwrap_or_else(|it| panic!("{program}: {it}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}\n{}\n{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// The folder of what is made or fetched once.
pub(crate) fn cache() -> PathBuf {
    let from = |name| env::var_os(name).map(PathBuf::from);
    let home = from("HOME")
        .unwrap_or_else(|| "/root".into())
        .join(".cache");
    let shared = || from("XDG_CACHE_HOME").unwrap_or(home).join("nodeimg-tests");
    let base = from("NODEIMG_TEST_CACHE").unwrap_or_else(shared);
    fs::create_dir_all(base.join("debs")).unwrap();
    base
}

/// Waits until no other test, each of which is a process, makes or fetches what is kept; as long as the file is open.
fn alone() -> fs::File {
    let lock = fs::File::create(cache().join("debs/.lock")).unwrap();
    lock.lock().unwrap();
    lock
}

/// Returns a tar of a minimal Debian, made once: a second one would have other times.
pub(crate) fn base() -> PathBuf {
    let tar = cache().join("deb-base-1.tar");
    let _alone = alone();
    if !tar.exists() {
        let new = tempfile::Builder::new()
            .suffix(".tar")
            .tempfile_in(cache())
            .unwrap();
        let to = new.path().to_str().unwrap();
        let include = "--include=init-system-helpers,systemd,perl,python3-minimal";
        run(
            "mmdebstrap",
            &["--quiet", "--variant=essential", include, "bookworm", to],
        );
        new.persist(&tar).unwrap();
    }
    tar
}

/// Unpacks the minimal Debian into a new folder.
pub(crate) fn extract(tar: &Path) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (tar, to) = (tar.to_str().unwrap(), dir.path().to_str().unwrap());
    run(
        "tar",
        &[
            "--extract",
            "--numeric-owner",
            "--same-permissions",
            "--exclude=./dev/*",
            "-C",
            to,
            "-f",
            tar,
        ],
    );
    dir
}

/// Returns the `.deb`s of packages of Debian's, fetched once.
pub(crate) fn fetched(names: &[&str]) -> Vec<PathBuf> {
    let folder = cache().join("debs");
    let find = |name: &str| {
        let mut all: Vec<_> = fs::read_dir(&folder)
            .unwrap()
            .map(|it| it.unwrap().path())
            .collect();
        all.sort();
        let prefix = format!("{name}_");
        all.into_iter().find(|it| {
            let file = it.file_name().unwrap().to_string_lossy().into_owned();
            file.starts_with(&prefix) && it.extension().is_some_and(|it| it == "deb")
        })
    };
    let _alone = alone();
    let missing: Vec<_> = names
        .iter()
        .filter(|it| find(it).is_none())
        .copied()
        .collect();
    if !missing.is_empty() {
        let tmp = tempfile::tempdir_in(&folder).unwrap();
        let fetch = format!(
            "cd {} && apt-get download -q {}",
            tmp.path().display(),
            missing.join(" ")
        );
        run("sh", &["-c", &fetch]);
        for file in fs::read_dir(tmp.path()).unwrap() {
            let file = file.unwrap();
            fs::rename(file.path(), folder.join(file.file_name())).unwrap();
        }
    }
    names
        .iter()
        .map(|it| find(it).unwrap_or_else(|| panic!("{it} was not fetched")))
        .collect()
}

/// Builds a `.deb` with dpkg-deb from control fields and files.
pub(crate) fn built(dir: &Path, control: &str, files: &[(&str, &str)]) -> PathBuf {
    built_with(dir, control, files, "xz")
}

/// Builds a `.deb` with a compression of dpkg-deb's.
pub(crate) fn built_with(
    dir: &Path,
    control: &str,
    files: &[(&str, &str)],
    compression: &str,
) -> PathBuf {
    let root = tempfile::tempdir_in(dir).unwrap();
    let put = |path: &str, text: &str| {
        let at = root.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        match text.strip_prefix("-> ") {
            Some(target) => std::os::unix::fs::symlink(target, &at).unwrap(),
            None => fs::write(&at, text).unwrap(),
        }
        if path.ends_with("inst") || path.ends_with("rm") {
            fs::set_permissions(&at, fs::Permissions::from_mode(0o755)).unwrap();
        }
    };
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let rest = "Architecture: all\nMaintainer: Test <test@example.org>\nDescription: test\n";
    put("DEBIAN/control", &format!("{control}{rest}"));
    for (path, text) in files {
        put(path, text);
    }
    let name = root
        .path()
        .file_name()
        .unwrap()
        .to_string_lossy()
        .into_owned();
    let deb = dir.join(format!("{name}.deb"));
    run(
        "dpkg-deb",
        &[
            "--build",
            &format!("-Z{compression}"),
            root.path().to_str().unwrap(),
            deb.to_str().unwrap(),
        ],
    );
    deb
}

/// Reads a `.deb` with this crate.
pub(crate) fn package(deb: &Path) -> Package {
    let archive = Archive::open(&(Arc::new(fs::read(deb).unwrap()) as Arc<dyn ReadAt>)).unwrap();
    let mut tar = Vec::new();
    archive.decode_data(&mut tar, 4 << 30).unwrap();
    archive.package(Arc::new(tar)).unwrap()
}

pub(crate) fn amd64() -> Arch {
    Arch::new(run("dpkg", &["--print-architecture"]).trim()).unwrap()
}

struct HostFile(PathBuf, u64);

impl ReadAt for HostFile {
    fn size(&self) -> u64 {
        self.1
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        fs::File::open(&self.0)?.read_exact_at(buf, offset)
    }
}

/// Reads a folder of the host as a tree.
pub(crate) fn tree(root: &Path) -> FileTree {
    let mut tree = FileTree::new(meta(root));
    let mut links = BTreeMap::new();
    let dir = read_dir(&mut tree, root, &mut links);
    *tree.root_mut() = dir;
    tree
}

fn read_dir(tree: &mut FileTree, at: &Path, links: &mut BTreeMap<u64, fstree::FileId>) -> Dir {
    let mut dir = Dir::new(meta(at));
    for entry in fs::read_dir(at).unwrap() {
        let path = entry.unwrap().path();
        let host = fs::symlink_metadata(&path).unwrap();
        let name = Name::new(path.file_name().unwrap().as_bytes()).unwrap();
        if host.is_dir() {
            let child = read_dir(tree, &path, links);
            dir.insert(name, Node::Dir(Box::new(child)));
            continue;
        }
        if let Some(id) = links.get(&host.ino()).filter(|_| host.nlink() > 1) {
            dir.insert(name, Node::File(*id));
            continue;
        }
        let kind = if host.is_symlink() {
            FileKind::Symlink(
                fs::read_link(&path)
                    .unwrap()
                    .as_os_str()
                    .as_bytes()
                    .to_vec(),
            )
        } else if host.is_file() {
            FileKind::Regular(Content::range(
                Arc::new(HostFile(path.clone(), host.len())),
                0,
                host.len(),
            ))
        } else if host.file_type().is_fifo() {
            FileKind::Fifo
        } else {
            continue;
        };
        let id = tree.add(File {
            meta: meta(&path),
            kind,
        });
        links.insert(host.ino(), id);
        dir.insert(name, Node::File(id));
    }
    dir
}

fn meta(at: &Path) -> Meta {
    let host = fs::symlink_metadata(at).unwrap();
    Meta {
        mode: u16::try_from(host.mode() & 0o7777).unwrap(),
        uid: host.uid(),
        gid: host.gid(),
        mtime: Timestamp {
            secs: host.mtime(),
            nanos: u32::try_from(host.mtime_nsec()).unwrap(),
        },
        layer: Layer(0),
        ..Meta::default()
    }
}

/// Writes a tree into an empty folder of the host.
pub(crate) fn write_out(tree: &FileTree, root: &Path) {
    let mut names: BTreeMap<fstree::FileId, PathBuf> = BTreeMap::new();
    let own = |path: &Path, meta: &Meta, is_link: bool| {
        std::os::unix::fs::lchown(path, Some(meta.uid), Some(meta.gid)).unwrap();
        if !is_link {
            fs::set_permissions(path, fs::Permissions::from_mode(u32::from(meta.mode))).unwrap();
        }
    };
    fs::set_permissions(root, fs::Permissions::from_mode(0o755)).unwrap();
    for (path, node) in tree.walk() {
        let at = root.join(std::ffi::OsStr::from_bytes(&path.as_bytes()[1..]));
        match node {
            Node::Dir(dir) => {
                fs::create_dir(&at).unwrap();
                own(&at, &dir.meta, false);
            }
            Node::File(id) => {
                if let Some(first) = names.get(id) {
                    fs::hard_link(first, &at).unwrap();
                    continue;
                }
                let file = tree.file(*id);
                match &file.kind {
                    FileKind::Regular(content) => {
                        fs::write(&at, content.read_all(1 << 30).unwrap()).unwrap();
                    }
                    FileKind::Symlink(to) => {
                        std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(to), &at).unwrap();
                    }
                    _ => continue,
                }
                own(&at, &file.meta, matches!(file.kind, FileKind::Symlink(_)));
                names.insert(*id, at);
            }
        }
    }
}

/// Returns one line for each file: all that dpkg is answerable for.
///
/// Left out: times of directories and of the database's own files, which tell when a run was; `status-old`, `available`,
/// locks and logs. The order of `Triggers-Pending`, which dpkg turns around at each read, is made one.
pub(crate) fn lines(tree: &FileTree) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut first = BTreeMap::new();
    for (path, node) in tree.walk() {
        let path = path.to_string();
        let unwatched = [
            "/var/log",
            "/var/lib/dpkg/lock",
            "/var/lib/dpkg/status-old",
            "/var/lib/dpkg/available",
        ];
        let locks = [
            "/var/lib/dpkg/triggers/Lock",
            "/var/lib/dpkg/triggers/Unincorp",
            "/dev/",
            "/var/cache/ldconfig",
        ];
        if unwatched
            .iter()
            .chain(&locks)
            .any(|it| path.starts_with(it))
        {
            continue;
        }
        let id = match node {
            Node::Dir(dir) => {
                let Meta { mode, uid, gid, .. } = dir.meta;
                all.insert(path, format!("dir {mode:o} {uid}:{gid}"));
                continue;
            }
            Node::File(id) => id,
        };
        let file = tree.file(*id);
        let Meta {
            mode,
            uid,
            gid,
            mtime,
            ..
        } = file.meta;
        let mut line = match &file.kind {
            FileKind::Regular(content) => {
                let bytes = content.read_all(1 << 30).unwrap();
                if path == "/var/lib/dpkg/status" {
                    all.extend(stanzas(&String::from_utf8(bytes).unwrap()));
                    continue;
                }
                format!(
                    "file {mode:o} {uid}:{gid} {} {}",
                    bytes.len(),
                    shown(&path, &bytes)
                )
            }
            FileKind::Symlink(to) => format!("link {uid}:{gid} {}", String::from_utf8_lossy(to)),
            other => format!("{other:?} {mode:o} {uid}:{gid}"),
        };
        // Database files dpkg writes itself, and what scripts make, have the time of the run.
        let dated = path.starts_with("/var/lib/dpkg/")
            || path.starts_with("/etc/systemd/system/")
            || path.starts_with("/var/lib/systemd/")
            || path.starts_with("/etc/rc");
        if !dated {
            write!(line, " at {}", mtime.secs).unwrap();
        }
        if let Some(other) = first.get(id) {
            write!(line, " ={other}").unwrap();
        } else {
            first.insert(*id, path.clone());
        }
        all.insert(path, line);
    }
    all
}

/// Returns content to compare: text of the database as text, all else as its digest.
fn shown(path: &str, bytes: &[u8]) -> String {
    if path.starts_with("/var/lib/dpkg/") && bytes.len() < 4000 {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    // FNV-1a is enough to tell two contents of one length apart in a test.
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, it| {
        (hash ^ u64::from(*it)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

fn stanzas(status: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for stanza in status.split("\n\n").filter(|it| !it.trim().is_empty()) {
        let name = stanza.lines().next().unwrap();
        let arch = stanza
            .lines()
            .find(|it| it.starts_with("Architecture:"))
            .unwrap_or_default();
        let sorted = |line: &str| {
            let mut words: Vec<_> = line.split(' ').collect();
            words.sort_unstable();
            words.join(" ")
        };
        let lines = stanza.lines().map(|it| {
            if it.starts_with("Triggers-") {
                sorted(it)
            } else {
                it.to_owned()
            }
        });
        all.insert(
            format!("status {name} {arch}"),
            lines.collect::<Vec<_>>().join("\n"),
        );
    }
    all
}

/// Fails with all differences, if there are any.
pub(crate) fn assert_same(ours: &FileTree, theirs: &FileTree) {
    let (ours, theirs) = (lines(ours), lines(theirs));
    let mut text = String::new();
    let keys: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    let mut n = 0;
    for key in keys {
        let (our, their) = (ours.get(key), theirs.get(key));
        if our != their {
            n += 1;
            if n <= 40 {
                writeln!(text, "{key}\n  ours:   {our:?}\n  dpkg's: {their:?}").unwrap();
            }
        }
    }
    assert!(n == 0, "{n} differences:\n{text}");
}
