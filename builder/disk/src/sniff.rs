//! Which format a source is in, by its first bytes, and the disk inside it.
//!
//! Anything unknown is a raw disk: nothing in a raw disk's first bytes marks it as one.

use crate::error::Error;
use crate::{qcow2, vmdk};
use fstree::ReadAt;
use std::sync::Arc;

/// How a disk is stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// The disk's own bytes.
    Raw,
    /// QEMU's copy-on-write format.
    Qcow2,
    /// VMDK: a sparse extent, or the text that names extents.
    Vmdk,
    /// A raw disk compressed by xz.
    Xz,
    /// A raw disk compressed by Zstandard.
    Zst,
    /// A raw disk compressed by gzip.
    Gz,
}

/// Returns the format of `source`.
pub fn sniff(source: &dyn ReadAt) -> Result<Format, Error> {
    let mut head = [0; 21];
    let there = usize::try_from(source.size())
        .unwrap_or(usize::MAX)
        .min(head.len());
    source
        .read_exact_at(&mut head[..there], 0)
        .map_err(Error::io("reading the first bytes"))?;
    Ok(match &head {
        [b'Q', b'F', b'I', 0xfb, ..] => Format::Qcow2,
        [b'K', b'D', b'M', b'V', ..] => Format::Vmdk,
        head if head.eq_ignore_ascii_case(b"# Disk DescriptorFile") => Format::Vmdk,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Format::Xz,
        // A frame, or a skippable one before it.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Format::Zst,
        [0x1f, 0x8b, 8, ..] => Format::Gz,
        _ => Format::Raw,
    })
}

/// Returns the disk in `source`, which is raw, qcow2 or VMDK; a compressed one must be decoded first.
pub fn open(source: Arc<dyn ReadAt>) -> Result<Arc<dyn ReadAt>, Error> {
    open_with(source, &mut vmdk::nothing_else)
}

/// Like [`open`]; the files that a VMDK's descriptor names come from `extent`.
pub fn open_with(
    source: Arc<dyn ReadAt>,
    extent: vmdk::OpenExtent<'_>,
) -> Result<Arc<dyn ReadAt>, Error> {
    match sniff(&source)? {
        Format::Raw => Ok(source),
        Format::Qcow2 => Ok(Arc::new(qcow2::open(source)?)),
        Format::Vmdk => vmdk::open_with(source, extent),
        Format::Xz | Format::Zst | Format::Gz => Err(Error::unsupported(
            "compressed disk",
            "reading without decoding it first",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_name_the_format() {
        let of = |bytes: &[u8]| sniff(&bytes.to_vec()).unwrap();
        assert_eq!(of(b"QFI\xfb\0\0\0\x03"), Format::Qcow2);
        assert_eq!(of(b"KDMV\x01"), Format::Vmdk);
        assert_eq!(of(b"# Disk DescriptorFile\nversion=1"), Format::Vmdk);
        assert_eq!(of(b"\xfd7zXZ\0\0\x04"), Format::Xz);
        assert_eq!(of(b"\x28\xb5\x2f\xfd"), Format::Zst);
        assert_eq!(of(b"\x51\x2a\x4d\x18"), Format::Zst);
        assert_eq!(of(b"\x1f\x8b\x08"), Format::Gz);
        assert_eq!(of(b""), Format::Raw);
        assert_eq!(of(&[0; 512]), Format::Raw);
    }
}
