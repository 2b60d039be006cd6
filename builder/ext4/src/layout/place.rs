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
use fstree::Layer;
use std::ops::Range;

/// Free blocks, given out in order.
struct Space {
    free: Vec<Range<u64>>,
    next: usize,
    /// Runs that were passed over, and stay free.
    passed: Vec<Range<u64>>,
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
        passed: Vec::new(),
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
    let (dirs, files) = place_layers(demand, &mut space, options);
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
    layout.free.append(&mut space.passed);
    layout.free.sort_unstable_by_key(|it| it.start);
    Ok(layout)
}

fn place_layers(demand: &Demand, space: &mut Space, options: &Options) -> (Vec<Place>, Vec<Place>) {
    let block_size = options.block_size;
    let mut dirs = vec![Place::default(); demand.dirs];
    let mut dir_runs: Vec<Vec<Extent>> = vec![Vec::new(); demand.dirs];
    let mut files = vec![Place::default(); demand.files];
    for (number, layer) in &demand.layers {
        for (n, blocks) in &layer.dir_blocks {
            let have: u32 = dir_runs[*n].iter().map(|it| it.len).sum();
            space.extend(&mut dir_runs[*n], have, *blocks, None);
        }
        for n in &layer.xattr_dirs {
            dirs[*n].set_xattr_block(space.block());
        }
        for n in &layer.xattr_files {
            files[*n].set_xattr_block(space.block());
        }
        for n in &layer.links {
            files[*n].extents = space.runs(&[(0, 1)], None).into();
        }
        let unit = options.unit.filter(|_| *number == Layer(0));
        for demand in &layer.files {
            let seat = unit.and_then(|unit| Seat::of(demand.from?, unit, block_size));
            let runs = space.runs(&demand.runs, seat);
            space.map(&mut files[demand.file], &runs, block_size);
        }
    }
    // Only now is known in how many pieces a directory is.
    for (dir, runs) in dirs.iter_mut().zip(&dir_runs) {
        space.map(dir, runs, block_size);
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

/// A place within a unit, all in blocks.
#[derive(Clone, Copy)]
struct Seat {
    unit: u64,
    block: u64,
}

impl Seat {
    /// Returns the place of the byte `from` of a source in its unit; `None` if no block can have it.
    fn of(from: u64, unit: u64, block_size: u32) -> Option<Self> {
        let block = u64::from(block_size);
        let whole = from.is_multiple_of(block) && unit.is_multiple_of(block) && unit > 0;
        whole.then(|| Self {
            unit: unit / block,
            block: from / block % (unit / block),
        })
    }

    /// Returns how many blocks from `block` on are to be passed over.
    fn after(self, block: u64) -> u64 {
        (self.unit + self.block - block % self.unit) % self.unit
    }
}

impl Space {
    /// Returns one block.
    fn block(&mut self) -> u64 {
        let mut extents = Vec::new();
        self.extend(&mut extents, 0, 1, None);
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
        let mut place = Place::default();
        let runs = self.runs(runs, None);
        self.map(&mut place, &runs, block_size);
        place
    }

    /// Returns blocks for runs of a file.
    fn runs(&mut self, runs: &[(u32, u32)], mut seat: Option<Seat>) -> Vec<Extent> {
        let mut extents = Vec::with_capacity(runs.len());
        for (logical, len) in runs {
            self.extend(&mut extents, *logical, u64::from(*len), seat.take());
        }
        extents
    }

    /// Gives a file these blocks, and its extent tree blocks of its own.
    fn map(&mut self, place: &mut Place, runs: &[Extent], block_size: u32) {
        place.extents = split(runs).into();
        place.set_nodes(self.nodes(place.extents.len(), block_size));
    }

    /// Adds `len` blocks from `logical` on to a mapping, as few pieces as free runs allow, each where it sits in its unit.
    fn extend(
        &mut self,
        extents: &mut Vec<Extent>,
        mut logical: u32,
        mut len: u64,
        mut seat: Option<Seat>,
    ) {
        while len > 0 {
            let Some(run) = self.free.get_mut(self.next) else {
                self.missing += len;
                return;
            };
            let pass = seat
                .map_or(0, |it| it.after(run.start))
                .min(run.end - run.start);
            if pass > 0 {
                self.passed.push(run.start..run.start + pass);
                run.start += pass;
            }
            if run.start == run.end {
                self.next += 1;
                continue;
            }
            let n = len.min(run.end - run.start);
            if let Some(seat) = &mut seat {
                seat.block += n;
            }
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

    fn space(free: Vec<Range<u64>>) -> Space {
        Space {
            free,
            next: 0,
            passed: Vec::new(),
            missing: 0,
        }
    }

    fn at(logical: u32, physical: u64, len: u32) -> Extent {
        Extent {
            logical,
            physical,
            len,
        }
    }

    #[test]
    fn runs_are_filled_to_their_ends() {
        let mut space = space(vec![3..5, 10..20]);
        let place = space.file(&[(0, 3), (8, 2)], 4096);
        assert_eq!(*place.extents, [at(0, 3, 2), at(2, 10, 1), at(8, 11, 2)]);
        space.file(&[(0, 10)], 4096);
        assert_eq!(space.missing, 3);
    }

    #[test]
    fn pieces_sit_in_their_units_and_what_is_passed_over_stays_free() {
        let mut space = space(vec![5..7, 9..40]);
        let seat = Seat::of(6 * 4096, 8 * 4096, 4096).unwrap();
        let runs = space.runs(&[(0, 4), (9, 1)], Some(seat));
        // Blocks 6, 7, 8, 9 of the source: the second would be at 7, which is taken.
        assert_eq!(runs, [at(0, 6, 1), at(1, 15, 3), at(9, 18, 1)]);
        assert_eq!(space.passed, [5..6, 9..15]);
        assert_eq!(space.free[1], 19..40);
        assert!(Seat::of(100, 65536, 4096).is_none());
        assert!(Seat::of(4096, 1024, 4096).is_none());
        assert!(Seat::of(4096, 0, 4096).is_none());
    }
}
