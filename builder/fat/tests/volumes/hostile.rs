//! Damaged volumes are an error or a tree, never a panic and never without end.

use crate::trees::{TIME, empty, noise, put};
use fat::{Facts, Options};
use fstree::{FileKind, FileTree, ReadAt as _};
use std::sync::Arc;

fn small(options: &Options) -> Vec<u8> {
    let mut tree = empty();
    put(&mut tree, "/a/b/a name that is long.txt", &noise(1, 5000));
    put(&mut tree, "/a/c", &noise(2, 3000));
    put(&mut tree, "/d.txt", b"d");
    let layout = fat::layout(&tree, options).unwrap();
    crate::tools::bytes(&fat::write(&layout, &tree).unwrap())
}

/// A FAT12 and a FAT32 volume, each cut off after its last file so that every byte can be tried.
fn volumes() -> Vec<Vec<u8>> {
    let narrow = Options::fresh(64 << 10, None, 1, TIME);
    let wide = {
        let volume = fat::write(
            &fat::layout(&empty(), &Options::fresh(520 << 20, None, 1, TIME)).unwrap(),
            &empty(),
        )
        .unwrap();
        let (_, facts) = fat::read(Arc::new(volume)).unwrap();
        Options::like(
            &Facts {
                cluster_sectors: 1,
                ..facts
            },
            64 << 10,
            TIME,
        )
    };
    vec![small(&narrow), small(&wide)]
}

/// Reads everything there is to read.
fn read_all(bytes: Vec<u8>) -> Result<FileTree, fat::Error> {
    let size = bytes.len() as u64;
    let (tree, _) = fat::read(Arc::new(bytes))?;
    let mut total = 0;
    for (path, node) in tree.walk() {
        let fstree::Node::File(id) = node else {
            continue;
        };
        let FileKind::Regular(content) = &tree.file(*id).kind else {
            panic!("{path} on FAT")
        };
        total += content.size();
        content.read_all(size).unwrap();
    }
    assert!(total <= size, "files share clusters");
    Ok(tree)
}

#[test]
fn no_flipped_byte_makes_it_panic() {
    for volume in volumes() {
        assert_eq!(read_all(volume.clone()).unwrap().walk().count(), 5);
        let used = volume.iter().rposition(|it| *it != 0).unwrap();
        // The boot sector and what is metadata, every byte; the rest is much content and sampled.
        for at in (0..used.min(512)).chain((512..used).step_by(3)) {
            for mask in [0x01, 0x80, 0xFF] {
                let mut volume = volume.clone();
                volume[at] ^= mask;
                let _outcome = read_all(volume);
            }
        }
    }
}

#[test]
fn a_truncated_volume_is_refused() {
    for volume in volumes() {
        for len in (0..volume.len()).step_by(97).chain([volume.len() - 1]) {
            assert!(read_all(volume[..len].to_vec()).is_err(), "{len} bytes");
        }
    }
}

#[test]
fn a_directory_that_holds_itself_is_refused() {
    let volume = volumes().remove(0);
    let (tree, _) = fat::read(Arc::new(volume.clone())).unwrap();
    assert_eq!(tree.walk().count(), 5);
    // "/a" is cluster 2 and its entry "b" is made to lead back to it.
    let at = volume
        .windows(12)
        .position(|it| it == b"B          \x10")
        .unwrap();
    let mut volume = volume;
    volume[at + 26] = 2;
    let err = read_all(volume).unwrap_err().to_string();
    assert!(err.contains("/a/b") && err.contains("cluster 2"), "{err}");
}

#[test]
fn a_chain_in_circles_is_refused() {
    let volume = volumes().remove(1);
    // Every cell of the table leads to cluster 3.
    let mut volume = volume;
    let table = 32 * 512;
    for cell in volume[table + 8..table + 512].as_chunks_mut::<4>().0 {
        *cell = 3_u32.to_le_bytes();
    }
    assert!(read_all(volume).is_err());
}
