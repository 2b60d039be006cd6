//! Trees at the limits: laid out, written, accepted by `e2fsck`, read back equal, and shown so by the kernel.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "tests run the independent tools"
)]

#[path = "support/audit.rs"]
mod audit;
#[path = "support/compare.rs"]
mod compare;
#[path = "support/tools.rs"]
mod tools;

use audit::Audit;
use compare::{Mounted, same, same_by_the_kernel, walk_independently};
use ext4::{Error, Feature, Features, NameHash, Options};
use fstree::{Content, FileKind, FileTree, ImgPath, Name, Node, ReadAt, Run};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use tools::{MIB, Scratch, empty, fsck, make, meta, noise, options, path, put, text};

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
    Content::extents(source, runs, at + u64::from(tail))
}

fn check(tree: &FileTree, options: &Options, what: &str) {
    let scratch = Scratch::in_memory();
    let (_, volume) = make(tree, options);
    Audit::of(&volume);
    let image = scratch.save("image", &volume);
    fsck(&image, None);
    let (got, _) = ext4::read(Arc::new(volume)).unwrap();
    same(&got, tree, what);
    same_by_the_kernel(&scratch, &image, tree, what);
}

/// Returns a tree whose `/many` has these names, all of one file.
fn named(names: impl Iterator<Item = Vec<u8>>) -> FileTree {
    let mut tree = empty();
    let mut id = put(&mut tree, "/file", text(b"x"));
    tree.put_dir(&path("/many"), meta(0o755)).unwrap();
    for (n, name) in names.enumerate() {
        if n % 60_000 == 59_999 {
            id = put(&mut tree, &format!("/file{n}"), text(b"y"));
        }
        let Some(Node::Dir(many)) = tree.root_mut().get_mut(&Name::new(b"many").unwrap()) else {
            unreachable!()
        };
        many.insert(Name::new(&name).unwrap(), Node::File(id));
    }
    tree
}

#[test]
fn a_directory_of_many_names() {
    let names = |n: u32| {
        named((0..n).map(|i| format!("a name that is not short at all, number {i}").into_bytes()))
    };
    for (block_size, n) in [(1024, 20_000), (4096, 200_000)] {
        let options = Options {
            block_size,
            growth_blocks: 0,
            ..options(80 * MIB)
        };
        check(&names(n), &options, &format!("{n} names"));
    }
}

/// Three names of 255 bytes fill a block of 1 KiB, so that these need an index of three levels.
#[test]
fn names_as_long_as_can_be() {
    let name = |i: u32| format!("{i:x>255}").into_bytes();
    let tree = named((0..47_500).map(name));
    let options = |features: Features| Options {
        features,
        block_size: 1024,
        growth_blocks: 0,
        ..options(64 * MIB)
    };
    let large = options(Features::EXT4.with(Feature::LARGE_DIR));
    check(&tree, &large, "long names");
    let error = ext4::layout(&tree, &options(Features::EXT4))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("/many: ") && error.contains("47500 names"),
        "{error}"
    );
    let scratch = Scratch::in_memory();
    let image = scratch.save("image", &make(&tree, &large).1);
    let mounted = Mounted::new(&scratch, &image, "ro");
    for i in (0..47_500).step_by(97) {
        let at = mounted.path().join("many").join(format!("{i:x>255}"));
        assert!(at.is_file(), "{i}");
    }
}

/// Names of one hash that do not fit into one leaf: the kernel looks into the next one only if the index says so.
#[test]
fn names_of_one_hash_are_found_across_leaves() {
    let options = Options {
        block_size: 1024,
        growth_blocks: 0,
        ..options(32 * MIB)
    };
    let hash: NameHash = options.hash;
    let name = |i: u32| format!("{i:y>250}");
    let mut all: Vec<(u32, u32)> = (0..300_000)
        .map(|i| (hash.hash(name(i).as_bytes()).0, i))
        .collect();
    all.sort_unstable();
    let twins: Vec<u32> = all
        .windows(2)
        .filter(|it| it[0].0 == it[1].0)
        .flat_map(|it| [it[0].1, it[1].1])
        .collect();
    assert!(twins.len() >= 12, "{}", twins.len());
    let tree = named(twins.iter().map(|it| name(*it).into_bytes()));
    check(&tree, &options, "equal hashes");
    let scratch = Scratch::in_memory();
    let image = scratch.save("image", &make(&tree, &options).1);
    let mounted = Mounted::new(&scratch, &image, "ro");
    for i in twins {
        assert!(mounted.path().join("many").join(name(i)).is_file(), "{i}");
    }
}

/// `/lost+found` has blocks to spare, but for one with an index.
#[test]
fn many_names_that_were_lost_and_found() {
    let mut tree = empty();
    for (n, names) in [4, 20, 60, 400].into_iter().enumerate() {
        for i in 0..names {
            let at = format!("/lost+found/{n} a name that is not short {i}");
            put(&mut tree, &at, text(b"x"));
        }
        for (block_size, features) in [
            (1024, Features::EXT4),
            (4096, Features::EXT4),
            (1024, Features::EXT4.without(Feature::DIR_INDEX)),
        ] {
            let options = Options {
                block_size,
                features,
                growth_blocks: 0,
                ..options(20 * MIB)
            };
            check(&tree, &options, &format!("{names} names"));
        }
    }
}

#[test]
fn a_file_of_a_hundred_gigabytes_of_holes() {
    let source: Arc<dyn ReadAt> = Arc::new(noise(5000, 1));
    let end = 100_000_000_000;
    let runs: Box<[Run]> = [0, 4_300_000_000, end]
        .map(|at| Run {
            at,
            from: 0,
            len: 5000,
        })
        .into();
    let mut tree = empty();
    let len = end + 7000;
    put(
        &mut tree,
        "/holes",
        FileKind::Regular(Content::extents(source, runs, len)),
    );
    for block_size in [1024, 4096] {
        let options = Options {
            block_size,
            ..options(20 * MIB)
        };
        check(&tree, &options, "holes");
        let scratch = Scratch::in_memory();
        let image = scratch.save("image", &make(&tree, &options).1);
        let mounted = Mounted::new(&scratch, &image, "ro");
        let file = std::fs::File::open(mounted.path().join("holes")).unwrap();
        assert_eq!(file.metadata().unwrap().len(), len);
        let mut buf = vec![1; 8000];
        file.read_exact_at(&mut buf, end - 1000).unwrap();
        assert_eq!(buf, [vec![0; 1000], noise(5000, 1), vec![0; 2000]].concat());
    }
}

#[test]
fn twenty_thousand_attributes() {
    let mut tree = empty();
    let mut set = |at: &str, n: usize, longest: usize, len: usize| {
        put(&mut tree, at, text(b""));
        let xattrs = &mut tree.meta_mut(&path(at)).unwrap().xattrs;
        for i in 0..n {
            // Lengths in no order, so that the order of names is another than that of entries.
            let name = format!("user.{}{i}", "n".repeat(i * 7 % longest));
            xattrs.insert(name.into_bytes(), noise(len, 1));
        }
    };
    for i in 0..5000 {
        set(&format!("/inode{i}"), 1, 11, 30);
    }
    for i in 0..400 {
        set(&format!("/block{i}"), 37, 11, 60);
    }
    // As many as a block of 4 KiB holds.
    set("/most", 200, 2, 0);
    check(&tree, &options(64 * MIB), "20,000 attributes");
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
            Node::Dir(Box::new(fstree::Dir::new(meta(0o700)))),
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
        error.contains("65001 names") && error.contains("65,000") && error.contains("copies"),
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
