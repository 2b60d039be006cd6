//! `e2fsck` finds nothing to say about any volume that we write, from its front or from a backup.

#![expect(clippy::disallowed_types, reason = "tests run the independent tools")]

#[path = "support/tools.rs"]
mod tools;

use ext4::{Feature, Features, Options};
use tools::{MIB, Scratch, empty, fsck, make, options, sampler};

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
