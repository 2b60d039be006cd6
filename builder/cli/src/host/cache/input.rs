//! Inputs: files whose name is their SHA-256.
//!
//! All of a file is hashed when it is downloaded, or first found. What each of its chunks hashes to is kept then, sealed, and
//! a file that is large is from then on verified chunk by chunk when it is read: a build that reads a part of its base need
//! not wait for all of it. What is kept: the file's length (u64, little-endian), and the SHA-256 of each chunk.

use super::checked::{CHUNK, Checked};
use super::{Cache, Sealed, open_if_there};
use crate::host::at;
use crate::host::file::FileAt;
use fstree::ReadAt;
use nodeimg::digest::Digest;
use nodeimg::error::Result;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Bytes from which on chunks are worth a file of their own; to hash less takes no time.
const LARGE: u64 = 16 << 20;

/// An input, open.
#[derive(Debug)]
pub(crate) enum Input {
    /// One that was hashed.
    Hashed(FileAt),
    /// One that is verified as it is read.
    ByChunks(Checked),
}

impl Input {
    /// Opens the input `digest` at a path, if it is there and whole; what is damaged is deleted.
    pub(super) fn open(cache: &Cache, digest: Digest, path: &Path) -> Result<Option<Arc<Self>>> {
        let Some(file) = open_if_there(path)? else {
            return Ok(None);
        };
        let kept = (file.size() >= LARGE)
            .then(|| kept(cache, digest))
            .flatten();
        let input = if let Some((len, chunks)) = kept {
            let whole = len == file.size();
            let input = whole.then(|| Checked::new(file, path, len, chunks, &cache.damage));
            input.flatten().map(|it| Arc::new(Self::ByChunks(it)))
        } else {
            Self::adopt(cache, digest, file, path)?.ok()
        };
        if input.is_none() {
            cache.discard(path)?;
        }
        Ok(input)
    }

    /// Hashes all of a file at `path`; returns the input that it is, or what it hashes to if that is not `digest`.
    pub(super) fn adopt(
        cache: &Cache,
        digest: Digest,
        file: FileAt,
        path: &Path,
    ) -> Result<std::result::Result<Arc<Self>, Digest>> {
        if file.size() < LARGE {
            let found = Digest::of_source(&file).map_err(at("read", path))?;
            return Ok((found == digest)
                .then(|| Arc::new(Self::Hashed(file)))
                .ok_or(found));
        }
        let (found, chunks) = Digest::of_parts(&file, CHUNK).map_err(at("read", path))?;
        if found != digest {
            return Ok(Err(found));
        }
        let mut bytes = file.size().to_le_bytes().to_vec();
        bytes.extend(chunks.iter().flat_map(Digest::as_bytes));
        // A cache that has no room for them has the input hashed again.
        let kept = cache.derive(&key(digest), &mut |out| {
            out.write_all_at(&bytes, 0).map(|()| bytes.len() as u64)
        });
        drop(kept);
        Ok(Ok(Arc::new(Self::Hashed(file))))
    }

    /// Returns whether something in it was found damaged.
    pub(super) fn is_broken(&self) -> bool {
        matches!(self, Self::ByChunks(file) if file.is_broken())
    }

    /// Returns whether the file may hold other bytes than when it was opened.
    pub(super) fn may_have_changed(&self) -> bool {
        match self {
            Self::Hashed(file) => file.may_have_changed(),
            Self::ByChunks(file) => file.may_have_changed(),
        }
    }
}

/// Returns an input's length and what its chunks hash to, if that was kept; what is damaged is deleted.
fn kept(cache: &Cache, digest: Digest) -> Option<(u64, Vec<[u8; 32]>)> {
    let key = key(digest);
    let path = cache.derived(&key);
    let file = open_if_there(&path).ok()??;
    // Nothing is made of it before all of it is read: damage to it spoils nothing.
    let read = Sealed::open(file, &path, &key, &Arc::default()).and_then(|sealed| {
        let mut bytes = vec![0; usize::try_from(sealed.size()).map_err(io::Error::other)?];
        sealed.read_exact_at(&mut bytes, 0).map(|()| bytes)
    });
    if read.is_err() {
        cache.discard(&path).ok();
    }
    let bytes = read.ok()?;
    let (len, chunks) = bytes.split_first_chunk::<8>()?;
    let (chunks, rest) = chunks.as_chunks::<32>();
    rest.is_empty()
        .then(|| (u64::from_le_bytes(*len), chunks.to_vec()))
}

fn key(digest: Digest) -> String {
    format!("{digest}.chunks")
}

impl ReadAt for Input {
    fn size(&self) -> u64 {
        match self {
            Self::Hashed(file) => file.size(),
            Self::ByChunks(file) => file.size(),
        }
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        match self {
            Self::Hashed(file) => file.read_exact_at(buf, offset),
            Self::ByChunks(file) => file.read_exact_at(buf, offset),
        }
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        match self {
            Self::Hashed(file) => file.next_data(offset),
            Self::ByChunks(file) => file.next_data(offset),
        }
    }
}
