//! Random trees and sequences of edits, against a model of them that is nothing but a table of paths: written with random
//! options, judged by every tool, read back, edited on.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "tests run the independent tools"
)]

#[path = "support/audit.rs"]
mod audit;
#[path = "support/cases.rs"]
mod cases;
#[path = "support/compare.rs"]
mod compare;
#[path = "support/model.rs"]
mod model;
#[path = "support/tools.rs"]
mod tools;

use audit::Audit;
use cases::{Rng, each_case};
use compare::{Mounted, all_from_host, dump, same, walk_independently};
use ext4::{CharSign, Feature, Features, HashAlgorithm, NameHash, Options};
use fstree::{FileTree, Node, ReadAt as _};
use model::Model;
use std::path::Path;
use std::sync::Arc;
use tools::{MIB, Scratch, TIME, UUID, fsck, must};

/// Returns options that say nothing a model's files forbid.
fn options(rng: &mut Rng, model: &Model) -> Options {
    let mut features = Features::EXT4;
    for feature in [
        Feature::HAS_JOURNAL,
        Feature::RESIZE_INODE,
        Feature::DIR_INDEX,
        Feature::FILETYPE,
        Feature::IS_64BIT,
        Feature::FLEX_BG,
        Feature::SPARSE_SUPER,
        Feature::HUGE_FILE,
        Feature::DIR_NLINK,
        Feature::METADATA_CSUM,
    ] {
        if rng.once_in(5) {
            features = features.without(feature);
        }
    }
    if rng.once_in(4) {
        features = features.with(Feature::LARGE_DIR);
    }
    if features.has(Feature::METADATA_CSUM) && rng.once_in(3) {
        features = features.with(Feature::CSUM_SEED);
    }
    if !features.has(Feature::METADATA_CSUM) && rng.once_in(2) {
        features = features.with(Feature::GDT_CSUM);
    }
    if !features.has(Feature::SPARSE_SUPER) {
        features = features.without(Feature::RESIZE_INODE);
    }
    if !model.has_attributes() && rng.once_in(6) {
        features = features.without(Feature::EXT_ATTR);
    }
    let block_size = *rng.pick(&[1024, 1024, 2048, 4096]);
    let inode_size = *rng.pick(&[128, 256, 256, 512, 1024]);
    let hash = NameHash {
        algorithm: *rng.pick(&[
            HashAlgorithm::HalfMd4,
            HashAlgorithm::Tea,
            HashAlgorithm::Legacy,
        ]),
        sign: *rng.pick(&[CharSign::Signed, CharSign::Unsigned]),
        seed: if rng.once_in(5) { [0; 16] } else { UUID },
    };
    let mut options = Options {
        features,
        block_size,
        inode_size,
        hash,
        label: b"a label of 16 by"[..rng.below(17)].to_vec(),
        bytes_per_inode: *rng.pick(&[2048, 4096, 16384, 1 << 20]),
        spare_inodes: *rng.pick(&[0, 7, 1000]),
        groups_per_flex: *rng.pick(&[1, 2, 16, 64]),
        reserved_per_million: *rng.pick(&[0, 50_000]),
        mount_options: 0xc,
        errors: *rng.pick(&[1, 2, 3]),
        unit: *rng.pick(&[None, None, Some(8192), Some(65536)]),
        ..Options::new(0, UUID, TIME)
    };
    let most = if features.has(Feature::RESIZE_INODE) {
        block_size / 4
    } else {
        0
    };
    options.growth_blocks = u32::try_from(rng.below(40)).unwrap().min(most);
    options
}

/// Writes a tree, lets everybody judge the volume, and returns what is read back.
fn round(rng: &mut Rng, tree: &FileTree, model: &Model, sample: bool) -> (FileTree, Model) {
    let mut options = options(rng, model);
    let slack = rng.long(3 * MIB);
    options.size = ext4::minimum_size(tree, &options, slack);
    if rng.once_in(3) {
        // Sizes that are no whole groups, and not even whole blocks.
        options.size += rng.long(40 * MIB);
    }
    let what = options.to_string();
    let layout = ext4::layout(tree, &options).unwrap_or_else(|it| panic!("{it}\n{what}"));
    let volume = ext4::write(&layout, tree).unwrap_or_else(|it| panic!("{it}\n{what}"));
    let audit = Audit::of(&volume);
    let scratch = Scratch::in_memory();
    let image = scratch.save("image", &volume);
    let backup = audit.backup_groups().first().map(|it| {
        let block = audit.first + it * audit.per_group;
        (block, options.block_size)
    });
    fsck(&image, backup);
    let stored = model.stored(options.inode_size);
    let (read, facts) = ext4::read(Arc::new(volume)).unwrap_or_else(|it| panic!("{it}\n{what}"));
    assert_eq!((facts.features, facts.uuid), (options.features, UUID));
    if dump(&read) != stored.text() {
        same(&read, &stored.tree(), &what);
    }
    if sample {
        by_the_kernel(&scratch, &image, &stored, &what);
        independently(&scratch, tree, &options);
        let summary = must("e2fsprogs", "dumpe2fs", &[image.to_str().unwrap()]);
        assert!(!summary.contains("INCORRECT"), "{summary}");
    }
    // What is edited next is what was read, and stands in this volume.
    (read, stored)
}

fn by_the_kernel(scratch: &Scratch, image: &Path, model: &Model, what: &str) {
    let mounted = Mounted::new(scratch, image, "ro");
    let seen = all_from_host(mounted.path());
    let mut want = model.clone();
    want.without_flags();
    if dump(&seen) != want.text() {
        same(&seen, &want.tree(), &format!("the kernel's view of {what}"));
    }
}

/// Walks the volume with a reader that takes times before 1970 and some others for corrupt, and small inodes with checksums
/// too, wants types in entries, and knows neither an index of three levels nor one of legacy or unsigned hashes.
fn independently(scratch: &Scratch, tree: &FileTree, options: &Options) {
    let mut tree = tree.clone();
    let paths: Vec<_> = tree.walk().map(|it| it.0).collect();
    for at in paths.iter().chain([&fstree::ImgPath::root()]) {
        tree.meta_mut(at).unwrap().mtime = TIME;
    }
    let features = options
        .features
        .with(Feature::FILETYPE)
        .without(Feature::LARGE_DIR);
    let mut hash = options.hash;
    hash.sign = CharSign::Signed;
    if hash.algorithm == HashAlgorithm::Legacy {
        hash.algorithm = HashAlgorithm::HalfMd4;
    }
    let mut options = Options {
        features,
        hash,
        inode_size: options.inode_size.max(256),
        ..options.clone()
    };
    options.size = options.size.max(ext4::minimum_size(&tree, &options, 0));
    let layout = ext4::layout(&tree, &options).unwrap();
    let volume = ext4::write(&layout, &tree).unwrap();
    walk_independently(&scratch.save("plain", &volume), &tree);
}

#[test]
fn random_trees_and_edits() {
    each_case("random_trees_and_edits", 120, |case, rng| {
        let mut model = Model::new(rng);
        let mut tree = model.tree();
        let rounds = 1 + rng.below(3);
        for n in 0..rounds {
            let most = if rng.once_in(8) { 700 } else { 80 };
            for _ in 0..rng.below(most) {
                model.edit(rng, &mut tree);
            }
            (tree, model) = round(rng, &tree, &model, case % 8 == 0 && n + 1 == rounds);
        }
    });
}

#[test]
fn the_volume_of_a_tree_does_not_depend_on_its_history() {
    each_case(
        "the_volume_of_a_tree_does_not_depend_on_its_history",
        20,
        |_, rng| {
            let mut model = Model::new(rng);
            let mut edited = model.tree();
            for _ in 0..rng.below(150) {
                model.edit(rng, &mut edited);
            }
            let made = model.tree();
            let mut options = options(rng, &model);
            options.size = ext4::minimum_size(&made, &options, 0);
            let write = |tree: &FileTree| {
                let volume = ext4::write(&ext4::layout(tree, &options).unwrap(), tree).unwrap();
                let mut bytes = vec![0; usize::try_from(volume.size()).unwrap()];
                volume.read_exact_at(&mut bytes, 0).unwrap();
                bytes
            };
            assert!(write(&made) == write(&edited), "{options}");
            assert!(
                made.walk()
                    .all(|(_, node)| matches!(node, Node::Dir(_) | Node::File(_)))
            );
        },
    );
}

/// What is damaged, and how.
type Damage<'a> = (&'static str, &'a dyn Fn(&mut [u8]));

/// Each damage is one that `e2fsck` of 2023 does not mind and the kernel does.
#[test]
fn the_audit_sees_what_e2fsck_does_not() {
    let mut tree = tools::empty();
    tools::put(&mut tree, "/file", tools::text(b"x"));
    let xattrs = &mut tree.meta_mut(&tools::path("/file")).unwrap().xattrs;
    for name in ["user.one", "user.two"] {
        xattrs.insert(name.into(), tools::noise(200, 1));
    }
    let options = Options {
        features: Features::EXT4.without(Feature::METADATA_CSUM),
        block_size: 1024,
        growth_blocks: 256,
        ..tools::options(40 * MIB)
    };
    let (layout, volume) = tools::make(&tree, &options);
    let layout = layout.to_string();
    let attributes: usize = layout
        .split(" attributes ")
        .nth(1)
        .and_then(|it| it.split_whitespace().next())
        .unwrap()
        .parse()
        .unwrap();
    let mut bytes = vec![0; usize::try_from(volume.size()).unwrap()];
    volume.read_exact_at(&mut bytes, 0).unwrap();
    Audit::of(&bytes);
    // Behind superblock and descriptors; entries of 16 bytes with names of three.
    let slot = (1 + 2 + 200) * 1024;
    let entry = attributes * 1024 + 32;
    let backup = (1 + 8192) * 1024;
    let damages: [Damage<'_>; 4] = [
        ("a backup's time", &|it| it[backup + 0x30] ^= 1),
        ("a backup's descriptor", &|it| it[backup + 1024 + 0xc] ^= 1),
        ("a late slot's groups", &|it| swap(it, slot, 4)),
        ("two attributes", &|it| swap(it, entry, 20)),
    ];
    for (what, damage) in damages {
        let mut bytes = bytes.clone();
        damage(&mut bytes);
        let outcome = std::panic::catch_unwind(|| {
            Audit::of(&bytes);
        });
        assert!(outcome.is_err(), "{what}");
    }
}

/// Lets two pieces that follow each other change places.
fn swap(bytes: &mut [u8], at: usize, len: usize) {
    let (first, second) = bytes[at..at + 2 * len].split_at_mut(len);
    first.swap_with_slice(second);
}
