//! From edited trees to a disk: volumes laid out afresh, partitions and disk sized, all of it one value.

use super::{Work, seed};
use crate::digest::Digest;
use crate::error::{Error, Result, input};
use crate::open::Clusters;
use crate::plan::Plan;
use disk::table::{GptName, Guid, Kind, Lba, Partition, Scheme, Table};
use disk::vmdk::GRAIN;
use fstree::{FileTree, Mosaic, MosaicBuilder, ReadAt, Window};
use std::ops::Range;
use std::sync::Arc;

/// Disks and partitions end at whole MiB.
const MIB: u64 = 1 << 20;
/// The gap before the first partition must hold at least this much for a seed.
const MIN_SEED: u64 = 256 << 10;
/// Microsoft basic data: what a FAT volume's partition is called in a GPT.
const BASIC_DATA: &str = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7";

/// A disk that has not been written yet.
pub struct Image {
    /// The disk's bytes.
    pub disk: Arc<dyn ReadAt>,
    /// Its partitions.
    pub table: Table,
    /// What a person should know.
    pub notes: Notes,
    /// Name of the plan it was made by.
    pub plan: Digest,
    /// The base's clusters, if they may serve as grains of a VMDK.
    pub(crate) clusters: Option<Clusters>,
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Image({} B, {:?})", self.disk.size(), self.notes)
    }
}

/// What a person should know of an image.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Notes {
    /// Packages whose maintainer scripts run on first boot, each with the reason.
    pub first_boot: Vec<(String, String)>,
    /// Size of the root file system in bytes.
    pub root_size: u64,
    /// Files and directories on it.
    pub root_files: usize,
}

/// Lays out the volumes and puts the disk together.
pub(super) fn finish(mut work: Work<'_>, plan: &Plan) -> Result<Image> {
    let digest = plan.digest();
    let first_boot = work.packages.finish(&mut work.root.tree)?;
    let mut builder = MosaicBuilder::new();
    let mut table = work.base.table.clone();
    let mut edited = Vec::new();
    let root = root_volume(&work)?;
    place_root(&mut table, &work, root.size())?;
    let root_place = place(&mut builder, &table, work.root.partition, Arc::new(root))?;
    edited.push(work.root.partition);
    if let Some(boot) = &work.boot {
        let size = boot_size(&table, boot.partition)?;
        let volume = boot_volume(&boot.tree, &boot.facts, size, &work)?;
        place(&mut builder, &table, boot.partition, Arc::new(volume))?;
        edited.push(boot.partition);
    }
    if let Some(files) = &work.seed {
        let number = add_seed_partition(&mut table, digest)?;
        let range = table.byte_range(
            table
                .partition(number)
                .map_err(input("the seed's partition"))?,
        );
        let size = range.end - range.start;
        let volume = seed::volume(files, (size, table.sector), digest, work.time)?;
        place(&mut builder, &table, number, Arc::new(volume))?;
        edited.push(number);
    }
    travel(&mut builder, &table, &work.base, &edited)?;
    let size = table
        .smallest_disk(MIB)
        .max(work.disk.unwrap_or(0).next_multiple_of(MIB));
    // A logical partition grows within the extended one alone, which nothing on the machine makes larger.
    let end = table.usable_end(size);
    end_extended(&mut table, work.root.partition, end).map_err(input("the extended partition"))?;
    for (at, bytes) in table.render(size).map_err(input("the partition table"))? {
        builder.bytes(at, bytes);
    }
    let disk = builder.finish(size).map_err(input("the disk's parts"))?;
    let notes = Notes {
        first_boot,
        root_size: root_place.end - root_place.start,
        root_files: work.root.tree.walk().count(),
    };
    Ok(Image {
        disk: Arc::new(disk),
        table,
        notes,
        plan: digest,
        clusters: work.clusters,
    })
}

/// Lays the root file system out at its content's size and the slack.
fn root_volume(work: &Work<'_>) -> Result<Mosaic> {
    let tree = &work.root.tree;
    let broken = || input("the root file system cannot be laid out");
    let mut options = ext4::Options::like(&work.root.facts, 0, work.time);
    // The base's clusters are compressed: those that come out as they are need not be compressed again.
    options.unit = work.clusters.as_ref().map(|_| GRAIN as u64);
    options.size = ext4::minimum_size(tree, &options, work.slack);
    let layout = ext4::layout(tree, &options).map_err(broken())?;
    ext4::write(&layout, tree).map_err(broken())
}

/// Sizes the root's partition, which must be the last on the disk: only then can it grow on first boot.
fn place_root(table: &mut Table, work: &Work<'_>, bytes: u64) -> Result<()> {
    let broken = || input("the root partition");
    let number = work.root.partition;
    let start = table.partition(number).map_err(broken())?.start;
    if let Some(behind) = table.partitions.iter().find(|it| it.start > start) {
        return Err(Error::input(format!(
            "partition {} of the base lies behind the root file system's",
            behind.number
        ))
        .help(
            "a base whose root partition is the last on its disk is wanted, so that it can grow",
        ));
    }
    let sectors = bytes / table.sector.bytes();
    let end = Lba(start.0 + sectors);
    table.set_end(number, end).map_err(broken())?;
    end_extended(table, number, end).map_err(broken())
}

/// Lets the extended partition end there, if the root's is a logical one: it is the last of those.
fn end_extended(table: &mut Table, root: u32, end: Lba) -> std::result::Result<(), disk::Error> {
    let is_logical = matches!(table.partition(root)?.kind, Kind::Logical { .. });
    let extended = table.partitions.iter().find(|it| it.is_extended());
    match extended.map(|it| it.number).filter(|_| is_logical) {
        Some(extended) => table.set_end(extended, end),
        None => Ok(()),
    }
}

fn boot_size(table: &Table, number: u32) -> Result<u64> {
    let range = table.byte_range(
        table
            .partition(number)
            .map_err(input("the boot partition"))?,
    );
    Ok(range.end - range.start)
}

fn boot_volume(tree: &FileTree, facts: &fat::Facts, size: u64, work: &Work<'_>) -> Result<Mosaic> {
    let broken = || input("the boot partition cannot be laid out");
    let options = fat::Options::like(facts, size, work.time);
    let layout = fat::layout(tree, &options).map_err(broken())?;
    fat::write(&layout, tree).map_err(broken())
}

/// Places a volume in its partition.
fn place(
    builder: &mut MosaicBuilder,
    table: &Table,
    number: u32,
    volume: Arc<dyn ReadAt>,
) -> Result<Range<u64>> {
    let range = table.byte_range(table.partition(number).map_err(input("a partition"))?);
    let len = volume.size().min(range.end - range.start);
    builder.place(range.start, volume, 0, len);
    Ok(range)
}

/// Adds a partition for the seed in the gap before the first one, where it is in nobody's way.
fn add_seed_partition(table: &mut Table, plan: Digest) -> Result<u32> {
    let Scheme::Gpt { first_usable, .. } = &table.scheme else {
        return Err(Error::input("a seed's partition needs a disk with a GPT")
            .help("let the base's seed be `boot-partition`"));
    };
    let per_4k = 4096 / table.sector.bytes();
    let start = first_usable.0.next_multiple_of(per_4k.max(1));
    let first = table
        .partitions
        .iter()
        .map(|it| it.start.0)
        .min()
        .unwrap_or(0);
    let sectors = first.saturating_sub(start) / per_4k * per_4k;
    // Nobody gains by a larger one where a base leaves a larger gap.
    let sectors = sectors.min(4 * MIB / table.sector.bytes());
    if sectors * table.sector.bytes() < MIN_SEED {
        return Err(Error::input(
            "the base leaves no gap before its first partition for the seed",
        ));
    }
    let number = table
        .partitions
        .iter()
        .map(|it| it.number)
        .max()
        .unwrap_or(0)
        + 1;
    let kind = Kind::Gpt {
        type_guid: BASIC_DATA.parse().expect("a constant GUID"),
        unique_guid: Guid(plan.uuid("seed partition")),
        attributes: 0,
        name: GptName::new("CIDATA").expect("a short name"),
    };
    table
        .add(Partition {
            number,
            start: Lba(start),
            sectors,
            kind,
        })
        .map_err(input("the seed's partition"))?;
    Ok(number)
}

/// Places what is not edited as it stands in the base: other partitions, and the boot loader's gap of an MBR disk.
fn travel(
    builder: &mut MosaicBuilder,
    table: &Table,
    base: &crate::open::OpenDisk,
    edited: &[u32],
) -> Result<()> {
    for partition in table
        .partitions
        .iter()
        .filter(|it| !edited.contains(&it.number) && !it.is_extended())
    {
        let range = table.byte_range(partition);
        let window = Window::new(base.disk.clone(), range.start, range.end - range.start)
            .ok_or_else(|| {
                Error::input(format!(
                    "partition {} lies past the end of the base",
                    partition.number
                ))
            })?;
        builder.place(range.start, Arc::new(window), 0, range.end - range.start);
    }
    if matches!(table.scheme, Scheme::Mbr { .. }) {
        let first = table
            .partitions
            .iter()
            .map(|it| it.start.0)
            .min()
            .unwrap_or(1)
            * table.sector.bytes();
        let start = table.sector.bytes();
        builder.place(start, base.disk.clone(), start, first.saturating_sub(start));
    }
    Ok(())
}
