//! An input that counts what is read of it: work without end is seen, without a clock.

use fstree::{ReadAt, WriteAt};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes that may be read of one input of at most 1 MiB: 256 times as many as there are.
const BUDGET: u64 = 256 << 20;
/// What a read costs besides its bytes.
const PER_READ: u64 = 128;
/// Bytes that decoders may give: more than any seed has, little enough to be quick.
pub(super) const MAX_DECODED: u64 = 16 << 20;

/// An input in memory that can only be read so much.
struct Metered {
    bytes: Vec<u8>,
    left: AtomicU64,
}

/// Returns the input as a source whose reader panics when it reads too much.
pub(super) fn metered(bytes: &[u8]) -> Arc<dyn ReadAt> {
    Arc::new(Metered {
        bytes: bytes.to_vec(),
        left: AtomicU64::new(BUDGET),
    })
}

impl ReadAt for Metered {
    fn size(&self) -> u64 {
        self.bytes.size()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let cost = buf.len() as u64 + PER_READ;
        let left = self.left.load(Ordering::Relaxed);
        let left = left.checked_sub(cost);
        let left = left.unwrap_or_else(|| {
            panic!(
                "{} bytes of input, and {BUDGET} were read",
                self.bytes.len()
            )
        });
        self.left.store(left, Ordering::Relaxed);
        self.bytes.read_exact_at(buf, offset)
    }
}

/// Takes what a decoder gives, keeps it not, and panics past the limit the decoder was given.
pub(super) struct Limited;

impl WriteAt for Limited {
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        assert!(
            offset + buf.len() as u64 <= MAX_DECODED,
            "bytes are written past the limit"
        );
        Ok(())
    }
}

/// Memory to write to, up to a limit.
#[derive(Default)]
pub(super) struct Memory(Mutex<Vec<u8>>);

impl Memory {
    /// Returns what was written.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WriteAt for Memory {
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let end = offset + buf.len() as u64;
        if end > MAX_DECODED {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let end = usize::try_from(end).expect("16 MiB at most");
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[end - buf.len()..end].copy_from_slice(buf);
        Ok(())
    }
}

/// Reads a disk or file's data, but no more than 4 MiB, and checks that its holes are told consistently.
pub(super) fn drain(disk: &dyn ReadAt) {
    let (mut at, mut left) = (0, 4_usize << 20);
    for _ in 0..256 {
        let Ok(Some(data)) = disk.next_data(at) else {
            return;
        };
        assert!(
            data.start >= at && data.start < data.end && data.end <= disk.size(),
            "data {data:?} after {at} of {}",
            disk.size()
        );
        let len = usize::try_from(data.end - data.start)
            .unwrap_or(usize::MAX)
            .min(left)
            .min(256 << 10);
        let mut buf = vec![0; len];
        if disk.read_exact_at(&mut buf, data.start).is_err() || len == left {
            return;
        }
        left -= len;
        at = data.start + len as u64;
    }
}
