//! Pulling an artifact out of an image: one function a format, all processors, bytes that depend on the image alone.
//!
//! An artifact goes into a [`Draft`], which the host gives its final name only when it is whole. Beside it stands what tells
//! whether it still is: its SHA-256; of a raw disk, which is mostly holes, a block map with the SHA-256 of each range of data,
//! and its own SHA-256 only if that is asked for. They get their names together.

mod appliance;
mod bmap;
mod grains;
mod hashed;
mod ova;
mod ovf;
mod ready;
mod sink;
#[cfg(test)]
mod tests;

use crate::apply::Image;
use crate::digest::Digest;
use crate::error::{Error, Result, world};
use crate::plan::Plan;
use crate::profile::Format;
use disk::compress::Compression;
use disk::raw::DataMap;
use disk::table::SectorSize;
use disk::vmdk::{Effort, GrainCache, Ready, VmdkOptions};
use fstree::WriteAt;
use grains::Grains;
use ready::BaseClusters;
use std::num::NonZeroUsize;

pub use sink::{Draft, Sink, Stream};

/// zstd's level: near the speed of a disk, and a third smaller than nothing.
const ZST_LEVEL: i32 = 3;
/// xz's preset: the smallest window of which an SD-card image gains most of what there is to gain.
const XZ_PRESET: u32 = 3;

/// How hard a VMDK's grains are compressed.
const EFFORT: Effort = Effort::ByContent;

/// What is to be written.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The artifact's name without extension.
    pub name: &'a str,
    /// Its format.
    pub format: Format,
    /// Threads to use.
    pub jobs: NonZeroUsize,
    /// What is hashed of a raw disk or an SD-card image.
    pub hashing: Hashing,
}

/// What is hashed of a disk that is written as its own bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hashing {
    /// Its data, for the block map.
    Data,
    /// All of it too, holes included, which takes one processor as long as if they were data.
    Whole,
}

/// An artifact that was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Artifact {
    /// Its file name.
    pub file: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256; of a disk that is written as its own bytes if that was asked for.
    pub sha256: Option<Digest>,
    /// The SHA-256 of its block map, which has that of each range of data.
    pub block_map: Option<Digest>,
    /// Files beside it.
    pub beside: Vec<String>,
}

/// Writes an artifact; `progress` is told the offset on the disk that was reached.
pub fn emit<S: Sink>(
    image: &Image,
    plan: &Plan,
    target: &Target<'_>,
    sink: &S,
    progress: &mut dyn FnMut(u64),
) -> Result<Artifact> {
    let file = format!("{}.{}", target.name, target.format);
    if matches!(target.format, Format::Ova | Format::Vmdk) && image.table.sector != SectorSize::B512
    {
        return Err(Error::input(format!(
            "{file} would have sectors of 512 bytes, as every VMDK, and the base's partition table counts in 4096"
        ))
        .help("choose the format raw, img or qcow2"));
    }
    let draft = sink.create(&file)?;
    let broken = format!("writing {file}");
    let mut beside: Vec<Beside<S>> = Vec::new();
    let mut block_map = None;
    let mut describe = |(digest, file)| {
        block_map = Some(digest);
        beside.push(file);
    };
    let (size, sha256) = match target.format {
        Format::Ova => {
            let machine = plan
                .machine
                .as_ref()
                .ok_or_else(|| Error::input("the profile describes no machine for an appliance"))?;
            let (grains, ready) = (remembered(image, sink)?, ready(image));
            let options = vmdk_options(image, target.name, grains.as_ref(), ready.as_ref());
            let (size, sha256) =
                appliance::write(image, (plan, machine), target, (&draft, &options), progress)?;
            (size, Some(sha256))
        }
        Format::Vmdk => {
            let mut out = Stream::new(&draft);
            let (grains, ready) = (remembered(image, sink)?, ready(image));
            let options = vmdk_options(image, target.name, grains.as_ref(), ready.as_ref());
            disk::vmdk::write_stream(&image.disk, &options, target.jobs, &mut out, progress)
                .map_err(world(broken.as_str()))?;
            let (size, sha256) = out.finish().map_err(world(broken.as_str()))?;
            (size, Some(sha256))
        }
        Format::Qcow2 => {
            let options = disk::qcow2::Qcow2Options::default();
            let stats = disk::qcow2::write(&image.disk, &options, target.jobs, &draft, progress)
                .map_err(world(broken.as_str()))?;
            draft.set_len(stats.bytes).map_err(world(broken.as_str()))?;
            let sha256 = Digest::of_awaited(&draft).map_err(world(broken.as_str()))?;
            (stats.bytes, Some(sha256))
        }
        Format::Raw | Format::Img => {
            draft.only_written();
            let (map, ranges, sha256) = raw(image, target.hashing, target.jobs, &draft, progress)?;
            draft.set_len(map.size).map_err(world(broken.as_str()))?;
            describe(map_file(target, &map, &ranges, sink)?);
            (map.size, sha256)
        }
        Format::ImgZst | Format::ImgXz => {
            let compression = match target.format {
                Format::ImgZst => Compression::Zst(ZST_LEVEL),
                _ => Compression::Xz(XZ_PRESET),
            };
            let mut out = Stream::new(&draft);
            disk::compress::write(&image.disk, compression, target.jobs, &mut out, progress)
                .map_err(world(broken.as_str()))?;
            let (size, sha256) = out.finish().map_err(world(broken.as_str()))?;
            let (map, ranges, _) = raw(image, Hashing::Data, target.jobs, &Nowhere, &mut |_| ())?;
            describe(map_file(target, &map, &ranges, sink)?);
            (size, Some(sha256))
        }
    };
    let sums = format!("{file}.sha256");
    let mut stale = Vec::new();
    match sha256 {
        Some(sha256) => beside.push(small(sums, &format!("{sha256}  {file}\n"), sink)?),
        None => stale.push(sums),
    }
    let (beside, describing): (Vec<_>, Vec<_>) = beside.into_iter().unzip();
    sink.finish([draft].into_iter().chain(describing).collect(), &stale)?;
    Ok(Artifact {
        file,
        size,
        sha256,
        block_map,
        beside,
    })
}

/// Swallows what is written: for a pass that only measures.
struct Nowhere;

impl WriteAt for Nowhere {
    fn write_all_at(&self, _buf: &[u8], _offset: u64) -> std::io::Result<()> {
        Ok(())
    }
}

/// Writes the disk byte for byte; returns its map, each range's digest, and the whole's if it is wanted.
fn raw(
    image: &Image,
    hashing: Hashing,
    jobs: NonZeroUsize,
    out: &dyn WriteAt,
    progress: &mut dyn FnMut(u64),
) -> Result<(DataMap, Vec<Digest>, Option<Digest>)> {
    let mut hashes = sink::RawHashes::new(hashing);
    let map = disk::raw::write(&image.disk, jobs, out, &mut |piece| {
        hashes.piece(piece.offset, piece.bytes);
        progress(piece.offset + piece.bytes.len() as u64);
    })
    .map_err(world("writing the disk"))?;
    let (ranges, whole) = hashes.finish(map.size);
    Ok((map, ranges, whole))
}

/// A file beside an artifact: its name, and what is to get it.
type Beside<S> = (String, <S as Sink>::Draft);

/// Writes the block map; returns its digest too.
fn map_file<S: Sink>(
    target: &Target<'_>,
    map: &DataMap,
    ranges: &[Digest],
    sink: &S,
) -> Result<(Digest, Beside<S>)> {
    // A block map describes the disk, however its file is compressed; bmaptool looks for it under this name.
    let name = format!("{}.bmap", target.name);
    let text = bmap::text(map, ranges);
    Ok((Digest::of(text.as_bytes()), small(name, &text, sink)?))
}

fn small<S: Sink>(name: String, text: &str, sink: &S) -> Result<Beside<S>> {
    let draft = sink.create(&name)?;
    draft
        .write_all_at(text.as_bytes(), 0)
        .map_err(world(format!("writing {name}")))?;
    draft
        .set_len(text.len() as u64)
        .map_err(world(format!("writing {name}")))?;
    Ok((name, draft))
}

/// Returns the compressed grains that the sink's host remembers.
fn remembered<'a, S: Sink>(image: &'a Image, sink: &'a S) -> Result<Option<Grains<'a>>> {
    sink.memory()
        .map(|memory| Grains::new(&image.disk, memory, EFFORT))
        .transpose()
}

/// Returns the grains that the image's base has compressed.
fn ready(image: &Image) -> Option<BaseClusters<'_>> {
    let clusters = image.clusters.as_ref()?;
    Some(BaseClusters::new(&image.disk, clusters))
}

/// Returns the options of a disk's VMDK; its identifiers come from the plan.
fn vmdk_options<'a>(
    image: &Image,
    name: &str,
    grains: Option<&'a Grains<'_>>,
    ready: Option<&'a BaseClusters<'_>>,
) -> VmdkOptions<'a> {
    let cid = image.plan.uuid("vmdk cid");
    VmdkOptions {
        uuid: uuid_text(image.plan.uuid("vmdk")),
        cid: u32::from_le_bytes([cid[0], cid[1], cid[2], cid[3]]),
        file_name: format!("{name}.vmdk"),
        effort: EFFORT,
        cache: grains.map(|it| it as &dyn GrainCache),
        ready: ready.map(|it| it as &dyn Ready),
    }
}

/// Returns a UUID in its text form.
fn uuid_text(uuid: [u8; 16]) -> String {
    let hex = crate::digest::hex(&uuid);
    [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-")
}
