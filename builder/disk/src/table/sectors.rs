//! What a partition table counts in: sectors of 512 bytes, or of 4096.
//!
//! A GPT tells by where its copies stand (UEFI 2.10, section 5.3). An MBR does not tell, and whoever has the disk itself asks
//! the drive; a file has no drive. So it is judged by what stands where the table says that partitions begin: boot records of
//! logical ones, ext2 to ext4 (the superblock's magic number), FAT, exFAT and NTFS (the boot sector). Partitions of anything
//! else tell nothing, and in doubt it is 512.

use super::{SectorSize, Table, gpt, mbr, read};
use crate::error::Error;
use fstree::ReadAt;

/// The bytes that a file system is known by: an ext superblock's magic number is the farthest, at 1080.
const BEGINNING: usize = 1082;

/// Returns the size of the sectors that the partition table of `disk` counts in.
///
/// The primary copy of a GPT counts first. An MBR has sectors of 4096 bytes if more volumes begin where it then has its
/// partitions than otherwise, or if with 512 it is no table at all.
pub fn sector_size(disk: &dyn ReadAt) -> Result<SectorSize, Error> {
    let sizes = [SectorSize::B512, SectorSize::B4096];
    for sector in sizes {
        if gpt::is_at(disk, sector.bytes())? {
            return Ok(sector);
        }
    }
    for sector in sizes {
        let last = (disk.size() / sector.bytes()).saturating_sub(1) * sector.bytes();
        if gpt::is_at(disk, last)? {
            return Ok(sector);
        }
    }
    // The usual table, of 512 and filling its disk, is none of 4096, and no volume is looked for.
    let Some(large) = volumes(disk, SectorSize::B4096)? else {
        return Ok(SectorSize::B512);
    };
    Ok(match volumes(disk, SectorSize::B512)? {
        Some(small) if small >= large => SectorSize::B512,
        _ => SectorSize::B4096,
    })
}

/// Returns how many partitions begin with a volume if `disk` has such sectors, or `None` if it then has no sound table.
fn volumes(disk: &dyn ReadAt, sector: SectorSize) -> Result<Option<usize>, Error> {
    let table = match read(disk, sector) {
        Ok(table) => table,
        // What cannot be read says nothing of sectors.
        Err(error @ Error::Io { .. }) => return Err(error),
        Err(_) => return Ok(None),
    };
    count(disk, &table).map(Some)
}

fn count(disk: &dyn ReadAt, table: &Table) -> Result<usize, Error> {
    let mut res = 0;
    for partition in table.partitions.iter().filter(|it| !it.is_extended()) {
        let range = table.byte_range(partition);
        if range.end - range.start < BEGINNING as u64 {
            continue;
        }
        let mut bytes = [0; BEGINNING];
        disk.read_exact_at(&mut bytes, range.start)
            .map_err(Error::io(format!("reading partition {}", partition.number)))?;
        res += usize::from(is_volume(&bytes));
    }
    Ok(res)
}

/// Returns whether a volume begins so.
fn is_volume(bytes: &[u8; BEGINNING]) -> bool {
    // Code that jumps over the description of the volume, and the signature of a boot sector.
    let is_boot_sector = matches!(bytes[0], 0xeb | 0xe9) && bytes[510..512] == mbr::SIGNATURE;
    let is_ext = bytes[1080..1082] == [0x53, 0xef];
    is_boot_sector || is_ext
}
