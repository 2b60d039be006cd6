//! Extent trees: parsing one node, and building a whole tree bottom-up from a sorted mapping.
//!
//! Kernel documentation, "The Contents of `inode.i_block`: Extent Tree". Built trees are as shallow as can be and their
//! nodes full.

use crate::checksum::crc32c;
use crate::le::{index, lo16, lo32, long, put, put16, put32, short, u16_at, u32_at};

const MAGIC: u16 = 0xf30a;
/// Entries in the inode.
pub(crate) const ROOT_MAX: usize = 4;
/// Blocks in one extent of data.
pub(crate) const EXTENT_MAX: u32 = 32768;
/// Levels below the root.
const DEPTH_MAX: u16 = 5;

/// Blocks of a file that stand together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Extent {
    /// First block in the file.
    pub(crate) logical: u32,
    /// First block in the volume.
    pub(crate) physical: u64,
    /// Number of blocks.
    pub(crate) len: u32,
}

/// One parsed node.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Node {
    /// Extents, without the ones that were never written.
    Leaf(Vec<Extent>),
    /// First logical block and place of each child, and the depth that children have.
    Index(Vec<(u32, u64)>, u16),
}

/// Returns whether bytes begin as a node does.
pub(crate) fn is_node(b: &[u8]) -> bool {
    u16_at(b, 0) == MAGIC
}

/// Returns the number of entries in a node of a block.
pub(crate) fn block_max(block_size: u32) -> usize {
    index(block_size).saturating_sub(12) / 12
}

/// Parses a node whose logical blocks are to lie in `range`; `depth` is what its parent said, `None` for a root.
pub(crate) fn parse(b: &[u8], depth: Option<u16>, range: (u32, u64)) -> Result<Node, String> {
    let (magic, count, max, own) = (u16_at(b, 0), u16_at(b, 2), u16_at(b, 4), u16_at(b, 6));
    if magic != MAGIC {
        return Err(format!("extent node has magic {magic:#06x}"));
    }
    if count > max || index(max) > b.len().saturating_sub(12) / 12 {
        return Err(format!("extent node has {count} of {max} entries"));
    }
    if own > DEPTH_MAX || depth.is_some_and(|it| it != own) {
        return Err(format!("extent node has depth {own}"));
    }
    let (first, end) = range;
    let mut next = u64::from(first);
    let entries = b[12..].chunks_exact(12).take(index(count));
    if own > 0 {
        let mut children = Vec::with_capacity(index(count));
        for entry in entries {
            let logical = u32_at(entry, 0);
            let fits = u64::from(logical) >= next && u64::from(logical) < end;
            if !fits {
                return Err(format!("extent index of block {logical} is out of order"));
            }
            next = u64::from(logical) + 1;
            let child = u64::from(u32_at(entry, 4)) | u64::from(u16_at(entry, 8)) << 32;
            children.push((logical, child));
        }
        return Ok(Node::Index(children, own - 1));
    }
    let mut extents = Vec::with_capacity(index(count));
    for entry in entries {
        let (logical, raw) = (u32_at(entry, 0), u32::from(u16_at(entry, 4)));
        let written = raw <= EXTENT_MAX;
        let len = if written { raw } else { raw - EXTENT_MAX };
        let after = u64::from(logical) + u64::from(len);
        if len == 0 || u64::from(logical) < next || after > end {
            return Err(format!(
                "extent of {len} blocks at block {logical} is out of order"
            ));
        }
        next = after;
        if written {
            let physical = u64::from(u32_at(entry, 8)) | u64::from(u16_at(entry, 6)) << 32;
            extents.push(Extent {
                logical,
                physical,
                len,
            });
        }
    }
    Ok(Node::Leaf(extents))
}

/// Returns whether the checksum of a node in a block is right; `seed` is its inode's.
pub(crate) fn verify(b: &[u8], seed: u32) -> bool {
    let at = 12 + 12 * usize::from(u16_at(b, 4));
    b.get(..at)
        .is_some_and(|it| at + 4 <= b.len() && u32_at(b, at) == crc32c(seed, it))
}

/// Returns how many blocks the nodes of a tree of so many extents take.
pub(crate) fn node_blocks(extents: usize, block_size: u32) -> u64 {
    let mut blocks = 0;
    let mut entries = extents;
    while entries > ROOT_MAX {
        entries = entries.div_ceil(block_max(block_size));
        blocks += entries;
    }
    long(blocks)
}

/// Returns the mapping cut into extents as long as they may be.
pub(crate) fn split(runs: &[Extent]) -> Vec<Extent> {
    let mut extents: Vec<Extent> = Vec::with_capacity(runs.len());
    for run in runs {
        let mut rest = *run;
        while rest.len > 0 {
            let len = rest.len.min(EXTENT_MAX);
            extents.push(Extent { len, ..rest });
            rest.logical += len;
            rest.physical += u64::from(len);
            rest.len -= len;
        }
    }
    extents
}

/// A tree as bytes.
pub(crate) struct Built {
    /// The root, for the inode.
    pub(crate) root: [u8; 60],
    /// Nodes and their blocks.
    pub(crate) nodes: Vec<(u64, Vec<u8>)>,
}

/// Builds the tree of sorted extents, with its nodes in `blocks` ([`node_blocks`] of them); `seed` is the inode's.
pub(crate) fn build(
    extents: &[Extent],
    blocks: &[u64],
    block_size: u32,
    seed: Option<u32>,
) -> Built {
    let mut level: Vec<(u32, [u8; 12])> = extents
        .iter()
        .map(|it| (it.logical, leaf_entry(it)))
        .collect();
    let mut free = blocks.iter();
    let mut nodes = Vec::new();
    let mut depth = 0;
    while level.len() > ROOT_MAX {
        let max = block_max(block_size);
        let mut above = Vec::with_capacity(level.len().div_ceil(max));
        for chunk in level.chunks(max) {
            let at = *free.next().expect("the layout counted the nodes");
            let mut b = vec![0; index(block_size)];
            fill_node(&mut b, chunk, max, depth);
            if let Some(seed) = seed {
                let end = 12 + 12 * max;
                let sum = crc32c(seed, &b[..end]);
                put32(&mut b, end, sum);
            }
            above.push((chunk[0].0, index_entry(chunk[0].0, at)));
            nodes.push((at, b));
        }
        level = above;
        depth += 1;
    }
    let mut root = [0; 60];
    fill_node(&mut root, &level, ROOT_MAX, depth);
    Built { root, nodes }
}

fn fill_node(b: &mut [u8], entries: &[(u32, [u8; 12])], max: usize, depth: u16) {
    put16(b, 0, MAGIC);
    put16(b, 2, lo16(short(entries.len())));
    put16(b, 4, lo16(short(max)));
    put16(b, 6, depth);
    for (i, (_, entry)) in entries.iter().enumerate() {
        put(b, 12 + 12 * i, entry);
    }
}

fn leaf_entry(extent: &Extent) -> [u8; 12] {
    let mut b = [0; 12];
    put32(&mut b, 0, extent.logical);
    put16(&mut b, 4, lo16(extent.len));
    put16(&mut b, 6, lo16(lo32(extent.physical >> 32)));
    put32(&mut b, 8, lo32(extent.physical));
    b
}

fn index_entry(logical: u32, child: u64) -> [u8; 12] {
    let mut b = [0; 12];
    put32(&mut b, 0, logical);
    put32(&mut b, 4, lo32(child));
    put16(&mut b, 8, lo16(lo32(child >> 32)));
    b
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extents(n: u32) -> Vec<Extent> {
        (0..n)
            .map(|i| Extent {
                logical: 2 * i,
                physical: u64::from(i) << 32 | 7,
                len: 1,
            })
            .collect()
    }

    #[test]
    fn small_trees_are_in_the_inode() {
        let built = build(&extents(4), &[], 4096, Some(1));
        assert!(built.nodes.is_empty());
        assert_eq!(
            parse(&built.root, None, (0, 100)),
            Ok(Node::Leaf(extents(4)))
        );
        assert!(parse(&built.root, None, (0, 6)).is_err());
        assert!(parse(&built.root, Some(1), (0, 100)).is_err());
    }

    #[test]
    fn deep_trees_read_back() {
        let want = extents(84 * 84 * 4 + 1);
        let n = node_blocks(want.len(), 1024);
        let blocks: Vec<u64> = (0..n).collect();
        let built = build(&want, &blocks, 1024, Some(9));
        assert_eq!(built.nodes.len(), index(n));
        let mut got = Vec::new();
        let mut todo = vec![(built.root.to_vec(), None, None)];
        while let Some((b, depth, first)) = todo.pop() {
            if let Some(first) = first {
                assert!(verify(&b, 9));
                assert_eq!(u32_at(&b, 12), first);
            }
            match parse(&b, depth, (0, u64::MAX)).unwrap() {
                Node::Leaf(leaf) => got.extend(leaf),
                Node::Index(children, depth) => {
                    todo.extend(children.iter().rev().map(|(first, at)| {
                        (built.nodes[index(*at)].1.clone(), Some(depth), Some(*first))
                    }));
                }
            }
        }
        assert_eq!(got, want);
    }

    #[test]
    fn long_runs_are_cut() {
        let cut = split(&[Extent {
            logical: 5,
            physical: 10,
            len: 70_000,
        }]);
        assert_eq!(
            cut.iter().map(|it| it.len).collect::<Vec<_>>(),
            [32768, 32768, 4464]
        );
        assert_eq!(
            cut[2],
            Extent {
                logical: 65541,
                physical: 65546,
                len: 4464
            }
        );
    }
}
