//! Writing a disk as its own bytes, holes left unwritten, and the map of what was written.
//!
//! Blocks of 4 KiB that are all zero are holes too, whatever the source calls them. The caller sets the file's length, and
//! hashes what it is shown.

use crate::chunks::{Chunks, read_runs};
use crate::error::Error;
use crate::fields::is_zero;
use crate::ordered;
use crate::spare::Spare;
use fstree::{ReadAt, WriteAt};
use std::num::NonZeroUsize;
use std::ops::Range;

/// Bytes of a block, the unit of the data map.
pub const BLOCK_BYTES: usize = 4096;
const CHUNK_BYTES: usize = 2 << 20;

/// Data of the disk, as it is written: neighbours are shown one after the other, holes are left out.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// The offset on the disk; a multiple of the block.
    pub offset: u64,
    /// The bytes there; whole blocks, but for the disk's last.
    pub bytes: &'a [u8],
}

/// Writes `disk` to `out`, which reads as zero where nothing was written.
///
/// Writes are made by `jobs` threads in no order; `show` sees every piece in the order of the disk, each once, whether or
/// not it is written yet.
pub fn write(
    disk: &dyn ReadAt,
    jobs: NonZeroUsize,
    out: &dyn WriteAt,
    show: &mut dyn FnMut(Piece<'_>),
) -> Result<DataMap, Error> {
    let mut chunks = Chunks::new(disk, CHUNK_BYTES as u64);
    let mut map = DataMap {
        size: disk.size(),
        ranges: Vec::new(),
    };
    let spare = Spare::default();
    ordered::run(
        jobs,
        || chunks.next(),
        || (),
        |(), chunk| {
            let mut bytes = spare.take();
            bytes.resize(CHUNK_BYTES, 0);
            let runs = data_runs(disk, &chunk, &mut bytes).map_err(Error::io(format!(
                "reading the disk at byte {}",
                chunk.start
            )))?;
            for run in &runs {
                let at = chunk.start + run.start as u64;
                out.write_all_at(&bytes[run.clone()], at)
                    .map_err(Error::io(format!("writing the disk at byte {at}")))?;
            }
            Ok((chunk, runs, bytes))
        },
        |(chunk, runs, bytes)| {
            for run in runs {
                let offset = chunk.start + run.start as u64;
                map.add(offset..chunk.start + run.end as u64);
                show(Piece {
                    offset,
                    bytes: &bytes[run],
                });
            }
            spare.give(bytes);
            Ok(())
        },
    )?;
    Ok(map)
}

/// Reads a chunk and returns its runs of blocks that are not all zero.
fn data_runs(
    disk: &dyn ReadAt,
    chunk: &Range<u64>,
    bytes: &mut [u8],
) -> std::io::Result<Vec<Range<usize>>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for run in read_runs(disk, chunk, BLOCK_BYTES as u64, bytes)? {
        for start in run.clone().step_by(BLOCK_BYTES) {
            let end = (start + BLOCK_BYTES).min(run.end);
            if is_zero(&bytes[start..end]) {
                continue;
            }
            match runs.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => runs.push(start..end),
            }
        }
    }
    Ok(runs)
}

/// The parts of a disk that hold data.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DataMap {
    /// The disk's size in bytes.
    pub size: u64,
    /// Byte ranges in order, none touching another; they begin, and but for the disk's end end, at whole blocks.
    pub ranges: Vec<Range<u64>>,
}

impl DataMap {
    fn add(&mut self, range: Range<u64>) {
        match self.ranges.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.ranges.push(range),
        }
    }

    /// Returns the number of blocks that hold data.
    pub fn mapped_blocks(&self) -> u64 {
        self.ranges
            .iter()
            .map(|range| (range.end - range.start).div_ceil(BLOCK_BYTES as u64))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fstree::MosaicBuilder;
    use std::sync::Mutex;

    struct Memory(Mutex<Vec<u8>>);

    impl WriteAt for Memory {
        fn write_all_at(&self, buf: &[u8], offset: u64) -> std::io::Result<()> {
            let at = usize::try_from(offset).unwrap();
            self.0.lock().unwrap()[at..at + buf.len()].copy_from_slice(buf);
            Ok(())
        }
    }

    #[test]
    fn data_is_written_shown_in_order_and_mapped() {
        let mut builder = MosaicBuilder::new();
        builder.bytes(5000, vec![1; 10]);
        builder.bytes(8192, vec![2; 4096]);
        // Zeros that the source calls data are holes all the same.
        builder.bytes(40_960, vec![0; 8192]);
        builder.bytes((4 << 20) + 100, vec![3; 11]);
        let disk = builder.finish((4 << 20) + 111).unwrap();
        for jobs in [1, 2, 4] {
            let out = Memory(Mutex::new(vec![0; (4 << 20) + 111]));
            let mut shown = Vec::new();
            let map = write(
                &disk,
                NonZeroUsize::new(jobs).unwrap(),
                &out,
                &mut |piece| {
                    shown.push(piece.offset..piece.offset + piece.bytes.len() as u64);
                },
            )
            .unwrap();
            assert_eq!(map.ranges, [4096..12_288, 4 << 20..(4 << 20) + 111]);
            assert_eq!(map.mapped_blocks(), 3);
            assert_eq!(shown, map.ranges);
            let mut whole = vec![0; (4 << 20) + 111];
            disk.read_exact_at(&mut whole, 0).unwrap();
            assert!(*out.0.lock().unwrap() == whole);
        }
    }
}
