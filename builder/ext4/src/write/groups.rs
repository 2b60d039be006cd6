//! Bitmaps, inode tables, group descriptors, the superblock and all backups.

use super::Writer;
use super::table::Table;
use crate::checksum::crc32c;
use crate::geometry::Geometry;
use crate::group::{BLOCK_UNINIT, Group, INODE_UNINIT, ITABLE_ZEROED};
use crate::layout::GroupPlace;
use crate::le::{index, lo16, long, short};
use crate::superblock::{OFFSET, Superblock};
use fstree::ReadAt as _;
use std::ops::Range;
use std::sync::Arc;

impl Writer<'_> {
    /// Writes what describes the groups; the tables must be complete.
    pub(super) fn groups(&mut self, superblock: &Superblock) {
        let n = self.geometry().groups();
        let mut descriptors = Vec::new();
        let mut free = self.layout.free.as_slice();
        for group in 0..n {
            let end = self.geometry().group_end(group);
            let here = free.partition_point(|it| it.start < end);
            let descriptor = self.group(group, &free[..here]);
            descriptors.extend(descriptor.encode(group, self.geometry().desc_size, self.sums));
            // The last run may reach into the next group.
            let done = free.partition_point(|it| it.end <= end);
            free = &free[done..];
        }
        self.heads(superblock, descriptors);
    }

    /// Writes a group's bitmaps and table and returns its descriptor; `free` are the free runs that touch the group.
    fn group(&mut self, group: u32, free: &[Range<u64>]) -> Group {
        let layout = self.layout;
        let geometry = &layout.geometry;
        let place = layout.groups[index(group)];
        let (first, end) = (geometry.group_first(group), geometry.group_end(group));
        let used = layout.used_inodes(group);
        let blocks = block_bitmap(geometry, group, free);
        let inodes = inode_bitmap(geometry, used);
        let free_blocks: u64 = free
            .iter()
            .map(|it| it.end.min(end) - it.start.max(first))
            .sum();
        let flagged = self.sums.groups_have_flags();
        let mut flags = 0;
        if flagged {
            flags = ITABLE_ZEROED;
            if used == 0 {
                flags |= INODE_UNINIT;
            }
            let is_last = group + 1 == geometry.groups();
            if !is_last && free_blocks + own_blocks(geometry, group, place) == end - first {
                flags |= BLOCK_UNINIT;
            }
        }
        let sum = |bytes: &[u8]| self.sums.seed().map_or(0, |seed| crc32c(seed, bytes));
        let empty = Table::new(0, geometry.inode_size);
        let table = std::mem::replace(&mut self.tables[index(group)], empty);
        let descriptor = Group {
            block_bitmap: place.block_bitmap,
            inode_bitmap: place.inode_bitmap,
            inode_table: place.inode_table,
            free_blocks: short(free_blocks),
            free_inodes: geometry.inodes_per_group - used,
            used_dirs: table.dirs,
            flags,
            block_bitmap_sum: sum(&blocks[..index(geometry.blocks_per_group / 8)]),
            inode_bitmap_sum: sum(&inodes[..index(geometry.inodes_per_group / 8)]),
            itable_unused: if flagged {
                geometry.inodes_per_group - used
            } else {
                0
            },
        };
        self.put(place.block_bitmap, blocks);
        self.put(place.inode_bitmap, inodes);
        let (at, len) = (place.inode_table * geometry.block(), table.size());
        self.mosaic.place(at, Arc::new(table), 0, len);
        descriptor
    }

    /// Writes superblock and descriptors, and their backups.
    fn heads(&mut self, superblock: &Superblock, descriptors: Vec<u8>) {
        let layout = self.layout;
        let len = long(descriptors.len());
        let descriptors = Arc::new(descriptors);
        for group in 0..layout.geometry.groups() {
            if !layout.geometry.has_superblock(group) {
                continue;
            }
            let first = layout.geometry.group_first(group) * layout.geometry.block();
            let (at, state) = if group == 0 {
                (OFFSET, superblock.state)
            } else {
                (first, 0)
            };
            let copy = Superblock {
                group: lo16(group),
                state,
                ..superblock.clone()
            };
            self.mosaic.bytes(at, copy.encode());
            self.mosaic
                .place(first + layout.geometry.block(), descriptors.clone(), 0, len);
        }
    }
}

/// Returns how many of a group's blocks its superblock, descriptors and its own bitmaps and table take.
fn own_blocks(geometry: &Geometry, group: u32, place: GroupPlace) -> u64 {
    let range = geometry.group_first(group)..geometry.group_end(group);
    let within = |start: u64, len: u64| {
        (start + len)
            .min(range.end)
            .saturating_sub(start.max(range.start))
    };
    u64::from(geometry.head_blocks(group))
        + within(place.block_bitmap, 1)
        + within(place.inode_bitmap, 1)
        + within(place.inode_table, u64::from(geometry.itable_blocks()))
}

fn block_bitmap(geometry: &Geometry, group: u32, free: &[Range<u64>]) -> Vec<u8> {
    let (first, end) = (geometry.group_first(group), geometry.group_end(group));
    let mut bitmap = vec![0xff; index(geometry.block_size)];
    for run in free {
        clear(
            &mut bitmap,
            index(run.start.max(first) - first)..index(run.end.min(end) - first),
        );
    }
    bitmap
}

fn inode_bitmap(geometry: &Geometry, used: u32) -> Vec<u8> {
    let mut bitmap = vec![0xff; index(geometry.block_size)];
    clear(&mut bitmap, index(used)..index(geometry.inodes_per_group));
    bitmap
}

/// Clears bits, the lowest of a byte first.
fn clear(bitmap: &mut [u8], bits: Range<usize>) {
    let mut at = bits.start;
    while at < bits.end {
        if at.is_multiple_of(8) && bits.end - at >= 8 {
            let bytes = (bits.end - at) / 8;
            bitmap[at / 8..at / 8 + bytes].fill(0);
            at += bytes * 8;
        } else {
            bitmap[at / 8] &= !(1 << (at % 8));
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_cleared_one_by_one_and_in_bytes() {
        let mut bitmap = [0xff; 4];
        clear(&mut bitmap, 3..3);
        clear(&mut bitmap, 6..25);
        assert_eq!(bitmap, [0b0011_1111, 0, 0, 0b1111_1110]);
    }
}
