//! Reads FAT12, FAT16 and FAT32 volumes into a [`fstree::FileTree`] and writes such a tree as a fresh volume.
//!
//! Implements Microsoft's "FAT: General Overview of On-Disk Format" 1.03 with long names. [`read`] takes a volume apart
//! into a tree and [`Facts`]; [`layout`] decides every cluster from sizes alone; [`write()`] puts metadata and file content
//! side by side. A volume is never patched: it is read, the tree is edited, and a new volume is laid out without gaps.
//!
//! What has no place in a [`fstree::Meta`] goes where it can do no harm: read-only is a mode without write bits; hidden,
//! system and a missing archive bit are the extended attribute [`ATTRIBUTES`], in the text form that Samba uses. Times are
//! taken as UTC. Names are UTF-8; short names are made afresh. exFAT is another format and not read.

mod boot;
mod error;
mod geometry;
mod layout;
mod name;
mod options;
mod read;
mod time;
mod write;

pub use boot::{Facts, Label};
pub use error::Error;
pub use geometry::Kind;
pub use layout::{Layout, layout};
pub use options::Options;
pub use read::read;
pub use write::write;

/// Name of the extended attribute that holds DOS attributes other than the usual ones, as `0x` and hex digits.
///
/// Usual is archive (`0x20`) for a file and none for a directory. Read-only (`0x01`) is always in the mode instead.
pub const ATTRIBUTES: &[u8] = b"user.DOSATTRIB";
