//! What can go wrong, each with the module or the file.

use std::io;

/// Why no index can be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The loader failed.
    #[error("cannot read module {path}")]
    Load {
        /// The module, relative to its kernel's folder.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A compressed module does not unpack.
    #[error("cannot unpack module {path}")]
    Unpack {
        /// The module.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A file is not the module it is named as.
    #[error("{path} is no kernel module: {why}")]
    NotAModule {
        /// The module.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Modules need each other in a circle.
    #[error("modules need each other in a circle: {}", .names.join(", "))]
    Cycle {
        /// The modules that are part of circles or below them.
        names: Vec<String>,
    },
    /// An index that is to be extended cannot be understood.
    #[error("{file} line {line}: {why}")]
    BadIndex {
        /// The index file.
        file: &'static str,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// An index cannot be extended; it has to be made afresh.
    #[error("the module index cannot be extended by {path}: {why}")]
    NotAnExtension {
        /// The new module.
        path: String,
        /// What is in the way.
        why: String,
    },
}
