//! Zstandard and gzip: one stream, decoded by one thread at a time while the others write what is decoded.
//!
//! RFC 8878 and RFC 1952; concatenated frames and members are read as one. The decoders are libraries.

use super::write_sparse;
use crate::error::Error;
use crate::ordered;
use fstree::{ReadAt, WriteAt};
use std::io::{self, BufReader, Read};
use std::num::NonZeroUsize;

const INPUT_BYTES: usize = 256 << 10;
const OUTPUT_BYTES: usize = 1 << 20;

/// Decodes Zstandard frames.
pub(super) fn zst(
    source: &dyn ReadAt,
    jobs: NonZeroUsize,
    limit: u64,
    out: &dyn WriteAt,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, Error> {
    let decoder = zstd::stream::read::Decoder::with_buffer(input(source));
    let decoder = decoder.map_err(Error::io("starting the Zstandard decoder"))?;
    pump("zst", decoder, (jobs, limit), out, progress)
}

/// Decodes gzip members.
pub(super) fn gz(
    source: &dyn ReadAt,
    jobs: NonZeroUsize,
    limit: u64,
    out: &dyn WriteAt,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, Error> {
    pump(
        "gz",
        flate2::bufread::MultiGzDecoder::new(input(source)),
        (jobs, limit),
        out,
        progress,
    )
}

fn input(source: &dyn ReadAt) -> BufReader<Cursor<'_>> {
    BufReader::with_capacity(INPUT_BYTES, Cursor { source, at: 0 })
}

fn pump(
    format: &'static str,
    mut decoder: impl Read + Send,
    (jobs, limit): (NonZeroUsize, u64),
    out: &dyn WriteAt,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, Error> {
    let mut decoded = 0;
    let mut total = 0;
    ordered::run(
        jobs,
        || {
            let mut piece = Vec::with_capacity(OUTPUT_BYTES);
            let read = decoder
                .by_ref()
                .take(OUTPUT_BYTES as u64)
                .read_to_end(&mut piece);
            read.map_err(Error::io(format!(
                "decoding {format} after {decoded} bytes"
            )))?;
            let at = decoded;
            decoded += piece.len() as u64;
            if decoded > limit {
                return Err(Error::TooLarge { format, limit });
            }
            Ok((!piece.is_empty()).then_some((at, piece)))
        },
        || (),
        |(), (at, piece): (u64, Vec<u8>)| {
            write_sparse(out, &piece, at)?;
            Ok(at + piece.len() as u64)
        },
        |end| {
            total = end;
            progress(end);
            Ok(())
        },
    )?;
    Ok(total)
}

/// A source read from its start to its end.
struct Cursor<'a> {
    source: &'a dyn ReadAt,
    at: u64,
}

impl Read for Cursor<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.source.size() - self.at).unwrap_or(usize::MAX);
        let n = left.min(buf.len());
        self.source.read_exact_at(&mut buf[..n], self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}
