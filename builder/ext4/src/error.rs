//! What can go wrong, as values that name the thing and the place.

use fstree::ImgPath;
use std::io;

/// Why a volume cannot be read, laid out or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The source failed.
    #[error("reading {what} at byte {at} failed")]
    Io {
        /// What was being read.
        what: &'static str,
        /// Offset in the volume.
        at: u64,
        /// The source's own error.
        source: io::Error,
    },
    /// There is no ext2, ext3 or ext4 superblock.
    #[error("no ext2, ext3 or ext4 file system: {0}")]
    NotExt4(&'static str),
    /// The volume uses something that is known and refused, or unknown.
    #[error("{0} is not supported")]
    Unsupported(String),
    /// The volume contradicts itself.
    #[error("corrupt file system: {place}: {what}")]
    Corrupt {
        /// Where, as "inode 12" or "group 3".
        place: String,
        /// What is wrong there.
        what: String,
    },
    /// The tree holds something that this file system cannot.
    #[error("{path}: {what}")]
    Tree {
        /// Which file.
        path: ImgPath,
        /// What about it.
        what: String,
    },
    /// The options contradict each other.
    #[error("impossible file system: {0}")]
    Options(String),
    /// The tree does not fit.
    #[error(
        "the tree does not fit: {blocks} blocks of {block_size} bytes and {inodes} inodes are missing"
    )]
    NoSpace {
        /// Blocks that are missing.
        blocks: u64,
        /// Bytes in a block.
        block_size: u32,
        /// Inodes that are missing.
        inodes: u64,
    },
    /// A layout was given a tree that it was not made for.
    #[error("the layout was made for another tree: {0}")]
    Mismatch(String),
}

impl Error {
    /// Returns a [`Error::Corrupt`].
    pub(crate) fn corrupt(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Corrupt {
            place: place.into(),
            what: what.into(),
        }
    }

    /// Returns a [`Error::Corrupt`] of an inode.
    pub(crate) fn inode(ino: u32, what: impl Into<String>) -> Self {
        Self::corrupt(format!("inode {ino}"), what)
    }
}
