//! Fast commits: what stands after the log and says, since the last whole transaction, what changed of inodes and names.
//!
//! Kernel documentation, "Fast Commits". A commit is a row of tags that ends in one with a checksum; those up to the last
//! right end count, and a torso after them does not. Little-endian, unlike the rest of the journal.

use super::Head;
use super::blocks::Log;
use crate::checksum::crc32c;
use crate::error::Error;
use crate::extent::EXTENT_MAX;
use crate::le::{index, u16_at, u32_at};

/// A tag's kind and length.
const TAG: usize = 4;

/// One thing that a fast commit says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Change {
    /// Blocks of a file stand there now; those without a place were never written.
    Map {
        /// The file.
        ino: u32,
        /// First block in the file, and how many.
        logical: u32,
        len: u32,
        /// First block in the volume.
        physical: Option<u64>,
    },
    /// A directory has a name.
    Name {
        /// The directory.
        parent: u32,
        /// What is called so.
        ino: u32,
        name: Vec<u8>,
        /// Whether it was made with this name.
        made: bool,
    },
    /// A directory has a name no more.
    NoName {
        /// The directory.
        parent: u32,
        /// What was called so.
        ino: u32,
        name: Vec<u8>,
    },
    /// An inode is so, its map excepted.
    Inode {
        /// Which.
        ino: u32,
        /// As it stands in a table, but perhaps shorter.
        bytes: Vec<u8>,
    },
}

/// Returns what the fast commits say that follow the log's last transaction.
pub(super) fn changes(head: &Head, sequence: u32, log: &mut Log<'_>) -> Result<Vec<Change>, Error> {
    let mut all = Vec::new();
    let mut open = Vec::new();
    let mut sum = 0;
    // The kernel leaves one block free between the log and them.
    let first = head.end.saturating_add(1);
    for n in first..head.len {
        let b = log.block(n)?;
        let mut at = 0;
        if n == first && u16_at(b, 0) != 9 {
            return Ok(all);
        }
        while at + TAG <= b.len() {
            let (tag, len) = (u16_at(b, at), index(u16_at(b, at + 2)));
            let Some(value) = b.get(at + TAG..at + TAG + len) else {
                return Ok(all);
            };
            let whole = &b[at..at + TAG + len];
            match tag {
                // The end: its transaction, and the checksum of all before that word.
                8 => {
                    sum = crc32c(sum, whole.get(..TAG + 4).unwrap_or_default());
                    if len < 8 || u32_at(value, 0) != sequence || u32_at(value, 4) != sum {
                        return Ok(all);
                    }
                    all.append(&mut open);
                    sum = 0;
                }
                // The start: features and transaction.
                9 if len >= 8 => {
                    if u32_at(value, 0) != 0 {
                        let features = u32_at(value, 0);
                        return Err(Error::Unsupported(format!(
                            "fast commits with features {features:#x}"
                        )));
                    }
                    if u32_at(value, 4) != sequence {
                        return Ok(all);
                    }
                    sum = crc32c(sum, whole);
                }
                // Filling up to the block's end.
                7 => sum = crc32c(sum, whole),
                _ => {
                    let Some(change) = change(tag, value) else {
                        return Ok(all);
                    };
                    open.push(change);
                    sum = crc32c(sum, whole);
                }
            }
            at += TAG + len;
        }
    }
    Ok(all)
}

fn change(tag: u16, value: &[u8]) -> Option<Change> {
    let word = |n: usize| u32_at(value, 4 * n);
    let name = || value.get(8..).filter(|it| !it.is_empty());
    let map = |len, physical| Change::Map {
        ino: word(0),
        logical: word(1),
        len,
        physical,
    };
    Some(match tag {
        1 if value.len() >= 16 => {
            let raw = u32::from(u16_at(value, 8));
            let place = u64::from(u32_at(value, 12)) | u64::from(u16_at(value, 10)) << 32;
            if raw <= EXTENT_MAX {
                map(raw, Some(place))
            } else {
                map(raw - EXTENT_MAX, None)
            }
        }
        2 if value.len() >= 12 => map(word(2), None),
        3 | 4 => Change::Name {
            parent: word(0),
            ino: word(1),
            name: name()?.to_vec(),
            made: tag == 3,
        },
        5 => Change::NoName {
            parent: word(0),
            ino: word(1),
            name: name()?.to_vec(),
        },
        6 if value.len() >= 4 + crate::inode::FIXED => Change::Inode {
            ino: word(0),
            bytes: value[4..].to_vec(),
        },
        _ => return None,
    })
}
