//! A journal on an ext4 volume that is whole: its blocks' checksums are set right, as a fuzzer cannot.

use super::volumes::read;
use crate::seeds::volumes::{BLOCK, JOURNAL_BYTES, journalled};
use std::sync::{Arc, OnceLock};

const MAGIC: [u8; 4] = [0xc0, 0x3b, 0x39, 0x98];
/// Features of the journal: wide block numbers, checksums of the second and third version, fast commits.
const WIDE: u32 = 2;
const SECOND: u32 = 8;
const THIRD: u32 = 0x10;
const FAST: u32 = 0x20;

/// Reads an ext4 volume that is whole but for its journal, which begins with `data`.
pub fn journal(data: &[u8]) {
    if let Ok((tree, _)) = ext4::read(Arc::new(volume(data))) {
        read(&tree);
    }
}

/// Returns a volume whose journal begins so, sealed.
fn volume(data: &[u8]) -> Vec<u8> {
    static VOLUME: OnceLock<(Vec<u8>, usize)> = OnceLock::new();
    let (volume, at) = VOLUME.get_or_init(journalled);
    let len = data.len().min(JOURNAL_BYTES);
    let mut volume = volume.clone();
    volume[*at..*at + len].copy_from_slice(&data[..len]);
    seal(&mut volume[*at..*at + JOURNAL_BYTES]);
    volume
}

/// Returns the checksum of more bytes, as the kernel counts it.
pub(crate) fn crc32c(seed: u32, data: &[u8]) -> u32 {
    !crc32c::crc32c_append(!seed, data)
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn put(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
}

/// Sets all checksums of a journal right, as far as its blocks tell what they are.
fn seal(journal: &mut [u8]) {
    let features = be32(journal, 0x28);
    if features & (SECOND | THIRD) != 0 {
        journal[0x50] = 4;
        put(journal, 0xfc, 0);
        let sum = crc32c(!0, &journal[..1024]);
        put(journal, 0xfc, sum);
        let seed = crc32c(!0, &journal[0x30..0x40]);
        seal_log(&mut journal[BLOCK..], features, seed);
    }
    if features & FAST != 0 {
        let (len, fast) = (be32(journal, 0x10), be32(journal, 0x54));
        let first = usize::try_from(len.saturating_sub(fast)).map_or(0, |it| it + 1);
        let place = first.saturating_mul(BLOCK).min(journal.len());
        seal_fast(&mut journal[place..]);
    }
}

/// Seals what stands in a log, which is taken to begin at its front.
fn seal_log(log: &mut [u8], features: u32, seed: u32) {
    let mut rest = log;
    while let Some((block, after)) = rest.split_at_mut_checked(BLOCK) {
        let mut used = 0;
        match (block.starts_with(&MAGIC), be32(block, 4)) {
            (true, 1) => {
                used = seal_tags(block, after, features, seed) * BLOCK;
                seal_tail(block, seed);
            }
            (true, 2) => {
                put(block, 0x10, 0);
                let sum = crc32c(seed, block);
                put(block, 0x10, sum);
            }
            (true, 5) => seal_tail(block, seed),
            _ => {}
        }
        rest = &mut after[used..];
    }
}

fn seal_tail(block: &mut [u8], seed: u32) {
    put(block, BLOCK - 4, 0);
    let sum = crc32c(seed, block);
    put(block, BLOCK - 4, sum);
}

/// Writes the checksums of the blocks that follow a descriptor into its tags, and returns how many these are.
fn seal_tags(block: &mut [u8], after: &[u8], features: u32, seed: u32) -> usize {
    let third = features & THIRD != 0;
    let len = match (third, features & WIDE != 0) {
        (true, _) => 16,
        (false, true) => 14,
        (false, false) => 10,
    };
    let seed = crc32c(seed, &block[8..12]);
    let (mut at, mut n) = (12, 0);
    while at + len <= BLOCK - 4
        && let Some(logged) = after.get(n * BLOCK..(n + 1) * BLOCK)
    {
        let sum = crc32c(seed, logged);
        if third {
            put(block, at + 12, sum);
        } else {
            let [.., high, low] = sum.to_be_bytes();
            block[at + 4..at + 6].copy_from_slice(&[high, low]);
        }
        let flags = block[at + 7];
        at += len + if flags & 2 == 0 { 16 } else { 0 };
        n += 1;
        if flags & 8 != 0 {
            break;
        }
    }
    n
}

/// Sets the checksum of each end of a fast commit.
fn seal_fast(area: &mut [u8]) {
    let mut sum = 0;
    for block in area.chunks_exact_mut(BLOCK) {
        let mut at = 0;
        while at + 4 <= BLOCK {
            let half = |at: usize| u16::from_le_bytes([block[at], block[at + 1]]);
            let (tag, end) = (half(at), at + 4 + usize::from(half(at + 2)));
            if end > BLOCK || (tag == 0 && end == at + 4) {
                break;
            }
            if tag == 8 && end >= at + 12 {
                sum = crc32c(sum, &block[at..at + 8]);
                block[at + 8..at + 12].copy_from_slice(&sum.to_le_bytes());
                sum = 0;
            } else {
                sum = crc32c(sum, &block[at..end]);
            }
            at = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fstree::ImgPath;

    #[test]
    fn every_seed_is_replayed() {
        let made = ImgPath::new("/made").unwrap();
        for seed in crate::seeds::volumes::journal() {
            let features = be32(&seed, 0x28);
            let sealed = volume(&seed);
            let (tree, _) = ext4::read(Arc::new(sealed)).unwrap();
            assert_eq!(
                tree.get(&made).is_some(),
                features & FAST != 0,
                "{features:#x}"
            );
        }
    }
}
