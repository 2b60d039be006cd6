//! Replays a journal in memory: the volume as it is once every committed transaction has reached its blocks.
//!
//! Kernel documentation, "Journal (jbd2)": big-endian, three passes (scan, revoke, replay), checksums of all three
//! versions, fast commits. Refuses what is unknown. Nothing is written: a replayed volume is a [`Mosaic`] of the old one
//! and places in its journal; what fast commits say of inodes and names is handed to the reader, which carries it out.

mod blocks;
mod fast;
mod scan;

use crate::checksum::crc32c;
use crate::error::Error;
use blocks::{Kind, Log, be32};
pub(crate) use fast::Change;
use fstree::{Mosaic, MosaicBuilder, ReadAt};
use std::collections::BTreeMap;
use std::sync::Arc;

const INCOMPAT_64BIT: u32 = 2;
const INCOMPAT_ASYNC_COMMIT: u32 = 4;
const INCOMPAT_CSUM_V2: u32 = 8;
const INCOMPAT_CSUM_V3: u32 = 0x10;
const INCOMPAT_FAST_COMMIT: u32 = 0x20;
const INCOMPAT_KNOWN: u32 = 0x3f;
const COMPAT_CHECKSUM: u32 = 1;
/// Fast-commit blocks if the superblock does not say.
const DEFAULT_FAST_COMMITS: u32 = 256;

/// Where a journal is.
pub(crate) struct Journal {
    /// Its blocks on the volume, in order.
    pub(crate) blocks: Vec<u64>,
    pub(crate) block_size: u32,
    pub(crate) volume_blocks: u64,
    /// Whether the volume says that it is to be replayed.
    pub(crate) recover: bool,
}

/// What the journal's superblock says.
struct Head {
    /// One more than the last block of the log; fast commits stand after it.
    end: u32,
    /// One more than the last block of the journal.
    len: u32,
    first: u32,
    sequence: u32,
    start: u32,
    incompat: u32,
    sums: Sums,
    seed: u32,
}

/// Which checksums a journal has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Sums {
    None,
    /// One CRC-32 of a transaction's blocks, in its commit.
    First,
    /// A CRC-32C of every block, of version 2 or 3.
    Each,
}

/// A journal that is to be replayed.
pub(crate) struct Replay {
    /// The volume with every committed block where it belongs.
    pub(crate) volume: Arc<dyn ReadAt>,
    /// What fast commits after them say.
    pub(crate) changes: Vec<Change>,
}

/// A block that a transaction writes: where to, where it stands in the log, whether its first bytes were changed.
#[derive(Clone, Copy)]
struct Write {
    to: u64,
    log: u32,
    escaped: bool,
    sequence: u32,
}

/// All committed transactions.
#[derive(Default)]
struct Committed {
    writes: Vec<Write>,
    /// The last sequence that revokes each block.
    revoked: BTreeMap<u64, u32>,
    next_sequence: u32,
}

/// Replays a journal, or returns `None` if there is nothing in it.
pub(crate) fn replay(journal: &Journal, volume: &Arc<dyn ReadAt>) -> Result<Option<Replay>, Error> {
    let mut log = Log::new(journal, &**volume);
    let Some(head) = head(journal, &mut log)? else {
        return Ok(None);
    };
    let committed = scan::scan(journal, &head, &mut log)?;
    let changes = if head.incompat & INCOMPAT_FAST_COMMIT == 0 {
        Vec::new()
    } else {
        fast::changes(&head, committed.next_sequence, &mut log)?
    };
    let mut last = BTreeMap::new();
    for write in &committed.writes {
        let revoked = committed.revoked.get(&write.to);
        // Sequence numbers wrap around.
        if revoked.is_none_or(|it| it.wrapping_sub(write.sequence).cast_signed() < 0) {
            last.insert(write.to, *write);
        }
    }
    let volume: Arc<dyn ReadAt> = if last.is_empty() {
        volume.clone()
    } else {
        Arc::new(overlay(journal, volume, &last)?)
    };
    Ok(Some(Replay { volume, changes }))
}

fn corrupt(what: impl Into<String>) -> Error {
    Error::corrupt("journal", what)
}

/// Reads the superblock; `None` if the journal is empty.
fn head(journal: &Journal, log: &mut Log<'_>) -> Result<Option<Head>, Error> {
    if journal.blocks.is_empty() {
        return Err(corrupt("it has no blocks"));
    }
    let b = log.block(0)?[..1024].to_vec();
    let kind = Kind::of(&b).map(|it| it.0);
    let (compat, incompat) = match kind {
        Some(Kind::SuperblockV1) => (0, 0),
        Some(Kind::SuperblockV2) => (be32(&b, 0x24), be32(&b, 0x28)),
        _ => return Err(corrupt("its superblock has no magic number")),
    };
    let start = be32(&b, 0x1c);
    if start == 0 {
        return Ok(None);
    }
    if !journal.recover {
        let text = "a journal with content on a volume that says there is none (repair it with `e2fsck -fp` first)";
        return Err(Error::Unsupported(text.to_owned()));
    }
    if incompat & !INCOMPAT_KNOWN != 0 || be32(&b, 0x2c) != 0 {
        return Err(Error::Unsupported(format!(
            "a journal with features {incompat:#x}"
        )));
    }
    if be32(&b, 0x20) != 0 {
        let text = "a journal that was given up after an error (repair it with `e2fsck -fp` first)";
        return Err(Error::Unsupported(text.to_owned()));
    }
    let sums = match (
        compat & COMPAT_CHECKSUM,
        incompat & (INCOMPAT_CSUM_V2 | INCOMPAT_CSUM_V3),
    ) {
        (0, 0) => Sums::None,
        (0, INCOMPAT_CSUM_V2 | INCOMPAT_CSUM_V3) => Sums::Each,
        (_, 0) => Sums::First,
        _ => return Err(corrupt("it has checksums of several versions")),
    };
    if sums == Sums::Each {
        let mut zeroed = b.clone();
        zeroed[0xfc..0x100].fill(0);
        if b[0x50] != 4 || be32(&b, 0xfc) != crc32c(!0, &zeroed) {
            return Err(corrupt("its superblock's checksum is wrong"));
        }
    }
    let (len, first) = (be32(&b, 0x10), be32(&b, 0x14));
    let fast = match (incompat & INCOMPAT_FAST_COMMIT, be32(&b, 0x54)) {
        (0, _) => 0,
        (_, 0) => DEFAULT_FAST_COMMITS,
        (_, n) => n,
    };
    let end = len.saturating_sub(fast);
    let fits = usize::try_from(len).is_ok_and(|it| it <= journal.blocks.len());
    if be32(&b, 0x0c) != journal.block_size || !fits || first == 0 || start < first || start >= end
    {
        return Err(corrupt(format!(
            "its log of blocks {first}..{end} starts at {start}"
        )));
    }
    let seed = crc32c(!0, &b[0x30..0x40]);
    Ok(Some(Head {
        end,
        len,
        first,
        sequence: be32(&b, 0x18),
        start,
        incompat,
        sums,
        seed,
    }))
}

/// Returns the volume with blocks of the log over its own.
fn overlay(
    journal: &Journal,
    volume: &Arc<dyn ReadAt>,
    last: &BTreeMap<u64, Write>,
) -> Result<Mosaic, Error> {
    let size = u64::from(journal.block_size);
    let mut mosaic = MosaicBuilder::new();
    let mut done = 0;
    let mut log = Log::new(journal, &**volume);
    for (to, write) in last {
        let at = to * size;
        mosaic.place(done, volume.clone(), done, at - done);
        if write.escaped {
            let mut bytes = log.block(write.log)?.to_vec();
            bytes[..4].copy_from_slice(&blocks::MAGIC.to_be_bytes());
            mosaic.bytes(at, bytes);
        } else {
            mosaic.place(at, volume.clone(), log.place(write.log)? * size, size);
        }
        done = at + size;
    }
    mosaic.place(
        done,
        volume.clone(),
        done,
        volume.size().saturating_sub(done),
    );
    mosaic
        .finish(volume.size())
        .map_err(|it| corrupt(it.to_string()))
}
