//! Bytes written one after the other to a place, and their SHA-256, which a thread of its own takes.
//!
//! One thread that did both would be the slowest of a build whose grains are remembered: all it does is hand bytes on.
//! What is written goes to the hasher and comes back empty, so a few buffers are all the memory there is to it.

use crate::digest::Digest;
use fstree::WriteAt;
use sha2::{Digest as _, Sha256};
use std::io;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread::{self, JoinHandle};

/// So much is written at once: grains are small, and every write is a call of the kernel.
const BUFFER: usize = 1 << 20;
/// Buffers that wait for the hasher: more would hide no more.
const WAITING: usize = 2;

/// A place that is written from some offset on.
pub(super) struct Hashed<'a> {
    out: &'a dyn WriteAt,
    at: u64,
    buffer: Vec<u8>,
    hasher: Hasher,
}

impl<'a> Hashed<'a> {
    /// Begins at the offset `at` of `out`.
    pub(super) fn new(out: &'a dyn WriteAt, at: u64) -> Self {
        Self {
            out,
            at,
            buffer: empty(),
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
        self.out.write_all_at(&self.buffer, self.at)?;
        self.at += self.buffer.len() as u64;
        self.buffer = self.hasher.take(std::mem::take(&mut self.buffer))?;
        Ok(())
    }
}

impl io::Write for Hashed<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
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

/// The thread that hashes. It ends when its line is dropped, finished or not.
struct Hasher {
    full: SyncSender<Vec<u8>>,
    emptied: Receiver<Vec<u8>>,
    thread: JoinHandle<Digest>,
}

impl Hasher {
    fn start() -> Self {
        let (full, todo) = mpsc::sync_channel(WAITING);
        let (done, emptied) = mpsc::channel();
        let thread = thread::spawn(move || hash(&todo, &done));
        Self {
            full,
            emptied,
            thread,
        }
    }

    /// Hands over the next bytes, and returns an empty buffer.
    fn take(&self, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        self.full.send(bytes).map_err(|_| ended())?;
        Ok(self.emptied.try_recv().unwrap_or_else(|_| empty()))
    }

    fn finish(self) -> io::Result<Digest> {
        drop(self.full);
        self.thread.join().map_err(|_| ended())
    }
}

fn hash(todo: &Receiver<Vec<u8>>, done: &Sender<Vec<u8>>) -> Digest {
    let mut hash = Sha256::new();
    for mut bytes in todo {
        hash.update(&bytes);
        bytes.clear();
        // Nobody needs it any more after the last bytes.
        done.send(bytes).ok();
    }
    Digest::from_bytes(hash.finalize().into())
}

/// Returns a buffer with room for what is written at once and for what one write may add.
fn empty() -> Vec<u8> {
    Vec::with_capacity(2 * BUFFER)
}

/// The thread panicked, which only a broken promise of SHA-256's library could make it do.
fn ended() -> io::Error {
    io::Error::other("the thread that takes the digest ended")
}

#[cfg(test)]
mod tests {
    use super::super::tests::Memory;
    use super::*;
    use std::io::Write as _;

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
            out.write_all(now).unwrap();
            (rest, size) = (later, size * 3);
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
        out.write_all(b"a").unwrap();
        assert!(out.finish().is_err());
    }
}
