//! How a volume is divided: blocks, groups, descriptors, inode tables, and which groups hold backups.
//!
//! Kernel documentation, "ext4 Data Structures and Algorithms", Layout, Block Groups and Meta Block Groups. One
//! description for volumes read and volumes made; it reads and writes nothing.

use crate::error::Error;
use crate::features::{Feature, Features};
use crate::le::short;
use crate::superblock::Superblock;

/// The root directory.
pub(crate) const ROOT_INODE: u32 = 2;
/// The resize inode.
pub(crate) const RESIZE_INODE: u32 = 7;
/// The journal.
pub(crate) const JOURNAL_INODE: u32 = 8;

/// How a volume is divided.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Geometry {
    /// Bytes in a block: 1,024, 2,048 or 4,096.
    pub(crate) block_size: u32,
    /// Blocks of the volume, the ones before the first group included.
    pub(crate) blocks: u64,
    /// Where the first group starts: 1 with blocks of 1,024 bytes, else 0.
    pub(crate) first_data_block: u32,
    /// Blocks in every group but the last.
    pub(crate) blocks_per_group: u32,
    /// Inodes in every group.
    pub(crate) inodes_per_group: u32,
    /// Bytes of an inode.
    pub(crate) inode_size: u32,
    /// Bytes of a group descriptor.
    pub(crate) desc_size: u32,
    /// Blocks kept free behind the descriptors, for more of them.
    pub(crate) reserved_gdt: u32,
    /// Which groups hold backups.
    pub(crate) backups: Backups,
    /// First meta block group, in descriptor blocks, if there are meta block groups.
    pub(crate) first_meta_bg: Option<u32>,
}

/// Which groups hold a copy of superblock and descriptors.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Backups {
    /// Every group.
    All,
    /// Groups 0, 1 and powers of 3, 5 and 7.
    Sparse,
    /// Group 0 and these two.
    Listed([u32; 2]),
}

impl Geometry {
    /// Returns the geometry that a superblock describes, for a volume of `size` bytes, or what is wrong with it.
    pub(crate) fn of(sb: &Superblock, size: u64) -> Result<Self, Error> {
        let bad = |what: String| Error::corrupt("superblock", what);
        if sb.log_block_size > 2 {
            return Err(match sb.log_block_size {
                3..=6 => Error::Unsupported(format!(
                    "a block size of {} bytes",
                    1024u32 << sb.log_block_size
                )),
                other => bad(format!("block size is 2^{other} KiB")),
            });
        }
        let block_size = 1024u32 << sb.log_block_size;
        let inode_size = u32::from(sb.inode_size);
        if !inode_size.is_power_of_two() || !(128..=block_size).contains(&inode_size) {
            return Err(bad(format!("inode size is {inode_size}")));
        }
        let wide = sb.features.has(Feature::IS_64BIT);
        let desc_size = if wide { u32::from(sb.desc_size) } else { 32 };
        if !desc_size.is_power_of_two() || desc_size > 1024 || (wide && desc_size < 64) {
            return Err(bad(format!("group descriptor size is {desc_size}")));
        }
        let max = block_size * 8;
        if sb.blocks_per_group < 256
            || sb.blocks_per_group > max
            || !sb.blocks_per_group.is_multiple_of(8)
        {
            return Err(bad(format!("{} blocks in a group", sb.blocks_per_group)));
        }
        if sb.inodes_per_group == 0 || sb.inodes_per_group > max {
            return Err(bad(format!("{} inodes in a group", sb.inodes_per_group)));
        }
        if sb.first_data_block != u32::from(block_size == 1024) {
            return Err(bad(format!("first data block is {}", sb.first_data_block)));
        }
        let bytes = sb.blocks.checked_mul(u64::from(block_size));
        if bytes.is_none_or(|it| it > size) || sb.blocks <= u64::from(sb.first_data_block) {
            let what = format!(
                "{} blocks of {block_size} bytes in a volume of {size} bytes",
                sb.blocks
            );
            return Err(bad(what));
        }
        let geometry = Self {
            block_size,
            blocks: sb.blocks,
            first_data_block: sb.first_data_block,
            blocks_per_group: sb.blocks_per_group,
            inodes_per_group: sb.inodes_per_group,
            inode_size,
            desc_size,
            reserved_gdt: u32::from(sb.reserved_gdt),
            backups: Backups::of(sb.features, sb.backup_groups),
            first_meta_bg: sb
                .features
                .has(Feature::META_BG)
                .then_some(sb.first_meta_bg),
        };
        if geometry.inodes() != u64::from(sb.inodes) {
            let what = format!(
                "{} inodes where groups have {}",
                sb.inodes,
                geometry.inodes()
            );
            return Err(bad(what));
        }
        if sb.first_inode < 11 || sb.first_inode > sb.inodes {
            return Err(bad(format!("first inode is {}", sb.first_inode)));
        }
        Ok(geometry)
    }

    /// Returns the number of groups.
    pub(crate) fn groups(&self) -> u32 {
        let blocks = self.blocks - u64::from(self.first_data_block);
        short(blocks.div_ceil(u64::from(self.blocks_per_group)))
    }

    /// Returns the number of inodes.
    pub(crate) fn inodes(&self) -> u64 {
        u64::from(self.groups()) * u64::from(self.inodes_per_group)
    }

    /// Returns a group's first block.
    pub(crate) fn group_first(&self, group: u32) -> u64 {
        u64::from(self.first_data_block) + u64::from(group) * u64::from(self.blocks_per_group)
    }

    /// Returns the block after a group's last.
    pub(crate) fn group_end(&self, group: u32) -> u64 {
        self.group_first(group + 1).min(self.blocks)
    }

    /// Returns the number of blocks that descriptors take.
    pub(crate) fn desc_blocks(&self) -> u32 {
        self.groups().div_ceil(self.descs_per_block())
    }

    /// Returns the number of descriptors in a block.
    pub(crate) fn descs_per_block(&self) -> u32 {
        self.block_size / self.desc_size
    }

    /// Returns the number of blocks of a group's inode table.
    pub(crate) fn itable_blocks(&self) -> u32 {
        short(
            (u64::from(self.inodes_per_group) * u64::from(self.inode_size)).div_ceil(self.block()),
        )
    }

    /// Returns the size of a block in bytes.
    pub(crate) fn block(&self) -> u64 {
        u64::from(self.block_size)
    }

    /// Returns whether a group starts with a superblock.
    pub(crate) fn has_superblock(&self, group: u32) -> bool {
        let power_of = |base: u32| {
            std::iter::successors(Some(base), |it| it.checked_mul(base))
                .take_while(|it| *it <= group)
                .any(|it| it == group)
        };
        match self.backups {
            Backups::All => true,
            Backups::Sparse => group <= 1 || [3, 5, 7].into_iter().any(power_of),
            Backups::Listed(groups) => group == 0 || groups.contains(&group),
        }
    }

    /// Returns the number of blocks that superblock, descriptors and those kept for more take at a group's start.
    pub(crate) fn head_blocks(&self, group: u32) -> u32 {
        if self.has_superblock(group) {
            1 + self.desc_blocks() + self.reserved_gdt
        } else {
            0
        }
    }

    /// Returns where block `n` of the descriptors stands.
    pub(crate) fn desc_block(&self, n: u32) -> u64 {
        match self.first_meta_bg {
            Some(first) if n >= first => {
                let group = n.saturating_mul(self.descs_per_block());
                self.group_first(group) + u64::from(self.has_superblock(group))
            }
            _ => u64::from(self.first_data_block) + 1 + u64::from(n),
        }
    }

    /// Returns the group of an inode and its index there.
    pub(crate) fn inode_place(&self, ino: u32) -> (u32, u32) {
        let n = ino.saturating_sub(1);
        (n / self.inodes_per_group, n % self.inodes_per_group)
    }
}

impl Backups {
    /// Returns which groups hold backups in a volume with these features.
    pub(crate) fn of(features: Features, listed: [u32; 2]) -> Self {
        if features.has(Feature::SPARSE_SUPER2) {
            Self::Listed(listed)
        } else if features.has(Feature::SPARSE_SUPER) {
            Self::Sparse
        } else {
            Self::All
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparse_backups_stand_in_powers_of_3_5_and_7() {
        let geometry = Geometry {
            block_size: 4096,
            blocks: 1 << 25,
            first_data_block: 0,
            blocks_per_group: 32768,
            inodes_per_group: 8192,
            inode_size: 256,
            desc_size: 64,
            reserved_gdt: 0,
            backups: Backups::Sparse,
            first_meta_bg: None,
        };
        let groups: Vec<_> = (0..400).filter(|it| geometry.has_superblock(*it)).collect();
        assert_eq!(groups, [0, 1, 3, 5, 7, 9, 25, 27, 49, 81, 125, 243, 343]);
        assert_eq!(geometry.groups(), 1024);
        assert_eq!(geometry.desc_blocks(), 16);
    }
}
