//! What was made of which bytes, remembered between builds: compressed grains, by the digest of all that they depend on.
//!
//! `grains/` in the cache's folder holds segments (see [`segment`]), each written by one build and never changed. Nothing
//! of it is trusted: indexes carry a SHA-256 and entries a CRC-32, which are checked when they are used; a segment with
//! anything wrong is deleted and its entries are made anew. Builds that run at once each write their own. Together
//! segments take at most [`MOST_BYTES`]: those that were of no use for longest go first. Failures are never errors: a
//! build without a memory gives the same bytes.

mod segment;
#[cfg(test)]
mod tests;

use super::output::{self, Partial, Readers};
use nodeimg::digest::Digest;
use nodeimg::want;
use segment::{Entry, Segment, Writing};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// Bytes that all segments may take together: grains of half a dozen different nodes.
const MOST_BYTES: u64 = 4 << 30;
/// The most segments: each costs a build an open file and a look at its index.
const MOST_SEGMENTS: usize = 48;
/// How a segment's name ends.
const ENDING: &str = ".grains";

/// The memory in one folder.
#[derive(Debug)]
pub(crate) struct Memory {
    folder: PathBuf,
    most_bytes: u64,
    /// Loaded when it is first asked, and again after this build's own segment joined it.
    known: Mutex<Option<Arc<Known>>>,
    writing: Mutex<State>,
    damaged: Mutex<Vec<PathBuf>>,
}

/// What earlier builds left.
#[derive(Debug)]
struct Known {
    segments: Vec<Old>,
    /// Entries of all segments by key, each with its segment's place in the list.
    entries: Vec<(Entry, usize)>,
}

#[derive(Debug)]
struct Old {
    segment: Segment,
    used: AtomicBool,
    broken: AtomicBool,
}

/// The segment of this build.
#[derive(Debug)]
enum State {
    Nothing,
    Open(Partial, Writing),
    /// It failed: nothing more is remembered.
    Closed,
}

impl Memory {
    /// Returns the memory in `folder`, which is looked at when it is first asked.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self::bounded(folder, MOST_BYTES)
    }

    fn bounded(folder: PathBuf, most_bytes: u64) -> Self {
        Self {
            folder,
            most_bytes,
            known: Mutex::default(),
            writing: Mutex::new(State::Nothing),
            damaged: Mutex::default(),
        }
    }

    /// Gives the segment of this build its name, removes what is too much, and returns the damaged files that were found.
    pub(crate) fn settle(&self) -> Vec<PathBuf> {
        let state = std::mem::replace(&mut *lock(&self.writing), State::Nothing);
        if let State::Open(partial, writing) = state
            && writing.finish(partial.out()).is_ok()
        {
            // What is lost in a power failure is found out by its checksums.
            drop(partial.finish_unsynced());
        }
        let now = SystemTime::now();
        let known = lock(&self.known).take();
        for old in known.iter().flat_map(|it| &it.segments) {
            if old.used.load(Ordering::Relaxed) && !old.broken.load(Ordering::Relaxed) {
                old.segment.touch(now);
            }
        }
        self.evict();
        std::mem::take(&mut lock(&self.damaged))
    }

    /// Forgets what this build has remembered: what it was made of turned out not to be what it should have been.
    pub(crate) fn forget(&self) {
        *lock(&self.writing) = State::Nothing;
    }

    fn known(&self) -> Arc<Known> {
        let mut known = lock(&self.known);
        known.get_or_insert_with(|| Arc::new(self.load())).clone()
    }

    fn load(&self) -> Known {
        output::sweep(&self.folder);
        let mut known = Known {
            segments: Vec::new(),
            entries: Vec::new(),
        };
        for (path, ..) in segments(&self.folder) {
            match Segment::open(&path) {
                Ok((segment, entries)) => {
                    let place = known.segments.len();
                    known
                        .entries
                        .extend(entries.into_iter().map(|it| (it, place)));
                    let (used, broken) = (AtomicBool::new(false), AtomicBool::new(false));
                    known.segments.push(Old {
                        segment,
                        used,
                        broken,
                    });
                }
                Err(err) if err.kind() == std::io::ErrorKind::InvalidData => self.discard(&path),
                // Gone, or not ours to read.
                Err(_) => {}
            }
        }
        // Of equal entries the one in the newest segment comes first.
        known.entries.sort_by_key(|(it, place)| (it.key, *place));
        known.entries.dedup_by_key(|(it, _)| it.key);
        known
    }

    fn recall_old(&self, key: &[u8; 32], out: &mut Vec<u8>) -> Option<usize> {
        let known = self.known();
        let index = known
            .entries
            .binary_search_by_key(key, |(it, _)| it.key)
            .ok()?;
        let (entry, place) = &known.entries[index];
        let old = &known.segments[*place];
        if old.broken.load(Ordering::Relaxed) {
            return None;
        }
        let len = old.segment.read(entry, out);
        if len.is_some() {
            old.used.store(true, Ordering::Relaxed);
        } else if !old.broken.swap(true, Ordering::Relaxed) {
            self.discard(old.segment.path());
        }
        len
    }

    fn discard(&self, path: &Path) {
        drop(fs::remove_file(path));
        lock(&self.damaged).push(path.to_owned());
    }

    /// Removes segments, those first that were of no use for longest, until the rest is within bounds.
    fn evict(&self) {
        let mut bytes = 0;
        for (count, (path, len, _)) in segments(&self.folder).into_iter().enumerate() {
            bytes += len;
            if bytes > self.most_bytes || count >= MOST_SEGMENTS {
                drop(fs::remove_file(path));
            }
        }
    }

    /// Makes the segment of this build.
    fn begin(&self) -> State {
        let nanoseconds = SystemTime::UNIX_EPOCH
            .elapsed()
            .map_or(0, |it| it.as_nanos());
        let name = format!("{nanoseconds:x}-{}{ENDING}", std::process::id());
        Partial::create(&self.folder.join(name), Readers::All)
            .ok()
            .and_then(|partial| Some((Writing::start(partial.out()).ok()?, partial)))
            .map_or(State::Closed, |(writing, partial)| {
                State::Open(partial, writing)
            })
    }
}

impl want::Memory for Memory {
    fn recall(&self, key: &Digest, out: &mut Vec<u8>) -> Option<usize> {
        let key = key.as_bytes();
        self.recall_old(key, out)
            .or_else(|| match &*lock(&self.writing) {
                State::Open(partial, writing) => writing.read(partial.out(), key, out),
                _ => None,
            })
    }

    fn remember(&self, key: &Digest, bytes: &[u8]) {
        let mut state = lock(&self.writing);
        if matches!(*state, State::Nothing) {
            *state = self.begin();
        }
        // One that has as much as it may have takes no more, and gets its name at the end like any other.
        if let State::Open(partial, writing) = &mut *state
            && writing.len() <= self.most_bytes / 2
            && writing.add(partial.out(), *key.as_bytes(), bytes).is_err()
        {
            // Whatever room it took, the artifact may need.
            *state = State::Closed;
        }
    }
}

/// Returns path, length and time of last use of every segment, the latest first.
fn segments(folder: &Path) -> Vec<(PathBuf, u64, SystemTime)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .filter_map(|it| {
            let name = it.file_name();
            let name = name.to_str()?;
            let meta = it.metadata().ok()?;
            let ours = name.ends_with(ENDING) && !name.starts_with('.') && meta.is_file();
            ours.then(|| Some((it.path(), meta.len(), meta.modified().ok()?)))?
        })
        .collect();
    found.sort_by(|a, b| (b.2, &b.0).cmp(&(a.2, &a.0)));
    found
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
