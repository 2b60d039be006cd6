//! qcow2, QEMU's copy-on-write disk format, versions 2 and 3.
//!
//! QEMU, docs/interop/qcow2. Reads the active layer; refuses what would need another file or a key (backing files,
//! external data, encryption). Writes compressed images. Snapshots and bitmaps are ignored in and never written.

mod header;
mod read;
mod streams;
mod write;

pub use read::{Qcow2, open};
pub use streams::{Streams, survey};
pub use write::{Qcow2Compression, Qcow2Options, Qcow2Stats, write};

/// The format's name in errors.
const FORMAT: &str = "qcow2";
