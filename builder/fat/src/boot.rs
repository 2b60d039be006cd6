//! The boot sector: the BIOS parameter block that describes the volume, and what else stands around it.
//!
//! Microsoft's "FAT: General Overview", section "Boot Sector and BPB". Boot code is kept as bytes, never interpreted;
//! boot code of FAT32 in sectors after the first is not kept.

use crate::error::Error;
use crate::geometry::{Geometry, Kind, root_sectors};
use std::fmt;

/// Bytes of the boot sector that are described; with larger sectors the rest is zero.
pub(crate) const BOOT_BYTES: usize = 512;

/// What a volume is besides its files: enough to make another like it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Facts {
    /// Which format.
    pub kind: Kind,
    /// Size in bytes, as the volume itself says; what it stands in may be larger.
    pub size: u64,
    /// Bytes per sector: 512, 1024, 2048 or 4096.
    pub sector_bytes: u16,
    /// Sectors per cluster, a power of two.
    pub cluster_sectors: u8,
    /// Sectors before the first allocation table.
    pub reserved_sectors: u16,
    /// Copies of the allocation table.
    pub fats: u8,
    /// Entries of the fixed root directory; 0 for FAT32.
    pub root_entries: u16,
    /// Media byte, `0xF8` for all but floppies.
    pub media: u8,
    /// Sectors per track, for BIOS.
    pub track_sectors: u16,
    /// Heads, for BIOS.
    pub heads: u16,
    /// Sectors before the volume on its disk, or 0 where nobody said.
    pub hidden_sectors: u32,
    /// BIOS drive number.
    pub drive: u8,
    /// Serial number, what `blkid` prints as UUID.
    pub volume_id: u32,
    /// Label of the root directory, or of the boot sector if the root has none.
    pub label: Option<Label>,
    /// Name of the system that made the volume.
    pub oem_name: [u8; 8],
    /// The jump at the volume's very start.
    pub jump: [u8; 3],
    /// Code from behind the parameter block up to the signature: 448 bytes, or 420 for FAT32.
    pub boot_code: Vec<u8>,
    /// Sectors of FAT32's free-space hint and of the boot sector's copy; `None` where there is none.
    pub info_sector: Option<u16>,
    /// Sector of the boot sector's copy (FAT32).
    pub backup_sector: Option<u16>,
}

/// A volume label: 1 to 11 bytes, kept padded with spaces. Case is kept, though some systems show none.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct Label(pub(crate) [u8; 11]);

impl Label {
    /// Returns the label, or why the text is none.
    pub fn new(text: &str) -> Result<Self, Error> {
        let bad = |why| Error::BadLabel {
            label: text.to_owned(),
            why,
        };
        let bytes = text.as_bytes();
        if bytes.is_empty() || bytes.len() > 11 {
            return Err(bad("it is not 1 to 11 bytes long"));
        }
        if !bytes
            .iter()
            .all(|it| (b' '..0x7F).contains(it) && !b"\"*+,./:;<=>?[\\]|".contains(it))
        {
            return Err(bad("only ASCII without \"*+,./:;<=>?[\\]| is allowed"));
        }
        if bytes.starts_with(b" ") || bytes.ends_with(b" ") {
            return Err(bad("a space at its end would be lost"));
        }
        let mut label = [b' '; 11];
        label[..bytes.len()].copy_from_slice(bytes);
        Ok(Self(label))
    }

    /// Returns a label as found on disk; all spaces and the word for "none" are `None`.
    pub(crate) fn found(bytes: [u8; 11]) -> Option<Self> {
        let empty = bytes == NO_NAME || bytes.iter().all(|it| matches!(it, b' ' | 0));
        (!empty).then_some(Self(bytes))
    }

    /// Returns the bytes without padding.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.trim_ascii_end()
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_bytes().escape_ascii(), f)
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// What stands in the boot sector of a volume without label.
const NO_NAME: [u8; 11] = *b"NO NAME    ";

/// A boot sector taken apart, with what only reading needs.
#[derive(Debug)]
pub(crate) struct Boot {
    pub(crate) facts: Facts,
    pub(crate) geometry: Geometry,
    /// First cluster of the root directory (FAT32).
    pub(crate) root_cluster: u32,
    /// The copy of the allocation table to believe.
    pub(crate) active_fat: u64,
}

struct Fields<'a>(&'a [u8; BOOT_BYTES]);

impl Fields<'_> {
    fn u8(&self, at: usize) -> u8 {
        self.0[at]
    }

    fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes(self.bytes(at))
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.bytes(at))
    }

    fn bytes<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0[at..at + N].try_into().expect("N bytes were cut out")
    }
}

impl Boot {
    /// Takes a boot sector apart.
    pub(crate) fn parse(bytes: &[u8; BOOT_BYTES]) -> Result<Self, Error> {
        let fields = Fields(bytes);
        let small_fat = fields.u16(22);
        let wide = small_fat == 0;
        let geometry = parse_geometry(&fields, wide)?;
        // The fields behind the parameter block are the same, 28 bytes later in FAT32.
        let tail = if wide { 64 } else { 36 };
        let extended = matches!(fields.u8(tail + 2), 0x28 | 0x29);
        let named = fields.u8(tail + 2) == 0x29;
        let sector =
            |at| Some(fields.u16(at)).filter(|it| wide && (1..fields.u16(14)).contains(it));
        let facts = Facts {
            kind: geometry.kind,
            size: geometry.total_sectors * geometry.sector_bytes,
            sector_bytes: fields.u16(11),
            cluster_sectors: fields.u8(13),
            reserved_sectors: fields.u16(14),
            fats: fields.u8(16),
            root_entries: fields.u16(17),
            media: fields.u8(21),
            track_sectors: fields.u16(24),
            heads: fields.u16(26),
            hidden_sectors: fields.u32(28),
            drive: fields.u8(tail),
            volume_id: if extended { fields.u32(tail + 3) } else { 0 },
            label: if named {
                Label::found(fields.bytes(tail + 7))
            } else {
                None
            },
            oem_name: fields.bytes(3),
            jump: fields.bytes(0),
            boot_code: bytes[tail + 26..510].to_vec(),
            info_sector: sector(48),
            backup_sector: sector(50),
        };
        // FAT32 may say that its tables are not kept alike, and which one counts.
        let flags = if wide { fields.u16(40) } else { 0 };
        let active_fat = if flags & 0x80 == 0 {
            0
        } else {
            u64::from(flags & 0x0F)
        };
        if active_fat >= geometry.fats {
            return Err(Error::not_fat(format!(
                "its active table {active_fat} does not exist"
            )));
        }
        Ok(Self {
            facts,
            geometry,
            root_cluster: if wide { fields.u32(44) } else { 0 },
            active_fat,
        })
    }
}

fn parse_geometry(fields: &Fields<'_>, wide: bool) -> Result<Geometry, Error> {
    if fields.u16(510) != 0xAA55 {
        return Err(Error::not_fat("its first sector has no signature"));
    }
    let (sector_bytes, cluster_sectors) = (u64::from(fields.u16(11)), u64::from(fields.u8(13)));
    if !matches!(sector_bytes, 512 | 1024 | 2048 | 4096) {
        return Err(Error::not_fat(format!(
            "its sectors are of {sector_bytes} bytes"
        )));
    }
    if !cluster_sectors.is_power_of_two() {
        return Err(Error::not_fat(format!(
            "its clusters are of {cluster_sectors} sectors"
        )));
    }
    let (reserved_sectors, fats) = (u64::from(fields.u16(14)), u64::from(fields.u8(16)));
    let fat_sectors = if wide {
        u64::from(fields.u32(36))
    } else {
        u64::from(fields.u16(22))
    };
    if reserved_sectors == 0 || fats == 0 || fat_sectors == 0 {
        return Err(Error::not_fat(
            "it has no boot sector or no allocation table",
        ));
    }
    let root_entries = u64::from(fields.u16(17));
    if wide != (root_entries == 0) {
        return Err(Error::not_fat(
            "its root directory is both fixed and a chain, or neither",
        ));
    }
    let small_total = u64::from(fields.u16(19));
    let total_sectors = if small_total == 0 {
        u64::from(fields.u32(32))
    } else {
        small_total
    };
    let before = reserved_sectors + fats * fat_sectors + root_sectors(root_entries, sector_bytes);
    let data_sectors = total_sectors
        .checked_sub(before)
        .ok_or_else(|| Error::not_fat("it is all metadata"))?;
    let clusters = data_sectors / cluster_sectors;
    let kind = if wide {
        Kind::Fat32
    } else {
        Kind::of_small(clusters)
    };
    // Clusters without a cell in the table cannot be used, which is how Linux sees it.
    let cells = fat_sectors * sector_bytes * 8 / kind.bits();
    let clusters = clusters
        .min(cells.saturating_sub(2))
        .min(kind.max_clusters());
    if clusters == 0 {
        return Err(Error::not_fat("it has no clusters"));
    }
    Ok(Geometry {
        kind,
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

/// Returns the boot sector of a volume.
pub(crate) fn boot_sector(facts: &Facts, geometry: &Geometry) -> Vec<u8> {
    let mut sector = vec![0; BOOT_BYTES];
    let mut put = |at: usize, bytes: &[u8]| sector[at..at + bytes.len()].copy_from_slice(bytes);
    let wide = geometry.kind == Kind::Fat32;
    let small = |it: u64| u16::try_from(it).unwrap_or(0);
    let large = |it: u64| u32::try_from(it).expect("the geometry was checked to fit 32 bits");
    put(0, &facts.jump);
    put(3, &facts.oem_name);
    put(11, &facts.sector_bytes.to_le_bytes());
    put(
        13,
        &[u8::try_from(geometry.cluster_sectors).expect("at most 128 sectors a cluster")],
    );
    put(14, &facts.reserved_sectors.to_le_bytes());
    put(16, &[facts.fats]);
    put(17, &facts.root_entries.to_le_bytes());
    let total = if wide {
        0
    } else {
        small(geometry.total_sectors)
    };
    put(19, &total.to_le_bytes());
    put(21, &[facts.media]);
    put(24, &facts.track_sectors.to_le_bytes());
    put(26, &facts.heads.to_le_bytes());
    put(28, &facts.hidden_sectors.to_le_bytes());
    if total == 0 {
        put(32, &large(geometry.total_sectors).to_le_bytes());
    }
    let tail = if wide {
        put(36, &large(geometry.fat_sectors).to_le_bytes());
        put(44, &crate::geometry::FIRST.to_le_bytes());
        put(48, &facts.info_sector.unwrap_or(0xFFFF).to_le_bytes());
        put(50, &facts.backup_sector.unwrap_or(0).to_le_bytes());
        64
    } else {
        put(22, &small(geometry.fat_sectors).to_le_bytes());
        36
    };
    put(tail, &[facts.drive, 0, 0x29]);
    put(tail + 3, &facts.volume_id.to_le_bytes());
    put(tail + 7, &facts.label.map_or(NO_NAME, |it| it.0));
    let name = format!("{:8}", geometry.kind.to_string());
    put(tail + 18, name.as_bytes());
    let code = facts.boot_code.len().min(510 - tail - 26);
    put(tail + 26, &facts.boot_code[..code]);
    put(510, &[0x55, 0xAA]);
    sector
}
