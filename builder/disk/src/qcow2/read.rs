//! Reading a qcow2 image as the disk it holds.
//!
//! QEMU, docs/interop/qcow2, section "Cluster mapping". The L1 table is held, L2 tables are loaded as they are needed and a
//! bounded number is kept. Reference counts are not read.

use super::FORMAT;
use super::header::{Header, Method};
use crate::clusters::{ClusterMap, Clustered, Kept, Place};
use crate::error::Error;
use crate::fields::be64;
use flate2::{Decompress, FlushDecompress, Status};
use fstree::ReadAt;
use libdeflater::Decompressor;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use zstd::zstd_safe;

/// Bytes of L2 tables kept.
const L2_BUDGET: u64 = 16 << 20;
/// The bits of a table entry that hold a host offset.
const OFFSET_MASK: u64 = 0x00ff_ffff_ffff_fe00;
const COMPRESSED: u64 = 1 << 62;
/// Version 3: the cluster reads as zero, whether or not it has a place.
const READS_ZERO: u64 = 1;

/// A qcow2 image, seen as the disk it holds.
pub struct Qcow2(Clustered<Map>);

struct Map {
    source: Arc<dyn ReadAt>,
    header: Header,
    l1: Vec<u64>,
    l2: Kept<Vec<u64>>,
    inflaters: Mutex<Vec<Decompressor>>,
    /// Slower ones, that tell where a stream ends.
    streams: Mutex<Vec<Decompress>>,
}

/// An L2 table and where it stands in the image.
type L2Table = (u64, Arc<Vec<u64>>);

/// Opens the image in `source`.
pub fn open(source: Arc<dyn ReadAt>) -> Result<Qcow2, Error> {
    let header = Header::read(&source)?;
    let l1 = read_table(&source, header.l1_offset, header.l1_entries, "the L1 table")?;
    let kept = L2_BUDGET / header.cluster_bytes();
    let l2 = Kept::new(usize::try_from(kept).unwrap_or(8));
    Ok(Qcow2(Clustered::new(Map {
        source,
        header,
        l1,
        l2,
        inflaters: Mutex::default(),
        streams: Mutex::default(),
    })))
}

impl Qcow2 {
    /// Returns the bytes of one cluster.
    pub fn cluster_bytes(&self) -> usize {
        self.0.map().cluster_bytes()
    }

    /// Returns whether clusters that are compressed are DEFLATE streams.
    pub fn deflates(&self) -> bool {
        matches!(self.0.map().header.method, Method::Deflate)
    }

    /// Appends the `len` bytes that the compressed cluster numbered `index` begins with; appends nothing and returns `false` if there
    /// are not so many.
    pub(super) fn append_stream(
        &self,
        index: u64,
        len: usize,
        stream: &mut Vec<u8>,
    ) -> Result<bool, Error> {
        let start = stream.len();
        if let Place::Compressed(at, most) = self.0.map().place(index)? {
            self.0.append_packed((index, at, most.min(len)), stream)?;
        }
        let whole = stream.len() - start == len;
        if !whole {
            stream.truncate(start);
        }
        Ok(whole)
    }

    /// Appends the DEFLATE stream (RFC 1951) that the cluster numbered `index` is stored as to `stream`, and fills `content`,
    /// which is one cluster long, with its bytes; appends nothing and returns `false` if it is stored otherwise.
    pub fn deflated(
        &self,
        index: u64,
        stream: &mut Vec<u8>,
        content: &mut [u8],
    ) -> Result<bool, Error> {
        let map = self.0.map();
        let (true, Place::Compressed(at, most)) = (self.deflates(), map.place(index)?) else {
            return Ok(false);
        };
        let start = stream.len();
        self.0.append_packed((index, at, most), stream)?;
        // What is damaged is told by whoever reads it.
        let len = map.inflate_to_end(&stream[start..], content);
        stream.truncate(start + len.unwrap_or(0));
        Ok(len.is_some())
    }
}

impl std::fmt::Debug for Qcow2 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Qcow2({:?})", self.0.map().header)
    }
}

impl ReadAt for Qcow2 {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        self.0.next_data(offset)
    }
}

/// Reads `entries` big-endian integers; the caller has bounded their number.
fn read_table(source: &dyn ReadAt, at: u64, entries: u64, what: &str) -> Result<Vec<u64>, Error> {
    let mut bytes = vec![0; usize::try_from(entries * 8).unwrap_or(usize::MAX)];
    source
        .read_exact_at(&mut bytes, at)
        .map_err(Error::io(format!("reading {what} at byte {at}")))?;
    Ok(bytes
        .chunks_exact(8)
        .map(|entry| be64(entry, 0).unwrap_or(0))
        .collect())
}

impl Map {
    /// Returns the offset of the L2 table of an L1 entry, checked, or `None` if there is none.
    fn l2_offset(&self, l1_index: u64) -> Result<Option<u64>, Error> {
        let entry = usize::try_from(l1_index)
            .ok()
            .and_then(|index| self.l1.get(index))
            .copied();
        let at = self.header.l1_offset + l1_index * 8;
        let offset = entry.ok_or_else(|| Error::corrupt(FORMAT, "no L1 entry", at))? & OFFSET_MASK;
        if offset == 0 {
            return Ok(None);
        }
        let end = offset.checked_add(self.header.cluster_bytes());
        if !offset.is_multiple_of(self.header.cluster_bytes())
            || end.is_none_or(|end| end > self.source.size())
        {
            return Err(Error::corrupt(
                FORMAT,
                format!("an L2 table at byte {offset}"),
                at,
            ));
        }
        Ok(Some(offset))
    }

    /// Returns the L2 table of a cluster and its offset, or `None` if there is none.
    fn l2_table(&self, index: u64) -> Result<Option<L2Table>, Error> {
        let entries = self.header.l2_entries();
        let Some(offset) = self.l2_offset(index / entries)? else {
            return Ok(None);
        };
        let table = self.l2.get(offset, || {
            read_table(&self.source, offset, entries, "an L2 table")
        })?;
        Ok(Some((offset, table)))
    }

    /// Returns whether an L2 entry is a cluster that reads as zero.
    fn reads_zero(&self, entry: u64) -> bool {
        entry & COMPRESSED == 0
            && (entry & OFFSET_MASK == 0 || (self.header.version >= 3 && entry & READS_ZERO != 0))
    }

    fn place_of(&self, entry: u64, at: u64) -> Result<Place, Error> {
        if entry & COMPRESSED != 0 {
            // The host offset takes the low bits; above it stands the number of further sectors.
            let shift = 62 - (self.header.cluster_bits - 8);
            let offset = entry & ((1 << shift) - 1);
            let sectors = (entry & (COMPRESSED - 1)) >> shift;
            if offset >= self.source.size() {
                return Err(Error::corrupt(
                    FORMAT,
                    format!("a compressed cluster at byte {offset}"),
                    at,
                ));
            }
            let most = (sectors + 1) * 512 - (offset & 511);
            return Ok(Place::Compressed(
                offset,
                usize::try_from(most).unwrap_or(usize::MAX),
            ));
        }
        if self.reads_zero(entry) {
            return Ok(Place::Hole);
        }
        let offset = entry & OFFSET_MASK;
        if !offset.is_multiple_of(self.header.cluster_bytes()) || offset >= self.source.size() {
            return Err(Error::corrupt(
                FORMAT,
                format!("a cluster at byte {offset}"),
                at,
            ));
        }
        Ok(Place::Plain(offset))
    }

    fn inflate(&self, packed: &[u8], out: &mut [u8]) -> Option<()> {
        let pool = || {
            self.inflaters
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        let idle = pool().pop();
        let mut inflater = idle.unwrap_or_default();
        let result = inflater.deflate_decompress(packed, out);
        pool().push(inflater);
        (result.ok()? == out.len()).then_some(())
    }

    /// Fills `out` with what the stream at the front of `packed` holds, neither more nor less, and returns the stream's length.
    fn inflate_to_end(&self, packed: &[u8], out: &mut [u8]) -> Option<usize> {
        let pool = || self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = pool().pop();
        let mut stream = idle.unwrap_or_else(|| Decompress::new(false));
        stream.reset(false);
        let status = stream.decompress(packed, out, FlushDecompress::Finish);
        let (read, filled) = (stream.total_in(), stream.total_out());
        pool().push(stream);
        let whole = matches!(status, Ok(Status::StreamEnd)) && filled == out.len() as u64;
        usize::try_from(read).ok().filter(|_| whole)
    }
}

/// Decompresses frames from the front of `packed`, which ends with unrelated bytes, until `out` is full.
fn unzstd(packed: &[u8], out: &mut [u8]) -> Option<()> {
    let (mut packed, mut filled) = (packed, 0);
    while filled < out.len() {
        let frame = zstd_safe::find_frame_compressed_size(packed).ok()?;
        let n = zstd::bulk::decompress_to_buffer(packed.get(..frame)?, &mut out[filled..]).ok()?;
        packed = packed.get(frame..).filter(|_| n > 0)?;
        filled += n;
    }
    Some(())
}

impl ClusterMap for Map {
    fn cluster_bytes(&self) -> usize {
        1 << self.header.cluster_bits
    }

    fn disk_bytes(&self) -> u64 {
        self.header.disk_bytes
    }

    fn source(&self) -> &Arc<dyn ReadAt> {
        &self.source
    }

    fn place(&self, index: u64) -> Result<Place, Error> {
        let Some((offset, table)) = self.l2_table(index)? else {
            return Ok(Place::Hole);
        };
        let within = index % self.header.l2_entries();
        let entry = usize::try_from(within)
            .ok()
            .and_then(|at| table.get(at))
            .copied()
            .unwrap_or(0);
        self.place_of(entry, offset + within * 8)
    }

    fn holes(&self, index: u64) -> Result<u64, Error> {
        let within = index % self.header.l2_entries();
        let Some((_, table)) = self.l2_table(index)? else {
            return Ok(self.header.l2_entries() - within);
        };
        let rest = usize::try_from(within)
            .ok()
            .and_then(|at| table.get(at..))
            .unwrap_or_default();
        Ok(rest
            .iter()
            .take_while(|entry| self.reads_zero(**entry))
            .count() as u64)
    }

    fn unpack(&self, index: u64, at: u64, packed: &[u8], out: &mut [u8]) -> Result<(), Error> {
        let done = match self.header.method {
            Method::Deflate => self.inflate(packed, out),
            Method::Zstd => unzstd(packed, out),
        };
        done.ok_or_else(|| {
            Error::corrupt(
                FORMAT,
                format!("the compressed data of cluster {index}"),
                at,
            )
        })
    }
}
