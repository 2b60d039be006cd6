//! Partition tables, disk containers in and out: GPT, MBR, qcow2, VMDK, compressed raw.
//!
//! [`table`] reads a partition table into a value that can be edited and rendered. [`qcow2`] and [`vmdk`] open a container
//! as the disk inside it; [`compressed`] decodes what has to be decoded whole, and [`sniff`] says which is which.
//! [`raw`], [`vmdk`], [`qcow2`] and [`compress`] write a disk out, in parallel and with the same bytes for any number of
//! jobs. A disk is whatever answers [`fstree::ReadAt`]; its holes cost nothing.
//!
//! Knows no file system, hashes nothing, and opens no file of the host.

mod append;
mod chunks;
mod clusters;
pub mod compress;
pub mod compressed;
mod error;
mod fields;
mod ordered;
pub mod qcow2;
pub mod raw;
mod sniff;
mod spare;
pub mod table;
pub mod vmdk;

pub use append::Append;
pub use error::Error;
pub use sniff::{Format, open, open_with, sniff};
