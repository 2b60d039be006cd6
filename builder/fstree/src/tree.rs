//! The files of one volume as a value: what `ext4::read` and `fat::read` return and their writers take.
//!
//! Directories own their entries; other files stand in a table, so that two names with one [`FileId`] are hard links.
//! Names are kept in byte order, so every walk is the same walk.

use crate::content::Content;
use crate::path::{ImgPath, Name};
use std::collections::BTreeMap;

/// The files of one volume.
#[derive(Clone, Debug)]
pub struct FileTree {
    pub(crate) root: Dir,
    pub(crate) files: Vec<File>,
}

/// Index of a file in its [`FileTree`]; two names with one id are hard links.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FileId(u32);

/// A directory.
#[derive(Clone, Debug, Default)]
pub struct Dir {
    /// Owner, mode, time.
    pub meta: Meta,
    pub(crate) entries: BTreeMap<Name, Node>,
}

/// A directory's entry.
#[derive(Clone, Debug)]
pub enum Node {
    /// A directory.
    Dir(Box<Dir>),
    /// Anything else.
    File(FileId),
}

/// Anything that is not a directory.
#[derive(Clone, Debug)]
pub struct File {
    /// Owner, mode, time.
    pub meta: Meta,
    /// What it holds.
    pub kind: FileKind,
}

/// What a file holds.
#[derive(Clone, Debug)]
pub enum FileKind {
    /// A regular file.
    Regular(Content),
    /// A symbolic link and its target.
    Symlink(Vec<u8>),
    /// A block device node.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A character device node.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// Owner, mode, time, extended attributes, and the layer that put the file there.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Meta {
    /// Permission bits with set-id and sticky bits, without the type: at most `0o7777`.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of last change of the content.
    pub mtime: Timestamp,
    /// Extended attributes by full name, such as `security.capability`; ACLs in the form of `getxattr`.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// File flags as `chattr` sets them, in the bits of `FS_IOC_GETFLAGS`; those of the on-disk layout are never here.
    pub flags: u32,
    /// Who put the file here. Writers lay files out layer by layer.
    pub layer: Layer,
}

/// A layer of the image: 0 is the base, what is laid over it counts up.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Layer(pub u16);

/// A time, in seconds and nanoseconds since 1970.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub secs: i64,
    /// Nanoseconds, below 1,000,000,000.
    pub nanos: u32,
}

impl Timestamp {
    /// Returns a time of whole seconds.
    pub fn from_secs(secs: i64) -> Self {
        Self { secs, nanos: 0 }
    }
}

impl Meta {
    /// Returns the metadata of a file of root's.
    pub fn root_owned(mode: u16, mtime: Timestamp, layer: Layer) -> Self {
        Self {
            mode,
            mtime,
            layer,
            ..Self::default()
        }
    }
}

impl FileTree {
    /// Returns a tree with nothing but its root.
    pub fn new(root: Meta) -> Self {
        Self {
            root: Dir {
                meta: root,
                entries: BTreeMap::new(),
            },
            files: Vec::new(),
        }
    }

    /// Returns the root.
    pub fn root(&self) -> &Dir {
        &self.root
    }

    /// Returns the root, to be filled by a reader.
    pub fn root_mut(&mut self) -> &mut Dir {
        &mut self.root
    }

    /// Returns a file. Panics on an id of another tree.
    pub fn file(&self, id: FileId) -> &File {
        &self.files[id.index()]
    }

    /// Returns a file, to be changed under all its names. Panics on an id of another tree.
    pub fn file_mut(&mut self, id: FileId) -> &mut File {
        &mut self.files[id.index()]
    }

    /// Adds a file that has no name yet; one that never gets a name is never written.
    pub fn add(&mut self, file: File) -> FileId {
        let id = FileId(u32::try_from(self.files.len()).expect("no volume has 2^32 files"));
        self.files.push(file);
        id
    }

    /// Returns how many files were added, with a name or without.
    pub fn file_count(&self) -> usize {
        self.files.len()
    }

    /// Walks all entries but the root itself, each directory before what is in it, names in byte order.
    pub fn walk(&self) -> Walk<'_> {
        Walk {
            stack: vec![(ImgPath::root(), self.root.entries.iter())],
        }
    }

    /// Returns how many names each file has.
    pub fn links(&self) -> BTreeMap<FileId, u32> {
        let mut links = BTreeMap::new();
        for (_, node) in self.walk() {
            if let Node::File(id) = node {
                *links.entry(*id).or_insert(0) += 1;
            }
        }
        links
    }
}

impl FileId {
    /// Returns its place among the files of its tree, below [`FileTree::file_count`].
    pub fn index(self) -> usize {
        usize::try_from(self.0).expect("u32 fits in usize")
    }
}

impl Dir {
    /// Returns an empty directory.
    pub fn new(meta: Meta) -> Self {
        Self {
            meta,
            entries: BTreeMap::new(),
        }
    }

    /// Iterates in name order.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (&Name, &Node)> {
        self.entries.iter()
    }

    /// Returns the entry of that name.
    pub fn get(&self, name: &Name) -> Option<&Node> {
        self.entries.get(name)
    }

    /// Returns the entry of that name, to be changed.
    pub fn get_mut(&mut self, name: &Name) -> Option<&mut Node> {
        self.entries.get_mut(name)
    }

    /// Sets an entry and returns the one it replaces.
    pub fn insert(&mut self, name: Name, node: Node) -> Option<Node> {
        self.entries.insert(name, node)
    }

    /// Takes an entry out.
    pub fn remove(&mut self, name: &Name) -> Option<Node> {
        self.entries.remove(name)
    }
}

/// Iterator of [`FileTree::walk`].
#[derive(Debug)]
pub struct Walk<'a> {
    stack: Vec<(ImgPath, std::collections::btree_map::Iter<'a, Name, Node>)>,
}

impl<'a> Iterator for Walk<'a> {
    type Item = (ImgPath, &'a Node);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (dir, entries) = self.stack.last_mut()?;
            if let Some((name, node)) = entries.next() {
                let path = dir.join(name);
                if let Node::Dir(dir) = node {
                    self.stack.push((path.clone(), dir.entries.iter()));
                }
                return Some((path, node));
            }
            self.stack.pop();
        }
    }
}
