//! Where everything of a tree goes: every inode number and block, decided from sizes alone.
//!
//! A layout is made layer by layer, so that a tree with one more layer has every block of the earlier ones where it was, even
//! if the volume becomes larger: groups that are added find room kept for their metadata, and the journal stands last.
//! In a layer stand what its entries add to directories, then attributes and long links, then files: those of the base in
//! the order of their source, those of other layers by path. One thread, no reading: the same tree, the same layout.

mod demand;
mod fixed;
mod place;

use crate::census::Census;
use crate::dir::Form;
use crate::error::Error;
use crate::extent::Extent;
use crate::features::{Feature, Features};
use crate::few::Few;
use crate::geometry::Geometry;
use crate::le::{long, short};
use crate::options::Options;
use demand::Demand;
pub(crate) use demand::inode_tail;
pub(crate) use fixed::reserved_blocks;
use fixed::{Fixed, geometry};
use fstree::FileTree;
use std::fmt;
use std::ops::Range;

/// First inode for files; `/lost+found`, if it is a directory.
pub(crate) const FIRST_INODE: u32 = 11;
/// What sizes are multiples of.
const MIB: u64 = 1 << 20;
/// A size that no volume made here has.
const LARGEST: u64 = 1 << 44;
/// How many times larger than what is on it a volume may have to be.
const FRUGALITY: u64 = 64;

/// Where everything of a tree goes.
#[derive(Clone, Debug)]
pub struct Layout {
    pub(crate) options: Options,
    pub(crate) geometry: Geometry,
    pub(crate) groups: Vec<GroupPlace>,
    pub(crate) resize_block: Option<u64>,
    pub(crate) journal: Option<Place>,
    /// Made if the tree has none.
    pub(crate) lost_found: Option<Place>,
    /// By number in the census.
    pub(crate) dirs: Vec<Place>,
    /// By number in the census.
    pub(crate) files: Vec<Place>,
    /// Free runs of blocks, ascending.
    pub(crate) free: Vec<Range<u64>>,
    /// The first inode that is not used; all before it are.
    pub(crate) next_inode: u32,
}

/// Where a group's own metadata is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct GroupPlace {
    pub(crate) block_bitmap: u64,
    pub(crate) inode_bitmap: u64,
    pub(crate) inode_table: u64,
}

/// Where a file or directory is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Place {
    pub(crate) inode: u32,
    /// Its data, as extents of legal length.
    pub(crate) extents: Few<Extent>,
    /// What few files have.
    beside: Option<Box<Beside>>,
}

/// Blocks of a file beside its data.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Beside {
    /// Nodes of its extent tree.
    nodes: Vec<u64>,
    /// The block of its attributes.
    xattr_block: Option<u64>,
}

impl Place {
    /// Returns the number of all its blocks.
    pub(crate) fn blocks(&self) -> u64 {
        let data: u64 = self.extents.iter().map(|it| u64::from(it.len)).sum();
        data + long(self.nodes().len()) + u64::from(self.xattr_block().is_some())
    }

    /// Returns the nodes of its extent tree.
    pub(crate) fn nodes(&self) -> &[u64] {
        self.beside.as_deref().map_or(&[], |it| &it.nodes)
    }

    /// Returns the block of its attributes.
    pub(crate) fn xattr_block(&self) -> Option<u64> {
        self.beside.as_deref().and_then(|it| it.xattr_block)
    }

    fn set_nodes(&mut self, nodes: Vec<u64>) {
        if !nodes.is_empty() {
            self.beside.get_or_insert_default().nodes = nodes;
        }
    }

    fn set_xattr_block(&mut self, block: u64) {
        self.beside.get_or_insert_default().xattr_block = Some(block);
    }
}

/// Decides where everything goes.
///
/// Fails on a tree that the features cannot hold, on impossible options, and with [`Error::NoSpace`] that says what is missing.
pub fn layout(tree: &FileTree, options: &Options) -> Result<Layout, Error> {
    check(options)?;
    let census = Census::of(tree);
    let demand = Demand::of(&census, options)?;
    let fixed = Fixed::place(geometry(options, demand.inodes)?, options)?;
    place::place(&demand, fixed, options)
}

/// Returns the smallest size in whole MiB at which the tree fits and `slack` bytes stay free for all users.
///
/// Everything else of `options` holds, its size excepted. Returns 16 TiB, which [`layout`] then refuses with the reason, if the options
/// or the tree are impossible.
pub fn minimum_size(tree: &FileTree, options: &Options, slack: u64) -> u64 {
    let census = Census::of(tree);
    let Ok(demand) = check(options).and_then(|()| Demand::of(&census, options)) else {
        return LARGEST;
    };
    let block = u64::from(options.block_size);
    let slack_blocks = slack.div_ceil(block);
    let mut size = ((demand.least_blocks() + slack_blocks) * block).next_multiple_of(MIB);
    let at = |size| Options {
        size,
        ..options.clone()
    };
    // Tables and reserves may be all of a volume, however large it is.
    let ample = at(size.saturating_mul(FRUGALITY).clamp(1 << 30, LARGEST));
    match geometry(&ample, demand.inodes).and_then(|it| Fixed::place(it, &ample)) {
        Ok(fixed) if fixed.missing(&demand, &ample, slack_blocks) > 0 => return LARGEST,
        Err(Error::NoSpace { .. }) => return LARGEST,
        _ => {}
    }
    while size < LARGEST {
        let sized = at(size);
        size += match geometry(&sized, demand.inodes).and_then(|it| Fixed::place(it, &sized)) {
            Ok(fixed) => {
                let missing = match fixed.missing(&demand, &sized, slack_blocks) {
                    0 => unplaced(&demand, fixed, &sized, slack_blocks),
                    missing => missing,
                };
                if missing == 0 {
                    return size;
                }
                // No less can do, for a larger volume has larger tables.
                (missing.saturating_mul(block) / MIB * MIB).max(MIB)
            }
            Err(Error::NoSpace { .. } | Error::Options(_)) => MIB,
            Err(_) => break,
        };
    }
    LARGEST
}

/// Returns at least how many blocks a larger volume must have, seen after all is placed: 0 if nothing is missing.
fn unplaced(demand: &Demand, fixed: Fixed, options: &Options, slack: u64) -> u64 {
    let wanted = slack + fixed.reserved_blocks(options);
    let unused = fixed.unused_blocks(options);
    let missing = match place::place(demand, fixed, options) {
        Ok(layout) if layout.free_blocks() >= wanted => return 0,
        Ok(layout) => wanted - layout.free_blocks(),
        Err(Error::NoSpace { blocks, .. }) => blocks,
        Err(_) => 0,
    };
    missing.saturating_sub(unused).max(1)
}

/// Returns what is wrong with the options by themselves.
fn check(options: &Options) -> Result<(), Error> {
    let refuse = |what: String| Err(Error::Options(what));
    let features = options.features;
    let foreign = features.minus(features.writable());
    if foreign != Features::default() {
        return Err(Error::Unsupported(format!("writing the feature {foreign}")));
    }
    if !features.has(Feature::EXTENTS) {
        return Err(Error::Unsupported(
            "writing files without extents".to_owned(),
        ));
    }
    if !matches!(options.block_size, 1024 | 2048 | 4096) {
        return refuse(format!("blocks of {} bytes", options.block_size));
    }
    if !options.inode_size.is_power_of_two()
        || !(128..=options.block_size).contains(&u32::from(options.inode_size))
    {
        return refuse(format!("inodes of {} bytes", options.inode_size));
    }
    if options.label.len() > 16 {
        return refuse(format!("a label of {} bytes", options.label.len()));
    }
    if !options.groups_per_flex.is_power_of_two() || options.groups_per_flex > 1 << 20 {
        return refuse(format!(
            "{} groups in a flex group",
            options.groups_per_flex
        ));
    }
    if options.bytes_per_inode < 1024 {
        return refuse(format!("an inode for {} bytes", options.bytes_per_inode));
    }
    if options.reserved_per_million > 500_000 {
        return refuse(format!(
            "{} of a million blocks reserved",
            options.reserved_per_million
        ));
    }
    if options
        .journal_blocks
        .is_some_and(|it| !(1024..=10_240_000).contains(&it))
    {
        return refuse(format!("a journal of {:?} blocks", options.journal_blocks));
    }
    if features.has(Feature::METADATA_CSUM) && features.has(Feature::GDT_CSUM) {
        return refuse("metadata_csum and uninit_bg at once".to_owned());
    }
    if features.has(Feature::CSUM_SEED) && !features.has(Feature::METADATA_CSUM) {
        return refuse("metadata_csum_seed without metadata_csum".to_owned());
    }
    Ok(())
}

impl Layout {
    /// Returns the number of blocks that stay free.
    pub fn free_blocks(&self) -> u64 {
        self.free.iter().map(|it| it.end - it.start).sum()
    }

    /// Returns the number of inodes that stay free.
    pub fn free_inodes(&self) -> u64 {
        self.geometry.inodes() - u64::from(self.next_inode - 1)
    }

    /// Returns the options that it was made with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Returns how directories are formed.
    pub(crate) fn form(&self) -> Form {
        Form::new(
            self.options.features,
            self.options.block_size,
            self.options.hash,
        )
    }

    /// Returns the number of inodes used in a group.
    pub(crate) fn used_inodes(&self, group: u32) -> u32 {
        let before = u64::from(group) * u64::from(self.geometry.inodes_per_group);
        let used = u64::from(self.next_inode - 1).saturating_sub(before);
        short(used).min(self.geometry.inodes_per_group)
    }
}

impl fmt::Display for Layout {
    /// Writes one line for each group, directory and file: numbers in the order of a walk, inodes, runs of blocks.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Geometry {
            blocks,
            block_size,
            inodes_per_group,
            ..
        } = &self.geometry;
        writeln!(
            f,
            "volume {blocks} blocks of {block_size} B, {} groups of {inodes_per_group} inodes",
            self.groups.len()
        )?;
        for (n, group) in self.groups.iter().enumerate() {
            let GroupPlace {
                block_bitmap,
                inode_bitmap,
                inode_table,
            } = group;
            writeln!(
                f,
                "group {n} bitmaps {block_bitmap} {inode_bitmap} inodes {inode_table}"
            )?;
        }
        if let Some(block) = self.resize_block {
            writeln!(f, "resize {block}")?;
        }
        let journal = self.journal.iter().map(|it| ("journal".to_owned(), it));
        let lost_found = self
            .lost_found
            .iter()
            .map(|it| ("lost+found".to_owned(), it));
        let dirs = self
            .dirs
            .iter()
            .enumerate()
            .map(|(n, it)| (format!("dir {n}"), it));
        let files = self
            .files
            .iter()
            .enumerate()
            .map(|(n, it)| (format!("file {n}"), it));
        for (what, place) in journal.chain(lost_found).chain(dirs).chain(files) {
            write!(f, "{what} inode {}", place.inode)?;
            for Extent {
                logical,
                physical,
                len,
            } in place.extents.iter()
            {
                write!(f, " {logical}@{physical}+{len}")?;
            }
            if let Some(block) = place.xattr_block() {
                write!(f, " attributes {block}")?;
            }
            for node in place.nodes() {
                write!(f, " node {node}")?;
            }
            writeln!(f)?;
        }
        for run in &self.free {
            writeln!(f, "free {}..{}", run.start, run.end)?;
        }
        Ok(())
    }
}
