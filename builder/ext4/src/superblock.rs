//! The superblock: 1,024 bytes at byte 1,024 of the volume, and at the start of groups that hold a backup.
//!
//! Kernel documentation, "ext4 Data Structures and Algorithms", Super Block. Fields that neither reading nor a fresh
//! volume needs are left out, and read back as zero.

use crate::checksum::crc32c;
use crate::features::{Feature, Features};
use crate::le::{bytes_at, put, put_split64, put16, put32, split64, u16_at, u32_at};

/// Bytes of a superblock.
pub(crate) const SIZE: usize = 1024;
/// Where the primary one stands, in bytes.
pub(crate) const OFFSET: u64 = 1024;
/// "Unmounted cleanly".
pub(crate) const STATE_VALID: u16 = 1;

const MAGIC: u16 = 0xef53;
const CHECKSUM: usize = 0x3fc;

/// A superblock.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Superblock {
    pub(crate) inodes: u32,
    pub(crate) blocks: u64,
    pub(crate) reserved_blocks: u64,
    pub(crate) free_blocks: u64,
    pub(crate) free_inodes: u32,
    pub(crate) first_data_block: u32,
    pub(crate) log_block_size: u32,
    pub(crate) log_cluster_size: u32,
    pub(crate) blocks_per_group: u32,
    pub(crate) clusters_per_group: u32,
    pub(crate) inodes_per_group: u32,
    pub(crate) mtime: u32,
    pub(crate) wtime: u32,
    pub(crate) mount_count: u16,
    pub(crate) max_mount_count: u16,
    pub(crate) state: u16,
    pub(crate) errors: u16,
    pub(crate) last_check: u32,
    pub(crate) check_interval: u32,
    pub(crate) revision: u32,
    pub(crate) first_inode: u32,
    pub(crate) inode_size: u16,
    pub(crate) group: u16,
    pub(crate) features: Features,
    pub(crate) uuid: [u8; 16],
    pub(crate) label: [u8; 16],
    pub(crate) reserved_gdt: u16,
    pub(crate) journal_inode: u32,
    pub(crate) journal_device: u32,
    pub(crate) last_orphan: u32,
    pub(crate) hash_seed: [u8; 16],
    pub(crate) hash_version: u8,
    pub(crate) journal_backup: u8,
    pub(crate) desc_size: u16,
    pub(crate) mount_options: u32,
    pub(crate) first_meta_bg: u32,
    pub(crate) mkfs_time: u32,
    /// Copy of the journal inode: its block map, then the size's high and low half.
    pub(crate) journal_blocks: [u32; 17],
    pub(crate) min_extra_isize: u16,
    pub(crate) want_extra_isize: u16,
    pub(crate) flags: u32,
    pub(crate) log_groups_per_flex: u8,
    pub(crate) checksum_type: u8,
    pub(crate) error_count: u32,
    pub(crate) backup_groups: [u32; 2],
    pub(crate) checksum_seed: u32,
    pub(crate) orphan_file_inode: u32,
    /// High bytes of wtime, mtime, mkfs time, last check.
    pub(crate) times_high: [u8; 4],
}

/// Why 1,024 bytes are no superblock.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum BadSuperblock {
    /// Too short, or without the magic number.
    NoMagic,
    /// The checksum is wrong.
    Checksum,
}

impl Superblock {
    /// Parses 1,024 bytes and verifies their checksum; says nothing of the values.
    pub(crate) fn parse(b: &[u8]) -> Result<Self, BadSuperblock> {
        if b.len() != SIZE || u16_at(b, 0x38) != MAGIC {
            return Err(BadSuperblock::NoMagic);
        }
        let features = Features {
            compat: u32_at(b, 0x5c),
            incompat: u32_at(b, 0x60),
            ro_compat: u32_at(b, 0x64),
        };
        if features.has(Feature::METADATA_CSUM) && u32_at(b, CHECKSUM) != crc32c(!0, &b[..CHECKSUM])
        {
            return Err(BadSuperblock::Checksum);
        }
        let wide = features.has(Feature::IS_64BIT);
        let count = |low, high| {
            if wide {
                split64(b, low, high)
            } else {
                u64::from(u32_at(b, low))
            }
        };
        let mut journal_blocks = [0; 17];
        for (i, it) in journal_blocks.iter_mut().enumerate() {
            *it = u32_at(b, 0x10c + 4 * i);
        }
        let dynamic = u32_at(b, 0x4c) > 0;
        Ok(Self {
            inodes: u32_at(b, 0),
            blocks: count(0x04, 0x150),
            reserved_blocks: count(0x08, 0x154),
            free_blocks: count(0x0c, 0x158),
            free_inodes: u32_at(b, 0x10),
            first_data_block: u32_at(b, 0x14),
            log_block_size: u32_at(b, 0x18),
            log_cluster_size: u32_at(b, 0x1c),
            blocks_per_group: u32_at(b, 0x20),
            clusters_per_group: u32_at(b, 0x24),
            inodes_per_group: u32_at(b, 0x28),
            mtime: u32_at(b, 0x2c),
            wtime: u32_at(b, 0x30),
            mount_count: u16_at(b, 0x34),
            max_mount_count: u16_at(b, 0x36),
            state: u16_at(b, 0x3a),
            errors: u16_at(b, 0x3c),
            last_check: u32_at(b, 0x40),
            check_interval: u32_at(b, 0x44),
            revision: u32_at(b, 0x4c),
            first_inode: if dynamic { u32_at(b, 0x54) } else { 11 },
            inode_size: if dynamic { u16_at(b, 0x58) } else { 128 },
            group: u16_at(b, 0x5a),
            features,
            uuid: bytes_at(b, 0x68),
            label: bytes_at(b, 0x78),
            reserved_gdt: u16_at(b, 0xce),
            journal_inode: u32_at(b, 0xe0),
            journal_device: u32_at(b, 0xe4),
            last_orphan: u32_at(b, 0xe8),
            hash_seed: bytes_at(b, 0xec),
            hash_version: b[0xfc],
            journal_backup: b[0xfd],
            desc_size: u16_at(b, 0xfe),
            mount_options: u32_at(b, 0x100),
            first_meta_bg: u32_at(b, 0x104),
            mkfs_time: u32_at(b, 0x108),
            journal_blocks,
            min_extra_isize: u16_at(b, 0x15c),
            want_extra_isize: u16_at(b, 0x15e),
            flags: u32_at(b, 0x160),
            log_groups_per_flex: b[0x174],
            checksum_type: b[0x175],
            error_count: u32_at(b, 0x194),
            backup_groups: [u32_at(b, 0x24c), u32_at(b, 0x250)],
            checksum_seed: u32_at(b, 0x270),
            orphan_file_inode: u32_at(b, 0x280),
            times_high: bytes_at(b, 0x274),
        })
    }

    /// Returns the 1,024 bytes, with their checksum if there is one.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![0; SIZE];
        let b = out.as_mut_slice();
        put32(b, 0x00, self.inodes);
        put_split64(b, 0x04, 0x150, self.blocks);
        put_split64(b, 0x08, 0x154, self.reserved_blocks);
        put_split64(b, 0x0c, 0x158, self.free_blocks);
        put32(b, 0x10, self.free_inodes);
        put32(b, 0x14, self.first_data_block);
        put32(b, 0x18, self.log_block_size);
        put32(b, 0x1c, self.log_cluster_size);
        put32(b, 0x20, self.blocks_per_group);
        put32(b, 0x24, self.clusters_per_group);
        put32(b, 0x28, self.inodes_per_group);
        put32(b, 0x2c, self.mtime);
        put32(b, 0x30, self.wtime);
        put16(b, 0x34, self.mount_count);
        put16(b, 0x36, self.max_mount_count);
        put16(b, 0x38, MAGIC);
        put16(b, 0x3a, self.state);
        put16(b, 0x3c, self.errors);
        put32(b, 0x40, self.last_check);
        put32(b, 0x44, self.check_interval);
        put32(b, 0x4c, self.revision);
        put32(b, 0x54, self.first_inode);
        put16(b, 0x58, self.inode_size);
        put16(b, 0x5a, self.group);
        put32(b, 0x5c, self.features.compat);
        put32(b, 0x60, self.features.incompat);
        put32(b, 0x64, self.features.ro_compat);
        put(b, 0x68, &self.uuid);
        put(b, 0x78, &self.label);
        put16(b, 0xce, self.reserved_gdt);
        self.encode_rest(b);
        if self.features.has(Feature::METADATA_CSUM) {
            put32(b, CHECKSUM, crc32c(!0, &b[..CHECKSUM]));
        }
        out
    }

    fn encode_rest(&self, b: &mut [u8]) {
        put32(b, 0xe0, self.journal_inode);
        put32(b, 0xe4, self.journal_device);
        put32(b, 0xe8, self.last_orphan);
        put(b, 0xec, &self.hash_seed);
        b[0xfc] = self.hash_version;
        b[0xfd] = self.journal_backup;
        put16(b, 0xfe, self.desc_size);
        put32(b, 0x100, self.mount_options);
        put32(b, 0x104, self.first_meta_bg);
        put32(b, 0x108, self.mkfs_time);
        for (i, it) in self.journal_blocks.iter().enumerate() {
            put32(b, 0x10c + 4 * i, *it);
        }
        put16(b, 0x15c, self.min_extra_isize);
        put16(b, 0x15e, self.want_extra_isize);
        put32(b, 0x160, self.flags);
        b[0x174] = self.log_groups_per_flex;
        b[0x175] = self.checksum_type;
        put32(b, 0x194, self.error_count);
        put32(b, 0x24c, self.backup_groups[0]);
        put32(b, 0x250, self.backup_groups[1]);
        put32(b, 0x270, self.checksum_seed);
        put(b, 0x274, &self.times_high);
        put32(b, 0x280, self.orphan_file_inode);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn superblocks_read_back() {
        let sb = Superblock {
            inodes: 7,
            blocks: 1 << 33,
            revision: 1,
            first_inode: 11,
            inode_size: 256,
            features: Features::EXT4,
            label: *b"cloudimg-rootfs\0",
            journal_blocks: [5; 17],
            ..Superblock::default()
        };
        let mut bytes = sb.encode();
        assert_eq!(Superblock::parse(&bytes), Ok(sb));
        bytes[0] ^= 1;
        assert_eq!(Superblock::parse(&bytes), Err(BadSuperblock::Checksum));
        assert_eq!(Superblock::parse(&[0; SIZE]), Err(BadSuperblock::NoMagic));
    }
}
