//! The data of a disk cut into chunks on a fixed grid, holes left out.
//!
//! The grid makes the cut independent of how a source groups its data, and so of everything but the disk's content and
//! holes. Does not compress and does not write.

use crate::error::Error;
use fstree::ReadAt;
use std::io;
use std::ops::Range;

/// Gives the chunks of a disk that hold data, in order.
pub(crate) struct Chunks<'a> {
    disk: &'a dyn ReadAt,
    len: u64,
    at: u64,
}

impl<'a> Chunks<'a> {
    /// Returns the chunks of `len` bytes; the last one ends with the disk.
    pub(crate) fn new(disk: &'a dyn ReadAt, len: u64) -> Self {
        Self { disk, len, at: 0 }
    }

    /// Returns the next chunk that may hold data.
    pub(crate) fn next(&mut self) -> Result<Option<Range<u64>>, Error> {
        let Some(data) = next_data(self.disk, self.at)
            .map_err(Error::io("asking the disk for its next data"))?
        else {
            return Ok(None);
        };
        let start = data.start - data.start % self.len;
        let end = start.saturating_add(self.len).min(self.disk.size());
        self.at = end;
        Ok(Some(start..end))
    }
}

/// Returns the next data of `disk`, within its size and not before `offset`.
pub(crate) fn next_data(disk: &dyn ReadAt, offset: u64) -> io::Result<Option<Range<u64>>> {
    if offset >= disk.size() {
        return Ok(None);
    }
    let Some(data) = disk.next_data(offset)? else {
        return Ok(None);
    };
    let data = data.start.max(offset)..data.end.min(disk.size());
    Ok((data.start < data.end).then_some(data))
}

/// Reads `chunk` of `disk` into the front of `buf`, and returns the runs of it, relative to its start, that may hold data.
///
/// Runs are whole blocks of `block` bytes (the last may be cut by the disk's end); bytes outside them are left as they
/// were and are zero on the disk. `buf` is at least as long as the chunk.
pub(crate) fn read_runs(
    disk: &dyn ReadAt,
    chunk: &Range<u64>,
    block: u64,
    buf: &mut [u8],
) -> io::Result<Vec<Range<usize>>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    let mut at = chunk.start;
    while let Some(data) = next_data(disk, at)?.filter(|data| data.start < chunk.end) {
        let start = data.start - (data.start - chunk.start) % block;
        let end = data
            .end
            .saturating_add((block - (data.end - chunk.start) % block) % block)
            .min(chunk.end);
        let run = relative(start, chunk)..relative(end, chunk);
        match runs.last_mut() {
            Some(last) if last.end >= run.start => last.end = run.end,
            _ => runs.push(run),
        }
        at = end;
        if at >= chunk.end {
            break;
        }
    }
    for run in &runs {
        disk.read_exact_at(&mut buf[run.clone()], chunk.start + run.start as u64)?;
    }
    Ok(runs)
}

/// Returns how far `offset` stands behind the start of its chunk; a chunk always fits in memory.
fn relative(offset: u64, chunk: &Range<u64>) -> usize {
    usize::try_from(offset - chunk.start).expect("a chunk fits in memory")
}

#[cfg(test)]
mod tests {
    use super::*;
    use fstree::MosaicBuilder;

    #[test]
    fn chunks_skip_holes_and_runs_are_whole_blocks() {
        let mut builder = MosaicBuilder::new();
        builder.bytes(10, vec![1; 4]);
        builder.bytes(30, vec![2; 2]);
        builder.bytes(230, vec![3; 5]);
        let disk = builder.finish(236).unwrap();
        let mut chunks = Chunks::new(&disk, 64);
        let mut buf = [9; 64];
        let first = chunks.next().unwrap().unwrap();
        assert_eq!(first, 0..64);
        assert_eq!(
            read_runs(&disk, &first, 8, &mut buf).unwrap(),
            [8..16, 24..32]
        );
        assert_eq!(buf[8..17], [0, 0, 1, 1, 1, 1, 0, 0, 9]);
        let last = chunks.next().unwrap().unwrap();
        assert_eq!(last, 192..236);
        let runs = read_runs(&disk, &last, 8, &mut buf).unwrap();
        assert_eq!((runs.len(), &runs[0]), (1, &(32..44)));
        assert_eq!(chunks.next().unwrap(), None);
    }
}
