//! Small volumes: ext2, ext3 and ext4 of many features, journals, FAT of every width.

use super::{folder, noise, run};
use ext4::{Feature, Features, Options};
use fstree::{
    Content, File, FileKind, FileTree, ImgPath, Layer, Meta, Node, ReadAt, Run, Timestamp,
};
use std::fs;
use std::sync::Arc;

/// Bytes of a block of the volume with a journal.
pub const BLOCK: usize = 1024;
/// Bytes of its journal.
pub const JOURNAL_BYTES: usize = 1024 * BLOCK;
const TIME: Timestamp = Timestamp {
    secs: 1_650_000_000,
    nanos: 0,
};

fn path(text: &str) -> ImgPath {
    ImgPath::new(text).expect("a constant path")
}

fn put(tree: &mut FileTree, at: &str, kind: FileKind) {
    let meta = Meta {
        mode: 0o644,
        mtime: TIME,
        ..Meta::default()
    };
    let above = path(at).parent().expect("no path is the root");
    tree.make_dirs(&above, &Meta::default())
        .expect("nothing is in the way");
    tree.put(&path(at), File { meta, kind })
        .expect("nothing is in the way");
}

fn text(bytes: &[u8]) -> FileKind {
    FileKind::Regular(Content::inline(bytes.to_vec()))
}

/// Returns a tree with one of everything.
fn tree() -> FileTree {
    let mut tree = FileTree::new(Meta {
        mode: 0o755,
        layer: Layer(0),
        ..Meta::default()
    });
    for i in 0..40 {
        put(
            &mut tree,
            &format!("/d/a name that is not too short {i}"),
            text(b"x"),
        );
    }
    put(&mut tree, "/d/e/f", text(&noise(3000)));
    let source: Arc<dyn ReadAt> = Arc::new(noise(16 << 10));
    let runs: Box<[Run]> = (0..6)
        .map(|i| Run {
            at: i << 17,
            from: i << 10,
            len: 100,
        })
        .collect();
    let len = 1 << 20;
    put(
        &mut tree,
        "/combed",
        FileKind::Regular(Content::extents(source, runs, len)),
    );
    put(&mut tree, "/long", FileKind::Symlink(vec![b'x'; 100]));
    put(&mut tree, "/short", FileKind::Symlink(b"combed".to_vec()));
    put(
        &mut tree,
        "/dev/null",
        FileKind::CharDevice { major: 1, minor: 3 },
    );
    put(&mut tree, "/dev/pipe", FileKind::Fifo);
    let meta = tree.meta_mut(&path("/combed")).expect("it was put there");
    for i in 0..6 {
        meta.xattrs
            .insert(format!("user.{i}").into_bytes(), noise(40));
    }
    let Some(Node::File(id)) = tree.get(&path("/d/e/f")) else {
        panic!("it was put there");
    };
    let id = *id;
    tree.put_name(&path("/d/e/g"), id)
        .expect("nothing is in the way");
    tree
}

fn bytes(volume: &dyn ReadAt) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(volume.size()).expect("a small volume")];
    volume
        .read_exact_at(&mut bytes, 0)
        .expect("memory can be read");
    bytes
}

fn ours(features: Features, size: u64, journal: Option<u32>) -> Vec<u8> {
    written(&tree(), features, size, journal)
}

/// Returns a root file system that says which packages and overlays were laid over its base.
pub(super) fn described() -> Vec<u8> {
    let mut tree = FileTree::new(Meta::default());
    for (at, bytes) in [
        ("/etc/os-release", &b"NAME=x\n"[..]),
        (
            "/usr/lib/nodeimg/image.json",
            br#"{"time":1650000000,"packages":[{"name":"p"},{"name":"q"}],"overlays":{"o":["/etc/o"]}}"#,
        ),
        ("/etc/o", b""),
        ("/usr/bin/p", b"p"),
        ("/var/lib/dpkg/info/p.list", b"/.\n/usr\n/usr/bin\n/usr/bin/p\n"),
        ("/var/lib/dpkg/info/q:amd64.list", b"/.\n/etc\n/usr/bin/p\n"),
    ] {
        put(&mut tree, at, text(bytes));
    }
    let features = Features::EXT4
        .without(Feature::HAS_JOURNAL)
        .without(Feature::METADATA_CSUM);
    written(&tree, features, 128 << 10, None)
}

fn written(tree: &FileTree, features: Features, size: u64, journal: Option<u32>) -> Vec<u8> {
    let options = Options {
        features,
        block_size: 1024,
        spare_inodes: 0,
        growth_blocks: 0,
        journal_blocks: journal,
        ..Options::new(size, [7; 16], TIME)
    };
    let layout = ext4::layout(tree, &options).expect("the tree fits");
    bytes(&ext4::write(&layout, tree).expect("what was laid out can be written"))
}

/// Returns volumes of ours and of mke2fs.
pub fn ext4() -> Vec<Vec<u8>> {
    let plain = Features::EXT4.without(Feature::HAS_JOURNAL);
    let unsummed = plain.without(Feature::METADATA_CSUM);
    let mut seeds = vec![
        ours(plain, 192 << 10, None),
        ours(unsummed, 192 << 10, None),
        ours(unsummed.without(Feature::DIR_INDEX), 192 << 10, None),
    ];
    let folder = folder();
    let from = folder.path().join("from");
    fs::create_dir_all(from.join("d/e")).expect("a folder of our own");
    for i in 0..60 {
        let name = format!("d/name that takes some room of a block {i}");
        fs::write(from.join(name), format!("{i}")).expect("a folder of our own");
    }
    // Holes, and more blocks than a map's direct ones.
    fs::write(from.join("d/e/large"), noise(14_000)).expect("a folder of our own");
    for (kind, features) in [
        ("ext2", "^resize_inode"),
        ("ext4", "^has_journal,^metadata_csum,^resize_inode"),
        (
            "ext4",
            "^has_journal,^metadata_csum,^resize_inode,inline_data",
        ),
        (
            "ext4",
            "^has_journal,^metadata_csum,^resize_inode,meta_bg,^64bit",
        ),
        (
            "ext4",
            "^has_journal,^metadata_csum,^resize_inode,sparse_super2,uninit_bg",
        ),
        (
            "ext4",
            "^has_journal,metadata_csum,metadata_csum_seed,^resize_inode,ea_inode",
        ),
    ] {
        run(
            folder.path(),
            "mke2fs",
            "e2fsprogs",
            &[
                "-q",
                "-F",
                "-t",
                kind,
                "-O",
                features,
                "-b",
                "1024",
                "-N",
                "96",
                "-U",
                "01020304-0506-0708-090a-0b0c0d0e0f10",
                "-d",
                "from",
                "image",
                "192k",
            ],
        );
        let image = folder.path().join("image");
        seeds.push(fs::read(&image).expect("mke2fs made it"));
        fs::remove_file(&image).expect("mke2fs made it");
    }
    seeds
}

/// Returns a volume that asks for its journal to be replayed, and where that begins.
pub fn journalled() -> (Vec<u8>, usize) {
    let features = Features::EXT4.without(Feature::METADATA_CSUM);
    let mut volume = ours(features, 2 << 20, Some(1024));
    let at = volume
        .chunks_exact(BLOCK)
        .position(|block| block.starts_with(b"\xc0\x3b\x39\x98\0\0\0\x04"));
    // The superblock's incompatible features: "needs recovery".
    volume[1024 + 0x60] |= 4;
    (volume, at.expect("it has a journal") * BLOCK)
}

/// Returns beginnings of journals: one transaction that writes a block, revokes one, and writes it again; then fast commits.
pub fn journal() -> Vec<Vec<u8>> {
    let (volume, at) = journalled();
    let head = &volume[at..at + BLOCK];
    // 64-bit, checksums of version 2 and 3, fast commits, in the bits of the journal's own superblock.
    [0_u8, 1, 2, 3, 0x0a, 0x13, 0x21, 0x33]
        .into_iter()
        .map(|features| {
            let mut journal = head.to_vec();
            journal[0x1c..0x20].copy_from_slice(&1_u32.to_be_bytes());
            journal[0x2b] = features;
            let sequence = u32::from_be_bytes(journal[0x18..0x1c].try_into().expect("four bytes"));
            let block = |kind: u32, words: &[u32]| {
                let mut block = vec![0; BLOCK];
                let head = [0xc03b_3998, kind, sequence];
                for (at, word) in head.iter().chain(words).enumerate() {
                    block[4 * at..4 * at + 4].copy_from_slice(&word.to_be_bytes());
                }
                block
            };
            // Flags: the last tag, with the journal's UUID; the block it writes is one of data.
            let tag: &[u32] = match features & 0x12 {
                0x10 | 0x12 => &[1500, 10, 0, 0],
                2 => &[1500, 10, 0],
                _ => &[1500, 10],
            };
            journal.extend(block(1, tag));
            journal.extend(noise(BLOCK));
            journal.extend(block(5, &[16 + 8, 0, 1600]));
            journal.extend(block(2, &[]));
            if features & 0x20 != 0 {
                // A short journal: eight blocks, the last three for fast commits, one of them free.
                journal[0x10..0x14].copy_from_slice(&8_u32.to_be_bytes());
                journal[0x54..0x58].copy_from_slice(&3_u32.to_be_bytes());
                journal.resize(6 * BLOCK, 0);
                journal.extend(fast_commit(sequence + 1));
            }
            journal
        })
        .collect()
}

/// Returns a fast commit with one of everything; the parser sets its checksum.
fn fast_commit(sequence: u32) -> Vec<u8> {
    let mut inode = vec![0; 128];
    (inode[0], inode[1], inode[0x1a], inode[0x22]) = (0xa4, 0x81, 1, 8);
    let words = |all: &[u32], rest: &[u8]| {
        let head: Vec<u8> = all.iter().flat_map(|it| it.to_le_bytes()).collect();
        [&head, rest].concat()
    };
    let mut block = Vec::new();
    for (tag, value) in [
        (9_u16, words(&[0, sequence], &[])),
        (6, words(&[60], &inode)),
        (3, words(&[2, 60], b"made")),
        (4, words(&[2, 60], b"linked")),
        (5, words(&[2, 60], b"linked")),
        (1, words(&[60, 0, 2, 1500], &[])),
        (2, words(&[60, 1, 1], &[])),
        (7, vec![0; 20]),
        (8, words(&[sequence, 0], &[])),
    ] {
        block.extend(tag.to_le_bytes());
        block.extend(
            u16::try_from(value.len())
                .expect("a short tag")
                .to_le_bytes(),
        );
        block.extend(value);
    }
    block.resize(BLOCK, 0);
    block
}

/// Returns a FAT12, a FAT16 and a FAT32 volume of ours and one of mkfs.fat, each cut off after its last file.
pub fn fat() -> Vec<Vec<u8>> {
    let mut tree = FileTree::new(Meta::default());
    put(
        &mut tree,
        "/a/b/a name that is long.txt",
        text(&noise(2000)),
    );
    put(&mut tree, "/a/\u{fc}nicode", text(&noise(700)));
    put(&mut tree, "/D.TXT", text(b"d"));
    let write = |options: &fat::Options| {
        let layout = fat::layout(&tree, options).expect("the tree fits");
        bytes(&fat::write(&layout, &tree).expect("what was laid out can be written"))
    };
    let wide = {
        let options = fat::Options::fresh(520 << 20, None, 1, TIME);
        let layout = fat::layout(&tree, &options).expect("the tree fits");
        let volume = fat::write(&layout, &tree).expect("what was laid out can be written");
        let (_, facts) = fat::read(Arc::new(volume)).expect("it reads back");
        let facts = fat::Facts {
            cluster_sectors: 1,
            ..facts
        };
        write(&fat::Options::like(&facts, 64 << 10, TIME))
    };
    let folder = folder();
    let image = folder.path().join("image");
    fs::File::create(&image)
        .and_then(|it| it.set_len(64 << 10))
        .expect("a folder of our own");
    run(
        folder.path(),
        "mkfs.fat",
        "dosfstools",
        &["-n", "BOOT", "-i", "12345678", "image"],
    );
    let mut seeds = vec![
        write(&fat::Options::fresh(64 << 10, None, 1, TIME)),
        write(&fat::Options::fresh(6 << 20, None, 1, TIME)),
        wide,
        fs::read(&image).expect("mkfs.fat made it"),
    ];
    for seed in &mut seeds {
        let used = seed.iter().rposition(|it| *it != 0).unwrap_or(0) + 1;
        seed.truncate(used.next_multiple_of(512));
    }
    seeds
}
