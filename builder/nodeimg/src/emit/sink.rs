//! Where artifacts go, and the digests taken on the way there.

use crate::digest::Digest;
use crate::error::Result;
use fstree::{ReadAt, WriteAt};
use sha2::{Digest as _, Sha256};
use std::io;

/// A place for artifacts: the host's folder, or a test's memory.
pub trait Sink {
    /// Begins a file, which has its name only once it is finished; one that is dropped before leaves nothing.
    fn create(&self, name: &str) -> Result<Box<dyn Draft>>;
}

/// A file while it is written. Reads back what was written.
pub trait Draft: WriteAt + ReadAt {
    /// Sets the file's size in bytes.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Gives the file its name, whole and on disk.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// A draft written from its beginning to its end, hashed on the way.
pub struct Stream<'a> {
    draft: &'a dyn Draft,
    buffer: Vec<u8>,
    at: u64,
    hash: Sha256,
}

/// So much is written at once: grains are small, and every write is a call of the kernel.
const BUFFER: usize = 1 << 20;

impl<'a> Stream<'a> {
    /// Returns a stream at the beginning of the draft.
    pub fn new(draft: &'a dyn Draft) -> Self {
        Self {
            draft,
            buffer: Vec::with_capacity(2 * BUFFER),
            at: 0,
            hash: Sha256::new(),
        }
    }

    /// Writes what is left; returns the file's size and digest.
    pub fn finish(mut self) -> io::Result<(u64, Digest)> {
        self.drain()?;
        self.draft.set_len(self.at)?;
        Ok((self.at, Digest::from_bytes(self.hash.finalize().into())))
    }

    fn drain(&mut self) -> io::Result<()> {
        self.draft.write_all_at(&self.buffer, self.at)?;
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl io::Write for Stream<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.hash.update(buf);
        self.buffer.extend_from_slice(buf);
        if self.buffer.len() >= BUFFER {
            self.drain()?;
        }
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.drain()
    }
}

impl std::fmt::Debug for Stream<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stream(at {})", self.at + self.buffer.len() as u64)
    }
}

/// Digests of a disk that is shown piece by piece without its holes: of each range of data, and of all with the holes.
pub(super) struct RawHashes {
    whole: Sha256,
    range: Sha256,
    ranges: Vec<Digest>,
    at: u64,
    shown: bool,
}

impl RawHashes {
    pub(super) fn new() -> Self {
        Self {
            whole: Sha256::new(),
            range: Sha256::new(),
            ranges: Vec::new(),
            at: 0,
            shown: false,
        }
    }

    /// Takes the next piece; one that does not touch the last begins a range.
    pub(super) fn piece(&mut self, offset: u64, bytes: &[u8]) {
        if offset != self.at {
            self.end_range();
            self.zeros(offset);
        }
        self.shown = true;
        self.whole.update(bytes);
        self.range.update(bytes);
        self.at = offset + bytes.len() as u64;
    }

    /// Returns the digests of the ranges and of all `size` bytes.
    pub(super) fn finish(mut self, size: u64) -> (Vec<Digest>, Digest) {
        self.end_range();
        self.zeros(size);
        (
            self.ranges,
            Digest::from_bytes(self.whole.finalize().into()),
        )
    }

    fn end_range(&mut self) {
        let range = std::mem::replace(&mut self.range, Sha256::new());
        // Nothing was shown yet where the disk begins with a hole.
        if self.shown {
            self.ranges
                .push(Digest::from_bytes(range.finalize().into()));
        }
    }

    fn zeros(&mut self, to: u64) {
        static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
        while self.at < to {
            let n = usize::try_from((to - self.at).min(1 << 16)).expect("at most 64 KiB");
            self.whole.update(&ZEROS[..n]);
            self.at += n as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_count_in_the_whole_and_not_in_ranges() {
        let mut hashes = RawHashes::new();
        hashes.piece(4, b"ab");
        hashes.piece(6, b"c");
        hashes.piece(9, b"d");
        let (ranges, whole) = hashes.finish(11);
        assert_eq!(whole, Digest::of(b"\0\0\0\0abc\0\0d\0"));
        assert_eq!(ranges, [Digest::of(b"abc"), Digest::of(b"d")]);
        let mut hashes = RawHashes::new();
        hashes.piece(0, b"a");
        assert_eq!(hashes.finish(1), (vec![Digest::of(b"a")], Digest::of(b"a")));
    }
}
