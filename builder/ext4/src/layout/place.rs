//! Gives each demand its blocks, one after another, and each file its inode.

use super::demand::{Demand, lost_found_blocks};
use super::fixed::{Fixed, journal_blocks};
use super::{FIRST_INODE, Layout, Place};
use crate::error::Error;
use crate::extent::{Extent, node_blocks, split};
use crate::features::Feature;
use crate::geometry::{JOURNAL_INODE, ROOT_INODE};
use crate::le::short;
use crate::options::Options;
use std::ops::Range;

/// Free blocks, given out in order.
struct Space {
    free: Vec<Range<u64>>,
    next: usize,
    /// Blocks that were asked for when none was left.
    missing: u64,
}

/// Places a tree's demand into an empty volume.
pub(super) fn place(demand: &Demand, fixed: Fixed, options: &Options) -> Result<Layout, Error> {
    let Fixed {
        geometry,
        groups,
        free,
        late,
    } = fixed;
    let block_size = geometry.block_size;
    let mut space = Space {
        free: [free, late].concat(),
        next: 0,
        missing: 0,
    };
    let resize_block = options
        .features
        .has(Feature::RESIZE_INODE)
        .then(|| space.block());
    let lost_found = demand.make_lost_found.then(|| {
        let blocks = short(lost_found_blocks(block_size));
        Place {
            inode: FIRST_INODE,
            ..space.file(&[(0, blocks)], block_size)
        }
    });
    let (dirs, files) = place_layers(demand, &mut space, block_size);
    // Last, for its length depends on the volume's, and there is nothing in it.
    let journal = match journal_blocks(options, geometry.blocks)? {
        0 => None,
        blocks => Some(Place {
            inode: JOURNAL_INODE,
            ..space.file(&[(0, blocks)], block_size)
        }),
    };
    let mut layout = Layout {
        options: options.clone(),
        geometry,
        groups,
        resize_block,
        journal,
        lost_found,
        dirs,
        files,
        free: Vec::new(),
        next_inode: short(demand.inodes + 1),
    };
    let inodes = demand.inodes.saturating_sub(layout.geometry.inodes());
    if space.missing > 0 || inodes > 0 {
        return Err(Error::NoSpace {
            blocks: space.missing,
            block_size,
            inodes,
        });
    }
    number(demand, &mut layout);
    layout.free = space.free.split_off(space.next);
    layout.free.sort_unstable_by_key(|it| it.start);
    Ok(layout)
}

fn place_layers(demand: &Demand, space: &mut Space, block_size: u32) -> (Vec<Place>, Vec<Place>) {
    let mut dirs = vec![Place::default(); demand.dirs];
    let mut files = vec![Place::default(); demand.files];
    for layer in demand.layers.values() {
        for (n, blocks) in &layer.dir_blocks {
            let have: u32 = dirs[*n].extents.iter().map(|it| it.len).sum();
            space.extend(&mut dirs[*n].extents, have, *blocks);
        }
        for n in &layer.xattr_dirs {
            dirs[*n].xattr_block = Some(space.block());
        }
        for n in &layer.xattr_files {
            files[*n].xattr_block = Some(space.block());
        }
        for n in &layer.links {
            space.extend(&mut files[*n].extents, 0, 1);
        }
        for (n, runs) in &layer.files {
            let Place { extents, nodes, .. } = space.file(runs, block_size);
            files[*n].extents = extents;
            files[*n].nodes = nodes;
        }
    }
    // Only now is known in how many pieces a directory is.
    for dir in &mut dirs {
        dir.extents = split(&dir.extents);
        dir.nodes = space.nodes(dir.extents.len(), block_size);
    }
    (dirs, files)
}

/// Numbers inodes: the root's and `/lost+found`'s are fixed, others count up layer by layer, directories first.
fn number(demand: &Demand, layout: &mut Layout) {
    layout.dirs[0].inode = ROOT_INODE;
    if let Some(n) = demand.lost_found {
        layout.dirs[n].inode = FIRST_INODE;
    }
    let mut next = FIRST_INODE + u32::from(demand.lost_found.is_some() || demand.make_lost_found);
    for layer in demand.layers.values() {
        for n in &layer.dir_inodes {
            layout.dirs[*n].inode = next;
            next += 1;
        }
        for n in &layer.file_inodes {
            layout.files[*n].inode = next;
            next += 1;
        }
    }
    layout.next_inode = next;
}

impl Space {
    /// Returns one block.
    fn block(&mut self) -> u64 {
        let mut extents = Vec::new();
        self.extend(&mut extents, 0, 1);
        extents.first().map_or(0, |it| it.physical)
    }

    /// Returns the blocks of extent trees of so many extents.
    fn nodes(&mut self, extents: usize, block_size: u32) -> Vec<u64> {
        (0..node_blocks(extents, block_size))
            .map(|_| self.block())
            .collect()
    }

    /// Returns the place of a file with these runs, its inode still 0.
    fn file(&mut self, runs: &[(u32, u32)], block_size: u32) -> Place {
        let mut extents = Vec::with_capacity(runs.len());
        for (logical, len) in runs {
            self.extend(&mut extents, *logical, u64::from(*len));
        }
        let extents = split(&extents);
        let nodes = self.nodes(extents.len(), block_size);
        Place {
            extents,
            nodes,
            ..Place::default()
        }
    }

    /// Adds `len` blocks from `logical` on to a mapping, as few pieces as free runs allow.
    fn extend(&mut self, extents: &mut Vec<Extent>, mut logical: u32, mut len: u64) {
        while len > 0 {
            let Some(run) = self.free.get_mut(self.next) else {
                self.missing += len;
                return;
            };
            let n = len.min(run.end - run.start);
            let piece = Extent {
                logical,
                physical: run.start,
                len: short(n),
            };
            run.start += n;
            if run.start == run.end {
                self.next += 1;
            }
            match extents.last_mut() {
                Some(last)
                    if last.physical + u64::from(last.len) == piece.physical
                        && last.logical + last.len == logical =>
                {
                    last.len += piece.len;
                }
                _ => extents.push(piece),
            }
            logical += piece.len;
            len -= n;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_filled_to_their_ends() {
        let mut space = Space {
            free: vec![3..5, 10..20],
            next: 0,
            missing: 0,
        };
        let place = space.file(&[(0, 3), (8, 2)], 4096);
        let at = |logical, physical, len| Extent {
            logical,
            physical,
            len,
        };
        assert_eq!(place.extents, [at(0, 3, 2), at(2, 10, 1), at(8, 11, 2)]);
        space.file(&[(0, 10)], 4096);
        assert_eq!(space.missing, 3);
    }
}
