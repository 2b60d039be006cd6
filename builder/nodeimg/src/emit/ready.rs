//! Grains of a VMDK that the base brings compressed.
//!
//! Clusters of a qcow2 image are DEFLATE streams (RFC 1951) of 64 KiB, and so are grains. Where a grain of the disk is one
//! cluster of the base, byte for byte, its stream is taken over. One that holds something besides (a directory, a file that
//! was removed) is of no use. Which clusters serve is a matter of the disk alone: no choice is made here.

use crate::open::Clusters;
use disk::vmdk::{GRAIN, Ready};
use fstree::{Origin, ReadAt};
use std::io;
use std::ops::Range;

/// The clusters of a disk's base.
pub(super) struct BaseClusters<'a> {
    disk: &'a dyn ReadAt,
    base: &'a Clusters,
}

impl<'a> BaseClusters<'a> {
    /// Returns the clusters of `base` that are grains of `disk`.
    pub(super) fn new(disk: &'a dyn ReadAt, base: &'a Clusters) -> Self {
        Self { disk, base }
    }

    /// Returns the cluster that a grain is made of, by its number, and the parts of the grain that are zero.
    fn cluster(&self, grain: &Range<u64>) -> Option<(u64, Vec<Range<usize>>)> {
        let mut cluster = None;
        let mut holes = Vec::new();
        let mut other = grain.end - grain.start != GRAIN as u64;
        self.disk.origins(grain.clone(), &mut |part, origin| {
            let at = part.start - grain.start;
            match origin {
                Origin::Zeros => holes.push(index(at)..index(part.end - grain.start)),
                Origin::Named(name, offset) if name == self.base.name && offset >= at => {
                    other |= *cluster.get_or_insert(offset - at) != offset - at;
                }
                _ => other = true,
            }
        });
        let start = cluster.filter(|it| !other && it.is_multiple_of(GRAIN as u64))?;
        Some((start / GRAIN as u64, holes))
    }
}

impl Ready for BaseClusters<'_> {
    fn stream(&self, range: Range<u64>, stream: &mut Vec<u8>) -> io::Result<Option<u32>> {
        match self.cluster(&range) {
            Some((cluster, holes)) => self.base.streams.append(cluster, &holes, stream),
            None => Ok(None),
        }
    }
}

/// Returns an offset within a grain as an index.
fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
