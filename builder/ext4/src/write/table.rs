//! A group's inode table, held without the zeros that most inodes end in.
//!
//! An inode of 256 bytes has 160 that mean something, and then room for attributes that few files have. As there is one for each
//! file, the tables would else be a third of what a large tree takes.

use crate::inode::{EXTRA, FIXED};
use crate::le::index;
use fstree::ReadAt;
use std::collections::BTreeMap;
use std::io;

/// The used part of a group's inode table.
pub(super) struct Table {
    /// Bytes of an inode.
    size: usize,
    /// How many of them are held in `heads`.
    head: usize,
    heads: Vec<u8>,
    /// What else there is of inodes that go on, by number in the table.
    tails: BTreeMap<usize, Box<[u8]>>,
    /// How many inodes are directories.
    pub(super) dirs: u32,
}

impl Table {
    /// Returns a table of `used` inodes of `size` bytes, all zero.
    pub(super) fn new(used: u32, size: u32) -> Self {
        let size = index(size);
        let head = size.min(FIXED + usize::from(EXTRA));
        Self {
            size,
            head,
            heads: vec![0; index(used) * head],
            tails: BTreeMap::new(),
            dirs: 0,
        }
    }

    /// Puts an inode's bytes, as many as an inode has, in the place numbered `n`.
    pub(super) fn put(&mut self, n: usize, inode: &[u8]) {
        let (head, tail) = inode.split_at(self.head);
        self.heads[n * self.head..][..self.head].copy_from_slice(head);
        if tail.iter().any(|it| *it != 0) {
            self.tails.insert(n, tail.into());
        }
    }

    /// Fills `out` with bytes of the inode numbered `n` from `skip` on.
    fn read(&self, n: usize, skip: usize, out: &mut [u8]) {
        let head = &self.heads[n * self.head..][..self.head];
        let (from_head, from_tail) =
            out.split_at_mut(self.head.saturating_sub(skip).min(out.len()));
        if !from_head.is_empty() {
            from_head.copy_from_slice(&head[skip..skip + from_head.len()]);
        }
        let skip = skip.saturating_sub(self.head);
        match self.tails.get(&n) {
            Some(tail) => from_tail.copy_from_slice(&tail[skip..skip + from_tail.len()]),
            None => from_tail.fill(0),
        }
    }
}

impl ReadAt for Table {
    fn size(&self) -> u64 {
        (self.heads.len() / self.head * self.size) as u64
    }

    fn read_exact_at(&self, mut buf: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64);
        if end.is_none_or(|end| end > self.size()) {
            let kind = io::ErrorKind::UnexpectedEof;
            return Err(io::Error::new(kind, "read past the inode table"));
        }
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        let (mut n, mut skip) = (at / self.size, at % self.size);
        while !buf.is_empty() {
            let (now, rest) = buf.split_at_mut(buf.len().min(self.size - skip));
            self.read(n, skip, now);
            (buf, n, skip) = (rest, n + 1, 0);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_range_of_it_is_what_was_put_there() {
        for size in [128u32, 160, 256, 512] {
            let len = index(size);
            let mut table = Table::new(7, size);
            let mut all = vec![0u8; 7 * len];
            for n in [0, 2, 3, 6] {
                let inode = &mut all[n * len..][..len];
                // Some end with their fixed part, some go on to their last byte.
                let used = if n % 2 == 0 { len } else { len.min(150) };
                for (at, byte) in inode[..used].iter_mut().enumerate() {
                    *byte = (n * 31 + at % 250 + 1).to_le_bytes()[0];
                }
                table.put(n, inode);
            }
            assert_eq!(table.size(), all.len() as u64);
            assert!(table.tails.len() == if len > 160 { 3 } else { 0 }, "{size}");
            for start in (0..=all.len()).step_by(13) {
                for end in (start..=all.len()).step_by(17) {
                    let mut buf = vec![0xee; end - start];
                    table.read_exact_at(&mut buf, start as u64).unwrap();
                    assert_eq!(buf, all[start..end], "{start}..{end} of inodes of {size}");
                }
            }
            assert!(
                table
                    .read_exact_at(&mut [0; 2], all.len() as u64 - 1)
                    .is_err()
            );
        }
    }
}
