//! Reads the log from its start until it ends: which transactions were committed, and what they write and revoke.
//!
//! What stands in the log may be older than the journal itself, or the torso of a transaction that was cut off; only what a
//! right commit follows counts, and only there is a wrong checksum an error.

use super::blocks::{self, Kind, Log};
use super::{
    Committed, Head, INCOMPAT_64BIT, INCOMPAT_ASYNC_COMMIT, Journal, Sums, Write, corrupt,
};
use crate::checksum::crc32_be;
use crate::error::Error;

/// A transaction whose commit was not read yet.
struct Open {
    sequence: u32,
    writes: Vec<Write>,
    revokes: Vec<u64>,
    /// What is wrong with it.
    wrong: Option<String>,
    /// A block of it may be a stale one of an older journal.
    perhaps_stale: bool,
    /// Its checksum so far, of the first version.
    sum: u32,
}

impl Open {
    fn new(sequence: u32) -> Self {
        Self {
            sequence,
            writes: Vec::new(),
            revokes: Vec::new(),
            wrong: None,
            perhaps_stale: false,
            sum: !0,
        }
    }

    fn blame(&mut self, what: impl FnOnce() -> String) {
        self.wrong.get_or_insert_with(what);
    }
}

/// Reads the log from its start until it ends.
pub(super) fn scan(journal: &Journal, head: &Head, log: &mut Log<'_>) -> Result<Committed, Error> {
    let mut committed = Committed {
        next_sequence: head.sequence,
        ..Committed::default()
    };
    let mut open = Open::new(head.sequence);
    let mut last_time = 0;
    // A transaction whose wrong commit ends the log, if no other follows: commits may overtake what they commit.
    let mut unfinished: Option<(u32, String)> = None;
    let mut at = head.start;
    let mut left = head.end - head.first;
    while left > 0 {
        let b = log.block(at)?.to_vec();
        let Some((kind, found)) = Kind::of(&b) else {
            break;
        };
        if found != open.sequence {
            break;
        }
        let mut used = 1;
        match kind {
            Kind::Descriptor => match descriptor(journal, head, log, &mut open, (at, &b, left))? {
                Some(n) => used = n,
                None => break,
            },
            Kind::Revoke => {
                if head.sums == Sums::Each && !blocks::verify_tail(&b, head.seed) {
                    open.perhaps_stale = true;
                    open.blame(|| "a revocation's checksum is wrong".to_owned());
                }
                open.revokes
                    .extend(blocks::revoked(&b, head.incompat & INCOMPAT_64BIT != 0));
            }
            Kind::Commit => {
                let time = blocks::commit_time(&b);
                if !commit_is_right(head, &open, &b) {
                    open.perhaps_stale = true;
                    open.blame(|| "the commit's checksum is wrong".to_owned());
                }
                if let Some((sequence, what)) = unfinished.take() {
                    return Err(broken(sequence, &what));
                }
                if let Some(what) = open.wrong.take() {
                    if open.perhaps_stale && time < last_time {
                        break;
                    }
                    if head.incompat & INCOMPAT_ASYNC_COMMIT == 0 {
                        return Err(broken(open.sequence, &what));
                    }
                    unfinished = Some((open.sequence, what));
                } else {
                    last_time = time;
                    committed.writes.append(&mut open.writes);
                    for block in open.revokes.drain(..) {
                        committed.revoked.insert(block, open.sequence);
                    }
                    committed.next_sequence = open.sequence.wrapping_add(1);
                }
                open = Open::new(open.sequence.wrapping_add(1));
            }
            Kind::SuperblockV1 | Kind::SuperblockV2 => break,
        }
        left = left.saturating_sub(used);
        at = advance(head, at, used);
    }
    Ok(committed)
}

/// Takes a descriptor and the blocks that follow it; returns how many these are, or `None` if the log ends before they do.
fn descriptor(
    journal: &Journal,
    head: &Head,
    log: &mut Log<'_>,
    open: &mut Open,
    (at, b, left): (u32, &[u8], u32),
) -> Result<Option<u32>, Error> {
    let each = head.sums == Sums::Each;
    if each && !blocks::verify_tail(b, head.seed) {
        open.perhaps_stale = true;
        open.blame(|| "a descriptor's checksum is wrong".to_owned());
    }
    if head.sums == Sums::First {
        open.sum = crc32_be(open.sum, b);
    }
    let mut used = 1;
    for tag in blocks::tags(b, head.incompat) {
        if used >= left {
            return Ok(None);
        }
        let place = advance(head, at, used);
        used += 1;
        if tag.block >= journal.volume_blocks {
            open.blame(|| format!("it writes block {}", tag.block));
            continue;
        }
        if each && !tag.verify(log.block(place)?, open.sequence, head.seed, head.incompat) {
            open.blame(|| format!("the checksum of block {} is wrong", tag.block));
        }
        if head.sums == Sums::First {
            open.sum = crc32_be(open.sum, log.block(place)?);
        }
        open.writes.push(Write {
            to: tag.block,
            log: place,
            escaped: tag.escaped,
            sequence: open.sequence,
        });
    }
    Ok(Some(used))
}

fn commit_is_right(head: &Head, open: &Open, b: &[u8]) -> bool {
    match head.sums {
        Sums::None => true,
        Sums::First => blocks::verify_first(b, open.sum),
        Sums::Each => blocks::verify_commit(b, head.seed),
    }
}

/// Returns the block `n` blocks after `at`, for the log is a ring.
fn advance(head: &Head, at: u32, n: u32) -> u32 {
    let span = u64::from(head.end - head.first);
    let offset = (u64::from(at - head.first) + u64::from(n)) % span;
    head.first + u32::try_from(offset).expect("less than the log is long")
}

fn broken(sequence: u32, what: &str) -> Error {
    corrupt(format!("transaction {sequence}: {what}"))
}
