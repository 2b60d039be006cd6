//! What the tests share: a sample disk, memory to write to, and running a tool.

use disk::vmdk::{Effort, Found, GrainCache, GrainKey, VmdkOptions};
use fstree::{Mosaic, MosaicBuilder, ReadAt, WriteAt};
use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::process::Command;
use std::sync::Mutex;

/// The sample disk's size: no whole number of grains, clusters or chunks.
pub(crate) const SAMPLE_BYTES: u64 = (35 << 20) + 512 * 77;

/// Runs `tool`, which the Debian package `package` holds, and gives what it printed; anything but success is a failure.
pub(crate) fn run(tool: &str, arguments: &[&str], package: &str) -> Vec<u8> {
    let output = Command::new(tool)
        .args(arguments)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .output();
    let output = output
        .unwrap_or_else(|error| panic!("{tool}: {error}; install the Debian package {package}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{tool} {arguments:?}: {said}{}",
        String::from_utf8_lossy(&output.stdout)
    );
    output.stdout
}

/// Returns a number of jobs.
pub(crate) fn jobs(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

/// Returns `len` bytes of noise, or of text that compresses, from `seed`.
pub(crate) fn bytes(seed: u64, len: usize, noise: bool) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    if noise {
        return std::iter::repeat_with(next).flatten().take(len).collect();
    }
    std::iter::repeat_with(|| next()[0])
        .flat_map(|it| format!("line {it} of a file\n").into_bytes())
        .take(len)
        .collect()
}

/// Returns a disk with holes of every size, noise, text, zeros called data, and data at both ends.
pub(crate) fn sample() -> Mosaic {
    let mut builder = MosaicBuilder::new();
    builder.bytes(0, bytes(1, 5000, false));
    builder.bytes(100 << 10, bytes(2, 200 << 10, true));
    builder.bytes(1 << 20, bytes(3, 3 << 20, false));
    builder.bytes(6 << 20, vec![0; 300 << 10]);
    builder.bytes((8 << 20) + 777, bytes(4, 1, true));
    builder.bytes(33 << 20, bytes(5, 1 << 20, true));
    builder.bytes(SAMPLE_BYTES - 700, bytes(6, 700, false));
    builder.finish(SAMPLE_BYTES).unwrap()
}

/// Returns all bytes of a disk.
pub(crate) fn whole(disk: &dyn ReadAt) -> Vec<u8> {
    let mut bytes = vec![0xee; usize::try_from(disk.size()).unwrap()];
    disk.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

/// Returns options that the tests do not care about.
pub(crate) fn vmdk_options() -> VmdkOptions<'static> {
    VmdkOptions {
        uuid: "0f596904-ab1f-4168-bfcc-4cb3b4cd34d4".to_owned(),
        cid: 0x1234_5678,
        file_name: "disk.vmdk".to_owned(),
        effort: Effort::ByContent,
        cache: None,
        ready: None,
    }
}

/// Memory to write to; what was never written is zero.
#[derive(Default)]
pub(crate) struct Memory(Mutex<Vec<u8>>);

impl Memory {
    /// Returns the first `len` bytes; fails if more were written.
    pub(crate) fn bytes(&self, len: u64) -> Vec<u8> {
        let mut bytes = self.0.lock().unwrap().clone();
        let len = usize::try_from(len).unwrap();
        assert!(
            bytes.len() <= len,
            "{} bytes written, {len} promised",
            bytes.len()
        );
        bytes.resize(len, 0);
        bytes
    }
}

impl WriteAt for Memory {
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let mut bytes = self.0.lock().unwrap();
        let end = usize::try_from(offset).unwrap() + buf.len();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[end - buf.len()..end].copy_from_slice(buf);
        Ok(())
    }
}

/// A grain cache in memory.
#[derive(Default)]
pub(crate) struct Remembers(Mutex<BTreeMap<GrainKey, Vec<u8>>>);

impl GrainCache for Remembers {
    fn key(&self, range: Range<u64>) -> io::Result<Option<GrainKey>> {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&range.start.to_le_bytes());
        Ok(Some(key))
    }

    fn find(&self, key: &GrainKey, out: &mut Vec<u8>) -> io::Result<Found> {
        Ok(match self.0.lock().unwrap().get(key) {
            None => Found::Unknown,
            Some(known) if known.is_empty() => Found::Zero,
            Some(known) => {
                out.extend(known);
                Found::Compressed
            }
        })
    }

    fn keep(&self, key: &GrainKey, compressed: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap().insert(*key, compressed.to_vec());
        Ok(())
    }
}

/// A disk that knows none of its holes.
pub(crate) struct Always<'a>(pub(crate) &'a dyn ReadAt);

impl ReadAt for Always<'_> {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        Ok((offset < self.size()).then(|| offset..self.size()))
    }
}
