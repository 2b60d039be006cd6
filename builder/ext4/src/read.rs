//! A volume as a tree: everything but file content, which stays where it is.
//!
//! Reads in waves, each in the order of the volume: inode tables, then the nodes of all maps level by level, then all
//! directories, attributes and long links. What is hostile costs no more than an honest volume of its size: every block of
//! metadata is taken from a budget, and nothing recurses.

mod ahead;
mod contents;
mod fast;
mod maps;
mod tree;
mod volume;

use crate::error::Error;
use crate::facts::Facts;
use crate::features::Feature;
use crate::geometry::JOURNAL_INODE;
use crate::journal;
use crate::superblock::STATE_VALID;
use fstree::{FileTree, ReadAt};
use std::num::NonZeroUsize;
use std::sync::Arc;
use volume::Volume;

/// "Errors were found".
const STATE_ERRORS: u16 = 2;

/// Reads a volume; its files' content stays in `volume`.
///
/// A journal that was not emptied is replayed in memory, over the volume. Fails with [`Error::Unsupported`] on what is
/// refused by name and with [`Error::Corrupt`] on what contradicts itself.
pub fn read(volume: Arc<dyn ReadAt>) -> Result<(FileTree, Facts), Error> {
    read_with(volume, NonZeroUsize::MIN)
}

/// Like [`read`], with so many threads that read the volume: of use if that is work, as in a compressed image.
pub fn read_with(volume: Arc<dyn ReadAt>, jobs: NonZeroUsize) -> Result<(FileTree, Facts), Error> {
    let mut volume = Volume::open(volume, jobs)?;
    let mut journal_blocks = 0;
    let mut changes = Vec::new();
    if volume.superblock.features.has(Feature::HAS_JOURNAL) && volume.superblock.journal_device == 0
    {
        let (inode, map) = volume.one_map(JOURNAL_INODE)?;
        journal_blocks = crate::le::short(inode.size / volume.geometry.block());
        if let Some(replayed) = journal::replay(&volume.journal(&map)?, &volume.source)? {
            volume = Volume::open(replayed.volume, jobs)?;
            changes = replayed.changes;
        }
    } else if volume.superblock.features.has(Feature::RECOVER) {
        return Err(Error::Unsupported(
            "a journal to be replayed from another device".to_owned(),
        ));
    }
    let state = volume.superblock.state;
    if state & STATE_VALID == 0 || state & STATE_ERRORS != 0 {
        let text = "a volume that was not unmounted cleanly or has known errors (repair it with `e2fsck -fp` first)";
        return Err(Error::Unsupported(text.to_owned()));
    }
    let mut superblock = volume.superblock.clone();
    superblock.features = superblock
        .features
        .without(Feature::RECOVER)
        .without(Feature::ORPHAN_PRESENT);
    let facts = Facts::new(&superblock, volume.geometry.desc_blocks(), journal_blocks);
    let changes = volume.sort_changes(changes)?;
    let mut inodes = volume.inodes()?;
    if !changes.is_empty() {
        changes.to_inodes(&mut inodes)?;
    }
    let mut maps = volume.maps(&inodes)?;
    changes.to_maps(&inodes, &mut maps);
    let mut contents = volume.contents(&inodes, &maps)?;
    changes.to_names(&inodes, &mut contents)?;
    let tree = tree::assemble(&volume, &inodes, &maps, contents)?;
    Ok((tree, facts))
}
