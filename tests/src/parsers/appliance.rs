//! Whole images and appliances, as `nodeimg show` looks into them.

use super::metered::{MAX_DECODED, Memory, metered};
use fstree::{ReadAt, WriteAt};
use nodeimg::digest::Digest;
use nodeimg::error::{Error, Result};
use nodeimg::show::{self, Found};
use nodeimg::want::Blobs;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// Opens an image, and lists and reads what is in it.
pub fn appliance(data: &[u8]) {
    let opened = show::open(metered(data), &Nothing, NonZeroUsize::MIN, &mut |_| {
        Ok(Some(Arc::new(vec![1_u8; 64 << 10])))
    });
    if let Ok(shown) = opened {
        drop(shown.partitions());
        drop(shown.tree(None));
        if let Ok(Found::File(content)) = shown.find(None, "/etc/os-release") {
            drop(content.read_all(1 << 20));
        }
    }
}

/// A host with nothing but memory.
struct Nothing;

impl Blobs for Nothing {
    fn open(&self, _: Digest) -> Result<Arc<dyn ReadAt>> {
        Err(Error::world("there is nothing here"))
    }

    fn derive(
        &self,
        _: &str,
        make: &mut dyn FnMut(&dyn WriteAt) -> io::Result<u64>,
    ) -> Result<Arc<dyn ReadAt>> {
        let out = Memory::default();
        let made = make(&out);
        let len = made.map_err(|error| Error::world("decoding").because(error))?;
        let mut bytes = out.into_bytes();
        let len = usize::try_from(len.min(MAX_DECODED)).expect("16 MiB at most");
        bytes.resize(len, 0);
        Ok(Arc::new(bytes))
    }
}
