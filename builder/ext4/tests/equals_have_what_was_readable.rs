//! The equal of a volume has the features of the volume that are of use without what was on it, and none that the release it
//! was made for cannot read.

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
use compare::{same, same_by_the_kernel};
use ext4::{Facts, Options};
use fstree::{FileTree, Node};
use tools::{MIB, Scratch, TIME, fsck, make, must, open, sampler};

fn base(scratch: &Scratch, args: &[&str]) -> Facts {
    let image = scratch.path("base");
    let mut all = vec!["-q", "-F"];
    all.extend(args);
    all.extend([image.to_str().unwrap(), "60M"]);
    must("e2fsprogs", "mke2fs", &all);
    ext4::read(open(&image))
        .unwrap_or_else(|it| panic!("{args:?}: {it}"))
        .1
}

/// Writes a tree as the equal of a volume, has everybody judge it, and returns the features that `dumpe2fs` finds.
fn features(scratch: &Scratch, tree: &FileTree, facts: &Facts, what: &str) -> String {
    let options = Options::like(facts, 120 * MIB, TIME);
    let (_, volume) = make(tree, &options);
    Audit::of(&volume);
    let image = scratch.save("image", &volume);
    fsck(&image, None);
    let (got, again) = ext4::read(open(&image)).unwrap();
    same(&got, tree, what);
    assert_eq!(again.features, options.features, "{what}");
    // An equal's equal is the same.
    assert_eq!(
        Options::like(&again, 0, TIME).features,
        again.features,
        "{what}"
    );
    same_by_the_kernel(scratch, &image, tree, what);
    let text = must("e2fsprogs", "dumpe2fs", &["-h", image.to_str().unwrap()]);
    let line = text
        .lines()
        .find_map(|it| it.strip_prefix("Filesystem features:"));
    line.unwrap().trim().to_owned()
}

const EXT4: &str = "has_journal ext_attr resize_inode dir_index filetype extent 64bit flex_bg sparse_super large_file huge_file \
    dir_nlink extra_isize metadata_csum";

#[test]
fn whatever_mke2fs_knows() {
    let tree = sampler();
    let without = |words: &[&str]| {
        let all = EXT4.split(' ').filter(|it| !words.contains(it));
        all.collect::<Vec<_>>().join(" ")
    };
    for (features_of_base, want) in [
        ("64bit", EXT4.to_owned()),
        // What makes sense with what was on the volume alone, or what is as well without.
        ("orphan_file", EXT4.to_owned()),
        ("inline_data", EXT4.to_owned()),
        ("ea_inode", EXT4.to_owned()),
        ("fast_commit", EXT4.to_owned()),
        ("quota", EXT4.to_owned()),
        ("project,quota", EXT4.to_owned()),
        ("casefold", EXT4.to_owned()),
        ("encrypt,verity,stable_inodes", EXT4.to_owned()),
        ("mmp", EXT4.to_owned()),
        // What GRUB 2.06 cannot read.
        ("metadata_csum_seed", EXT4.to_owned()),
        ("large_dir", EXT4.to_owned()),
        // Backups and descriptors elsewhere.
        ("sparse_super2", without(&["resize_inode"])),
        ("meta_bg,^resize_inode", without(&["resize_inode"])),
        (
            "^sparse_super,^resize_inode",
            without(&["resize_inode", "sparse_super"]),
        ),
        // What the base lacks, it lacks.
        ("^64bit,^huge_file", without(&["64bit", "huge_file"])),
        (
            "^metadata_csum,uninit_bg",
            without(&["metadata_csum"]).replace("huge_file", "huge_file uninit_bg"),
        ),
        (
            "^metadata_csum,^flex_bg",
            without(&["metadata_csum", "flex_bg"]),
        ),
        (
            "^has_journal,^dir_index",
            without(&["has_journal", "dir_index"]),
        ),
        ("^filetype,^dir_nlink", without(&["filetype", "dir_nlink"])),
    ] {
        let scratch = Scratch::in_memory();
        let facts = base(&scratch, &["-t", "ext4", "-O", features_of_base]);
        let got = features(&scratch, &tree, &facts, features_of_base);
        assert_eq!(got, want, "{features_of_base}");
    }
}

/// Their features, and extents: there is no other way to write a file.
#[test]
fn older_ones_become_ext4() {
    for (args, want) in [
        (
            &["-t", "ext3", "-b", "1024", "-I", "256"][..],
            "has_journal ext_attr resize_inode dir_index filetype extent sparse_super large_file",
        ),
        (
            &["-t", "ext2", "-b", "4096", "-I", "256"],
            "ext_attr resize_inode dir_index filetype extent sparse_super large_file",
        ),
        (
            &["-t", "ext4", "-O", "^extent,^64bit"],
            "has_journal ext_attr resize_inode dir_index filetype extent flex_bg sparse_super large_file huge_file dir_nlink \
             extra_isize metadata_csum",
        ),
    ] {
        let scratch = Scratch::in_memory();
        let facts = base(&scratch, args);
        let what = format!("{args:?}");
        assert_eq!(
            features(&scratch, &sampler(), &facts, &what),
            want,
            "{what}"
        );
    }
}

/// An inode of 128 bytes has room for seconds alone, until 2038.
#[test]
fn the_oldest_keep_their_small_inodes() {
    let scratch = Scratch::in_memory();
    let facts = base(
        &scratch,
        &["-t", "ext3", "-O", "^dir_index", "-b", "1024", "-I", "128"],
    );
    let mut tree = sampler();
    let paths: Vec<_> = tree
        .walk()
        .map(|it| it.0)
        .chain([fstree::ImgPath::root()])
        .collect();
    for at in paths {
        let mtime = &mut tree.meta_mut(&at).unwrap().mtime;
        mtime.nanos = 0;
        mtime.secs = mtime.secs.min(i64::from(i32::MAX));
    }
    assert!(matches!(
        tree.get(&tools::path("/many")),
        Some(Node::Dir(_))
    ));
    let got = features(&scratch, &tree, &facts, "128");
    assert_eq!(
        got,
        "has_journal ext_attr resize_inode filetype extent sparse_super large_file"
    );
}
