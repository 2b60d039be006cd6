//! Group descriptors: where a group's bitmaps and inode table are, its counts, its flags.

use crate::checksum::Sums;
use crate::le::{hi16, lo16, put_split64, put16, split32, split64, u16_at};

/// The inode bitmap and table are unused.
pub(crate) const INODE_UNINIT: u16 = 1;
/// The block bitmap is implied.
pub(crate) const BLOCK_UNINIT: u16 = 2;
/// The unused part of the inode table is zero.
pub(crate) const ITABLE_ZEROED: u16 = 4;

/// A group descriptor.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Group {
    pub(crate) block_bitmap: u64,
    pub(crate) inode_bitmap: u64,
    pub(crate) inode_table: u64,
    pub(crate) free_blocks: u32,
    pub(crate) free_inodes: u32,
    pub(crate) used_dirs: u32,
    pub(crate) flags: u16,
    pub(crate) block_bitmap_sum: u32,
    pub(crate) inode_bitmap_sum: u32,
    pub(crate) itable_unused: u32,
}

impl Group {
    /// Parses a descriptor of 32 bytes or more; says nothing of the values.
    pub(crate) fn parse(b: &[u8]) -> Self {
        Self {
            block_bitmap: split64(b, 0x00, 0x20),
            inode_bitmap: split64(b, 0x04, 0x24),
            inode_table: split64(b, 0x08, 0x28),
            free_blocks: split32(b, 0x0c, 0x2c),
            free_inodes: split32(b, 0x0e, 0x2e),
            used_dirs: split32(b, 0x10, 0x30),
            flags: u16_at(b, 0x12),
            block_bitmap_sum: split32(b, 0x18, 0x38),
            inode_bitmap_sum: split32(b, 0x1a, 0x3a),
            itable_unused: split32(b, 0x1c, 0x32),
        }
    }

    /// Returns whether the stored checksum of a descriptor is right.
    pub(crate) fn verify(b: &[u8], group: u32, sums: Sums) -> bool {
        sums == Sums::None || u16_at(b, 0x1e) == sums.group(group, b)
    }

    /// Returns the descriptor's `size` bytes (32 or 64), with its checksum.
    pub(crate) fn encode(&self, group: u32, size: u32, sums: Sums) -> Vec<u8> {
        let mut b = vec![0; 64];
        put_split64(&mut b, 0x00, 0x20, self.block_bitmap);
        put_split64(&mut b, 0x04, 0x24, self.inode_bitmap);
        put_split64(&mut b, 0x08, 0x28, self.inode_table);
        for (low, high, value) in [
            (0x0c, 0x2c, self.free_blocks),
            (0x0e, 0x2e, self.free_inodes),
            (0x10, 0x30, self.used_dirs),
            (0x18, 0x38, self.block_bitmap_sum),
            (0x1a, 0x3a, self.inode_bitmap_sum),
            (0x1c, 0x32, self.itable_unused),
        ] {
            put16(&mut b, low, lo16(value));
            put16(&mut b, high, hi16(value));
        }
        put16(&mut b, 0x12, self.flags);
        b.truncate(crate::le::index(size));
        let sum = sums.group(group, &b);
        put16(&mut b, 0x1e, sum);
        b
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_read_back() {
        let group = Group {
            block_bitmap: 1 << 40,
            inode_bitmap: 2,
            inode_table: 3,
            free_blocks: 0x1_0004,
            free_inodes: 5,
            used_dirs: 6,
            flags: ITABLE_ZEROED,
            block_bitmap_sum: 0x1234_5678,
            inode_bitmap_sum: 0x9abc_def0,
            itable_unused: 7,
        };
        let sums = Sums::All { seed: 77 };
        let mut bytes = group.encode(9, 64, sums);
        assert_eq!(Group::parse(&bytes), group);
        assert!(Group::verify(&bytes, 9, sums));
        assert!(!Group::verify(&bytes, 8, sums));
        bytes[0] ^= 1;
        assert!(!Group::verify(&bytes, 9, sums));
    }
}
