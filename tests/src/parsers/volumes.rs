//! File systems: ext4, its journal, FAT. What is read is laid out and written again, as a build would.

use super::metered::{drain, metered};
use crate::seeds;
use fstree::{FileKind, FileTree, Node};
use std::sync::{Arc, OnceLock};

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

/// Reads an ext4 volume that is whole but for its journal, which begins with `data`.
pub fn journal(data: &[u8]) {
    static VOLUME: OnceLock<(Vec<u8>, usize)> = OnceLock::new();
    let (volume, at) = VOLUME.get_or_init(seeds::volumes::journalled);
    let len = data.len().min(seeds::volumes::JOURNAL_BYTES);
    let mut volume = volume.clone();
    volume[*at..*at + len].copy_from_slice(&data[..len]);
    for block in volume[*at..*at + len].chunks_exact_mut(seeds::volumes::BLOCK) {
        seal(block);
    }
    if let Ok((tree, _)) = ext4::read(Arc::new(volume)) {
        read(&tree);
    }
}

/// Sets the checksum right of a journal's superblock; those of other blocks depend on it, and few inputs use them.
fn seal(block: &mut [u8]) {
    if block.starts_with(b"\xc0\x3b\x39\x98\0\0\0\x04") && block[0x2b] & 0x18 != 0 {
        block[0xfc..0x100].fill(0);
        let sum = !crc32c::crc32c_append(0, &block[..1024]);
        block[0xfc..0x100].copy_from_slice(&sum.to_be_bytes());
    }
}

fn read(tree: &FileTree) {
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
