//! File systems: ext4, FAT. What is read is laid out and written again, as a build would.

use super::metered::{drain, metered};
use fstree::{FileKind, FileTree, Node};

/// Bytes of the volume that a tree is written to again.
const AGAIN: u64 = 16 << 20;
/// Files whose content is read.
const READ: usize = 64;

/// Reads an ext4 volume.
pub fn ext4(data: &[u8]) {
    if let Ok((tree, facts)) = ext4::read(metered(data)) {
        read(&tree);
        let options = ext4::Options::like(&facts, AGAIN, facts.mkfs_time);
        if let Ok(layout) = ext4::layout(&tree, &options) {
            drain(&ext4::write(&layout, &tree).expect("what was laid out can be written"));
        }
    }
}

/// Reads a FAT volume. What is missing at its end is zero: FAT16 has no volume of less than 2 MiB.
pub fn fat(data: &[u8]) {
    let mut volume = data.to_vec();
    volume.resize(declared(data).clamp(data.len(), data.len().max(8 << 20)), 0);
    if let Ok((tree, facts)) = fat::read(metered(&volume)) {
        read(&tree);
        let time = fstree::Timestamp::default();
        let options = fat::Options::like(&facts, AGAIN, time);
        if let Ok(layout) = fat::layout(&tree, &options) {
            drain(&fat::write(&layout, &tree).expect("what was laid out can be written"));
        }
    }
}

/// Returns the bytes that a boot sector says its volume has.
fn declared(data: &[u8]) -> usize {
    let number = |at: usize, len: usize| {
        let bytes = data.get(at..at + len).unwrap_or_default();
        bytes
            .iter()
            .rev()
            .fold(0_usize, |sum, it| sum << 8 | usize::from(*it))
    };
    let sectors = match number(19, 2) {
        0 => number(32, 4),
        small => small,
    };
    sectors.saturating_mul(number(11, 2))
}

/// Reads the first files of a tree.
pub(super) fn read(tree: &FileTree) {
    let regular = tree.walk().filter_map(|(_, node)| match node {
        Node::File(id) => match &tree.file(*id).kind {
            FileKind::Regular(content) => Some(content),
            _ => None,
        },
        Node::Dir(_) => None,
    });
    for content in regular.take(READ) {
        drain(content);
    }
}
