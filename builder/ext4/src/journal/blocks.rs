//! The blocks of a journal: headers, tags of descriptors, revocations, checksums.

use super::{INCOMPAT_64BIT, INCOMPAT_CSUM_V2, INCOMPAT_CSUM_V3, Journal};
use crate::checksum::crc32c;
use crate::error::Error;
use crate::le::{bytes_at, index};
use fstree::ReadAt;

/// What every block of the journal but logged ones begins with.
pub(super) const MAGIC: u32 = 0xc03b_3998;

const FLAG_ESCAPED: u32 = 1;
const FLAG_SAME_UUID: u32 = 2;
const FLAG_LAST: u32 = 8;
/// Bytes of the header, and of the checksum at the end of a block.
const HEADER: usize = 12;
const TAIL: usize = 4;
/// Where a commit block's checksum is.
const COMMIT_SUM: usize = 0x10;
/// Kind and size of the checksum of version 1, which stand after the header.
const COMMIT_CRC32: u8 = 1;
const COMMIT_CRC32_SIZE: u8 = 4;
const COMMIT_TIME: usize = 0x30;

/// Returns the big-endian number in four bytes.
pub(super) fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes_at(bytes, at))
}

/// What a block of the journal is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Descriptor,
    Commit,
    SuperblockV1,
    SuperblockV2,
    Revoke,
}

impl Kind {
    /// Returns a block's kind and sequence number; `None` if it has no header.
    pub(super) fn of(b: &[u8]) -> Option<(Self, u32)> {
        if be32(b, 0) != MAGIC {
            return None;
        }
        let kind = match be32(b, 4) {
            1 => Self::Descriptor,
            2 => Self::Commit,
            3 => Self::SuperblockV1,
            4 => Self::SuperblockV2,
            5 => Self::Revoke,
            _ => return None,
        };
        Some((kind, be32(b, 8)))
    }
}

/// The journal's blocks, one at a time.
pub(super) struct Log<'a> {
    journal: &'a Journal,
    volume: &'a dyn ReadAt,
    buf: Vec<u8>,
}

impl<'a> Log<'a> {
    pub(super) fn new(journal: &'a Journal, volume: &'a dyn ReadAt) -> Self {
        Self {
            journal,
            volume,
            buf: vec![0; index(journal.block_size)],
        }
    }

    /// Returns where on the volume a block is.
    pub(super) fn place(&self, n: u32) -> Result<u64, Error> {
        let missing = || Error::corrupt("journal", format!("it has no block {n}"));
        self.journal
            .blocks
            .get(index(n))
            .copied()
            .ok_or_else(missing)
    }

    /// Reads a block.
    pub(super) fn block(&mut self, n: u32) -> Result<&[u8], Error> {
        let at = self.place(n)? * u64::from(self.journal.block_size);
        let failed = |source| Error::Io {
            what: "the journal",
            at,
            source,
        };
        self.volume
            .read_exact_at(&mut self.buf, at)
            .map_err(failed)?;
        Ok(&self.buf)
    }
}

/// A tag of a descriptor: a block that follows it.
pub(super) struct Tag {
    pub(super) block: u64,
    pub(super) escaped: bool,
    sum: u32,
}

impl Tag {
    /// Returns whether the checksum of the logged block is right.
    pub(super) fn verify(&self, logged: &[u8], sequence: u32, seed: u32, incompat: u32) -> bool {
        let sum = crc32c(crc32c(seed, &sequence.to_be_bytes()), logged);
        if incompat & INCOMPAT_CSUM_V3 != 0 {
            self.sum == sum
        } else {
            self.sum == sum & 0xffff
        }
    }
}

/// Iterates over a descriptor's tags up to the last.
pub(super) fn tags(b: &[u8], incompat: u32) -> impl Iterator<Item = Tag> {
    let wide = incompat & INCOMPAT_64BIT != 0;
    let v3 = incompat & INCOMPAT_CSUM_V3 != 0;
    let v2 = incompat & INCOMPAT_CSUM_V2 != 0;
    let len = match (v3, wide) {
        (true, _) => 16,
        (false, true) => 12 + if v2 { 2 } else { 0 },
        (false, false) => 8 + if v2 { 2 } else { 0 },
    };
    let end = b.len() - if v2 || v3 { TAIL } else { 0 };
    let mut at = HEADER;
    let mut done = false;
    std::iter::from_fn(move || {
        if done {
            return None;
        }
        if at + len > end {
            done = true;
            // Without a last tag, the block is full of them.
            return None;
        }
        let raw = &b[at..at + len];
        let (flags, sum) = if v3 {
            (be32(raw, 4), be32(raw, 12))
        } else {
            (be32(raw, 4) & 0xffff, be32(raw, 4) >> 16)
        };
        let high = if wide { be32(raw, 8) } else { 0 };
        at += len + if flags & FLAG_SAME_UUID == 0 { 16 } else { 0 };
        done = flags & FLAG_LAST != 0;
        let block = u64::from(be32(raw, 0)) | u64::from(high) << 32;
        Some(Tag {
            block,
            escaped: flags & FLAG_ESCAPED != 0,
            sum,
        })
    })
}

/// Returns the blocks that a revocation names.
pub(super) fn revoked(b: &[u8], wide: bool) -> Vec<u64> {
    let end = index(be32(b, HEADER)).min(b.len());
    let records = b.get(HEADER + 4..end).unwrap_or_default();
    if wide {
        let number = |it: &[u8]| u64::from(be32(it, 0)) << 32 | u64::from(be32(it, 4));
        records.chunks_exact(8).map(number).collect()
    } else {
        records
            .chunks_exact(4)
            .map(|it| u64::from(be32(it, 0)))
            .collect()
    }
}

/// Returns whether the checksum at the end of a descriptor or revocation is right.
pub(super) fn verify_tail(b: &[u8], seed: u32) -> bool {
    let at = b.len() - TAIL;
    be32(b, at) == crc32c(crc32c(seed, &b[..at]), &[0; TAIL])
}

/// Returns whether a commit says that its transaction's blocks have this sum, or says nothing of them.
pub(super) fn verify_first(b: &[u8], sum: u32) -> bool {
    let found = be32(b, COMMIT_SUM);
    match (b[HEADER], b[HEADER + 1]) {
        (COMMIT_CRC32, COMMIT_CRC32_SIZE) => found == sum,
        (0, 0) => found == 0,
        _ => false,
    }
}

/// Returns when a transaction was committed, in seconds.
pub(super) fn commit_time(b: &[u8]) -> u64 {
    u64::from_be_bytes(bytes_at(b, COMMIT_TIME))
}

/// Returns whether the checksum of a commit block is right.
pub(super) fn verify_commit(b: &[u8], seed: u32) -> bool {
    let head = crc32c(crc32c(seed, &b[..COMMIT_SUM]), &[0; 4]);
    be32(b, COMMIT_SUM) == crc32c(head, &b[COMMIT_SUM + 4..])
}
