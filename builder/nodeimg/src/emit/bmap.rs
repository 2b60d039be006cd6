//! The block map of a raw image: which blocks hold data, and what each run of them hashes to.
//!
//! The bmap format, version 2.0, as `bmaptool` reads it: SHA-256 of each range, and of the file itself with that digest's
//! place filled with zeros. Ranges and digests are the writer's.

use crate::digest::Digest;
use disk::raw::{BLOCK_BYTES, DataMap};
use std::fmt::Write as _;

/// Stands for the file's own digest while that is taken.
const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Returns the map's text; `digests` has one for each range of `map`, in order.
pub(crate) fn text(map: &DataMap, digests: &[Digest]) -> String {
    let block = BLOCK_BYTES as u64;
    let (size, blocks, mapped) = (map.size, map.size.div_ceil(block), map.mapped_blocks());
    let mut text = format!(
        "<?xml version=\"1.0\" ?>\n<bmap version=\"2.0\">\n    <ImageSize> {size} </ImageSize>\n    \
         <BlockSize> {block} </BlockSize>\n    <BlocksCount> {blocks} </BlocksCount>\n    \
         <MappedBlocksCount> {mapped} </MappedBlocksCount>\n    <ChecksumType> sha256 </ChecksumType>\n    \
         <BmapFileChecksum> {ZEROS} </BmapFileChecksum>\n    <BlockMap>\n"
    );
    for (range, digest) in map.ranges.iter().zip(digests) {
        let (first, last) = (range.start / block, range.end.div_ceil(block) - 1);
        let blocks = if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        };
        writeln!(
            text,
            "        <Range chksum=\"{digest}\"> {blocks} </Range>"
        )
        .expect("a string takes any text");
    }
    text.push_str("    </BlockMap>\n</bmap>\n");
    let own = Digest::of(text.as_bytes()).to_string();
    text.replacen(ZEROS, &own, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_names_ranges_in_blocks_and_its_own_digest() {
        let map = DataMap {
            size: 20_000,
            ranges: vec![0..4096, 8192..20_000],
        };
        let digests = [Digest::of(b"a"), Digest::of(b"b")];
        let text = text(&map, &digests);
        assert!(text.contains("<BlocksCount> 5 </BlocksCount>"), "{text}");
        assert!(
            text.contains("<MappedBlocksCount> 4 </MappedBlocksCount>"),
            "{text}"
        );
        assert!(
            text.contains(&format!("<Range chksum=\"{}\"> 0 </Range>", digests[0])),
            "{text}"
        );
        assert!(
            text.contains(&format!("<Range chksum=\"{}\"> 2-4 </Range>", digests[1])),
            "{text}"
        );
        let own = text
            .split("<BmapFileChecksum> ")
            .nth(1)
            .unwrap()
            .split(' ')
            .next()
            .unwrap()
            .to_owned();
        assert_eq!(
            Digest::of(text.replacen(&own, ZEROS, 1).as_bytes()).to_string(),
            own
        );
    }
}
