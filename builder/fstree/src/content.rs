//! Where a regular file's bytes are. Never the bytes of a large file, never an open file.

use crate::bytes::{ReadAt, past_end};
use crate::mosaic::MosaicBuilder;
use crate::origin::{Origin, tell_moved};
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// Where a regular file's bytes are. A file in one piece, as nearly all are, takes no memory but this.
#[derive(Clone)]
pub enum Content {
    /// Bytes held here.
    Inline(Arc<[u8]>),
    /// Bytes of a larger source that stand together.
    Range {
        /// What they are of.
        source: Arc<dyn ReadAt>,
        /// Where they begin in it.
        from: u64,
        /// The file's size in bytes.
        len: u64,
    },
    /// Runs of a larger source.
    Extents(Arc<Extents>),
}

/// Runs of a larger source; gaps between them are holes.
pub struct Extents {
    /// What the runs are of.
    source: Arc<dyn ReadAt>,
    /// Runs by rising file offset, without overlap, none empty, none past `len`.
    runs: Box<[Run]>,
    /// The file's size in bytes.
    len: u64,
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

    /// Returns `len` bytes of `source` from `from`.
    pub fn range(source: Arc<dyn ReadAt>, from: u64, len: u64) -> Self {
        Self::Range { source, from, len }
    }

    /// Returns runs of `source`, by rising file offset, without overlap, none empty, none past `len`; between them are holes.
    pub fn extents(source: Arc<dyn ReadAt>, runs: impl Into<Box<[Run]>>, len: u64) -> Self {
        let runs = runs.into();
        match *runs {
            [run] if run.at == 0 && run.len == len => Self::range(source, run.from, len),
            _ => Self::Extents(Arc::new(Extents { source, runs, len })),
        }
    }

    /// Returns the file's size in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::Range { len, .. } => *len,
            Self::Extents(extents) => extents.len,
        }
    }

    /// Returns whether the file has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the runs of data: one for inline content, none for an empty file.
    pub fn runs(&self) -> Vec<Run> {
        let one = |from, len| match len {
            0 => Vec::new(),
            _ => vec![Run { at: 0, from, len }],
        };
        match self {
            Self::Inline(bytes) => one(0, bytes.len() as u64),
            Self::Range { from, len, .. } => one(*from, *len),
            Self::Extents(extents) => extents.runs.to_vec(),
        }
    }

    /// Returns the offset of the first data in the source: a key that keeps files of one source in its order.
    pub fn first_offset(&self) -> Option<u64> {
        match self {
            Self::Inline(_) => None,
            Self::Range { from, len, .. } => (*len > 0).then_some(*from),
            Self::Extents(extents) => extents.runs.first().map(|run| run.from),
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
            Self::Range { source, .. } => source.clone(),
            Self::Extents(extents) => extents.source.clone(),
        }
    }
}

impl ReadAt for Content {
    fn size(&self) -> u64 {
        self.len()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset
            .checked_add(buf.len() as u64)
            .filter(|it| *it <= self.len())
            .ok_or_else(past_end)?;
        match self {
            Self::Inline(bytes) => bytes.read_exact_at(buf, offset),
            // Nothing is asked of the source for nothing.
            Self::Range { .. } if buf.is_empty() => Ok(()),
            Self::Range { source, from, .. } => source.read_exact_at(buf, from + offset),
            Self::Extents(extents) => extents.read(buf, offset..end),
        }
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        Ok(match self {
            Self::Inline(_) | Self::Range { .. } => {
                (offset < self.len()).then(|| offset..self.len())
            }
            Self::Extents(extents) => {
                let run = extents.from(offset).first();
                run.map(|run| run.at.max(offset)..run.at + run.len)
            }
        })
    }

    fn origins(&self, range: Range<u64>, tell: &mut dyn FnMut(Range<u64>, Origin)) {
        if range.is_empty() {
            return;
        }
        match self {
            Self::Inline(_) => tell(range, Origin::Unnamed),
            Self::Range { source, from, .. } => {
                let there = from + range.start..from + range.end;
                tell_moved(source, there, range.start, tell);
            }
            Self::Extents(extents) => extents.origins(range, tell),
        }
    }
}

impl Extents {
    /// Returns the runs that end after `offset`.
    fn from(&self, offset: u64) -> &[Run] {
        let first = self.runs.partition_point(|run| run.at + run.len <= offset);
        &self.runs[first..]
    }

    fn read(&self, buf: &mut [u8], range: Range<u64>) -> io::Result<()> {
        buf.fill(0);
        for run in self
            .from(range.start)
            .iter()
            .take_while(|run| run.at < range.end)
        {
            let (from, to) = (run.at.max(range.start), (run.at + run.len).min(range.end));
            let index = |it: u64| usize::try_from(it - range.start).expect("within buf");
            let part = &mut buf[index(from)..index(to)];
            self.source
                .read_exact_at(part, run.from + (from - run.at))?;
        }
        Ok(())
    }

    fn origins(&self, range: Range<u64>, tell: &mut dyn FnMut(Range<u64>, Origin)) {
        let mut at = range.start;
        for run in self.from(at).iter().take_while(|run| run.at < range.end) {
            if at < run.at {
                tell(at..run.at, Origin::Zeros);
                at = run.at;
            }
            let to = (run.at + run.len).min(range.end);
            let from = |it| run.from + (it - run.at);
            tell_moved(&self.source, from(at)..from(to), at, tell);
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
            Self::Range { from, len, .. } => write!(f, "Range({len} B from {from})"),
            Self::Extents(extents) => extents.fmt(f),
        }
    }
}

impl std::fmt::Debug for Extents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Extents({} B in {} runs)", self.len, self.runs.len())
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
        let content = Content::extents(source, runs, 10);
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
