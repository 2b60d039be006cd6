//! Which blocks files are made of: extent trees and the block maps of ext2 and ext3.

use super::volume::{Inodes, Volume};
use crate::error::Error;
use crate::extent::{self, Extent, Node};
use crate::inode::{EXTENTS_FL, INLINE_DATA_FL, Inode, S_IFDIR, S_IFLNK, S_IFREG};
use crate::le::{index, short, u32_at};

/// Pointers to data in an inode, before the indirect ones.
const DIRECT: u32 = 12;

/// A block of a map that is still to be read.
#[derive(Clone, Copy)]
enum Todo {
    /// A node of an extent tree: inode, depth, first and last logical block.
    Node(usize, u16, (u32, u64)),
    /// A block of pointers: inode, how many levels of them, first logical block.
    Pointers(usize, u32, u64),
}

/// A map in the making for each inode.
struct Maps {
    maps: Vec<Vec<Extent>>,
    todo: Vec<(u64, Todo)>,
}

impl Volume {
    /// Returns the extents of each inode, ascending; none for those without blocks.
    pub(super) fn maps(&mut self, inodes: &Inodes) -> Result<Vec<Vec<Extent>>, Error> {
        let mut maps = Maps {
            maps: vec![Vec::new(); inodes.0.len()],
            todo: Vec::new(),
        };
        for (n, (ino, inode)) in inodes.0.iter().enumerate() {
            if is_mapped(inode) {
                maps.root(self, n, (*ino, inode))?;
            }
        }
        while !maps.todo.is_empty() {
            let todo = std::mem::take(&mut maps.todo);
            self.each_block(todo, |volume, _, key, bytes| {
                let n = match key {
                    Todo::Node(n, ..) | Todo::Pointers(n, ..) => n,
                };
                let (ino, inode) = &inodes.0[n];
                maps.block(volume, key, (*ino, inode), bytes)
            })?;
        }
        for map in &mut maps.maps {
            map.sort_unstable_by_key(|it| it.logical);
            map.dedup_by(|next, last| {
                let adjacent = u64::from(last.logical) + u64::from(last.len)
                    == u64::from(next.logical)
                    && last.physical + u64::from(last.len) == next.physical;
                match last.len.checked_add(next.len).filter(|_| adjacent) {
                    Some(len) => last.len = len,
                    None => return false,
                }
                true
            });
        }
        Ok(maps.maps)
    }
}

fn is_mapped(inode: &Inode) -> bool {
    if inode.flags & INLINE_DATA_FL != 0 || inode.size == 0 {
        return false;
    }
    match inode.kind() {
        S_IFREG | S_IFDIR => true,
        S_IFLNK => inode.flags & EXTENTS_FL != 0 || inode.size >= 60,
        _ => false,
    }
}

impl Maps {
    fn root(
        &mut self,
        volume: &Volume,
        n: usize,
        (ino, inode): (u32, &Inode),
    ) -> Result<(), Error> {
        if inode.flags & EXTENTS_FL != 0 {
            let range = (0, 1 << 32);
            return self.node(volume, n, ino, (&inode.block, None, range));
        }
        for slot in 0..DIRECT {
            self.pointer(
                volume,
                (n, ino, inode),
                u32_at(&inode.block, index(slot) * 4),
                0,
                u64::from(slot),
            )?;
        }
        let per_block = u64::from(volume.geometry.block_size / 4);
        let mut first = u64::from(DIRECT);
        for level in 1..=3 {
            let pointer = u32_at(&inode.block, index(DIRECT + level - 1) * 4);
            self.pointer(volume, (n, ino, inode), pointer, level, first)?;
            first += per_block.pow(level);
        }
        Ok(())
    }

    fn block(
        &mut self,
        volume: &Volume,
        key: Todo,
        (ino, inode): (u32, &Inode),
        bytes: &[u8],
    ) -> Result<(), Error> {
        match key {
            Todo::Node(n, depth, range) => {
                let seed = volume.sums.inode_seed(ino, inode.generation);
                if seed.is_some_and(|it| !extent::verify(bytes, it)) {
                    return Err(Error::inode(ino, "an extent block's checksum is wrong"));
                }
                self.node(volume, n, ino, (bytes, Some(depth), range))
            }
            Todo::Pointers(n, level, first) => {
                let step = u64::from(volume.geometry.block_size / 4).pow(level - 1);
                for (slot, pointer) in (0..).zip(bytes.chunks_exact(4)) {
                    let at = first + slot * step;
                    self.pointer(volume, (n, ino, inode), u32_at(pointer, 0), level - 1, at)?;
                }
                Ok(())
            }
        }
    }

    fn node(
        &mut self,
        volume: &Volume,
        n: usize,
        ino: u32,
        (bytes, depth, range): (&[u8], Option<u16>, (u32, u64)),
    ) -> Result<(), Error> {
        match extent::parse(bytes, depth, range).map_err(|it| Error::inode(ino, it))? {
            Node::Leaf(extents) => {
                for it in &extents {
                    volume.check(it.physical, u64::from(it.len), || format!("inode {ino}"))?;
                }
                self.maps[n].extend(extents);
            }
            Node::Index(children, depth) => {
                for (i, (first, block)) in children.iter().enumerate() {
                    volume.check(*block, 1, || format!("inode {ino}"))?;
                    let end = children.get(i + 1).map_or(range.1, |it| u64::from(it.0));
                    self.todo
                        .push((*block, Todo::Node(n, depth, (*first, end))));
                }
            }
        }
        Ok(())
    }

    /// Takes a pointer to data, or to `level` levels of pointers, that stands for logical block `first` and on.
    fn pointer(
        &mut self,
        volume: &Volume,
        (n, ino, inode): (usize, u32, &Inode),
        pointer: u32,
        level: u32,
        first: u64,
    ) -> Result<(), Error> {
        let past_end = first >= inode.size.div_ceil(volume.geometry.block());
        if pointer == 0 || past_end {
            return Ok(());
        }
        let physical = volume.check(u64::from(pointer), 1, || format!("inode {ino}"))?;
        if level > 0 {
            self.todo.push((physical, Todo::Pointers(n, level, first)));
            return Ok(());
        }
        let logical = short(first);
        match self.maps[n].last_mut() {
            Some(last)
                if u64::from(last.logical) + u64::from(last.len) == first
                    && last.physical + u64::from(last.len) == physical =>
            {
                last.len += 1;
            }
            _ => self.maps[n].push(Extent {
                logical,
                physical,
                len: 1,
            }),
        }
        Ok(())
    }
}
