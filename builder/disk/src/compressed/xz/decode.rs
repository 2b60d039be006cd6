//! Decoding an .xz file block by block, several at once.
//!
//! Each block is given to liblzma as a stream of its own, made of the block and an index with its one record: so all
//! filters are understood and every size and check is verified by it. The index says where the block's bytes belong.

use super::FORMAT;
use super::container::{Block, blocks, index, stream_footer, stream_header};
use crate::compressed::write_sparse;
use crate::error::Error;
use crate::ordered;
use fstree::{ReadAt, WriteAt};
use liblzma::stream::{Action, Status, Stream};
use std::num::NonZeroUsize;

/// Memory one block's decoder may take: xz's strongest preset needs 65 MiB.
const MEMORY_LIMIT: u64 = 96 << 20;
const INPUT_BYTES: usize = 128 << 10;
const OUTPUT_BYTES: usize = 1 << 20;

/// Decodes `source` into `out` and returns the decoded size.
pub(crate) fn decode(
    source: &dyn ReadAt,
    jobs: NonZeroUsize,
    limit: u64,
    out: &dyn WriteAt,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, Error> {
    let (blocks, size) = blocks(source)?;
    if size > limit {
        return Err(Error::TooLarge {
            format: FORMAT,
            limit,
        });
    }
    let mut next = blocks.into_iter();
    ordered::run(
        jobs,
        || Ok(next.next()),
        Buffers::default,
        |buffers, block| decode_block(source, &block, buffers, out),
        |end| {
            progress(end);
            Ok(())
        },
    )?;
    Ok(size)
}

/// What one thread keeps from block to block.
#[derive(Default)]
struct Buffers {
    input: Vec<u8>,
    output: Vec<u8>,
}

/// Decodes one block to its place, and returns where its bytes end.
fn decode_block(
    source: &dyn ReadAt,
    block: &Block,
    buffers: &mut Buffers,
    out: &dyn WriteAt,
) -> Result<u64, Error> {
    let corrupt = |what: String| Error::corrupt(FORMAT, what, block.at);
    let failed = |error: liblzma::stream::Error| match error {
        liblzma::stream::Error::MemLimit => Error::unsupported(
            FORMAT,
            format!(
                "a block whose decoder needs more than {} MiB",
                MEMORY_LIMIT >> 20
            ),
        ),
        error => corrupt(format!("a block is damaged: {error}")),
    };
    let mut decoder = Stream::new_stream_decoder(MEMORY_LIMIT, 0).map_err(failed)?;
    let mut input = Input {
        source,
        block,
        at: 0,
        tail: tail(block),
    };
    buffers.output.resize(OUTPUT_BYTES, 0);
    let mut consumed = buffers.input.len();
    let (mut filled, mut written) = (0, 0u64);
    loop {
        if consumed == buffers.input.len() {
            input.fill(&mut buffers.input)?;
            consumed = 0;
        }
        let (before_in, before_out) = (decoder.total_in(), decoder.total_out());
        let action = if buffers.input.is_empty() {
            Action::Finish
        } else {
            Action::Run
        };
        let status = decoder
            .process(
                &buffers.input[consumed..],
                &mut buffers.output[filled..],
                action,
            )
            .map_err(failed)?;
        consumed += usize::try_from(decoder.total_in() - before_in).unwrap_or(0);
        filled += usize::try_from(decoder.total_out() - before_out).unwrap_or(0);
        if decoder.total_out() > block.record.uncompressed {
            return Err(corrupt("a block is longer than the index says".to_owned()));
        }
        let ended = matches!(status, Status::StreamEnd);
        if filled == buffers.output.len() || ended {
            write_sparse(out, &buffers.output[..filled], block.out + written)?;
            written += filled as u64;
            filled = 0;
        }
        if ended {
            buffers.input.clear();
            return Ok(block.out + written);
        }
        if buffers.input.is_empty() && decoder.total_out() == before_out {
            return Err(corrupt("a block ends early".to_owned()));
        }
    }
}

/// Returns what follows the block in its stream of one.
fn tail(block: &Block) -> Vec<u8> {
    let mut tail = index(&[block.record]);
    tail.extend(stream_footer(tail.len() as u64, block.flags));
    tail
}

/// A stream of one block: header, the block from the source, index and footer.
struct Input<'a> {
    source: &'a dyn ReadAt,
    block: &'a Block,
    /// Bytes of the block already given.
    at: u64,
    tail: Vec<u8>,
}

impl Input<'_> {
    /// Replaces `buf` by the next bytes; by none after the last.
    fn fill(&mut self, buf: &mut Vec<u8>) -> Result<(), Error> {
        let len = self.block.record.unpadded.next_multiple_of(4);
        buf.clear();
        if self.at == 0 {
            buf.extend(stream_header(self.block.flags));
        }
        let n = usize::try_from((len - self.at).min(INPUT_BYTES as u64)).unwrap_or(0);
        if n == 0 {
            buf.append(&mut self.tail);
            return Ok(());
        }
        let start = buf.len();
        buf.resize(start + n, 0);
        let place = self.block.at + self.at;
        let read = self.source.read_exact_at(&mut buf[start..], place);
        read.map_err(Error::io(format!("reading the xz file at byte {place}")))?;
        self.at += n as u64;
        Ok(())
    }
}
