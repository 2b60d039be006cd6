//! Where a regular file's bytes are. Never the bytes of a large file, never an open file.

use crate::bytes::{ReadAt, past_end};
use crate::mosaic::MosaicBuilder;
use crate::origin::Origin;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// Where a regular file's bytes are.
#[derive(Clone)]
pub enum Content {
    /// Bytes held here.
    Inline(Arc<[u8]>),
    /// Runs of a larger source; gaps between them are holes.
    Extents {
        /// What the runs are of.
        source: Arc<dyn ReadAt>,
        /// Runs by rising file offset, without overlap, none empty, none past `len`.
        runs: Arc<[Run]>,
        /// The file's size in bytes.
        len: u64,
    },
}

/// Bytes of a file that stand together in its source. All in bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Run {
    /// Offset in the file.
    pub at: u64,
    /// Offset in the source.
    pub from: u64,
    /// Length.
    pub len: u64,
}

impl Content {
    /// Returns content held in memory.
    pub fn inline(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self::Inline(bytes.into())
    }

    /// Returns `len` bytes of `source` from `from`, as one run.
    pub fn range(source: Arc<dyn ReadAt>, from: u64, len: u64) -> Self {
        let runs: Arc<[Run]> = if len == 0 {
            Arc::new([])
        } else {
            Arc::new([Run { at: 0, from, len }])
        };
        Self::Extents { source, runs, len }
    }

    /// Returns the file's size in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::Extents { len, .. } => *len,
        }
    }

    /// Returns whether the file has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the runs of data: one for inline content, none for an empty file.
    pub fn runs(&self) -> Vec<Run> {
        match self {
            Self::Inline(bytes) if bytes.is_empty() => Vec::new(),
            Self::Inline(bytes) => vec![Run {
                at: 0,
                from: 0,
                len: bytes.len() as u64,
            }],
            Self::Extents { runs, .. } => runs.to_vec(),
        }
    }

    /// Returns the offset of the first data in the source: a key that keeps files of one source in its order.
    pub fn first_offset(&self) -> Option<u64> {
        match self {
            Self::Inline(_) => None,
            Self::Extents { runs, .. } => runs.first().map(|run| run.from),
        }
    }

    /// Places the bytes `start..start + len` of the file at `at`; holes place nothing.
    pub fn place(&self, mosaic: &mut MosaicBuilder, start: u64, len: u64, at: u64) {
        let end = start + len;
        for run in self.runs() {
            let (from, to) = (run.at.max(start), (run.at + run.len).min(end));
            if from < to {
                mosaic.place(
                    at + (from - start),
                    self.source(),
                    run.from + (from - run.at),
                    to - from,
                );
            }
        }
    }

    /// Returns the whole content, or an error if it is longer than `limit` bytes.
    pub fn read_all(&self, limit: u64) -> io::Result<Vec<u8>> {
        if self.len() > limit {
            let text = format!("file of {} bytes is longer than {limit}", self.len());
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
        let mut bytes = vec![0; usize::try_from(self.len()).map_err(|_| past_end())?];
        self.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    fn source(&self) -> Arc<dyn ReadAt> {
        match self {
            Self::Inline(bytes) => Arc::new(bytes.clone()),
            Self::Extents { source, .. } => source.clone(),
        }
    }
}

impl ReadAt for Content {
    fn size(&self) -> u64 {
        self.len()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let (source, runs, len) = match self {
            Self::Inline(bytes) => return bytes.read_exact_at(buf, offset),
            Self::Extents { source, runs, len } => (source, runs, len),
        };
        let end = offset
            .checked_add(buf.len() as u64)
            .filter(|it| it <= len)
            .ok_or_else(past_end)?;
        buf.fill(0);
        let first = runs.partition_point(|run| run.at + run.len <= offset);
        for run in runs[first..].iter().take_while(|run| run.at < end) {
            let (from, to) = (run.at.max(offset), (run.at + run.len).min(end));
            let index = |it: u64| usize::try_from(it - offset).expect("within buf");
            source.read_exact_at(&mut buf[index(from)..index(to)], run.from + (from - run.at))?;
        }
        Ok(())
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        let runs = self.runs();
        let first = runs.partition_point(|run| run.at + run.len <= offset);
        Ok(runs
            .get(first)
            .map(|run| run.at.max(offset)..run.at + run.len))
    }

    fn origins(&self, range: Range<u64>, tell: &mut dyn FnMut(Range<u64>, Origin)) {
        let Self::Extents { source, runs, .. } = self else {
            if !range.is_empty() {
                tell(range, Origin::Unnamed);
            }
            return;
        };
        let mut at = range.start;
        let first = runs.partition_point(|run| run.at + run.len <= at);
        for run in runs[first..].iter().take_while(|run| run.at < range.end) {
            if at < run.at {
                tell(at..run.at, Origin::Zeros);
                at = run.at;
            }
            let (to, here) = ((run.at + run.len).min(range.end), run.at);
            let from = run.from;
            source.origins(
                from + (at - here)..from + (to - here),
                &mut |part, origin| {
                    tell(part.start - from + here..part.end - from + here, origin);
                },
            );
            at = to;
        }
        if at < range.end {
            tell(at..range.end, Origin::Zeros);
        }
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Inline(bytes) => write!(f, "Inline({} B)", bytes.len()),
            Self::Extents { runs, len, .. } => write!(f, "Extents({len} B in {} runs)", runs.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_read_as_zero_and_place_nothing() {
        let source: Arc<dyn ReadAt> = Arc::new((0..50u8).collect::<Vec<_>>());
        let runs = [
            Run {
                at: 2,
                from: 10,
                len: 3,
            },
            Run {
                at: 7,
                from: 40,
                len: 2,
            },
        ];
        let content = Content::Extents {
            source,
            runs: Arc::new(runs),
            len: 10,
        };
        let bytes = content.read_all(10).unwrap();
        assert_eq!(bytes, [0, 0, 10, 11, 12, 0, 0, 40, 41, 0]);
        assert!(content.read_all(9).is_err());
        let mut builder = MosaicBuilder::new();
        content.place(&mut builder, 3, 5, 100);
        let mosaic = builder.finish(105).unwrap();
        let mut buf = [9; 5];
        mosaic.read_exact_at(&mut buf, 100).unwrap();
        assert_eq!(buf, [11, 12, 0, 0, 40]);
        assert_eq!(mosaic.next_data(102).unwrap(), Some(104..105));
    }
}
