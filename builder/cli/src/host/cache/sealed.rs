//! Sealed files: content that is verified chunk by chunk when it is first touched.
//!
//! Layout, all integers little-endian: the content (holes where it is zero), then the seal: 16 bytes of magic; length of
//! the content (u64); length of the key (u64) and the key; count of data runs (u64) and each run's start and end (u64);
//! SHA-256 of each chunk of 64 KiB, the last one short, or 32 zero bytes for a chunk with no data. The file ends with the
//! seal's length (u64) and its SHA-256. Guards against rot and half files, not against those who can write the cache.

mod sum;
mod writing;

use super::Damage;
use super::checked::Checked;
use crate::host::file::FileAt;
use fstree::ReadAt;
use sha2::{Digest as _, Sha256};
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

pub(super) use sum::Summed;
pub(super) use writing::seal;

const MAGIC: &[u8; 16] = b"nodeimg sealed 2";
const FOOTER: usize = 8 + 32;

/// A sealed file, open. Its seal is verified; its content is, chunk by chunk, when it is read.
#[derive(Debug)]
pub(crate) struct Sealed {
    content: Checked,
    /// Where bytes other than zero may be, in order.
    runs: Vec<Range<u64>>,
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
        let content = Checked::new(file, path, start, digests, damage).ok_or_else(broken)?;
        Ok(Self { content, runs })
    }

    /// Looks at all of the content again, if somebody may have changed the file since it was opened.
    pub(super) fn check_again(&self) -> io::Result<()> {
        if self.content.may_have_changed() {
            self.content.verify()?;
        }
        Ok(())
    }

    /// Returns where the file is.
    pub(super) fn path(&self) -> &Path {
        self.content.path()
    }
}

impl ReadAt for Sealed {
    fn size(&self) -> u64 {
        self.content.size()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.content.read_exact_at(buf, offset)
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
    after.is_empty().then(|| (runs, digests.to_vec()))
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "seal is broken")
}
