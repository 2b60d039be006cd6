//! The core's inputs: from the cache, or fetched into it and checked; and what is derived from them, made once.

#[cfg(test)]
mod registry;
#[cfg(test)]
mod tests;

use super::at;
use super::cache::Cache;
use super::fetch::{self, Fetcher, Progress};
use super::progress::{Report, Stage};
use fstree::{ReadAt, WriteAt};
use nodeimg::digest::Digest;
use nodeimg::error::{Error, Result};
use nodeimg::want::{Blobs, Fetch, Want};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How many downloads run side by side: enough to hide waits, few enough for a small server.
const DOWNLOADS: usize = 4;
/// How often bytes that hash to something else are fetched again.
const FRESH_ATTEMPTS: usize = 2;

/// The cache, and the network behind it.
#[derive(Debug)]
pub(crate) struct Inputs {
    cache: Cache,
    fetcher: Fetcher,
    report: Arc<dyn Report>,
}

impl Inputs {
    /// Returns the inputs of a cache and a network.
    pub(crate) fn new(cache: Cache, fetcher: Fetcher, report: Arc<dyn Report>) -> Self {
        Self {
            cache,
            fetcher,
            report,
        }
    }

    /// Returns the cache.
    pub(crate) fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Returns the bytes of one want.
    fn get(&self, want: &Want) -> Result<Arc<dyn ReadAt>> {
        match want.digest {
            Some(digest) => self.get_checked(want, digest),
            None => self.get_unchecked(want),
        }
    }

    fn get_checked(&self, want: &Want, digest: Digest) -> Result<Arc<dyn ReadAt>> {
        if let Some(file) = self.cache.open(digest)? {
            return Ok(file);
        }
        let name = digest.to_string();
        let _lock = self.cache.lock(&format!("download-{name}"))?;
        // Another process may have brought it while this one waited.
        if let Some(file) = self.cache.open(digest)? {
            return Ok(file);
        }
        let partial = self.cache.partial(&name);
        let mut found = digest;
        for _ in 0..FRESH_ATTEMPTS {
            self.download(want, &partial)?;
            match self.cache.adopt(&partial, digest)? {
                Ok(file) => {
                    fetch::discard(&partial);
                    return Ok(file);
                }
                Err(other) => found = other,
            }
            fetch::discard(&partial);
        }
        let what = format!(
            "digest mismatch of {}: {} has SHA-256 {found}, and {digest} is wanted",
            want.what, want.url
        );
        Err(Error::input(what).help("the server's file is not the one that was locked: use a mirror that has that one, or update the lock and look at what changed"))
    }

    /// Returns bytes that something signed vouches for: small, in memory, not kept.
    fn get_unchecked(&self, want: &Want) -> Result<Arc<dyn ReadAt>> {
        let name = Digest::of(want.url.as_bytes()).to_string();
        let _lock = self.cache.lock(&format!("download-{name}"))?;
        let partial = self.cache.partial(&name);
        // It may have changed since an earlier build began to fetch it.
        fetch::discard(&partial);
        self.download(want, &partial)?;
        let bytes = fs::read(&partial).map_err(at("read", &partial))?;
        fetch::discard(&partial);
        Ok(Arc::new(bytes))
    }

    fn download(&self, want: &Want, partial: &Path) -> Result<()> {
        let stage = Stage::start(&self.report, &want.what, want.size);
        self.fetcher
            .download(want, partial, &mut |progress| match progress {
                Progress::At(done, total) => stage.at(done, total),
                Progress::Retry(why, pause) => stage.note(&format!(
                    "{why}; trying again in {:.1} s",
                    pause.as_secs_f32()
                )),
            })
    }

    /// Refuses wants that only the network could fulfil while it is refused: all of them at once.
    fn refuse_missing(&self, wants: &[Want]) -> Result<()> {
        let mut missing = Vec::new();
        for want in wants {
            let here = want.digest.is_some_and(|it| self.cache.has(it, want.size));
            if !here && self.fetcher.is_refused(want)? {
                missing.push(format!("{} ({})", want.what, want.url));
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let count = missing.len();
        let root = self.cache.root().display();
        Err(Error::input(format!(
            "--offline, and {count} not in the cache {root}: {}",
            missing.join(", ")
        ))
        .help(
            "run `nodeimg fetch` where there is a network, or name a folder with --mirror FROM=TO",
        ))
    }
}

impl Fetch for Inputs {
    fn fetch(&self, wants: &[Want]) -> Result<Vec<Arc<dyn ReadAt>>> {
        self.refuse_missing(wants)?;
        let next = AtomicUsize::new(0);
        let found = Mutex::new(BTreeMap::new());
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(want) = wants.get(index) else { return };
                let result = self.get(want);
                if result.is_err() {
                    // The others finish what they are at, and begin nothing new.
                    next.store(wants.len(), Ordering::Relaxed);
                }
                found
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(index, result);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..DOWNLOADS.min(wants.len()) {
                scope.spawn(work);
            }
        });
        // In order, so that the first error is the same each time the same thing is wrong.
        let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        found.into_values().collect()
    }
}

impl Blobs for Inputs {
    fn open(&self, digest: Digest) -> Result<Arc<dyn ReadAt>> {
        match self.cache.open(digest)? {
            Some(file) => Ok(file),
            None => Err(Error::world(format!(
                "the input {digest} is not in the cache {}",
                self.cache.root().display()
            ))
            .help("run `nodeimg fetch`; files that were damaged are deleted when they are found")),
        }
    }

    fn derive(
        &self,
        key: &str,
        make: &mut dyn FnMut(&dyn WriteAt) -> io::Result<u64>,
    ) -> Result<Arc<dyn ReadAt>> {
        Ok(self.cache.derive(key, make)?)
    }
}
