//! Grains, the compressed 64 KiB blocks of a streamOptimized VMDK, and the place where known ones are remembered.
//!
//! A grain is one zlib stream (RFC 1950). Each is independent of all others and of its place, which is why the same content
//! need not be compressed twice: a [`GrainCache`] may answer instead, or a source that has it compressed ([`Ready`]).
//! In the file, a grain is a record: its first sector's number on the disk, its length and the stream, padded to whole
//! sectors. Knows no tables.

use super::SECTOR;
use super::effort::{Deflate, Effort};
use super::ready::Ready;
use super::write::VmdkOptions;
use crate::chunks::read_runs;
use crate::error::Error;
use crate::fields::is_zero;
use fstree::ReadAt;
use std::io;
use std::ops::Range;

/// Bytes of a grain.
pub const GRAIN: usize = 64 << 10;
/// Grains read and compressed as one job.
pub(super) const CHUNK: usize = 32 * GRAIN;

/// A name of a grain's content: what has the same name has the same bytes.
pub type GrainKey = [u8; 32];

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
/// What is remembered must come from [`write_stream`](super::write_stream) with an encoder of the same
/// [`fingerprint`], or the output depends on the cache.
pub trait GrainCache: Sync {
    /// Returns the key of the grain at `range`, which the disk's end may cut; `None` says that it is all zeros.
    fn key(&self, range: Range<u64>) -> io::Result<Option<GrainKey>>;

    /// Appends the compressed form of the grain called `key` to `out`, if it is known.
    fn find(&self, key: &GrainKey, out: &mut Vec<u8>) -> io::Result<Found>;

    /// Is told the compressed form of a grain that was not found; empty says that it is all zeros.
    fn keep(&self, key: &GrainKey, compressed: &[u8]) -> io::Result<()>;
}

/// What a zlib stream begins with (RFC 1950): DEFLATE, a window of 32 KiB, of a usual encoder.
const ZLIB: [u8; 2] = [0x78, 0x9c];

/// Returns what an encoder makes of samples: as long as this stays the same, so does all it makes.
pub fn fingerprint(effort: Effort) -> Result<Vec<u8>, Error> {
    let mut deflate = Deflate::new(effort);
    let mut packed = Vec::new();
    // Of so many letters: what is worth the most effort, some, and none.
    for letters in [6, 100, 256] {
        deflate.append(&sample(letters), &mut packed)?;
    }
    Ok(packed)
}

/// Returns words of an alphabet in an irregular order: matches near and far, literals, and no two places alike.
fn sample(letters: u32) -> Vec<u8> {
    let mut state = 1u32;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let word = state >> 8;
        // Of all letters there are words of one only, or the sample would be no noise.
        let len = if letters == 256 { 1 } else { 1 + (word & 15) };
        (0..len).map(move |it| (word.wrapping_mul(it + 1) % letters).to_le_bytes()[0])
    })
    .flatten()
    .take(GRAIN)
    .collect()
}

/// The grains of one chunk that are not zero, as the records that stand in the file.
pub(super) struct Packed {
    pub(super) chunk: Range<u64>,
    /// All records, one after the other.
    pub(super) bytes: Vec<u8>,
    /// Each record's grain, by its first sector on the disk, and the sectors that the record takes.
    pub(super) records: Vec<(u64, u64)>,
}

impl Packed {
    /// Appends the record of the grain at `offset`; `fill` appends its compressed form. Returns where that stands.
    fn record(
        &mut self,
        offset: u64,
        fill: impl FnOnce(&mut Vec<u8>) -> Result<(), Error>,
    ) -> Result<Range<usize>, Error> {
        let mut data = 0..0;
        self.found(offset, |out| {
            data.start = out.len();
            fill(out)?;
            data.end = out.len();
            Ok(Found::Compressed)
        })?;
        Ok(data)
    }

    /// Appends the record of the grain at `offset` if `find` appends its compressed form, and returns what it found.
    fn found(
        &mut self,
        offset: u64,
        find: impl FnOnce(&mut Vec<u8>) -> Result<Found, Error>,
    ) -> Result<Found, Error> {
        let start = self.bytes.len();
        let lba = offset / SECTOR;
        self.bytes.extend(lba.to_le_bytes());
        self.bytes.extend([0; 4]);
        let data = self.bytes.len();
        let found = find(&mut self.bytes)?;
        if found != Found::Compressed {
            self.bytes.truncate(start);
            return Ok(found);
        }
        let end = self.bytes.len();
        let len = u32::try_from(end - data).unwrap_or(u32::MAX);
        self.bytes[start + 8..data].copy_from_slice(&len.to_le_bytes());
        self.bytes
            .resize(start + (end - start).next_multiple_of(512), 0);
        self.records
            .push((lba, (self.bytes.len() - start) as u64 / SECTOR));
        Ok(found)
    }
}

/// Where grains are made from.
#[derive(Clone, Copy)]
struct Source<'a> {
    disk: &'a dyn ReadAt,
    ready: Option<&'a dyn Ready>,
}

/// One thread's buffers and compressor.
pub(super) struct Packer {
    raw: Vec<u8>,
    found: Vec<u8>,
    stream: Vec<u8>,
    deflate: Deflate,
}

impl Packer {
    pub(super) fn new(effort: Effort) -> Self {
        Self {
            raw: vec![0; CHUNK],
            found: Vec::new(),
            stream: Vec::new(),
            deflate: Deflate::new(effort),
        }
    }

    /// Compresses the grains of `chunk` into a buffer, whose content is dropped.
    pub(super) fn chunk(
        &mut self,
        disk: &dyn ReadAt,
        chunk: Range<u64>,
        options: &VmdkOptions<'_>,
        mut buffer: Vec<u8>,
    ) -> Result<Packed, Error> {
        buffer.clear();
        // Grains rarely grow: one allocation, of which only what is used takes memory.
        buffer.reserve(CHUNK);
        let mut packed = Packed {
            bytes: buffer,
            records: Vec::new(),
            chunk,
        };
        let from = Source {
            disk,
            ready: options.ready,
        };
        match options.cache {
            None => {
                self.missing(from, packed.chunk.clone(), &mut packed, |_, _| Ok(()))?;
            }
            Some(cache) => self.remembered(from, cache, &mut packed)?,
        }
        Ok(packed)
    }

    /// Asks the cache for each grain, and makes those it does not know: neighbours together, as they are read together.
    fn remembered(
        &mut self,
        from: Source<'_>,
        cache: &dyn GrainCache,
        packed: &mut Packed,
    ) -> Result<(), Error> {
        let mut unknown: Vec<(Range<u64>, GrainKey)> = Vec::new();
        for offset in packed.chunk.clone().step_by(GRAIN) {
            let looking = || Error::io(format!("looking up the grain at byte {offset}"));
            let grain = offset..(offset + GRAIN as u64).min(packed.chunk.end);
            let Some(key) = cache.key(grain.clone()).map_err(looking())? else {
                self.make(from, cache, &mut unknown, packed)?;
                continue;
            };
            let find = |out: &mut Vec<u8>| cache.find(&key, out).map_err(looking());
            if unknown.is_empty() {
                if packed.found(offset, find)? == Found::Unknown {
                    unknown.push((grain, key));
                }
                continue;
            }
            // Those before it, which are made together, come first.
            self.found.clear();
            match find(&mut self.found)? {
                Found::Unknown => unknown.push((grain, key)),
                Found::Zero => self.make(from, cache, &mut unknown, packed)?,
                Found::Compressed => {
                    self.make(from, cache, &mut unknown, packed)?;
                    packed.record(offset, |out| {
                        out.extend_from_slice(&self.found);
                        Ok(())
                    })?;
                }
            }
        }
        self.make(from, cache, &mut unknown, packed)
    }

    /// Makes grains that lie side by side, and gives them to the cache.
    fn make(
        &mut self,
        from: Source<'_>,
        cache: &dyn GrainCache,
        unknown: &mut Vec<(Range<u64>, GrainKey)>,
        packed: &mut Packed,
    ) -> Result<(), Error> {
        let (Some((first, _)), Some((last, _))) = (unknown.first(), unknown.last()) else {
            return Ok(());
        };
        let range = first.start..last.end;
        let mut keys = unknown.drain(..).peekable();
        let keep = |key: &GrainKey, offset: u64, bytes: &[u8]| {
            let kept = cache.keep(key, bytes);
            kept.map_err(Error::io(format!("remembering the grain at byte {offset}")))
        };
        self.missing(from, range, packed, |offset, bytes| {
            // Grains that are passed by are holes.
            while let Some((grain, key)) = keys.next_if(|(grain, _)| grain.start <= offset) {
                let own = if grain.start == offset { bytes } else { &[] };
                keep(&key, grain.start, own)?;
            }
            Ok(())
        })?;
        keys.try_for_each(|(grain, key)| keep(&key, grain.start, &[]))
    }

    /// Makes the grains of `range`; `made` is told each one's offset and compressed form.
    fn missing(
        &mut self,
        from: Source<'_>,
        range: Range<u64>,
        packed: &mut Packed,
        mut made: impl FnMut(u64, &[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(ready) = from.ready else {
            return self.compressed(from.disk, range, packed, &mut made);
        };
        let mut start = range.start;
        for offset in range.clone().step_by(GRAIN) {
            let grain = offset..(offset + GRAIN as u64).min(range.end);
            let end = grain.end;
            self.stream.clear();
            let adler = ready.stream(grain, &mut self.stream);
            let adler = adler.map_err(Error::io(format!("taking the grain at byte {offset}")))?;
            let Some(adler) = adler else { continue };
            self.compressed(from.disk, start..offset, packed, &mut made)?;
            start = end;
            let data = packed.record(offset, |out| {
                out.extend(ZLIB);
                out.extend_from_slice(&self.stream);
                out.extend(adler.to_be_bytes());
                Ok(())
            })?;
            made(offset, &packed.bytes[data])?;
        }
        self.compressed(from.disk, start..range.end, packed, &mut made)
    }

    /// Reads `range` and compresses its grains; `made` is told each one's offset and compressed form.
    fn compressed(
        &mut self,
        disk: &dyn ReadAt,
        range: Range<u64>,
        packed: &mut Packed,
        made: &mut impl FnMut(u64, &[u8]) -> Result<(), Error>,
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
                if is_zero(&self.raw[at..at + GRAIN]) {
                    made(offset, &[])?;
                } else {
                    let grain = &self.raw[at..at + GRAIN];
                    let data = packed.record(offset, |out| self.deflate.append(grain, out))?;
                    made(offset, &packed.bytes[data])?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_tells_encoders_apart() {
        let levels = (0..=12).map(Effort::Level);
        let mut prints: Vec<_> = levels
            .chain([Effort::ByContent])
            .map(|effort| fingerprint(effort).unwrap())
            .collect();
        assert_eq!(prints[2], fingerprint(Effort::Level(2)).unwrap());
        prints.sort();
        prints.dedup();
        // The library has four ways to look for matches, and none.
        assert!(prints.len() >= 6, "{} different ones", prints.len());
    }

    #[test]
    fn a_fingerprint_shows_every_level_that_content_is_given() {
        let by_content = fingerprint(Effort::ByContent).unwrap();
        let mut at = 0;
        for (letters, level) in [(6, 2), (100, 1), (256, 0)] {
            let mut one = Vec::new();
            Deflate::new(Effort::Level(level))
                .append(&sample(letters), &mut one)
                .unwrap();
            assert!(by_content[at..].starts_with(&one), "{letters} letters");
            assert!(fingerprint(Effort::Level(level)).unwrap() != by_content);
            at += one.len();
        }
        assert_eq!(at, by_content.len());
    }
}
