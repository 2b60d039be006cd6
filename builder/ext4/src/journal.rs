//! Replays a journal in memory: the volume as it is once every committed transaction has reached its blocks.
//!
//! Kernel documentation, "Journal (jbd2)": big-endian, three passes (scan, revoke, replay), checksums of version 2 and 3.
//! Refuses fast commits, checksums of version 1 and what is unknown. Nothing is written: a replayed volume is a
//! [`Mosaic`] of the old one and places in its journal.

mod blocks;

use crate::checksum::crc32c;
use crate::error::Error;
use blocks::{Kind, Log, be32};
use fstree::{Mosaic, MosaicBuilder, ReadAt};
use std::collections::BTreeMap;
use std::sync::Arc;

const INCOMPAT_64BIT: u32 = 2;
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
    /// One more than the last block of the log.
    end: u32,
    first: u32,
    sequence: u32,
    start: u32,
    incompat: u32,
    seed: u32,
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

/// Returns the volume with its journal replayed, or `None` if there is nothing to replay.
pub(crate) fn replay(
    journal: &Journal,
    volume: &Arc<dyn ReadAt>,
) -> Result<Option<Arc<dyn ReadAt>>, Error> {
    let mut log = Log::new(journal, &**volume);
    let Some(head) = head(journal, &mut log)? else {
        return Ok(None);
    };
    let committed = scan(journal, &head, &mut log)?;
    refuse_fast_commits(&head, &committed, &mut log)?;
    let mut last = BTreeMap::new();
    for write in &committed.writes {
        let revoked = committed.revoked.get(&write.to);
        // Sequence numbers wrap around.
        if revoked.is_none_or(|it| it.wrapping_sub(write.sequence).cast_signed() < 0) {
            last.insert(write.to, *write);
        }
    }
    if last.is_empty() {
        return Ok(None);
    }
    Ok(Some(Arc::new(overlay(journal, volume, &last)?)))
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
    if compat & COMPAT_CHECKSUM != 0 {
        return Err(Error::Unsupported(
            "replaying a journal with checksums of version 1".to_owned(),
        ));
    }
    if incompat & (INCOMPAT_CSUM_V2 | INCOMPAT_CSUM_V3) != 0 {
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
        first,
        sequence: be32(&b, 0x18),
        start,
        incompat,
        seed,
    }))
}

/// Reads the log from its start until it ends.
fn scan(journal: &Journal, head: &Head, log: &mut Log<'_>) -> Result<Committed, Error> {
    let sums = head.incompat & (INCOMPAT_CSUM_V2 | INCOMPAT_CSUM_V3) != 0;
    let mut committed = Committed {
        next_sequence: head.sequence,
        ..Committed::default()
    };
    let (mut writes, mut revokes) = (Vec::new(), Vec::new());
    let mut at = head.start;
    let mut left = head.end - head.first;
    let advance = |at: u32, n: u32| {
        let span = head.end - head.first;
        head.first + (at - head.first + n % span) % span
    };
    while left > 0 {
        let b = log.block(at)?.to_vec();
        let sequence = committed.next_sequence;
        let Some((kind, found)) = Kind::of(&b) else {
            break;
        };
        if found != sequence {
            break;
        }
        let tail_is_wrong = || sums && !blocks::verify_tail(&b, head.seed);
        let mut used = 1;
        match kind {
            Kind::Descriptor => {
                if tail_is_wrong() {
                    return Err(corrupt(format!(
                        "a descriptor's checksum is wrong in transaction {sequence}"
                    )));
                }
                for tag in blocks::tags(&b, head.incompat) {
                    if tag.block >= journal.volume_blocks || used >= left {
                        return Err(corrupt(format!(
                            "transaction {sequence} writes block {}",
                            tag.block
                        )));
                    }
                    let place = advance(at, used);
                    if sums && !tag.verify(log.block(place)?, sequence, head.seed, head.incompat) {
                        let what = format!(
                            "the checksum of block {} is wrong in transaction {sequence}",
                            tag.block
                        );
                        return Err(corrupt(what));
                    }
                    writes.push(Write {
                        to: tag.block,
                        log: place,
                        escaped: tag.escaped,
                        sequence,
                    });
                    used += 1;
                }
            }
            Kind::Commit => {
                if sums && !blocks::verify_commit(&b, head.seed) {
                    return Err(corrupt(format!(
                        "the checksum of transaction {sequence} is wrong"
                    )));
                }
                committed.writes.append(&mut writes);
                for block in revokes.drain(..) {
                    committed.revoked.insert(block, sequence);
                }
                committed.next_sequence = sequence.wrapping_add(1);
            }
            Kind::Revoke => {
                if tail_is_wrong() {
                    return Err(corrupt(format!(
                        "a revocation's checksum is wrong in transaction {sequence}"
                    )));
                }
                revokes.extend(blocks::revoked(&b, head.incompat & INCOMPAT_64BIT != 0));
            }
            Kind::SuperblockV1 | Kind::SuperblockV2 => break,
        }
        left = left.saturating_sub(used);
        at = advance(at, used);
    }
    Ok(committed)
}

/// Fast commits stand after the log; those of the transaction that would come next count.
fn refuse_fast_commits(head: &Head, committed: &Committed, log: &mut Log<'_>) -> Result<(), Error> {
    const TAG_HEAD: u16 = 9;
    if head.incompat & INCOMPAT_FAST_COMMIT == 0 || !log.has(head.end) {
        return Ok(());
    }
    let b = log.block(head.end)?;
    let (tag, transaction) = (crate::le::u16_at(b, 0), crate::le::u32_at(b, 8));
    if tag == TAG_HEAD && transaction == committed.next_sequence {
        let text = "a journal with fast commits to be replayed (repair it with `e2fsck -fp` first)";
        return Err(Error::Unsupported(text.to_owned()));
    }
    Ok(())
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
