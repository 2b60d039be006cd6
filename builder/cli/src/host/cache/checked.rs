//! Files of which each chunk is verified when it is first touched.
//!
//! Reading what has not been looked at yet costs hashing the chunks around it; what nobody reads costs nothing. A file that
//! changes after that is found by [`Checked::may_have_changed`], at the latest when it is let go.

use super::Damage;
use crate::host::file::FileAt;
use fstree::ReadAt;
use sha2::{Digest as _, Sha256};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes of a chunk: tables and directories are small and lie apart, and each costs hashing the chunks it is in.
pub(super) const CHUNK: usize = 64 << 10;
/// The digest of a chunk without data, which is not read.
pub(super) const NO_DATA: [u8; 32] = [0; 32];

/// A file, and the SHA-256 of each chunk of its content; the last chunk may be short.
#[derive(Debug)]
pub(crate) struct Checked {
    file: FileAt,
    path: PathBuf,
    len: u64,
    digests: Vec<[u8; 32]>,
    verified: Vec<AtomicBool>,
    /// Whether a chunk was not as it should be.
    broken: AtomicBool,
    damage: Arc<Damage>,
}

impl Checked {
    /// Returns a file whose first `len` bytes are to be as `digests` say; `None` if these are not of so many bytes.
    pub(super) fn new(
        file: FileAt,
        path: &Path,
        len: u64,
        digests: Vec<[u8; 32]>,
        damage: &Arc<Damage>,
    ) -> Option<Self> {
        let whole = len <= file.size() && digests.len() as u64 == len.div_ceil(CHUNK as u64);
        let verified = digests.iter().map(|_| AtomicBool::new(false)).collect();
        whole.then(|| Self {
            file,
            path: path.to_owned(),
            len,
            digests,
            verified,
            broken: AtomicBool::new(false),
            damage: damage.clone(),
        })
    }

    /// Returns where the file is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether something in it was found damaged.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Returns whether the file may hold other bytes than when it was opened.
    pub(super) fn may_have_changed(&self) -> bool {
        self.file.may_have_changed()
    }

    /// Looks at every chunk, whether it was verified or not; a file that is damaged, or cut, is deleted.
    pub(super) fn verify(&self) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK];
        let all = (0..self.digests.len()).try_for_each(|index| {
            let len = self.bytes_of(index)?;
            self.read_chunk(index, &mut chunk[..len])
        });
        all.map_err(|_| {
            self.broken.store(true, Ordering::Relaxed);
            self.damage.in_use(&self.path)
        })
    }

    /// Returns how many bytes a chunk has.
    fn bytes_of(&self, index: usize) -> io::Result<usize> {
        let left = self.len.saturating_sub(index as u64 * CHUNK as u64);
        usize::try_from(left.min(CHUNK as u64)).map_err(io::Error::other)
    }

    /// Fills `out` with a whole chunk, verified.
    fn read_chunk(&self, index: usize, out: &mut [u8]) -> io::Result<()> {
        if self.digests[index] == NO_DATA {
            out.fill(0);
        } else {
            self.file.read_exact_at(out, index as u64 * CHUNK as u64)?;
            if Sha256::digest(&out).as_slice() != self.digests[index] {
                self.broken.store(true, Ordering::Relaxed);
                return Err(self.damage.in_use(&self.path));
            }
        }
        self.verified[index].store(true, Ordering::Release);
        Ok(())
    }

    /// Returns the end of the chunks from `index` on, and before `end`, that can be read as they are.
    fn verified_to(&self, index: usize, end: usize) -> usize {
        (index..end)
            .find(|it| self.digests[*it] == NO_DATA || !self.verified[*it].load(Ordering::Acquire))
            .unwrap_or(end)
    }
}

impl Drop for Checked {
    /// A file that changed was in use, however early it is let go: what was read of it a second time was not verified.
    fn drop(&mut self) {
        if !self.is_broken() && self.may_have_changed() {
            self.verify().ok();
        }
    }
}

impl ReadAt for Checked {
    fn size(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64);
        let Some(end) = end.filter(|it| *it <= self.len) else {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "read past the end",
            ));
        };
        let mut aside = Vec::new();
        while !buf.is_empty() {
            let index = usize::try_from(offset / CHUNK as u64).map_err(io::Error::other)?;
            let from = usize::try_from(offset % CHUNK as u64).map_err(io::Error::other)?;
            let chunks = usize::try_from(end.div_ceil(CHUNK as u64)).map_err(io::Error::other)?;
            let known = self.verified_to(index, chunks);
            let whole = self.bytes_of(index)?;
            let len = if known > index {
                ((known - index) * CHUNK - from).min(buf.len())
            } else {
                (whole - from).min(buf.len())
            };
            let (part, rest) = buf.split_at_mut(len);
            if known > index {
                self.file.read_exact_at(part, offset)?;
            } else if len == whole {
                self.read_chunk(index, part)?;
            } else {
                aside.resize(whole, 0);
                self.read_chunk(index, &mut aside)?;
                part.copy_from_slice(&aside[from..from + len]);
            }
            buf = rest;
            offset += len as u64;
        }
        Ok(())
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        let data = self.file.next_data(offset)?;
        let data = data.filter(|it| it.start < self.len);
        Ok(data.map(|it| it.start..it.end.min(self.len)))
    }
}
