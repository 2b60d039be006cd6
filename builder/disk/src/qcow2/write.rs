//! Writing a disk as a qcow2 image of compressed clusters.
//!
//! QEMU, docs/interop/qcow2. Version 3, 64 KiB clusters, 16-bit reference counts; header, then clusters packed byte to
//! byte, then L2 tables, L1 table and reference counts. The header is written last, so that an interrupted write is no
//! image. Writes no snapshots, no bitmaps and no backing file.

use super::FORMAT;
use crate::chunks::{Chunks, read_runs};
use crate::error::Error;
use crate::fields::is_zero;
use crate::ordered;
use flate2::{Compress, Compression, FlushCompress, Status};
use fstree::{ReadAt, WriteAt};
use std::num::NonZeroUsize;
use std::ops::Range;

const CLUSTER_BITS: u32 = 16;
const CLUSTER: usize = 1 << CLUSTER_BITS;
const CHUNK_CLUSTERS: usize = 16;
/// Entries of an L2 table, which fills a cluster.
const L2_ENTRIES: u64 = 8192;
/// 16-bit counts in a reference count block.
const BLOCK_COUNTS: usize = CLUSTER / 2;
const COPIED: u64 = 1 << 63;
const COMPRESSED: u64 = 1 << 62;
/// Where the sector count of a compressed cluster's entry begins, for 64 KiB clusters.
const SECTORS_SHIFT: u32 = 62 - (CLUSTER_BITS - 8);

/// How clusters are compressed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Qcow2Compression {
    /// Raw deflate with a window of 4 KiB, which every reader knows; level 1–9.
    Deflate(u32),
    /// Zstandard, which QEMU reads since 5.1; level 1–19.
    Zstd(i32),
}

/// How an image is written.
#[derive(Clone, Copy, Debug)]
pub struct Qcow2Options {
    /// How clusters are compressed.
    pub compression: Qcow2Compression,
}

impl Default for Qcow2Options {
    fn default() -> Self {
        Self {
            compression: Qcow2Compression::Deflate(6),
        }
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Qcow2Stats {
    /// The image's size in bytes.
    pub bytes: u64,
    /// The clusters that hold data.
    pub clusters: u64,
}

/// Writes `disk` to `out`, which reads as zero where nothing was written; `progress` is told the disk offset reached.
pub fn write(
    disk: &dyn ReadAt,
    options: &Qcow2Options,
    jobs: NonZeroUsize,
    out: &dyn WriteAt,
    progress: &mut dyn FnMut(u64),
) -> Result<Qcow2Stats, Error> {
    if !disk.size().is_multiple_of(512) {
        return Err(Error::unsupported(
            FORMAT,
            format!("a disk of {} bytes, not whole sectors,", disk.size()),
        ));
    }
    let mut chunks = Chunks::new(disk, (CLUSTER * CHUNK_CLUSTERS) as u64);
    let mut image = Image::new(out);
    let compression = options.compression;
    ordered::run(
        jobs,
        || chunks.next(),
        || Packer::new(compression),
        |packer, chunk| {
            packer
                .as_mut()
                .map_err(|error| clone_of(error))?
                .chunk(disk, chunk)
        },
        |done| {
            image.append(&done)?;
            progress(done.chunk.end);
            Ok(())
        },
    )?;
    image.finish(disk.size(), compression)
}

fn clone_of(error: &str) -> Error {
    Error::unsupported(FORMAT, error)
}

/// The clusters of one chunk, one after the other in `bytes`.
struct Packed {
    chunk: Range<u64>,
    bytes: Vec<u8>,
    clusters: Vec<Cluster>,
}

struct Cluster {
    index: u64,
    len: usize,
}

/// One thread's buffers and encoder.
struct Packer {
    raw: Vec<u8>,
    encoder: Encoder,
}

enum Encoder {
    Deflate(Compress),
    Zstd(Box<zstd::bulk::Compressor<'static>>),
}

impl Packer {
    fn new(compression: Qcow2Compression) -> Result<Self, String> {
        let encoder =
            match compression {
                // QEMU inflates with a window of 4 KiB and refuses longer distances.
                Qcow2Compression::Deflate(level) => Encoder::Deflate(
                    Compress::new_with_window_bits(Compression::new(level.clamp(1, 9)), false, 12),
                ),
                Qcow2Compression::Zstd(level) => {
                    let compressor = zstd::bulk::Compressor::new(level);
                    Encoder::Zstd(Box::new(
                        compressor.map_err(|error| format!("Zstandard level {level} ({error})"))?,
                    ))
                }
            };
        Ok(Self {
            raw: vec![0; CLUSTER * CHUNK_CLUSTERS],
            encoder,
        })
    }

    fn chunk(&mut self, disk: &dyn ReadAt, chunk: Range<u64>) -> Result<Packed, Error> {
        let runs = read_runs(disk, &chunk, CLUSTER as u64, &mut self.raw).map_err(Error::io(
            format!("reading the disk at byte {}", chunk.start),
        ))?;
        let mut packed = Packed {
            bytes: Vec::new(),
            clusters: Vec::new(),
            chunk,
        };
        for run in runs {
            // The disk may end within its last cluster, which is stored whole.
            let whole = run.end.next_multiple_of(CLUSTER);
            self.raw[run.end..whole].fill(0);
            for at in (run.start..whole).step_by(CLUSTER) {
                if !is_zero(&self.raw[at..at + CLUSTER]) {
                    let before = packed.bytes.len();
                    self.pack(at, &mut packed.bytes)?;
                    let index = (packed.chunk.start + at as u64) >> CLUSTER_BITS;
                    packed.clusters.push(Cluster {
                        index,
                        len: packed.bytes.len() - before,
                    });
                }
            }
        }
        Ok(packed)
    }

    /// Appends the cluster at `at`: compressed if that makes it smaller, else as it is.
    fn pack(&mut self, at: usize, out: &mut Vec<u8>) -> Result<(), Error> {
        let raw = &self.raw[at..at + CLUSTER];
        let start = out.len();
        out.resize(start + CLUSTER, 0);
        // Room for one byte less than a cluster: what does not fit is not worth compressing.
        let room = &mut out[start..start + CLUSTER - 1];
        let len = match &mut self.encoder {
            Encoder::Deflate(encoder) => {
                encoder.reset();
                let status = encoder.compress(raw, room, FlushCompress::Finish);
                let status = status
                    .map_err(|error| Error::unsupported(FORMAT, format!("deflate: {error}")))?;
                (status == Status::StreamEnd)
                    .then(|| usize::try_from(encoder.total_out()).unwrap_or(CLUSTER))
            }
            Encoder::Zstd(encoder) => encoder.compress_to_buffer(raw, room).ok(),
        };
        match len {
            Some(len) => out.truncate(start + len),
            None => out[start..].copy_from_slice(raw),
        }
        Ok(())
    }
}

/// The image as it grows.
struct Image<'a> {
    out: &'a dyn WriteAt,
    /// Where the next compressed cluster goes.
    end: u64,
    /// How often each host cluster is referred to.
    counts: Vec<u16>,
    /// The L2 table being filled, and which one it is.
    l2: Vec<u64>,
    l2_index: u64,
    /// Finished L2 tables; they are written after the data.
    tables: Vec<(u64, Vec<u64>)>,
    clusters: u64,
}

impl<'a> Image<'a> {
    fn new(out: &'a dyn WriteAt) -> Self {
        Self {
            out,
            end: CLUSTER as u64,
            counts: vec![1],
            l2: Vec::new(),
            l2_index: 0,
            tables: Vec::new(),
            clusters: 0,
        }
    }

    fn append(&mut self, packed: &Packed) -> Result<(), Error> {
        // Neighbours that follow each other in the file are written at once.
        let (mut from, mut upto, mut place) = (0, 0, self.end);
        for cluster in &packed.clusters {
            if cluster.len == CLUSTER {
                self.write(&packed.bytes[from..upto], place)?;
                self.end = self.end.next_multiple_of(CLUSTER as u64);
                (from, place) = (upto, self.end);
            }
            let entry = if cluster.len == CLUSTER {
                COPIED | self.end
            } else {
                let sectors = ((self.end + cluster.len as u64 - 1) >> 9) - (self.end >> 9);
                COMPRESSED | sectors << SECTORS_SHIFT | self.end
            };
            self.count(self.end, self.end + cluster.len as u64)?;
            self.map(cluster.index, entry);
            self.end += cluster.len as u64;
            upto += cluster.len;
        }
        self.write(&packed.bytes[from..upto], place)
    }

    fn write(&self, bytes: &[u8], at: u64) -> Result<(), Error> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.out
            .write_all_at(bytes, at)
            .map_err(Error::io(format!("writing the qcow2 image at byte {at}")))
    }

    /// Counts a reference to each host cluster of `start..end`.
    fn count(&mut self, start: u64, end: u64) -> Result<(), Error> {
        let too_large = || Error::unsupported(FORMAT, "an image of this size");
        let last = usize::try_from((end - 1) >> CLUSTER_BITS).map_err(|_| too_large())?;
        let first = usize::try_from(start >> CLUSTER_BITS).map_err(|_| too_large())?;
        if self.counts.len() <= last {
            self.counts.resize(last + 1, 0);
        }
        for count in &mut self.counts[first..=last] {
            *count = count.checked_add(1).ok_or_else(too_large)?;
        }
        Ok(())
    }

    fn map(&mut self, index: u64, entry: u64) {
        if index / L2_ENTRIES != self.l2_index {
            self.end_table();
            self.l2_index = index / L2_ENTRIES;
        }
        self.l2.resize(CLUSTER / 8, 0);
        self.l2[usize::try_from(index % L2_ENTRIES).expect("an index within a table")] = entry;
        self.clusters += 1;
    }

    fn end_table(&mut self) {
        if !self.l2.is_empty() {
            self.tables
                .push((self.l2_index, std::mem::take(&mut self.l2)));
        }
    }

    /// Writes `bytes` at the next whole cluster, refers to it once, and returns where it is.
    fn append_table(&mut self, bytes: &[u8]) -> Result<u64, Error> {
        let at = self.end.next_multiple_of(CLUSTER as u64);
        self.write(bytes, at)?;
        self.end = at + bytes.len() as u64;
        if !bytes.is_empty() {
            self.count(at, self.end)?;
        }
        Ok(at)
    }

    fn finish(
        mut self,
        disk_bytes: u64,
        compression: Qcow2Compression,
    ) -> Result<Qcow2Stats, Error> {
        self.end_table();
        let l1_entries = disk_bytes.div_ceil(CLUSTER as u64).div_ceil(L2_ENTRIES);
        let mut l1 = vec![
            0;
            usize::try_from(l1_entries)
                .map_err(|_| Error::unsupported(FORMAT, "a disk of this size"))?
        ];
        for (index, table) in std::mem::take(&mut self.tables) {
            let at = self.append_table(&big_endian(&table))?;
            l1[usize::try_from(index).expect("the table of a cluster on the disk")] = COPIED | at;
        }
        let l1_offset = self.append_table(&big_endian(&l1))?;
        let (refcounts_offset, refcounts_clusters) = self.append_counts()?;
        let header = Header {
            disk_bytes,
            l1_entries,
            l1_offset,
            refcounts_offset,
            refcounts_clusters,
        };
        self.write(&header.encode(compression), 0)?;
        Ok(Qcow2Stats {
            bytes: self.end,
            clusters: self.clusters,
        })
    }

    /// Writes the reference counts, those of their own clusters included; returns the table's offset and clusters.
    fn append_counts(&mut self) -> Result<(u64, u32), Error> {
        let start = self.end.next_multiple_of(CLUSTER as u64);
        let used = usize::try_from(start >> CLUSTER_BITS)
            .map_err(|_| Error::unsupported(FORMAT, "a disk of this size"))?;
        // Blocks and their table are counted by themselves, so their numbers are found by growing until they fit.
        let (mut blocks, mut table) = (1, 1);
        while (used + blocks + table).div_ceil(BLOCK_COUNTS) > blocks
            || (blocks * 8).div_ceil(CLUSTER) > table
        {
            blocks = (used + blocks + table).div_ceil(BLOCK_COUNTS).max(blocks);
            table = (blocks * 8).div_ceil(CLUSTER).max(table);
        }
        self.counts.resize(used, 0);
        self.counts.resize(used + blocks + table, 1);
        self.counts.resize(blocks * BLOCK_COUNTS, 0);
        let bytes: Vec<u8> = self
            .counts
            .iter()
            .flat_map(|count| count.to_be_bytes())
            .collect();
        self.write(&bytes, start)?;
        let table_at = start + bytes.len() as u64;
        let mut offsets: Vec<u64> = (0..blocks)
            .map(|block| start + (block * CLUSTER) as u64)
            .collect();
        offsets.resize(table * CLUSTER / 8, 0);
        self.write(&big_endian(&offsets), table_at)?;
        self.end = table_at + (table * CLUSTER) as u64;
        let table =
            u32::try_from(table).map_err(|_| Error::unsupported(FORMAT, "a disk of this size"))?;
        Ok((table_at, table))
    }
}

fn big_endian(table: &[u64]) -> Vec<u8> {
    table.iter().flat_map(|entry| entry.to_be_bytes()).collect()
}

struct Header {
    disk_bytes: u64,
    l1_entries: u64,
    l1_offset: u64,
    refcounts_offset: u64,
    refcounts_clusters: u32,
}

impl Header {
    fn encode(&self, compression: Qcow2Compression) -> Vec<u8> {
        let zstd = matches!(compression, Qcow2Compression::Zstd(_));
        let mut bytes = Vec::with_capacity(120);
        let words = |bytes: &mut Vec<u8>, words: &[u32]| {
            bytes.extend(words.iter().flat_map(|word| word.to_be_bytes()));
        };
        // Magic, version, no backing file (offset and length), cluster bits.
        words(&mut bytes, &[0x5146_49fb, 3, 0, 0, 0, CLUSTER_BITS]);
        bytes.extend(self.disk_bytes.to_be_bytes());
        // No encryption; L1 entries.
        words(
            &mut bytes,
            &[0, u32::try_from(self.l1_entries).unwrap_or(u32::MAX)],
        );
        bytes.extend(self.l1_offset.to_be_bytes());
        bytes.extend(self.refcounts_offset.to_be_bytes());
        // Reference count table clusters; no snapshots (number and offset).
        words(&mut bytes, &[self.refcounts_clusters, 0, 0, 0]);
        bytes.extend(if zstd { 8u64 } else { 0 }.to_be_bytes());
        // Compatible and auto-clear features: none. 2^4-bit reference counts. Header length.
        words(&mut bytes, &[0, 0, 0, 0, 4, 112]);
        bytes.extend([u8::from(zstd), 0, 0, 0, 0, 0, 0, 0]);
        // The end of header extensions.
        bytes.extend([0; 8]);
        bytes
    }
}
