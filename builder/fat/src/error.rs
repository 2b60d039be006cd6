//! What can go wrong, each with the place.

use crate::geometry::Kind;
use fstree::ImgPath;
use std::io;

/// Why a volume cannot be read or a tree cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Reading the volume failed.
    #[error("cannot read {what} of the FAT volume")]
    Io {
        /// Which part.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// The first sector describes no FAT volume, or one that does not fit where it stands.
    #[error("not a FAT volume: {why}")]
    NotFat {
        /// What is wrong with it.
        why: String,
    },
    /// The volume contradicts itself.
    #[error("corrupt FAT volume: {path}: {why}")]
    Corrupt {
        /// The directory or file.
        path: ImgPath,
        /// The contradiction.
        why: String,
    },
    /// A name is longer than a tree can hold: 255 units of UTF-16 may be three times as many bytes of UTF-8.
    #[error("{path}: its long name takes {len} bytes of UTF-8, and Linux allows 255: shorten it")]
    LongName {
        /// The file, by its short name.
        path: ImgPath,
        /// Bytes of the long one.
        len: usize,
    },
    /// The tree holds something that FAT cannot.
    #[error("{path} cannot be put on a FAT volume: {why}")]
    Unrepresentable {
        /// The entry.
        path: ImgPath,
        /// What FAT does not allow.
        why: String,
    },
    /// No volume of that kind and size can be made.
    #[error("cannot make a {kind} volume of {size} bytes: {why}")]
    BadShape {
        /// The kind wanted.
        kind: Kind,
        /// The size wanted, in bytes.
        size: u64,
        /// What is in the way.
        why: String,
    },
    /// The volume is too small for the tree.
    #[error(
        "the tree needs {needed} clusters of {cluster_bytes} bytes and the volume has {available}"
    )]
    Full {
        /// Clusters the tree takes.
        needed: u64,
        /// Clusters the volume has.
        available: u64,
        /// Bytes a cluster.
        cluster_bytes: u64,
    },
    /// The fixed root directory of FAT12 or FAT16 is too small.
    #[error(
        "the root directory needs {needed} entries of 32 bytes and the volume has room for {available}"
    )]
    RootFull {
        /// Entries of 32 bytes the root takes, long names and label included.
        needed: u64,
        /// Entries there are.
        available: u64,
    },
    /// Bytes are no volume label.
    #[error("{label:?} is no FAT volume label: {why}")]
    BadLabel {
        /// The text.
        label: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The tree handed to `write` is not the one that was laid out.
    #[error("the tree changed after it was laid out: {path}")]
    OtherTree {
        /// The first entry that differs.
        path: ImgPath,
    },
}

impl Error {
    pub(crate) fn corrupt(path: &ImgPath, why: impl Into<String>) -> Self {
        Self::Corrupt {
            path: path.clone(),
            why: why.into(),
        }
    }

    pub(crate) fn unrepresentable(path: &ImgPath, why: impl Into<String>) -> Self {
        Self::Unrepresentable {
            path: path.clone(),
            why: why.into(),
        }
    }

    pub(crate) fn not_fat(why: impl Into<String>) -> Self {
        Self::NotFat { why: why.into() }
    }
}
