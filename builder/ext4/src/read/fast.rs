//! Carries out what fast commits say, on what was read: inodes, then maps, then names.
//!
//! As the kernel does when it mounts such a volume, but for directories' own times and link counts, which it counts anew.

use super::contents::Holding;
use super::volume::{Inodes, Volume};
use crate::error::Error;
use crate::extent::Extent;
use crate::inode::{EXTENTS_FL, INLINE_DATA_FL, Inode, S_IFDIR};
use crate::journal::Change;
use crate::le::{put, put16, short, u16_at, u32_at};
use fstree::Name;
use std::collections::{BTreeMap, BTreeSet};

/// Where an inode's map is, and what follows it.
const MAP: usize = 0x28;
const AFTER_MAP: usize = 0x64;
const LINKS: usize = 0x1a;
const FLAGS: usize = 0x20;

/// Blocks of a file that are elsewhere now.
struct Remapped {
    logical: u32,
    len: u32,
    physical: Option<u64>,
}

/// Fast commits sorted by what they change.
#[derive(Default)]
pub(super) struct Changes {
    inodes: BTreeMap<u32, Vec<u8>>,
    made_dirs: BTreeSet<u32>,
    maps: BTreeMap<u32, Vec<Remapped>>,
    /// In their order: parent, name, inode, whether it is there from now on.
    names: Vec<(u32, Name, u32, bool)>,
}

impl Volume {
    /// Sorts fast commits; inodes that they do not describe are as they stand in their tables.
    pub(super) fn sort_changes(&mut self, all: Vec<Change>) -> Result<Changes, Error> {
        let mut changes = Changes::default();
        for change in all {
            match change {
                Change::Inode { ino, bytes } => {
                    let raw = self.changed_inode(&mut changes, ino)?;
                    update_inode(raw, &bytes);
                }
                Change::Map {
                    ino,
                    logical,
                    len,
                    physical,
                } => {
                    if let Some(at) = physical {
                        self.check(at, u64::from(len), || format!("fast commit of inode {ino}"))?;
                    }
                    changes.maps.entry(ino).or_default().push(Remapped {
                        logical,
                        len,
                        physical,
                    });
                }
                Change::Name {
                    parent,
                    ino,
                    name,
                    made,
                } => {
                    let raw = self.changed_inode(&mut changes, ino)?;
                    let links = if made { 0 } else { u16_at(raw, LINKS) };
                    put16(raw, LINKS, links.saturating_add(1));
                    let is_dir = u16_at(raw, 0) & crate::inode::S_IFMT == S_IFDIR;
                    if made && is_dir {
                        changes.made_dirs.insert(ino);
                    }
                    changes.names.push((parent, named(ino, &name)?, ino, true));
                }
                Change::NoName { parent, ino, name } => {
                    let raw = self.changed_inode(&mut changes, ino)?;
                    let links = u16_at(raw, LINKS).saturating_sub(1);
                    put16(raw, LINKS, links);
                    if links == 0 {
                        raw[MAP..AFTER_MAP].fill(0);
                        changes.maps.remove(&ino);
                    }
                    changes.names.push((parent, named(ino, &name)?, ino, false));
                }
            }
        }
        Ok(changes)
    }

    fn changed_inode<'a>(
        &mut self,
        changes: &'a mut Changes,
        ino: u32,
    ) -> Result<&'a mut Vec<u8>, Error> {
        if ino < self.superblock.first_inode {
            return Err(Error::inode(ino, "fast commits change it"));
        }
        match changes.inodes.entry(ino) {
            std::collections::btree_map::Entry::Occupied(it) => Ok(it.into_mut()),
            std::collections::btree_map::Entry::Vacant(it) => {
                self.spend(1)?;
                Ok(it.insert(self.raw_inode(ino)?))
            }
        }
    }
}

impl Changes {
    /// Returns whether nothing is changed.
    pub(super) fn is_empty(&self) -> bool {
        self.inodes.is_empty() && self.maps.is_empty() && self.names.is_empty()
    }

    /// Changes inodes; directories that were made are empty until names are added.
    pub(super) fn to_inodes(&self, inodes: &mut Inodes) -> Result<(), Error> {
        let mut all: BTreeMap<u32, Inode> = std::mem::take(&mut inodes.0).into_iter().collect();
        for (ino, raw) in &self.inodes {
            if u16_at(raw, 0) == 0 || u16_at(raw, LINKS) == 0 {
                all.remove(ino);
                continue;
            }
            let parsed = Inode::parse(raw);
            let mut inode =
                parsed.ok_or_else(|| Error::inode(*ino, "its extra fields leave it"))?;
            if self.made_dirs.contains(ino) {
                inode.size = 0;
                inode.flags &= !INLINE_DATA_FL;
            }
            all.insert(*ino, inode);
        }
        inodes.0 = all.into_iter().collect();
        Ok(())
    }

    /// Changes maps.
    pub(super) fn to_maps(&self, inodes: &Inodes, maps: &mut [Vec<Extent>]) {
        for (ino, changes) in &self.maps {
            if let Some(n) = inodes.find(*ino) {
                remap(&mut maps[n], changes);
            }
        }
        for n in self.made_dirs.iter().filter_map(|it| inodes.find(*it)) {
            maps[n].clear();
        }
    }

    /// Changes names: one that is there already stays, one that is gone already is no error.
    pub(super) fn to_names(&self, inodes: &Inodes, holdings: &mut [Holding]) -> Result<(), Error> {
        let mut dirs: BTreeMap<usize, BTreeMap<Name, u32>> = BTreeMap::new();
        for (parent, name, ino, there) in &self.names {
            let n = inodes
                .find(*parent)
                .filter(|it| inodes.0[*it].1.kind() == S_IFDIR)
                .ok_or_else(|| Error::inode(*parent, format!("it is no directory for {name}")))?;
            let dir = dirs.entry(n).or_insert_with(|| {
                let entries = std::mem::take(&mut holdings[n].entries);
                entries.into_iter().map(|(ino, name)| (name, ino)).collect()
            });
            if *there {
                dir.entry(name.clone()).or_insert(*ino);
            } else if dir.get(name) == Some(ino) {
                dir.remove(name);
            }
        }
        for (n, dir) in dirs {
            holdings[n].entries = dir.into_iter().map(|(name, ino)| (ino, name)).collect();
        }
        Ok(())
    }
}

fn named(ino: u32, name: &[u8]) -> Result<Name, Error> {
    Name::new(name).map_err(|it| Error::inode(ino, it.to_string()))
}

/// Writes an inode of a fast commit over one of a table: all but its map, unless that is data or there was none.
fn update_inode(raw: &mut [u8], bytes: &[u8]) {
    let len = bytes.len().min(raw.len());
    put(raw, 0, &bytes[..MAP]);
    put(raw, AFTER_MAP, &bytes[AFTER_MAP..len]);
    let flags = u32_at(raw, FLAGS);
    if flags & INLINE_DATA_FL != 0 {
        put(raw, MAP, &bytes[MAP..AFTER_MAP]);
    } else if flags & EXTENTS_FL != 0 && !crate::extent::is_node(&raw[MAP..AFTER_MAP]) {
        put(raw, MAP, &crate::extent::build(&[], &[], 4096, None).root);
    }
}

/// Takes blocks out of a map and puts others there, one change after the other.
fn remap(map: &mut Vec<Extent>, changes: &[Remapped]) {
    let mut runs: BTreeMap<u64, Extent> = map
        .drain(..)
        .map(|it| (u64::from(it.logical), it))
        .collect();
    let end_of = |it: &Extent| u64::from(it.logical) + u64::from(it.len);
    for change in changes {
        let start = u64::from(change.logical);
        let end = start + u64::from(change.len);
        let mut cut = Vec::new();
        while let Some((at, run)) = runs.range(..end).next_back()
            && end_of(run) > start
        {
            let at = *at;
            cut.extend(runs.remove(&at));
        }
        for old in cut {
            let from = u64::from(old.logical);
            let to = end_of(&old);
            for (start, end) in [(from, to.min(start)), (from.max(end), to)] {
                if start < end {
                    let piece = Extent {
                        logical: short(start),
                        physical: old.physical + (start - from),
                        len: short(end - start),
                    };
                    runs.insert(start, piece);
                }
            }
        }
        if let Some(physical) = change.physical.filter(|_| change.len > 0) {
            let piece = Extent {
                logical: change.logical,
                physical,
                len: change.len,
            };
            runs.insert(start, piece);
        }
    }
    map.extend(runs.into_values());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(logical: u32, physical: u64, len: u32) -> Extent {
        Extent {
            logical,
            physical,
            len,
        }
    }

    #[test]
    fn maps_are_cut_where_they_change() {
        let mut map = vec![at(0, 100, 10), at(20, 200, 10)];
        let mut change = |logical, len, physical| {
            let change = Remapped {
                logical,
                len,
                physical,
            };
            remap(&mut map, &[change]);
            map.clone()
        };
        assert_eq!(
            change(3, 2, None),
            [at(0, 100, 3), at(5, 105, 5), at(20, 200, 10)]
        );
        assert_eq!(
            change(8, 15, Some(500)),
            [at(0, 100, 3), at(5, 105, 3), at(8, 500, 15), at(23, 203, 7)]
        );
        assert_eq!(change(30, 0, Some(1)).len(), 4);
        assert_eq!(change(40, 2, Some(7)).last(), Some(&at(40, 7, 2)));
        assert_eq!(change(1, u32::MAX, None), [at(0, 100, 1)]);
    }

    #[test]
    fn inodes_keep_their_maps() {
        let mut raw = vec![7; 256];
        let mut bytes = vec![9; 160];
        put(&mut bytes, FLAGS, &0u32.to_le_bytes());
        update_inode(&mut raw, &bytes);
        assert_eq!((raw[0], raw[MAP], raw[AFTER_MAP], raw[160]), (9, 7, 9, 7));
        put(&mut bytes, FLAGS, &INLINE_DATA_FL.to_le_bytes());
        update_inode(&mut raw, &bytes);
        assert_eq!(raw[MAP], 9);
        put(&mut bytes, FLAGS, &EXTENTS_FL.to_le_bytes());
        update_inode(&mut raw, &bytes[..128]);
        assert!(crate::extent::is_node(&raw[MAP..AFTER_MAP]));
    }
}
