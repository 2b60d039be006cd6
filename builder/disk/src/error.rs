//! What can go wrong: one type for tables and containers.
//!
//! Wraps no error of the caller's world but [`io::Error`], and never prints a source: the caller walks the chain.

use std::io;

/// Why a disk could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes break the format's rules.
    #[error("{format}: {what} (at byte {at})")]
    Corrupt {
        /// The format that was being read, as people name it.
        format: &'static str,
        /// What is wrong.
        what: String,
        /// Where it stands in the source.
        at: u64,
    },
    /// The bytes are well formed, but ask for something that is not done here.
    #[error("{format}: {what} is not supported")]
    Unsupported {
        /// The format that was being read or written.
        format: &'static str,
        /// The feature's own name.
        what: String,
    },
    /// The source only tells of the disk, whose content is in other files.
    #[error("{format}: its data is in another file, {name:?}, which is not here")]
    Elsewhere {
        /// The format that was being read.
        format: &'static str,
        /// The file's name, as the source has it.
        name: String,
    },
    /// A partition does not fit where it is said to be.
    #[error("partition {number}: {what}")]
    Partition {
        /// The partition's number.
        number: u32,
        /// What is wrong with it.
        what: String,
    },
    /// A disk does not carry the partition asked for.
    #[error("there is no partition {0}")]
    NoPartition(u32),
    /// The decoded size passes the caller's limit.
    #[error("{format}: the content is larger than the limit of {limit} bytes")]
    TooLarge {
        /// The format that was being decoded.
        format: &'static str,
        /// The caller's limit in bytes.
        limit: u64,
    },
    /// Reading or writing failed underneath.
    #[error("{doing}")]
    Io {
        /// What was being done.
        doing: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl Error {
    /// Returns the error of bytes that break `format`'s rules.
    pub(crate) fn corrupt(format: &'static str, what: impl Into<String>, at: u64) -> Self {
        Self::Corrupt {
            format,
            what: what.into(),
            at,
        }
    }

    /// Returns the error of a feature that is not done.
    pub(crate) fn unsupported(format: &'static str, what: impl Into<String>) -> Self {
        Self::Unsupported {
            format,
            what: what.into(),
        }
    }

    /// Returns a function that names what was being done when the input or output failed.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Io { source, .. } if source.kind() == io::ErrorKind::UnexpectedEof => {
                Self::new(io::ErrorKind::UnexpectedEof, source)
            }
            other => Self::new(io::ErrorKind::InvalidData, other),
        }
    }
}
