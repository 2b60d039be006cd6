//! How hard a grain is compressed: as hard as it pays.
//!
//! A node's disk is of three kinds. What is compressed already (modules, layers of containers) becomes no smaller by any
//! effort; what is nearly so gains little by a search for longer matches; programs, text and tables gain a thirtieth to a
//! fifteenth by it. Which kind a grain is shows in how many values its bytes have: not how many different ones, but how many
//! it would take, all equally frequent, for two bytes to be alike as often (Simpson's index, its inverse). Counted in whole
//! numbers, so that every machine decides alike. Knows no format but zlib's (RFC 1950).

use super::FORMAT;
use crate::error::Error;
use libdeflater::{CompressionLvl, Compressor};

/// Every so many bytes one is counted; odd, for tables have even widths.
const STRIDE: usize = 15;
/// From so many values on, bytes may be compressed already, or encrypted. There are 256, and samples have a few less.
const NOISE: u64 = 230;
/// From so many values on, a search for longer matches gains a thirtieth at most.
const PLAIN: u64 = 32;
/// What noise is tried on, and where: twice, in the middle of each half.
const TRIAL: usize = 4096;
/// What a trial must save for a grain to be no noise, in bytes.
const SAVED: usize = 16;

/// libdeflate's levels: none, the fastest, and the one whose files are as large as those of zlib's default.
const LEVELS: [u8; 3] = [0, 1, 2];

/// How hard grains are compressed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Effort {
    /// Each with the level that its bytes are worth.
    ByContent,
    /// All with this level of libdeflate's, 0–12; others count as the nearest.
    Level(u8),
}

/// One thread's compressors.
pub(super) enum Deflate {
    ByContent([Compressor; 3]),
    Level(Compressor),
}

impl Deflate {
    pub(super) fn new(effort: Effort) -> Self {
        match effort {
            Effort::ByContent => Self::ByContent(LEVELS.map(compressor)),
            Effort::Level(level) => Self::Level(compressor(level)),
        }
    }

    /// Appends a grain as a zlib stream.
    pub(super) fn append(&mut self, grain: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let compressor = match self {
            Self::ByContent(all) => {
                let level = worth(grain, |part| packed(&mut all[1], part, &mut Vec::new()))?;
                &mut all[level]
            }
            Self::Level(one) => one,
        };
        packed(compressor, grain, out).map(|_| ())
    }
}

fn compressor(level: u8) -> Compressor {
    let level = CompressionLvl::new(i32::from(level.min(12))).unwrap_or_default();
    Compressor::new(level)
}

/// Appends a zlib stream, and returns its length.
fn packed(compressor: &mut Compressor, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, Error> {
    let start = out.len();
    out.resize(start + compressor.zlib_compress_bound(bytes.len()), 0);
    let done = compressor.zlib_compress(bytes, &mut out[start..]);
    // The bound above is libdeflate's own, so there is room; an error would be a broken promise of the library.
    let len = done.map_err(|error| Error::unsupported(FORMAT, format!("deflate: {error}")))?;
    out.truncate(start + len);
    Ok(len)
}

/// Returns the place in [`LEVELS`] of the level for these bytes; `trial` returns the length of some of them, compressed.
fn worth(
    bytes: &[u8],
    mut trial: impl FnMut(&[u8]) -> Result<usize, Error>,
) -> Result<usize, Error> {
    let values = values(bytes);
    if values >= NOISE {
        let mut halves = bytes.chunks(bytes.len().div_ceil(2));
        let noise = halves.try_fold(true, |noise, half| {
            let middle = half.len().saturating_sub(TRIAL) / 2;
            let part = &half[middle..half.len().min(middle + TRIAL)];
            Ok::<_, Error>(noise && trial(part)? + SAVED > part.len())
        })?;
        return Ok(usize::from(!noise));
    }
    Ok(if values >= PLAIN { 1 } else { 2 })
}

/// Returns how many values, all equally frequent, would be as varied as a sample of these bytes: 1–256.
fn values(bytes: &[u8]) -> u64 {
    let mut counts = [0_u32; 256];
    let mut all = 0_u64;
    for byte in bytes.iter().step_by(STRIDE) {
        counts[usize::from(*byte)] += 1;
        all += 1;
    }
    let alike: u64 = counts.iter().map(|it| u64::from(*it).pow(2)).sum();
    all.pow(2) / alike.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRAIN: usize = 64 << 10;

    /// Bytes of so many values, without an order.
    fn noise(values: u32) -> Vec<u8> {
        let mut state = 7_u32;
        std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state % values).to_le_bytes()[0]
        })
        .take(GRAIN)
        .collect()
    }

    fn level(bytes: &[u8]) -> u8 {
        let mut fast = compressor(1);
        LEVELS[worth(bytes, |part| packed(&mut fast, part, &mut Vec::new())).unwrap()]
    }

    #[test]
    fn values_are_counted_by_how_frequent_they_are() {
        assert_eq!(values(&vec![9; GRAIN]), 1);
        assert_eq!(values(&noise(16)), 15);
        assert!((NOISE..=256).contains(&values(&noise(256))));
        assert_eq!(values(&[]), 0);
        // One in ten differs, and not by much.
        let rare: Vec<u8> = noise(20).into_iter().map(|it| it / 18).collect();
        assert_eq!(values(&rare), 1);
    }

    #[test]
    fn noise_is_stored_and_what_only_looks_like_it_is_not() {
        assert_eq!(level(&noise(256)), 0);
        assert_eq!(level(&noise(100)), 1);
        assert_eq!(level(&noise(6)), 2);
        assert_eq!(level(b"x"), 2);
        // All values equally often, but in order; and noise whose second half repeats every 500 bytes.
        let ramp: Vec<u8> = (0..GRAIN).map(|it| it.to_le_bytes()[0]).collect();
        assert_eq!(level(&ramp), 1);
        let mut half = noise(256);
        for at in GRAIN / 2 + 500..GRAIN {
            half[at] = half[at - 500];
        }
        assert_eq!(level(&half), 1);
    }

    #[test]
    fn a_stored_grain_is_a_zlib_stream_of_its_length() {
        let grain = noise(256);
        let mut out = vec![1, 2, 3];
        Deflate::new(Effort::ByContent)
            .append(&grain, &mut out)
            .unwrap();
        assert!(out.len() <= 3 + GRAIN + 16, "{}", out.len());
        let mut back = vec![0; GRAIN];
        let read = libdeflater::Decompressor::new().zlib_decompress(&out[3..], &mut back);
        assert_eq!(read.unwrap(), GRAIN);
        assert!(back == grain);
    }
}
