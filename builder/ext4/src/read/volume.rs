//! An open volume: superblock, group descriptors, inode tables, and blocks read in order against a budget.

use super::ahead;
use crate::checksum::Sums;
use crate::error::Error;
use crate::extent::Extent;
use crate::features::{Feature, Features};
use crate::geometry::{Geometry, JOURNAL_INODE, ROOT_INODE};
use crate::group::{Group, INODE_UNINIT};
use crate::inode::Inode;
use crate::journal::Journal;
use crate::le::{index, long, short, u16_at};
use crate::superblock::{BadSuperblock, OFFSET, SIZE, Superblock};
use fstree::ReadAt;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;

/// Bytes that are read at once.
const CHUNK: u64 = 1 << 20;
/// Bytes that are read and thrown away rather than skipped.
const GAP: u64 = 64 << 10;

/// An open volume.
pub(super) struct Volume {
    pub(super) source: Arc<dyn ReadAt>,
    pub(super) superblock: Superblock,
    pub(super) geometry: Geometry,
    pub(super) sums: Sums,
    groups: Vec<Group>,
    /// Blocks of metadata that may still be read.
    budget: u64,
    /// Threads that read.
    pub(super) jobs: NonZeroUsize,
}

/// Inodes in use, ascending.
pub(super) struct Inodes(pub(super) Vec<(u32, Inode)>);

impl Inodes {
    /// Returns the place of an inode among those in use.
    pub(super) fn find(&self, ino: u32) -> Option<usize> {
        self.0.binary_search_by_key(&ino, |it| it.0).ok()
    }
}

impl Volume {
    /// Reads superblock and descriptors, and verifies them.
    pub(super) fn open(source: Arc<dyn ReadAt>, jobs: NonZeroUsize) -> Result<Self, Error> {
        let mut bytes = vec![0; SIZE];
        if source.size() < OFFSET + long(SIZE) {
            return Err(Error::NotExt4("it is shorter than a superblock"));
        }
        read(&*source, "the superblock", OFFSET, &mut bytes)?;
        let superblock = Superblock::parse(&bytes).map_err(|it| match it {
            BadSuperblock::NoMagic => Error::NotExt4("it has no magic number"),
            BadSuperblock::Checksum => Error::corrupt("superblock", "its checksum is wrong"),
        })?;
        let refused = superblock.features.unreadable();
        if refused != Features::default() {
            return Err(Error::Unsupported(format!("the feature {refused}")));
        }
        let geometry = Geometry::of(&superblock, source.size())?;
        let sums = Sums::of(&superblock);
        // Directories are counted when they are found and when they are read.
        let budget = 2 * geometry.blocks + geometry.inodes().min(geometry.blocks * 8);
        let mut volume = Self {
            source,
            superblock,
            geometry,
            sums,
            groups: Vec::new(),
            budget,
            jobs,
        };
        volume.read_groups()?;
        Ok(volume)
    }

    fn read_groups(&mut self) -> Result<(), Error> {
        let size = index(self.geometry.desc_size);
        let mut block = vec![0; index(self.geometry.block_size)];
        for n in 0..self.geometry.desc_blocks() {
            let at = self.check(self.geometry.desc_block(n), 1, || {
                "group descriptors".to_owned()
            })?;
            read(
                &*self.source,
                "group descriptors",
                at * self.geometry.block(),
                &mut block,
            )?;
            let first = n * self.geometry.descs_per_block();
            for (group, bytes) in (first..self.geometry.groups()).zip(block.chunks_exact(size)) {
                let place = || format!("group {group}");
                if !Group::verify(bytes, group, self.sums) {
                    return Err(Error::corrupt(
                        place(),
                        "its descriptor's checksum is wrong",
                    ));
                }
                let descriptor = Group::parse(bytes);
                self.check(
                    descriptor.inode_table,
                    u64::from(self.geometry.itable_blocks()),
                    place,
                )?;
                self.groups.push(descriptor);
            }
        }
        Ok(())
    }

    /// Returns `block` if it and the `len` blocks from it on are in the volume.
    pub(super) fn check(
        &self,
        block: u64,
        len: u64,
        place: impl FnOnce() -> String,
    ) -> Result<u64, Error> {
        let end = block.checked_add(len);
        let first = u64::from(self.geometry.first_data_block);
        if block < first || block == 0 || end.is_none_or(|it| it > self.geometry.blocks) {
            let what = format!(
                "{len} blocks at {block} are not in a volume of {}",
                self.geometry.blocks
            );
            return Err(Error::corrupt(place(), what));
        }
        Ok(block)
    }

    /// Takes blocks out of the budget.
    pub(super) fn spend(&mut self, blocks: u64) -> Result<(), Error> {
        self.budget = self.budget.checked_sub(blocks).ok_or_else(|| {
            Error::corrupt("metadata", "there is more of it than the volume has blocks")
        })?;
        Ok(())
    }

    /// Reads all inodes in use that a tree may hold, in large pieces, and verifies them.
    pub(super) fn inodes(&mut self) -> Result<Inodes, Error> {
        let size = index(self.geometry.inode_size);
        let mut inodes = Vec::new();
        let mut chunk = Vec::new();
        for group in 0..self.geometry.groups() {
            let mut left = self.used_inodes(group)?;
            let mut ino = group * self.geometry.inodes_per_group + 1;
            let mut at = self.groups[index(group)].inode_table * self.geometry.block();
            self.spend((u64::from(left) * long(size)).div_ceil(self.geometry.block()))?;
            while left > 0 {
                let n = left.min(short(CHUNK / long(size)));
                chunk.resize(index(n) * size, 0);
                read(&*self.source, "an inode table", at, &mut chunk)?;
                for (ino, bytes) in (ino..).zip(chunk.chunks_exact(size)) {
                    // No mode or no names: unused, or an orphan that the kernel would delete.
                    let used = u16_at(bytes, 0) != 0 && u16_at(bytes, 0x1a) != 0;
                    let special = ino < self.superblock.first_inode
                        || ino == self.superblock.orphan_file_inode;
                    if used && (!special || ino == ROOT_INODE) {
                        inodes.push((ino, self.inode(ino, bytes)?));
                    }
                }
                left -= n;
                ino = ino.saturating_add(n);
                at += u64::from(n) * long(size);
            }
        }
        Ok(Inodes(inodes))
    }

    /// Returns how many inodes of a group may be in use: those of its table that are not flagged as unused.
    fn used_inodes(&self, group: u32) -> Result<u32, Error> {
        let descriptor = &self.groups[index(group)];
        if !self.sums.groups_have_flags() {
            return Ok(self.geometry.inodes_per_group);
        }
        if descriptor.flags & INODE_UNINIT != 0 {
            return Ok(0);
        }
        self.geometry
            .inodes_per_group
            .checked_sub(descriptor.itable_unused)
            .ok_or_else(|| {
                Error::corrupt(
                    format!("group {group}"),
                    format!("{} inodes are unused", descriptor.itable_unused),
                )
            })
    }

    fn inode(&self, ino: u32, bytes: &[u8]) -> Result<Inode, Error> {
        if !Inode::verify(bytes, ino, self.sums) {
            return Err(Error::inode(ino, "its checksum is wrong"));
        }
        Inode::parse(bytes).ok_or_else(|| Error::inode(ino, "its extra fields leave it"))
    }

    /// Reads one inode as it stands in its table.
    pub(super) fn raw_inode(&self, ino: u32) -> Result<Vec<u8>, Error> {
        let (group, n) = self.geometry.inode_place(ino);
        let table = self
            .groups
            .get(index(group))
            .ok_or_else(|| Error::inode(ino, "there is no such inode"))?;
        let size = self.geometry.inode_size;
        let mut bytes = vec![0; index(size)];
        let at = table.inode_table * self.geometry.block() + u64::from(n) * u64::from(size);
        read(&*self.source, "an inode", at, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads one inode and its map.
    pub(super) fn one_map(&mut self, ino: u32) -> Result<(Inode, Vec<Extent>), Error> {
        let inode = self.inode(ino, &self.raw_inode(ino)?)?;
        let inodes = Inodes(vec![(ino, inode)]);
        let map = self.maps(&inodes)?.swap_remove(0);
        let (_, inode) = inodes.0.into_iter().next().expect("one was put in");
        Ok((inode, map))
    }

    /// Returns the journal whose blocks are mapped so.
    pub(super) fn journal(&self, map: &[Extent]) -> Result<Journal, Error> {
        if self.superblock.journal_inode != JOURNAL_INODE {
            let text = format!("a journal in inode {}", self.superblock.journal_inode);
            return Err(Error::Unsupported(text));
        }
        let mut next = 0;
        let mut blocks = Vec::new();
        for run in map {
            if run.logical != next {
                return Err(Error::inode(JOURNAL_INODE, "the journal has a hole"));
            }
            next += run.len;
            blocks.extend(run.physical..run.physical + u64::from(run.len));
        }
        let recover = self.superblock.features.has(Feature::RECOVER);
        Ok(Journal {
            blocks,
            block_size: self.geometry.block_size,
            volume_blocks: self.geometry.blocks,
            recover,
        })
    }

    /// Reads blocks in their order on the volume and calls `found` with each, its key and its bytes.
    pub(super) fn each_block<K>(
        &mut self,
        mut wants: Vec<(u64, K)>,
        mut found: impl FnMut(&Self, u64, K, &[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.spend(long(wants.len()))?;
        wants.sort_by_key(|it| it.0);
        let size = self.geometry.block();
        let mut pieces: Vec<Range<u64>> = Vec::new();
        for (block, _) in &wants {
            let (start, end) = (block * size, (block + 1) * size);
            match pieces.last_mut() {
                Some(last) if end - last.start <= CHUNK && start.saturating_sub(last.end) < GAP => {
                    last.end = end;
                }
                _ => pieces.push(start..end),
            }
        }
        let mut wants = wants.into_iter().peekable();
        let (source, jobs) = (self.source.clone(), self.jobs);
        ahead::in_order(&*source, "metadata", &pieces, jobs, |n, bytes| {
            let piece = &pieces[n];
            while let Some((block, key)) = wants.next_if(|it| it.0 * size < piece.end) {
                let at = index(block * size - piece.start);
                found(self, block, key, &bytes[at..at + index(size)])?;
            }
            Ok(())
        })
    }
}

/// Fills `buf` from `at`.
pub(super) fn read(
    source: &dyn ReadAt,
    what: &'static str,
    at: u64,
    buf: &mut [u8],
) -> Result<(), Error> {
    source
        .read_exact_at(buf, at)
        .map_err(|source| Error::Io { what, at, source })
}
