//! GUID partition tables, both copies.
//!
//! UEFI 2.10, section 5.3. A damaged primary gives way to the backup with a warning. Entries larger than 128 bytes keep
//! their size but not what lies past the known fields.

use super::{
    GptName, Guid, Kind, Lba, Partition, Protective, Scheme, SectorSize, Table, Warning, mbr,
};
use crate::error::Error;
use crate::fields::{array, is_zero, le32, le64};
use fstree::ReadAt;

const FORMAT: &str = "GPT";
/// The bytes of a header that are in use, and checksummed.
const HEADER_BYTES: usize = 92;
/// The largest table read: 128 times what every tool writes.
const MAX_TABLE_BYTES: u64 = 2 << 20;

/// One copy of the table, checked.
#[derive(Debug)]
struct Copy {
    disk_guid: Guid,
    alternate: u64,
    first_usable: u64,
    entries: u32,
    entry_bytes: u32,
    table: Vec<u8>,
}

/// Reads the GPT of a disk whose first 512 bytes hold a protective MBR.
pub(super) fn read(
    disk: &dyn ReadAt,
    sector: SectorSize,
    first: &[u8; 512],
) -> Result<Table, Error> {
    let last = (disk.size() / sector.bytes())
        .checked_sub(1)
        .filter(|last| *last > 1);
    let last = last.ok_or_else(|| Error::corrupt(FORMAT, "the disk is too small for one", 0))?;
    let primary = read_copy(disk, sector, 1);
    // A disk that has grown keeps its backup where it was; the primary knows where that is.
    let backup_at = primary
        .as_ref()
        .map_or(last, |copy| copy.alternate.min(last));
    let backup = read_copy(disk, sector, backup_at);
    let mut warnings = Vec::new();
    let copy = match (primary, backup) {
        (Ok(primary), backup) => {
            match backup {
                Ok(backup) if !primary.agrees(&backup) => warnings.push(Warning::CopiesDiffer),
                Ok(_) => {}
                Err(error) => warnings.push(Warning::BackupDamaged(reason(error)?)),
            }
            primary
        }
        (Err(error), Ok(backup)) => {
            warnings.push(Warning::PrimaryDamaged(reason(error)?));
            backup
        }
        (Err(primary), Err(backup)) => {
            let what = format!(
                "both copies are damaged: {}; {}",
                reason(primary)?,
                reason(backup)?
            );
            return Err(Error::corrupt(FORMAT, what, sector.bytes()));
        }
    };
    let partitions = copy.partitions();
    let scheme = Scheme::Gpt {
        disk_guid: copy.disk_guid,
        boot_code: Box::new(array(first, 0).unwrap_or([0; 440])),
        first_usable: Lba(copy.first_usable),
        entries: copy.entries,
        entry_bytes: copy.entry_bytes,
        protective: Protective {
            signature: array(first, 440).unwrap_or_default(),
            records: std::array::from_fn(|at| array(first, 446 + 16 * at).unwrap_or_default()),
        },
    };
    Ok(Table {
        sector,
        scheme,
        partitions,
        warnings,
    })
}

/// Returns whether a copy of the table begins at byte `at`, by its signature alone.
pub(super) fn is_at(disk: &dyn ReadAt, at: u64) -> Result<bool, Error> {
    let mut signature = [0; 8];
    if at.checked_add(8).is_none_or(|end| end > disk.size()) {
        return Ok(false);
    }
    disk.read_exact_at(&mut signature, at)
        .map_err(Error::io(format!("reading the GPT header at byte {at}")))?;
    Ok(&signature == b"EFI PART")
}

/// Returns what is wrong with a copy, or the error if it could not even be read.
fn reason(error: Error) -> Result<String, Error> {
    match error {
        Error::Corrupt { what, .. } => Ok(what),
        other => Err(other),
    }
}

fn read_copy(disk: &dyn ReadAt, sector: SectorSize, at: u64) -> Result<Copy, Error> {
    let byte = at * sector.bytes();
    let corrupt = |what: &str| Error::corrupt(FORMAT, what, byte);
    let mut bytes = [0; 512];
    disk.read_exact_at(&mut bytes, byte)
        .map_err(Error::io(format!("reading the GPT header at byte {byte}")))?;
    let long = |at| le64(&bytes, at).unwrap_or(0);
    let word = |at| le32(&bytes, at).unwrap_or(0);
    if array(&bytes, 0) != Some(*b"EFI PART") {
        return Err(corrupt("no signature"));
    }
    let used = usize::try_from(word(12))
        .ok()
        .filter(|used| (HEADER_BYTES..=bytes.len()).contains(used));
    let mut header = bytes[..used.ok_or_else(|| corrupt("a header of impossible size"))?].to_vec();
    header[16..20].fill(0);
    if crc32fast::hash(&header) != word(16) {
        return Err(corrupt("the header's checksum is wrong"));
    }
    if long(24) != at {
        return Err(corrupt("the header belongs elsewhere"));
    }
    let (entries, entry_bytes) = (word(80), word(84));
    let table_bytes = u64::from(entries) * u64::from(entry_bytes);
    if entry_bytes < 128
        || !entry_bytes.is_power_of_two()
        || entries == 0
        || table_bytes > MAX_TABLE_BYTES
    {
        return Err(corrupt("a table of impossible size"));
    }
    let table_at = long(72).checked_mul(sector.bytes());
    let end = table_at
        .and_then(|at| at.checked_add(table_bytes))
        .filter(|end| *end <= disk.size());
    let (Some(table_at), Some(_)) = (table_at, end) else {
        return Err(corrupt("its table passes the end of the disk"));
    };
    let mut table = vec![0; usize::try_from(table_bytes).unwrap_or(0)];
    disk.read_exact_at(&mut table, table_at)
        .map_err(Error::io(format!("reading the GPT at byte {table_at}")))?;
    if crc32fast::hash(&table) != word(88) {
        return Err(corrupt("the table's checksum is wrong"));
    }
    // No partition could keep to a first sector past the disk, and none could be added.
    if long(40) > disk.size() / sector.bytes() {
        return Err(corrupt(
            "its first usable sector passes the end of the disk",
        ));
    }
    let disk_guid = Guid(array(&bytes, 56).unwrap_or_default());
    Ok(Copy {
        disk_guid,
        alternate: long(32),
        first_usable: long(40),
        entries,
        entry_bytes,
        table,
    })
}

impl Copy {
    fn agrees(&self, other: &Self) -> bool {
        self.disk_guid == other.disk_guid
            && self.first_usable == other.first_usable
            && self.table == other.table
    }

    fn partitions(&self) -> Vec<Partition> {
        let size = usize::try_from(self.entry_bytes).unwrap_or(usize::MAX);
        let entries = self.table.chunks_exact(size).zip(1..);
        entries
            .filter_map(|(entry, number)| partition(entry, number))
            .collect()
    }
}

/// Reads an entry; an unused one is `None`.
fn partition(entry: &[u8], number: u32) -> Option<Partition> {
    let type_guid: [u8; 16] = array(entry, 0)?;
    if is_zero(&type_guid) {
        return None;
    }
    let (first, last) = (le64(entry, 32)?, le64(entry, 40)?);
    let units = entry
        .get(56..128)?
        .chunks_exact(2)
        .map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
    let mut name = GptName([0; 36]);
    name.0
        .iter_mut()
        .zip(units)
        .for_each(|(to, from)| *to = from);
    Some(Partition {
        number,
        start: Lba(first),
        // A last sector before the first is no size at all; the check says so.
        sectors: last
            .checked_sub(first)
            .map_or(0, |less_one| less_one.saturating_add(1)),
        kind: Kind::Gpt {
            type_guid: Guid(type_guid),
            unique_guid: Guid(array(entry, 16)?),
            attributes: le64(entry, 48)?,
            name,
        },
    })
}

/// Returns the sectors that a table's entries take.
pub(super) fn table_sectors(entries: u32, entry_bytes: u32, sector: SectorSize) -> u64 {
    (u64::from(entries) * u64::from(entry_bytes)).div_ceil(sector.bytes())
}

/// Returns protective MBR, primary and backup table; the caller has checked the table.
pub(super) fn render(table: &Table, disk_bytes: u64) -> Result<Vec<(u64, Vec<u8>)>, Error> {
    let sector = table.sector.bytes();
    let Scheme::Gpt {
        disk_guid,
        boot_code,
        first_usable,
        entries,
        entry_bytes,
        protective,
    } = &table.scheme
    else {
        return Err(Error::corrupt(FORMAT, "the table is an MBR", 0));
    };
    let bytes = render_entries(table, *entries, *entry_bytes);
    let sectors = table_sectors(*entries, *entry_bytes, table.sector);
    let last = disk_bytes / sector - 1;
    if first_usable.0 < 2 + sectors || last < first_usable.0 + sectors {
        return Err(Error::corrupt(
            FORMAT,
            format!("a disk of {disk_bytes} bytes has no room for the table"),
            0,
        ));
    }
    let header = |own: u64, alternate: u64, table_at: u64| {
        let mut header = vec![0; HEADER_BYTES];
        let mut put = |at: usize, field: &[u8]| header[at..at + field.len()].copy_from_slice(field);
        put(0, b"EFI PART\0\0\x01\0\x5c\0\0\0");
        put(24, &own.to_le_bytes());
        put(32, &alternate.to_le_bytes());
        put(40, &first_usable.0.to_le_bytes());
        put(48, &(last - sectors - 1).to_le_bytes());
        put(56, &disk_guid.0);
        put(72, &table_at.to_le_bytes());
        put(80, &entries.to_le_bytes());
        put(84, &entry_bytes.to_le_bytes());
        put(88, &crc32fast::hash(&bytes).to_le_bytes());
        let crc = crc32fast::hash(&header);
        header[16..20].copy_from_slice(&crc.to_le_bytes());
        header.resize(usize::try_from(sector).unwrap_or(512), 0);
        header
    };
    let backup_table = last - sectors;
    Ok(vec![
        (0, mbr::protective_sector(boot_code, protective, last)),
        (sector, header(1, last, 2)),
        (2 * sector, bytes.clone()),
        (backup_table * sector, bytes.clone()),
        (last * sector, header(last, 1, backup_table)),
    ])
}

fn render_entries(table: &Table, entries: u32, entry_bytes: u32) -> Vec<u8> {
    let size = usize::try_from(entry_bytes).unwrap_or(128);
    let mut bytes = vec![0; usize::try_from(entries).unwrap_or(0) * size];
    for partition in &table.partitions {
        let Kind::Gpt {
            type_guid,
            unique_guid,
            attributes,
            name,
        } = &partition.kind
        else {
            continue;
        };
        let at = (partition.number as usize - 1) * size;
        let mut put = |field_at: usize, field: &[u8]| {
            bytes[at + field_at..at + field_at + field.len()].copy_from_slice(field);
        };
        put(0, &type_guid.0);
        put(16, &unique_guid.0);
        put(32, &partition.start.0.to_le_bytes());
        put(
            40,
            &(partition.start.0 + partition.sectors - 1).to_le_bytes(),
        );
        put(48, &attributes.to_le_bytes());
        for (unit_at, unit) in name.0.iter().enumerate() {
            put(56 + 2 * unit_at, &unit.to_le_bytes());
        }
    }
    bytes
}
