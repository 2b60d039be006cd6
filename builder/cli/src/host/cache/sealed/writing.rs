//! Sealing: hashing what was written, on all processors, and making holes of its zeros.

use super::{MAGIC, broken, sum};
use crate::host::cache::checked::{CHUNK, NO_DATA};
use crate::host::file::{FileAt, FileOut};
use fstree::{ReadAt as _, WriteAt as _};
use rustix::fs::FallocateFlags;
use sha2::{Digest as _, Sha256};
use std::io;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that one thread looks at as one job: whole chunks.
const PIECE: u64 = 16 * CHUNK as u64;

/// What a piece holds: each chunk's digest, and where data is.
type Piece = (Vec<[u8; 32]>, Vec<Range<u64>>);

/// Seals content that was written to a file: hashes it, makes zeros holes, and writes the seal behind it. Content that has not
/// the sum of what was written is [`io::ErrorKind::InvalidData`]: somebody changed the file meanwhile.
pub(in super::super) fn seal(out: &FileOut, len: u64, key: &str, written: u64) -> io::Result<()> {
    out.set_len(len)?;
    let source = out.read()?;
    let pieces = usize::try_from(len.div_ceil(PIECE)).map_err(|_| broken())?;
    let looked_at = Mutex::new(vec![Piece::default(); pieces]);
    let next = AtomicU64::new(0);
    let read = AtomicU64::new(0);
    let work = || -> io::Result<()> {
        loop {
            let start = next.fetch_add(PIECE, Ordering::Relaxed);
            if start >= len {
                return Ok(());
            }
            let index = usize::try_from(start / PIECE).map_err(|_| broken())?;
            let found = look_at(&source, out, start..len.min(start + PIECE), &read)?;
            looked_at.lock().map_err(|_| broken())?[index] = found;
        }
    };
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(pieces.max(1));
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
    let pieces = looked_at.into_inner().map_err(|_| broken())?;
    let mut runs: Vec<Range<u64>> = Vec::new();
    for run in pieces.iter().flat_map(|(_, runs)| runs) {
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
    seal.extend(
        pieces
            .iter()
            .flat_map(|(digests, _)| digests.as_flattened()),
    );
    let digest = Sha256::digest(&seal);
    seal.extend((seal.len() as u64).to_le_bytes());
    seal.extend(digest);
    out.write_all_at(&seal, len)
}

/// Returns what a piece holds, adds its sum, and makes holes of what is zero.
fn look_at(
    source: &FileAt,
    out: &FileOut,
    range: Range<u64>,
    read: &AtomicU64,
) -> io::Result<Piece> {
    let len = usize::try_from(range.end - range.start).map_err(|_| broken())?;
    let data = source.next_data(range.start)?;
    if data.is_none_or(|it| it.start >= range.end) {
        return Ok((vec![NO_DATA; len.div_ceil(CHUNK)], Vec::new()));
    }
    let mut piece = vec![0; len];
    source.read_exact_at(&mut piece, range.start)?;
    read.fetch_add(sum::of(&piece, range.start), Ordering::Relaxed);
    let mut digests = Vec::new();
    let mut runs: Vec<Range<u64>> = Vec::new();
    let mut at = range.start;
    for chunk in piece.chunks(CHUNK) {
        let end = at + chunk.len() as u64;
        if is_zero(chunk) {
            // A file system that cannot do it keeps the zeros.
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            let _ = rustix::fs::fallocate(out.file(), flags, at, end - at);
            digests.push(NO_DATA);
        } else {
            digests.push(Sha256::digest(chunk).into());
            match runs.last_mut() {
                Some(last) if last.end == at => last.end = end,
                _ => runs.push(at..end),
            }
        }
        at = end;
    }
    Ok((digests, runs))
}

fn is_zero(block: &[u8]) -> bool {
    let (words, rest) = block.as_chunks::<64>();
    words
        .iter()
        .all(|it| it.iter().fold(0, |sum, byte| sum | byte) == 0)
        && rest.iter().all(|it| *it == 0)
}
