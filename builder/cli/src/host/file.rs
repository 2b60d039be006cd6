//! Files of the host as bytes at offsets. Holes are asked of the kernel (`lseek(2)`, `SEEK_DATA`), never guessed.

use fstree::{ReadAt, WriteAt};
use rustix::fs::SeekFrom;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// A file that is read at offsets, from any number of threads.
#[derive(Debug)]
pub(crate) struct FileAt {
    file: File,
    size: u64,
}

impl FileAt {
    /// Opens a file.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Self::new(File::open(path)?)
    }

    /// Takes an open file, as long as it is now.
    pub(crate) fn new(file: File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        Ok(Self { file, size })
    }

    /// Returns where the kernel says a seek ends up, or `None` past the last data.
    fn seek(&self, to: SeekFrom) -> io::Result<Option<u64>> {
        match rustix::fs::seek(&self.file, to) {
            Ok(offset) => Ok(Some(offset)),
            Err(rustix::io::Errno::NXIO) => Ok(None),
            Err(err) => Err(err.into()),
        }
    }
}

impl ReadAt for FileAt {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        if offset >= self.size {
            return Ok(None);
        }
        let Some(start) = self
            .seek(SeekFrom::Data(offset))?
            .filter(|it| *it < self.size)
        else {
            return Ok(None);
        };
        let end = self
            .seek(SeekFrom::Hole(start))?
            .unwrap_or(self.size)
            .min(self.size);
        Ok(Some(start..end))
    }
}

/// A new file that is written at offsets, from any number of threads; what is not written stays a hole.
#[derive(Debug)]
pub(crate) struct FileOut {
    file: File,
}

impl FileOut {
    /// Takes an empty file, open for reading and writing.
    pub(crate) fn new(file: File) -> Self {
        Self { file }
    }

    /// Sets the file's length; a longer file ends in a hole.
    pub(crate) fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    /// Waits until the bytes are on the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Returns the file.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

impl WriteAt for FileOut {
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(buf, offset)
    }
}

/// Waits until a folder's names are on the disk.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_seen_and_data_is_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let out = FileOut::new(file.reopen().unwrap());
        out.write_all_at(&[7; 4096], 1 << 20).unwrap();
        out.set_len(4 << 20).unwrap();
        let read = FileAt::open(file.path()).unwrap();
        assert_eq!(read.size(), 4 << 20);
        let data = read.next_data(0).unwrap().unwrap();
        assert!(data.contains(&(1 << 20)) && data.end < 4 << 20, "{data:?}");
        assert_eq!(read.next_data(2 << 20).unwrap(), None);
        assert_eq!(read.next_data(u64::MAX).unwrap(), None);
        let mut buf = [0; 2];
        read.read_exact_at(&mut buf, (1 << 20) - 1).unwrap();
        assert_eq!(buf, [0, 7]);
        assert!(read.read_exact_at(&mut buf, (4 << 20) - 1).is_err());
    }
}
