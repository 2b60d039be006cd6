//! Opening a disk image in whatever form it came, and finding volumes in it by label.

use crate::digest::Digest;
use crate::error::{Result, input};
use crate::want::Blobs;
use disk::table::{self, Table};
use disk::vmdk::OpenExtent;
use disk::{Error as DiskError, Format};
use fstree::ReadAt;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// No image that is decoded may be larger: a Pi's image has 4 GiB, a hostile one may claim anything.
const MAX_DECODED: u64 = 256 << 30;

/// What to do about a disk in several files.
const ONE_FILE: &str = "an image is one file: a flat extent is a raw disk and can be named itself; others become one file \
    by `qemu-img convert -O qcow2`";

/// A disk with its partition table.
pub(crate) struct OpenDisk {
    /// The disk's bytes.
    pub(crate) disk: Arc<dyn ReadAt>,
    /// Its partitions.
    pub(crate) table: Table,
}

/// Opens an image that is complete in itself, as everything that a lock names is.
pub(crate) fn open(
    source: Arc<dyn ReadAt>,
    digest: Digest,
    blobs: &dyn Blobs,
    jobs: NonZeroUsize,
) -> Result<OpenDisk> {
    open_with(source, digest, blobs, jobs, &mut disk::vmdk::nothing_else)
}

/// Opens an image; a compressed one is decoded once, and kept by the host under the digest of the image.
///
/// `extent` finds the files that a VMDK's descriptor names.
pub(crate) fn open_with(
    source: Arc<dyn ReadAt>,
    digest: Digest,
    blobs: &dyn Blobs,
    jobs: NonZeroUsize,
    extent: OpenExtent<'_>,
) -> Result<OpenDisk> {
    let broken = || input(format!("image sha256:{digest} cannot be opened"));
    let disk = match disk::sniff(&source).map_err(broken())? {
        Format::Xz | Format::Zst | Format::Gz => {
            blobs.derive(&format!("{digest}.raw"), &mut |out| {
                disk::compressed::decode(&source, jobs, MAX_DECODED, out, &mut |_| ())
                    .map_err(std::io::Error::other)
            })?
        }
        Format::Raw | Format::Qcow2 | Format::Vmdk => {
            disk::open_with(source, extent).map_err(|cause| {
                let whole = matches!(cause, DiskError::Elsewhere { .. });
                let error = broken()(cause);
                if whole { error.help(ONE_FILE) } else { error }
            })?
        }
    };
    let sector = table::sector_size(&disk).map_err(broken())?;
    let table = table::read(&disk, sector).map_err(broken())?;
    Ok(OpenDisk { disk, table })
}
