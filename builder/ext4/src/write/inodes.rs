//! Directories and files: their inodes, blocks, maps and attributes.

use super::Writer;
use crate::census::{Child, LOST_FOUND};
use crate::dir::Entry;
use crate::error::Error;
use crate::extent::{self, Extent};
use crate::inode::{
    EXTENTS_FL, INDEX_FL, Inode, KEPT_FLAGS, PLAIN_ONLY_FLAGS, S_IFDIR, S_IFREG, encode_device,
    sectors, stored_links,
};
use crate::layout::{Place, inode_tail};
use crate::le::{index, long, put};
use crate::xattr;
use fstree::{FileKind, Layer, Meta};

impl Writer<'_> {
    /// Writes all directories.
    pub(super) fn dirs(&mut self) -> Result<(), Error> {
        let layout = self.layout;
        for (n, place) in layout.dirs.iter().enumerate() {
            let dir = &self.census.dirs[n];
            let parent = layout.dirs[dir.parent].inode;
            let mut entries: Vec<Entry<'_>> = Vec::with_capacity(dir.children.len() + 1);
            for (name, child) in &dir.children {
                let (ino, kind) = match child {
                    Child::Dir(it) => (layout.dirs[index(*it)].inode, S_IFDIR),
                    Child::File(it) => {
                        let it = index(*it);
                        (layout.files[it].inode, self.census.files[it].kind())
                    }
                };
                entries.push(Entry {
                    name: name.as_bytes(),
                    ino,
                    kind,
                });
            }
            let mut links = dir.subdirs + 2;
            if n == 0
                && let Some(made) = &layout.lost_found
            {
                entries.push(Entry {
                    name: LOST_FOUND,
                    ino: made.inode,
                    kind: S_IFDIR,
                });
                links += 1;
            }
            let meta = &dir.dir.meta;
            self.dir(place, parent, &entries, (meta, links))
                .map_err(|it| self.census.dir_error(n, it))?;
        }
        if let Some(place) = &layout.lost_found {
            let meta = Meta::root_owned(0o700, layout.options.time, Layer(0));
            self.dir(place, crate::geometry::ROOT_INODE, &[], (&meta, 2))
                .map_err(Error::Mismatch)?;
        }
        Ok(())
    }

    /// Writes all other files.
    pub(super) fn files(&mut self) -> Result<(), Error> {
        let layout = self.layout;
        for (n, place) in layout.files.iter().enumerate() {
            self.file(n, place)
                .map_err(|it| self.census.file_error(n, it))?;
        }
        Ok(())
    }

    fn dir(
        &mut self,
        place: &Place,
        parent: u32,
        entries: &[Entry<'_>],
        (meta, links): (&Meta, u32),
    ) -> Result<(), String> {
        let seed = self.sums.inode_seed(place.inode, 0);
        let form = self.layout.form();
        let packed = form
            .pack(place.inode, parent, entries, seed)
            .ok_or_else(|| format!("{} names are more than an index holds", entries.len()))?;
        let have: u64 = place.extents.iter().map(|it| u64::from(it.len)).sum();
        if long(packed.blocks.len()) > have {
            return Err(format!(
                "the layout has {have} blocks for {}",
                packed.blocks.len()
            ));
        }
        let mut blocks = packed.blocks.into_iter();
        for run in place.extents.iter() {
            let mut bytes = Vec::with_capacity(index(run.len) * index(form.block_size));
            for _ in 0..run.len {
                bytes.extend(blocks.next().unwrap_or_else(|| form.empty_block(seed)));
            }
            self.put(run.physical, bytes);
        }
        let mut inode = Inode {
            size: have * self.geometry().block(),
            links: stored_links(links, true).unwrap_or(1),
            ..self.inode(meta, S_IFDIR)
        };
        inode.flags |= EXTENTS_FL | if packed.indexed { INDEX_FL } else { 0 };
        self.finish(place, inode, meta)
    }

    fn file(&mut self, n: usize, place: &Place) -> Result<(), String> {
        let entry = &self.census.files[n];
        let file = entry.file;
        let kind = entry.kind();
        let block = self.geometry().block();
        let links = stored_links(entry.links, false).ok_or("it has more than 65,000 names")?;
        let mut inode = Inode {
            links,
            ..self.inode(&file.meta, kind)
        };
        match &file.kind {
            FileKind::Regular(content) => {
                inode.size = content.len();
                inode.flags |= EXTENTS_FL;
                for Extent {
                    logical,
                    physical,
                    len,
                } in place.extents.iter()
                {
                    let (start, len) = (u64::from(*logical) * block, u64::from(*len) * block);
                    content.place(&mut self.mosaic, start, len, physical * block);
                }
            }
            FileKind::Symlink(target) => {
                inode.size = long(target.len());
                match place.extents.first() {
                    Some(run) => {
                        inode.flags |= EXTENTS_FL;
                        self.put(run.physical, target.clone());
                    }
                    None if target.len() < inode.block.len() => put(&mut inode.block, 0, target),
                    None => return Err("the layout has no block for its target".to_owned()),
                }
            }
            FileKind::BlockDevice { major, minor } | FileKind::CharDevice { major, minor } => {
                inode.block = encode_device(*major, *minor).ok_or("no device has its number")?;
            }
            FileKind::Fifo | FileKind::Socket => {}
        }
        self.finish(place, inode, &file.meta)
    }

    /// Returns an inode of this type with what `meta` says.
    fn inode(&self, meta: &Meta, kind: u16) -> Inode {
        let plain = matches!(kind, S_IFREG | S_IFDIR);
        Inode {
            mode: kind | meta.mode & 0o7777,
            uid: meta.uid,
            gid: meta.gid,
            flags: meta.flags & KEPT_FLAGS & if plain { !0 } else { !PLAIN_ONLY_FLAGS },
            mtime: meta.mtime,
            ..self.inode_of_ours()
        }
    }

    /// Writes an inode with its map, the map's nodes and its attributes.
    fn finish(&mut self, place: &Place, mut inode: Inode, meta: &Meta) -> Result<(), String> {
        let options = &self.layout.options;
        let block_size = options.block_size;
        if inode.flags & EXTENTS_FL != 0 {
            let seed = self.sums.inode_seed(place.inode, 0);
            let built = extent::build(&place.extents, place.nodes(), block_size, seed);
            inode.block = built.root;
            for (at, node) in built.nodes {
                self.put(at, node);
            }
        }
        if !meta.xattrs.is_empty() {
            let tail = inode_tail(options);
            let placed = xattr::place(&meta.xattrs, tail, block_size)?;
            inode.tail = xattr::encode_inode(&placed.inode, tail);
            match place.xattr_block() {
                Some(at) if !placed.block.is_empty() => {
                    let block =
                        xattr::encode_block(&placed.block, block_size, at, self.sums.seed());
                    self.put(at, block);
                    inode.xattr_block = at;
                }
                None if placed.block.is_empty() => {}
                _ => return Err("the layout has another place for its attributes".to_owned()),
            }
        }
        inode.sectors = sectors(place.blocks(), block_size);
        self.put_inode(place.inode, &inode);
        Ok(())
    }
}
