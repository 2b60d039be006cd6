//! xz files as what they are: streams of independent blocks with an index.
//!
//! The .xz file format 1.2. The container is read and written here, so that blocks can be decoded and encoded in parallel;
//! filters and checks are liblzma's work.

mod container;
mod decode;
mod encode;

pub(crate) use container::{
    CHECK_CRC32, Record, index, stream_footer, stream_header, unpadded_size,
};
pub(super) use decode::decode;
pub(crate) use encode::BlockEncoder;

/// The format's name in errors.
const FORMAT: &str = "xz";
