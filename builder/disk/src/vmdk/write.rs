//! Writing a disk as a streamOptimized VMDK, in one pass and in VirtualBox's own layout.
//!
//! VMware, "Virtual Disk Format 5.0", section "Stream-Optimized Compressed Sparse Extents". Header (version 3) and
//! descriptor take 128 sectors; grain tables follow their grains; grain directory, footer and end-of-stream marker come last
//! and nothing after them, because importers hash what they read. Grains of zeros and tables without grains are left out.

use super::descriptor::Stream;
use super::effort::Effort;
use super::grains::{CHUNK, GRAIN, GrainCache, Packed, Packer};
use super::header::Header;
use super::ready::Ready;
use super::{AT_END, FLAG_COMPRESSED, FLAG_MARKERS, FORMAT, SECTOR};
use crate::append::Append;
use crate::chunks::Chunks;
use crate::error::Error;
use crate::ordered;
use crate::spare::Spare;
use fstree::ReadAt;
use std::num::NonZeroUsize;

/// Sectors before the first grain, as VirtualBox has it.
const OVERHEAD: u64 = 128;
/// Sectors reserved for the descriptor, as VirtualBox has it.
const DESCRIPTOR_SECTORS: u64 = 20;
/// Entries of a grain table.
const TABLE_ENTRIES: u32 = 512;
const GRAIN_SECTORS: u64 = GRAIN as u64 / SECTOR;

/// What a metadata marker announces.
#[derive(Clone, Copy)]
enum Marker {
    EndOfStream = 0,
    Table = 1,
    Directory = 2,
    Footer = 3,
}

/// How a VMDK is written.
pub struct VmdkOptions<'a> {
    /// The disk's UUID, in lower-case text with hyphens.
    pub uuid: String,
    /// The content's id; any number that changes when the content does.
    pub cid: u32,
    /// The name the descriptor gives its own file.
    pub file_name: String,
    /// How hard grains are compressed.
    pub effort: Effort,
    /// Where compressed grains are remembered.
    pub cache: Option<&'a dyn GrainCache>,
    /// Grains that need not be compressed.
    pub ready: Option<&'a dyn Ready>,
}

impl std::fmt::Debug for VmdkOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VmdkOptions({}, {:?})", self.uuid, self.effort)
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct VmdkStats {
    /// The file's size in bytes.
    pub bytes: u64,
    /// The disk's capacity in bytes, as header, descriptor and OVF must have it.
    pub capacity: u64,
    /// The grains that hold data.
    pub grains: u64,
}

/// Writes `disk` to `out`; `progress` is told the disk offset reached.
pub fn write_stream(
    disk: &dyn ReadAt,
    options: &VmdkOptions<'_>,
    jobs: NonZeroUsize,
    out: &mut dyn Append,
    progress: &mut dyn FnMut(u64),
) -> Result<VmdkStats, Error> {
    if !disk.size().is_multiple_of(SECTOR) {
        return Err(Error::unsupported(
            FORMAT,
            format!("a disk of {} bytes, not whole sectors,", disk.size()),
        ));
    }
    let mut chunks = Chunks::new(disk, CHUNK as u64);
    let mut stream = Extent::start(disk.size() / SECTOR, options, out)?;
    let spare = Spare::default();
    ordered::run(
        jobs,
        || chunks.next(),
        || Packer::new(options.effort),
        |packer, chunk| packer.chunk(disk, chunk, options, spare.take()),
        |packed| {
            let end = packed.chunk.end;
            spare.give(stream.append(packed)?);
            progress(end);
            Ok(())
        },
    )?;
    stream.finish()
}

/// The extent as it grows.
struct Extent<'a> {
    out: &'a mut dyn Append,
    header: Header,
    /// The next sector of the file.
    sector: u64,
    directory: Vec<u32>,
    /// The grain table being filled, and its place in the directory.
    table: Vec<u32>,
    table_index: usize,
    grains: u64,
}

impl<'a> Extent<'a> {
    fn start(
        sectors: u64,
        options: &VmdkOptions<'_>,
        out: &'a mut dyn Append,
    ) -> Result<Self, Error> {
        let header = Header {
            version: 3,
            flags: FLAG_COMPRESSED | FLAG_MARKERS | 1,
            capacity: sectors,
            grain_sectors: GRAIN_SECTORS,
            descriptor_offset: 1,
            descriptor_sectors: DESCRIPTOR_SECTORS,
            table_entries: TABLE_ENTRIES,
            directory: AT_END,
            overhead: OVERHEAD,
        };
        let entries = usize::try_from(header.directory_entries())
            .map_err(|_| Error::unsupported(FORMAT, "a disk of this size"))?;
        let mut front = vec![0; usize::try_from(OVERHEAD * SECTOR).unwrap_or(0)];
        front[..512].copy_from_slice(&header.encode());
        let VmdkOptions {
            uuid,
            file_name,
            cid,
            ..
        } = options;
        let text = Stream {
            sectors,
            cid: *cid,
            uuid,
            file_name,
        }
        .text();
        if text.len() as u64 > DESCRIPTOR_SECTORS * SECTOR {
            return Err(Error::unsupported(FORMAT, "a file name of this length"));
        }
        front[512..512 + text.len()].copy_from_slice(text.as_bytes());
        let mut extent = Self {
            out,
            header,
            sector: 0,
            directory: vec![0; entries],
            table: Vec::new(),
            table_index: 0,
            grains: 0,
        };
        extent.write(front)?;
        Ok(extent)
    }

    /// Writes `bytes`, padded to whole sectors, and returns a buffer as [`Append`] does.
    fn write(&mut self, mut bytes: Vec<u8>) -> Result<Vec<u8>, Error> {
        let at = self.sector * SECTOR;
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        self.sector += bytes.len() as u64 / SECTOR;
        self.out
            .append(bytes)
            .map_err(Error::io(format!("writing the VMDK at byte {at}")))
    }

    /// Returns the next sector's number as the tables hold it.
    fn here(&self) -> Result<u32, Error> {
        u32::try_from(self.sector)
            .map_err(|_| Error::unsupported(FORMAT, "a file larger than 2 TiB"))
    }

    /// Writes a chunk's records; returns a buffer as [`Append`] does.
    fn append(&mut self, packed: Packed) -> Result<Vec<u8>, Error> {
        // A chunk never reaches into another table: its length divides what a table covers.
        let first = usize::try_from(packed.chunk.start / GRAIN as u64)
            .map_err(|_| Error::unsupported(FORMAT, "a disk of this size"))?;
        let table = first / TABLE_ENTRIES as usize;
        if packed.records.is_empty() {
            return Ok(packed.bytes);
        }
        if table != self.table_index {
            self.end_table()?;
            self.table_index = table;
        }
        self.table.resize(TABLE_ENTRIES as usize, 0);
        let start = self.sector;
        for (lba, sectors) in &packed.records {
            let entry = usize::try_from(lba / GRAIN_SECTORS % u64::from(TABLE_ENTRIES))
                .map_err(|_| Error::unsupported(FORMAT, "a disk of this size"))?;
            self.table[entry] = self.here()?;
            self.sector += sectors;
            self.grains += 1;
        }
        self.sector = start;
        self.write(packed.bytes)
    }

    /// Writes a marker that announces the sectors of `payload`, and those.
    fn announce(&mut self, marker: Marker, payload: &[u8]) -> Result<(), Error> {
        let sectors = (payload.len() as u64).div_ceil(SECTOR);
        let mut bytes = vec![0; 512];
        bytes[..8].copy_from_slice(&sectors.to_le_bytes());
        // Bytes 8 to 11, a grain's size, are zero in every other marker.
        bytes[12..16].copy_from_slice(&(marker as u32).to_le_bytes());
        bytes.extend_from_slice(payload);
        self.write(bytes).map(drop)
    }

    fn end_table(&mut self) -> Result<(), Error> {
        if self.table.is_empty() {
            return Ok(());
        }
        let table = little_endian(&std::mem::take(&mut self.table));
        let at = self.here()?.checked_add(1);
        self.directory[self.table_index] =
            at.ok_or_else(|| Error::unsupported(FORMAT, "a file larger than 2 TiB"))?;
        self.announce(Marker::Table, &table)
    }

    fn finish(mut self) -> Result<VmdkStats, Error> {
        self.end_table()?;
        let directory = little_endian(&self.directory);
        let footer = Header {
            directory: self.sector + 1,
            ..self.header
        };
        self.announce(Marker::Directory, &directory)?;
        self.announce(Marker::Footer, &footer.encode())?;
        self.announce(Marker::EndOfStream, &[])?;
        Ok(VmdkStats {
            bytes: self.sector * SECTOR,
            capacity: self.header.capacity * SECTOR,
            grains: self.grains,
        })
    }
}

fn little_endian(table: &[u32]) -> Vec<u8> {
    table.iter().flat_map(|entry| entry.to_le_bytes()).collect()
}
