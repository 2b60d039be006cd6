//! Master boot records, with extended and logical partitions; and the protective one of a GPT disk.
//!
//! As DOS wrote them and Linux reads them; UEFI 2.10, section 5.2. CHS addresses are written for 255 heads and 63 sectors
//! and never read.

use super::{Active, Kind, Lba, Partition, Protective, Scheme, SectorSize, Table};
use crate::error::Error;
use crate::fields::{array, le32};
use fstree::ReadAt;
use std::collections::BTreeSet;

const FORMAT: &str = "MBR";
const PROTECTIVE: u8 = 0xee;
/// Logical partitions read: Linux makes devices for no more.
const MAX_LOGICAL: u32 = 256;
/// What a boot sector ends in.
pub(super) const SIGNATURE: [u8; 2] = [0x55, 0xaa];

/// One of the four records of a boot record.
struct Record {
    active: Active,
    type_code: u8,
    start: u64,
    sectors: u64,
}

fn record(sector: &[u8; 512], at: usize) -> Option<Record> {
    let bytes: [u8; 16] = array(sector, 446 + 16 * at)?;
    let active = if bytes[0] & 0x80 == 0 {
        Active::No
    } else {
        Active::Yes
    };
    let (start, sectors) = (le32(&bytes, 8)?.into(), le32(&bytes, 12)?.into());
    Some(Record {
        active,
        type_code: bytes[4],
        start,
        sectors,
    })
}

/// Returns whether a first sector says that a GPT follows.
pub(super) fn is_protective(first: &[u8; 512]) -> bool {
    first[510..] == SIGNATURE
        && (0..4)
            .filter_map(|at| record(first, at))
            .any(|it| it.type_code == PROTECTIVE)
}

pub(super) fn is_extended_type(type_code: u8) -> bool {
    matches!(type_code, 0x05 | 0x0f | 0x85)
}

/// Reads the table of a disk whose first 512 bytes are `first`.
pub(super) fn read(
    disk: &dyn ReadAt,
    sector: SectorSize,
    first: &[u8; 512],
) -> Result<Table, Error> {
    if first[510..] != SIGNATURE {
        return Err(Error::corrupt(
            "partition table",
            "the first sector carries no signature: neither MBR nor GPT",
            510,
        ));
    }
    let mut partitions = Vec::new();
    for (at, number) in (0..4).zip(1..) {
        // A file system's own boot sector has the signature too, but code or text where the flags would be.
        if !matches!(first[446 + 16 * at], 0 | 0x80) {
            return Err(Error::corrupt(
                FORMAT,
                format!("record {number} is no partition: is this a file system?"),
                446,
            ));
        }
        let Some(Record {
            active,
            type_code,
            start,
            sectors,
        }) = record(first, at)
        else {
            continue;
        };
        if type_code != 0 && sectors != 0 {
            let kind = Kind::Primary { type_code, active };
            partitions.push(Partition {
                number,
                start: Lba(start),
                sectors,
                kind,
            });
        }
    }
    if let Some(extended) = partitions.iter().find(|it| it.is_extended()).cloned() {
        read_logical(disk, sector, &extended, &mut partitions)?;
    }
    let signature = le32(first, 440).unwrap_or(0);
    let boot_code = Box::new(array(first, 0).unwrap_or([0; 440]));
    Ok(Table {
        sector,
        scheme: Scheme::Mbr {
            signature,
            boot_code,
        },
        partitions,
        warnings: Vec::new(),
    })
}

/// Follows the chain of boot records within the extended partition.
///
/// Numbers follow the chain, whose records may lead back and forth: tools reuse the room of what was deleted. As Linux does,
/// the partition and the link are taken from whichever of the four places has them.
fn read_logical(
    disk: &dyn ReadAt,
    sector: SectorSize,
    extended: &Partition,
    partitions: &mut Vec<Partition>,
) -> Result<(), Error> {
    let mut at = extended.start.0;
    let mut number = 5;
    let mut seen = BTreeSet::new();
    for _ in 0..MAX_LOGICAL {
        let byte = at * sector.bytes();
        if !seen.insert(at) {
            return Err(Error::corrupt(
                FORMAT,
                "the chain of logical partitions runs in a circle",
                byte,
            ));
        }
        let mut bytes = [0; 512];
        if byte.saturating_add(512) > disk.size() {
            return Err(Error::corrupt(
                FORMAT,
                "the chain of logical partitions leads past the disk's end",
                byte,
            ));
        }
        disk.read_exact_at(&mut bytes, byte)
            .map_err(Error::io(format!("reading the boot record at byte {byte}")))?;
        if bytes[510..] != SIGNATURE {
            return Err(Error::corrupt(
                FORMAT,
                "the chain of logical partitions ends in no boot record",
                byte,
            ));
        }
        let records = || (0..4).filter_map(|place| record(&bytes, place));
        let is_link = |it: &Record| is_extended_type(it.type_code);
        let is_used = |it: &Record| it.type_code != 0 && it.sectors != 0;
        if let Some(own) = records().find(|it| is_used(it) && !is_link(it)) {
            let kind = Kind::Logical {
                type_code: own.type_code,
                active: own.active,
                record: Lba(at),
            };
            partitions.push(Partition {
                number,
                start: Lba(at + own.start),
                sectors: own.sectors,
                kind,
            });
            number += 1;
        }
        let Some(link) = records().find(|it| is_used(it) && is_link(it)) else {
            return Ok(());
        };
        at = extended.start.0 + link.start;
    }
    Err(Error::corrupt(
        FORMAT,
        format!("more than {MAX_LOGICAL} logical partitions"),
        extended.start.0,
    ))
}

/// Returns the bytes of the master boot record and of each boot record of the chain; the caller has checked the table.
pub(super) fn render(table: &Table) -> Result<Vec<(u64, Vec<u8>)>, Error> {
    let Scheme::Mbr {
        signature,
        boot_code,
    } = &table.scheme
    else {
        return Err(Error::corrupt(FORMAT, "the table is a GPT", 0));
    };
    let mut master = vec![0; 512];
    master[..440].copy_from_slice(&boot_code[..]);
    master[440..444].copy_from_slice(&signature.to_le_bytes());
    master[510..].copy_from_slice(&SIGNATURE);
    let mut chain = Vec::new();
    for partition in &table.partitions {
        match &partition.kind {
            Kind::Primary { type_code, active } => {
                let record = encode(
                    (*type_code, *active),
                    partition.start.0,
                    partition.start.0,
                    partition.sectors,
                )?;
                let at = 446 + 16 * (partition.number as usize - 1);
                master[at..at + 16].copy_from_slice(&record);
            }
            Kind::Logical {
                type_code,
                active,
                record,
            } => chain.push((record.0, partition, *type_code, *active)),
            Kind::Gpt { .. } => {}
        }
    }
    let mut pieces = vec![(0, master)];
    let extended = table
        .partitions
        .iter()
        .find(|it| it.is_extended())
        .map(|it| it.start.0);
    if let Some(extended) = extended {
        pieces.extend(render_chain(table, extended, &mut chain)?);
    }
    Ok(pieces)
}

type Link<'a> = (u64, &'a Partition, u8, Active);

fn render_chain(
    table: &Table,
    extended: u64,
    chain: &mut [Link<'_>],
) -> Result<Vec<(u64, Vec<u8>)>, Error> {
    // Numbers follow the chain.
    chain.sort_by_key(|(_, partition, ..)| partition.number);
    let mut pieces = Vec::new();
    let first_is_empty = chain.first().is_none_or(|(record, ..)| *record != extended);
    if first_is_empty {
        // The chain begins at the extended partition's first sector, with or without a partition.
        let next = chain
            .first()
            .map(|(record, partition, ..)| (*record, partition.start.0 + partition.sectors));
        pieces.push((
            extended * table.sector.bytes(),
            boot_record(None, next, extended)?,
        ));
    }
    for (at, (record, partition, type_code, active)) in chain.iter().enumerate() {
        let own = encode(
            (*type_code, *active),
            partition.start.0 - record,
            partition.start.0,
            partition.sectors,
        )?;
        let next = chain
            .get(at + 1)
            .map(|(record, partition, ..)| (*record, partition.start.0 + partition.sectors));
        pieces.push((
            record * table.sector.bytes(),
            boot_record(Some(own), next, extended)?,
        ));
    }
    Ok(pieces)
}

/// Returns a boot record of the chain: its own partition, and the next record with the end of that one's partition.
fn boot_record(
    own: Option<[u8; 16]>,
    next: Option<(u64, u64)>,
    extended: u64,
) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; 512];
    bytes[446..462].copy_from_slice(&own.unwrap_or_default());
    if let Some((record, end)) = next {
        bytes[462..478].copy_from_slice(&encode(
            (0x05, Active::No),
            record - extended,
            record,
            end - record,
        )?);
    }
    bytes[510..].copy_from_slice(&SIGNATURE);
    Ok(bytes)
}

/// Returns a record: type and flag, the start as it is written and as it is on the disk, and the size.
fn encode(
    (type_code, active): (u8, Active),
    start: u64,
    disk_start: u64,
    sectors: u64,
) -> Result<[u8; 16], Error> {
    let word = |value: u64| {
        u32::try_from(value)
            .map_err(|_| Error::unsupported(FORMAT, format!("sector number {value}, past 2^32,")))
    };
    let mut bytes = [0; 16];
    bytes[0] = if active == Active::Yes { 0x80 } else { 0 };
    bytes[1..4].copy_from_slice(&chs(disk_start));
    bytes[4] = type_code;
    bytes[5..8].copy_from_slice(&chs(disk_start + sectors - 1));
    bytes[8..12].copy_from_slice(&word(start)?.to_le_bytes());
    bytes[12..16].copy_from_slice(&word(sectors)?.to_le_bytes());
    Ok(bytes)
}

/// Returns a sector's CHS address, or the one that means "too far for CHS".
fn chs(lba: u64) -> [u8; 3] {
    let (cylinder, head, sector) = (lba / (255 * 63), lba / 63 % 255, lba % 63 + 1);
    match (
        u16::try_from(cylinder),
        u8::try_from(head),
        u8::try_from(sector),
    ) {
        (Ok(cylinder @ 0..=1023), Ok(head), Ok(sector)) => {
            let [low, high] = cylinder.to_le_bytes();
            [head, sector | high << 6, low]
        }
        _ => [0xfe, 0xff, 0xff],
    }
}

/// Returns the first 512 bytes of a GPT disk whose last sector is `last`.
pub(super) fn protective_sector(
    boot_code: &[u8; 440],
    protective: &Protective,
    last: u64,
) -> Vec<u8> {
    let mut bytes = boot_code.to_vec();
    bytes.extend(protective.signature);
    for mut record in protective.records {
        if record[4] == PROTECTIVE {
            // In a hybrid MBR the record ends before the first real partition; only one that covered the disk grows.
            let start = le32(&record, 8).unwrap_or(1);
            let whole = protective.records.iter().filter(|it| it[4] != 0).count() == 1;
            let sectors = last.saturating_add(1).saturating_sub(start.into());
            let sectors = u32::try_from(sectors).unwrap_or(u32::MAX);
            if whole && le32(&record, 12) != Some(sectors) {
                record[5..8].copy_from_slice(&chs(last));
                record[12..16].copy_from_slice(&sectors.to_le_bytes());
            }
        }
        bytes.extend(record);
    }
    bytes.extend(SIGNATURE);
    bytes
}
