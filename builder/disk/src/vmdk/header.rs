//! The header of a sparse extent, which is also its footer.
//!
//! VMware, "Virtual Disk Format 5.0", section "Hosted Sparse Extents". Checks what the tables' sizes follow from.

use super::{AT_END, FLAG_COMPRESSED, FLAG_MARKERS, FLAG_ZERO_GRAINS, FORMAT, SECTOR};
use crate::error::Error;
use crate::fields::{array, le16, le32, le64};

/// What the bytes of a newline test must be; a text-mode transfer would have changed them.
const NEWLINES: [u8; 4] = *b"\n \r\n";
/// The largest grain read: 1 MiB.
const MAX_GRAIN_SECTORS: u64 = 2048;
/// The most entries of a grain table; VMware and QEMU know no other than 512.
const MAX_TABLE_ENTRIES: u32 = 4096;

/// A sparse extent's header; sizes and places in sectors.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Header {
    pub(super) version: u32,
    pub(super) flags: u32,
    pub(super) capacity: u64,
    pub(super) grain_sectors: u64,
    pub(super) descriptor_offset: u64,
    pub(super) descriptor_sectors: u64,
    pub(super) table_entries: u32,
    pub(super) directory: u64,
    pub(super) overhead: u64,
}

impl Header {
    /// Reads a header that stands at byte `at` of its file.
    pub(super) fn decode(bytes: &[u8; 512], at: u64) -> Result<Self, Error> {
        let corrupt = |what: &str| Error::corrupt(FORMAT, what, at);
        let long = |at| le64(bytes, at).unwrap_or(0);
        let word = |at| le32(bytes, at).unwrap_or(0);
        if array(bytes, 0) != Some(*b"KDMV") {
            return Err(corrupt("no magic number"));
        }
        let header = Self {
            version: word(4),
            flags: word(8),
            capacity: long(12),
            grain_sectors: long(20),
            descriptor_offset: long(28),
            descriptor_sectors: long(36),
            table_entries: word(44),
            directory: long(56),
            overhead: long(64),
        };
        if !(1..=3).contains(&header.version) {
            return Err(Error::unsupported(
                FORMAT,
                format!("version {}", header.version),
            ));
        }
        if header.flags & 1 != 0 && array(bytes, 73) != Some(NEWLINES) {
            return Err(corrupt("line ends were changed in transfer"));
        }
        if !header.grain_sectors.is_power_of_two()
            || !(8..=MAX_GRAIN_SECTORS).contains(&header.grain_sectors)
        {
            return Err(corrupt("grains of an impossible size"));
        }
        if !(1..=MAX_TABLE_ENTRIES).contains(&header.table_entries) {
            return Err(corrupt("grain tables of an impossible size"));
        }
        if header.flags & FLAG_COMPRESSED != 0 && le16(bytes, 77) != Some(1) {
            return Err(Error::unsupported(
                FORMAT,
                "a compression other than deflate",
            ));
        }
        if header.capacity > i64::MAX as u64 / SECTOR {
            return Err(corrupt("an impossible capacity"));
        }
        Ok(header)
    }

    /// Returns the header's sector.
    pub(super) fn encode(&self) -> [u8; 512] {
        let mut bytes = [0; 512];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, b"KDMV");
        put(4, &self.version.to_le_bytes());
        put(8, &self.flags.to_le_bytes());
        put(12, &self.capacity.to_le_bytes());
        put(20, &self.grain_sectors.to_le_bytes());
        put(28, &self.descriptor_offset.to_le_bytes());
        put(36, &self.descriptor_sectors.to_le_bytes());
        put(44, &self.table_entries.to_le_bytes());
        // No redundant grain directory: bytes 48 to 55 stay zero.
        put(56, &self.directory.to_le_bytes());
        put(64, &self.overhead.to_le_bytes());
        put(73, &NEWLINES);
        put(77, &1u16.to_le_bytes());
        bytes
    }

    /// Returns whether grains are compressed.
    pub(super) fn compressed(&self) -> bool {
        self.flags & FLAG_COMPRESSED != 0
    }

    /// Returns whether grains are preceded by markers.
    pub(super) fn markers(&self) -> bool {
        self.flags & FLAG_MARKERS != 0
    }

    /// Returns whether an entry of 1 is a grain of zeros.
    pub(super) fn zero_grains(&self) -> bool {
        self.flags & FLAG_ZERO_GRAINS != 0
    }

    /// Returns whether the footer says where the grain directory is.
    pub(super) fn has_footer(&self) -> bool {
        self.directory == AT_END
    }

    /// Returns the entries of the grain directory.
    pub(super) fn directory_entries(&self) -> u64 {
        self.capacity
            .div_ceil(self.grain_sectors)
            .div_ceil(u64::from(self.table_entries))
    }
}
