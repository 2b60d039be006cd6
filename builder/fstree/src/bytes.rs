//! Bytes at offsets: the two traits of the engine, windows and zeros.
//!
//! [`ReadAt`] has no cursor, so that many threads pull from one source. Does no buffering.

use crate::origin::{Origin, tell_moved};
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// Bytes that can be read at any offset: a file, a partition, a slice of memory.
pub trait ReadAt: Send + Sync {
    /// Returns the number of bytes there are.
    fn size(&self) -> u64;

    /// Fills all of `buf` from `offset`, or fails; past the end it fails with [`io::ErrorKind::UnexpectedEof`].
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;

    /// Returns the first non-empty range at or after `offset` that may hold bytes other than zero.
    ///
    /// All bytes from `offset` up to the range's start read as zero; `None` says that of all up to the end. A source that
    /// does not know its holes calls everything data, which is always right and never fast.
    fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        Ok((offset < self.size()).then(|| offset..self.size()))
    }

    /// Tells where the bytes of `range`, which lies within the source, come from: its parts in order, none left out.
    fn origins(&self, range: Range<u64>, tell: &mut dyn FnMut(Range<u64>, Origin)) {
        if !range.is_empty() {
            tell(range, Origin::Unnamed);
        }
    }
}

/// Bytes that can be written at any offset, from many threads; what is never written reads as zero.
pub trait WriteAt: Send + Sync {
    /// Writes all of `buf` at `offset`, or fails.
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;
}

impl ReadAt for [u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(|_| past_end())?;
        let end = start.checked_add(buf.len()).ok_or_else(past_end)?;
        buf.copy_from_slice(self.get(start..end).ok_or_else(past_end)?);
        Ok(())
    }
}

impl ReadAt for Vec<u8> {
    fn size(&self) -> u64 {
        self.as_slice().size()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.as_slice().read_exact_at(buf, offset)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for Arc<T> {
    fn size(&self) -> u64 {
        (**self).size()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        (**self).read_exact_at(buf, offset)
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        (**self).next_data(offset)
    }

    fn origins(&self, range: Range<u64>, tell: &mut dyn FnMut(Range<u64>, Origin)) {
        (**self).origins(range, tell);
    }
}

/// A range of another source, seen as a source of its own: a partition of a disk.
#[derive(Clone)]
pub struct Window {
    source: Arc<dyn ReadAt>,
    start: u64,
    len: u64,
}

impl Window {
    /// Returns the `len` bytes of `source` from `start`, or `None` if they are not all there.
    pub fn new(source: Arc<dyn ReadAt>, start: u64, len: u64) -> Option<Self> {
        let end = start.checked_add(len)?;
        (end <= source.size()).then_some(Self { source, start, len })
    }

    /// Returns the first byte's offset in the source.
    pub fn start(&self) -> u64 {
        self.start
    }
}

impl std::fmt::Debug for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Window({} B at {})", self.len, self.start)
    }
}

impl ReadAt for Window {
    fn size(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64).ok_or_else(past_end)?;
        if end > self.len {
            return Err(past_end());
        }
        self.source.read_exact_at(buf, self.start + offset)
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        if offset >= self.len {
            return Ok(None);
        }
        let end = self.start + self.len;
        Ok(self
            .source
            .next_data(self.start + offset)?
            .and_then(|data| {
                (data.start < end).then(|| data.start - self.start..data.end.min(end) - self.start)
            }))
    }

    fn origins(&self, range: Range<u64>, tell: &mut dyn FnMut(Range<u64>, Origin)) {
        let start = self.start;
        tell_moved(
            &self.source,
            range.start + start..range.end + start,
            range.start,
            tell,
        );
    }
}

/// This many bytes of zero.
#[derive(Clone, Copy, Debug)]
pub struct Zeros(pub u64);

impl ReadAt for Zeros {
    fn size(&self) -> u64 {
        self.0
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64).ok_or_else(past_end)?;
        if end > self.0 {
            return Err(past_end());
        }
        buf.fill(0);
        Ok(())
    }

    fn next_data(&self, _offset: u64) -> io::Result<Option<Range<u64>>> {
        Ok(None)
    }

    fn origins(&self, range: Range<u64>, tell: &mut dyn FnMut(Range<u64>, Origin)) {
        if !range.is_empty() {
            tell(range, Origin::Zeros);
        }
    }
}

/// Returns the error of a read that goes past the end.
pub(crate) fn past_end() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "read past the end")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_ends_where_it_says() {
        let source: Arc<dyn ReadAt> = Arc::new((0..100u8).collect::<Vec<_>>());
        let window = Window::new(source.clone(), 10, 20).unwrap();
        let mut buf = [0; 5];
        window.read_exact_at(&mut buf, 15).unwrap();
        assert_eq!(buf, [25, 26, 27, 28, 29]);
        assert!(window.read_exact_at(&mut buf, 16).is_err());
        assert!(window.read_exact_at(&mut buf, u64::MAX).is_err());
        assert_eq!(window.next_data(3).unwrap(), Some(3..20));
        assert!(Window::new(source.clone(), 90, 11).is_none());
        assert!(Window::new(source, u64::MAX, 2).is_none());
    }
}
