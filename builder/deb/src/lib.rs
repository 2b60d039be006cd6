//! Debian packages as data: versions, relations, indexes, archives, dpkg's database.
//!
//! From the bottom up: [`Version`], [`Paragraph`] and [`Relations`] are the words of Debian Policy; [`Release`] and
//! [`Index`] are what a repository publishes; [`solve`](solve::solve) turns a wish into packages; [`Archive`] reads a
//! `.deb`; and [`Dpkg`] unpacks and configures packages in a [`FileTree`](fstree::FileTree) as dpkg would on the
//! machine itself.
//!
//! Runs no maintainer script, reads no file of the host and asks no clock. Signatures are checked before anything comes
//! here.

mod archive;
mod control;
mod decode;
mod dpkg;
mod error;
mod index;
mod name;
mod relation;
mod release;
pub mod solve;
mod tar;
mod version;

pub use archive::{Archive, ControlFile, ControlFiles, Package};
pub use control::{Field, Paragraph, Paragraphs};
pub use decode::Compression;
pub use dpkg::{Dpkg, Outcome, PathFilters, Pending, Script, Stamp, Unpacked};
pub use error::Error;
pub use index::{Index, IndexEntry};
pub use name::{Arch, Digest, PackageId, PackageName};
pub use relation::{Alternative, ArchQualifier, Constraint, Operator, Relation, Relations};
pub use release::{Release, ReleaseEntry};
pub use tar::{Entry, EntryKind, Owner};
pub use version::Version;
