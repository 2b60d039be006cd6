//! A file tree as a plain value, and the traits through which bytes enter and leave.
//!
//! Everything nodeimg makes passes through here: a base image's file system is read into a [`FileTree`], edited as a
//! value, and laid out afresh. File content is never held: a [`Content`] says where bytes are in a [`ReadAt`], and a
//! [`Mosaic`] puts such places side by side into a larger thing that is itself a [`ReadAt`] — a volume, then a disk.
//!
//! Knows no file system, no partition and no package; opens no file of the host.

mod bytes;
mod content;
mod dump;
mod edit;
mod mosaic;
mod origin;
mod path;
mod tree;

pub use bytes::{ReadAt, Window, WriteAt, Zeros};
pub use content::{Content, Extents, Run};
pub use dump::dump;
pub use edit::{EditError, MAX_PATH};
pub use mosaic::{Mosaic, MosaicBuilder, Overlap};
pub use origin::{Named, Origin, SourceName};
pub use path::{BadPath, ImgPath, Name};
pub use tree::{Dir, File, FileId, FileKind, FileTree, Layer, Meta, Node, Timestamp, Walk};
