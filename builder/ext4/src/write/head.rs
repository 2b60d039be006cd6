//! The resize inode and the journal.
//!
//! The resize inode maps the blocks kept for descriptors and their backups, as an old file with a double-indirect block: the
//! kernel checks every slot when a mounted volume grows, `e2fsck` a quarter of them.

use super::Writer;
use crate::extent;
use crate::geometry::RESIZE_INODE;
use crate::inode::{EXTENTS_FL, Inode, S_IFREG, sectors};
use crate::le::{index, lo32, long, put, put32, u32_at};

/// Journal superblock, version 2.
const JBD2_MAGIC: u32 = 0xc03b_3998;
const JBD2_SUPERBLOCK_V2: u32 = 4;

impl Writer<'_> {
    /// Writes the resize inode and its blocks.
    pub(super) fn resize(&mut self) {
        let Some(block) = self.layout.resize_block else {
            return;
        };
        let geometry = &self.layout.geometry;
        let slots = u64::from(geometry.block_size / 4);
        let groups = geometry.groups();
        let backups: Vec<u32> = (1..groups)
            .filter(|it| geometry.has_superblock(*it))
            .collect();
        let mut double = vec![0; index(geometry.block_size)];
        let first = geometry.group_first(0) + 1 + u64::from(geometry.desc_blocks());
        for (slot, at) in (u64::from(geometry.desc_blocks())..)
            .zip(first..first + u64::from(geometry.reserved_gdt))
        {
            put32(&mut double, index(slot % slots) * 4, lo32(at));
            let mut list = vec![0; backups.len() * 4];
            for (i, group) in backups.iter().enumerate() {
                let copy = at + u64::from(*group) * u64::from(geometry.blocks_per_group);
                put32(&mut list, i * 4, lo32(copy));
            }
            self.put(at, list);
        }
        let mut map = [0; 60];
        put32(&mut map, 13 * 4, lo32(block));
        let blocks = 1 + u64::from(geometry.reserved_gdt) * (1 + long(backups.len()));
        let inode = Inode {
            mode: S_IFREG | 0o600,
            size: (slots * slots + slots + 12) * geometry.block(),
            links: 1,
            sectors: sectors(blocks, geometry.block_size),
            block: map,
            ..self.inode_of_ours()
        };
        self.put_inode(RESIZE_INODE, &inode);
        self.put(block, double);
    }

    /// Writes the journal, empty and clean, and returns what the superblock repeats of its inode.
    pub(super) fn journal(&mut self) -> [u32; 17] {
        let mut copy = [0; 17];
        let Some(place) = &self.layout.journal else {
            return copy;
        };
        let geometry = &self.layout.geometry;
        let blocks: u32 = place.extents.iter().map(|it| it.len).sum();
        let seed = self.sums.inode_seed(place.inode, 0);
        let built = extent::build(&place.extents, place.nodes(), geometry.block_size, seed);
        let inode = Inode {
            mode: S_IFREG | 0o600,
            size: u64::from(blocks) * geometry.block(),
            links: 1,
            sectors: sectors(place.blocks(), geometry.block_size),
            flags: EXTENTS_FL,
            block: built.root,
            ..self.inode_of_ours()
        };
        for (i, word) in copy.iter_mut().take(15).enumerate() {
            *word = u32_at(&inode.block, 4 * i);
        }
        copy[15] = crate::le::hi32(inode.size);
        copy[16] = lo32(inode.size);
        let first = place.extents[0].physical;
        let head = journal_superblock(geometry.block_size, blocks, self.layout.options.uuid);
        self.put_inode(place.inode, &inode);
        for (at, node) in built.nodes {
            self.put(at, node);
        }
        self.put(first, head);
        copy
    }

    /// Returns an empty inode of root's, made when the volume was.
    pub(super) fn inode_of_ours(&self) -> Inode {
        Inode {
            mode: 0,
            uid: 0,
            gid: 0,
            size: 0,
            links: 0,
            sectors: 0,
            flags: 0,
            generation: 0,
            block: [0; 60],
            xattr_block: 0,
            mtime: self.layout.options.time,
            dtime: 0,
            tail: Vec::new(),
        }
    }
}

fn journal_superblock(block_size: u32, blocks: u32, uuid: [u8; 16]) -> Vec<u8> {
    let mut b = vec![0; 1024];
    for (at, value) in [
        (0x00, JBD2_MAGIC),
        (0x04, JBD2_SUPERBLOCK_V2),
        (0x0c, block_size),
        (0x10, blocks),
        // First block of the log, and its first sequence number.
        (0x14, 1),
        (0x18, 1),
        // Users.
        (0x40, 1),
    ] {
        put(&mut b, at, &value.to_be_bytes());
    }
    put(&mut b, 0x30, &uuid);
    b
}
