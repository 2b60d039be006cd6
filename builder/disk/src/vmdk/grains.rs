//! Grains, the compressed 64 KiB blocks of a streamOptimized VMDK, and the place where known ones are remembered.
//!
//! A grain is one zlib stream (RFC 1950). Each is independent of all others and of its place, which is why the same content
//! need not be compressed twice: a [`GrainCache`] may answer instead. Knows no tables.

use super::FORMAT;
use crate::chunks::read_runs;
use crate::error::Error;
use crate::fields::is_zero;
use fstree::ReadAt;
use libdeflater::{CompressionLvl, Compressor};
use std::io;
use std::ops::Range;

/// Bytes of a grain.
pub(super) const GRAIN: usize = 64 << 10;
/// Grains read and compressed as one job.
pub(super) const CHUNK: usize = 32 * GRAIN;

/// What a [`GrainCache`] knows of a grain.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Found {
    /// Nothing: it must be read and compressed.
    Unknown,
    /// It is all zeros.
    Zero,
    /// Its compressed form has been appended.
    Compressed,
}

/// Remembers compressed grains by what the caller knows of the disk's content; called from many threads.
///
/// What is compressed must come from [`write_stream`](super::write_stream) with the same level, or the output depends on
/// the cache.
pub trait GrainCache: Sync {
    /// Appends the compressed form of the 64 KiB at `offset` of the disk to `out`, if it is known.
    fn find(&self, offset: u64, out: &mut Vec<u8>) -> io::Result<Found>;

    /// Is told the compressed form of the 64 KiB at `offset`, after it was not found; empty says that they are all zeros.
    fn keep(&self, offset: u64, compressed: &[u8]) -> io::Result<()>;
}

/// The grains of one chunk that are not zero: each one's first sector, and where its bytes are.
pub(super) struct Packed {
    pub(super) chunk: Range<u64>,
    pub(super) bytes: Vec<u8>,
    pub(super) grains: Vec<(u64, Range<usize>)>,
}

/// One thread's buffers and compressor.
pub(super) struct Packer {
    raw: Vec<u8>,
    compressor: Compressor,
}

impl Packer {
    /// Returns a packer with libdeflate's `level`, 1–12.
    pub(super) fn new(level: u8) -> Self {
        let level = CompressionLvl::new(i32::from(level.clamp(1, 12))).unwrap_or_default();
        Self {
            raw: vec![0; CHUNK],
            compressor: Compressor::new(level),
        }
    }

    /// Compresses the grains of `chunk`.
    pub(super) fn chunk(
        &mut self,
        disk: &dyn ReadAt,
        chunk: Range<u64>,
        cache: Option<&dyn GrainCache>,
    ) -> Result<Packed, Error> {
        let mut packed = Packed {
            bytes: Vec::new(),
            grains: Vec::new(),
            chunk,
        };
        match cache {
            None => self.missing(disk, packed.chunk.clone(), None, &mut packed)?,
            Some(cache) => self.remembered(disk, cache, &mut packed)?,
        }
        Ok(packed)
    }

    /// Asks the cache for each grain, and makes those it does not know.
    fn remembered(
        &mut self,
        disk: &dyn ReadAt,
        cache: &dyn GrainCache,
        packed: &mut Packed,
    ) -> Result<(), Error> {
        for offset in packed.chunk.clone().step_by(GRAIN) {
            let before = packed.bytes.len();
            let found = cache.find(offset, &mut packed.bytes);
            match found.map_err(Error::io(format!("looking up the grain at byte {offset}")))? {
                Found::Zero => {}
                Found::Compressed => packed
                    .grains
                    .push((offset / super::SECTOR, before..packed.bytes.len())),
                Found::Unknown => {
                    let grain = offset..(offset + GRAIN as u64).min(packed.chunk.end);
                    self.missing(disk, grain, Some(cache), packed)?;
                }
            }
        }
        Ok(())
    }

    /// Reads `range` and compresses its grains.
    fn missing(
        &mut self,
        disk: &dyn ReadAt,
        range: Range<u64>,
        cache: Option<&dyn GrainCache>,
        packed: &mut Packed,
    ) -> Result<(), Error> {
        let runs = read_runs(disk, &range, GRAIN as u64, &mut self.raw).map_err(Error::io(
            format!("reading the disk at byte {}", range.start),
        ))?;
        for run in runs {
            // The disk may end within its last grain, which is stored whole.
            let whole = run.end.next_multiple_of(GRAIN);
            self.raw[run.end..whole].fill(0);
            for at in (run.start..whole).step_by(GRAIN) {
                let offset = range.start + at as u64;
                let before = packed.bytes.len();
                if !is_zero(&self.raw[at..at + GRAIN]) {
                    self.compress(at, &mut packed.bytes)?;
                    packed
                        .grains
                        .push((offset / super::SECTOR, before..packed.bytes.len()));
                }
                if let Some(cache) = cache {
                    let kept = cache.keep(offset, &packed.bytes[before..]);
                    kept.map_err(Error::io(format!("remembering the grain at byte {offset}")))?;
                }
            }
        }
        Ok(())
    }

    fn compress(&mut self, at: usize, out: &mut Vec<u8>) -> Result<(), Error> {
        let start = out.len();
        out.resize(start + self.compressor.zlib_compress_bound(GRAIN), 0);
        let done = self
            .compressor
            .zlib_compress(&self.raw[at..at + GRAIN], &mut out[start..]);
        // The bound above is libdeflate's own, so there is room; an error would be a broken promise of the library.
        let len = done.map_err(|error| Error::unsupported(FORMAT, format!("deflate: {error}")))?;
        out.truncate(start + len);
        Ok(())
    }
}
