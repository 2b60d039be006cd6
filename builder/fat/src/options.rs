//! What volume to make: like another, or fresh with the usual choices for its size.

use crate::boot::{Facts, Label};
use crate::error::Error;
use crate::geometry::{Geometry, Kind, root_sectors};
use fstree::Timestamp;

/// What volume to make.
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) facts: Facts,
    pub(crate) size: u64,
    pub(crate) time: Timestamp,
}

impl Options {
    /// Returns options for a volume of `size` bytes with all else as in `facts`; `time` is the label's.
    ///
    /// The cluster size changes only if the kind does not allow as many, or as few, clusters as the size makes.
    pub fn like(facts: &Facts, size: u64, time: Timestamp) -> Self {
        Self {
            facts: facts.clone(),
            size,
            time,
        }
    }

    /// Returns options for a new volume of `size` bytes; kind and cluster size are those that `mkfs.fat` would choose.
    ///
    /// FAT32 from 512 MiB on; below, FAT12 or FAT16, whichever the number of clusters of 2 KiB and more makes it.
    pub fn fresh(size: u64, label: Option<Label>, volume_id: u32, time: Timestamp) -> Self {
        let (kind, cluster_sectors) = usual(size);
        let wide = kind == Kind::Fat32;
        // EB xx 90 jumps over the parameter block; INT 18h then hands back to the firmware, and HLT waits if it does not.
        let mut boot_code = vec![0; if wide { 420 } else { 448 }];
        boot_code[..5].copy_from_slice(&[0xCD, 0x18, 0xF4, 0xEB, 0xFD]);
        let facts = Facts {
            kind,
            size,
            sector_bytes: 512,
            cluster_sectors,
            reserved_sectors: if wide { 32 } else { 1 },
            fats: 2,
            root_entries: if wide { 0 } else { 512 },
            media: 0xF8,
            track_sectors: 63,
            heads: 255,
            hidden_sectors: 0,
            drive: 0x80,
            volume_id,
            label,
            oem_name: *b"MSWIN4.1", // The specification asks for it: some drivers look.
            jump: [0xEB, if wide { 0x58 } else { 0x3C }, 0x90],
            boot_code,
            info_sector: wide.then_some(1),
            backup_sector: wide.then_some(6),
        };
        Self { facts, size, time }
    }

    /// Sets the number of sectors before the volume on its disk.
    #[must_use]
    pub fn with_hidden_sectors(mut self, sectors: u32) -> Self {
        self.facts.hidden_sectors = sectors;
        self
    }

    /// Sets the size of sectors to 4096 bytes, as Linux wants it on disks of such: clusters stay as they are, or become a sector.
    #[must_use]
    pub fn with_sectors_of_4096(mut self) -> Self {
        let cluster_bytes =
            u32::from(self.facts.cluster_sectors) * u32::from(self.facts.sector_bytes);
        let sectors = u8::try_from(cluster_bytes / 4096).unwrap_or(u8::MAX).max(1);
        self.facts.sector_bytes = 4096;
        self.facts.cluster_sectors = sectors;
        // Larger clusters are fewer: of a small FAT16 they make a FAT12.
        if self.facts.kind == Kind::Fat16 && self.with_clusters_of(sectors.into()).is_none() {
            self.facts.kind = Kind::Fat12;
        }
        self
    }

    /// Sets or removes the label.
    #[must_use]
    pub fn with_label(mut self, label: Option<Label>) -> Self {
        self.facts.label = label;
        self
    }

    /// Sets the serial number.
    #[must_use]
    pub fn with_volume_id(mut self, volume_id: u32) -> Self {
        self.facts.volume_id = volume_id;
        self
    }

    /// Returns where the parts go: the cluster size asked for, or the nearest that the kind allows.
    pub(crate) fn geometry(&self) -> Result<Geometry, Error> {
        self.check()?;
        let wanted = u64::from(self.facts.cluster_sectors);
        let larger = std::iter::successors(Some(wanted), |it| Some(it * 2).filter(|it| *it <= 128));
        let smaller =
            std::iter::successors(Some(wanted / 2), |it| Some(it / 2)).take_while(|it| *it > 0);
        let mut found = larger
            .chain(smaller)
            .filter_map(|it| self.with_clusters_of(it));
        found.next().ok_or_else(|| {
            self.bad("no cluster size makes a number of clusters that the kind allows")
        })
    }

    fn bad(&self, why: &str) -> Error {
        Error::BadShape {
            kind: self.facts.kind,
            size: self.size,
            why: why.to_owned(),
        }
    }

    /// Checks what is believed from here on; `Facts` is plain data that anybody can fill in.
    fn check(&self) -> Result<(), Error> {
        let facts = &self.facts;
        let wide = facts.kind == Kind::Fat32;
        if !matches!(facts.sector_bytes, 512 | 1024 | 2048 | 4096) {
            return Err(self.bad("sectors are of 512, 1024, 2048 or 4096 bytes"));
        }
        if !facts.cluster_sectors.is_power_of_two() {
            return Err(self.bad("sectors per cluster are a power of two"));
        }
        if facts.fats == 0 || facts.reserved_sectors == 0 || wide != (facts.root_entries == 0) {
            return Err(self.bad("it lacks a boot sector, a table, or the right root directory"));
        }
        let copies = [facts.info_sector, facts.backup_sector];
        // The copy of the boot sector is followed by a copy of the hint.
        let room = facts.reserved_sectors.saturating_sub(1);
        let clash = facts.info_sector.is_some() && facts.info_sector == facts.backup_sector
            || facts
                .info_sector
                .zip(facts.backup_sector)
                .is_some_and(|(info, backup)| info == backup.saturating_add(1));
        if wide && (clash || copies.iter().flatten().any(|it| *it == 0 || *it >= room)) {
            return Err(self.bad(
                "the sectors of the hint and of the copy are not in the reserved area, each apart",
            ));
        }
        Ok(())
    }

    /// Returns the geometry with clusters of so many sectors, if the kind allows the number of clusters it makes.
    fn with_clusters_of(&self, cluster_sectors: u64) -> Option<Geometry> {
        let facts = &self.facts;
        let sector_bytes = u64::from(facts.sector_bytes);
        let total_sectors = (self.size / sector_bytes).min(u64::from(u32::MAX));
        let (reserved_sectors, fats) = (u64::from(facts.reserved_sectors), u64::from(facts.fats));
        let root_entries = u64::from(facts.root_entries);
        let rest = total_sectors
            .checked_sub(reserved_sectors + root_sectors(root_entries, sector_bytes))?;
        let clusters = |fat_sectors: u64| rest.saturating_sub(fats * fat_sectors) / cluster_sectors;
        let suffices = |it: u64| facts.kind.table_bytes(clusters(it)) <= it * sector_bytes;
        // The smallest table that has a cell for each cluster it leaves room for.
        let (mut low, mut high) = (
            1,
            facts
                .kind
                .table_bytes(rest / cluster_sectors)
                .div_ceil(sector_bytes),
        );
        while low < high {
            let middle = low.midpoint(high);
            (low, high) = if suffices(middle) {
                (low, middle)
            } else {
                (middle + 1, high)
            };
        }
        let (fat_sectors, clusters) = (low, clusters(low));
        let (least, most) = match facts.kind {
            Kind::Fat16 => (Kind::Fat12.max_clusters() + 1, Kind::Fat16.max_clusters()),
            // Small FAT32 is against the specification, and common: the base has it so, or `fresh` chose it not.
            kind => (1, kind.max_clusters()),
        };
        let fits = (least..=most).contains(&clusters);
        fits.then_some(Geometry {
            kind: facts.kind,
            sector_bytes,
            cluster_sectors,
            reserved_sectors,
            fats,
            fat_sectors,
            root_entries,
            total_sectors,
            clusters,
        })
    }
}

/// Returns kind and sectors per cluster for a volume of that size in bytes.
fn usual(size: u64) -> (Kind, u8) {
    const WIDE: [(u64, u8); 4] = [
        (512 << 20, 8),
        ((8 << 30) + 1, 16),
        ((16 << 30) + 1, 32),
        ((32 << 30) + 1, 64),
    ];
    if let Some((_, sectors)) = WIDE.iter().rev().find(|it| size >= it.0) {
        return (Kind::Fat32, *sectors);
    }
    let data = (size / 512).saturating_sub(1 + 32);
    // The two tables themselves take some of the space, and near the borders that decides.
    let clusters = |sectors: u8| {
        let most = (data / u64::from(sectors)).min(Kind::Fat16.max_clusters());
        data.saturating_sub(2 * Kind::Fat16.table_bytes(most).div_ceil(512)) / u64::from(sectors)
    };
    let fits = |sectors: &u8| clusters(*sectors) <= Kind::Fat16.max_clusters();
    let sectors = [4, 8, 16, 32].into_iter().find(fits).unwrap_or(64);
    (Kind::of_small(clusters(sectors)), sectors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_the_usual_ones() {
        for (kib, kind, sectors) in [
            (64, Kind::Fat12, 4),
            (990, Kind::Fat12, 4),
            (8192, Kind::Fat12, 4),
            (8400, Kind::Fat16, 4),
            (131_072, Kind::Fat16, 4),
            (140_000, Kind::Fat16, 8),
            (300_000, Kind::Fat16, 16),
            (524_287, Kind::Fat16, 16),
            (524_288, Kind::Fat32, 8),
            (8 << 20, Kind::Fat32, 8),
            (8_400_000, Kind::Fat32, 16),
            (34_000_000, Kind::Fat32, 64),
        ] {
            let options = Options::fresh(kib << 10, None, 0, Timestamp::default());
            let got = options.geometry().map(|it| (it.kind, it.cluster_sectors));
            assert_eq!(got.ok(), Some((kind, sectors)), "{kib} KiB");
        }
    }

    #[test]
    fn every_size_has_a_geometry_with_a_cell_for_each_cluster() {
        for size in (20_000..1_200_000_000_u64).step_by(777_777) {
            let geometry = Options::fresh(size, None, 0, Timestamp::default())
                .geometry()
                .unwrap();
            assert!(geometry.kind.table_bytes(geometry.clusters) <= geometry.fat_sectors * 512);
            assert!(
                geometry.cluster_at(crate::geometry::Cluster(2))
                    + geometry.clusters * geometry.cluster_bytes()
                    <= size
            );
        }
    }

    #[test]
    fn every_size_has_a_geometry_with_sectors_of_4096_bytes_too() {
        for size in (270_000..1_200_000_000_u64).step_by(777_777) {
            let options = Options::fresh(size, None, 0, Timestamp::default());
            let geometry = options.with_sectors_of_4096().geometry().unwrap();
            assert_eq!(geometry.sector_bytes, 4096);
            assert!(geometry.kind.table_bytes(geometry.clusters) <= geometry.fat_sectors * 4096);
        }
    }

    #[test]
    fn what_cannot_be_made_is_refused() {
        let fresh = Options::fresh(10_000, None, 0, Timestamp::default());
        assert!(fresh.geometry().is_err());
        let facts = Options::fresh(64 << 20, None, 0, Timestamp::default()).facts;
        assert!(
            Options::like(&facts, 1 << 20, Timestamp::default())
                .geometry()
                .is_err()
        );
        assert!(
            Options::like(&facts, 1 << 40, Timestamp::default())
                .geometry()
                .is_err()
        );
        assert!(
            Options::like(&facts, 900 << 20, Timestamp::default())
                .geometry()
                .unwrap()
                .cluster_sectors
                > 4
        );
    }
}
