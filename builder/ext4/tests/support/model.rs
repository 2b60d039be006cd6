//! A model of a tree: a table of paths, with no directory in another, and the edits that are made to both.

#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use crate::cases::Rng;
use crate::compare::digest;
use crate::tools::{TIME, noise};
use fstree::{
    Content, File, FileKind, FileTree, ImgPath, Layer, Meta, Name, Node, ReadAt, Run, Timestamp,
};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

type Path = Vec<Vec<u8>>;

#[derive(Clone, Debug)]
enum Entry {
    Dir(Meta),
    File(u32),
}

/// A tree as a table.
#[derive(Clone, Debug)]
pub struct Model {
    root: Meta,
    /// Sorted as a walk goes: what is in a directory after it, names in byte order.
    entries: BTreeMap<Path, Entry>,
    files: BTreeMap<u32, File>,
    next: u32,
}

fn img(path: &[Vec<u8>]) -> ImgPath {
    path.iter().fold(ImgPath::root(), |it, name| {
        it.join(&Name::new(name).unwrap())
    })
}

fn child(dir: &[Vec<u8>], name: Vec<u8>) -> Path {
    let mut path = dir.to_vec();
    path.push(name);
    path
}

impl Model {
    /// Returns a model of nothing but `/lost+found`.
    pub fn new(rng: &mut Rng) -> Self {
        let mut root = random_meta(rng);
        root.layer = Layer(0);
        let mut entries = BTreeMap::new();
        let lost = Meta::root_owned(0o700, TIME, Layer(0));
        entries.insert(vec![b"lost+found".to_vec()], Entry::Dir(lost));
        Self {
            root,
            entries,
            files: BTreeMap::new(),
            next: 0,
        }
    }

    /// Returns the tree that this is a model of.
    pub fn tree(&self) -> FileTree {
        let mut tree = FileTree::new(self.root.clone());
        let mut ids = BTreeMap::new();
        for (path, entry) in &self.entries {
            let at = img(path);
            match entry {
                Entry::Dir(meta) => tree.put_dir(&at, meta.clone()).unwrap(),
                Entry::File(n) => match ids.get(n) {
                    Some(id) => tree.put_name(&at, *id).unwrap(),
                    None => {
                        ids.insert(*n, tree.put(&at, self.files[n].clone()).unwrap());
                    }
                },
            }
        }
        tree
    }

    /// Returns the same text as [`fstree::dump`], made from the table.
    pub fn text(&self) -> String {
        let mut text = String::new();
        line(&mut text, 'd', &self.root, "-", "/");
        let mut seen: BTreeMap<u32, String> = BTreeMap::new();
        for (path, entry) in &self.entries {
            let path = img(path).to_string();
            let n = match entry {
                Entry::Dir(meta) => {
                    line(&mut text, 'd', meta, "-", &path);
                    continue;
                }
                Entry::File(n) => n,
            };
            if let Some(first) = seen.get(n) {
                writeln!(text, "h {path} ={first}").unwrap();
                continue;
            }
            let File { meta, kind } = &self.files[n];
            let (letter, what) = match kind {
                FileKind::Regular(it) => ('f', format!("{}:{}", it.len(), digest(it).unwrap())),
                FileKind::Symlink(it) => ('l', format!("->{}", String::from_utf8_lossy(it))),
                FileKind::BlockDevice { major, minor } => ('b', format!("{major},{minor}")),
                FileKind::CharDevice { major, minor } => ('c', format!("{major},{minor}")),
                FileKind::Fifo => ('p', "-".to_owned()),
                FileKind::Socket => ('s', "-".to_owned()),
            };
            line(&mut text, letter, meta, &what, &path);
            seen.insert(*n, path);
        }
        text
    }

    /// Returns the model of what a volume with inodes of this size makes of it.
    pub fn stored(&self, inode_size: u16) -> Self {
        let mut stored = self.clone();
        stored
            .entries
            .entry(vec![b"lost+found".to_vec()])
            .or_insert_with(|| Entry::Dir(Meta::root_owned(0o700, TIME, Layer(0))));
        stored.each_meta(|meta| {
            meta.layer = Layer(0);
            if inode_size == 128 {
                meta.mtime.nanos = 0;
                meta.mtime.secs = meta.mtime.secs.min(i64::from(i32::MAX));
            }
        });
        stored
    }

    /// Takes out what the kernel shows by other calls only.
    pub fn without_flags(&mut self) {
        self.each_meta(|meta| meta.flags = 0);
    }

    pub fn has_attributes(&self) -> bool {
        let mut any = false;
        self.clone()
            .each_meta(|meta| any |= !meta.xattrs.is_empty());
        any
    }

    fn each_meta(&mut self, mut change: impl FnMut(&mut Meta)) {
        change(&mut self.root);
        for entry in self.entries.values_mut() {
            if let Entry::Dir(meta) = entry {
                change(meta);
            }
        }
        for file in self.files.values_mut() {
            change(&mut file.meta);
        }
    }

    /// Makes one random edit to the model and to its tree.
    pub fn edit(&mut self, rng: &mut Rng, tree: &mut FileTree) {
        let dir = self.pick(rng, |it| matches!(it, Entry::Dir(_)));
        let dir = if rng.once_in(4) { None } else { dir }.unwrap_or_default();
        let fresh = child(&dir, random_name(rng));
        if self.entries.contains_key(&fresh) {
            return;
        }
        let file = self.pick(rng, |it| matches!(it, Entry::File(_)));
        let any = self.pick(rng, |_| true);
        match (rng.below(24), file, any) {
            (0..4, ..) => {
                let meta = random_meta(rng);
                tree.put_dir(&img(&fresh), meta.clone()).unwrap();
                self.entries.insert(fresh, Entry::Dir(meta));
            }
            (4..7, Some(file), _) => {
                let Some(Node::File(id)) = tree.get(&img(&file)) else {
                    panic!("{file:?} is no file")
                };
                tree.put_name(&img(&fresh), *id).unwrap();
                self.entries.insert(fresh, self.entries[&file].clone());
            }
            (7..9, _, Some(any)) => {
                assert!(tree.take(&img(&any)).is_some());
                self.entries.retain(|it, _| !it.starts_with(&any));
            }
            (9..11, _, Some(any)) => self.rename(tree, &any, &fresh),
            (11..15, _, Some(any)) => self.change_meta(rng, tree, &any),
            // In place of another, under its name.
            (15, Some(file), _) => self.put(rng, tree, file),
            // In place, under all its names.
            (16, Some(file), _) => {
                let Some(Node::File(id)) = tree.get(&img(&file)).cloned() else {
                    panic!("{file:?} is no file")
                };
                let Entry::File(n) = self.entries[&file] else {
                    return;
                };
                let content = random_content(rng);
                if let FileKind::Regular(held) = &mut self.files.get_mut(&n).unwrap().kind {
                    *held = content.clone();
                    tree.file_mut(id).kind = FileKind::Regular(content);
                }
            }
            _ => self.put(rng, tree, fresh),
        }
    }

    fn pick(&self, rng: &mut Rng, wanted: impl Fn(&Entry) -> bool) -> Option<Path> {
        let all: Vec<&Path> = self
            .entries
            .iter()
            .filter(|it| wanted(it.1))
            .map(|it| it.0)
            .collect();
        (!all.is_empty()).then(|| (*rng.pick(&all)).clone())
    }

    fn put(&mut self, rng: &mut Rng, tree: &mut FileTree, at: Path) {
        let kind = random_kind(rng);
        let mut meta = random_meta(rng);
        if !matches!(kind, FileKind::Regular(_)) {
            meta.flags = 0;
            meta.xattrs
                .retain(|it, _| !it.starts_with(b"user.") && !it.starts_with(b"system."));
        }
        let file = File { meta, kind };
        tree.put(&img(&at), file.clone()).unwrap();
        self.files.insert(self.next, file);
        self.entries.insert(at, Entry::File(self.next));
        self.next += 1;
    }

    fn rename(&mut self, tree: &mut FileTree, from: &[Vec<u8>], to: &[Vec<u8>]) {
        let result = tree.rename(&img(from), &img(to));
        if to.starts_with(from) {
            // Nothing moves into itself, and nothing is lost by trying.
            assert!(result.is_err());
            return;
        }
        result.unwrap();
        let moved: Vec<Path> = self
            .entries
            .keys()
            .filter(|it| it.starts_with(from))
            .cloned()
            .collect();
        for old in moved {
            let entry = self.entries.remove(&old).unwrap();
            let new = [to, &old[from.len()..]].concat();
            self.entries.insert(new, entry);
        }
    }

    fn change_meta(&mut self, rng: &mut Rng, tree: &mut FileTree, at: &[Vec<u8>]) {
        let ours = match self.entries.get_mut(at).unwrap() {
            Entry::Dir(meta) => meta,
            Entry::File(n) => &mut self.files.get_mut(n).unwrap().meta,
        };
        let theirs = tree.meta_mut(&img(at)).unwrap();
        let other = random_meta(rng);
        match rng.below(3) {
            0 => {
                (ours.mode, ours.uid, ours.gid) = (other.mode, other.uid, other.gid);
                ours.mtime = other.mtime;
            }
            1 => {
                ours.xattrs.pop_first();
            }
            _ => {
                let extra = "e".repeat(1 + rng.below(9));
                ours.xattrs.insert(
                    format!("trusted.{extra}").into_bytes(),
                    vec![7; rng.below(9)],
                );
            }
        }
        *theirs = ours.clone();
    }
}

fn line(text: &mut String, kind: char, meta: &Meta, what: &str, path: &str) {
    let Timestamp { secs, nanos } = meta.mtime;
    let (mode, uid, gid) = (meta.mode, meta.uid, meta.gid);
    write!(
        text,
        "{kind} {mode:04o} {uid}:{gid} {secs}.{nanos:09} {what} {path}"
    )
    .unwrap();
    if meta.flags != 0 {
        write!(text, " flags={:#x}", meta.flags).unwrap();
    }
    for (name, value) in &meta.xattrs {
        write!(text, " {}=", String::from_utf8_lossy(name)).unwrap();
        for byte in value {
            write!(text, "{byte:02x}").unwrap();
        }
    }
    text.push('\n');
}

/// Returns a name: mostly short, sometimes as long as can be, of all bytes that there are.
fn random_name(rng: &mut Rng) -> Vec<u8> {
    let len = match rng.below(12) {
        0 => 255,
        1 => 200 + rng.below(56),
        2..5 => 20 + rng.below(60),
        _ => 1 + rng.below(12),
    };
    let wild = rng.once_in(3);
    loop {
        let name: Vec<u8> = (0..len)
            .map(|_| {
                let byte = u8::try_from(rng.below(256)).unwrap();
                match byte {
                    _ if !wild => b'a' + byte % 26,
                    0 | b'/' => b'_',
                    _ => byte,
                }
            })
            .collect();
        if Name::new(&name).is_ok() {
            return name;
        }
    }
}

fn random_meta(rng: &mut Rng) -> Meta {
    let id = |rng: &mut Rng| match rng.below(4) {
        0 => u32::try_from(rng.long(1 << 32)).unwrap().min(u32::MAX - 1),
        1 => u32::try_from(rng.long(70_000)).unwrap(),
        _ => 0,
    };
    let secs = match rng.below(4) {
        // Past 2310 `e2fsck` thinks of 1901 instead.
        0 => i64::from(i32::MIN) + i64::try_from(rng.long(12_800_000_000)).unwrap(),
        1 => *rng.pick(&[
            i64::from(i32::MIN),
            -1,
            0,
            0x7fff_ffff,
            0x8000_0000,
            0xffff_ffff,
            0x1_0000_0000,
        ]),
        _ => 1_600_000_000,
    };
    let mut meta = Meta {
        mode: u16::try_from(rng.below(0o10000)).unwrap(),
        uid: id(rng),
        gid: id(rng),
        mtime: Timestamp {
            secs,
            nanos: if rng.once_in(2) {
                0
            } else {
                u32::try_from(rng.below(1_000_000_000)).unwrap()
            },
        },
        flags: *rng.pick(&[0, 0, 0, 0, 0x10, 0x20, 0x40, 0x80, 8]),
        layer: Layer(u16::try_from(rng.below(4)).unwrap()),
        ..Meta::default()
    };
    if rng.once_in(4) {
        let mut room = 760;
        for _ in 0..=rng.below(9) {
            let prefix = rng.pick(&["user.", "trusted.", "security.x"]);
            let suffix: String = (0..=rng.below(30))
                .map(|_| char::from(b'a' + u8::try_from(rng.below(26)).unwrap()))
                .collect();
            let value = noise(rng.below(150), 1);
            let cost = 24 + suffix.len() + value.len();
            if cost < room {
                room -= cost;
                meta.xattrs
                    .insert(format!("{prefix}{suffix}").into_bytes(), value);
            }
        }
    }
    if rng.once_in(12) {
        meta.xattrs
            .insert(b"system.posix_acl_access".to_vec(), acl());
    }
    meta
}

/// Returns an access control list that names a user, in the form of `getxattr`.
fn acl() -> Vec<u8> {
    let entries = [
        (1u16, 7u16, !0u32),
        (2, 6, 1000),
        (4, 5, !0),
        (16, 7, !0),
        (32, 5, !0),
    ];
    let mut list = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        list.extend(tag.to_le_bytes());
        list.extend(permissions.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    list
}

fn random_kind(rng: &mut Rng) -> FileKind {
    match rng.below(16) {
        0 | 1 => {
            let len = *rng.pick(&[1, 30, 59, 60, 61, 300, 1023]);
            FileKind::Symlink("some/where/".bytes().cycle().take(len).collect())
        }
        2 => {
            let (major, minor) = (
                u32::try_from(rng.below(4096)).unwrap(),
                u32::try_from(rng.below(1 << 20)).unwrap(),
            );
            if rng.once_in(2) {
                FileKind::BlockDevice { major, minor }
            } else {
                FileKind::CharDevice {
                    major: major % 256,
                    minor: minor % 256,
                }
            }
        }
        3 => FileKind::Fifo,
        4 => FileKind::Socket,
        _ => FileKind::Regular(random_content(rng)),
    }
}

fn random_content(rng: &mut Rng) -> Content {
    let source: Arc<dyn ReadAt> = Arc::new(noise(100_000, 5));
    let mut runs = Vec::new();
    let mut at = 0;
    match rng.below(10) {
        0..5 => return Content::inline(noise(rng.below(9000), 3)),
        5 => at = rng.long(1 << 34),
        kind => {
            // Comb-like ones have more pieces than fit an inode.
            let (pieces, gap) = if kind == 9 {
                (rng.below(120), 150_000)
            } else {
                (rng.below(6), 200_000)
            };
            for _ in 0..pieces {
                at += rng.long(gap);
                let len = 1 + rng.long(if kind == 9 { 3000 } else { 40_000 });
                runs.push(Run {
                    at,
                    from: rng.long(50_000),
                    len,
                });
                at += len;
            }
            at += rng.long(300_000) * rng.long(2);
        }
    }
    Content::extents(source, runs, at)
}
