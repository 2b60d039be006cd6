//! Where artifacts go, and the digests taken on the way there.

use super::Hashing;
use super::hashed::Hashed;
use crate::digest::Digest;
use crate::error::Result;
use crate::want::Memory;
use disk::Append;
use fstree::{ReadAt, WriteAt};
use sha2::{Digest as _, Sha256};
use std::io;

/// A place for artifacts: the host's folder, or a test's memory.
pub trait Sink {
    /// A file that has no name yet.
    type Draft: Draft;

    /// Begins a file, which has its name only once it is finished; one that is dropped before leaves nothing.
    fn create(&self, name: &str) -> Result<Self::Draft>;

    /// Gives files their names, whole and on disk. The first is an artifact and the others describe it: at no time may
    /// one of these stand beside an artifact that it is not of. `stale` names what described an older artifact and has no
    /// successor: it goes.
    fn finish(&self, drafts: Vec<Self::Draft>, stale: &[String]) -> Result<()>;

    /// Returns what is remembered of artifacts that were written before, if anything ever is.
    fn memory(&self) -> Option<&dyn Memory> {
        None
    }
}

/// A file while it is written. Reads back what was written.
pub trait Draft: WriteAt + ReadAt {
    /// Sets the file's size in bytes.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Tells that the file will not be read back: what is written may be on its way to the disk while the rest is made. Where
    /// a digest is taken afterwards, that is the better time.
    fn only_written(&self) {}
}

/// A draft written from its beginning to its end, hashed on the way.
pub struct Stream<'a> {
    draft: &'a dyn Draft,
    hashed: Hashed<'a>,
}

impl<'a> Stream<'a> {
    /// Returns a stream at the beginning of the draft.
    pub fn new(draft: &'a dyn Draft) -> Self {
        Self {
            draft,
            hashed: Hashed::new(draft, 0),
        }
    }

    /// Writes what is left; returns the file's size and digest.
    pub fn finish(self) -> io::Result<(u64, Digest)> {
        let (size, digest) = self.hashed.finish()?;
        self.draft.set_len(size)?;
        Ok((size, digest))
    }
}

impl Append for Stream<'_> {
    fn append(&mut self, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        self.hashed.append(bytes)
    }
}

impl std::fmt::Debug for Stream<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stream(at {})", self.hashed.end())
    }
}

/// Digests of a disk that is shown piece by piece without its holes: of each range of data, and of all with the holes
/// if that is wanted.
pub(super) struct RawHashes {
    whole: Option<Sha256>,
    range: Sha256,
    ranges: Vec<Digest>,
    at: u64,
    shown: bool,
}

impl RawHashes {
    pub(super) fn new(hashing: Hashing) -> Self {
        Self {
            whole: (hashing == Hashing::Whole).then(Sha256::new),
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
        for hash in self.whole.iter_mut().chain([&mut self.range]) {
            hash.update(bytes);
        }
        self.at = offset + bytes.len() as u64;
    }

    /// Returns the digests of the ranges, and of all `size` bytes if that was wanted.
    pub(super) fn finish(mut self, size: u64) -> (Vec<Digest>, Option<Digest>) {
        self.end_range();
        self.zeros(size);
        (
            self.ranges,
            self.whole
                .map(|it| Digest::from_bytes(it.finalize().into())),
        )
    }

    fn end_range(&mut self) {
        let range = std::mem::take(&mut self.range);
        // Nothing was shown yet where the disk begins with a hole.
        if self.shown {
            self.ranges
                .push(Digest::from_bytes(range.finalize().into()));
        }
    }

    fn zeros(&mut self, to: u64) {
        static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
        let Some(whole) = &mut self.whole else {
            return;
        };
        while self.at < to {
            let n = usize::try_from((to - self.at).min(1 << 16)).expect("at most 64 KiB");
            whole.update(&ZEROS[..n]);
            self.at += n as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_count_in_the_whole_and_not_in_ranges() {
        let all = Digest::of(b"\0\0\0\0abc\0\0d\0");
        let parts = vec![Digest::of(b"abc"), Digest::of(b"d")];
        for (hashing, expected) in [
            (Hashing::Data, (parts.clone(), None)),
            (Hashing::Whole, (parts, Some(all))),
        ] {
            let mut hashes = RawHashes::new(hashing);
            hashes.piece(4, b"ab");
            hashes.piece(6, b"c");
            hashes.piece(9, b"d");
            assert_eq!(hashes.finish(11), expected, "{hashing:?}");
        }
        let mut hashes = RawHashes::new(Hashing::Whole);
        hashes.piece(0, b"a");
        let a = Digest::of(b"a");
        assert_eq!(hashes.finish(1), (vec![a], Some(a)));
    }
}
