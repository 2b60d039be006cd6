//! Random trees and trees at the limits: laid out, written, accepted by `e2fsck`, read back equal.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "tests run the independent tools"
)]

#[path = "support/compare.rs"]
mod compare;
#[path = "support/tools.rs"]
mod tools;

use compare::{same, walk_independently};
use ext4::{Error, Feature, Features, Options};
use fstree::{
    Content, File, FileKind, FileTree, ImgPath, Layer, Meta, Name, Node, ReadAt, Run, Timestamp,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::sync::Arc;
use tools::{MIB, Scratch, empty, fsck, make, meta, noise, options, path, put, text};

/// One thing to be put into a tree: which directory, name, what, metadata.
#[derive(Clone, Debug)]
struct Piece {
    dir: prop::sample::Index,
    name: Vec<u8>,
    what: What,
    mode: u16,
    ids: (u32, u32),
    mtime: (i64, u32),
    layer: u16,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

#[derive(Clone, Debug)]
enum What {
    Dir,
    Inline(usize),
    Runs(Vec<(u32, u32)>, u32),
    Link(usize),
    Device(u32, u32),
    Pipe,
    Again(prop::sample::Index),
}

fn piece() -> impl Strategy<Value = Piece> {
    let names = prop_oneof![
        4 => prop::collection::vec(1u8..=255, 1..12),
        1 => prop::collection::vec(1u8..=255, 200..=255),
    ];
    let what = prop_oneof![
        3 => Just(What::Dir),
        6 => (0usize..9000).prop_map(What::Inline),
        3 => (prop::collection::vec((0u32..200_000, 1u32..60_000), 0..12), 0u32..300_000).prop_map(|(a, b)| What::Runs(a, b)),
        2 => prop::sample::select(vec![1, 59, 60, 61, 1000, 1023]).prop_map(What::Link),
        1 => (0u32..4096, 0u32..1 << 20).prop_map(|(a, b)| What::Device(a, b)),
        1 => Just(What::Pipe),
        2 => any::<prop::sample::Index>().prop_map(What::Again),
    ];
    let xattr = (
        "(user|trusted|security)\\.[a-z]{1,30}",
        prop::collection::vec(any::<u8>(), 0..150),
    );
    let xattrs = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(xattr, 1..6)];
    let xattrs = xattrs.prop_map(|it| {
        it.into_iter()
            .map(|(name, value)| (name.into_bytes(), value))
            .collect()
    });
    let ids = prop_oneof![Just((0, 0)), any::<(u32, u32)>()];
    let mtime = (i64::from(i32::MIN)..10_737_418_240, 0u32..1_000_000_000);
    (
        any::<prop::sample::Index>(),
        names,
        what,
        0u16..0o10000,
        ids,
        mtime,
        0u16..4,
        xattrs,
    )
        .prop_map(|(dir, name, what, mode, ids, mtime, layer, xattrs)| Piece {
            dir,
            name,
            what,
            mode,
            ids,
            mtime,
            layer,
            xattrs,
        })
}

fn tree_of(pieces: &[Piece]) -> FileTree {
    let mut tree = empty();
    let mut dirs = vec![ImgPath::root()];
    let mut files = Vec::new();
    for piece in pieces {
        let name: Vec<u8> = piece
            .name
            .iter()
            .map(|it| if *it == b'/' { b'_' } else { *it })
            .collect();
        let Ok(name) = Name::new(&name) else { continue };
        let at = piece.dir.get(&dirs).join(&name);
        if tree.get(&at).is_some() {
            continue;
        }
        let meta = Meta {
            mode: piece.mode,
            uid: piece.ids.0,
            gid: piece.ids.1,
            mtime: Timestamp {
                secs: piece.mtime.0,
                nanos: piece.mtime.1,
            },
            xattrs: piece.xattrs.iter().cloned().collect(),
            flags: 0,
            layer: Layer(piece.layer),
        };
        let kind = match &piece.what {
            What::Dir => {
                tree.put_dir(&at, meta).unwrap();
                dirs.push(at);
                continue;
            }
            What::Again(which) => {
                if !files.is_empty() {
                    tree.put_name(&at, *which.get(&files)).unwrap();
                }
                continue;
            }
            What::Inline(len) => text(&noise(*len, 1)),
            What::Runs(runs, tail) => FileKind::Regular(sparse(runs, *tail)),
            What::Link(len) => FileKind::Symlink(vec![b'l'; *len]),
            What::Device(major, minor) => FileKind::BlockDevice {
                major: *major,
                minor: *minor,
            },
            What::Pipe => FileKind::Fifo,
        };
        files.push(tree.put(&at, File { meta, kind }).unwrap());
    }
    tree
}

/// Returns content of gaps and runs, each so long, and a gap at the end.
fn sparse(pieces: &[(u32, u32)], tail: u32) -> Content {
    let source: Arc<dyn ReadAt> = Arc::new(noise(100_000, 5));
    let mut runs = Vec::new();
    let mut at = 0;
    for (gap, len) in pieces {
        at += u64::from(*gap);
        runs.push(Run {
            at,
            from: u64::from(*gap) % 40_000,
            len: u64::from(*len),
        });
        at += u64::from(*len);
    }
    Content::Extents {
        source,
        runs: runs.into(),
        len: at + u64::from(tail),
    }
}

fn check(tree: &FileTree, options: &Options, what: &str) {
    let scratch = Scratch::new();
    let (_, volume) = make(tree, options);
    fsck(&scratch.save("image", &volume), None);
    let (got, _) = ext4::read(Arc::new(volume)).unwrap();
    same(&got, tree, what);
}

#[test]
fn random_trees() {
    let plain = Features::EXT4;
    let forms = [
        (plain, 4096),
        (plain, 1024),
        (
            plain
                .without(Feature::METADATA_CSUM)
                .without(Feature::IS_64BIT),
            2048,
        ),
        (
            plain
                .without(Feature::METADATA_CSUM)
                .with(Feature::GDT_CSUM),
            1024,
        ),
    ];
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let config = Config {
        cases: 40,
        failure_persistence: None,
        max_shrink_iters: 40,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, rng);
    let trees = (
        prop::collection::vec(piece(), 0..150),
        prop::sample::select(forms.to_vec()),
    );
    let result = runner.run(&trees, |(pieces, (features, block_size))| {
        let tree = tree_of(&pieces);
        let base = Options {
            features,
            block_size,
            growth_blocks: 128,
            ..options(64 * MIB)
        };
        let size = ext4::minimum_size(&tree, &base, 0);
        check(&tree, &Options { size, ..base }, "random tree");
        Ok(())
    });
    result.unwrap();
}

#[test]
fn a_directory_of_many_names() {
    let mut tree = empty();
    for i in 0..20_000 {
        put(
            &mut tree,
            &format!("/a name that is not short at all, number {i}"),
            text(b""),
        );
    }
    for block_size in [1024, 4096] {
        check(
            &tree,
            &Options {
                block_size,
                growth_blocks: 0,
                ..options(80 * MIB)
            },
            "20,000 names",
        );
    }
}

#[test]
fn many_links_and_many_directories() {
    let mut tree = empty();
    let id = put(&mut tree, "/file", text(b"x"));
    tree.make_dirs(&path("/links"), &meta(0o755)).unwrap();
    tree.make_dirs(&path("/dirs"), &meta(0o755)).unwrap();
    let add = |tree: &mut FileTree, n: u32| {
        let Some(Node::Dir(dir)) = tree.root_mut().get_mut(&Name::new(b"links").unwrap()) else {
            unreachable!()
        };
        for i in 0..n {
            dir.insert(
                Name::new(format!("{i}").as_bytes()).unwrap(),
                Node::File(id),
            );
        }
    };
    add(&mut tree, 64_999);
    let Some(Node::Dir(dirs)) = tree.root_mut().get_mut(&Name::new(b"dirs").unwrap()) else {
        unreachable!()
    };
    for i in 0..65_100 {
        dirs.insert(
            Name::new(format!("{i}").as_bytes()).unwrap(),
            Node::Dir(fstree::Dir::new(meta(0o700))),
        );
    }
    let small = Options {
        block_size: 1024,
        growth_blocks: 0,
        ..options(200 * MIB)
    };
    check(&tree, &small, "65,000 links");
    add(&mut tree, 65_000);
    let error = ext4::layout(&tree, &small).unwrap_err().to_string();
    assert!(
        error.contains("65,001 names") || error.contains("65001 names"),
        "{error}"
    );
}

#[test]
fn directories_as_deep_as_can_be_read() {
    let mut tree = empty();
    let mut at = ImgPath::root();
    for _ in 0..500 {
        at = at.join(&Name::new(b"d").unwrap());
        tree.put_dir(&at, meta(0o755)).unwrap();
    }
    check(&tree, &options(32 * MIB), "500 deep");
    tree.put_dir(&at.join(&Name::new(b"d").unwrap()), meta(0o755))
        .unwrap();
    let (_, volume) = make(&tree, &options(32 * MIB));
    assert!(matches!(
        ext4::read(Arc::new(volume)),
        Err(Error::Unsupported(_))
    ));
}

#[test]
fn a_volume_filled_to_the_last_block() {
    let source: Arc<dyn ReadAt> = Arc::new(noise(1 << 20, 1));
    let filled = |blocks: u64| {
        let mut tree = empty();
        let source: Arc<dyn ReadAt> = Arc::new(fstree::Zeros(blocks * 4096));
        put(
            &mut tree,
            "/fill",
            FileKind::Regular(Content::range(source, 0, blocks * 4096)),
        );
        tree
    };
    drop(source);
    let options = Options {
        spare_inodes: 0,
        ..options(40 * MIB)
    };
    let free = ext4::layout(&filled(1), &options).unwrap().free_blocks();
    check(&filled(free + 1), &options, "full");
    let error = ext4::layout(&filled(free + 4), &options).unwrap_err();
    assert!(
        matches!(
            error,
            Error::NoSpace {
                blocks: 3,
                inodes: 0,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn inodes_to_the_last_one() {
    let mut tree = empty();
    let options = Options {
        spare_inodes: 0,
        bytes_per_inode: 1 << 30,
        ..options(20 * MIB)
    };
    for i in 0..2000 {
        put(&mut tree, &format!("/{i}"), text(b""));
        if i % 400 == 0 {
            check(&tree, &options, "inodes");
        }
    }
    let few = ext4::layout(&tree, &options).unwrap().free_inodes();
    assert!(few < 16, "{few}");
}

#[test]
fn last_groups_of_every_size() {
    let tree = empty();
    for (block_size, group) in [(1024, 8 * MIB), (4096, 128 * MIB)] {
        for more in [1, 40, 49, 50, 51, 60, 200, 300, 560, 700, 1500] {
            for groups in [3, 17] {
                if block_size == 4096 && groups == 17 && more % 2 == 0 {
                    continue;
                }
                let size = groups * group + more * u64::from(block_size) + 77;
                check(
                    &tree,
                    &Options {
                        block_size,
                        ..options(size)
                    },
                    &format!("{groups} groups and {more} blocks"),
                );
            }
        }
    }
}

#[test]
fn fragments_beyond_one_node() {
    let mut tree = empty();
    let pieces = |n| (0..n).map(|i| (70_000 + i % 7, 100)).collect::<Vec<_>>();
    put(
        &mut tree,
        "/some",
        FileKind::Regular(sparse(&pieces(300), 0)),
    );
    put(
        &mut tree,
        "/many",
        FileKind::Regular(sparse(&pieces(3000), 5)),
    );
    for block_size in [1024, 4096] {
        check(
            &tree,
            &Options {
                block_size,
                growth_blocks: 0,
                ..options(64 * MIB)
            },
            "fragments",
        );
    }
    let scratch = Scratch::new();
    let (_, volume) = make(&tree, &options(64 * MIB));
    walk_independently(&scratch.save("image", &volume), &tree);
}

#[test]
fn what_no_volume_can_hold_is_refused_by_name() {
    let refused = |change: &dyn Fn(&mut FileTree), word: &str| {
        let mut tree = empty();
        change(&mut tree);
        let error = ext4::layout(&tree, &options(32 * MIB))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("/x: ") && error.contains(word), "{error}");
    };
    let file = |kind: FileKind| {
        move |tree: &mut FileTree| {
            put(tree, "/x", kind.clone());
        }
    };
    refused(&file(FileKind::Symlink(vec![b'x'; 4096])), "4096 bytes");
    refused(&file(FileKind::Symlink(Vec::new())), "nothing");
    refused(
        &file(FileKind::CharDevice {
            major: 5000,
            minor: 0,
        }),
        "5000:0",
    );
    let attribute = |name: &'static str, len: usize| {
        move |tree: &mut FileTree| {
            put(tree, "/x", text(b""));
            tree.meta_mut(&path("/x"))
                .unwrap()
                .xattrs
                .insert(name.into(), vec![1; len]);
        }
    };
    refused(&attribute("user.large", 5000), "do not fit");
    refused(&attribute("strange.name", 1), "strange.name");
    refused(
        &attribute("system.posix_acl_access", 7),
        "access control list",
    );
}
