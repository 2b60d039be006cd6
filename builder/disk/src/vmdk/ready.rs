//! Grains that need not be compressed: clusters of a qcow2 image are DEFLATE streams (RFC 1951), as grains are.
//!
//! A stream is taken over whole or not at all. Where it comes from is the caller's affair.

use std::io;
use std::ops::Range;

/// Grains that need not be compressed, because what the disk is made of has them so; called from many threads.
///
/// What is ready becomes part of the output, so it may depend on the disk alone, and never on what happens to be there.
pub trait Ready: Sync {
    /// Appends the DEFLATE stream (RFC 1951) that holds exactly the bytes of the grain at `range` to `stream`, and returns their
    /// Adler-32 (RFC 1950). Appends nothing and returns `None` if there is no such stream, or if all bytes are zero.
    fn stream(&self, range: Range<u64>, stream: &mut Vec<u8>) -> io::Result<Option<u32>>;
}
