//! SHA-256 taken by a thread of its own, while another reads or writes the bytes.
//!
//! Buffers go there and back, so a few of them are all the memory there is to it.

use super::Digest;
use sha2::{Digest as _, Sha256};
use std::io;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread::{self, JoinHandle};

/// Buffers that wait for the hasher: more would hide no more.
const WAITING: usize = 2;

/// The thread that hashes. It ends when its line is dropped, finished or not.
pub(crate) struct Hasher {
    full: SyncSender<Vec<u8>>,
    hashed: Receiver<Vec<u8>>,
    thread: JoinHandle<Digest>,
}

impl Hasher {
    /// Starts a thread that has hashed nothing yet.
    pub(crate) fn start() -> Self {
        let (full, todo) = mpsc::sync_channel(WAITING);
        let (done, hashed) = mpsc::channel();
        let thread = thread::spawn(move || hash(&todo, &done));
        Self {
            full,
            hashed,
            thread,
        }
    }

    /// Hands over the next bytes, and returns a buffer to be filled: an earlier one as it was, or a new one.
    pub(crate) fn take(&self, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        self.full.send(bytes).map_err(|_| ended())?;
        Ok(self.hashed.try_recv().unwrap_or_default())
    }

    /// Returns the digest of all that was handed over.
    pub(crate) fn finish(self) -> io::Result<Digest> {
        drop(self.full);
        self.thread.join().map_err(|_| ended())
    }
}

fn hash(todo: &Receiver<Vec<u8>>, done: &Sender<Vec<u8>>) -> Digest {
    let mut hash = Sha256::new();
    for bytes in todo {
        hash.update(&bytes);
        // Nobody needs it any more after the last bytes.
        done.send(bytes).ok();
    }
    Digest::from_bytes(hash.finalize().into())
}

/// The thread panicked, which only a broken promise of SHA-256's library could make it do.
fn ended() -> io::Error {
    io::Error::other("the thread that takes the digest ended")
}
