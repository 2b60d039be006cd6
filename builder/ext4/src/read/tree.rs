//! Puts inodes and what they hold together into a tree.

use super::contents::{Holding, inline};
use super::volume::{Inodes, Volume};
use crate::error::Error;
use crate::extent::Extent;
use crate::geometry::ROOT_INODE;
use crate::inode::{
    EA_INODE_FL, INLINE_DATA_FL, Inode, KEPT_FLAGS, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK,
    S_IFREG, S_IFSOCK,
};
use fstree::{
    Content, Dir, File, FileId, FileKind, FileTree, Layer, MAX_PATH, Meta, Name, Node, Run,
};

/// Directories in one another: Linux cannot even name more than 2,048, and trees are dropped recursively.
const MAX_DEPTH: u32 = 500;

/// A directory that was reached: its place among inodes, the number of its parent, its name there, its depth and the bytes
/// of its path.
struct Reached {
    n: usize,
    parent: usize,
    name: Option<Name>,
    depth: u32,
    path: usize,
    dir: Dir,
}

/// Returns the tree below the root directory.
pub(super) fn assemble(
    volume: &Volume,
    inodes: &Inodes,
    maps: &[Vec<Extent>],
    mut holdings: Vec<Holding>,
) -> Result<FileTree, Error> {
    let root = inodes
        .find(ROOT_INODE)
        .filter(|it| inodes.0[*it].1.kind() == S_IFDIR);
    let root = root.ok_or_else(|| Error::inode(ROOT_INODE, "there is no root directory"))?;
    let mut tree = FileTree::new(Meta::default());
    let mut ids: Vec<Option<FileId>> = vec![None; inodes.0.len()];
    let mut seen = vec![false; inodes.0.len()];
    seen[root] = true;
    let meta = meta_of(&inodes.0[root].1, &mut holdings[root]);
    let mut reached = vec![Reached {
        n: root,
        parent: 0,
        name: None,
        depth: 0,
        path: 0,
        dir: Dir::new(meta),
    }];
    let mut next = 0;
    // Breadth first: every directory stands after its parent.
    while next < reached.len() {
        let Reached { n, depth, path, .. } = reached[next];
        let here = inodes.0[n].0;
        let mut entries = std::mem::take(&mut holdings[n].entries);
        entries.sort_unstable_by(|a, b| a.1.cmp(&b.1));
        for (ino, name) in entries {
            let bad = |what: &str| Error::inode(here, format!("its entry {name} {what}"));
            let child = inodes
                .find(ino)
                .ok_or_else(|| bad("is of an unused inode"))?;
            let inode = &inodes.0[child].1;
            if inode.kind() == S_IFDIR {
                if std::mem::replace(&mut seen[child], true) {
                    return Err(bad("is a second one of a directory"));
                }
                if depth == MAX_DEPTH {
                    return Err(Error::Unsupported(format!(
                        "more than {MAX_DEPTH} directories in one another"
                    )));
                }
                let path = path + 1 + name.as_bytes().len();
                if path > MAX_PATH {
                    return Err(Error::Unsupported(format!(
                        "a directory whose path is longer than {MAX_PATH} bytes"
                    )));
                }
                let dir = Dir::new(meta_of(inode, &mut holdings[child]));
                reached.push(Reached {
                    n: child,
                    parent: next,
                    name: Some(name),
                    depth: depth + 1,
                    path,
                    dir,
                });
                continue;
            }
            let id = if let Some(id) = ids[child] {
                id
            } else {
                let holding = &mut holdings[child];
                let kind = kind_of(volume, (ino, inode), &maps[child], holding)?;
                let meta = meta_of(inode, holding);
                tree.add(File { meta, kind })
            };
            ids[child] = Some(id);
            if reached[next].dir.get(&name).is_some() {
                return Err(bad("is there twice"));
            }
            reached[next].dir.insert(name, Node::File(id));
        }
        next += 1;
    }
    while let Some(Reached {
        parent, name, dir, ..
    }) = reached.pop()
    {
        let Some(name) = name else {
            *tree.root_mut() = dir;
            break;
        };
        let above = &mut reached[parent];
        let twice = format!("its entry {name} is there twice");
        if above.dir.insert(name, Node::Dir(Box::new(dir))).is_some() {
            return Err(Error::inode(inodes.0[above.n].0, twice));
        }
    }
    Ok(tree)
}

fn meta_of(inode: &Inode, holding: &mut Holding) -> Meta {
    Meta {
        mode: inode.mode & 0o7777,
        uid: inode.uid,
        gid: inode.gid,
        mtime: inode.mtime,
        xattrs: std::mem::take(&mut holding.xattrs),
        flags: inode.flags & KEPT_FLAGS,
        layer: Layer(0),
    }
}

fn kind_of(
    volume: &Volume,
    (ino, inode): (u32, &Inode),
    map: &[Extent],
    holding: &mut Holding,
) -> Result<FileKind, Error> {
    if inode.flags & EA_INODE_FL != 0 && inode.kind() == S_IFREG {
        return Err(Error::inode(ino, "it holds an attribute and has a name"));
    }
    let (major, minor) = inode.device();
    Ok(match inode.kind() {
        S_IFREG if inode.flags & INLINE_DATA_FL != 0 => {
            FileKind::Regular(Content::inline(inline(ino, inode)?))
        }
        S_IFREG => FileKind::Regular(mapped(volume, inode.size, map)),
        S_IFLNK => {
            let target = std::mem::take(&mut holding.target);
            if target.is_empty() || target.contains(&0) {
                return Err(Error::inode(ino, "a link to nothing"));
            }
            FileKind::Symlink(target)
        }
        S_IFCHR => FileKind::CharDevice { major, minor },
        S_IFBLK => FileKind::BlockDevice { major, minor },
        S_IFIFO => FileKind::Fifo,
        S_IFSOCK => FileKind::Socket,
        other => return Err(Error::inode(ino, format!("its type is {other:o}"))),
    })
}

/// Returns the content of `len` bytes that a map says.
pub(super) fn mapped(volume: &Volume, len: u64, map: &[Extent]) -> Content {
    let block = volume.geometry.block();
    let mut runs: Vec<Run> = Vec::with_capacity(map.len());
    for it in map {
        let at = u64::from(it.logical) * block;
        let Some(rest) = len.checked_sub(at).filter(|it| *it > 0) else {
            break;
        };
        runs.push(Run {
            at,
            from: it.physical * block,
            len: (u64::from(it.len) * block).min(rest),
        });
    }
    Content::extents(volume.source.clone(), runs, len)
}
