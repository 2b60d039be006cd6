//! Bytes written one after the other to a place, and their SHA-256, which a thread of its own takes.
//!
//! One thread that did both would be the slowest of a build whose grains are remembered: all it does is hand bytes on.

use crate::digest::{Digest, Hasher};
use disk::Append;
use fstree::WriteAt;
use std::io;

/// Pieces that are smaller are written together: every write is a call of the kernel.
const SMALL: usize = 64 << 10;
/// So much of them is written at once.
const BUFFER: usize = 1 << 20;

/// A place that is written from some offset on.
pub(super) struct Hashed<'a> {
    out: &'a dyn WriteAt,
    at: u64,
    /// Small pieces that are not written yet.
    buffer: Vec<u8>,
    hasher: Hasher,
}

impl<'a> Hashed<'a> {
    /// Begins at the offset `at` of `out`.
    pub(super) fn new(out: &'a dyn WriteAt, at: u64) -> Self {
        Self {
            out,
            at,
            buffer: Vec::new(),
            hasher: Hasher::start(),
        }
    }

    /// Returns the offset that the next byte will have.
    pub(super) fn end(&self) -> u64 {
        self.at + self.buffer.len() as u64
    }

    /// Writes what is left; returns the offset behind it, and the digest of all that was written.
    pub(super) fn finish(mut self) -> io::Result<(u64, Digest)> {
        self.drain()?;
        Ok((self.at, self.hasher.finish()?))
    }

    fn drain(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let buffer = std::mem::take(&mut self.buffer);
        self.buffer = self.put(buffer)?;
        self.buffer.clear();
        Ok(())
    }

    fn put(&mut self, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        self.out.write_all_at(&bytes, self.at)?;
        self.at += bytes.len() as u64;
        self.hasher.take(bytes)
    }
}

impl Append for Hashed<'_> {
    fn append(&mut self, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        if bytes.len() >= SMALL {
            self.drain()?;
            return self.put(bytes);
        }
        self.buffer.extend_from_slice(&bytes);
        if self.buffer.len() >= BUFFER {
            self.drain()?;
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Memory;
    use super::*;

    #[test]
    fn pieces_of_any_size_are_written_and_hashed_in_order() {
        let all: Vec<u8> = (0..9_000_000u32)
            .map(|it| (it / 7).to_le_bytes()[0])
            .collect();
        let memory = Memory::new(all.len() + 5);
        let mut out = Hashed::new(&memory, 5);
        let (mut rest, mut size) = (&all[..], 1);
        while !rest.is_empty() {
            let (now, later) = rest.split_at(size.min(rest.len()));
            out.append(now.to_vec()).unwrap();
            // Small ones, then large ones among them.
            (rest, size) = (later, if size > 300_000 { 7 } else { size * 3 });
        }
        assert_eq!(out.end(), all.len() as u64 + 5);
        let (end, digest) = out.finish().unwrap();
        assert_eq!((end, digest), (all.len() as u64 + 5, Digest::of(&all)));
        assert!(memory.into_bytes()[5..] == all);
    }

    #[test]
    fn nothing_has_the_digest_of_nothing_and_a_full_place_is_an_error() {
        let memory = Memory::new(0);
        let out = Hashed::new(&memory, 0);
        assert_eq!(out.finish().unwrap(), (0, Digest::of(b"")));
        let mut out = Hashed::new(&memory, 0);
        out.append(b"a".to_vec()).unwrap();
        assert!(out.finish().is_err());
    }
}
