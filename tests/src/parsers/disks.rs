//! Partition tables, disk containers, compressed disks.

use super::metered::{Limited, MAX_DECODED, Memory, drain, metered};
use disk::table::{SectorSize, Table};
use disk::{compressed, qcow2 as container, table as tables, vmdk as grains};
use fstree::ReadAt;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;

/// Judges a table's sectors, reads it with those of either size, renders it, and reads it back.
pub fn table(data: &[u8]) {
    drop(tables::sector_size(&metered(data)));
    for sector in [SectorSize::B512, SectorSize::B4096] {
        let mut sealed = data.to_vec();
        seal_gpt(&mut sealed, sector);
        for bytes in [data, &sealed] {
            if let Ok(table) = tables::read(&metered(bytes), sector) {
                again(&table, bytes);
            }
        }
    }
}

fn again(table: &Table, disk: &[u8]) {
    drop(table.to_string());
    for partition in &table.partitions {
        let range = table.byte_range(partition);
        assert!(range.start <= range.end && range.end <= disk.len() as u64);
        drop(table.partuuid(partition));
    }
    assert!(table.usable_end(disk.len() as u64).0 <= disk.len() as u64);
    assert!(table.smallest_disk(1 << 20).is_multiple_of(1 << 20));
    let Ok(pieces) = table.render(disk.len() as u64) else {
        return;
    };
    let mut rendered = disk.to_vec();
    for (at, piece) in pieces {
        let at = usize::try_from(at).expect("within the disk");
        rendered[at..at + piece.len()].copy_from_slice(&piece);
    }
    let read = tables::read(&rendered, table.sector).expect("what was rendered can be read");
    assert_eq!(read.partitions, table.partitions);
    assert!(read.warnings.is_empty(), "{:?}", read.warnings);
}

/// Sets the checksums of both copies of a GPT right, as far as they can be found.
fn seal_gpt(disk: &mut [u8], sector: SectorSize) {
    let sector = usize::try_from(sector.bytes()).expect("4096 at most");
    let last = (disk.len() / sector).saturating_sub(1) * sector;
    for at in [sector, last] {
        let Some(header) = disk.get(at..at + 512).map(<[u8]>::to_vec) else {
            continue;
        };
        let word = |at: usize| {
            let bytes = header[at..at + 4].try_into().expect("four bytes");
            usize::try_from(u32::from_le_bytes(bytes)).unwrap_or(0)
        };
        let start = word(72).saturating_mul(sector);
        let bytes = word(80).saturating_mul(word(84));
        let entries = disk.get(start..start.saturating_add(bytes));
        let sum = crc32fast::hash(entries.unwrap_or_default());
        disk[at + 88..at + 92].copy_from_slice(&sum.to_le_bytes());
        disk[at + 16..at + 20].fill(0);
        let sum = crc32fast::hash(&disk[at..at + word(12).min(512)]);
        disk[at + 16..at + 20].copy_from_slice(&sum.to_le_bytes());
    }
}

/// Opens a qcow2 image.
pub fn qcow2(data: &[u8]) {
    if let Ok(disk) = container::open(metered(data)) {
        let disk = Arc::new(disk);
        drain(&disk);
        streams(&disk);
        surveyed(&disk);
    }
}

/// Takes the streams of the first clusters: what they hold is what is read.
fn streams(disk: &container::Qcow2) {
    let cluster = disk.cluster_bytes();
    let (mut stream, mut content, mut read) = (Vec::new(), vec![0; cluster], vec![0; cluster]);
    for index in 0..(4 << 20) / cluster as u64 {
        stream.clear();
        let Ok(found) = disk.deflated(index, &mut stream, &mut content) else {
            return;
        };
        let start = index * cluster as u64;
        let end = (start + cluster as u64).min(disk.size());
        if found && end > start {
            let len = usize::try_from(end - start).expect("a cluster at most");
            if disk.read_exact_at(&mut read[..len], start).is_ok() {
                assert!(read[..len] == content[..len], "cluster {index} differs");
            }
        }
    }
}

/// Surveys a small image: a stream that is handed on is the one that is found by inflating it, and what is told to be zero is.
fn surveyed(disk: &Arc<container::Qcow2>) {
    let cluster = disk.cluster_bytes();
    let count = disk.size().div_ceil(cluster as u64);
    let out = Memory::default();
    if disk.size() > 4 << 20 || container::survey(disk, NonZeroUsize::MIN, &out).is_err() {
        return;
    }
    let survey: Arc<dyn ReadAt> = Arc::new(out.into_bytes());
    let streams = container::Streams::new(disk.clone(), survey);
    let holes = [cluster / 4..cluster / 4 + 100, cluster / 2..cluster];
    let (mut content, mut expected, mut stream) = (vec![0; cluster], Vec::new(), Vec::new());
    for index in 0..=count {
        for holes in [&[][..], &holes] {
            expected.clear();
            stream.clear();
            let Ok(sum) = streams.append(index, holes, &mut stream) else {
                return;
            };
            if sum.is_some() {
                let found = disk.deflated(index, &mut expected, &mut content);
                assert!(found.is_ok_and(|it| it) && stream == expected);
                let wiped = |it: &Range<usize>| content[it.clone()].iter().all(|it| *it == 0);
                assert!(holes.iter().all(wiped), "cluster {index} has no {holes:?}");
            }
        }
    }
}

/// Opens a VMDK; every extent that a descriptor names is found.
pub fn vmdk(data: &[u8]) {
    let extent: Arc<dyn ReadAt> = Arc::new(vec![1_u8; 64 << 10]);
    let opened = grains::open_with(metered(data), &mut |_| Ok(Some(extent.clone())));
    if let Ok(disk) = opened {
        drain(&disk);
    }
}

/// Decodes an .xz file, as it is and with its index and edges sealed.
pub fn xz(data: &[u8]) {
    decode(data);
    let mut sealed = data.to_vec();
    if seal_xz(&mut sealed).is_some() {
        decode(&sealed);
    }
}

/// Decodes a Zstandard or gzip stream.
pub fn stream(data: &[u8]) {
    decode(data);
}

fn decode(data: &[u8]) {
    let result = compressed::decode(
        &metered(data),
        NonZeroUsize::MIN,
        MAX_DECODED,
        &Limited,
        &mut |_| {},
    );
    assert!(result.is_err() || result.is_ok_and(|size| size <= MAX_DECODED));
}

/// Sets the checksums of the last stream's header, footer and index right.
fn seal_xz(file: &mut [u8]) -> Option<()> {
    let footer = file.len().checked_sub(12)?;
    let flags = file.get(6..8)?.to_vec();
    file[..6].copy_from_slice(b"\xfd7zXZ\0");
    let sum = crc32fast::hash(&flags);
    file.get_mut(8..12)?.copy_from_slice(&sum.to_le_bytes());
    file[footer + 8..footer + 10].copy_from_slice(&flags);
    file[footer + 10..].copy_from_slice(b"YZ");
    let sum = crc32fast::hash(&file[footer + 4..footer + 10]);
    file[footer..footer + 4].copy_from_slice(&sum.to_le_bytes());
    let backward = u32::from_le_bytes(file[footer + 4..footer + 8].try_into().ok()?);
    let bytes = (usize::try_from(backward).ok()? + 1) * 4;
    let index = footer.checked_sub(bytes)?;
    let sum = crc32fast::hash(&file[index..footer - 4]);
    file[footer - 4..footer].copy_from_slice(&sum.to_le_bytes());
    Some(())
}
