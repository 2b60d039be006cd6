//! What inodes hold besides data: names in directories, attributes, targets of links.

use super::volume::{Inodes, Volume};
use crate::dir;
use crate::error::Error;
use crate::extent::Extent;
use crate::inode::{
    CASEFOLD_FL, COMPRBLK_FL, EA_INODE_FL, ENCRYPT_FL, INDEX_FL, INLINE_DATA_FL, Inode, S_IFDIR,
    S_IFLNK, VERITY_FL,
};
use crate::le::{index, long};
use crate::xattr;
use fstree::Name;
use std::collections::BTreeMap;

/// Bytes of the longest value of an attribute.
const MAX_VALUE: u32 = 64 << 10;

/// What an inode holds besides data.
#[derive(Default)]
pub(super) struct Holding {
    /// A directory's names and inodes.
    pub(super) entries: Vec<(u32, Name)>,
    /// Attributes in the form of `getxattr`.
    pub(super) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// A link's target.
    pub(super) target: Vec<u8>,
}

/// Why a block is read.
enum Want {
    Dir,
    Attributes,
    Target,
}

/// A value that another inode holds: whose, its name, the other inode, its length.
type Elsewhere = (usize, Vec<u8>, u32, u32);

impl Volume {
    /// Reads what each inode holds besides data.
    pub(super) fn contents(
        &mut self,
        inodes: &Inodes,
        maps: &[Vec<Extent>],
    ) -> Result<Vec<Holding>, Error> {
        let mut holdings: Vec<Holding> = Vec::with_capacity(inodes.0.len());
        holdings.resize_with(inodes.0.len(), Holding::default);
        let mut elsewhere = Vec::new();
        let mut wants = Vec::new();
        for (n, (ino, inode)) in inodes.0.iter().enumerate() {
            refuse_flags(*ino, inode)?;
            let found = xattr::parse_inode(&inode.tail).map_err(|it| Error::inode(*ino, it))?;
            attributes(&mut holdings[n], (n, *ino), found, &mut elsewhere)?;
            if inode.xattr_block != 0 {
                let block = self.check(inode.xattr_block, 1, || format!("inode {ino}"))?;
                wants.push((block, (n, Want::Attributes)));
            }
            match inode.kind() {
                S_IFDIR if inode.flags & INLINE_DATA_FL != 0 => {
                    inline_dir(&mut holdings[n], *ino, inode)?;
                }
                S_IFDIR => {
                    let blocks = self.dir_blocks(*ino, inode, &maps[n])?;
                    wants.extend(blocks.map(|it| (it, (n, Want::Dir))));
                }
                S_IFLNK => match maps[n].first() {
                    Some(run) => wants.push((run.physical, (n, Want::Target))),
                    None => holdings[n].target = short_target(*ino, inode)?,
                },
                _ => {}
            }
        }
        self.each_block(wants, |volume, block, (n, want), bytes| {
            let (ino, inode) = &inodes.0[n];
            let holding = &mut holdings[n];
            match want {
                Want::Attributes => {
                    let found = xattr::parse_block(bytes, block, volume.sums.seed());
                    let found = found.map_err(|it| Error::inode(*ino, it))?;
                    attributes(holding, (n, *ino), found, &mut elsewhere)
                }
                Want::Target => {
                    let target = bytes.get(..index(inode.size));
                    let target =
                        target.ok_or_else(|| Error::inode(*ino, "a link longer than a block"))?;
                    holding.target = target.to_vec();
                    Ok(())
                }
                Want::Dir => {
                    let seed = volume.sums.inode_seed(*ino, inode.generation);
                    if seed.is_some_and(|it| !dir::verify(bytes, inode.flags & INDEX_FL != 0, it)) {
                        return Err(Error::inode(*ino, "a directory block's checksum is wrong"));
                    }
                    entries(holding, *ino, bytes)
                }
            }
        })?;
        for (n, name, ino, len) in elsewhere {
            let value = self.value((ino, len), inodes, maps)?;
            let value = xattr::value(&name, value).map_err(|it| Error::inode(ino, it))?;
            holdings[n].xattrs.insert(name, value);
        }
        Ok(holdings)
    }

    /// Returns the blocks of a directory, all of which there must be.
    fn dir_blocks(
        &mut self,
        ino: u32,
        inode: &Inode,
        map: &[Extent],
    ) -> Result<impl Iterator<Item = u64> + use<>, Error> {
        let block = self.geometry.block();
        let mapped: u64 = map.iter().map(|it| u64::from(it.len)).sum();
        let last = map
            .last()
            .map_or(0, |it| u64::from(it.logical) + u64::from(it.len));
        if !inode.size.is_multiple_of(block)
            || mapped != last
            || mapped < inode.size / block
            || mapped > self.geometry.blocks
        {
            let what = format!(
                "a directory of {} bytes in {mapped} blocks up to {last}",
                inode.size
            );
            return Err(Error::inode(ino, what));
        }
        self.spend(inode.size / block)?;
        let runs: Vec<_> = map
            .iter()
            .map(|it| it.physical..it.physical + u64::from(it.len))
            .collect();
        Ok(runs.into_iter().flatten().take(index(inode.size / block)))
    }

    /// Reads an attribute's value out of the inode that holds it.
    fn value(
        &mut self,
        (ino, len): (u32, u32),
        inodes: &Inodes,
        maps: &[Vec<Extent>],
    ) -> Result<Vec<u8>, Error> {
        let bad = || Error::inode(ino, "it does not hold the attribute's value that it should");
        let n = inodes.find(ino).ok_or_else(bad)?;
        let inode = &inodes.0[n].1;
        if inode.flags & EA_INODE_FL == 0 || inode.size != u64::from(len) || len > MAX_VALUE {
            return Err(bad());
        }
        self.spend(xattr::blocks_of(len, self.geometry.block_size).max(1))?;
        let content = super::tree::mapped(self, inode.size, &maps[n]);
        let failed = |source| Error::Io {
            what: "an attribute's value",
            at: 0,
            source,
        };
        content.read_all(u64::from(MAX_VALUE)).map_err(failed)
    }
}

fn refuse_flags(ino: u32, inode: &Inode) -> Result<(), Error> {
    let plain = matches!(inode.kind(), S_IFDIR | S_IFLNK | crate::inode::S_IFREG);
    for (flag, what) in [
        (ENCRYPT_FL, "encrypt"),
        (CASEFOLD_FL, "casefold"),
        (COMPRBLK_FL, "compression"),
        (VERITY_FL, "verity"),
    ] {
        if plain && inode.flags & flag != 0 {
            return Err(Error::Unsupported(format!(
                "{what}, which inode {ino} uses,"
            )));
        }
    }
    Ok(())
}

fn attributes(
    holding: &mut Holding,
    (n, ino): (usize, u32),
    found: Vec<xattr::Found<'_>>,
    elsewhere: &mut Vec<Elsewhere>,
) -> Result<(), Error> {
    for it in found {
        if let Some((holder, len)) = it.inode {
            elsewhere.push((n, it.name, holder, len));
        } else {
            let value =
                xattr::value(&it.name, it.value.to_vec()).map_err(|it| Error::inode(ino, it))?;
            holding.xattrs.insert(it.name, value);
        }
    }
    Ok(())
}

fn entries(holding: &mut Holding, ino: u32, bytes: &[u8]) -> Result<(), Error> {
    dir::parse(bytes, |child, name| {
        if matches!(name, b"." | b"..") {
            return Ok(());
        }
        let name = Name::new(name).map_err(|it| it.to_string())?;
        holding.entries.push((child, name));
        Ok(())
    })
    .map_err(|it: String| Error::inode(ino, it))
}

/// Takes the names of a directory in its inode: after the parent's number, and in an attribute.
fn inline_dir(holding: &mut Holding, ino: u32, inode: &Inode) -> Result<(), Error> {
    let more = xattr::inline_data(&inode.tail).map_err(|it| Error::inode(ino, it))?;
    let size = index(inode.size);
    entries(
        holding,
        ino,
        &inode.block[4.min(size)..inode.block.len().min(size.max(4))],
    )?;
    let more_len = size.saturating_sub(inode.block.len()).min(more.len());
    entries(holding, ino, &more[..more_len])
}

fn short_target(ino: u32, inode: &Inode) -> Result<Vec<u8>, Error> {
    if inode.flags & INLINE_DATA_FL != 0 {
        return inline(ino, inode);
    }
    let target = inode.block.get(..index(inode.size));
    Ok(target
        .ok_or_else(|| Error::inode(ino, "a link without a target"))?
        .to_vec())
}

/// Returns the data in an inode itself.
pub(super) fn inline(ino: u32, inode: &Inode) -> Result<Vec<u8>, Error> {
    let more = xattr::inline_data(&inode.tail).map_err(|it| Error::inode(ino, it))?;
    let mut bytes = [&inode.block, more].concat();
    if inode.size > long(bytes.len()) {
        return Err(Error::inode(
            ino,
            format!("{} bytes of data in an inode", inode.size),
        ));
    }
    bytes.truncate(index(inode.size));
    Ok(bytes)
}
