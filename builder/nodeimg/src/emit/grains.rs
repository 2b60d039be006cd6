//! Compressed grains of a VMDK, found again by where their bytes come from.
//!
//! A grain's key is the SHA-256 of the encoder's fingerprint and of the grain's parts: a range of a verified input is told
//! by its name and offset and is not read; bytes that were made anew are told by themselves. So a rebuild neither reads nor
//! compresses what it has in common with an earlier build.

use crate::digest::Digest;
use crate::error::{Result, world};
use crate::want::Memory;
use disk::vmdk::{Effort, Found, GrainCache, GrainKey};
use fstree::{Origin, ReadAt, SourceName};
use sha2::{Digest as _, Sha256};
use std::io;
use std::ops::Range;

/// The host's memory as a cache of one disk's grains.
pub(super) struct Grains<'a> {
    disk: &'a dyn ReadAt,
    memory: &'a dyn Memory,
    /// What every key begins with.
    encoder: Sha256,
}

/// Parts of a grain that are not zero; offsets from its start.
enum Part {
    Named {
        at: Range<u64>,
        name: SourceName,
        offset: u64,
    },
    Unnamed {
        at: Range<u64>,
    },
}

impl<'a> Grains<'a> {
    /// Returns the cache of the grains of `disk` that are compressed with `effort`.
    pub(super) fn new(
        disk: &'a dyn ReadAt,
        memory: &'a dyn Memory,
        effort: Effort,
    ) -> Result<Self> {
        let print = disk::vmdk::fingerprint(effort).map_err(world("trying the encoder"))?;
        let encoder = Sha256::new()
            .chain_update(b"nodeimg grain 4")
            .chain_update(Digest::of(&print).as_bytes());
        Ok(Self {
            disk,
            memory,
            encoder,
        })
    }

    /// Returns the parts of `range`, neighbours of one kind as one.
    fn parts(&self, range: &Range<u64>) -> Vec<Part> {
        let mut parts: Vec<Part> = Vec::new();
        self.disk.origins(range.clone(), &mut |part, origin| {
            let at = part.start - range.start..part.end - range.start;
            match (origin, parts.last_mut()) {
                (Origin::Zeros, _) => {}
                (
                    Origin::Named(name, offset),
                    Some(Part::Named {
                        at: last,
                        name: last_name,
                        offset: last_offset,
                    }),
                ) if last.end == at.start
                    && name == *last_name
                    && offset == *last_offset + (last.end - last.start) =>
                {
                    last.end = at.end;
                }
                (Origin::Named(name, offset), _) => parts.push(Part::Named { at, name, offset }),
                (Origin::Unnamed, Some(Part::Unnamed { at: last })) if last.end == at.start => {
                    last.end = at.end;
                }
                (Origin::Unnamed, _) => parts.push(Part::Unnamed { at }),
            }
        });
        parts
    }
}

impl GrainCache for Grains<'_> {
    fn key(&self, range: Range<u64>) -> io::Result<Option<GrainKey>> {
        let parts = self.parts(&range);
        if parts.is_empty() {
            return Ok(None);
        }
        let mut hash = self.encoder.clone();
        let place = |hash: &mut Sha256, kind: u8, at: &Range<u64>| {
            hash.update([kind]);
            hash.update(at.start.to_le_bytes());
            hash.update(at.end.to_le_bytes());
        };
        let mut bytes = Vec::new();
        for part in parts {
            match part {
                Part::Named { at, name, offset } => {
                    place(&mut hash, 1, &at);
                    hash.update(name.0);
                    hash.update(offset.to_le_bytes());
                }
                Part::Unnamed { at } => {
                    place(&mut hash, 2, &at);
                    let len = usize::try_from(at.end - at.start).map_err(io::Error::other)?;
                    bytes.resize(len, 0);
                    self.disk
                        .read_exact_at(&mut bytes, range.start + at.start)?;
                    hash.update(&bytes);
                }
            }
        }
        Ok(Some(hash.finalize().into()))
    }

    fn find(&self, key: &GrainKey, out: &mut Vec<u8>) -> io::Result<Found> {
        Ok(match self.memory.recall(&Digest::from_bytes(*key), out) {
            None => Found::Unknown,
            Some(0) => Found::Zero,
            Some(_) => Found::Compressed,
        })
    }

    fn keep(&self, key: &GrainKey, compressed: &[u8]) -> io::Result<()> {
        self.memory.remember(&Digest::from_bytes(*key), compressed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use disk::vmdk::{VmdkOptions, write_stream};
    use fstree::{Mosaic, MosaicBuilder, Named};
    use std::collections::BTreeMap;
    use std::num::NonZeroUsize;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    /// Remembers all, and counts what it was told.
    #[derive(Default)]
    struct Notebook(Mutex<BTreeMap<Digest, Vec<u8>>>, AtomicUsize);

    impl Memory for Notebook {
        fn recall(&self, key: &Digest, out: &mut Vec<u8>) -> Option<usize> {
            let known = self.0.lock().unwrap();
            let bytes = known.get(key)?;
            out.extend_from_slice(bytes);
            Some(bytes.len())
        }

        fn remember(&self, key: &Digest, bytes: &[u8]) {
            self.1.fetch_add(1, Ordering::Relaxed);
            self.0.lock().unwrap().insert(*key, bytes.to_vec());
        }
    }

    /// An input that fails when it is read.
    struct Unread(u64);

    impl ReadAt for Unread {
        fn size(&self) -> u64 {
            self.0
        }

        fn read_exact_at(&self, _buf: &mut [u8], offset: u64) -> io::Result<()> {
            Err(io::Error::other(format!("read at {offset}")))
        }
    }

    const INPUT: u64 = 3 << 20;

    fn input() -> Arc<dyn ReadAt> {
        let byte =
            |it: u64| (it / 7 % 251).to_le_bytes()[0] * u8::from(!(it / 100_000).is_multiple_of(3));
        Arc::new((0..INPUT).map(byte).collect::<Vec<_>>())
    }

    /// A disk of an input's pieces, a file and a hole.
    fn disk(input: Arc<dyn ReadAt>, name: u8, file: &[u8]) -> Mosaic {
        let input: Arc<dyn ReadAt> = Arc::new(Named::new(input, SourceName([name; 32])));
        let mut builder = MosaicBuilder::new();
        builder.bytes(1000, file.to_vec());
        builder.place(1 << 20, input.clone(), 0, INPUT);
        builder.place(9 << 20, input, 5000, 70_000);
        builder.finish((10 << 20) + 512).unwrap()
    }

    fn written(disk: &dyn ReadAt, memory: Option<&dyn Memory>, jobs: usize) -> io::Result<Vec<u8>> {
        let cache = memory.map(|it| Grains::new(disk, it, Effort::ByContent).unwrap());
        let options = VmdkOptions {
            uuid: "00000000-0000-4000-8000-000000000001".to_owned(),
            cid: 1,
            file_name: "disk.vmdk".to_owned(),
            effort: Effort::ByContent,
            cache: cache.as_ref().map(|it| it as &dyn GrainCache),
            ready: None,
        };
        let mut out = Vec::new();
        let jobs = NonZeroUsize::new(jobs).unwrap();
        write_stream(disk, &options, jobs, &mut out, &mut |_| ()).map_err(io::Error::other)?;
        Ok(out)
    }

    #[test]
    fn a_cold_a_cooling_and_a_warm_memory_give_the_same_file() {
        let notebook = Notebook::default();
        let plain = written(&disk(input(), 1, b"file"), None, 1).unwrap();
        for jobs in [1, 2, 3] {
            let disk = disk(input(), 1, b"file");
            assert!(written(&disk, Some(&notebook), jobs).unwrap() == plain);
            notebook
                .0
                .lock()
                .unwrap()
                .retain(|key, _| key.as_bytes()[0] % 2 == 0);
        }
    }

    #[test]
    fn a_changed_file_costs_its_own_grains_and_no_input_is_read() {
        let notebook = Notebook::default();
        written(&disk(input(), 1, b"file"), Some(&notebook), 2).unwrap();
        let before = notebook.1.swap(0, Ordering::Relaxed);
        assert!(before > 30, "{before} grains");
        let warm = disk(Arc::new(Unread(INPUT)), 1, b"other");
        let plain = written(&disk(input(), 1, b"other"), None, 1).unwrap();
        assert!(written(&warm, Some(&notebook), 2).unwrap() == plain);
        assert_eq!(notebook.1.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn another_input_at_the_same_place_is_not_taken_for_the_first() {
        let notebook = Notebook::default();
        written(&disk(input(), 1, b"file"), Some(&notebook), 1).unwrap();
        let other: Arc<dyn ReadAt> = Arc::new(vec![7u8; usize::try_from(INPUT).unwrap()]);
        let plain = written(&disk(other.clone(), 2, b"file"), None, 1).unwrap();
        assert!(written(&disk(other, 2, b"file"), Some(&notebook), 1).unwrap() == plain);
        let unread = disk(Arc::new(Unread(INPUT)), 3, b"file");
        assert!(written(&unread, Some(&notebook), 1).is_err());
    }
}
