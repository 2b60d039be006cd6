//! Partition tables as values: read, edited as data, rendered as bytes.
//!
//! UEFI 2.10, chapter 5 (GPT); the MBR with extended partitions as DOS and Linux know it. A [`Table`] keeps what boot
//! loaders and `PARTUUID=` depend on — boot code, disk signature, GUIDs, names, attributes — through every edit. Moves no
//! partition's content; of file systems it knows how the usual ones begin, which tells sectors of 512 bytes from those of 4096
//! where a table does not.

mod check;
mod gpt;
mod guid;
mod mbr;
mod sectors;
mod text;

pub use guid::{BadGuid, Guid};
pub use sectors::sector_size;

use crate::error::Error;
use fstree::ReadAt;

/// The size of a disk's sector, the unit of its table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SectorSize {
    /// 512 bytes.
    B512,
    /// 4096 bytes.
    B4096,
}

impl SectorSize {
    /// Returns the sector's size in bytes.
    pub fn bytes(self) -> u64 {
        match self {
            Self::B512 => 512,
            Self::B4096 => 4096,
        }
    }
}

/// A sector's number.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Lba(pub u64);

/// A partition table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Table {
    /// The sector's size.
    pub sector: SectorSize,
    /// What the two kinds of table have each for themselves.
    pub scheme: Scheme,
    /// The partitions, in the order of their numbers.
    pub partitions: Vec<Partition>,
    /// What was wrong with the table and could be mended.
    pub warnings: Vec<Warning>,
}

/// Which kind of table, and what only that kind has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Scheme {
    /// GUID partition table.
    Gpt {
        /// The disk's GUID.
        disk_guid: Guid,
        /// The first 440 bytes of the disk, which a BIOS runs.
        boot_code: Box<[u8; 440]>,
        /// The first sector that a partition may take.
        first_usable: Lba,
        /// The entries that the table has room for.
        entries: u32,
        /// The bytes of one entry.
        entry_bytes: u32,
        /// The protective MBR's signature and its records; a hybrid MBR has more than one.
        protective: Protective,
    },
    /// Master boot record.
    Mbr {
        /// The disk signature, first part of each PARTUUID.
        signature: u32,
        /// The first 440 bytes of the disk, which a BIOS runs.
        boot_code: Box<[u8; 440]>,
    },
}

/// What the MBR of a GPT disk says besides its boot code.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Protective {
    /// Signature and reserved bytes, 440 to 445.
    pub signature: [u8; 6],
    /// The four records as they stand; rendering resizes the one of type 0xEE.
    pub records: [[u8; 16]; 4],
}

/// A partition.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Partition {
    /// Its number, from 1; on an MBR disk logical partitions begin at 5.
    pub number: u32,
    /// Its first sector.
    pub start: Lba,
    /// Its size in sectors.
    pub sectors: u64,
    /// Its type and what else only its kind of table has.
    pub kind: Kind,
}

impl Partition {
    /// Returns whether it is the extended one of an MBR: a place for logical partitions, not a volume.
    pub fn is_extended(&self) -> bool {
        matches!(self.kind, Kind::Primary { type_code, .. } if mbr::is_extended_type(type_code))
    }
}

/// A partition's type.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A GPT partition.
    Gpt {
        /// What it is for.
        type_guid: Guid,
        /// Its own GUID, which is its PARTUUID.
        unique_guid: Guid,
        /// The 64 attribute bits.
        attributes: u64,
        /// Its name.
        name: GptName,
    },
    /// A primary partition of an MBR, or the extended one (types 0x05, 0x0f, 0x85) that holds logical ones.
    Primary {
        /// What it is for.
        type_code: u8,
        /// Whether a BIOS boots from it.
        active: Active,
    },
    /// A logical partition.
    Logical {
        /// What it is for.
        type_code: u8,
        /// Whether a BIOS boots from it.
        active: Active,
        /// The sector of the boot record that describes it.
        record: Lba,
    },
}

/// Whether a partition carries the active flag.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Active {
    /// It does.
    Yes,
    /// It does not.
    No,
}

/// A GPT partition's name: 36 UTF-16 units, kept even if they are no text.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct GptName(pub [u16; 36]);

impl GptName {
    /// Returns the name as units, or `None` if it is longer than 36.
    pub fn new(name: &str) -> Option<Self> {
        let mut units = [0; 36];
        for (at, unit) in name.encode_utf16().enumerate() {
            *units.get_mut(at)? = unit;
        }
        Some(Self(units))
    }
}

impl std::fmt::Display for GptName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let end = self
            .0
            .iter()
            .position(|unit| *unit == 0)
            .unwrap_or(self.0.len());
        f.write_str(&String::from_utf16_lossy(&self.0[..end]))
    }
}

impl std::fmt::Debug for GptName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

/// Something wrong with a table that reading could mend.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Warning {
    /// The primary GPT is damaged, the backup was read; says what is wrong.
    PrimaryDamaged(String),
    /// The backup GPT is damaged, the primary was read; says what is wrong.
    BackupDamaged(String),
    /// Both copies are whole but differ; the primary was read.
    CopiesDiffer,
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::PrimaryDamaged(what) => write!(
                f,
                "the primary GPT is damaged ({what}): its backup was read"
            ),
            Self::BackupDamaged(what) => write!(
                f,
                "the backup GPT is damaged ({what}): the primary was read"
            ),
            Self::CopiesDiffer => {
                f.write_str("the two copies of the GPT differ: the primary was read")
            }
        }
    }
}

/// Reads the partition table of `disk`; [`sector_size`] tells what it counts in.
pub fn read(disk: &dyn ReadAt, sector: SectorSize) -> Result<Table, Error> {
    let mut first = [0; 512];
    disk.read_exact_at(&mut first, 0)
        .map_err(Error::io("reading the disk's first sector"))?;
    let table = if mbr::is_protective(&first) {
        gpt::read(disk, sector, &first)?
    } else {
        mbr::read(disk, sector, &first)?
    };
    table.check(disk.size())?;
    Ok(table)
}

impl Table {
    /// Returns the partition called `number`.
    pub fn partition(&self, number: u32) -> Result<&Partition, Error> {
        self.partitions
            .iter()
            .find(|partition| partition.number == number)
            .ok_or(Error::NoPartition(number))
    }

    /// Returns the partition called `number`, to be edited.
    pub fn partition_mut(&mut self, number: u32) -> Result<&mut Partition, Error> {
        self.partitions
            .iter_mut()
            .find(|partition| partition.number == number)
            .ok_or(Error::NoPartition(number))
    }

    /// Returns the byte range of a partition of this table.
    pub fn byte_range(&self, partition: &Partition) -> std::ops::Range<u64> {
        let start = partition.start.0.saturating_mul(self.sector.bytes());
        start..start.saturating_add(partition.sectors.saturating_mul(self.sector.bytes()))
    }

    /// Returns what Linux calls the partition's PARTUUID.
    pub fn partuuid(&self, partition: &Partition) -> String {
        match (&self.scheme, &partition.kind) {
            (_, Kind::Gpt { unique_guid, .. }) => unique_guid.to_string(),
            (Scheme::Mbr { signature, .. }, _) => {
                format!("{signature:08x}-{:02x}", partition.number)
            }
            (Scheme::Gpt { .. }, _) => String::new(),
        }
    }

    /// Lets the partition called `number` end before `end`.
    pub fn set_end(&mut self, number: u32, end: Lba) -> Result<(), Error> {
        let partition = self.partition_mut(number)?;
        let sectors = end
            .0
            .checked_sub(partition.start.0)
            .filter(|sectors| *sectors > 0);
        let what = || {
            format!(
                "its end {} would lie before its start {}",
                end.0, partition.start.0
            )
        };
        partition.sectors = sectors.ok_or_else(|| Error::Partition {
            number,
            what: what(),
        })?;
        Ok(())
    }

    /// Adds a partition, whose number must be free.
    pub fn add(&mut self, partition: Partition) -> Result<(), Error> {
        let number = partition.number;
        if self.partition(number).is_ok() {
            return Err(Error::Partition {
                number,
                what: "its number is taken".to_owned(),
            });
        }
        let at = self
            .partitions
            .partition_point(|other| other.number < number);
        self.partitions.insert(at, partition);
        Ok(())
    }

    /// Returns the first sector of a disk of `disk_bytes` that partitions may not take, backup table or end.
    pub fn usable_end(&self, disk_bytes: u64) -> Lba {
        let sectors = disk_bytes / self.sector.bytes();
        match &self.scheme {
            Scheme::Gpt {
                entries,
                entry_bytes,
                ..
            } => {
                let table = gpt::table_sectors(*entries, *entry_bytes, self.sector);
                Lba(sectors.saturating_sub(table + 1))
            }
            Scheme::Mbr { .. } => Lba(sectors.min(1 << 32)),
        }
    }

    /// Returns the smallest disk, in bytes, that holds all partitions and the table, a whole number of `granule` bytes.
    pub fn smallest_disk(&self, granule: u64) -> u64 {
        let end = self
            .partitions
            .iter()
            .map(|it| it.start.0.saturating_add(it.sectors))
            .max()
            .unwrap_or(0);
        let after = match &self.scheme {
            Scheme::Gpt {
                entries,
                entry_bytes,
                ..
            } => gpt::table_sectors(*entries, *entry_bytes, self.sector) + 1,
            Scheme::Mbr { .. } => 0,
        };
        let bytes = end
            .saturating_add(after)
            .saturating_mul(self.sector.bytes());
        bytes
            .checked_next_multiple_of(granule.max(1))
            .unwrap_or(u64::MAX)
    }

    /// Returns the table's bytes for a disk of `disk_bytes`, and the offset of each piece.
    ///
    /// A GPT's backup moves to the disk's end, and the protective record grows with it.
    pub fn render(&self, disk_bytes: u64) -> Result<Vec<(u64, Vec<u8>)>, Error> {
        self.check(disk_bytes)?;
        match &self.scheme {
            Scheme::Gpt { .. } => gpt::render(self, disk_bytes),
            Scheme::Mbr { .. } => mbr::render(self),
        }
    }
}

#[cfg(test)]
mod tests;
