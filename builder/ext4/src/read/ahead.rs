//! Pieces of a volume read by several threads, and taken in order by one.
//!
//! A volume inside a compressed image has to be inflated to be read, which is most of the work. Of so many threads each
//! reads every so-many-th batch of pieces, and is two ahead at most: one piece, a directory's block, is read sooner than a
//! thread is woken. What comes out, the first error included, does not depend on how many threads there are.

use super::volume::read;
use crate::error::Error;
use crate::le::index;
use fstree::ReadAt;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::mpsc::{self, SyncSender};
use std::thread;

/// Batches that wait for their turn, for each thread.
const AHEAD: usize = 2;
/// Bytes of a batch, but for one of a single piece, and pieces, each of which may need inflating for itself.
const BATCH_BYTES: u64 = 256 << 10;
const BATCH_PIECES: usize = 32;

/// Reads `pieces`, ranges of bytes, and calls `take` with each one's place in the list and its bytes.
pub(super) fn in_order(
    source: &dyn ReadAt,
    what: &'static str,
    pieces: &[Range<u64>],
    jobs: NonZeroUsize,
    mut take: impl FnMut(usize, &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let piece = |piece: &Range<u64>| {
        let mut bytes = vec![0; index(piece.end - piece.start)];
        read(source, what, piece.start, &mut bytes).map(|()| bytes)
    };
    let batches = batches(pieces);
    let jobs = jobs.get().min(batches.len());
    if jobs <= 1 {
        let mut pieces = pieces.iter().enumerate();
        return pieces.try_for_each(|(n, it)| take(n, &piece(it)?));
    }
    let serve = |first: usize, to: &SyncSender<_>| {
        for it in batches.iter().skip(first).step_by(jobs) {
            let batch: Vec<_> = pieces[it.clone()].iter().map(piece).collect();
            // Nobody takes it any more after an error.
            if to.send(batch).is_err() {
                return;
            }
        }
    };
    thread::scope(|scope| {
        let lines: Vec<_> = (0..jobs)
            .map(|first| {
                let (to, line) = mpsc::sync_channel(AHEAD);
                scope.spawn(move || serve(first, &to));
                line
            })
            .collect();
        for (n, range) in batches.iter().enumerate() {
            // A thread that ends early has panicked, and the scope hands that on.
            let Ok(batch) = lines[n % jobs].recv() else {
                return Ok(());
            };
            for (n, bytes) in range.clone().zip(batch) {
                take(n, &bytes?)?;
            }
        }
        Ok(())
    })
}

/// Cuts a list of pieces into batches: ranges of it.
fn batches(pieces: &[Range<u64>]) -> Vec<Range<usize>> {
    let mut batches: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (n, piece) in pieces.iter().enumerate() {
        bytes += piece.end - piece.start;
        match batches.last_mut() {
            Some(last) if last.len() < BATCH_PIECES && bytes <= BATCH_BYTES => last.end = n + 1,
            _ => {
                bytes = piece.end - piece.start;
                batches.push(n..n + 1);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(pieces: &[Range<u64>], jobs: usize) -> (Vec<Vec<u8>>, Result<(), Error>) {
        let source: Vec<u8> = (0..200).collect();
        let mut taken = Vec::new();
        let jobs = NonZeroUsize::new(jobs).unwrap();
        let result = in_order(&source, "a piece", pieces, jobs, |n, bytes| {
            assert_eq!(n, taken.len());
            taken.push(bytes.to_vec());
            Ok(())
        });
        (taken, result)
    }

    #[test]
    fn pieces_come_in_order_up_to_the_first_that_cannot_be_read() {
        let piece = |it: u64| it % 60 * 3..it % 60 * 3 + it % 5;
        let mut pieces: Vec<_> = (0..300).map(piece).collect();
        for jobs in [1, 2, 3, 100] {
            let (taken, result) = self::taken(&pieces, jobs);
            result.unwrap();
            assert_eq!(taken.len(), 300);
            for (piece, bytes) in pieces.iter().zip(&taken) {
                let expected: Vec<u8> = piece.clone().map(|it| it.to_le_bytes()[0]).collect();
                assert_eq!(*bytes, expected, "{jobs} threads");
            }
        }
        // The first of a batch, one within it, its last.
        for at in [128, 140, 159] {
            let mut pieces = pieces.clone();
            pieces[at] = 190..300;
            pieces[at + 20] = 191..400;
            for jobs in [1, 2, 3, 100] {
                let (taken, result) = self::taken(&pieces, jobs);
                assert_eq!(taken.len(), at, "{jobs} threads");
                assert!(matches!(result, Err(Error::Io { at: 190, .. })));
            }
        }
        pieces.clear();
        let (taken, result) = self::taken(&pieces, 2);
        assert!(taken.is_empty() && result.is_ok());
    }

    #[test]
    fn a_batch_has_so_many_bytes_and_pieces_at_most() {
        let small = vec![0..4096; 70];
        assert_eq!(batches(&small), [0..32, 32..64, 64..70]);
        let large = vec![0..100 << 10; 5];
        assert_eq!(batches(&large), [0..2, 2..4, 4..5]);
        assert_eq!(batches(&vec![0..1 << 20; 2]), [0..1, 1..2]);
        assert_eq!(batches(&[]), []);
    }

    #[test]
    fn an_error_of_the_taker_ends_it() {
        let pieces: Vec<_> = (0..100).map(|it| it..it + 1).collect();
        let mut count = 0;
        let jobs = NonZeroUsize::new(2).unwrap();
        let result = in_order(&vec![7; 200], "a piece", &pieces, jobs, |_, _| {
            count += 1;
            Err(Error::NotExt4("no"))
        });
        assert!(matches!(result, Err(Error::NotExt4("no"))));
        assert_eq!(count, 1);
    }
}
