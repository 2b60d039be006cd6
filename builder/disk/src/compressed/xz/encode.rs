//! One block of an .xz file from bytes in memory.
//!
//! The .xz file format 1.2, section 3. LZMA2 alone, no branch filters: a disk image is no program.

use super::FORMAT;
use super::container::put_varint;
use crate::error::Error;
use liblzma::stream::{Action, Filters, LzmaOptions, Status, Stream};

/// log2 of the dictionary of presets 0 to 9; more than a block is never of use.
const DICTIONARY_BITS: [u8; 10] = [18, 20, 21, 22, 22, 23, 23, 23, 23, 23];

/// Encodes blocks, each by itself.
pub(crate) struct BlockEncoder {
    preset: u32,
    dictionary_bits: u8,
}

impl BlockEncoder {
    /// Returns an encoder with xz's `preset`, 0–9.
    pub(crate) fn new(preset: u32) -> Result<Self, Error> {
        let bits = usize::try_from(preset)
            .ok()
            .and_then(|at| DICTIONARY_BITS.get(at))
            .copied();
        let dictionary_bits =
            bits.ok_or_else(|| Error::unsupported(FORMAT, format!("preset {preset}")))?;
        Ok(Self {
            preset,
            dictionary_bits,
        })
    }

    /// Returns `bytes` as a block with its sizes in its header and a CRC32.
    pub(crate) fn encode(&self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let data = self.lzma2(bytes)?;
        // Size (set below), flags: one filter, both sizes present.
        let mut block = vec![0, 0xc0];
        put_varint(&mut block, data.len() as u64);
        put_varint(&mut block, bytes.len() as u64);
        // The filter's id, its properties' length, and the dictionary's size as the format counts it.
        block.extend([0x21, 1, (self.dictionary_bits - 12) * 2]);
        block.resize(block.len().next_multiple_of(4), 0);
        block[0] = u8::try_from(block.len() / 4).unwrap_or(u8::MAX);
        block.extend(crc32fast::hash(&block).to_le_bytes());
        block.extend(&data);
        block.resize(block.len().next_multiple_of(4), 0);
        block.extend(crc32fast::hash(bytes).to_le_bytes());
        Ok(block)
    }

    fn lzma2(&self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let failed = |error: liblzma::stream::Error| {
            Error::unsupported(FORMAT, format!("encoding a block ({error})"))
        };
        let mut options = LzmaOptions::new_preset(self.preset).map_err(failed)?;
        options.dict_size(1 << self.dictionary_bits);
        let mut encoder =
            Stream::new_raw_encoder(Filters::new().lzma2(&options)).map_err(failed)?;
        let mut data = Vec::with_capacity(bytes.len() / 2 + 4096);
        loop {
            let rest = bytes
                .get(usize::try_from(encoder.total_in()).unwrap_or(usize::MAX)..)
                .unwrap_or_default();
            match encoder
                .process_vec(rest, &mut data, Action::Finish)
                .map_err(failed)?
            {
                Status::StreamEnd => return Ok(data),
                _ => data.reserve(data.capacity().max(4096)),
            }
        }
    }
}
