//! Sealing: hashing what was written, on all processors, and making holes of its zeros.

use super::{CHUNK, MAGIC, NO_DATA, broken, size_of_chunk, sum};
use crate::host::file::{FileAt, FileOut};
use fstree::{ReadAt as _, WriteAt as _};
use rustix::fs::FallocateFlags;
use sha2::{Digest as _, Sha256};
use std::io;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Zeros are looked for, and made holes, in blocks of this size.
const BLOCK: usize = 64 << 10;

/// Seals content that was written to a file: hashes it, makes zeros holes, and writes the seal behind it. Content that has not
/// the sum of what was written is [`io::ErrorKind::InvalidData`]: somebody changed the file meanwhile.
pub(in super::super) fn seal(out: &FileOut, len: u64, key: &str, written: u64) -> io::Result<()> {
    out.set_len(len)?;
    let source = out.read()?;
    let chunks = usize::try_from(len.div_ceil(CHUNK)).map_err(|_| broken())?;
    let looked_at = Mutex::new(vec![(NO_DATA, Vec::new()); chunks]);
    let next = AtomicU64::new(0);
    let read = AtomicU64::new(0);
    let work = || -> io::Result<()> {
        loop {
            let start = next.fetch_add(CHUNK, Ordering::Relaxed);
            if start >= len {
                return Ok(());
            }
            let index = usize::try_from(start / CHUNK).map_err(|_| broken())?;
            let found = look_at(&source, out, start, &read)?;
            looked_at.lock().map_err(|_| broken())?[index] = found;
        }
    };
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(chunks.max(1));
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .try_for_each(|it| it.join().map_err(|_| broken())?)
    })?;
    if read.into_inner() != written {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it was changed while it was written",
        ));
    }
    let chunks = looked_at.into_inner().map_err(|_| broken())?;
    let mut runs: Vec<Range<u64>> = Vec::new();
    for run in chunks.iter().flat_map(|(_, runs)| runs) {
        match runs.last_mut() {
            Some(last) if last.end == run.start => last.end = run.end,
            _ => runs.push(run.clone()),
        }
    }
    let mut seal = MAGIC.to_vec();
    seal.extend(len.to_le_bytes());
    seal.extend((key.len() as u64).to_le_bytes());
    seal.extend(key.as_bytes());
    seal.extend((runs.len() as u64).to_le_bytes());
    seal.extend(
        runs.iter()
            .flat_map(|it| [it.start, it.end])
            .flat_map(u64::to_le_bytes),
    );
    seal.extend(chunks.iter().flat_map(|(digest, _)| digest));
    let digest = Sha256::digest(&seal);
    seal.extend((seal.len() as u64).to_le_bytes());
    seal.extend(digest);
    out.write_all_at(&seal, len)
}

/// Returns a chunk's digest and its runs of data, adds its sum, and makes holes of what is zero.
fn look_at(
    source: &FileAt,
    out: &FileOut,
    start: u64,
    read: &AtomicU64,
) -> io::Result<([u8; 32], Vec<Range<u64>>)> {
    let end = start + size_of_chunk(start, source.size()) as u64;
    if source.next_data(start)?.is_none_or(|it| it.start >= end) {
        return Ok((NO_DATA, Vec::new()));
    }
    let mut chunk = vec![0; size_of_chunk(start, source.size())];
    source.read_exact_at(&mut chunk, start)?;
    read.fetch_add(sum::of(&chunk, start), Ordering::Relaxed);
    let mut runs: Vec<Range<u64>> = Vec::new();
    let mut at = start;
    for block in chunk.chunks(BLOCK) {
        let end = at + block.len() as u64;
        if is_zero(block) {
            // A file system that cannot do it keeps the zeros.
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            let _ = rustix::fs::fallocate(out.file(), flags, at, end - at);
        } else {
            match runs.last_mut() {
                Some(last) if last.end == at => last.end = end,
                _ => runs.push(at..end),
            }
        }
        at = end;
    }
    let digest = if runs.is_empty() {
        NO_DATA
    } else {
        Sha256::digest(&chunk).into()
    };
    Ok((digest, runs))
}

fn is_zero(block: &[u8]) -> bool {
    let (words, rest) = block.as_chunks::<64>();
    words
        .iter()
        .all(|it| it.iter().fold(0, |sum, byte| sum | byte) == 0)
        && rest.iter().all(|it| *it == 0)
}
