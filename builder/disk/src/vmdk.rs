//! VMDK, VMware's virtual disk format, version 5 of its specification.
//!
//! VMware, "Virtual Disk Format 5.0". Reads sparse extents (hosted sparse and streamOptimized) and descriptors that name
//! flat and sparse extents; writes streamOptimized as VirtualBox lays it out. Does not read snapshots (parents) or ESX's own
//! extent kinds.

#![expect(
    clippy::doc_markdown,
    reason = "VMware and VirtualBox are names of products, not of items"
)]

mod descriptor;
mod effort;
mod grains;
mod header;
mod read;
mod ready;
mod write;

pub use effort::Effort;
pub use grains::{Found, GRAIN, GrainCache, GrainKey, fingerprint};
pub use read::{OpenExtent, nothing_else, open, open_with};
pub use ready::Ready;
pub use write::{VmdkOptions, VmdkStats, write_stream};

/// The format's name in errors.
const FORMAT: &str = "VMDK";
/// Bytes of a sector, the unit of every offset in the format.
const SECTOR: u64 = 512;
/// A grain directory's place that means "the footer says".
const AT_END: u64 = u64::MAX;
/// Header flag: a grain table entry of 1 is a grain of zeros.
const FLAG_ZERO_GRAINS: u32 = 1 << 2;
/// Header flag: grains are compressed.
const FLAG_COMPRESSED: u32 = 1 << 16;
/// Header flag: grains and tables are preceded by markers.
const FLAG_MARKERS: u32 = 1 << 17;
