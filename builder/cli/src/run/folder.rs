//! The folder that artifacts go to: a [`Sink`] whose files get their names when their bytes are on the disk.
//!
//! A thread of its own brings bytes to the disk beside other work: while the artifact's digest is taken, or, where that is not
//! done, while the rest of it is made.

use crate::host::cache::Cache;
use crate::host::file::{self, FileOut};
use crate::host::memory::Memory;
use crate::host::output::{Partial, Readers};
use fstree::{ReadAt, WriteAt};
use nodeimg::emit::{Draft, Sink};
use nodeimg::error::{Error, Result};
use nodeimg::want;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// Bytes from which on a file is worth a thread.
const WORTH_A_THREAD: u64 = 4 << 20;
/// Whenever so many of a file that will not be read back were written, they are sent on their way: at the end, less is left to
/// wait for.
const SENT_AT_ONCE: u64 = 64 << 20;

/// A folder for artifacts, and what is remembered of earlier ones.
pub(super) struct Folder<'a> {
    pub(super) path: &'a Path,
    pub(super) readers: Readers,
    pub(super) cache: &'a Cache,
    pub(super) memory: &'a Memory,
}

impl Sink for Folder<'_> {
    type Draft = FileDraft;

    fn create(&self, name: &str) -> Result<FileDraft> {
        Ok(FileDraft {
            partial: Partial::create(&self.path.join(name), self.readers)?,
            only_written: AtomicBool::new(false),
            written: AtomicU64::new(0),
            flush: Mutex::default(),
        })
    }

    fn finish(&self, drafts: Vec<FileDraft>, stale: &[String]) -> Result<()> {
        self.cache.check_again()?;
        let partials: Result<Vec<_>> = drafts.into_iter().map(FileDraft::flushed).collect();
        Partial::finish_all(partials?, stale)
    }

    fn memory(&self) -> Option<&dyn want::Memory> {
        Some(self.memory)
    }
}

/// A file on its way to its name.
pub(super) struct FileDraft {
    partial: Partial,
    /// Whether it will not be read back.
    only_written: AtomicBool,
    /// Bytes of such a file that were written so far.
    written: AtomicU64,
    flush: Mutex<Option<Flush>>,
}

impl FileDraft {
    fn out(&self) -> &FileOut {
        self.partial.out()
    }

    /// Tells the thread that brings the bytes to the disk, begun now if there is none.
    fn flush(&self, tell: impl FnOnce(&mut Flush)) -> io::Result<()> {
        let mut flush = self.flush.lock().unwrap_or_else(PoisonError::into_inner);
        tell(match &mut *flush {
            Some(begun) => begun,
            none => none.insert(Flush::start(&self.partial)?),
        });
        Ok(())
    }

    /// Returns the file when its bytes are on their way no more.
    fn flushed(self) -> Result<Partial> {
        let flush = self.flush.into_inner();
        if let Some(flush) = flush.unwrap_or_else(PoisonError::into_inner) {
            flush.wait().map_err(|err| {
                Error::world("the artifact cannot be brought to the disk").because(err)
            })?;
        }
        Ok(self.partial)
    }
}

impl WriteAt for FileDraft {
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.out().write_all_at(buf, offset)?;
        if !self.only_written.load(Ordering::Relaxed) {
            return Ok(());
        }
        let len = buf.len() as u64;
        let before = self.written.fetch_add(len, Ordering::Relaxed);
        if before / SENT_AT_ONCE == (before + len) / SENT_AT_ONCE {
            return Ok(());
        }
        self.flush(|it| it.more())
    }
}

impl ReadAt for FileDraft {
    fn size(&self) -> u64 {
        self.out().file().metadata().map_or(0, |it| it.len())
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.out().read_exact_at(buf, offset)
    }
}

impl Draft for FileDraft {
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.out().set_len(len)?;
        if len < WORTH_A_THREAD {
            return Ok(());
        }
        self.flush(Flush::all)
    }

    fn only_written(&self) {
        self.only_written.store(true, Ordering::Relaxed);
    }
}

/// A thread that brings a file's bytes to the disk.
struct Flush {
    /// Tells the thread that there is more; gone once there will be no more.
    more: Option<SyncSender<()>>,
    thread: JoinHandle<io::Result<()>>,
}

impl Flush {
    fn start(partial: &Partial) -> io::Result<Self> {
        let file = partial.out().file().try_clone()?;
        let older = partial.goal().to_owned();
        let (more, todo) = mpsc::sync_channel(1);
        let thread = thread::spawn(move || {
            // The kernel tells of a failed write once, whoever waits for it then: so none may be lost.
            let sent = todo.iter().try_for_each(|()| file.sync_data());
            file::forget_pages(&older);
            sent.and(file.sync_data())
        });
        let more = Some(more);
        Ok(Self { more, thread })
    }

    /// Sends what was written on its way.
    fn more(&self) {
        // If the thread is at it and another time waits already, that one takes these bytes along.
        if let Some(more) = &self.more {
            more.try_send(()).ok();
        }
    }

    /// Sends all of the file on its way: nothing more comes.
    fn all(&mut self) {
        self.more = None;
    }

    /// Waits until all is on the disk.
    fn wait(mut self) -> io::Result<()> {
        self.all();
        let done = self.thread.join();
        done.unwrap_or_else(|_| Err(io::Error::other("the thread that writes it ended")))
    }
}
