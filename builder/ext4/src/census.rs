//! All directories and files of a tree, numbered in the order of a walk: what layout and writing share.
//!
//! The numbers do not depend on how the tree was built. Nothing is read; nothing recurses.

use crate::error::Error;
use crate::le::{index, short};
use fstree::{Dir, File, FileKind, FileTree, ImgPath, Name, Node};

/// A tree's directories and files.
pub(crate) struct Census<'a> {
    /// Each before those in it; the root first.
    pub(crate) dirs: Vec<DirEntry<'a>>,
    /// By their first names.
    pub(crate) files: Vec<FileEntry<'a>>,
}

/// A directory.
pub(crate) struct DirEntry<'a> {
    pub(crate) dir: &'a Dir,
    pub(crate) parent: usize,
    name: Option<&'a Name>,
    pub(crate) children: Vec<(&'a Name, Child)>,
    pub(crate) subdirs: u32,
}

/// A file.
pub(crate) struct FileEntry<'a> {
    pub(crate) file: &'a File,
    pub(crate) links: u32,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Child {
    /// A directory, by its number.
    Dir(u32),
    /// A file, by its number.
    File(u32),
}

impl<'a> Census<'a> {
    /// Counts a tree.
    pub(crate) fn of(tree: &'a FileTree) -> Self {
        // By the tree's own numbers, which count what has no name too.
        let mut numbers: Vec<Option<u32>> = vec![None; tree.file_count()];
        let mut census = Self {
            dirs: vec![DirEntry::new(tree.root(), 0, None)],
            files: Vec::new(),
        };
        let mut stack = vec![(0, tree.root().entries())];
        while let Some((here, entries)) = stack.last_mut() {
            let here = *here;
            let Some((name, node)) = entries.next() else {
                stack.pop();
                continue;
            };
            let child = match node {
                Node::Dir(dir) => {
                    let number = census.dirs.len();
                    census.dirs.push(DirEntry::new(dir, here, Some(name)));
                    census.dirs[here].subdirs += 1;
                    stack.push((number, dir.entries()));
                    Child::Dir(short(number))
                }
                Node::File(id) => {
                    let number = *numbers[id.index()].get_or_insert_with(|| {
                        census.files.push(FileEntry {
                            file: tree.file(*id),
                            links: 0,
                        });
                        short(census.files.len() - 1)
                    });
                    census.files[index(number)].links += 1;
                    Child::File(number)
                }
            };
            census.dirs[here].children.push((name, child));
        }
        census
    }

    /// Returns a directory's path.
    pub(crate) fn dir_path(&self, mut dir: usize) -> ImgPath {
        let mut names = Vec::new();
        while let Some(name) = self.dirs[dir].name {
            names.push(name);
            dir = self.dirs[dir].parent;
        }
        names
            .iter()
            .rev()
            .fold(ImgPath::root(), |path, name| path.join(name))
    }

    /// Returns the path of a file's first name: of the only one, as a rule.
    pub(crate) fn file_path(&self, file: usize) -> ImgPath {
        let mut named = self.dirs.iter().enumerate().flat_map(|(dir, entry)| {
            let children = entry.children.iter();
            children.map(move |(name, child)| (dir, name, child))
        });
        let found =
            named.find(|(.., child)| matches!(child, Child::File(it) if index(*it) == file));
        found.map_or_else(ImgPath::root, |(dir, name, _)| {
            self.dir_path(dir).join(name)
        })
    }

    /// Returns the error of a file.
    pub(crate) fn file_error(&self, file: usize, what: impl Into<String>) -> Error {
        Error::Tree {
            path: self.file_path(file),
            what: what.into(),
        }
    }

    /// Returns the error of a directory.
    pub(crate) fn dir_error(&self, dir: usize, what: impl Into<String>) -> Error {
        Error::Tree {
            path: self.dir_path(dir),
            what: what.into(),
        }
    }

    /// Returns the number of the directory `/lost+found`, if there is one.
    pub(crate) fn lost_found(&self) -> Option<usize> {
        self.dirs[0]
            .children
            .iter()
            .find_map(|(name, child)| match child {
                Child::Dir(number) if name.as_bytes() == LOST_FOUND => Some(index(*number)),
                _ => None,
            })
    }

    /// Returns whether `/lost+found` is to be made.
    pub(crate) fn lacks_lost_found(&self) -> bool {
        !self.dirs[0]
            .children
            .iter()
            .any(|(name, _)| name.as_bytes() == LOST_FOUND)
    }
}

/// The name of the directory that `e2fsck` puts strays in.
pub(crate) const LOST_FOUND: &[u8] = b"lost+found";

impl<'a> DirEntry<'a> {
    fn new(dir: &'a Dir, parent: usize, name: Option<&'a Name>) -> Self {
        Self {
            dir,
            parent,
            name,
            children: Vec::with_capacity(dir.entries().len()),
            subdirs: 0,
        }
    }
}

impl FileEntry<'_> {
    /// Returns the type's bits of the mode.
    pub(crate) fn kind(&self) -> u16 {
        match self.file.kind {
            FileKind::Regular(_) => crate::inode::S_IFREG,
            FileKind::Symlink(_) => crate::inode::S_IFLNK,
            FileKind::BlockDevice { .. } => crate::inode::S_IFBLK,
            FileKind::CharDevice { .. } => crate::inode::S_IFCHR,
            FileKind::Fifo => crate::inode::S_IFIFO,
            FileKind::Socket => crate::inode::S_IFSOCK,
        }
    }
}
