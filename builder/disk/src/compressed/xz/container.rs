//! The parts of an .xz file around the compressed data: headers, footers and the index.
//!
//! The .xz file format 1.2, sections 2 to 4. Reads them from the end, as the index stands there.

use super::FORMAT;
use crate::error::Error;
use crate::fields::{array, is_zero, le32};
use fstree::ReadAt;

/// Stream flags: the check of each block is a CRC32.
pub(crate) const CHECK_CRC32: [u8; 2] = [0, 1];
/// Bytes of a stream header and of a stream footer.
const EDGE: u64 = 12;
const HEADER_MAGIC: [u8; 6] = [0xfd, b'7', b'z', b'X', b'Z', 0];
const FOOTER_MAGIC: [u8; 2] = *b"YZ";
/// Blocks a file may have, and one more for so many bytes that it holds: each costs a decoder, whatever it holds.
const MAX_BLOCKS: u64 = 10_000;
const BYTES_PER_BLOCK: u64 = 4096;

/// What the index says of a block; sizes in bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Record {
    pub(crate) unpadded: u64,
    pub(crate) uncompressed: u64,
}

/// A block of a file, and where it belongs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    /// Where its header begins in the file.
    pub(super) at: u64,
    pub(super) record: Record,
    /// Where its decoded bytes begin in the output.
    pub(super) out: u64,
    pub(super) flags: [u8; 2],
}

/// Returns the bytes of a stream header.
pub(crate) fn stream_header(flags: [u8; 2]) -> Vec<u8> {
    let mut bytes = HEADER_MAGIC.to_vec();
    bytes.extend(flags);
    bytes.extend(crc32fast::hash(&flags).to_le_bytes());
    bytes
}

/// Returns the bytes of the footer of a stream whose index takes `index_bytes`.
pub(crate) fn stream_footer(index_bytes: u64, flags: [u8; 2]) -> Vec<u8> {
    let backward = u32::try_from(index_bytes / 4 - 1).unwrap_or(u32::MAX);
    let mut body = backward.to_le_bytes().to_vec();
    body.extend(flags);
    let mut bytes = crc32fast::hash(&body).to_le_bytes().to_vec();
    bytes.extend(body);
    bytes.extend(FOOTER_MAGIC);
    bytes
}

/// Returns the bytes of an index.
pub(crate) fn index(records: &[Record]) -> Vec<u8> {
    let mut bytes = vec![0];
    put_varint(&mut bytes, records.len() as u64);
    for record in records {
        put_varint(&mut bytes, record.unpadded);
        put_varint(&mut bytes, record.uncompressed);
    }
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    let crc = crc32fast::hash(&bytes);
    bytes.extend(crc.to_le_bytes());
    bytes
}

/// Returns the unpadded size of a block made by our encoder: header, compressed data, CRC32.
pub(crate) fn unpadded_size(block: &[u8]) -> u64 {
    let header = block.first().map_or(0, |size| (u64::from(*size) + 1) * 4);
    let mut at = 2;
    header + varint(block, &mut at).unwrap_or(0) + 4
}

/// Appends an integer of 7 bits a byte.
pub(super) fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(0x80 | (value & 0x7f) as u8);
        value >>= 7;
    }
    bytes.push((value & 0x7f) as u8);
}

fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0;
    // Nine bytes of seven bits: the format's integers have 63.
    for shift in 0..9 {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << (7 * shift);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Returns the blocks of all streams of a file in order, and the decoded size.
pub(super) fn blocks(source: &dyn ReadAt) -> Result<(Vec<Block>, u64), Error> {
    let mut end = source.size();
    let mut streams = Vec::new();
    loop {
        let footer_end = before_padding(source, end)?;
        let (start, stream) = stream_before(source, footer_end)?;
        streams.push(stream);
        if start == 0 {
            break;
        }
        end = start;
    }
    let mut out = 0u64;
    let mut blocks: Vec<Block> = streams.into_iter().rev().flatten().collect();
    for block in &mut blocks {
        block.out = out;
        let sum = out.checked_add(block.record.uncompressed);
        out = sum
            .ok_or_else(|| Error::corrupt(FORMAT, "the index's sizes are impossible", block.at))?;
    }
    let n_blocks = blocks.len() as u64;
    if n_blocks > MAX_BLOCKS + out / BYTES_PER_BLOCK {
        let what = format!("{n_blocks} blocks for {out} bytes");
        return Err(Error::unsupported(FORMAT, what));
    }
    Ok((blocks, out))
}

/// Returns the end of the last stream before `end`, which may be followed by zeros.
fn before_padding(source: &dyn ReadAt, mut end: u64) -> Result<u64, Error> {
    if !end.is_multiple_of(4) {
        return Err(Error::corrupt(
            FORMAT,
            "it ends with something that is no stream footer",
            end,
        ));
    }
    // Mostly there is none: a small read first, as a file may be of thousands of streams.
    let mut buf = vec![0; 64];
    while end > 0 {
        let n = usize::try_from(end.min(buf.len() as u64)).unwrap_or(0);
        read(source, &mut buf[..n], end - n as u64)?;
        if let Some(last) = buf[..n].chunks_exact(4).rposition(|word| !is_zero(word)) {
            return Ok(end - n as u64 + (last as u64 + 1) * 4);
        }
        end -= n as u64;
        buf.resize(64 << 10, 0);
    }
    Err(Error::corrupt(FORMAT, "no stream before the padding", 0))
}

fn read(source: &dyn ReadAt, buf: &mut [u8], at: u64) -> Result<(), Error> {
    source
        .read_exact_at(buf, at)
        .map_err(Error::io(format!("reading the xz file at byte {at}")))
}

/// Reads the stream that ends at `end`; returns where it begins, and its blocks.
fn stream_before(source: &dyn ReadAt, end: u64) -> Result<(u64, Vec<Block>), Error> {
    let corrupt = |what: &str, at: u64| Error::corrupt(FORMAT, what, at);
    let footer_at = end
        .checked_sub(EDGE)
        .ok_or_else(|| corrupt("it ends within a stream", end))?;
    let mut footer = [0; 12];
    read(source, &mut footer, footer_at)?;
    if array(&footer, 10) != Some(FOOTER_MAGIC)
        || le32(&footer, 0) != Some(crc32fast::hash(&footer[4..10]))
    {
        return Err(corrupt(
            "it ends with something that is no stream footer",
            footer_at,
        ));
    }
    let flags = [footer[8], footer[9]];
    let index_bytes = (u64::from(le32(&footer, 4).unwrap_or(0)) + 1) * 4;
    let index_at = footer_at.checked_sub(index_bytes).filter(|at| *at >= EDGE);
    let index_at = index_at.ok_or_else(|| corrupt("the index's size is impossible", footer_at))?;
    let mut index = vec![0; usize::try_from(index_bytes).unwrap_or(0)];
    read(source, &mut index, index_at)?;
    let records = records(&index).ok_or_else(|| corrupt("a damaged index", index_at))?;
    let total = records.iter().try_fold(0u64, |sum, record| {
        sum.checked_add(record.unpadded.checked_next_multiple_of(4)?)
    });
    let first = total
        .and_then(|total| index_at.checked_sub(total))
        .filter(|at| *at >= EDGE);
    let mut at = first.ok_or_else(|| corrupt("the index's sizes are impossible", index_at))?;
    let start = at - EDGE;
    let mut header = [0; 12];
    read(source, &mut header, start)?;
    if header != stream_header(flags)[..] {
        return Err(corrupt(
            "the stream header is damaged or differs from the footer",
            start,
        ));
    }
    let mut blocks = Vec::with_capacity(records.len());
    for record in records {
        blocks.push(Block {
            at,
            record,
            out: 0,
            flags,
        });
        at += record.unpadded.next_multiple_of(4);
    }
    Ok((start, blocks))
}

/// Reads an index; `None` if it is damaged.
fn records(index: &[u8]) -> Option<Vec<Record>> {
    let body = index.get(..index.len().checked_sub(4)?)?;
    if le32(index, body.len())? != crc32fast::hash(body) || *body.first()? != 0 {
        return None;
    }
    let mut at = 1;
    let count = usize::try_from(varint(body, &mut at)?).ok()?;
    // A record takes at least two bytes, so what is allocated is bounded by what was read.
    if count > body.len() / 2 {
        return None;
    }
    let mut records = Vec::with_capacity(count);
    for _ in 0..count {
        let unpadded = varint(body, &mut at).filter(|size| *size >= 5)?;
        records.push(Record {
            unpadded,
            uncompressed: varint(body, &mut at)?,
        });
    }
    let padding = body.get(at..)?;
    (padding.len() < 4 && is_zero(padding)).then_some(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_reads_back() {
        let written = [
            Record {
                unpadded: 5,
                uncompressed: 0,
            },
            Record {
                unpadded: 1 << 40,
                uncompressed: (1 << 62) + 1,
            },
        ];
        let bytes = index(&written);
        assert_eq!(records(&bytes).unwrap(), written);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            assert_eq!(records(&damaged), None, "byte {at}");
        }
    }
}
