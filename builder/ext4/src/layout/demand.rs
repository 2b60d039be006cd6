//! How much a tree needs, wherever it goes: blocks of every file and directory, inodes, the order.

use crate::census::{Census, Child};
use crate::dir::Form;
use crate::error::Error;
use crate::extent::node_blocks;
use crate::features::Feature;
use crate::inode::{EXTRA, FIXED, encode_device, stored_links};
use crate::layout::FIRST_INODE;
use crate::le::{index, long, short};
use crate::options::Options;
use crate::xattr;
use fstree::{Content, FileKind, Layer, Meta};
use std::collections::BTreeMap;

/// Holes shorter than this are filled, so that files stay in one piece.
const SHORTEST_HOLE: u64 = 64 << 10;
/// Blocks that a file can have.
const MAX_BLOCKS: u64 = 1 << 32;

/// How much a tree needs.
pub(super) struct Demand {
    /// By layer, ascending.
    pub(super) layers: BTreeMap<Layer, LayerDemand>,
    /// Directories and files of the tree.
    pub(super) dirs: usize,
    pub(super) files: usize,
    /// `/lost+found` of the tree, by number; `None` if it is to be made.
    pub(super) lost_found: Option<usize>,
    /// Whether `/lost+found` is to be made.
    pub(super) make_lost_found: bool,
    /// Inodes that are used, the reserved ones included.
    pub(super) inodes: u64,
}

/// What one layer needs, each list in its order.
#[derive(Default)]
pub(super) struct LayerDemand {
    /// Blocks that this layer's entries add to directories, by number.
    pub(super) dir_blocks: Vec<(usize, u64)>,
    /// Directories and files whose attributes take a block.
    pub(super) xattr_dirs: Vec<usize>,
    pub(super) xattr_files: Vec<usize>,
    /// Links too long for their inodes.
    pub(super) links: Vec<usize>,
    pub(super) files: Vec<FileDemand>,
    /// Directories and files that get inodes here.
    pub(super) dir_inodes: Vec<usize>,
    pub(super) file_inodes: Vec<usize>,
}

/// What one file needs.
pub(super) struct FileDemand {
    /// Its number.
    pub(super) file: usize,
    /// Runs of blocks: first in the file, number.
    pub(super) runs: Vec<(u32, u32)>,
    /// Where its data begins in its source, in bytes, if it has one.
    pub(super) from: Option<u64>,
}

impl Demand {
    /// Counts what a tree needs; fails on what no volume with these options can hold.
    pub(super) fn of(census: &Census<'_>, options: &Options) -> Result<Self, Error> {
        let mut layers: BTreeMap<Layer, LayerDemand> = BTreeMap::new();
        let form = Form::new(options.features, options.block_size, options.hash);
        let lost_found = census.lost_found();
        let make_lost_found = census.lacks_lost_found();
        for (n, entry) in census.dirs.iter().enumerate() {
            let meta = &entry.dir.meta;
            let links = entry.subdirs + 2 + u32::from(n == 0 && make_lost_found);
            if links > 65_000 && !options.features.has(Feature::DIR_NLINK) {
                return Err(census.dir_error(n, format!("{} directories in it", entry.subdirs)));
            }
            let layer = layers.entry(meta.layer).or_default();
            if n > 0 && Some(n) != lost_found {
                layer.dir_inodes.push(n);
            }
            if needs_block(meta, options).map_err(|it| census.dir_error(n, it))? {
                layer.xattr_dirs.push(n);
            }
            let least = if Some(n) == lost_found {
                lost_found_blocks(options.block_size)
            } else {
                1
            };
            for (layer, blocks) in dir_growth(census, n, &form, least)? {
                layers
                    .entry(layer)
                    .or_default()
                    .dir_blocks
                    .push((n, blocks));
            }
        }
        for (n, entry) in census.files.iter().enumerate() {
            let meta = &entry.file.meta;
            let layer = layers.entry(meta.layer).or_default();
            if stored_links(entry.links, false).is_none() {
                let what = format!(
                    "{} names are more than the 65,000 that Linux allows: let some be copies or symbolic links",
                    entry.links
                );
                return Err(census.file_error(n, what));
            }
            layer.file_inodes.push(n);
            if needs_block(meta, options).map_err(|it| census.file_error(n, it))? {
                layer.xattr_files.push(n);
            }
            let checked = match &entry.file.kind {
                FileKind::Regular(content) => {
                    let runs = blocks_of(content, options);
                    if let Ok(runs) = &runs
                        && !runs.is_empty()
                    {
                        layer.files.push(FileDemand {
                            file: n,
                            runs: runs.clone(),
                            from: content.first_offset(),
                        });
                    }
                    runs.map(|_| ())
                }
                FileKind::Symlink(target) => check_link(target, options.block_size).map(|long| {
                    if long {
                        layer.links.push(n);
                    }
                }),
                FileKind::BlockDevice { major, minor } | FileKind::CharDevice { major, minor } => {
                    encode_device(*major, *minor)
                        .map(|_| ())
                        .ok_or_else(|| format!("no device has number {major}:{minor}"))
                }
                FileKind::Fifo | FileKind::Socket => Ok(()),
            };
            checked.map_err(|it| census.file_error(n, it))?;
        }
        if let Some(base) = layers.get_mut(&Layer(0)) {
            base.files.sort_by_key(|it| (it.from, it.file));
        }
        let made = u64::from(make_lost_found);
        let inodes = u64::from(FIRST_INODE - 1)
            + long(census.dirs.len() - 1)
            + long(census.files.len())
            + made;
        Ok(Self {
            layers,
            dirs: census.dirs.len(),
            files: census.files.len(),
            lost_found,
            make_lost_found,
            inodes,
        })
    }

    /// Returns the fewest blocks that the tree itself takes: extent trees of broken files excepted.
    pub(super) fn least_blocks(&self) -> u64 {
        let layer = |it: &LayerDemand| {
            let dirs: u64 = it.dir_blocks.iter().map(|it| it.1).sum();
            let files: u64 = it
                .files
                .iter()
                .flat_map(|it| &it.runs)
                .map(|it| u64::from(it.1))
                .sum();
            dirs + files + long(it.xattr_dirs.len() + it.xattr_files.len() + it.links.len())
        };
        let nodes: u64 = self
            .layers
            .values()
            .flat_map(|it| &it.files)
            .map(|it| node_blocks(it.runs.len(), 4096))
            .sum();
        self.layers.values().map(layer).sum::<u64>() + nodes
    }
}

/// Returns the bytes for attributes in an inode.
pub(crate) fn inode_tail(options: &Options) -> usize {
    usize::from(options.inode_size).saturating_sub(FIXED + usize::from(EXTRA))
}

/// Returns the number of blocks that `/lost+found` has at least: 16 KiB.
pub(super) fn lost_found_blocks(block_size: u32) -> u64 {
    u64::from(16384 / block_size)
}

fn needs_block(meta: &Meta, options: &Options) -> Result<bool, String> {
    if meta.xattrs.is_empty() {
        return Ok(false);
    }
    if !options.features.has(Feature::EXT_ATTR) {
        return Err("extended attributes on a volume without ext_attr".to_owned());
    }
    Ok(
        !xattr::place(&meta.xattrs, inode_tail(options), options.block_size)?
            .block
            .is_empty(),
    )
}

/// Returns whether a link's target needs a block.
fn check_link(target: &[u8], block_size: u32) -> Result<bool, String> {
    match target.len() {
        0 => Err("a symbolic link to nothing".to_owned()),
        _ if target.contains(&0) => Err("a symbolic link whose target holds NUL".to_owned()),
        len if len >= index(block_size).min(4096) => Err(format!("a symbolic link to {len} bytes")),
        len => Ok(len >= 60),
    }
}

/// Returns the runs of blocks that a file takes: all its data, and holes that are too short to keep.
fn blocks_of(content: &Content, options: &Options) -> Result<Vec<(u32, u32)>, String> {
    let block = u64::from(options.block_size);
    if content.len().div_ceil(block) >= MAX_BLOCKS {
        return Err(format!("a file of {} bytes", content.len()));
    }
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for run in content.runs() {
        let (start, end) = (run.at / block, (run.at + run.len).div_ceil(block));
        match runs.last_mut() {
            Some(last) if start.saturating_sub(last.1) * block < SHORTEST_HOLE => {
                last.1 = end.max(last.1);
            }
            _ => runs.push((start, end)),
        }
    }
    let total: u64 = runs.iter().map(|it| it.1 - it.0).sum();
    let sectors = total * (block / 512);
    if sectors >= 1 << 32 && !options.features.has(Feature::HUGE_FILE) {
        return Err(format!(
            "{total} blocks in a file on a volume without huge_file"
        ));
    }
    if content.len() >= 1 << 31 && !options.features.has(Feature::LARGE_FILE) {
        return Err(format!(
            "a file of {} bytes on a volume without large_file",
            content.len()
        ));
    }
    Ok(runs
        .iter()
        .map(|(start, end)| (short(*start), short(end - start)))
        .collect())
}

/// Returns how many blocks each layer's entries add to a directory; at least `least` in all.
fn dir_growth(
    census: &Census<'_>,
    dir: usize,
    form: &Form,
    least: u64,
) -> Result<Vec<(Layer, u64)>, Error> {
    let entry = &census.dirs[dir];
    let layer_of = |child: &Child| match child {
        Child::Dir(n) => census.dirs[index(*n)].dir.meta.layer,
        Child::File(n) => census.files[index(*n)].file.meta.layer,
    };
    let made: &[&[u8]] = if dir == 0 && census.lacks_lost_found() {
        &[crate::census::LOST_FOUND]
    } else {
        &[]
    };
    let count_to = |last: Layer| {
        let names = entry
            .children
            .iter()
            .filter(|it| layer_of(&it.1) <= last)
            .map(|it| it.0.as_bytes());
        form.count(names.chain(made.iter().copied()))
            .ok_or_else(|| {
                census.dir_error(
                    dir,
                    format!(
                        "{} names are more than an index holds",
                        entry.children.len()
                    ),
                )
            })
    };
    let mut layers: Vec<Layer> = entry.children.iter().map(|it| layer_of(&it.1)).collect();
    layers.push(entry.dir.meta.layer);
    layers.sort_unstable();
    layers.dedup();
    let all = count_to(Layer(u16::MAX))?;
    // An index knows every block: there is none to spare.
    let least = if form.indexes(all) { 1 } else { least };
    let all = all.max(least);
    let mut growth = Vec::with_capacity(1);
    let mut have = 0;
    for (i, layer) in layers.iter().enumerate() {
        let want = if i + 1 == layers.len() {
            all
        } else {
            count_to(*layer)?.max(least).min(all)
        };
        if want > have {
            growth.push((*layer, want - have));
            have = want;
        }
    }
    Ok(growth)
}
