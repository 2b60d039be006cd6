//! Many sources side by side, seen as one: a volume made of metadata and file content, a disk made of volumes.
//!
//! What no tile covers reads as zero and is reported as a hole. A mosaic holds places, never content.

use crate::bytes::{ReadAt, past_end};
use crate::origin::{Origin, tell_moved};
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// A source made of tiles that do not overlap.
#[derive(Clone)]
pub struct Mosaic {
    size: u64,
    tiles: Arc<Vec<Tile>>,
}

#[derive(Clone)]
struct Tile {
    at: u64,
    len: u64,
    from: u64,
    source: Arc<dyn ReadAt>,
}

/// Collects tiles in any order.
#[derive(Default)]
pub struct MosaicBuilder {
    tiles: Vec<Tile>,
}

/// Two tiles claim one byte, or a tile leaves the mosaic.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("bytes {}..{} are claimed twice or lie past the end", .0.0, .0.1)]
pub struct Overlap(pub (u64, u64));

impl MosaicBuilder {
    /// Returns a builder without tiles.
    pub fn new() -> Self {
        Self::default()
    }

    /// Places `len` bytes of `source`, from its offset `from`, at `at`; nothing is read.
    pub fn place(&mut self, at: u64, source: Arc<dyn ReadAt>, from: u64, len: u64) {
        if len > 0 {
            self.tiles.push(Tile {
                at,
                len,
                from,
                source,
            });
        }
    }

    /// Places bytes held in memory at `at`.
    pub fn bytes(&mut self, at: u64, bytes: Vec<u8>) {
        let len = bytes.len() as u64;
        self.place(at, Arc::new(bytes), 0, len);
    }

    /// Returns the mosaic of `size` bytes, or the first bytes that two tiles claim.
    pub fn finish(mut self, size: u64) -> Result<Mosaic, Overlap> {
        // Large trees have a tile a file, and those are held once.
        self.tiles.sort_unstable_by_key(|tile| tile.at);
        self.tiles.shrink_to_fit();
        let mut end = 0;
        for tile in &self.tiles {
            let tile_end = tile.at.saturating_add(tile.len);
            if tile.at < end || tile_end > size {
                return Err(Overlap((tile.at, tile_end)));
            }
            end = tile_end;
        }
        Ok(Mosaic {
            size,
            tiles: Arc::new(self.tiles),
        })
    }
}

impl std::fmt::Debug for MosaicBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MosaicBuilder({} tiles)", self.tiles.len())
    }
}

impl std::fmt::Debug for Mosaic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mosaic({} B, {} tiles)", self.size, self.tiles.len())
    }
}

impl Mosaic {
    /// Returns the index of the first tile that ends after `offset`.
    fn first_ending_after(&self, offset: u64) -> usize {
        self.tiles
            .partition_point(|tile| tile.at + tile.len <= offset)
    }
}

impl ReadAt for Mosaic {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64).ok_or_else(past_end)?;
        if end > self.size {
            return Err(past_end());
        }
        let mut at = offset;
        let mut rest = buf;
        for tile in &self.tiles[self.first_ending_after(offset)..] {
            if tile.at >= end {
                break;
            }
            let gap = usize::try_from(tile.at.saturating_sub(at)).map_err(|_| past_end())?;
            let (zeros, after) = rest.split_at_mut(gap);
            zeros.fill(0);
            at += gap as u64;
            let n = usize::try_from((tile.at + tile.len).min(end) - at).map_err(|_| past_end())?;
            let (data, after) = after.split_at_mut(n);
            tile.source
                .read_exact_at(data, tile.from + (at - tile.at))?;
            at += n as u64;
            rest = after;
        }
        rest.fill(0);
        Ok(())
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        for tile in &self.tiles[self.first_ending_after(offset)..] {
            let skip = offset.saturating_sub(tile.at);
            let last = tile.from + tile.len;
            if let Some(data) = tile.source.next_data(tile.from + skip)?
                && data.start < last
            {
                let shift = |it: u64| it.min(last) - tile.from + tile.at;
                return Ok(Some(shift(data.start)..shift(data.end)));
            }
        }
        Ok(None)
    }

    fn origins(&self, range: Range<u64>, tell: &mut dyn FnMut(Range<u64>, Origin)) {
        let mut at = range.start;
        for tile in &self.tiles[self.first_ending_after(at)..] {
            if tile.at >= range.end {
                break;
            }
            if at < tile.at {
                tell(at..tile.at, Origin::Zeros);
                at = tile.at;
            }
            let to = (tile.at + tile.len).min(range.end);
            let from = |it| tile.from + (it - tile.at);
            tell_moved(&tile.source, from(at)..from(to), at, tell);
            at = to;
        }
        if at < range.end {
            tell(at..range.end, Origin::Zeros);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::Zeros;

    fn read(source: &dyn ReadAt, offset: u64, len: usize) -> Vec<u8> {
        let mut buf = vec![0xee; len];
        source.read_exact_at(&mut buf, offset).unwrap();
        buf
    }

    #[test]
    fn tiles_read_through_and_gaps_are_zero() {
        let mut builder = MosaicBuilder::new();
        builder.bytes(10, vec![1, 2, 3]);
        builder.place(4, Arc::new(vec![7, 8, 9, 10]), 1, 2);
        let mosaic = builder.finish(20).unwrap();
        assert_eq!(
            read(&mosaic, 0, 20),
            [0, 0, 0, 0, 8, 9, 0, 0, 0, 0, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0]
        );
        assert_eq!(read(&mosaic, 5, 6), [9, 0, 0, 0, 0, 1]);
        assert_eq!(mosaic.next_data(0).unwrap(), Some(4..6));
        assert_eq!(mosaic.next_data(6).unwrap(), Some(10..13));
        assert_eq!(mosaic.next_data(12).unwrap(), Some(12..13));
        assert_eq!(mosaic.next_data(13).unwrap(), None);
        assert!(mosaic.read_exact_at(&mut [0; 2], 19).is_err());
    }

    #[test]
    fn holes_of_a_tile_are_holes_of_the_mosaic() {
        let mut builder = MosaicBuilder::new();
        builder.place(0, Arc::new(Zeros(8)), 0, 8);
        builder.bytes(8, vec![1]);
        assert_eq!(builder.finish(9).unwrap().next_data(0).unwrap(), Some(8..9));
    }

    #[test]
    fn overlaps_are_refused() {
        let mut builder = MosaicBuilder::new();
        builder.bytes(0, vec![1, 2]);
        builder.bytes(1, vec![3]);
        assert_eq!(builder.finish(9).unwrap_err(), Overlap((1, 2)));
        let mut builder = MosaicBuilder::new();
        builder.bytes(8, vec![1, 2]);
        assert!(builder.finish(9).is_err());
    }
}
