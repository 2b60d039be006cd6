//! Reads ext2, ext3 and ext4 into a tree, and writes a tree as a fresh ext4.
//!
//! Three steps, each a value: [`layout`] decides from sizes where everything goes, [`write()`] makes the volume of it, whose
//! files are still only places in their sources. Nothing is ever changed in place: a volume is read, its tree edited, and
//! another volume made, so that the same tree gives the same bytes whatever it came from.
//!
//! Follows the kernel's documentation, "ext4 Data Structures and Algorithms". Knows no partition and no package.

mod acl;
mod census;
mod checksum;
mod dir;
mod error;
mod extent;
mod facts;
mod features;
mod few;
mod geometry;
mod group;
mod hash;
mod inode;
mod journal;
mod layout;
mod le;
mod options;
mod read;
mod superblock;
mod write;
mod xattr;

pub use error::Error;
pub use facts::Facts;
pub use features::{Feature, Features};
pub use hash::{CharSign, HashAlgorithm, NameHash};
pub use layout::{Layout, layout, minimum_size};
pub use options::Options;
pub use read::{read, read_with};
pub use write::write;
