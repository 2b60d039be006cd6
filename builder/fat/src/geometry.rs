//! Where the parts of a volume are: reserved sectors, allocation tables, fixed root directory, clusters.
//!
//! Microsoft's "FAT: General Overview", sections "FAT Data Structure" and "FAT Type Determination". Knows no files.

use std::fmt;

/// Which of the three formats; it says how wide a cell of the allocation table is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// Cells of 12 bits, at most 4,084 clusters.
    Fat12,
    /// Cells of 16 bits, at most 65,524 clusters.
    Fat16,
    /// Cells of 28 bits used of 32; the root directory is a chain of clusters.
    Fat32,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fat12 => "FAT12",
            Self::Fat16 => "FAT16",
            Self::Fat32 => "FAT32",
        })
    }
}

impl Kind {
    /// Returns the cell width in bits.
    pub(crate) fn bits(self) -> u64 {
        match self {
            Self::Fat12 => 12,
            Self::Fat16 => 16,
            Self::Fat32 => 32,
        }
    }

    /// Returns how many clusters a volume of this kind has at most.
    pub(crate) fn max_clusters(self) -> u64 {
        match self {
            Self::Fat12 => 4084,
            Self::Fat16 => 65_524,
            Self::Fat32 => 0x0FFF_FFF4,
        }
    }

    /// Returns the mask of a cell's used bits, which is also the mark of a chain's end.
    pub(crate) fn mask(self) -> u32 {
        match self {
            Self::Fat12 => 0x0FFF,
            Self::Fat16 => 0xFFFF,
            Self::Fat32 => 0x0FFF_FFFF,
        }
    }

    /// Returns the kind of a volume without 32-bit fields, which its number of clusters alone decides.
    pub(crate) fn of_small(clusters: u64) -> Self {
        if clusters <= Self::Fat12.max_clusters() {
            Self::Fat12
        } else {
            Self::Fat16
        }
    }

    /// Returns how many bytes a table takes that has cells for `clusters` and the two reserved ones.
    pub(crate) fn table_bytes(self, clusters: u64) -> u64 {
        ((clusters + 2) * self.bits()).div_ceil(8)
    }
}

/// Number of a cluster; the first of a volume is 2.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Cluster(pub(crate) u32);

/// The first cluster.
pub(crate) const FIRST: u32 = 2;

/// Where the parts of a volume are. Constructors see to it that nothing here overflows a u64.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Geometry {
    pub(crate) kind: Kind,
    pub(crate) sector_bytes: u64,
    pub(crate) cluster_sectors: u64,
    pub(crate) reserved_sectors: u64,
    pub(crate) fats: u64,
    pub(crate) fat_sectors: u64,
    pub(crate) root_entries: u64,
    pub(crate) total_sectors: u64,
    pub(crate) clusters: u64,
}

impl Geometry {
    pub(crate) fn cluster_bytes(&self) -> u64 {
        self.cluster_sectors * self.sector_bytes
    }

    /// Returns the byte offset of a copy of the allocation table.
    pub(crate) fn fat_at(&self, copy: u64) -> u64 {
        (self.reserved_sectors + copy * self.fat_sectors) * self.sector_bytes
    }

    /// Returns the byte offset of the fixed root directory.
    pub(crate) fn root_at(&self) -> u64 {
        self.fat_at(self.fats)
    }

    /// Returns the byte offset of the first cluster.
    pub(crate) fn data_at(&self) -> u64 {
        self.root_at() + root_sectors(self.root_entries, self.sector_bytes) * self.sector_bytes
    }

    /// Returns the byte offset of a cluster.
    pub(crate) fn cluster_at(&self, cluster: Cluster) -> u64 {
        self.data_at() + u64::from(cluster.0.saturating_sub(FIRST)) * self.cluster_bytes()
    }

    /// Returns the cluster of that number, or `None` if the volume does not have it.
    pub(crate) fn cluster(&self, number: u32) -> Option<Cluster> {
        let index = u64::from(number.checked_sub(FIRST)?);
        (index < self.clusters).then_some(Cluster(number))
    }
}

/// Returns how many sectors a fixed root directory takes.
pub(crate) fn root_sectors(entries: u64, sector_bytes: u64) -> u64 {
    (entries * 32).div_ceil(sector_bytes)
}
