//! Other ways to see a volume: trees as text, the host's folders as trees, an independent reader, the kernel.

#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

#[path = "independent.rs"]
mod independent;

use crate::tools::{Disk, Scratch, must, noise, run};
use fstree::{Content, File, FileKind, FileTree, ImgPath, Meta, Node, ReadAt, Timestamp};
use std::cell::Cell;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Prints content as a checksum of the 4 KiB pieces that are not zero.
pub fn digest(content: &Content) -> io::Result<String> {
    let mut sum = 0;
    let mut at = 0;
    let mut buf = [0; 4096];
    while let Some(data) = content.next_data(at)? {
        at = data.start / 4096 * 4096;
        while at < data.end {
            let n = usize::try_from((content.len() - at).min(4096)).unwrap();
            content.read_exact_at(&mut buf[..n], at)?;
            if buf[..n].iter().any(|it| *it != 0) {
                sum =
                    crc32c::crc32c_append(crc32c::crc32c_append(sum, &at.to_le_bytes()), &buf[..n]);
            }
            at += 4096;
        }
    }
    Ok(format!("{sum:08x}"))
}

pub fn dump(tree: &FileTree) -> String {
    fstree::dump(tree, &mut digest).unwrap()
}

/// Asserts that two trees are the same, and shows the first lines that differ.
pub fn same(got: &FileTree, want: &FileTree, what: &str) {
    let (got, want) = (dump(got), dump(want));
    if got != want {
        let differ: Vec<_> = got
            .lines()
            .filter(|it| !want.lines().any(|other| other == *it))
            .take(5)
            .collect();
        let missing: Vec<_> = want
            .lines()
            .filter(|it| !got.lines().any(|other| other == *it))
            .take(5)
            .collect();
        panic!(
            "{what}: got\n{}\nwant\n{}",
            differ.join("\n"),
            missing.join("\n")
        );
    }
}

/// Walks a volume with a reader that shares no code with ours, and compares what it can see.
pub fn walk_independently(image: &Path, tree: &FileTree) {
    independent::compare(crate::tools::open(image), tree);
}

/// Returns a folder of the host as a tree. Attributes and flags are not read.
pub fn from_host(root: &Path) -> FileTree {
    let mut tree = FileTree::new(host_meta(root));
    let mut links: std::collections::BTreeMap<(u64, u64), fstree::FileId> =
        std::collections::BTreeMap::new();
    let mut todo = vec![(root.to_path_buf(), ImgPath::root())];
    while let Some((folder, at)) = todo.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let from = entry.path();
            let to = at.join(&fstree::Name::new(entry.file_name().as_bytes()).unwrap());
            let stat = std::fs::symlink_metadata(&from).unwrap();
            let meta = host_meta(&from);
            if stat.is_dir() {
                tree.put_dir(&to, meta).unwrap();
                todo.push((from, to));
                continue;
            }
            if let Some(id) = links.get(&(stat.dev(), stat.ino())) {
                tree.put_name(&to, *id).unwrap();
                continue;
            }
            let id = tree
                .put(
                    &to,
                    File {
                        meta,
                        kind: host_kind(&from, &stat),
                    },
                )
                .unwrap();
            links.insert((stat.dev(), stat.ino()), id);
        }
    }
    tree
}

/// A file of the host that is opened for each read, so that a tree of them holds none open.
struct Later(PathBuf, u64);

impl ReadAt for Later {
    fn size(&self) -> u64 {
        self.1
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        Disk(std::fs::File::open(&self.0)?).read_exact_at(buf, offset)
    }
}

fn host_kind(from: &Path, stat: &std::fs::Metadata) -> FileKind {
    let kind = stat.file_type();
    let number = stat.rdev();
    let part = |it: u64| u32::try_from(it).unwrap();
    let major = part((number >> 8) & 0xfff);
    let minor = part((number & 0xff) | ((number >> 12) & 0xf_ff00));
    if kind.is_symlink() {
        FileKind::Symlink(
            std::fs::read_link(from)
                .unwrap()
                .as_os_str()
                .as_bytes()
                .to_vec(),
        )
    } else if kind.is_char_device() {
        FileKind::CharDevice { major, minor }
    } else if kind.is_block_device() {
        FileKind::BlockDevice { major, minor }
    } else if kind.is_fifo() {
        FileKind::Fifo
    } else if kind.is_socket() {
        FileKind::Socket
    } else if stat.size() > 1 << 30 {
        FileKind::Regular(hole(stat.size()))
    } else {
        let source = Arc::new(Later(from.to_path_buf(), stat.size()));
        FileKind::Regular(Content::range(source, 0, stat.size()))
    }
}

fn host_meta(from: &Path) -> Meta {
    let stat = std::fs::symlink_metadata(from).unwrap();
    Meta {
        mode: u16::try_from(stat.mode() & 0o7777).unwrap(),
        uid: stat.uid(),
        gid: stat.gid(),
        mtime: Timestamp {
            secs: stat.mtime(),
            nanos: u32::try_from(stat.mtime_nsec()).unwrap(),
        },
        ..Meta::default()
    }
}

/// Returns a folder of the host as a tree, with attributes.
pub fn all_from_host(root: &Path) -> FileTree {
    let mut tree = from_host(root);
    add_host_attributes(root, &mut tree);
    tree
}

/// Reads the attributes of every file below a folder into a tree.
fn add_host_attributes(root: &Path, tree: &mut FileTree) {
    let args = [
        "-R",
        "-P",
        "-h",
        "-d",
        "-m",
        "-",
        "-e",
        "hex",
        "--absolute-names",
        root.to_str().unwrap(),
    ];
    let output = run("attr", "getfattr", &args);
    let mut at = ImgPath::root();
    for line in output.stdout.split(|it| *it == b'\n') {
        if let Some(name) = line.strip_prefix(b"# file: ") {
            let name = unescape(name);
            let below = &name[root.as_os_str().as_bytes().len()..];
            at = if below.is_empty() {
                ImgPath::root()
            } else {
                ImgPath::new(below).unwrap()
            };
        } else if let Some(end) = line.iter().position(|it| *it == b'=') {
            let hex = std::str::from_utf8(&line[end + 1..]).unwrap();
            let hex = hex.strip_prefix("0x").unwrap_or("");
            let byte = |i: usize| u8::from_str_radix(&hex[i..i + 2], 16).unwrap();
            let value: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
            tree.meta_mut(&at)
                .unwrap()
                .xattrs
                .insert(unescape(&line[..end]), value);
        }
    }
}

/// Undoes `getfattr`'s octal escapes.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        if *byte == b'\\' {
            let digits = bytes.by_ref().take(3).map(|it| u32::from(it - b'0'));
            out.push(u8::try_from(digits.fold(0, |n, it| n * 8 + it)).unwrap());
        } else {
            out.push(*byte);
        }
    }
    out
}

/// An image mounted by the kernel until dropped.
pub struct Mounted {
    at: PathBuf,
    /// Whether the kernel still writes to it.
    writes: Cell<bool>,
}

impl Mounted {
    pub fn new(scratch: &Scratch, image: &Path, how: &str) -> Self {
        match Self::try_new(scratch, image, how) {
            Ok(mounted) => mounted,
            Err(text) => panic!("{} is not mounted: {text}", image.display()),
        }
    }

    /// Mounts, or returns what `mount` says.
    pub fn try_new(scratch: &Scratch, image: &Path, how: &str) -> Result<Self, String> {
        let at = scratch.path("mounted");
        std::fs::create_dir_all(&at).unwrap();
        let how = format!("loop,{how}");
        let args = ["-o", &how, image.to_str().unwrap(), at.to_str().unwrap()];
        let output = run("mount", "mount", &args);
        if output.status.success() {
            let writes = Cell::new(!how.contains("ro"));
            return Ok(Self { at, writes });
        }
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    pub fn path(&self) -> &Path {
        &self.at
    }

    /// Stops the file system as a loss of power would: nothing that is not on the disk yet gets there.
    pub fn crash(&self) {
        let script = "import fcntl, os, sys\n\
            fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, (2).to_bytes(4, 'little'))";
        must(
            "python3",
            "python3",
            &["-c", script, self.at.to_str().unwrap()],
        );
        self.writes.set(false);
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let at = self.at.to_str().unwrap();
        if self.writes.get() {
            // A sandbox that somebody makes meanwhile has the mount too, and keeps the volume from being finished.
            run("mount", "mount", &["-o", "remount,ro", at]);
        }
        let output = run("mount", "umount", &[at]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() || std::thread::panicking(),
            "{text}"
        );
    }
}

/// Asserts that the kernel shows a volume as this tree, but for flags, and for content of files beyond 1 GiB.
pub fn same_by_the_kernel(scratch: &Scratch, image: &Path, tree: &FileTree, what: &str) {
    let mounted = Mounted::new(scratch, image, "ro");
    let seen = all_from_host(mounted.path());
    let mut want = tree.clone();
    let all: Vec<(ImgPath, Node)> = tree.walk().map(|it| (it.0, it.1.clone())).collect();
    for (at, node) in all {
        want.meta_mut(&at).unwrap().flags = 0;
        if let Node::File(id) = node
            && let FileKind::Regular(content) = &mut want.file_mut(id).kind
            && content.len() > 1 << 30
        {
            *content = hole(content.len());
        }
    }
    same(&seen, &want, what);
}

fn hole(len: u64) -> Content {
    let source: Arc<dyn ReadAt> = Arc::new(Vec::new());
    Content::extents(source, [], len)
}

/// Fills a folder of the host with something of every kind.
pub fn fill_host(root: &Path) {
    let dir = |name: &str| std::fs::create_dir_all(root.join(name)).unwrap();
    let file = |name: &str, bytes: &[u8]| std::fs::write(root.join(name), bytes).unwrap();
    dir("etc/a/b/c/d");
    dir("many");
    dir("few");
    for len in [0, 1, 50, 60, 61, 100, 159, 160, 1024, 4096, 5000, 300_000] {
        file(&format!("etc/{len}"), &noise(len, 1));
    }
    file("large", &noise(9 << 20, 2));
    for i in 0..600 {
        file(
            &format!("many/a rather long name of a file, to fill blocks: {i}"),
            &[],
        );
    }
    file("few/x", b"x");
    let sparse = std::fs::File::create(root.join("sparse")).unwrap();
    for i in 0..12u64 {
        std::os::unix::fs::FileExt::write_all_at(&sparse, &noise(5000, 3), i << 18).unwrap();
    }
    // This `mke2fs` forgets a hole at the end if files may be in inodes.
    sparse.set_len((11 << 18) + 5000).unwrap();
    for len in [1, 59, 60, 100, 900] {
        std::os::unix::fs::symlink("t".repeat(len), root.join(format!("link{len}"))).unwrap();
    }
    std::fs::hard_link(root.join("etc/5000"), root.join("few/again")).unwrap();
    let at = |name: &str| root.join(name).to_str().unwrap().to_owned();
    must("coreutils", "mknod", &[&at("pipe"), "p"]);
    must("coreutils", "mknod", &[&at("null"), "c", "1", "3"]);
    must("coreutils", "mknod", &[&at("wide"), "b", "300", "70000"]);
    must(
        "attr",
        "setfattr",
        &["-n", "user.short", "-v", "value", &at("etc/50")],
    );
    must(
        "attr",
        "setfattr",
        &["-n", "user.long", "-v", &"v".repeat(300), &at("etc/50")],
    );
    must(
        "attr",
        "setfattr",
        &["-n", "user.on.dir", "-v", "1", &at("etc")],
    );
    must(
        "attr",
        "setfattr",
        &["-n", "user.middle", "-v", &"m".repeat(60), &at("etc/60")],
    );
}
