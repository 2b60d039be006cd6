//! Pieces of a volume read by several threads, and taken in order by one.
//!
//! A volume inside a compressed image has to be inflated to be read, which is most of the work. Of so many threads each
//! reads every so-many-th piece, and is two ahead at most. What comes out, the first error included, does not depend on how
//! many there are.

use super::volume::read;
use crate::error::Error;
use crate::le::index;
use fstree::ReadAt;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::mpsc::{self, SyncSender};
use std::thread;

/// Pieces that wait for their turn, for each thread.
const AHEAD: usize = 2;

/// Reads `pieces`, ranges of bytes, and calls `take` with each one's place in the list and its bytes.
pub(super) fn in_order(
    source: &dyn ReadAt,
    what: &'static str,
    pieces: &[Range<u64>],
    jobs: NonZeroUsize,
    mut take: impl FnMut(usize, &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let jobs = jobs.get().min(pieces.len());
    let piece = |piece: &Range<u64>, bytes: &mut Vec<u8>| {
        bytes.resize(index(piece.end - piece.start), 0);
        read(source, what, piece.start, bytes)
    };
    if jobs <= 1 {
        let mut bytes = Vec::new();
        return pieces.iter().enumerate().try_for_each(|(n, it)| {
            piece(it, &mut bytes)?;
            take(n, &bytes)
        });
    }
    let serve = |first: usize, to: &SyncSender<_>| {
        for it in pieces.iter().skip(first).step_by(jobs) {
            let mut bytes = Vec::new();
            // Nobody takes it any more after an error.
            if to.send(piece(it, &mut bytes).map(|()| bytes)).is_err() {
                return;
            }
        }
    };
    thread::scope(|scope| {
        let lines: Vec<_> = (0..jobs)
            .map(|first| {
                let (to, line) = mpsc::sync_channel::<Result<Vec<u8>, Error>>(AHEAD);
                scope.spawn(move || serve(first, &to));
                line
            })
            .collect();
        for n in 0..pieces.len() {
            // A thread that ends early has panicked, and the scope hands that on.
            let Ok(bytes) = lines[n % jobs].recv() else {
                return Ok(());
            };
            take(n, &bytes?)?;
        }
        Ok(())
    })
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
        let mut pieces: Vec<_> = (0..60).map(|it| it * 3..it * 3 + it % 5).collect();
        for jobs in [1, 2, 3, 100] {
            let (taken, result) = self::taken(&pieces, jobs);
            result.unwrap();
            assert_eq!(taken.len(), 60);
            for (piece, bytes) in pieces.iter().zip(&taken) {
                let expected: Vec<u8> = piece.clone().map(|it| it.to_le_bytes()[0]).collect();
                assert_eq!(*bytes, expected, "{jobs} threads");
            }
        }
        pieces[40] = 190..300;
        pieces[50] = 190..400;
        for jobs in [1, 2, 3, 100] {
            let (taken, result) = self::taken(&pieces, jobs);
            assert_eq!(taken.len(), 40, "{jobs} threads");
            assert!(matches!(result, Err(Error::Io { at: 190, .. })));
        }
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
