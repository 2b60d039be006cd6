//! The independent tools that judge volumes, and trees to give them.

#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use ext4::{Layout, Options};
use fstree::{
    Content, File, FileKind, FileTree, ImgPath, Layer, Meta, Mosaic, Node, ReadAt, Run, Timestamp,
};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

pub const MIB: u64 = 1 << 20;
pub const UUID: [u8; 16] = *b"\x12\x34\x56\x78\x9a\xbc\xde\xf0\x11\x22\x33\x44\x55\x66\x77\x88";
pub const TIME: Timestamp = Timestamp {
    secs: 1_650_000_000,
    nanos: 0,
};

/// A file of the host as a source.
pub struct Disk(pub std::fs::File);

impl ReadAt for Disk {
    fn size(&self) -> u64 {
        self.0.metadata().unwrap().len()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }
}

pub fn open(path: &Path) -> Arc<dyn ReadAt> {
    Arc::new(Disk(std::fs::File::open(path).unwrap()))
}

/// A folder for one test's images.
pub struct Scratch(tempfile::TempDir);

impl Scratch {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Returns a folder in memory where there is one: for small images and many mounts, whose every sync would wait for a disk.
    pub fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() {
            Self(tempfile::tempdir_in(memory).unwrap())
        } else {
            Self::new()
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a source to a file, holes as holes.
    pub fn save(&self, name: &str, source: &dyn ReadAt) -> PathBuf {
        let path = self.path(name);
        let file = std::fs::File::create(&path).unwrap();
        file.set_len(source.size()).unwrap();
        let mut at = 0;
        let mut buf = vec![0; 1 << 20];
        while let Some(data) = source.next_data(at).unwrap() {
            at = data.start;
            while at < data.end {
                let n = usize::try_from((data.end - at).min(1 << 20)).unwrap();
                source.read_exact_at(&mut buf[..n], at).unwrap();
                file.write_all_at(&buf[..n], at).unwrap();
                at += n as u64;
            }
        }
        path
    }
}

pub fn options(size: u64) -> Options {
    Options::new(size, UUID, TIME)
}

pub fn make(tree: &FileTree, options: &Options) -> (Layout, Mosaic) {
    let layout = ext4::layout(tree, options).unwrap();
    let volume = ext4::write(&layout, tree).unwrap();
    assert_eq!(volume.size(), options.size);
    (layout, volume)
}

/// Runs a tool of Debian's package `package`.
pub fn run(package: &str, tool: &str, args: &[&str]) -> Output {
    Command::new(tool)
        .args(args)
        .output()
        .unwrap_or_else(|it| panic!("{tool} does not run ({it}): install the package {package}"))
}

pub fn must(package: &str, tool: &str, args: &[&str]) -> String {
    let output = run(package, tool, args);
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(
        output.status.success(),
        "{tool} {args:?}: {}\n{text}",
        output.status
    );
    text
}

/// Asks `debugfs` something of a volume.
pub fn debugfs(image: &Path, command: &str) -> String {
    let image = image.to_str().unwrap();
    must("e2fsprogs", "debugfs", &["-R", command, image])
}

/// Asserts that `e2fsck` has nothing to say, from the superblock at the front and from a backup.
pub fn fsck(image: &Path, backup: Option<(u64, u32)>) {
    let image = image.to_str().unwrap();
    let mut runs = vec![vec!["-fn".to_owned()]];
    if let Some((block, size)) = backup {
        runs.push(vec![
            "-fn".to_owned(),
            "-b".to_owned(),
            block.to_string(),
            "-B".to_owned(),
            size.to_string(),
        ]);
    }
    for mut args in runs {
        args.push(image.to_owned());
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let text = must("e2fsprogs", "e2fsck", &args);
        for word in ["could be", "Fix?", "IGNORED", "Clear?", "WARNING"] {
            assert!(!text.contains(word), "e2fsck {args:?}:\n{text}");
        }
    }
}

pub fn path(text: &str) -> ImgPath {
    ImgPath::new(text).unwrap()
}

pub fn meta(mode: u16) -> Meta {
    Meta {
        mode,
        mtime: Timestamp {
            secs: 1_600_000_000,
            nanos: 123_456_789,
        },
        ..Meta::default()
    }
}

pub fn put(tree: &mut FileTree, at: &str, kind: FileKind) -> fstree::FileId {
    tree.put(
        &path(at),
        File {
            meta: meta(0o644),
            kind,
        },
    )
    .unwrap()
}

pub fn text(bytes: &[u8]) -> FileKind {
    FileKind::Regular(Content::inline(bytes))
}

/// Returns `len` bytes that are never zero and differ by `seed`.
pub fn noise(len: usize, seed: u8) -> Vec<u8> {
    (0..len)
        .map(|i| u8::try_from((i * 31 + i / 251) % 250 + 1).unwrap() ^ (seed & 0x80))
        .collect()
}

/// Returns a link's target of `len` bytes.
pub fn target(len: usize) -> Vec<u8> {
    (0..len)
        .map(|i| if i % 100 == 99 { b'/' } else { b't' })
        .collect()
}

/// Returns an empty tree with `/lost+found`.
pub fn empty() -> FileTree {
    let mut tree = FileTree::new(meta(0o755));
    tree.put_dir(
        &path("/lost+found"),
        Meta {
            mtime: TIME,
            ..meta(0o700)
        },
    )
    .unwrap();
    tree
}

/// Returns a tree with something of every kind.
pub fn sampler() -> FileTree {
    let mut tree = empty();
    let dir = |tree: &mut FileTree, at: &str| tree.make_dirs(&path(at), &meta(0o755)).unwrap();
    dir(&mut tree, "/etc/deep/er/still");
    dir(&mut tree, "/many");
    dir(&mut tree, "/dev");
    put(&mut tree, "/etc/empty", text(b""));
    put(&mut tree, "/etc/hostname", text(b"node\n"));
    for len in [1, 1023, 1024, 4095, 4096, 4097, 70_000] {
        put(&mut tree, &format!("/etc/deep/{len}"), text(&noise(len, 1)));
    }
    large_files(&mut tree);
    let twice = put(&mut tree, "/etc/twice", text(b"one file"));
    tree.put_name(&path("/many/again"), twice).unwrap();
    for len in [1, 59, 60, 61, 1000] {
        put(
            &mut tree,
            &format!("/dev/link{len}"),
            FileKind::Symlink(target(len)),
        );
    }
    put(
        &mut tree,
        "/dev/null",
        FileKind::CharDevice { major: 1, minor: 3 },
    );
    put(
        &mut tree,
        "/dev/wide",
        FileKind::BlockDevice {
            major: 300,
            minor: 70_000,
        },
    );
    put(&mut tree, "/dev/pipe", FileKind::Fifo);
    put(&mut tree, "/dev/socket", FileKind::Socket);
    for i in 0..700 {
        put(
            &mut tree,
            &format!("/many/file number {i} ü"),
            text(format!("{i}").as_bytes()),
        );
    }
    put(
        &mut tree,
        &format!("/many/{}", "n".repeat(255)),
        text(b"long"),
    );
    attributes(&mut tree);
    tree
}

fn large_files(tree: &mut FileTree) {
    let big: Arc<dyn ReadAt> = Arc::new(noise(3 << 20, 2));
    let runs = [
        (0, 0, 5000),
        (1 << 20, 9000, 100_000),
        (1 << 21, 700_000, 4096),
        (9 << 20, 1 << 20, 1 << 20),
    ];
    let runs: Box<[Run]> = runs
        .iter()
        .map(|(at, from, len)| Run {
            at: *at,
            from: *from,
            len: *len,
        })
        .collect();
    put(
        tree,
        "/sparse",
        FileKind::Regular(Content::extents(big.clone(), runs, 12 << 20)),
    );
    let runs: Box<[Run]> = (0..9u64)
        .map(|i| Run {
            at: i << 17,
            from: i * 3000,
            len: 2000,
        })
        .collect();
    put(
        tree,
        "/combed",
        FileKind::Regular(Content::extents(big.clone(), runs, (8 << 17) + 2000)),
    );
    put(
        tree,
        "/hole",
        FileKind::Regular(Content::extents(big.clone(), [], 5 << 30)),
    );
    put(
        tree,
        "/big",
        FileKind::Regular(Content::range(big, 17, 2_900_001)),
    );
}

fn attributes(tree: &mut FileTree) {
    let mut set = |at: &str, name: &str, value: &[u8]| {
        let meta = tree.meta_mut(&path(at)).unwrap();
        meta.xattrs.insert(name.as_bytes().to_vec(), value.to_vec());
    };
    set(
        "/etc/hostname",
        "security.capability",
        &[1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    );
    set("/etc/hostname", "user.empty", b"");
    for i in 0..20 {
        set(
            "/etc/twice",
            &format!("user.{}", "z".repeat(20 - i)),
            &noise(i, 1),
        );
        set("/many", &format!("trusted.number{i}"), b"value");
    }
    let entry = |tag: u16, perm: u16, id: u32| {
        [
            &tag.to_le_bytes()[..],
            &perm.to_le_bytes(),
            &id.to_le_bytes(),
        ]
        .concat()
    };
    let acl = [
        entry(1, 7, !0),
        entry(2, 6, 1000),
        entry(4, 5, !0),
        entry(16, 7, !0),
        entry(32, 5, !0),
    ]
    .concat();
    let acl = [2u32.to_le_bytes().to_vec(), acl].concat();
    set("/etc/deep", "system.posix_acl_access", &acl);
    set("/etc/deep", "system.posix_acl_default", &acl);
    set("/dev/link59", "trusted.on.a.link", b"yes");
    tree.meta_mut(&path("/etc/deep/er")).unwrap().flags = 0x80;
    tree.meta_mut(&path("/etc/deep/4096")).unwrap().flags = 0x50;
    tree.meta_mut(&path("/big")).unwrap().layer = Layer(2);
    tree.meta_mut(&path("/sparse")).unwrap().uid = 100_000;
    tree.meta_mut(&path("/sparse")).unwrap().mtime = Timestamp {
        secs: 5_000_000_000,
        nanos: 1,
    };
    tree.meta_mut(&path("/hole")).unwrap().mtime = Timestamp {
        secs: -1_000_000,
        nanos: 999_999_999,
    };
}

pub fn is_dir(node: &Node) -> bool {
    matches!(node, Node::Dir(_))
}
