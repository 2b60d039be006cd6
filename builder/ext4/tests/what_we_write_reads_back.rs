//! What we write is the tree that was put in: to our reader, to an independent reader, and to the kernel.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "tests run the independent tools"
)]

#[path = "support/compare.rs"]
mod compare;
#[path = "support/tools.rs"]
mod tools;

use compare::{Mounted, same, same_by_the_kernel, walk_independently};
use ext4::{Feature, Features, Options};
use fstree::{FileTree, Node};
use std::sync::Arc;
use tools::{MIB, Scratch, fsck, make, must, open, options, path, sampler};

/// Returns the tree as an inode of this size can hold it.
fn stored(mut tree: FileTree, inode_size: u16) -> FileTree {
    if inode_size > 128 {
        return tree;
    }
    let paths: Vec<_> = tree.walk().map(|it| it.0).collect();
    for at in paths.iter().chain([&path("/")]) {
        let mtime = &mut tree.meta_mut(at).unwrap().mtime;
        mtime.nanos = 0;
        mtime.secs = mtime.secs.min(i64::from(i32::MAX));
    }
    tree
}

fn feature_sets() -> Vec<Features> {
    let plain = Features::EXT4;
    vec![
        plain,
        plain
            .without(Feature::IS_64BIT)
            .without(Feature::METADATA_CSUM)
            .with(Feature::GDT_CSUM),
        plain
            .without(Feature::METADATA_CSUM)
            .without(Feature::FLEX_BG),
        plain.without(Feature::DIR_INDEX).with(Feature::CSUM_SEED),
    ]
}

#[test]
fn to_our_reader() {
    for features in feature_sets() {
        for (block_size, inode_size) in [
            (1024, 128),
            (2048, 256),
            (4096, 256),
            (4096, 1024),
            (4096, 128),
        ] {
            let mut tree = sampler();
            if inode_size == 128 {
                tree = stored(tree, 128);
            }
            let base = Options {
                features,
                block_size,
                inode_size,
                ..options(120 * MIB)
            };
            let (_, volume) = make(&tree, &base);
            let (got, facts) = ext4::read(Arc::new(volume)).unwrap();
            same(
                &got,
                &tree,
                &format!("{block_size} {inode_size} {features}"),
            );
            assert_eq!((facts.uuid, facts.features), (base.uuid, features));
            let like = Options::like(&facts, base.size, base.time);
            assert_eq!((like.hash, like.errors), (base.hash, base.errors));
            assert!(like.growth_blocks >= base.growth_blocks.min(block_size / 4));
        }
    }
}

#[test]
fn to_an_independent_reader() {
    let mut tree = sampler();
    // That reader takes times whose low half is negative for corrupt.
    tree.meta_mut(&path("/hole")).unwrap().mtime = tools::TIME;
    for features in [
        Features::EXT4,
        Features::EXT4
            .without(Feature::METADATA_CSUM)
            .without(Feature::IS_64BIT),
    ] {
        for block_size in [1024, 4096] {
            let scratch = Scratch::new();
            let (_, volume) = make(
                &tree,
                &Options {
                    features,
                    block_size,
                    ..options(100 * MIB)
                },
            );
            walk_independently(&scratch.save("image", &volume), &tree);
        }
    }
}

#[test]
fn to_the_kernel_which_then_changes_it() {
    let mut tree = sampler();
    for (_, node) in tree.clone().walk() {
        if let Node::File(id) = node {
            tree.file_mut(*id).meta.flags = 0;
        }
    }
    for block_size in [1024, 4096] {
        let scratch = Scratch::new();
        let (_, volume) = make(
            &tree,
            &Options {
                block_size,
                ..options(300 * MIB)
            },
        );
        let image = scratch.save("image", &volume);
        same_by_the_kernel(&scratch, &image, &tree, "the kernel's view");
        {
            let mounted = Mounted::new(&scratch, &image, "rw");
            let many = mounted.path().join("many");
            for i in 0..2000 {
                std::fs::write(many.join(format!("another file {i}")), b"content").unwrap();
            }
            for i in 0..600 {
                std::fs::remove_file(many.join(format!("file number {i} ü"))).unwrap();
            }
            std::fs::remove_file(mounted.path().join("combed")).unwrap();
            std::fs::write(mounted.path().join("etc/hostname"), b"changed").unwrap();
        }
        must("e2fsprogs", "e2fsck", &["-fn", image.to_str().unwrap()]);
        let (got, _) = ext4::read(open(&image)).unwrap();
        let Some(Node::Dir(many)) = got.get(&path("/many")) else {
            panic!("/many is gone")
        };
        assert_eq!(many.entries().len(), 701 + 1 + 2000 - 600);
        assert_eq!(
            got.content(&path("/etc/hostname"))
                .unwrap()
                .read_all(99)
                .unwrap(),
            b"changed"
        );
    }
}

#[test]
fn offline_growth_is_accepted() {
    let scratch = Scratch::new();
    let (_, volume) = make(&sampler(), &options(200 * MIB));
    let image = scratch.save("image", &volume);
    let name = image.to_str().unwrap();
    must("e2fsprogs", "resize2fs", &[name, "3G"]);
    fsck(&image, None);
    // Where descriptors may grow to: nothing is moved for them.
    must("e2fsprogs", "resize2fs", &[name, "2T"]);
    let (got, facts) = ext4::read(open(&image)).unwrap();
    same(&got, &sampler(), "grown to 2 TiB");
    assert_eq!((facts.desc_blocks, facts.reserved_gdt), (256, 0));
    let second = must(
        "e2fsprogs",
        "dumpe2fs",
        &["-o", "superblock=32768", "-o", "blocksize=4096", "-h", name],
    );
    assert!(
        second.contains("Block count:              536870912"),
        "{second}"
    );
}
