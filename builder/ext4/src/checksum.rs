//! The checksums of metadata: CRC-32C (`metadata_csum`) and CRC-16 (`uninit_bg`), and what seeds them.
//!
//! Linux' `crc32c(seed, data)` inverts nothing; the crate inverts on the way in and out.

use crate::features::Feature;
use crate::le::lo16;
use crate::superblock::Superblock;

/// Returns the running CRC-32C of `data` after `seed`, as Linux counts it.
pub(crate) fn crc32c(seed: u32, data: &[u8]) -> u32 {
    !crc32c::crc32c_append(!seed, data)
}

/// Returns the running CRC-16 (polynomial 0x8005, reflected) of `data` after `seed`.
pub(crate) fn crc16(seed: u16, data: &[u8]) -> u16 {
    data.iter().fold(seed, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0xa001 } else { 0 }
        })
    })
}

/// Returns the running CRC-32 (polynomial 0x04C11DB7, highest bit first) of `data` after `seed`: the journal's first checksum.
pub(crate) fn crc32_be(seed: u32, data: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let mut crc = byte << 24;
            let mut bit = 0;
            while bit < 8 {
                crc = (crc << 1) ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 };
                bit += 1;
            }
            table[byte as usize] = crc;
            byte += 1;
        }
        table
    };
    data.iter().fold(seed, |crc, byte| {
        let [high, ..] = crc.to_be_bytes();
        (crc << 8) ^ TABLE[usize::from(high ^ byte)]
    })
}

/// Which checksums a volume has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Sums {
    /// None at all.
    None,
    /// CRC-16 of group descriptors alone.
    Groups {
        /// Seed of them.
        uuid: [u8; 16],
    },
    /// CRC-32C of all metadata.
    All {
        /// Seed of all of them.
        seed: u32,
    },
}

impl Sums {
    /// Returns the checksums of a volume with this superblock.
    pub(crate) fn of(sb: &Superblock) -> Self {
        if sb.features.has(Feature::METADATA_CSUM) {
            let stored = sb.features.has(Feature::CSUM_SEED);
            Self::All {
                seed: if stored {
                    sb.checksum_seed
                } else {
                    crc32c(!0, &sb.uuid)
                },
            }
        } else if sb.features.has(Feature::GDT_CSUM) {
            Self::Groups { uuid: sb.uuid }
        } else {
            Self::None
        }
    }

    /// Returns whether groups may leave bitmaps and inode tables unused by a flag.
    pub(crate) fn groups_have_flags(self) -> bool {
        self != Self::None
    }

    /// Returns the seed of all metadata, if it has checksums.
    pub(crate) fn seed(self) -> Option<u32> {
        match self {
            Self::All { seed } => Some(seed),
            _ => None,
        }
    }

    /// Returns the seed of what belongs to an inode, if metadata has checksums.
    pub(crate) fn inode_seed(self, ino: u32, generation: u32) -> Option<u32> {
        let seed = crc32c(self.seed()?, &ino.to_le_bytes());
        Some(crc32c(seed, &generation.to_le_bytes()))
    }

    /// Returns the checksum of a group descriptor; its own field, at 0x1E, counts as zero or not at all.
    pub(crate) fn group(self, group: u32, descriptor: &[u8]) -> u16 {
        let (head, tail) = (&descriptor[..0x1e], &descriptor[0x20..]);
        match self {
            Self::None => 0,
            Self::Groups { uuid } => crc16(
                crc16(crc16(crc16(!0, &uuid), &group.to_le_bytes()), head),
                tail,
            ),
            Self::All { seed } => {
                let sum = crc32c(crc32c(crc32c(seed, &group.to_le_bytes()), head), &[0, 0]);
                lo16(crc32c(sum, tail))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_values_of_the_catalogue() {
        assert_eq!(!crc32c(!0, b"123456789"), 0xe306_9283);
        assert_eq!(crc16(0, b"123456789"), 0xbb3d);
        assert_eq!(crc16(!0, b"123456789"), 0x4b37);
        assert_eq!(!crc32_be(!0, b"123456789"), 0xfc89_1918);
    }
}
