//! What the core asks the host for: bytes by URL, verified bytes by digest, and results of earlier builds by what they were
//! made of.
//!
//! The core never opens a connection. It asks in rounds while locking (signatures and release files; indexes and the base;
//! names of container images, and what those stand for), and once before building (what the lock names).

use crate::digest::Digest;
use crate::error::Result;
use fstree::{ReadAt, WriteAt};
use std::io;
use std::sync::Arc;

/// Bytes that are wanted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Want {
    /// What a person calls it: `base image`, `containerd.io 2.1.4-1`.
    pub what: String,
    /// Where it is. Origins are real ones; mirrors are the host's affair.
    pub url: String,
    /// What it must hash to, once that is known; bytes without a digest are signed, or checked by a signed text.
    pub digest: Option<Digest>,
    /// How many bytes it has, where known.
    pub size: Option<u64>,
    /// How many bytes are too many.
    pub limit: u64,
    /// What kind of thing it is, for servers that have several under one URL.
    pub kind: Kind,
}

/// Media types of an image's manifest, as OCI and Docker call it.
pub(crate) const MANIFESTS: [&str; 2] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
/// Media types of a list of manifests, as OCI and Docker call it.
pub(crate) const LISTS: [&str; 2] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// What a server is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Whatever is there.
    File,
    /// The manifest of a container image, or the list of an image's manifests.
    ImageManifest,
}

impl Kind {
    /// Returns the media types that are understood, as an HTTP `Accept` field; none for any.
    pub fn accept(self) -> Option<String> {
        match self {
            Self::File => None,
            Self::ImageManifest => Some([LISTS, MANIFESTS].concat().join(", ")),
        }
    }
}

/// What the core can ask of the host while locking.
pub trait Fetch {
    /// Returns the bytes of each want, in order. Those with a digest are checked and stay in the cache.
    fn fetch(&self, wants: &[Want]) -> Result<Vec<Arc<dyn ReadAt>>>;
}

/// Verified inputs, and what was computed from them.
pub trait Blobs: Sync {
    /// Opens an input by its digest: what is read of it was checked against that, or a read is an error.
    fn open(&self, digest: Digest) -> Result<Arc<dyn ReadAt>>;

    /// Opens what was derived under `key`, or makes it with `make` and keeps it if the host keeps such things.
    ///
    /// A key names the input by digest and what was done to it: the same key always means the same bytes.
    fn derive(
        &self,
        key: &str,
        make: &mut dyn FnMut(&dyn WriteAt) -> io::Result<u64>,
    ) -> Result<Arc<dyn ReadAt>>;
}

/// Results of earlier builds, each under a digest of all that it was made of; asked from many threads.
///
/// A host may forget any of them at any time. What it recalls is what it was told, byte for byte, or nothing.
pub trait Memory: Sync {
    /// Appends what was remembered under `key` to `out`; returns its length, or `None` if there is nothing.
    fn recall(&self, key: &Digest, out: &mut Vec<u8>) -> Option<usize>;

    /// Remembers `bytes` under `key`.
    fn remember(&self, key: &Digest, bytes: &[u8]);
}

/// A host for tests, whose inputs and results are in memory.
#[cfg(test)]
pub(crate) mod held {
    use super::{Blobs, Digest, ReadAt, Result, WriteAt, io};
    use crate::error::{Error, world};
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    #[derive(Default)]
    pub(crate) struct Host {
        pub(crate) inputs: BTreeMap<Digest, Arc<dyn ReadAt>>,
        pub(crate) derived: Mutex<BTreeMap<String, Vec<u8>>>,
    }

    /// A file under way.
    #[derive(Default)]
    pub(crate) struct File(pub(crate) Mutex<Vec<u8>>);

    impl WriteAt for File {
        fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
            let mut bytes = self.0.lock().unwrap();
            assert_eq!(offset, bytes.len() as u64, "it is written in order");
            bytes.extend_from_slice(buf);
            Ok(())
        }
    }

    impl Blobs for Host {
        fn open(&self, digest: Digest) -> Result<Arc<dyn ReadAt>> {
            let found = self.inputs.get(&digest).cloned();
            found.ok_or_else(|| Error::input(format!("{digest} is not here")))
        }

        fn derive(
            &self,
            key: &str,
            make: &mut dyn FnMut(&dyn WriteAt) -> io::Result<u64>,
        ) -> Result<Arc<dyn ReadAt>> {
            let mut derived = self.derived.lock().unwrap();
            if !derived.contains_key(key) {
                let file = File::default();
                let size = make(&file).map_err(world("making it"))?;
                let bytes = file.0.into_inner().unwrap();
                assert_eq!(size, bytes.len() as u64);
                derived.insert(key.to_owned(), bytes);
            }
            Ok(Arc::new(derived[key].clone()))
        }
    }
}
