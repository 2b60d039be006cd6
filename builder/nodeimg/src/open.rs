//! Opening a disk image in whatever form it came, and finding volumes in it by label.

use crate::digest::Digest;
use crate::error::{Result, input as user_input};
use crate::want::Blobs;
use disk::qcow2::{Qcow2, Streams};
use disk::table::{self, Table};
use disk::vmdk::{GRAIN, OpenExtent};
use disk::{Error as DiskError, Format};
use fstree::{Named, ReadAt, SourceName};
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
    /// The image that it is in, if that is a qcow2.
    pub(crate) qcow2: Option<Arc<Qcow2>>,
}

#[cfg(test)]
impl OpenDisk {
    /// Returns a disk with an MBR, for tests.
    pub(crate) fn of(disk: Arc<dyn ReadAt>, partitions: Vec<table::Partition>) -> Self {
        let scheme = table::Scheme::Mbr {
            signature: 1,
            boot_code: Box::new([0; 440]),
        };
        Self {
            disk,
            table: Table {
                sector: table::SectorSize::B512,
                scheme,
                partitions,
                warnings: Vec::new(),
            },
            qcow2: None,
        }
    }
}

/// Clusters that are as large as a VMDK's grains and compressed as they are, of a disk whose bytes are known by a name.
pub(crate) struct Clusters {
    pub(crate) name: SourceName,
    pub(crate) streams: Streams,
}

impl Clusters {
    /// Returns the clusters of an input's disk, if it has such; they are surveyed once, and the host keeps the outcome.
    pub(crate) fn of(
        disk: &OpenDisk,
        digest: Digest,
        blobs: &dyn Blobs,
        jobs: NonZeroUsize,
    ) -> Result<Option<Self>> {
        let image = disk.qcow2.clone();
        let Some(image) = image.filter(|it| it.deflates() && it.cluster_bytes() == GRAIN) else {
            return Ok(None);
        };
        let survey = blobs.derive(&format!("{digest}.streams"), &mut |out| {
            disk::qcow2::survey(&image, jobs, out).map_err(std::io::Error::other)
        })?;
        Ok(Some(Self {
            name: name(digest),
            streams: Streams::new(image, survey),
        }))
    }
}

/// Opens an input that the host has verified, and that is complete in itself, as everything that a lock names is; its bytes
/// are known by its name from here on.
pub(crate) fn input(digest: Digest, blobs: &dyn Blobs, jobs: NonZeroUsize) -> Result<OpenDisk> {
    let (source, what) = (blobs.open(digest)?, format!("image sha256:{digest}"));
    let alone = &mut disk::vmdk::nothing_else;
    let opened = open(source, &what, || Ok(digest), blobs, jobs, alone)?;
    let disk = Arc::new(Named::new(opened.disk, name(digest)));
    Ok(OpenDisk { disk, ..opened })
}

/// Returns the name by which the bytes of an input's disk are known.
fn name(digest: Digest) -> SourceName {
    digest.source_name("disk")
}

/// Opens an image, which messages call `what`; a compressed one is decoded once, and kept by the host under its digest,
/// which only then is asked for.
///
/// `extent` finds the files that a VMDK's descriptor names.
pub(crate) fn open(
    source: Arc<dyn ReadAt>,
    what: &str,
    digest: impl FnOnce() -> Result<Digest>,
    blobs: &dyn Blobs,
    jobs: NonZeroUsize,
    extent: OpenExtent<'_>,
) -> Result<OpenDisk> {
    let broken = || user_input(format!("{what} cannot be opened"));
    let failed = |cause: DiskError| {
        let elsewhere = matches!(cause, DiskError::Elsewhere { .. });
        let error = broken()(cause);
        if elsewhere {
            error.help(ONE_FILE)
        } else {
            error
        }
    };
    let mut qcow2 = None;
    let disk = match disk::sniff(&source).map_err(broken())? {
        Format::Xz | Format::Zst | Format::Gz => {
            blobs.derive(&format!("{}.raw", digest()?), &mut |out| {
                disk::compressed::decode(&source, jobs, MAX_DECODED, out, &mut |_| ())
                    .map_err(std::io::Error::other)
            })?
        }
        Format::Qcow2 => {
            let image = Arc::new(disk::qcow2::open(source).map_err(failed)?);
            qcow2 = Some(image.clone());
            image
        }
        Format::Raw | Format::Vmdk => disk::open_with(source, extent).map_err(failed)?,
    };
    let sector = table::sector_size(&disk).map_err(broken())?;
    let table = table::read(&disk, sector).map_err(broken())?;
    Ok(OpenDisk { disk, table, qcow2 })
}
