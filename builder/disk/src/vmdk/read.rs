//! Reading a VMDK as the disk it holds.
//!
//! VMware, "Virtual Disk Format 5.0". The grain directory is held, grain tables are loaded as they are needed and a bounded
//! number is kept. The redundant directory is not read; markers other than grains' own are not needed, since the tables say
//! where everything is.

use super::descriptor::{Extent, ExtentKind, extents};
use super::header::Header;
use super::{FORMAT, SECTOR};
use crate::clusters::{ClusterMap, Clustered, Kept, Place};
use crate::error::Error;
use crate::fields::{le32, le64};
use fstree::{MosaicBuilder, ReadAt};
use libdeflater::Decompressor;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// The largest grain directory read: 16 TiB of 64 KiB grains.
const MAX_DIRECTORY_BYTES: u64 = 4 << 20;
/// Grain tables kept, of 2 KiB each in every known writer's files.
const TABLES_KEPT: usize = 1024;
/// The largest descriptor read; VMware reserves 10 KiB.
const MAX_DESCRIPTOR_BYTES: u64 = 1 << 20;

/// Opens the extent file that a descriptor names; `None` says that it is not there.
pub type OpenExtent<'a> = &'a mut dyn FnMut(&str) -> io::Result<Option<Arc<dyn ReadAt>>>;

/// Opens the disk in `source`, which is complete in itself.
pub fn open(source: Arc<dyn ReadAt>) -> Result<Arc<dyn ReadAt>, Error> {
    open_with(source, &mut nothing_else)
}

/// Finds no extent: for a disk that is to be complete in itself.
pub fn nothing_else(_: &str) -> io::Result<Option<Arc<dyn ReadAt>>> {
    Ok(None)
}

/// Opens the disk in `source`; the files that it names, if it is a mere descriptor, come from `extent`.
pub fn open_with(
    source: Arc<dyn ReadAt>,
    extent: OpenExtent<'_>,
) -> Result<Arc<dyn ReadAt>, Error> {
    let mut magic = [0; 4];
    source
        .read_exact_at(&mut magic, 0)
        .map_err(Error::io("reading the first bytes of a VMDK"))?;
    if &magic == b"KDMV" {
        return Ok(Arc::new(open_sparse(source)?));
    }
    let text = read_text(&source, 0, source.size())?;
    if !text
        .get(..21)
        .is_some_and(|head| head.eq_ignore_ascii_case("# Disk DescriptorFile"))
    {
        return Err(Error::corrupt(
            FORMAT,
            "neither a sparse extent nor a descriptor",
            0,
        ));
    }
    join(&extents(&text)?, extent)
}

fn read_text(source: &dyn ReadAt, at: u64, bytes: u64) -> Result<String, Error> {
    if bytes > MAX_DESCRIPTOR_BYTES {
        return Err(Error::corrupt(
            FORMAT,
            format!("a descriptor of {bytes} bytes"),
            at,
        ));
    }
    let mut text = vec![0; usize::try_from(bytes).unwrap_or(0)];
    source
        .read_exact_at(&mut text, at)
        .map_err(Error::io("reading the VMDK's descriptor"))?;
    let end = text
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(text.len());
    text.truncate(end);
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Puts the extents one after the other.
fn join(extents: &[Extent], open: OpenExtent<'_>) -> Result<Arc<dyn ReadAt>, Error> {
    let mut disk = MosaicBuilder::new();
    let mut at = 0u64;
    for extent in extents {
        let bytes = extent
            .sectors
            .checked_mul(SECTOR)
            .filter(|bytes| at.checked_add(*bytes).is_some());
        let bytes =
            bytes.ok_or_else(|| Error::corrupt(FORMAT, "an extent of impossible size", 0))?;
        if extent.kind != ExtentKind::Zero {
            let name = &extent.file;
            let file = open(name).map_err(Error::io(format!("opening the extent {name:?}")))?;
            let file = file.ok_or_else(|| Error::Elsewhere {
                format: FORMAT,
                name: name.clone(),
            })?;
            let (file, from) = match extent.kind {
                ExtentKind::Flat(sector) => (file, sector.saturating_mul(SECTOR)),
                _ => (Arc::new(open_sparse(file)?) as Arc<dyn ReadAt>, 0),
            };
            if from.checked_add(bytes).is_none_or(|end| end > file.size()) {
                return Err(Error::corrupt(
                    FORMAT,
                    format!("the extent {name:?} is shorter than the descriptor says"),
                    0,
                ));
            }
            disk.place(at, file, from, bytes);
        }
        at += bytes;
    }
    let disk = disk
        .finish(at)
        .map_err(|error| Error::corrupt(FORMAT, error.to_string(), 0))?;
    Ok(Arc::new(disk))
}

/// Opens a sparse extent.
fn open_sparse(source: Arc<dyn ReadAt>) -> Result<Clustered<Grains>, Error> {
    let mut header = read_header(&source, 0)?;
    if header.has_footer() {
        // Footer sector, then the end-of-stream marker's.
        let at = source.size().checked_sub(2 * SECTOR);
        let at = at.ok_or_else(|| Error::corrupt(FORMAT, "the file ends before its footer", 0))?;
        let footer = read_header(&source, at)?;
        if footer.has_footer()
            || footer.capacity != header.capacity
            || footer.grain_sectors != header.grain_sectors
        {
            return Err(Error::corrupt(
                FORMAT,
                "the footer does not match the header",
                at,
            ));
        }
        header = footer;
    }
    if header.descriptor_offset != 0 {
        let bytes = header.descriptor_sectors.saturating_mul(SECTOR);
        let text = read_text(
            &source,
            header.descriptor_offset.saturating_mul(SECTOR),
            bytes,
        )?;
        let named: u64 = extents(&text)?
            .iter()
            .fold(0, |sum, extent| sum.saturating_add(extent.sectors));
        // Extents of a split disk reserve the place and leave it empty.
        if !text.is_empty() && named != header.capacity {
            return Err(Error::corrupt(
                FORMAT,
                "the descriptor's extents do not add up to the header's capacity",
                0,
            ));
        }
    }
    let directory = read_directory(&source, &header)?;
    let tables = Kept::new(TABLES_KEPT);
    Ok(Clustered::new(Grains {
        source,
        header,
        directory,
        tables,
        inflaters: Mutex::default(),
    }))
}

fn read_header(source: &dyn ReadAt, at: u64) -> Result<Header, Error> {
    let mut bytes = [0; 512];
    source
        .read_exact_at(&mut bytes, at)
        .map_err(Error::io(format!("reading the VMDK header at byte {at}")))?;
    Header::decode(&bytes, at)
}

fn read_directory(source: &dyn ReadAt, header: &Header) -> Result<Vec<u32>, Error> {
    let bytes = header.directory_entries().saturating_mul(4);
    let at = header.directory.saturating_mul(SECTOR);
    if bytes > MAX_DIRECTORY_BYTES || at.checked_add(bytes).is_none_or(|end| end > source.size()) {
        return Err(Error::corrupt(
            FORMAT,
            format!("a grain directory of {bytes} bytes"),
            at,
        ));
    }
    read_table(source, at, bytes)
}

fn read_table(source: &dyn ReadAt, at: u64, bytes: u64) -> Result<Vec<u32>, Error> {
    let mut table = vec![0; usize::try_from(bytes).unwrap_or(0)];
    source
        .read_exact_at(&mut table, at)
        .map_err(Error::io(format!("reading a VMDK table at byte {at}")))?;
    Ok(table
        .chunks_exact(4)
        .map(|entry| le32(entry, 0).unwrap_or(0))
        .collect())
}

/// A sparse extent's grains.
struct Grains {
    source: Arc<dyn ReadAt>,
    header: Header,
    directory: Vec<u32>,
    tables: Kept<Vec<u32>>,
    inflaters: Mutex<Vec<Decompressor>>,
}

impl Grains {
    /// Returns the grain table of a grain, or `None` if there is none.
    fn table(&self, index: u64) -> Result<Option<Arc<Vec<u32>>>, Error> {
        let entries = u64::from(self.header.table_entries);
        let entry = usize::try_from(index / entries)
            .ok()
            .and_then(|at| self.directory.get(at))
            .copied();
        let sector = u64::from(
            entry
                .ok_or_else(|| Error::corrupt(FORMAT, format!("no table for grain {index}"), 0))?,
        );
        if sector == 0 {
            return Ok(None);
        }
        self.tables
            .get(sector, || {
                read_table(&self.source, sector * SECTOR, entries * 4)
            })
            .map(Some)
    }

    fn is_hole(&self, sector: u32) -> bool {
        sector == 0 || (sector == 1 && self.header.zero_grains())
    }

    fn inflate(&self, packed: &[u8], out: &mut [u8]) -> Option<usize> {
        let pool = || {
            self.inflaters
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        let idle = pool().pop();
        let mut inflater = idle.unwrap_or_default();
        let result = inflater.zlib_decompress(packed, out);
        pool().push(inflater);
        result.ok()
    }
}

impl ClusterMap for Grains {
    fn cluster_bytes(&self) -> usize {
        usize::try_from(self.header.grain_sectors * SECTOR).unwrap_or(1)
    }

    fn disk_bytes(&self) -> u64 {
        self.header.capacity * SECTOR
    }

    fn source(&self) -> &Arc<dyn ReadAt> {
        &self.source
    }

    fn place(&self, index: u64) -> Result<Place, Error> {
        let Some(table) = self.table(index)? else {
            return Ok(Place::Hole);
        };
        let within = usize::try_from(index % u64::from(self.header.table_entries)).unwrap_or(0);
        let sector = table.get(within).copied().unwrap_or(0);
        if self.is_hole(sector) {
            return Ok(Place::Hole);
        }
        let at = u64::from(sector) * SECTOR;
        if at >= self.source.size() {
            return Err(Error::corrupt(
                FORMAT,
                format!("grain {index} passes the end of the file"),
                at,
            ));
        }
        if !self.header.compressed() {
            return Ok(Place::Plain(at));
        }
        // Deflate adds at most a few bytes for each stored block; a sector covers them and the marker.
        Ok(Place::Compressed(at, self.cluster_bytes() + 1024))
    }

    fn holes(&self, index: u64) -> Result<u64, Error> {
        let entries = u64::from(self.header.table_entries);
        let within = index % entries;
        let Some(table) = self.table(index)? else {
            return Ok(entries - within);
        };
        let rest = usize::try_from(within)
            .ok()
            .and_then(|at| table.get(at..))
            .unwrap_or_default();
        Ok(rest
            .iter()
            .take_while(|sector| self.is_hole(**sector))
            .count() as u64)
    }

    fn unpack(&self, index: u64, at: u64, packed: &[u8], out: &mut [u8]) -> Result<(), Error> {
        let corrupt = |what: &str| Error::corrupt(FORMAT, format!("grain {index}: {what}"), at);
        let data = if self.header.markers() {
            if le64(packed, 0) != Some(index * self.header.grain_sectors) {
                return Err(corrupt("its marker names another place"));
            }
            let len = le32(packed, 8).and_then(|len| usize::try_from(len).ok());
            len.and_then(|len| packed.get(12..)?.get(..len))
                .ok_or_else(|| corrupt("its marker's size is impossible"))?
        } else {
            packed
        };
        let filled = self
            .inflate(data, out)
            .ok_or_else(|| corrupt("its compressed data is damaged"))?;
        // The disk's last grain may have been stored cut at the disk's end.
        let needed = (self.disk_bytes() - index * out.len() as u64).min(out.len() as u64);
        if (filled as u64) < needed {
            return Err(corrupt("its compressed data is too short"));
        }
        out[filled..].fill(0);
        Ok(())
    }
}
