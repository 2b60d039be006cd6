//! The header of a qcow2 image, checked.
//!
//! QEMU, docs/interop/qcow2, sections "Header" and "Header extensions". Refuses by name what the reader cannot follow.

use super::FORMAT;
use crate::error::Error;
use crate::fields::{be32, be64};
use fstree::ReadAt;

/// The largest L1 table that QEMU itself opens.
const MAX_L1_BYTES: u64 = 32 << 20;

/// How compressed clusters are compressed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Method {
    Deflate,
    Zstd,
}

/// What the reader needs to know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) version: u32,
    pub(super) cluster_bits: u32,
    pub(super) disk_bytes: u64,
    pub(super) l1_entries: u64,
    pub(super) l1_offset: u64,
    pub(super) method: Method,
}

impl Header {
    /// Reads and checks the header at the start of `source`.
    pub(super) fn read(source: &dyn ReadAt) -> Result<Self, Error> {
        let mut bytes = vec![0; usize::try_from(source.size().min(4096)).unwrap_or(4096)];
        source
            .read_exact_at(&mut bytes, 0)
            .map_err(Error::io("reading the qcow2 header"))?;
        if be32(&bytes, 0) != Some(0x5146_49fb) {
            return Err(Error::corrupt(FORMAT, "no magic number", 0));
        }
        let version = word(&bytes, 4)?;
        if !matches!(version, 2 | 3) {
            return Err(Error::unsupported(FORMAT, format!("version {version}")));
        }
        refuse_backing_file(source, &bytes)?;
        if word(&bytes, 32)? != 0 {
            return Err(Error::unsupported(FORMAT, "encryption"));
        }
        let method = if version == 3 {
            features(&bytes)?
        } else {
            Method::Deflate
        };
        let cluster_bits = word(&bytes, 20)?;
        if !(9..=21).contains(&cluster_bits) {
            return Err(Error::corrupt(
                FORMAT,
                format!("clusters of 2^{cluster_bits} bytes"),
                20,
            ));
        }
        let header = Self {
            version,
            cluster_bits,
            disk_bytes: long(&bytes, 24)?,
            l1_entries: u64::from(word(&bytes, 36)?),
            l1_offset: long(&bytes, 40)?,
            method,
        };
        header.check_l1(source.size())?;
        Ok(header)
    }

    /// Returns the bytes of one cluster.
    pub(super) fn cluster_bytes(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// Returns the entries of one L2 table, which fills a cluster.
    pub(super) fn l2_entries(&self) -> u64 {
        self.cluster_bytes() / 8
    }

    fn check_l1(&self, source_bytes: u64) -> Result<(), Error> {
        let needed = self
            .disk_bytes
            .div_ceil(self.cluster_bytes())
            .div_ceil(self.l2_entries());
        let bytes = self.l1_entries * 8;
        if self.l1_entries < needed {
            return Err(Error::corrupt(
                FORMAT,
                "the L1 table is too short for the disk",
                36,
            ));
        }
        if bytes > MAX_L1_BYTES {
            return Err(Error::corrupt(
                FORMAT,
                "the L1 table is larger than 32 MiB",
                36,
            ));
        }
        if self
            .l1_offset
            .checked_add(bytes)
            .is_none_or(|end| end > source_bytes)
        {
            return Err(Error::corrupt(
                FORMAT,
                "the L1 table passes the end of the file",
                40,
            ));
        }
        Ok(())
    }
}

fn word(bytes: &[u8], at: usize) -> Result<u32, Error> {
    be32(bytes, at)
        .ok_or_else(|| Error::corrupt(FORMAT, "the file ends within the header", at as u64))
}

fn long(bytes: &[u8], at: usize) -> Result<u64, Error> {
    be64(bytes, at)
        .ok_or_else(|| Error::corrupt(FORMAT, "the file ends within the header", at as u64))
}

fn refuse_backing_file(source: &dyn ReadAt, bytes: &[u8]) -> Result<(), Error> {
    let (offset, len) = (long(bytes, 8)?, word(bytes, 16)?);
    if offset == 0 {
        return Ok(());
    }
    let mut name = vec![0; usize::try_from(len.min(1023)).unwrap_or(0)];
    let name = match source.read_exact_at(&mut name, offset) {
        Ok(()) => String::from_utf8_lossy(&name).into_owned(),
        Err(_) => "(unreadable name)".to_owned(),
    };
    Err(Error::unsupported(
        FORMAT,
        format!("the backing file {name:?}"),
    ))
}

/// Checks the incompatible features of a version 3 header, and returns the compression method.
fn features(bytes: &[u8]) -> Result<Method, Error> {
    let incompatible = long(bytes, 72)?;
    let header_bytes = word(bytes, 100)?;
    for bit in 0..64 {
        if incompatible >> bit & 1 == 0 {
            continue;
        }
        match bit {
            // A dirty image's reference counts may be wrong; its tables, which are all we read, are not.
            0 | 3 => {}
            1 => {
                return Err(Error::corrupt(
                    FORMAT,
                    "the image is marked corrupt; repair it with qemu-img check -r",
                    72,
                ));
            }
            2 => return Err(Error::unsupported(FORMAT, "an external data file")),
            4 => {
                return Err(Error::unsupported(
                    FORMAT,
                    "extended L2 entries (subclusters)",
                ));
            }
            bit => {
                return Err(Error::unsupported(
                    FORMAT,
                    named_feature(bytes, header_bytes, bit),
                ));
            }
        }
    }
    let kind = if header_bytes > 104 {
        bytes.get(104).copied().unwrap_or(0)
    } else {
        0
    };
    match (kind, incompatible >> 3 & 1) {
        (0, _) => Ok(Method::Deflate),
        (1, 1) => Ok(Method::Zstd),
        (1, _) => Err(Error::corrupt(
            FORMAT,
            "a compression type without its feature bit",
            104,
        )),
        (kind, _) => Err(Error::unsupported(
            FORMAT,
            format!("compression type {kind}"),
        )),
    }
}

/// Returns the name that the image's feature name table gives to incompatible feature `bit`, or its number.
fn named_feature(bytes: &[u8], header_bytes: u32, bit: u8) -> String {
    let mut at = usize::try_from(header_bytes).unwrap_or(usize::MAX);
    // Each extension takes at least 8 of at most 4096 bytes, so this ends.
    while let (Some(kind), Some(len)) = (
        be32(bytes, at),
        at.checked_add(4).and_then(|at| be32(bytes, at)),
    ) {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let Some(body) = at
            .checked_add(8)
            .and_then(|at| bytes.get(at..at.checked_add(len)?))
        else {
            break;
        };
        if kind == 0x6803_f857 {
            let mut names = body.chunks_exact(48);
            if let Some(entry) = names.find(|entry| entry.starts_with(&[0, bit])) {
                let name = String::from_utf8_lossy(&entry[2..]);
                return format!("the incompatible feature {:?}", name.trim_end_matches('\0'));
            }
        }
        if kind == 0 {
            break;
        }
        at = at + 8 + len.next_multiple_of(8);
    }
    format!("incompatible feature bit {bit}")
}
