//! What a volume's superblock says of it: all that an equal fresh one takes.

use crate::features::Features;
use crate::hash::{CharSign, HashAlgorithm, NameHash};
use crate::superblock::Superblock;
use fstree::Timestamp;
use std::fmt::{self, Write as _};

/// What a volume is like.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Facts {
    /// Its UUID, in text order.
    pub uuid: [u8; 16],
    /// Its label, without padding.
    pub label: Vec<u8>,
    /// Its feature words.
    pub features: Features,
    /// Bytes of a block.
    pub block_size: u32,
    /// Number of blocks.
    pub blocks: u64,
    /// Blocks that are free.
    pub free_blocks: u64,
    /// Blocks that only root may fill.
    pub reserved_blocks: u64,
    /// Blocks in a group.
    pub blocks_per_group: u32,
    /// Number of inodes.
    pub inodes: u32,
    /// Inodes that are free.
    pub free_inodes: u32,
    /// Inodes in a group.
    pub inodes_per_group: u32,
    /// Bytes of an inode.
    pub inode_size: u16,
    /// Blocks that group descriptors take.
    pub desc_blocks: u32,
    /// Blocks kept for more group descriptors.
    pub reserved_gdt: u32,
    /// Groups whose bitmaps and inode tables stand together; 1 if each has its own.
    pub groups_per_flex: u32,
    /// How names in indexed directories are hashed.
    pub hash: NameHash,
    /// Mount options that hold by default, in the superblock's bits.
    pub mount_options: u32,
    /// What the kernel does on errors: 1 goes on, 2 remounts read-only, 3 panics.
    pub errors: u16,
    /// The journal's size in blocks; 0 without one.
    pub journal_blocks: u32,
    /// When it was made.
    pub mkfs_time: Timestamp,
}

impl Facts {
    pub(crate) fn new(sb: &Superblock, desc_blocks: u32, journal_blocks: u32) -> Self {
        let label_len = sb.label.iter().position(|it| *it == 0).unwrap_or(16);
        let flex = 1u32
            .checked_shl(u32::from(sb.log_groups_per_flex))
            .unwrap_or(1);
        Self {
            uuid: sb.uuid,
            label: sb.label[..label_len].to_vec(),
            features: sb.features,
            block_size: 1024 << sb.log_block_size,
            blocks: sb.blocks,
            free_blocks: sb.free_blocks,
            reserved_blocks: sb.reserved_blocks,
            blocks_per_group: sb.blocks_per_group,
            inodes: sb.inodes,
            free_inodes: sb.free_inodes,
            inodes_per_group: sb.inodes_per_group,
            inode_size: sb.inode_size,
            desc_blocks,
            reserved_gdt: u32::from(sb.reserved_gdt),
            groups_per_flex: flex,
            hash: NameHash {
                algorithm: HashAlgorithm::from_number(sb.hash_version)
                    .unwrap_or(HashAlgorithm::HalfMd4),
                sign: if sb.flags & 2 != 0 {
                    CharSign::Unsigned
                } else {
                    CharSign::Signed
                },
                seed: sb.hash_seed,
            },
            mount_options: sb.mount_options,
            errors: sb.errors,
            journal_blocks,
            mkfs_time: Timestamp::from_secs(
                i64::from(sb.mkfs_time) | i64::from(sb.times_high[2]) << 32,
            ),
        }
    }

    /// Returns the bytes of a group for each inode.
    pub fn bytes_per_inode(&self) -> u64 {
        let blocks = self.blocks.min(u64::from(self.blocks_per_group));
        blocks.saturating_mul(u64::from(self.block_size)) / u64::from(self.inodes_per_group.max(1))
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "uuid {}", uuid_text(&self.uuid))?;
        writeln!(f, "label {}", self.label.escape_ascii())?;
        writeln!(f, "features {}", self.features)?;
        writeln!(
            f,
            "blocks {} of {} B, {} free, {} reserved",
            self.blocks, self.block_size, self.free_blocks, self.reserved_blocks
        )?;
        writeln!(
            f,
            "inodes {} of {} B, {} free",
            self.inodes, self.inode_size, self.free_inodes
        )?;
        writeln!(
            f,
            "groups of {} blocks and {} inodes, {} in a flex group",
            self.blocks_per_group, self.inodes_per_group, self.groups_per_flex
        )?;
        writeln!(
            f,
            "descriptors {} blocks, {} reserved",
            self.desc_blocks, self.reserved_gdt
        )?;
        writeln!(f, "hash {}", self.hash)?;
        writeln!(f, "journal {} blocks", self.journal_blocks)?;
        writeln!(
            f,
            "mount options {:#x}, errors {}",
            self.mount_options, self.errors
        )?;
        writeln!(f, "made {}", self.mkfs_time.secs)
    }
}

/// Returns a UUID as text.
pub(crate) fn uuid_text(uuid: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (i, byte) in uuid.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        write!(text, "{byte:02x}").expect("a String takes all");
    }
    text
}
