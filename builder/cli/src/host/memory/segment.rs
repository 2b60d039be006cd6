//! A segment: entries side by side, and behind them the index that says where each is.
//!
//! Layout, all integers little-endian: 16 bytes of magic; the entries; the index, for each entry by rising key 32 bytes of
//! key, offset (u64), length (u32) and CRC-32 of key and bytes (u32); the index's offset (u64) and the SHA-256 of magic,
//! offset and index.

use crate::host::file::{FileAt, FileOut};
use fstree::{ReadAt as _, WriteAt as _};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const MAGIC: &[u8; 16] = b"nodeimg grains 1";
const ENTRY: usize = 32 + 8 + 4 + 4;
const FOOTER: u64 = 8 + 32;
/// No index is larger: a segment of the most bytes, full of the smallest grains.
const MOST_INDEX: u64 = 256 << 20;
/// No entry is longer: a grain of 64 KiB and what compressing adds to it at worst.
const MOST_ENTRY: u32 = 1 << 20;
/// So much is written at once.
const BUFFER: usize = 1 << 20;

/// Where an entry's bytes are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Entry {
    pub(super) key: [u8; 32],
    offset: u64,
    len: u32,
    crc: u32,
}

/// A segment of an earlier build. Its index was checked; its entries are, when they are read.
#[derive(Debug)]
pub(super) struct Segment {
    file: FileAt,
    path: PathBuf,
}

impl Segment {
    /// Opens a segment; [`io::ErrorKind::InvalidData`] says that it is damaged.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Vec<Entry>)> {
        let file = FileAt::open(path)?;
        let end = file.size().checked_sub(FOOTER).ok_or_else(damaged)?;
        let mut footer = [0; 40];
        file.read_exact_at(&mut footer, end)?;
        let (offset, digest) = footer.split_first_chunk::<8>().ok_or_else(damaged)?;
        let start = u64::from_le_bytes(*offset);
        let len = end.checked_sub(start).filter(|it| *it <= MOST_INDEX);
        let len = usize::try_from(len.ok_or_else(damaged)?).map_err(|_| damaged())?;
        let mut index = vec![0; len];
        file.read_exact_at(&mut index, start)?;
        if seal(start, &index).as_slice() != digest {
            return Err(damaged());
        }
        let path = path.to_owned();
        let (entries, _) = index.as_chunks::<ENTRY>();
        let entries = entries.iter().filter_map(Entry::decode).collect();
        Ok((Self { file, path }, entries))
    }

    /// Appends an entry's bytes to `out`; `None` if they are not what was written.
    pub(super) fn read(&self, entry: &Entry, out: &mut Vec<u8>) -> Option<usize> {
        read(out, entry, |buf| self.file.read_exact_at(buf, entry.offset))
    }

    /// Returns where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Notes that it was of use.
    pub(super) fn touch(&self, now: SystemTime) {
        // Where it cannot be noted, the segment looks older than it is, and goes sooner.
        drop(File::open(&self.path).and_then(|it| it.set_modified(now)));
    }
}

/// A segment under way.
#[derive(Debug)]
pub(super) struct Writing {
    entries: BTreeMap<[u8; 32], Entry>,
    /// Bytes that are not in the file yet, and where they go.
    buffer: Vec<u8>,
    at: u64,
}

impl Writing {
    /// Begins a segment in an empty file.
    pub(super) fn start(out: &FileOut) -> io::Result<Self> {
        out.write_all_at(MAGIC, 0)?;
        Ok(Self {
            entries: BTreeMap::new(),
            buffer: Vec::new(),
            at: MAGIC.len() as u64,
        })
    }

    /// Returns how long it is.
    pub(super) fn len(&self) -> u64 {
        self.at + self.buffer.len() as u64
    }

    /// Adds an entry, if there is none of this key.
    pub(super) fn add(&mut self, out: &FileOut, key: [u8; 32], bytes: &[u8]) -> io::Result<()> {
        if self.entries.contains_key(&key) {
            return Ok(());
        }
        let len = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        let (offset, crc) = (self.len(), checksum(&key, bytes));
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER {
            self.drain(out)?;
        }
        self.entries.insert(
            key,
            Entry {
                key,
                offset,
                len,
                crc,
            },
        );
        Ok(())
    }

    /// Appends an entry's bytes to `out`, if it is here.
    pub(super) fn read(&self, file: &FileOut, key: &[u8; 32], out: &mut Vec<u8>) -> Option<usize> {
        let entry = self.entries.get(key)?;
        read(out, entry, |buf| match entry.offset.checked_sub(self.at) {
            None => file.file().read_exact_at(buf, entry.offset),
            Some(from) => {
                let from = usize::try_from(from).map_err(io::Error::other)?;
                let bytes = self.buffer.get(from..from + buf.len());
                buf.copy_from_slice(bytes.ok_or_else(damaged)?);
                Ok(())
            }
        })
    }

    /// Writes what is left, and the index.
    pub(super) fn finish(mut self, out: &FileOut) -> io::Result<()> {
        self.drain(out)?;
        let mut bytes: Vec<u8> = self.entries.values().flat_map(Entry::encode).collect();
        let seal = seal(self.at, &bytes);
        bytes.extend(self.at.to_le_bytes());
        bytes.extend(seal);
        out.write_all_at(&bytes, self.at)
    }

    fn drain(&mut self, out: &FileOut) -> io::Result<()> {
        out.write_all_at(&self.buffer, self.at)?;
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl Entry {
    fn encode(&self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        bytes[..32].copy_from_slice(&self.key);
        bytes[32..40].copy_from_slice(&self.offset.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.len.to_le_bytes());
        bytes[44..].copy_from_slice(&self.crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; ENTRY]) -> Option<Self> {
        let (key, rest) = bytes.split_first_chunk::<32>()?;
        let (offset, rest) = rest.split_first_chunk::<8>()?;
        let (len, rest) = rest.split_first_chunk::<4>()?;
        let crc = rest.first_chunk::<4>()?;
        if u32::from_le_bytes(*len) > MOST_ENTRY {
            return None;
        }
        Some(Self {
            key: *key,
            offset: u64::from_le_bytes(*offset),
            len: u32::from_le_bytes(*len),
            crc: u32::from_le_bytes(*crc),
        })
    }
}

/// Appends an entry to `out` by `fill`, and takes it away again if it is not what its checksum says.
fn read(
    out: &mut Vec<u8>,
    entry: &Entry,
    fill: impl FnOnce(&mut [u8]) -> io::Result<()>,
) -> Option<usize> {
    let start = out.len();
    let len = usize::try_from(entry.len).ok()?;
    out.resize(start + len, 0);
    if fill(&mut out[start..]).is_ok() && checksum(&entry.key, &out[start..]) == entry.crc {
        return Some(len);
    }
    out.truncate(start);
    None
}

fn checksum(key: &[u8; 32], bytes: &[u8]) -> u32 {
    let mut hash = crc32fast::Hasher::new();
    hash.update(key);
    hash.update(bytes);
    hash.finalize()
}

fn seal(offset: u64, index: &[u8]) -> [u8; 32] {
    let hash = Sha256::new().chain_update(MAGIC);
    hash.chain_update(offset.to_le_bytes())
        .chain_update(index)
        .finalize()
        .into()
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "segment is damaged")
}
