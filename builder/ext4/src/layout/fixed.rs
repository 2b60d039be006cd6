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
/// Flex groups of so many groups keep room for the metadata of those that a larger volume would have, so that what stands
/// behind it need not move.
const ROOMY_FLEX: u32 = 32;

/// A volume without files.
pub(super) struct Fixed {
    pub(super) geometry: Geometry,
    pub(super) groups: Vec<GroupPlace>,
    /// Free runs, ascending.
    pub(super) free: Vec<Range<u64>>,
    /// Free runs to be used when those are full: where a larger volume would have metadata.
    pub(super) late: Vec<Range<u64>>,
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
        let mut free = free_of_heads(&geometry, 0..geometry.groups(), geometry.blocks);
        let mut late = Vec::new();
        let n = geometry.groups();
        let flex = if options.features.has(Feature::FLEX_BG) {
            options.groups_per_flex
        } else {
            1
        };
        let roomy = n > 1 && flex <= ROOMY_FLEX;
        let mut groups = vec![GroupPlace::default(); index(n)];
        for first in (0..n).step_by(index(flex)) {
            let end = first.saturating_add(flex);
            let members = &mut groups[index(first)..index(n.min(end))];
            let slots = Slots::of(&geometry, first..if roomy { end } else { n.min(end) });
            let elsewhere = options.features.has(Feature::FLEX_BG);
            if !elsewhere && !slots.are_inside(members.len()) {
                return Err(missing(&geometry));
            }
            slots
                .fill(members, &mut free, &mut late)
                .ok_or_else(|| missing(&geometry))?;
        }
        Ok(Self {
            geometry,
            groups,
            free,
            late,
        })
    }

    /// Returns at least how many blocks a larger volume must have for a tree, its journal and `slack` more.
    pub(super) fn missing(&self, demand: &Demand, options: &Options, slack: u64) -> u64 {
        let runs = self.free.iter().chain(&self.late);
        let free: u64 = runs.map(|it| it.end - it.start).sum();
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
        wanted.saturating_sub(free + self.unused_blocks(options))
    }

    /// Returns the blocks that a larger volume may use and this one does not: what is too little for a last group, and those by
    /// which it rounds its tables up less.
    pub(super) fn unused_blocks(&self, options: &Options) -> u64 {
        options.size / self.geometry.block() - self.geometry.blocks
            + u64::from(self.geometry.groups())
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

/// Returns the blocks of groups but for superblocks and descriptors, up to a block.
fn free_of_heads(geometry: &Geometry, groups: Range<u32>, end: u64) -> Vec<Range<u64>> {
    let mut free = Vec::new();
    let mut start = geometry.group_first(groups.start);
    for group in groups {
        let head = u64::from(geometry.head_blocks(group));
        if head > 0 {
            let at = geometry.group_first(group);
            free.push(start..at);
            start = at + head;
        }
    }
    free.push(start..end);
    free.retain(|it| it.start < it.end);
    free
}

/// Returns the error of a group that has no room for its own metadata.
fn missing(geometry: &Geometry) -> Error {
    Error::NoSpace {
        blocks: 2 + u64::from(geometry.itable_blocks()),
        block_size: geometry.block_size,
        inodes: 0,
    }
}

/// Where the metadata of a flex group's groups goes: first all bitmaps, then all inode tables.
struct Slots {
    places: Vec<GroupPlace>,
    table: u64,
    /// The volume's end; slots may lie past it.
    end: u64,
}

impl Slots {
    /// Returns the slots of these groups, of which the volume may not have all.
    fn of(geometry: &Geometry, groups: Range<u32>) -> Self {
        let table = u64::from(geometry.itable_blocks());
        let end = geometry.group_first(groups.end);
        let mut runs = free_of_heads(geometry, groups.clone(), end);
        let mut places = vec![GroupPlace::default(); groups.len()];
        let mut take = |len| take(&mut runs, len).unwrap_or(u64::MAX);
        for place in &mut places {
            place.block_bitmap = take(1);
        }
        for place in &mut places {
            place.inode_bitmap = take(1);
        }
        for place in &mut places {
            place.inode_table = take(table);
        }
        Self {
            places,
            table,
            end: geometry.blocks,
        }
    }

    /// Returns whether the first `n` groups' slots are all on the volume.
    fn are_inside(&self, n: usize) -> bool {
        let last = |it: &GroupPlace| it.inode_table.checked_add(self.table);
        self.places
            .iter()
            .take(n)
            .all(|it| last(it).is_some_and(|it| it <= self.end))
    }

    /// Gives the groups that there are their slots, or other places if those lie past the end, and puts the rest aside.
    fn fill(
        &self,
        members: &mut [GroupPlace],
        free: &mut Vec<Range<u64>>,
        late: &mut Vec<Range<u64>>,
    ) -> Option<()> {
        let parts = |it: &GroupPlace| {
            [
                (it.block_bitmap, 1),
                (it.inode_bitmap, 1),
                (it.inode_table, self.table),
            ]
        };
        let inside = |(at, len): (u64, u64)| at.checked_add(len).is_some_and(|it| it <= self.end);
        for (n, place) in self.places.iter().enumerate() {
            for (at, len) in parts(place) {
                let kept = (at, len.min(self.end.saturating_sub(at)));
                if n >= members.len() || !inside((at, len)) {
                    late.extend(claim(free, kept));
                } else {
                    claim(free, kept);
                }
            }
        }
        for (member, place) in members.iter_mut().zip(&self.places) {
            let mut places = [0; 3];
            for (to, part) in places.iter_mut().zip(parts(place)) {
                *to = if inside(part) {
                    part.0
                } else {
                    take(free, part.1).or_else(|| take(late, part.1))?
                };
            }
            let [block_bitmap, inode_bitmap, inode_table] = places;
            *member = GroupPlace {
                block_bitmap,
                inode_bitmap,
                inode_table,
            };
        }
        Some(())
    }
}

/// Takes contiguous blocks out of free runs: the first that there are.
fn take(free: &mut Vec<Range<u64>>, len: u64) -> Option<u64> {
    let run = free.iter().find(|it| it.end - it.start >= len)?;
    let at = run.start;
    claim(free, (at, len));
    Some(at)
}

/// Takes these blocks out of free runs, and returns them as a run if there are any.
fn claim(free: &mut Vec<Range<u64>>, (at, len): (u64, u64)) -> Option<Range<u64>> {
    if len == 0 {
        return None;
    }
    let n = free.partition_point(|it| it.end <= at);
    let run = free
        .get(n)
        .filter(|it| it.start <= at && at + len <= it.end)?
        .clone();
    let parts = [run.start..at, at + len..run.end];
    free.splice(n..=n, parts.into_iter().filter(|it| it.start < it.end));
    Some(at..at + len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_taken_out_of_runs() {
        let mut free = vec![0..4, 10..20];
        assert_eq!(take(&mut free, 5), Some(10));
        assert_eq!(claim(&mut free, (17, 2)), Some(17..19));
        assert_eq!(free, [0..4, 15..17, 19..20]);
        assert_eq!(claim(&mut free, (15, 2)), Some(15..17));
        assert_eq!(claim(&mut free, (3, 2)), None);
        assert_eq!(take(&mut free, 5), None);
        assert_eq!(free, [0..4, 19..20]);
    }
}
