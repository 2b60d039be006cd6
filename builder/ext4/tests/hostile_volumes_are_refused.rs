//! Damaged volumes give a tree or an error: never a panic, never more work than an honest volume.

#![expect(clippy::disallowed_types, reason = "tests run the independent tools")]

#[path = "support/tools.rs"]
mod tools;

use ext4::{Feature, Features, Options};
use fstree::{Content, Dir, FileKind, FileTree, Meta, Name, Node, ReadAt};
use std::sync::Arc;
use tools::{MIB, empty, make, noise, options, path, put, text};

/// Returns a volume of 2 MiB with something of every kind.
fn volume(features: Features) -> Vec<u8> {
    let mut tree = empty();
    tree.make_dirs(&path("/d/e"), &Meta::default()).unwrap();
    for i in 0..60 {
        put(
            &mut tree,
            &format!("/d/a name that is not too short {i}"),
            text(&noise(i, 1)),
        );
    }
    let source: Arc<dyn ReadAt> = Arc::new(noise(1 << 16, 1));
    let runs: Box<[fstree::Run]> = (0..8)
        .map(|i| fstree::Run {
            at: i << 17,
            from: 0,
            len: 100,
        })
        .collect();
    put(
        &mut tree,
        "/combed",
        FileKind::Regular(Content::extents(source, runs, 1 << 20)),
    );
    put(&mut tree, "/link", FileKind::Symlink(vec![b'x'; 100]));
    put(
        &mut tree,
        "/dev",
        FileKind::CharDevice { major: 1, minor: 3 },
    );
    for i in 0..10 {
        let meta = tree.meta_mut(&path("/link")).unwrap();
        meta.xattrs
            .insert(format!("trusted.{i}").into_bytes(), noise(30, 1));
    }
    let options = Options {
        features,
        block_size: 1024,
        spare_inodes: 0,
        growth_blocks: 0,
        ..options(2 * MIB)
    };
    let (_, mosaic) = make(
        &tree,
        &Options {
            journal_blocks: Some(1024),
            ..options
        },
    );
    let mut bytes = vec![0; usize::try_from(2 * MIB).unwrap()];
    mosaic.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

/// Reads all that a damaged volume lets itself be read.
fn exercise(bytes: Vec<u8>) -> bool {
    let Ok((tree, facts)) = ext4::read(Arc::new(bytes)) else {
        return false;
    };
    let mut n = 0u64;
    for (_, node) in tree.walk() {
        if let fstree::Node::File(id) = node
            && let FileKind::Regular(content) = &tree.file(*id).kind
        {
            n += content.runs().iter().map(|it| it.len).sum::<u64>();
            let _read = content.read_all(1 << 16);
        }
    }
    let again = Options::like(&facts, 4 * MIB, facts.mkfs_time);
    let _laid_out: Result<FileTree, _> = ext4::layout(&tree, &again).map(|it| {
        assert!(ext4::write(&it, &tree).is_ok());
        tree.clone()
    });
    n < u64::MAX
}

/// Damages bytes here and there, in metadata only: what is zero stays, for little of that is read.
fn damage(base: &[u8], step: usize) {
    assert!(exercise(base.to_vec()));
    let used: Vec<usize> = (0..base.len()).filter(|it| base[*it] != 0).collect();
    let mut read = 0;
    for (n, at) in used.iter().enumerate().step_by(step) {
        let mut bytes = base.to_vec();
        bytes[*at] = [
            0,
            0xff,
            bytes[*at] ^ 0x80,
            bytes[*at] ^ 1,
            bytes[*at].wrapping_add(7),
        ][n % 5];
        read += usize::from(exercise(bytes));
    }
    assert!(read > 0);
}

#[test]
fn with_checksums() {
    damage(&volume(Features::EXT4), 61);
}

#[test]
fn without_checksums() {
    let features = Features::EXT4.without(Feature::METADATA_CSUM);
    damage(&volume(features), 23);
    damage(&volume(features.without(Feature::DIR_INDEX)), 41);
}

#[test]
fn where_zero_becomes_something() {
    let base = volume(Features::EXT4.without(Feature::METADATA_CSUM));
    for at in (1024..400_000).step_by(389) {
        let mut bytes = base.clone();
        bytes[at] = 0xff;
        bytes[at + 1] = 0x7f;
        exercise(bytes);
    }
}

#[test]
fn that_end_too_early() {
    let base = volume(Features::EXT4);
    for len in (0..base.len())
        .step_by(50_021)
        .chain([0, 1, 1023, 1024, 1500, 2047, 2048])
    {
        assert!(!exercise(base[..len].to_vec()), "{len}");
    }
}

#[test]
fn that_are_nothing_but_noise() {
    for seed in 0..100u8 {
        let mut bytes = noise(1 << 16, seed);
        bytes.rotate_left(usize::from(seed) * 7);
        assert!(!exercise(bytes));
    }
}

/// Returns what reading says of a volume with directories of these names in one another.
fn nested(names: impl IntoIterator<Item = String>) -> Result<FileTree, String> {
    let mut tree = empty();
    // By hand: edits put nothing where Linux cannot name it.
    let mut dir = tree.root_mut();
    for name in names {
        let name = Name::new(name.as_bytes()).unwrap();
        dir.insert(name.clone(), Node::Dir(Box::new(Dir::new(Meta::default()))));
        let Some(Node::Dir(made)) = dir.get_mut(&name) else {
            unreachable!("it was just put there");
        };
        dir = made;
    }
    let (_, volume) = make(&tree, &options(8 * MIB));
    let read = ext4::read(Arc::new(volume));
    read.map(|it| it.0).map_err(|it| it.to_string())
}

#[test]
fn with_a_path_that_linux_cannot_name() {
    // Sixteen times a slash and 255 bytes are 4096.
    let long = || std::iter::repeat_n("n".repeat(255), 16);
    assert!(nested(long()).is_ok());
    let error = nested(long().chain(["d".to_owned()])).unwrap_err();
    assert!(
        error.contains("a directory whose path is longer than 4096 bytes"),
        "{error}"
    );
}

#[test]
fn with_more_directories_in_one_another_than_are_ever_made() {
    let deep = |count: usize| nested((0..count).map(|it| it.to_string()));
    assert!(deep(500).is_ok());
    let error = deep(501).unwrap_err();
    assert!(
        error.contains("more than 500 directories in one another"),
        "{error}"
    );
}
