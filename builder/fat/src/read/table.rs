//! The allocation table: follows chains of clusters and remembers which were visited.
//!
//! Cells are read by the page, when a chain first needs them, from the one copy that counts.

use crate::error::Error;
use crate::geometry::{Cluster, Geometry, Kind};
use fstree::{ImgPath, ReadAt, Run};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A multiple of three, so that no cell of 12 bits crosses from page to page.
const PAGE: u64 = 3 << 12;

pub(super) struct Table {
    volume: Arc<dyn ReadAt>,
    geometry: Geometry,
    copy: u64,
    pages: BTreeMap<u64, Vec<u8>>,
    /// One bit a cluster.
    visited: Vec<u64>,
}

impl Table {
    pub(super) fn new(volume: Arc<dyn ReadAt>, geometry: &Geometry, copy: u64) -> Self {
        let words = usize::try_from(geometry.clusters / 64 + 1).expect("at most 2^28 clusters");
        Self {
            volume,
            geometry: geometry.clone(),
            copy,
            pages: BTreeMap::new(),
            visited: vec![0; words],
        }
    }

    /// Returns the chain from `first` as runs of the volume: `len` bytes of it, or all there is.
    pub(super) fn chain(
        &mut self,
        path: &ImgPath,
        first: u32,
        len: Option<u64>,
    ) -> Result<Vec<Run>, Error> {
        let cluster_bytes = self.geometry.cluster_bytes();
        let mut runs: Vec<Run> = Vec::new();
        let (mut next, mut at) = (first, 0);
        loop {
            let Some(cluster) = self.geometry.cluster(next) else {
                return Err(Error::corrupt(
                    path,
                    format!("its chain leads to cluster {next}, which is none"),
                ));
            };
            if !self.visit(cluster) {
                return Err(Error::corrupt(
                    path,
                    format!("cluster {next} belongs to something else too"),
                ));
            }
            let from = self.geometry.cluster_at(cluster);
            let part = len.map_or(cluster_bytes, |len| cluster_bytes.min(len - at));
            match runs.last_mut() {
                Some(last) if last.from + last.len == from => last.len += part,
                _ => runs.push(Run {
                    at,
                    from,
                    len: part,
                }),
            }
            at += part;
            if len == Some(at) {
                return Ok(runs);
            }
            next = self.cell(path, cluster)?;
            if next >= self.geometry.kind.mask() & !7 {
                return match len {
                    None => Ok(runs),
                    Some(len) => Err(Error::corrupt(
                        path,
                        format!("its chain ends after {at} of {len} bytes"),
                    )),
                };
            }
        }
    }

    /// Marks a cluster; returns whether it had not been.
    fn visit(&mut self, cluster: Cluster) -> bool {
        let index = usize::try_from(cluster.0).expect("u32 fits in usize") - 2;
        let (word, bit) = (&mut self.visited[index / 64], 1 << (index % 64));
        let fresh = *word & bit == 0;
        *word |= bit;
        fresh
    }

    fn cell(&mut self, path: &ImgPath, cluster: Cluster) -> Result<u32, Error> {
        let bit = u64::from(cluster.0) * self.geometry.kind.bits();
        let at = bit / 8;
        let page = match self.pages.entry(at / PAGE) {
            std::collections::btree_map::Entry::Occupied(it) => it.into_mut(),
            std::collections::btree_map::Entry::Vacant(it) => {
                let table = self.geometry.fat_sectors * self.geometry.sector_bytes;
                let start = at / PAGE * PAGE;
                let len = usize::try_from(PAGE.min(table.saturating_sub(start)))
                    .expect("a page is small");
                let mut bytes = vec![0; len];
                let read = self
                    .volume
                    .read_exact_at(&mut bytes, self.geometry.fat_at(self.copy) + start);
                read.map_err(|source| Error::Io {
                    what: format!("the allocation table for {path}"),
                    source,
                })?;
                it.insert(bytes)
            }
        };
        let index = usize::try_from(at % PAGE).expect("a page is small");
        let byte = |offset: usize| u32::from(page.get(index + offset).copied().unwrap_or(0));
        let low = byte(0) | byte(1) << 8;
        Ok(match self.geometry.kind {
            Kind::Fat12 if bit % 8 == 4 => low >> 4,
            Kind::Fat12 => low & 0x0FFF,
            Kind::Fat16 => low,
            Kind::Fat32 => (low | byte(2) << 16 | byte(3) << 24) & 0x0FFF_FFFF,
        })
    }
}
