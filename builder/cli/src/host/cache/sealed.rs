//! Sealed files: content that is verified chunk by chunk when it is first touched.
//!
//! Layout, all integers little-endian: the content (holes where it is zero), then the seal: 16 bytes of magic; length of
//! the content (u64); length of the key (u64) and the key; count of data runs (u64) and each run's start and end (u64);
//! SHA-256 of each chunk of 1 MiB, the last one short, or 32 zero bytes for a chunk with no data. The file ends with the
//! seal's length (u64) and its SHA-256. Guards against rot and half files, not against those who can write the cache.

mod sum;
mod writing;

use super::Damage;
use crate::host::file::FileAt;
use fstree::ReadAt;
use sha2::{Digest as _, Sha256};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(super) use sum::Summed;
pub(super) use writing::seal;

const MAGIC: &[u8; 16] = b"nodeimg sealed 1";
const CHUNK: u64 = 1 << 20;
const FOOTER: usize = 8 + 32;
const NO_DATA: [u8; 32] = [0; 32];

/// A sealed file, open. Its seal is verified; its content is, chunk by chunk, when it is read.
#[derive(Debug)]
pub(crate) struct Sealed {
    file: FileAt,
    path: PathBuf,
    len: u64,
    /// Where bytes other than zero may be, in order.
    runs: Vec<Range<u64>>,
    digests: Vec<[u8; 32]>,
    verified: Vec<AtomicBool>,
    damage: Arc<Damage>,
}

impl Sealed {
    /// Opens a sealed file; [`io::ErrorKind::InvalidData`] says that its seal is broken or of another key.
    pub(super) fn open(
        file: FileAt,
        path: &Path,
        key: &str,
        damage: &Arc<Damage>,
    ) -> io::Result<Self> {
        let seal_end = file.size().checked_sub(FOOTER as u64).ok_or_else(broken)?;
        let mut footer = [0; FOOTER];
        file.read_exact_at(&mut footer, seal_end)?;
        let (seal_len, digest) = footer.split_at(8);
        let seal_len = u64::from_le_bytes(seal_len.try_into().map_err(|_| broken())?);
        let start = seal_end.checked_sub(seal_len).ok_or_else(broken)?;
        let mut seal = Vec::new();
        let size = usize::try_from(seal_len).map_err(|_| broken())?;
        seal.try_reserve_exact(size)?;
        seal.resize(size, 0);
        file.read_exact_at(&mut seal, start)?;
        if Sha256::digest(&seal).as_slice() != digest {
            return Err(broken());
        }
        let (runs, digests) = parse(&seal, start, key).ok_or_else(broken)?;
        let verified = digests.iter().map(|_| AtomicBool::new(false)).collect();
        Ok(Self {
            file,
            path: path.to_owned(),
            len: start,
            runs,
            digests,
            verified,
            damage: damage.clone(),
        })
    }

    /// Looks at all of the content again, if somebody may have changed the file since it was opened.
    pub(super) fn check_again(&self) -> io::Result<()> {
        if !self.file.may_have_changed() {
            return Ok(());
        }
        let all = (0..self.digests.len()).try_for_each(|it| self.chunk(it).map(drop));
        all.map_err(|_| self.damage.in_use(&self.path))
    }

    /// Returns where the file is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the chunk at an index, verified.
    fn chunk(&self, index: usize) -> io::Result<Vec<u8>> {
        let start = index as u64 * CHUNK;
        let mut chunk = vec![0; size_of_chunk(start, self.len)];
        if self.digests[index] != NO_DATA {
            self.file.read_exact_at(&mut chunk, start)?;
            if Sha256::digest(&chunk).as_slice() != self.digests[index] {
                return Err(self.damage.in_use(&self.path));
            }
        }
        self.verified[index].store(true, Ordering::Release);
        Ok(chunk)
    }
}

impl ReadAt for Sealed {
    fn size(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        if offset
            .checked_add(buf.len() as u64)
            .is_none_or(|end| end > self.len)
        {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "read past the end",
            ));
        }
        while !buf.is_empty() {
            let index = usize::try_from(offset / CHUNK).map_err(|_| broken())?;
            let from = usize::try_from(offset % CHUNK).map_err(|_| broken())?;
            let len = buf
                .len()
                .min(size_of_chunk(offset - from as u64, self.len) - from);
            let (part, rest) = buf.split_at_mut(len);
            if self.digests[index] == NO_DATA {
                part.fill(0);
            } else if self.verified[index].load(Ordering::Acquire) {
                self.file.read_exact_at(part, offset)?;
            } else {
                part.copy_from_slice(&self.chunk(index)?[from..from + len]);
            }
            buf = rest;
            offset += len as u64;
        }
        Ok(())
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        let next = self.runs.partition_point(|it| it.end <= offset);
        Ok(self.runs.get(next).map(|it| it.start.max(offset)..it.end))
    }
}

/// Where the data is, and the digest of each chunk.
type Map = (Vec<Range<u64>>, Vec<[u8; 32]>);

/// Reads a seal; `None` if it is not one for this content and key.
fn parse(seal: &[u8], len: u64, key: &str) -> Option<Map> {
    let mut rest = seal.strip_prefix(MAGIC)?;
    let number = |rest: &mut &[u8]| {
        let (bytes, after) = rest.split_first_chunk::<8>()?;
        *rest = after;
        Some(u64::from_le_bytes(*bytes))
    };
    let (found_len, key_len) = (number(&mut rest)?, number(&mut rest)?);
    let (found_key, after) = rest.split_at_checked(usize::try_from(key_len).ok()?)?;
    if found_len != len || found_key != key.as_bytes() {
        return None;
    }
    rest = after;
    let mut runs: Vec<Range<u64>> = Vec::new();
    for _ in 0..number(&mut rest)? {
        let run = number(&mut rest)?..number(&mut rest)?;
        if run.is_empty() || run.end > len || runs.last().is_some_and(|it| it.end > run.start) {
            return None;
        }
        runs.push(run);
    }
    let (digests, after) = rest.as_chunks::<32>();
    (after.is_empty() && digests.len() as u64 == len.div_ceil(CHUNK))
        .then(|| (runs, digests.to_vec()))
}

/// Returns how many bytes the chunk that starts here has.
fn size_of_chunk(start: u64, len: u64) -> usize {
    usize::try_from((len - start).min(CHUNK)).expect("at most 1 MiB")
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "seal is broken")
}
