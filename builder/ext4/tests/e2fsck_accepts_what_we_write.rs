//! `e2fsck` finds nothing to say about any volume that we write, from its front or from a backup.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "tests run the independent tools"
)]

#[path = "support/tools.rs"]
mod tools;

use ext4::{Feature, Features, Options};
use fstree::ReadAt as _;
use tools::{MIB, Scratch, empty, fsck, make, must, open, options, sampler};

fn check(tree: &fstree::FileTree, options: &Options) {
    let scratch = Scratch::new();
    let (layout, volume) = make(tree, options);
    let image = scratch.save("image", &volume);
    let group = u64::from(options.block_size) * 8;
    let first = u64::from(options.block_size == 1024);
    let backed_up = options.size / u64::from(options.block_size) > group + first + 2000;
    fsck(
        &image,
        backed_up.then_some((group + first, options.block_size)),
    );
    drop(layout);
}

#[test]
fn an_empty_volume() {
    check(&empty(), &options(16 * MIB));
    check(&empty(), &options(3000 * MIB));
}

#[test]
fn something_of_every_kind() {
    check(&sampler(), &options(300 * MIB));
}

#[test]
fn blocks_of_every_size_and_older_features() {
    let plain = Features::EXT4;
    let sets = [
        plain,
        plain.without(Feature::IS_64BIT),
        plain
            .without(Feature::METADATA_CSUM)
            .with(Feature::GDT_CSUM),
        plain.without(Feature::METADATA_CSUM),
        plain.without(Feature::RESIZE_INODE),
        plain.without(Feature::FLEX_BG),
        plain.without(Feature::DIR_INDEX),
        plain.with(Feature::CSUM_SEED),
        plain
            .without(Feature::SPARSE_SUPER)
            .without(Feature::RESIZE_INODE),
        plain.without(Feature::HAS_JOURNAL),
        plain.with(Feature::LARGE_DIR),
    ];
    let tree = sampler();
    for (n, features) in sets.into_iter().enumerate() {
        for block_size in [1024, 2048, 4096] {
            let size = 150 * MIB + u64::try_from(n).unwrap() * 5000;
            let base = Options {
                features,
                block_size,
                ..options(size)
            };
            let growth_blocks = base.growth_blocks.min(block_size / 4);
            check(
                &tree,
                &Options {
                    growth_blocks,
                    ..base
                },
            );
        }
    }
}

#[test]
fn a_repair_changes_nothing_but_the_superblock() {
    for block_size in [1024, 4096] {
        let scratch = Scratch::new();
        let (_, volume) = make(
            &sampler(),
            &Options {
                block_size,
                growth_blocks: 64,
                ..options(150 * MIB)
            },
        );
        let image = scratch.save("image", &volume);
        must("e2fsprogs", "e2fsck", &["-fy", image.to_str().unwrap()]);
        let repaired = open(&image);
        let mut at = 4096;
        let mut buf = vec![0; 1 << 20];
        let mut ours = buf.clone();
        while at < repaired.size() {
            let n = usize::try_from((repaired.size() - at).min(1 << 20)).unwrap();
            repaired.read_exact_at(&mut buf[..n], at).unwrap();
            volume.read_exact_at(&mut ours[..n], at).unwrap();
            if let Some(i) = (0..n).find(|it| buf[*it] != ours[*it]) {
                let byte = at + u64::try_from(i).unwrap();
                // Backups of the superblock follow it.
                let in_group =
                    (byte / u64::from(block_size)).saturating_sub(u64::from(block_size == 1024));
                assert_eq!(
                    in_group % (u64::from(block_size) * 8),
                    0,
                    "byte {byte} was repaired"
                );
            }
            at += u64::try_from(n).unwrap();
        }
    }
}

#[test]
fn debugfs_shows_indexes_and_content() {
    let scratch = Scratch::new();
    let (_, volume) = make(&sampler(), &options(150 * MIB));
    let image = scratch.save("image", &volume);
    let ask = |command: &str| tools::debugfs(&image, command);
    let tree = ask("htree_dump /many");
    assert!(
        tree.contains("Indirect levels: 0") && !tree.contains("error"),
        "{tree}"
    );
    let file = ask("stat /etc/hostname");
    assert!(
        file.contains("security.capability") && file.contains("Links: 1"),
        "{file}"
    );
    let out = scratch.path("out");
    ask(&format!("dump /big {}", out.display()));
    let content = sampler()
        .content(&tools::path("/big"))
        .unwrap()
        .read_all(1 << 24)
        .unwrap();
    assert!(std::fs::read(out).unwrap() == content);
    let summary = must("e2fsprogs", "dumpe2fs", &[image.to_str().unwrap()]);
    assert!(
        summary.contains("has_journal") && !summary.contains("INCORRECT"),
        "{summary}"
    );
}
