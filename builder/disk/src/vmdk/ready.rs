//! Grains that need not be compressed: clusters of a qcow2 image are DEFLATE streams (RFC 1951), as grains are.
//!
//! A cluster is taken over whole or not at all. One that holds something where the disk has zeros gives its bytes alone.

use crate::error::Error;
use crate::fields::is_zero;
use crate::qcow2::Qcow2;
use std::io;
use std::ops::Range;

/// What a [`Ready`] has of a grain.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AtHand {
    /// Nothing: it must be read and compressed.
    Nothing,
    /// Its bytes, which are to be compressed.
    Content,
    /// Its bytes and their compressed form.
    Stream,
}

/// Grains that need not be compressed, because what the disk is made of has them so; called from many threads.
///
/// What is ready becomes part of the output, so it may depend on the disk alone, and never on what happens to be there.
pub trait Ready: Sync {
    /// Fills `content` with the bytes of the grain at `range` and appends the DEFLATE stream (RFC 1951) that holds exactly
    /// these to `stream`, or does as much of it as it says.
    fn at_hand(
        &self,
        range: Range<u64>,
        content: &mut [u8],
        stream: &mut Vec<u8>,
    ) -> io::Result<AtHand>;
}

/// Answers [`Ready::at_hand`] for a grain that is the cluster numbered `index` of an image, but for `holes`, ranges of its bytes
/// that are zero on the disk.
pub fn of_cluster(
    image: &Qcow2,
    index: u64,
    holes: &[Range<usize>],
    content: &mut [u8],
    stream: &mut Vec<u8>,
) -> Result<AtHand, Error> {
    if !image.deflated(index, stream, content)? {
        return Ok(AtHand::Nothing);
    }
    let mut at_hand = AtHand::Stream;
    for hole in holes {
        let hole = &mut content[hole.clone()];
        if !is_zero(hole) {
            hole.fill(0);
            at_hand = AtHand::Content;
        }
    }
    Ok(at_hand)
}
