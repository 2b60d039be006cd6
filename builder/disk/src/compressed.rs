//! Compressed raw disks, decoded whole: xz, Zstandard and gzip.
//!
//! The .xz file format 1.2, RFC 8878, RFC 1952. Blocks of an xz file are decoded in parallel; the other two are one stream
//! each, decoded by one thread while others write. Blocks of zeros are not written. Anything after the last stream is an
//! error.

mod stream;
pub(crate) mod xz;

use crate::error::Error;
use crate::fields::is_zero;
use crate::sniff::{Format, sniff};
use fstree::{ReadAt, WriteAt};
use std::num::NonZeroUsize;

/// Bytes of a block that is not written if it is all zero.
const SPARSE_BYTES: usize = 4096;

/// Decodes `source` into `out`, which reads as zero where nothing was written, and returns the decoded size in bytes.
///
/// Fails once the size passes `limit_bytes`. `progress` is told the decoded offset reached. The caller sets the output's
/// length: trailing zeros are not written.
pub fn decode(
    source: &dyn ReadAt,
    jobs: NonZeroUsize,
    limit_bytes: u64,
    out: &dyn WriteAt,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, Error> {
    match sniff(source)? {
        Format::Xz => xz::decode(source, jobs, limit_bytes, out, progress),
        Format::Zst => stream::zst(source, jobs, limit_bytes, out, progress),
        Format::Gz => stream::gz(source, jobs, limit_bytes, out, progress),
        Format::Raw | Format::Qcow2 | Format::Vmdk => Err(Error::corrupt(
            "compressed disk",
            "neither xz, zst nor gz",
            0,
        )),
    }
}

/// Writes `bytes` at `at`, without its blocks of zeros.
fn write_sparse(out: &dyn WriteAt, bytes: &[u8], at: u64) -> Result<(), Error> {
    let write = |from: usize, to: usize| {
        let place = at + from as u64;
        out.write_all_at(&bytes[from..to], place)
            .map_err(Error::io(format!("writing decoded data at byte {place}")))
    };
    let mut run_start = None;
    for start in (0..bytes.len()).step_by(SPARSE_BYTES) {
        let end = (start + SPARSE_BYTES).min(bytes.len());
        match (is_zero(&bytes[start..end]), run_start) {
            (true, Some(from)) => {
                write(from, start)?;
                run_start = None;
            }
            (false, None) => run_start = Some(start),
            _ => {}
        }
    }
    run_start.map_or(Ok(()), |from| write(from, bytes.len()))
}
