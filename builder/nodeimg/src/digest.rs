//! SHA-256 as the name of bytes, and what is derived from it: identifiers that must be new but never random.

mod hasher;

use crate::error::Error;
use fstree::{ReadAt, SourceName};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::io;
use std::str::FromStr;

pub(crate) use hasher::Hasher;

/// Bytes that are handed to another thread at once.
const PIECE: u64 = 1 << 20;
/// Bytes that are read and hashed by one thread: so few that a processor's second cache still holds them.
const CACHED: u64 = 128 << 10;
/// Bytes from which on it is of use that one thread reads while another hashes.
const WORTH_A_THREAD: u64 = 64 << 20;

/// SHA-256 of some bytes, and their name.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Returns the digest of bytes in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Returns the digest of everything a source holds.
    pub fn of_source(source: &dyn ReadAt) -> io::Result<Self> {
        let mut hash = Sha256::new();
        let (mut buf, mut at) = (Vec::new(), 0);
        while next(source, CACHED, &mut at, &mut buf)? {
            hash.update(&buf);
        }
        Ok(Self(hash.finalize().into()))
    }

    /// The same for what other work has to wait for: if it is large, one thread reads it while another hashes, which is
    /// sooner done, and costs more where all processors have work.
    pub fn of_awaited(source: &dyn ReadAt) -> io::Result<Self> {
        if source.size() < WORTH_A_THREAD {
            return Self::of_source(source);
        }
        let hasher = Hasher::start();
        let (mut buf, mut at) = (Vec::new(), 0);
        while next(source, PIECE, &mut at, &mut buf)? {
            buf = hasher.take(buf)?;
        }
        hasher.finish()
    }

    /// Returns the digest of everything a source holds, and of each part of `part` bytes, of which the last may be short; two
    /// threads hash.
    pub fn of_parts(source: &dyn ReadAt, part: usize) -> io::Result<(Self, Vec<Self>)> {
        let hasher = Hasher::start();
        let (mut buf, mut at, mut parts) = (Vec::new(), 0, Vec::new());
        // Whole parts at once.
        let piece = PIECE.next_multiple_of(part as u64);
        while next(source, piece, &mut at, &mut buf)? {
            parts.extend(buf.chunks(part).map(Self::of));
            buf = hasher.take(buf)?;
        }
        Ok((hasher.finish()?, parts))
    }

    /// Returns a digest made elsewhere.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns a UUID of version 8 (RFC 9562, section 5.8) for one purpose: the same for the same digest and purpose.
    pub fn uuid(&self, purpose: &str) -> [u8; 16] {
        let hash = Sha256::new()
            .chain_update(self.0)
            .chain_update(purpose)
            .finalize();
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&hash[..16]);
        uuid[6] = (uuid[6] & 0x0f) | 0x80;
        uuid[8] = (uuid[8] & 0x3f) | 0x80;
        uuid
    }

    /// Returns the name of what reading an input of this digest in one way gives.
    ///
    /// `way` changes when the reading does, or what was remembered of the old one is taken for the new.
    pub fn source_name(&self, way: &str) -> SourceName {
        let hash = Sha256::new()
            .chain_update(b"source ")
            .chain_update(self.0)
            .chain_update(way)
            .finalize();
        SourceName(hash.into())
    }

    /// Returns the first 12 hex digits, for people.
    pub fn short(&self) -> String {
        hex(&self.0[..6])
    }
}

/// Fills `buf` with a source's next bytes from `at` on, `piece` of them at most, and moves on; says whether there were any.
fn next(source: &dyn ReadAt, piece: u64, at: &mut u64, buf: &mut Vec<u8>) -> io::Result<bool> {
    let n = source.size().saturating_sub(*at).min(piece);
    buf.resize(usize::try_from(n).unwrap_or(0), 0);
    source.read_exact_at(buf, *at)?;
    *at += n;
    Ok(n > 0)
}

/// Returns lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || {
            Error::input(format!("{text:?} is no SHA-256")).help("64 hexadecimal digits are wanted")
        };
        if text.len() != 64 || !text.is_ascii() {
            return Err(bad());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| bad())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| bad())?;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_of_any_length_has_the_digest_of_its_bytes() {
        let all: Vec<u8> = (0..(65u32 << 20) + 5)
            .map(|it| (it / 7).to_le_bytes()[0])
            .collect();
        for len in [0, 1, 1 << 20, (1 << 20) + 1, 64 << 20, all.len()] {
            let source = all[..len].to_vec();
            let digest = Digest::of(&source);
            assert_eq!(Digest::of_source(&source).unwrap(), digest, "{len}");
            assert_eq!(Digest::of_awaited(&source).unwrap(), digest, "{len}");
            for part in [64 << 10, 300_000, 3 << 20] {
                let parts = source.chunks(part).map(Digest::of).collect();
                let found = Digest::of_parts(&source, part).unwrap();
                assert_eq!(found, (digest, parts), "{len} in parts of {part}");
            }
        }
    }

    #[test]
    fn text_and_back() {
        let digest = Digest::of(b"abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest.to_string(), text);
        assert_eq!(text.parse::<Digest>().unwrap(), digest);
        assert_eq!(Digest::of_source(&b"abc".to_vec()).unwrap(), digest);
        assert!("ba78".parse::<Digest>().is_err());
        assert!("é".repeat(32).parse::<Digest>().is_err());
        assert_ne!(digest.uuid("a"), digest.uuid("b"));
    }
}
