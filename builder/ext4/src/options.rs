//! What a fresh volume is to be like: plain data.

use crate::facts::Facts;
use crate::features::{Feature, Features};
use crate::hash::{CharSign, HashAlgorithm, NameHash};
use fstree::Timestamp;
use std::fmt;

/// Bytes that a volume made today can grow to while mounted.
const GROWABLE: u64 = 2 << 40;

/// Features that GRUB knows from 2.12 on.
const UNKNOWN_TO_GRUB: &[Feature] = &[Feature::CSUM_SEED, Feature::LARGE_DIR];

/// What a fresh volume is to be like.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Options {
    /// Bytes of the volume; what is no whole block stays zero.
    pub size: u64,
    /// Bytes of a block: 1,024, 2,048 or 4,096.
    pub block_size: u32,
    /// Bytes of an inode: 128 or more, a power of two.
    pub inode_size: u16,
    /// Features; only [`Features::writable`] ones.
    pub features: Features,
    /// The UUID, in text order.
    pub uuid: [u8; 16],
    /// The label: 16 bytes at most.
    pub label: Vec<u8>,
    /// How names in indexed directories are hashed.
    pub hash: NameHash,
    /// Bytes of volume for each inode.
    pub bytes_per_inode: u64,
    /// Inodes that are to be free at least.
    pub spare_inodes: u32,
    /// Blocks for group descriptors, those of the volume itself included: they let it grow while mounted.
    pub growth_blocks: u32,
    /// Groups whose bitmaps and inode tables stand together: a power of two.
    pub groups_per_flex: u32,
    /// Blocks that only root may fill, in millionths of all.
    pub reserved_per_million: u32,
    /// Blocks of the journal; `None` chooses by size, as `mke2fs` does.
    pub journal_blocks: Option<u32>,
    /// Mount options that hold by default, in the superblock's bits.
    pub mount_options: u32,
    /// What the kernel does on errors: 1 goes on, 2 remounts read-only, 3 panics.
    pub errors: u16,
    /// When it was made: the time of everything that the tree has no time for.
    pub time: Timestamp,
    /// Bytes of a unit, if files of layer 0 are to begin as far from a unit's start as they do in their source: then units of
    /// the source that hold files alone come out as they are. Costs the room that the source uses for other things.
    pub unit: Option<u64>,
}

impl Options {
    /// Returns what `mke2fs` of 2022 makes by default, with this size, UUID and time.
    pub fn new(size: u64, uuid: [u8; 16], time: Timestamp) -> Self {
        let hash = NameHash {
            algorithm: HashAlgorithm::HalfMd4,
            sign: CharSign::Signed,
            seed: uuid,
        };
        let mut options = Self {
            size,
            block_size: 4096,
            inode_size: 256,
            features: Features::EXT4,
            uuid,
            label: Vec::new(),
            hash,
            bytes_per_inode: 16384,
            spare_inodes: 1024,
            growth_blocks: 0,
            groups_per_flex: 16,
            reserved_per_million: 50_000,
            journal_blocks: None,
            mount_options: 0xc,
            errors: 1,
            time,
            unit: None,
        };
        options.growth_blocks = options.blocks_to_grow();
        options
    }

    /// Returns what an equal of the volume that `facts` are of is like, of another size and time.
    ///
    /// Features that only make sense with what is on a volume (a quota, an orphan file, inline data) are left out, and so are
    /// those of which GRUB 2.06 refuses to read a volume: none of them is needed for what is written anew.
    /// Extents are added, for nothing else is written: the equal of an ext2 or ext3 is an ext4.
    pub fn like(facts: &Facts, size: u64, time: Timestamp) -> Self {
        let mut features = UNKNOWN_TO_GRUB
            .iter()
            .fold(facts.features.writable(), |all, it| all.without(*it))
            .with(Feature::EXTENTS);
        if facts.features.has(Feature::SPARSE_SUPER2) {
            features = features.without(Feature::RESIZE_INODE);
        }
        let share = (u128::from(facts.reserved_blocks) * 1_000_000)
            .div_ceil(u128::from(facts.blocks.max(1)));
        let mut options = Self {
            block_size: facts.block_size,
            inode_size: facts.inode_size,
            features,
            label: facts.label.clone(),
            hash: facts.hash,
            bytes_per_inode: facts.bytes_per_inode().max(1024),
            groups_per_flex: facts.groups_per_flex,
            reserved_per_million: u32::try_from(share).unwrap_or(0),
            mount_options: facts.mount_options,
            errors: facts.errors,
            ..Self::new(size, facts.uuid, time)
        };
        let base = facts.desc_blocks + facts.reserved_gdt;
        options.growth_blocks = options.blocks_to_grow().max(base);
        options
    }

    /// Returns the blocks of descriptors for the size that volumes can grow to.
    fn blocks_to_grow(&self) -> u32 {
        if !self.features.has(Feature::RESIZE_INODE) {
            return 0;
        }
        let group = u64::from(self.block_size).pow(2) * 8;
        let desc = if self.features.has(Feature::IS_64BIT) {
            64
        } else {
            32
        };
        let blocks = (GROWABLE.div_ceil(group) * desc).div_ceil(u64::from(self.block_size));
        // An indirect block of the resize inode lists no more.
        u32::try_from(blocks)
            .unwrap_or(u32::MAX)
            .min(self.block_size / 4)
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "size {}", self.size)?;
        writeln!(f, "uuid {}", crate::facts::uuid_text(&self.uuid))?;
        writeln!(f, "label {}", self.label.escape_ascii())?;
        writeln!(f, "features {}", self.features)?;
        writeln!(f, "hash {}", self.hash)?;
        writeln!(
            f,
            "blocks of {} B, inodes of {} B",
            self.block_size, self.inode_size
        )?;
        writeln!(
            f,
            "an inode for {} B, {} spare",
            self.bytes_per_inode, self.spare_inodes
        )?;
        writeln!(f, "reserved {} of a million", self.reserved_per_million)?;
        writeln!(f, "time {}.{:09}", self.time.secs, self.time.nanos)
    }
}
