//! A raw disk as one compressed stream, made in parallel and the same for any number of jobs.
//!
//! Zstandard (RFC 8878): one frame for every 4 MiB, each with its size and checksum. xz (the .xz file format 1.2): one
//! block for every 8 MiB with its sizes in the block header, so that readers decode in parallel too. A stretch of zeros is
//! compressed once and repeated.

use crate::append::Append;
use crate::compressed::xz;
use crate::error::Error;
use crate::fields::is_zero;
use crate::ordered;
use fstree::ReadAt;
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;

const FRAME_BYTES: u64 = 4 << 20;
const BLOCK_BYTES: u64 = 8 << 20;

/// Which stream, and how hard to try.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Compression {
    /// Zstandard, level 1–19.
    Zst(i32),
    /// xz, preset 0–9.
    Xz(u32),
}

/// Writes all of `disk`, zeros included, to `out`; returns the stream's bytes. `progress` is told the disk offset reached.
pub fn write(
    disk: &dyn ReadAt,
    compression: Compression,
    jobs: NonZeroUsize,
    out: &mut dyn Append,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, Error> {
    match compression {
        Compression::Zst(level) => zst(disk, level, jobs, out, progress),
        Compression::Xz(preset) => xz_stream(disk, preset, jobs, out, progress),
    }
}

/// One job: a stretch of the disk, and whether the source knows it for a hole.
struct Stretch {
    range: Range<u64>,
    hole: bool,
}

/// Cuts the disk into stretches of `len` bytes, holes and data alike.
fn stretches(disk: &dyn ReadAt, len: u64) -> impl FnMut() -> Result<Option<Stretch>, Error> + Send {
    let mut at = 0;
    // Where the next data begins, as far as is known.
    let mut data_from = 0;
    move || {
        if at >= disk.size() {
            return Ok(None);
        }
        let range = at..(at + len).min(disk.size());
        at = range.end;
        if data_from <= range.start {
            let next = crate::chunks::next_data(disk, range.start);
            let next = next.map_err(Error::io("asking the disk for its next data"))?;
            data_from = next.map_or(u64::MAX, |data| data.start);
        }
        Ok(Some(Stretch {
            hole: data_from >= range.end,
            range,
        }))
    }
}

/// Reads a stretch into `buf`, and returns its bytes, or `None` if they are all zero.
fn read<'a>(
    disk: &dyn ReadAt,
    stretch: &Stretch,
    buf: &'a mut Vec<u8>,
) -> Result<Option<&'a [u8]>, Error> {
    if stretch.hole {
        return Ok(None);
    }
    buf.resize(len_of(stretch), 0);
    let at = stretch.range.start;
    disk.read_exact_at(buf, at)
        .map_err(Error::io(format!("reading the disk at byte {at}")))?;
    Ok((!is_zero(buf)).then_some(buf.as_slice()))
}

fn len_of(stretch: &Stretch) -> usize {
    usize::try_from(stretch.range.end - stretch.range.start).expect("a stretch fits in memory")
}

/// What each thread keeps: a buffer, and the compressed form of zeros of one length.
#[derive(Default)]
struct Own {
    buf: Vec<u8>,
    zeros: Option<(usize, Vec<u8>)>,
}

impl Own {
    /// Compresses a stretch with `pack`, which gives the same bytes for the same input.
    fn pack(
        &mut self,
        disk: &dyn ReadAt,
        stretch: &Stretch,
        mut pack: impl FnMut(&[u8]) -> Result<Vec<u8>, Error>,
    ) -> Result<Vec<u8>, Error> {
        if let Some(bytes) = read(disk, stretch, &mut self.buf)? {
            return pack(bytes);
        }
        let len = len_of(stretch);
        if let Some((known, packed)) = &self.zeros
            && *known == len
        {
            return Ok(packed.clone());
        }
        let packed = pack(&vec![0; len])?;
        self.zeros = Some((len, packed.clone()));
        Ok(packed)
    }
}

fn put(out: &mut dyn Append, bytes: Vec<u8>, written: &mut u64) -> Result<(), Error> {
    let len = bytes.len() as u64;
    out.append(bytes).map_err(Error::io(format!(
        "writing the compressed disk at byte {written}"
    )))?;
    *written += len;
    Ok(())
}

fn zst(
    disk: &dyn ReadAt,
    level: i32,
    jobs: NonZeroUsize,
    out: &mut dyn Append,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, Error> {
    let mut written = 0;
    let failed = |error: io::Error| {
        Error::unsupported("zst", format!("compressing with level {level} ({error})"))
    };
    ordered::run(
        jobs,
        stretches(disk, FRAME_BYTES),
        || (Own::default(), zstd_compressor(level)),
        |(own, compressor), stretch| {
            let packed = own.pack(disk, &stretch, |bytes| match compressor {
                Ok(compressor) => compressor.compress(bytes).map_err(failed),
                Err(error) => Err(failed(io::Error::other(error.to_string()))),
            })?;
            Ok((packed, stretch.range.end))
        },
        |(packed, end)| {
            put(out, packed, &mut written)?;
            progress(end);
            Ok(())
        },
    )?;
    if written == 0 {
        // A disk of no bytes is still a stream.
        let empty = zstd::bulk::compress(&[], level).map_err(failed)?;
        put(out, empty, &mut written)?;
    }
    Ok(written)
}

fn zstd_compressor(level: i32) -> io::Result<zstd::bulk::Compressor<'static>> {
    let mut compressor = zstd::bulk::Compressor::new(level)?;
    compressor.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true))?;
    Ok(compressor)
}

fn xz_stream(
    disk: &dyn ReadAt,
    preset: u32,
    jobs: NonZeroUsize,
    out: &mut dyn Append,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, Error> {
    let mut written = 0;
    let mut records = Vec::new();
    put(out, xz::stream_header(xz::CHECK_CRC32), &mut written)?;
    let encoder = xz::BlockEncoder::new(preset)?;
    ordered::run(
        jobs,
        stretches(disk, BLOCK_BYTES),
        Own::default,
        |own, stretch| {
            let packed = own.pack(disk, &stretch, |bytes| encoder.encode(bytes))?;
            Ok((packed, stretch.range))
        },
        |(packed, range)| {
            let unpadded = xz::unpadded_size(&packed);
            records.push(xz::Record {
                unpadded,
                uncompressed: range.end - range.start,
            });
            put(out, packed, &mut written)?;
            progress(range.end);
            Ok(())
        },
    )?;
    let index = xz::index(&records);
    let footer = xz::stream_footer(index.len() as u64, xz::CHECK_CRC32);
    put(out, index, &mut written)?;
    put(out, footer, &mut written)?;
    Ok(written)
}
