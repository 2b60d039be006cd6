//! The hashes of indexed directories: legacy, half MD4 and TEA, each over signed or unsigned characters.
//!
//! Kernel documentation, "Hash Tree Directories"; half MD4 is the first three rounds of RFC 1320 on 32-byte pieces, TEA the
//! Tiny Encryption Algorithm as a hash. `SipHash` (casefold with encryption) is not here.

use crate::le::u32_at;
use std::fmt;

/// Which function hashes names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HashAlgorithm {
    /// The first one of Linux 2.5.
    Legacy,
    /// Three rounds of MD4.
    HalfMd4,
    /// The Tiny Encryption Algorithm.
    Tea,
}

/// Whether bytes above 127 are negative characters: what the machine that made the volume thought of `char`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CharSign {
    /// As on x86.
    Signed,
    /// As on ARM.
    Unsigned,
}

/// How names are hashed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NameHash {
    /// The function.
    pub algorithm: HashAlgorithm,
    /// The sign of bytes above 127.
    pub sign: CharSign,
    /// The seed, as it stands in the superblock.
    pub seed: [u8; 16],
}

/// A name's place in an indexed directory.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Hash {
    /// Chooses the leaf; its lowest bit is always clear.
    pub(crate) major: u32,
    /// Orders equal ones.
    pub(crate) minor: u32,
}

impl HashAlgorithm {
    /// Returns the number that superblocks and index roots call it by, of its signed form.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Legacy => 0,
            Self::HalfMd4 => 1,
            Self::Tea => 2,
        }
    }

    /// Returns the algorithm of that number, signed or unsigned.
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        match number {
            0 | 3 => Some(Self::Legacy),
            1 | 4 => Some(Self::HalfMd4),
            2 | 5 => Some(Self::Tea),
            _ => None,
        }
    }
}

impl fmt::Display for NameHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithm = match self.algorithm {
            HashAlgorithm::Legacy => "legacy",
            HashAlgorithm::HalfMd4 => "half_md4",
            HashAlgorithm::Tea => "tea",
        };
        let sign = match self.sign {
            CharSign::Signed => "signed",
            CharSign::Unsigned => "unsigned",
        };
        write!(
            f,
            "{algorithm} {sign} {}",
            crate::facts::uuid_text(&self.seed)
        )
    }
}

impl NameHash {
    /// Returns the major and minor hash of a name.
    pub fn hash(&self, name: &[u8]) -> (u32, u32) {
        let Hash { major, minor } = self.of(name);
        (major, minor)
    }

    /// Returns the hash of a name.
    pub(crate) fn of(&self, name: &[u8]) -> Hash {
        let mut state = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
        if self.seed != [0; 16] {
            state = [0, 4, 8, 12].map(|at| u32_at(&self.seed, at));
        }
        let (major, minor) = match self.algorithm {
            HashAlgorithm::Legacy => (self.legacy(name), 0),
            HashAlgorithm::HalfMd4 => {
                let mut rest = name;
                while !rest.is_empty() {
                    half_md4(&mut state, &self.words::<8>(rest));
                    rest = rest.get(32..).unwrap_or_default();
                }
                (state[1], state[2])
            }
            HashAlgorithm::Tea => {
                let mut rest = name;
                while !rest.is_empty() {
                    tea(&mut state, &self.words::<4>(rest));
                    rest = rest.get(16..).unwrap_or_default();
                }
                (state[0], state[1])
            }
        };
        // The largest even number marks the end of a directory in the kernel's file positions.
        let major = if major & !1 == 0xffff_fffe {
            0xffff_fffc
        } else {
            major & !1
        };
        Hash { major, minor }
    }

    fn character(&self, byte: u8) -> u32 {
        match self.sign {
            CharSign::Signed => i32::from(byte.cast_signed()).cast_unsigned(),
            CharSign::Unsigned => u32::from(byte),
        }
    }

    fn legacy(&self, name: &[u8]) -> u32 {
        let (mut older, mut newer) = (0x37ab_e8f9u32, 0x12a3_fe2du32);
        for byte in name {
            let mut hash =
                older.wrapping_add(newer ^ self.character(*byte).wrapping_mul(7_152_373));
            if hash & 0x8000_0000 != 0 {
                hash = hash.wrapping_sub(0x7fff_ffff);
            }
            older = newer;
            newer = hash;
        }
        newer << 1
    }

    /// Returns the next `N` words of a name, padded with its remaining length.
    fn words<const N: usize>(&self, name: &[u8]) -> [u32; N] {
        let len = u32::try_from(name.len()).unwrap_or(u32::MAX);
        let pad = (len | len << 8).wrapping_mul(0x1_0001);
        let mut words = [pad; N];
        for (i, chunk) in name.chunks(4).take(N).enumerate() {
            words[i] = chunk.iter().fold(pad, |word, byte| {
                self.character(*byte).wrapping_add(word << 8)
            });
        }
        words
    }
}

fn half_md4(state: &mut [u32; 4], words: &[u32; 8]) {
    type Mix = fn(u32, u32, u32) -> u32;
    let rounds: [(Mix, u32, [usize; 8], [u32; 4]); 3] = [
        (
            |b, c, d| d ^ (b & (c ^ d)),
            0,
            [0, 1, 2, 3, 4, 5, 6, 7],
            [3, 7, 11, 19],
        ),
        (
            |b, c, d| (b & c).wrapping_add((b ^ c) & d),
            0x5a82_7999,
            [1, 3, 5, 7, 0, 2, 4, 6],
            [3, 5, 9, 13],
        ),
        (
            |b, c, d| b ^ c ^ d,
            0x6ed9_eba1,
            [3, 7, 2, 6, 1, 5, 0, 4],
            [3, 9, 11, 15],
        ),
    ];
    let [mut a, mut b, mut c, mut d] = *state;
    for (mix, constant, order, shifts) in rounds {
        for (step, at) in order.into_iter().enumerate() {
            let sum = a
                .wrapping_add(mix(b, c, d))
                .wrapping_add(words[at])
                .wrapping_add(constant);
            (a, b, c, d) = (d, sum.rotate_left(shifts[step % 4]), b, c);
        }
    }
    for (to, add) in state.iter_mut().zip([a, b, c, d]) {
        *to = to.wrapping_add(add);
    }
}

fn tea(state: &mut [u32; 4], x: &[u32; 4]) {
    let [mut y, mut z, ..] = *state;
    let mut sum = 0u32;
    for _ in 0..16 {
        sum = sum.wrapping_add(0x9e37_79b9);
        let mix = |v: u32, k0: u32, k1: u32| {
            (v << 4).wrapping_add(k0) ^ v.wrapping_add(sum) ^ (v >> 5).wrapping_add(k1)
        };
        y = y.wrapping_add(mix(z, x[0], x[1]));
        z = z.wrapping_add(mix(y, x[2], x[3]));
    }
    state[0] = state[0].wrapping_add(y);
    state[1] = state[1].wrapping_add(z);
}
