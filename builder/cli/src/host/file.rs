//! Files of the host as bytes at offsets. Holes are asked of the kernel (`lseek(2)`, `SEEK_DATA`), never guessed.
//!
//! What fails here fails by the machine, whatever the core makes of it: [`Failed`] says so, and names the file.

use fstree::{ReadAt, WriteAt};
use rustix::fs::{Advice, SeekFrom};
use std::error::Error;
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Removes a file; one that is not there is gone already.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// The machine could not do something with a file; travels as an [`io::Error`].
#[derive(Debug)]
pub(crate) struct Failed {
    doing: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl Failed {
    /// Returns the error about a file whose bytes are not those that were written.
    pub(crate) fn damaged(path: &Path) -> io::Error {
        let source = io::Error::new(io::ErrorKind::InvalidData, "the file is damaged");
        Self::io("reading", path)(source)
    }

    fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> io::Error {
        move |source| {
            let path = path.to_owned();
            io::Error::new(
                source.kind(),
                Self {
                    doing,
                    path,
                    source,
                },
            )
        }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.doing, self.path.display())
    }
}

impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

/// A file that is read at offsets, from any number of threads.
#[derive(Debug)]
pub(crate) struct FileAt {
    file: File,
    path: PathBuf,
    size: u64,
    stamp: Stamp,
}

/// What differs once somebody wrote to a file or cut it: its size, and when its content changed.
type Stamp = (u64, i64, i64);

fn stamp(meta: &Metadata) -> Stamp {
    (meta.len(), meta.mtime(), meta.mtime_nsec())
}

impl FileAt {
    /// Opens a file.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Self::new(File::open(path)?, path)
    }

    /// Takes an open file, as long as it is now.
    pub(crate) fn new(file: File, path: &Path) -> io::Result<Self> {
        let meta = file.metadata()?;
        Ok(Self {
            file,
            path: path.to_owned(),
            size: meta.len(),
            stamp: stamp(&meta),
        })
    }

    /// Returns whether the file may hold other bytes than when it was opened.
    pub(crate) fn may_have_changed(&self) -> bool {
        self.file
            .metadata()
            .map_or(true, |it| stamp(&it) != self.stamp)
    }

    /// Returns where the kernel says a seek ends up, or `None` past the last data.
    fn seek(&self, to: SeekFrom) -> io::Result<Option<u64>> {
        match rustix::fs::seek(&self.file, to) {
            Ok(offset) => Ok(Some(offset)),
            Err(rustix::io::Errno::NXIO) => Ok(None),
            Err(err) => Err(Failed::io("reading", &self.path)(err.into())),
        }
    }
}

impl ReadAt for FileAt {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if offset
            .checked_add(buf.len() as u64)
            .is_none_or(|end| end > self.size)
        {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "read past the end",
            ));
        }
        self.file
            .read_exact_at(buf, offset)
            .map_err(Failed::io("reading", &self.path))
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
    path: PathBuf,
    /// Held while a thread writes. The kernel lets one at a time write into a file, and the others would use up a processor
    /// waiting for it.
    turn: Mutex<()>,
}

impl FileOut {
    /// Takes an empty file, open for reading and writing.
    pub(crate) fn new(file: File, path: &Path) -> Self {
        Self {
            file,
            path: path.to_owned(),
            turn: Mutex::default(),
        }
    }

    /// Sets the file's length; a longer file ends in a hole.
    pub(crate) fn set_len(&self, len: u64) -> io::Result<()> {
        self.file
            .set_len(len)
            .map_err(Failed::io("writing", &self.path))
    }

    /// Waits until the bytes are on the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file
            .sync_all()
            .map_err(Failed::io("writing", &self.path))
    }

    /// Reads back some of what was written.
    pub(crate) fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.file
            .read_exact_at(buf, offset)
            .map_err(Failed::io("reading", &self.path))
    }

    /// Returns all that was written, to be read back.
    pub(crate) fn read(&self) -> io::Result<FileAt> {
        FileAt::new(self.file.try_clone()?, &self.path)
    }

    /// Returns the file.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

/// The most bytes of one call. The page cache takes memory in blocks as large as the call, and on a virtual machine that gives
/// its free memory back, large blocks are those that the host has to find again: five times the time of the copy itself.
const AT_ONCE: usize = 64 << 10;

impl WriteAt for FileOut {
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut at = offset;
        for piece in buf.chunks(AT_ONCE) {
            self.file
                .write_all_at(piece, at)
                .map_err(Failed::io("writing", &self.path))?;
            at += piece.len() as u64;
        }
        Ok(())
    }
}

/// Tells the kernel that a file's pages are not needed in memory: it is about to be replaced, and freeing them takes as long as
/// the rest of that. The file stays what it is.
pub(crate) fn forget_pages(path: &Path) {
    // It is of no other use, so nothing is lost where that is not possible.
    if let Ok(file) = File::open(path) {
        rustix::fs::fadvise(&file, 0, None, Advice::DontNeed).ok();
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
        let out = FileOut::new(file.reopen().unwrap(), file.path());
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

    #[test]
    fn a_file_that_is_cut_while_it_is_open_fails_by_the_machine_and_one_read_past_its_end_does_not()
    {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(100).unwrap();
        let read = FileAt::open(file.path()).unwrap();
        assert!(!read.may_have_changed());
        let failed = |err: &io::Error| {
            err.get_ref()
                .is_some_and(<dyn Error + Send + Sync>::is::<Failed>)
        };
        assert!(!failed(&read.read_exact_at(&mut [0; 10], 95).unwrap_err()));
        file.as_file().set_len(50).unwrap();
        assert!(read.may_have_changed());
        let error = read.read_exact_at(&mut [0; 10], 90).unwrap_err();
        assert!(
            failed(&error) && error.to_string().contains(file.path().to_str().unwrap()),
            "{error}"
        );
    }
}
