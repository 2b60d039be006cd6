//! Puts a laid-out tree together as a volume: metadata is made here, content is placed where it is.
//!
//! The allocation tables say that the volume was unmounted cleanly. Nothing depends on anything but layout and tree.

use crate::boot::boot_sector;
use crate::error::Error;
use crate::geometry::{Cluster, Geometry, Kind};
use crate::layout::{Layout, PlacedDir, PlacedEntry};
use crate::read::{DIRECTORY, LABEL};
use crate::time::DosTime;
use fstree::{Content, FileKind, FileTree, Mosaic, MosaicBuilder, Node, ReadAt};
use std::sync::Arc;

/// Returns the volume; `tree` is the one that was laid out.
pub fn write(layout: &Layout, tree: &FileTree) -> Result<Mosaic, Error> {
    let mut mosaic = MosaicBuilder::new();
    boot_area(layout, &mut mosaic);
    let table: Arc<dyn ReadAt> = Arc::new(table(layout));
    for copy in 0..layout.geometry.fats {
        mosaic.place(layout.geometry.fat_at(copy), table.clone(), 0, table.size());
    }
    for dir in &layout.dirs {
        let is_root = dir.path.is_root();
        let at = if dir.chain.len == 0 {
            layout.geometry.root_at()
        } else {
            cluster_at(&layout.geometry, dir.chain.first)
        };
        mosaic.bytes(
            at,
            if is_root {
                root_bytes(layout, dir)
            } else {
                dir_bytes(dir)
            },
        );
    }
    place_files(layout, tree, &mut mosaic)?;
    Ok(mosaic
        .finish(layout.options.size)
        .expect("a layout has no overlaps and ends within the volume"))
}

fn cluster_at(geometry: &Geometry, first: u32) -> u64 {
    geometry.cluster_at(Cluster(first))
}

fn place_files(layout: &Layout, tree: &FileTree, mosaic: &mut MosaicBuilder) -> Result<(), Error> {
    let mut placed = layout.files.iter();
    for (path, node) in tree.walk() {
        let Node::File(id) = node else { continue };
        let content = match &tree.file(*id).kind {
            FileKind::Regular(content) => content,
            _ => &Content::inline([]),
        };
        let file = placed
            .next()
            .filter(|it| it.path == path && u64::from(it.size) == content.len());
        let file = file.ok_or(Error::OtherTree { path })?;
        content.place(
            mosaic,
            0,
            content.len(),
            cluster_at(&layout.geometry, file.chain.first),
        );
    }
    match placed.next() {
        Some(file) => Err(Error::OtherTree {
            path: file.path.clone(),
        }),
        None => Ok(()),
    }
}

/// Writes the boot sector, and for FAT32 the hint and the copies of both.
fn boot_area(layout: &Layout, mosaic: &mut MosaicBuilder) {
    let facts = &layout.options.facts;
    let sector_at = |it: u16| u64::from(it) * layout.geometry.sector_bytes;
    let boot = boot_sector(facts, &layout.geometry);
    if layout.geometry.kind == Kind::Fat32 {
        let info = info_sector(layout);
        if let Some(sector) = facts.info_sector {
            mosaic.bytes(sector_at(sector), info.clone());
        }
        if let Some(sector) = facts.backup_sector {
            mosaic.bytes(sector_at(sector), boot.clone());
            if facts.info_sector.is_some() {
                mosaic.bytes(sector_at(sector + 1), info);
            }
        }
    }
    mosaic.bytes(0, boot);
}

/// Returns the free-space hint of FAT32.
fn info_sector(layout: &Layout) -> Vec<u8> {
    let mut sector = vec![0; 512];
    let free = u32::try_from(layout.free_clusters()).expect("cluster counts fit 28 bits");
    for (at, value) in [
        (0, 0x4161_5252),
        (484, 0x6141_7272),
        (488, free),
        (492, if free == 0 { u32::MAX } else { layout.end.0 }),
        (508, 0xAA55_0000),
    ] {
        sector[at..at + 4].copy_from_slice(&u32::to_le_bytes(value));
    }
    sector
}

/// Returns the allocation table up to the last cell in use.
fn table(layout: &Layout) -> Vec<u8> {
    let kind = layout.geometry.kind;
    let mask = kind.mask();
    let mut cells = vec![0; usize::try_from(layout.end.0).expect("u32 fits in usize")];
    // Cell 0 repeats the media byte; all bits of cell 1 say: clean, and without disk errors.
    cells[0] = mask & !0xFF | u32::from(layout.options.facts.media);
    cells[1] = mask;
    for chain in layout.chains().filter(|it| it.len > 0) {
        let end = chain.first + chain.len;
        for number in chain.first..end {
            let next = if number + 1 == end { mask } else { number + 1 };
            cells[usize::try_from(number).expect("u32 fits in usize")] = next;
        }
    }
    match kind {
        Kind::Fat12 => {
            let pairs = cells
                .chunks(2)
                .map(|pair| pair[0] | pair.get(1).unwrap_or(&0) << 12);
            pairs
                .flat_map(|it| {
                    let [a, b, c, _] = it.to_le_bytes();
                    [a, b, c]
                })
                .collect()
        }
        Kind::Fat16 => cells
            .iter()
            .flat_map(|it| {
                let [a, b, ..] = it.to_le_bytes();
                [a, b]
            })
            .collect(),
        Kind::Fat32 => cells.iter().flat_map(|it| it.to_le_bytes()).collect(),
    }
}

fn root_bytes(layout: &Layout, dir: &PlacedDir) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(label) = layout.options.facts.label {
        let time = DosTime::from_timestamp(layout.options.time);
        bytes.extend(raw(label.0, 0, LABEL, time, 0, 0));
    }
    for entry in &dir.entries {
        push_entry(&mut bytes, entry);
    }
    bytes
}

fn dir_bytes(dir: &PlacedDir) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(raw(
        *b".          ",
        0,
        DIRECTORY,
        dir.time,
        dir.chain.first,
        0,
    ));
    bytes.extend(raw(*b"..         ", 0, DIRECTORY, dir.time, dir.parent, 0));
    for entry in &dir.entries {
        push_entry(&mut bytes, entry);
    }
    bytes
}

fn push_entry(bytes: &mut Vec<u8>, entry: &PlacedEntry) {
    for slot in entry.name.long_slots() {
        bytes.extend(slot);
    }
    let PlacedEntry {
        name,
        attributes,
        time,
        first,
        size,
    } = entry;
    bytes.extend(raw(
        name.short.0,
        name.case,
        *attributes,
        *time,
        *first,
        *size,
    ));
}

/// Returns the 32 bytes of a directory entry; creation and access are said to be at the time of the last change.
fn raw(name: [u8; 11], case: u8, attributes: u8, time: DosTime, first: u32, size: u32) -> [u8; 32] {
    let mut raw = [0; 32];
    let [low0, low1, high0, high1] = first.to_le_bytes();
    raw[..11].copy_from_slice(&name);
    raw[11] = attributes;
    raw[12] = case;
    for (at, value) in [
        (14, time.time),
        (16, time.date),
        (18, time.date),
        (22, time.time),
        (24, time.date),
    ] {
        raw[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }
    raw[20..22].copy_from_slice(&[high0, high1]);
    raw[26..28].copy_from_slice(&[low0, low1]);
    raw[28..].copy_from_slice(&size.to_le_bytes());
    raw
}
