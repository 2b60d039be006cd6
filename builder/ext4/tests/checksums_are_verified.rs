//! A byte that changed in any structure that is read is found by that structure's checksum, whatever seeds it.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "tests run the independent tools"
)]

#[path = "support/compare.rs"]
mod compare;
#[path = "support/tools.rs"]
mod tools;

use compare::same;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tools::{Scratch, debugfs, must, noise, open, run};

/// Bytes of a block: small ones make deep structures of few files.
const BLOCK: usize = 1024;

/// Fills a folder with what takes every kind of structure.
fn fill(folder: &Path) {
    std::fs::create_dir_all(folder.join("linear")).unwrap();
    std::fs::create_dir_all(folder.join("many")).unwrap();
    for i in 0..8 {
        std::fs::write(folder.join(format!("linear/{i}")), noise(50, 1)).unwrap();
    }
    // Four names in a block, and more blocks than an index of one level knows.
    for i in 0..700 {
        std::fs::write(folder.join(format!("many/{i:n>220}")), []).unwrap();
    }
    let combed = std::fs::File::create(folder.join("combed")).unwrap();
    for i in 0..40 {
        combed.write_all_at(&noise(900, 3), i << 17).unwrap();
    }
    let file = folder.join("with attributes");
    std::fs::write(&file, b"x").unwrap();
    let value = "v".repeat(400);
    must(
        "attr",
        "setfattr",
        &["-n", "user.long", "-v", &value, file.to_str().unwrap()],
    );
}

fn mke2fs(scratch: &Scratch, features: &str) -> PathBuf {
    let folder = scratch.path("folder");
    std::fs::create_dir(&folder).unwrap();
    fill(&folder);
    let image = scratch.path("image");
    let (folder, name) = (folder.to_str().unwrap(), image.to_str().unwrap());
    must(
        "e2fsprogs",
        "mke2fs",
        &[
            "-q", "-t", "ext4", "-b", "1024", "-O", features, "-d", folder, name, "12M",
        ],
    );
    // Makes indexes.
    run("e2fsprogs", "e2fsck", &["-fyD", name]);
    must("e2fsprogs", "e2fsck", &["-fn", name]);
    image
}

fn number(text: &str) -> usize {
    let end = text.find(|it: char| !it.is_ascii_digit());
    text[..end.unwrap_or(text.len())].parse().unwrap()
}

/// Returns the bytes of a block of a file.
fn block_of(image: &Path, file: &str, n: usize) -> Range<usize> {
    let text = debugfs(image, &format!("bmap \"{file}\" {n}"));
    let block = text.lines().find_map(|it| it.trim().parse::<usize>().ok());
    let at = block.unwrap() * BLOCK;
    at..at + BLOCK
}

/// Returns the bytes of the first block that begins so.
fn block_like(bytes: &[u8], head: &[u8]) -> Range<usize> {
    let mut blocks = (0..bytes.len()).step_by(BLOCK);
    let at = blocks.find(|it| bytes[*it..].starts_with(head));
    let at = at.unwrap_or_else(|| panic!("no block begins with {head:?}"));
    at..at + BLOCK
}

/// Returns the bytes of an inode.
fn inode_of(image: &Path, file: &str) -> Range<usize> {
    let text = debugfs(image, &format!("imap \"{file}\""));
    let block = number(text.split("located at block ").nth(1).unwrap());
    let offset = text.split("offset 0x").nth(1).unwrap();
    let offset = usize::from_str_radix(&offset[..4], 16).unwrap();
    let at = block * BLOCK + offset;
    at..at + 256
}

/// Returns every kind of structure that has a checksum, and the bytes of one that it covers.
fn structures(image: &Path, bytes: &[u8]) -> Vec<(&'static str, Range<usize>)> {
    let root = block_of(image, "/many", 0);
    let inner = (1..400)
        .map(|it| block_of(image, "/many", it))
        .find(|it| bytes[it.clone()].starts_with(&[0, 0, 0, 0, 0, 4, 0, 0]))
        .expect("an index of two levels");
    // Of an index counts what is used.
    let used = |block: &Range<usize>, at: usize| {
        let count = u16::from_le_bytes([bytes[block.start + at + 2], bytes[block.start + at + 3]]);
        block.start..block.start + at + 8 * usize::from(count)
    };
    vec![
        ("superblock", 1024..2048),
        ("group 0", 2048..2048 + 64),
        ("group 1", 2048 + 64..2048 + 128),
        ("inode", inode_of(image, "/linear/3")),
        ("inode 2", inode_of(image, "/")),
        ("extent block", block_like(bytes, &[0x0a, 0xf3])),
        ("directory block", block_of(image, "/linear", 0)),
        ("directory block", used(&root, 32)),
        ("directory block", used(&inner, 8)),
        ("directory block", block_of(image, "/many", 1)),
        ("attribute block", block_like(bytes, &[0, 0, 2, 0xea])),
    ]
}

fn error_of(bytes: &[u8]) -> Option<String> {
    let read = ext4::read(Arc::new(bytes.to_vec()));
    read.err().map(|it| it.to_string())
}

/// Changes bytes of every structure, one at a time, and asserts that each is missed.
fn check(image: &Path) {
    let mut bytes = std::fs::read(image).unwrap();
    assert_eq!(error_of(&bytes), None);
    for (what, range) in structures(image, &bytes) {
        let (mut named, mut tried) = (0, 0);
        let all = range.clone().count();
        let places = range.step_by(all / 24 + 1);
        for (n, at) in places.enumerate() {
            bytes[at] ^= 1 << (n % 8);
            let error =
                error_of(&bytes).unwrap_or_else(|| panic!("{what}: byte {at} is not missed"));
            named += usize::from(error.contains("checksum is wrong") && error.contains(what));
            tried += 1;
            bytes[at] ^= 1 << (n % 8);
        }
        // What says how the rest is to be read is sometimes missed by what follows from it.
        assert!(
            named * 4 > tried * 3,
            "{what}: the checksum is blamed {named} times of {tried}"
        );
    }
    // Bitmaps are not read.
    let bitmap = debugfs(image, "stats");
    for word in ["block bitmap at ", "inode bitmap at "] {
        let block = number(bitmap.split(word).nth(1).unwrap());
        bytes[block * BLOCK] ^= 4;
        assert_eq!(error_of(&bytes), None, "{word}");
    }
}

#[test]
fn of_whatever_is_read() {
    let scratch = Scratch::in_memory();
    check(&mke2fs(&scratch, "metadata_csum,64bit"));
}

#[test]
fn with_a_seed_that_is_not_the_uuid() {
    let scratch = Scratch::in_memory();
    let image = mke2fs(&scratch, "metadata_csum,metadata_csum_seed,64bit");
    let (want, before) = ext4::read(open(&image)).unwrap();
    let name = image.to_str().unwrap();
    must("e2fsprogs", "tune2fs", &["-U", "random", name]);
    let (got, after) = ext4::read(open(&image)).unwrap();
    assert_ne!(before.uuid, after.uuid);
    same(&got, &want, "with another UUID");
    check(&image);
}

/// Of a volume with `uninit_bg` the descriptors alone have checksums, which the UUID seeds.
#[test]
fn of_group_descriptors_of_older_volumes() {
    for wide in ["64bit", "^64bit"] {
        let scratch = Scratch::in_memory();
        let image = mke2fs(&scratch, &format!("^metadata_csum,uninit_bg,{wide}"));
        let mut bytes = std::fs::read(&image).unwrap();
        let size = if wide == "64bit" { 64 } else { 32 };
        assert_eq!(error_of(&bytes), None);
        for at in 2048..2048 + 2 * size {
            bytes[at] ^= 1 << (at % 8);
            let error =
                error_of(&bytes).unwrap_or_else(|| panic!("{wide}: byte {at} is not missed"));
            let group = format!("group {}", (at - 2048) / size);
            assert!(
                error.contains("checksum is wrong") && error.contains(&group),
                "{wide}: byte {at}: {error}"
            );
            bytes[at] ^= 1 << (at % 8);
        }
        // The UUID without the checksums that go with it.
        bytes[1024 + 0x68] ^= 1;
        let error = error_of(&bytes).unwrap();
        assert!(
            error.contains("group 0: its descriptor's checksum"),
            "{error}"
        );
    }
}
