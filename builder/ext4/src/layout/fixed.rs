//! What stands where no matter which tree: geometry from options, superblocks, descriptors, bitmaps, inode tables.

use super::demand::{Demand, lost_found_blocks};
use super::{GroupPlace, Options};
use crate::error::Error;
use crate::features::Feature;
use crate::geometry::{Backups, Geometry};
use crate::le::{index, short};
use std::ops::Range;

/// Blocks that a last group must have beyond its own metadata.
const LAST_GROUP_MIN: u64 = 50;

/// A volume without files.
pub(super) struct Fixed {
    pub(super) geometry: Geometry,
    pub(super) groups: Vec<GroupPlace>,
    /// Free runs, ascending.
    pub(super) free: Vec<Range<u64>>,
}

/// Returns the geometry of a volume with these options and at least `inodes` inodes besides the spare ones.
pub(super) fn geometry(options: &Options, inodes: u64) -> Result<Geometry, Error> {
    let features = options.features;
    let block_size = options.block_size;
    let first_data_block = u32::from(block_size == 1024);
    let wide = features.has(Feature::IS_64BIT);
    let mut blocks = options.size / u64::from(block_size);
    if blocks > u64::from(u32::MAX) && (!wide || features.has(Feature::RESIZE_INODE)) {
        return Err(Error::Options(format!(
            "{blocks} blocks need 64bit and no resize_inode"
        )));
    }
    loop {
        if blocks < u64::from(first_data_block) + 64 {
            return Err(Error::Options(format!(
                "a volume of {} bytes is too small",
                options.size
            )));
        }
        let mut geometry = Geometry {
            block_size,
            blocks,
            first_data_block,
            blocks_per_group: block_size * 8,
            inodes_per_group: 0,
            inode_size: u32::from(options.inode_size),
            desc_size: if wide { 64 } else { 32 },
            reserved_gdt: 0,
            backups: Backups::of(features, [0; 2]),
            first_meta_bg: None,
        };
        geometry.inodes_per_group = inodes_per_group(&geometry, options, inodes)?;
        if features.has(Feature::RESIZE_INODE) {
            // The resize inode's double-indirect block has a slot for each, as for the used ones.
            let all = options.growth_blocks.max(geometry.desc_blocks());
            geometry.reserved_gdt = (all - geometry.desc_blocks()).min(block_size / 4);
        }
        let last = geometry.groups() - 1;
        let len = blocks - geometry.group_first(last);
        let own = u64::from(geometry.head_blocks(last) + geometry.itable_blocks()) + 2;
        if len < u64::from(geometry.blocks_per_group) && len < own + LAST_GROUP_MIN {
            blocks = geometry.group_first(last);
            continue;
        }
        return Ok(geometry);
    }
}

/// Returns the inodes of each group: by their share of the volume, which a larger volume does not change, or as many as
/// are wanted.
fn inodes_per_group(geometry: &Geometry, options: &Options, inodes: u64) -> Result<u32, Error> {
    let groups = u64::from(geometry.groups());
    let wanted = inodes + u64::from(options.spare_inodes);
    let in_block = u64::from(geometry.block_size / geometry.inode_size);
    // Whole blocks of the table, and whole bytes of the bitmap.
    let unit = in_block.max(8);
    let max = (geometry.block() * 8).min(65536 - in_block) / unit * unit;
    let full = u64::from(geometry.blocks_per_group).min(geometry.blocks);
    let share = full * geometry.block() / options.bytes_per_inode;
    let share = (share + unit / 2) / unit * unit;
    let each = wanted
        .div_ceil(groups)
        .max(16)
        .next_multiple_of(unit)
        .max(share);
    if each <= max {
        return Ok(short(each));
    }
    let missing = wanted.saturating_sub(max * groups);
    if missing > 0 {
        return Err(Error::NoSpace {
            blocks: 0,
            block_size: geometry.block_size,
            inodes: missing,
        });
    }
    Ok(short(max))
}

/// Returns the number of blocks that `mke2fs` gives the journal of a volume of so many.
pub(super) fn journal_blocks(options: &Options, blocks: u64) -> Result<u32, Error> {
    if !options.features.has(Feature::HAS_JOURNAL) {
        return Ok(0);
    }
    if let Some(blocks) = options.journal_blocks {
        return Ok(blocks);
    }
    match blocks {
        0..2048 => Err(Error::Options(format!(
            "a volume of {blocks} blocks has no room for a journal"
        ))),
        2048..32_768 => Ok(1024),
        32_768..262_144 => Ok(4096),
        262_144..524_288 => Ok(8192),
        524_288..4_194_304 => Ok(16_384),
        4_194_304..8_388_608 => Ok(32_768),
        8_388_608..16_777_216 => Ok(65_536),
        16_777_216..33_554_432 => Ok(131_072),
        _ => Ok(262_144),
    }
}

impl Fixed {
    /// Places superblocks, descriptors, bitmaps and inode tables.
    pub(super) fn place(geometry: Geometry, options: &Options) -> Result<Self, Error> {
        let mut free = free_of_heads(&geometry);
        let n = geometry.groups();
        let flex = if options.features.has(Feature::FLEX_BG) {
            options.groups_per_flex
        } else {
            1
        };
        let mut groups = vec![GroupPlace::default(); index(n)];
        for first in (0..n).step_by(index(flex)) {
            let members = &mut groups[index(first)..index(n.min(first.saturating_add(flex)))];
            let mut space = Cursor {
                free: &mut free,
                from: geometry.group_first(first),
            };
            let missing = |len| Error::NoSpace {
                blocks: len,
                block_size: geometry.block_size,
                inodes: 0,
            };
            for group in members.iter_mut() {
                group.block_bitmap = space.take(1).ok_or_else(|| missing(1))?;
            }
            for group in members.iter_mut() {
                group.inode_bitmap = space.take(1).ok_or_else(|| missing(1))?;
            }
            let table = u64::from(geometry.itable_blocks());
            for group in members.iter_mut() {
                group.inode_table = space.take(table).ok_or_else(|| missing(table))?;
            }
        }
        Ok(Self {
            geometry,
            groups,
            free,
        })
    }

    /// Returns at least how many blocks a larger volume must have for a tree, its journal and `slack` more.
    pub(super) fn missing(&self, demand: &Demand, options: &Options, slack: u64) -> u64 {
        let free: u64 = self.free.iter().map(|it| it.end - it.start).sum();
        let journal = journal_blocks(options, self.geometry.blocks).unwrap_or(0);
        let made = if demand.make_lost_found {
            lost_found_blocks(options.block_size)
        } else {
            0
        };
        let wanted = demand.least_blocks()
            + u64::from(journal)
            + made
            + slack
            + self.reserved_blocks(options);
        // A larger volume may use what is too little for a last group here, and round its tables up less.
        let unused = options.size / self.geometry.block() - self.geometry.blocks;
        wanted.saturating_sub(free + unused + u64::from(self.geometry.groups()))
    }

    /// Returns the number of blocks that only root may fill.
    pub(super) fn reserved_blocks(&self, options: &Options) -> u64 {
        reserved_blocks(&self.geometry, options)
    }
}

/// Returns the number of blocks that only root may fill.
pub(crate) fn reserved_blocks(geometry: &Geometry, options: &Options) -> u64 {
    let share = u128::from(geometry.blocks) * u128::from(options.reserved_per_million) / 1_000_000;
    share.try_into().unwrap_or(u64::MAX)
}

/// Returns the volume's blocks but for superblocks and descriptors.
fn free_of_heads(geometry: &Geometry) -> Vec<Range<u64>> {
    let mut free = Vec::new();
    let mut start = u64::from(geometry.first_data_block);
    for group in 0..geometry.groups() {
        let head = u64::from(geometry.head_blocks(group));
        if head > 0 {
            let at = geometry.group_first(group);
            free.push(start..at);
            start = at + head;
        }
    }
    free.push(start..geometry.blocks);
    free.retain(|it| it.start < it.end);
    free
}

/// Takes contiguous blocks out of free runs, at or after a block that moves on.
struct Cursor<'a> {
    free: &'a mut Vec<Range<u64>>,
    from: u64,
}

impl Cursor<'_> {
    fn take(&mut self, len: u64) -> Option<u64> {
        let at = self.find(self.from, len).or_else(|| self.find(0, len))?;
        let n = self.free.partition_point(|it| it.end <= at);
        let run = self.free[n].clone();
        let parts = [run.start..at, at + len..run.end];
        self.free
            .splice(n..=n, parts.into_iter().filter(|it| it.start < it.end));
        self.from = at + len;
        Some(at)
    }

    fn find(&self, from: u64, len: u64) -> Option<u64> {
        let first = self.free.partition_point(|it| it.end <= from);
        self.free[first..].iter().find_map(|run| {
            let start = run.start.max(from);
            (start < run.end && run.end - start >= len).then_some(start)
        })
    }
}
