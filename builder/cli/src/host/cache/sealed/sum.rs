//! A sum of content by position: what is written, in whatever order, is compared with what is sealed afterwards.
//!
//! Each 64-bit little-endian word counts times a factor of its own, modulo 2^64: additive, so that threads may write anywhere,
//! as long as no byte is written twice; zeros and holes count nothing. It finds what was cut or changed by accident, not by
//! intent.

use fstree::WriteAt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

const WORD: u64 = 8;

/// Passes writes on, and sums them.
pub(in super::super) struct Summed<'a> {
    out: &'a dyn WriteAt,
    sum: AtomicU64,
}

impl<'a> Summed<'a> {
    pub(in super::super) fn new(out: &'a dyn WriteAt) -> Self {
        Self {
            out,
            sum: AtomicU64::new(0),
        }
    }

    /// Returns the sum of all that was written.
    pub(in super::super) fn sum(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }
}

impl WriteAt for Summed<'_> {
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.sum.fetch_add(of(buf, offset), Ordering::Relaxed);
        self.out.write_all_at(buf, offset)
    }
}

/// Returns the sum of bytes that are at an offset.
pub(super) fn of(bytes: &[u8], offset: u64) -> u64 {
    let head = usize::try_from(offset.next_multiple_of(WORD) - offset).unwrap_or(0);
    let (head, rest) = bytes.split_at(head.min(bytes.len()));
    let (words, tail) = rest.as_chunks::<8>();
    let first = (offset + head.len() as u64) / WORD;
    let mut sum = single(head, offset);
    for (word, index) in words.iter().zip(first..) {
        sum = sum.wrapping_add(u64::from_le_bytes(*word).wrapping_mul(factor(index)));
    }
    sum.wrapping_add(single(tail, (first + words.len() as u64) * WORD))
}

fn single(bytes: &[u8], offset: u64) -> u64 {
    let of = |(byte, at): (&u8, u64)| {
        (u64::from(*byte) << (at % WORD * 8)).wrapping_mul(factor(at / WORD))
    };
    bytes
        .iter()
        .zip(offset..)
        .map(of)
        .fold(0, u64::wrapping_add)
}

/// An odd number that looks random, another for each index (the finalizer of SplitMix64).
fn factor(index: u64) -> u64 {
    let mut it = index.wrapping_add(0x9e37_79b9_7f4a_7c15);
    it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (it ^ (it >> 31)) | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(len: usize) -> Vec<u8> {
        (0..len)
            .map(|it| u8::try_from(it * 7 % 251).unwrap())
            .collect()
    }

    #[test]
    fn parts_in_any_order_have_the_sum_of_the_whole() {
        let all = bytes(1000);
        for (a, b) in [(1, 2), (3, 500), (8, 16), (13, 999), (0, 1000)] {
            let parts = [(&all[b..], b), (&all[..a], 0), (&all[a..b], a)];
            for base in [0, 5, 1 << 40] {
                let sum = parts.iter().map(|(it, at)| of(it, base + *at as u64));
                assert_eq!(
                    sum.fold(0, u64::wrapping_add),
                    of(&all, base),
                    "{a} {b} {base}"
                );
            }
        }
    }

    #[test]
    fn zeros_count_nothing_and_every_change_does() {
        assert_eq!(of(&[0; 100], 3), 0);
        let all = bytes(100);
        for at in 0..100 {
            let mut changed = all.clone();
            changed[at] ^= 1;
            assert_ne!(of(&changed, 3), of(&all, 3));
            assert_ne!(of(&all[..at], 3), of(&all, 3));
        }
        assert_ne!(of(&all, 3), of(&all, 11));
    }
}
