//! A volume as a reader sees it that shares no code with ours, the crate `ext4-view`. The crate `tests` has this file too, for what
//! whole builds make.

#![allow(unreachable_pub, reason = "each crate uses it in its way")]

use ext4_view::{Ext4, Ext4Read, File, FileType};
use fstree::{Content, FileKind, FileTree, ImgPath, Meta, Node, ReadAt};
use std::error::Error;
use std::sync::Arc;

/// Bytes that are compared at once.
const PIECE: u64 = 1 << 20;
/// How much of a hole is read to its end: behind more, the reader is sent to where data begins again.
const NEAR: u64 = 16 << 20;
/// What a volume has of its own.
const LOST_FOUND: &[u8] = b"lost+found";

/// Bytes, as that reader wants them.
struct Source(Arc<dyn ReadAt>);

impl Ext4Read for Source {
    fn read(&mut self, start: u64, into: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(self.0.read_exact_at(into, start)?)
    }
}

/// Walks a volume and compares all that the reader tells with a tree: names, kinds, sizes, modes, owners, times, where links lead,
/// and what files hold. Returns how many files and directories there were.
///
/// It tells nothing of device numbers, links' count, attributes and flags.
pub fn compare(volume: Arc<dyn ReadAt>, tree: &FileTree) -> usize {
    let volume = Ext4::load(Box::new(Source(volume))).unwrap_or_else(|it| panic!("{it}"));
    let root = ImgPath::root();
    meta(&volume, &root, &tree.root().meta, FileType::Directory);
    let has_own = tree
        .root()
        .entries()
        .any(|it| it.0.as_bytes() == LOST_FOUND);
    let mut found = names(&volume, &root);
    found.retain(|it| has_own || it != LOST_FOUND);
    let mut seen = 1;
    assert_eq!(found, names_of(tree.root().entries()), "/");
    for (at, node) in tree.walk() {
        match node {
            Node::Dir(dir) => {
                assert_eq!(names(&volume, &at), names_of(dir.entries()), "{at}");
                meta(&volume, &at, &dir.meta, FileType::Directory);
            }
            Node::File(id) => {
                let file = tree.file(*id);
                meta(&volume, &at, &file.meta, kind(&file.kind));
                holds(&volume, &at, &file.kind);
            }
        }
        seen += 1;
    }
    seen
}

fn names_of<'a>(entries: impl Iterator<Item = (&'a fstree::Name, &'a Node)>) -> Vec<Vec<u8>> {
    entries.map(|it| it.0.as_bytes().to_vec()).collect()
}

fn names(volume: &Ext4, at: &ImgPath) -> Vec<Vec<u8>> {
    let entries = volume.read_dir(at.as_bytes());
    let entries = entries.unwrap_or_else(|it| panic!("{at}: {it}"));
    let name = |it: Result<ext4_view::DirEntry, _>| {
        let entry = it.unwrap_or_else(|it| panic!("{at}: {it}"));
        entry.file_name().as_ref().to_vec()
    };
    let mut names: Vec<Vec<u8>> = entries.map(name).collect();
    names.retain(|it| it != b"." && it != b"..");
    names.sort();
    names
}

fn kind(kind: &FileKind) -> FileType {
    match kind {
        FileKind::Regular(_) => FileType::Regular,
        FileKind::Symlink(_) => FileType::Symlink,
        FileKind::BlockDevice { .. } => FileType::BlockDevice,
        FileKind::CharDevice { .. } => FileType::CharacterDevice,
        FileKind::Fifo => FileType::Fifo,
        FileKind::Socket => FileType::Socket,
    }
}

/// Compares what an inode says; all its times are the file's own.
fn meta(volume: &Ext4, at: &ImgPath, meta: &Meta, kind: FileType) {
    let found = volume.symlink_metadata(at.as_bytes());
    let found = found.unwrap_or_else(|it| panic!("{at}: {it}"));
    assert_eq!(found.file_type(), kind, "{at}");
    assert_eq!(
        (found.mode(), found.uid(), found.gid()),
        (meta.mode, meta.uid, meta.gid),
        "mode and owners of {at}"
    );
    let time = (meta.mtime.secs, meta.mtime.nanos);
    for it in [found.modified(), found.accessed()]
        .into_iter()
        .chain(found.created())
    {
        assert_eq!((it.seconds(), it.nanoseconds()), time, "times of {at}");
    }
}

/// Compares a file's size and content, a link's target.
fn holds(volume: &Ext4, at: &ImgPath, kind: &FileKind) {
    let (FileKind::Regular(_) | FileKind::Symlink(_)) = kind else {
        return;
    };
    let size = volume.symlink_metadata(at.as_bytes()).map(|it| it.len());
    let size = size.unwrap_or_else(|it| panic!("{at}: {it}"));
    match kind {
        FileKind::Regular(content) => {
            assert_eq!(size, content.len(), "the size of {at}");
            let file = volume.open(at.as_bytes());
            same(file.unwrap_or_else(|it| panic!("{at}: {it}")), at, content);
        }
        FileKind::Symlink(target) => {
            assert_eq!(size, target.len() as u64, "the size of {at}");
            let found = volume.read_link(at.as_bytes());
            let found = found.unwrap_or_else(|it| panic!("{at}: {it}"));
            assert_eq!(found.as_ref(), target.as_slice(), "{at}");
        }
        _ => {}
    }
}

/// Compares a file piece by piece; of large holes the first and the last of it.
fn same(mut file: File, at: &ImgPath, content: &Content) {
    let mut bytes = vec![0; usize::try_from(PIECE).unwrap()];
    let mut theirs = bytes.clone();
    let data_from = |from| {
        let data = content
            .next_data(from)
            .unwrap_or_else(|it| panic!("{at}: {it}"));
        data.map_or(content.len(), |it| it.start)
    };
    let mut from = 0;
    while from < content.len() {
        let n = usize::try_from((content.len() - from).min(PIECE)).unwrap();
        content.read_exact_at(&mut bytes[..n], from).unwrap();
        let mut filled = 0;
        while filled < n {
            let more = file.read_bytes(&mut theirs[filled..n]);
            let more = more.unwrap_or_else(|it| panic!("{at}: {it}"));
            assert_ne!(more, 0, "{at} ends at byte {}", from + filled as u64);
            filled += more;
        }
        let differs = bytes[..n]
            .iter()
            .zip(&theirs[..n])
            .position(|it| it.0 != it.1);
        assert_eq!(differs, None, "in the piece of {at} from byte {from}");
        let was_hole = data_from(from) >= from + n as u64;
        from += n as u64;
        let data = data_from(from);
        if was_hole && data > from + NEAR {
            from = data.min(content.len() - 1) / PIECE * PIECE;
            file.seek_to(from).unwrap_or_else(|it| panic!("{at}: {it}"));
        }
    }
}
