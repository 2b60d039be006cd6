//! Blocks of directories: parsing entries, and packing a whole directory, indexed by hash when it is longer than a block.
//!
//! Kernel documentation, "Directory Entries" and "Hash Tree Directories". A packed directory is made from scratch: names in
//! hash order, leaves full, index bottom-up.

use crate::checksum::crc32c;
use crate::features::Feature;
use crate::hash::{Hash, NameHash};
use crate::inode::{S_IFDIR, entry_type};
use crate::le::{index, lo16, long, put, put16, put32, short, u16_at, u32_at};

/// Bytes of an entry before its name.
const HEAD: usize = 8;
/// Bytes of the checksum's entry at a block's end.
const TAIL: usize = 12;
const TAIL_TYPE: u8 = 0xde;

/// An entry to be packed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) ino: u32,
    /// The type's bits of its mode.
    pub(crate) kind: u16,
}

/// What a directory's form depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    pub(crate) block_size: u32,
    /// Blocks end in a checksum.
    pub(crate) sums: bool,
    /// Entries say the type.
    pub(crate) types: bool,
    /// Directories of more than a block are indexed.
    pub(crate) index: Option<NameHash>,
    /// An index may have three levels.
    pub(crate) large: bool,
}

/// Blocks of a directory, and whether they are indexed.
#[derive(Debug)]
pub(crate) struct Packed {
    pub(crate) blocks: Vec<Vec<u8>>,
    pub(crate) indexed: bool,
}

impl Form {
    /// Returns the form of directories in a volume with these features.
    pub(crate) fn new(
        features: crate::features::Features,
        block_size: u32,
        hash: NameHash,
    ) -> Self {
        Self {
            block_size,
            sums: features.has(Feature::METADATA_CSUM),
            types: features.has(Feature::FILETYPE),
            index: features.has(Feature::DIR_INDEX).then_some(hash),
            large: features.has(Feature::LARGE_DIR),
        }
    }

    /// Returns how many blocks [`Form::pack`] makes of these names, without making them; `None` if an index cannot hold them.
    pub(crate) fn count<'a>(&self, names: impl Iterator<Item = &'a [u8]> + Clone) -> Option<u64> {
        let one: usize = names.clone().map(|it| entry_len(it.len())).sum();
        if one + 24 <= self.room() {
            return Some(1);
        }
        let Some(hash) = self.index else {
            return Some(long(leaves(24, names.map(<[u8]>::len), self.room()).len()));
        };
        let mut sorted: Vec<(Hash, &[u8])> = names.map(|it| (hash.of(it), it)).collect();
        sorted.sort_unstable();
        let leaves = leaves(0, sorted.iter().map(|it| it.1.len()), self.room()).len();
        Some(long(1 + self.inner_nodes(leaves)? + leaves))
    }

    /// Returns whether a directory whose names take so many blocks is indexed.
    pub(crate) fn indexes(&self, blocks: u64) -> bool {
        self.index.is_some() && blocks > 1
    }

    /// Packs a directory; `seed` is the inode's, for checksums. `None` if an index cannot hold so many names.
    pub(crate) fn pack(
        &self,
        own: u32,
        parent: u32,
        entries: &[Entry<'_>],
        seed: Option<u32>,
    ) -> Option<Packed> {
        let len: usize = entries.iter().map(|it| entry_len(it.name.len())).sum();
        let mut packed = match self.index {
            Some(hash) if len + 24 > self.room() => {
                self.pack_indexed((own, parent), entries, hash)?
            }
            _ => Packed {
                blocks: self.pack_linear(own, parent, entries),
                indexed: false,
            },
        };
        if let Some(seed) = seed {
            packed.blocks.iter_mut().for_each(|it| self.sum(it, seed));
        }
        Some(packed)
    }

    /// Returns an empty block, as directories have at their end.
    pub(crate) fn empty_block(&self, seed: Option<u32>) -> Vec<u8> {
        let mut block = self.leaf(&[]);
        if let Some(seed) = seed {
            self.sum(&mut block, seed);
        }
        block
    }

    /// Returns the bytes of a block that entries may fill.
    fn room(&self) -> usize {
        index(self.block_size) - if self.sums { TAIL } else { 0 }
    }

    fn root_limit(&self) -> usize {
        (index(self.block_size) - 32) / 8 - usize::from(self.sums)
    }

    fn node_limit(&self) -> usize {
        (index(self.block_size) - 8) / 8 - usize::from(self.sums)
    }

    /// Returns the number of index blocks between the root and so many leaves.
    fn inner_nodes(&self, leaves: usize) -> Option<usize> {
        let mut nodes = 0;
        let mut level = leaves;
        for _ in 0..if self.large { 3 } else { 2 } {
            if level <= self.root_limit() {
                return Some(nodes);
            }
            level = level.div_ceil(self.node_limit());
            nodes += level;
        }
        None
    }

    fn pack_linear(&self, own: u32, parent: u32, entries: &[Entry<'_>]) -> Vec<Vec<u8>> {
        let dots = dots(own, parent);
        let mut rest = entries;
        let mut blocks = Vec::new();
        for n in leaves(24, entries.iter().map(|it| it.name.len()), self.room()) {
            let (here, after) = rest.split_at(n);
            rest = after;
            if blocks.is_empty() {
                blocks.push(self.leaf(&[&dots, here].concat()));
            } else {
                blocks.push(self.leaf(here));
            }
        }
        blocks
    }

    fn pack_indexed(
        &self,
        (own, parent): (u32, u32),
        entries: &[Entry<'_>],
        hash: NameHash,
    ) -> Option<Packed> {
        let mut sorted: Vec<(Hash, Entry<'_>)> =
            entries.iter().map(|it| (hash.of(it.name), *it)).collect();
        sorted.sort_unstable_by(|a, b| (a.0, a.1.name).cmp(&(b.0, b.1.name)));
        let counts = leaves(0, sorted.iter().map(|it| it.1.name.len()), self.room());
        let inner = self.inner_nodes(counts.len())?;
        let mut leaf_blocks = Vec::with_capacity(counts.len());
        let mut level = Vec::with_capacity(counts.len());
        let mut rest = sorted.as_slice();
        let mut last = None;
        for (block, n) in (1 + inner..).zip(counts) {
            let (here, after) = rest.split_at(n);
            rest = after;
            let first = here[0].0.major;
            // The lowest bit says that names of this hash begin in the leaf before.
            level.push((first | u32::from(last == Some(first)), short(block)));
            last = here.last().map(|it| it.0.major);
            leaf_blocks.push(self.leaf(&here.iter().map(|it| it.1).collect::<Vec<_>>()));
        }
        let mut blocks = vec![Vec::new(); 1 + inner];
        let mut end = 1 + inner;
        let mut levels = 0u8;
        while level.len() > self.root_limit() {
            let limit = self.node_limit();
            let start = end - level.len().div_ceil(limit);
            let mut above = Vec::new();
            for (at, chunk) in (start..).zip(level.chunks(limit)) {
                let mut block = vec![0; index(self.block_size)];
                put16(&mut block, 4, lo16(self.block_size));
                put_index(&mut block, 8, limit, chunk);
                blocks[at] = block;
                above.push((chunk[0].0, short(at)));
            }
            end = start;
            level = above;
            levels += 1;
        }
        blocks[0] = self.root((own, parent), hash, levels, &level);
        blocks.append(&mut leaf_blocks);
        Some(Packed {
            blocks,
            indexed: true,
        })
    }

    fn root(
        &self,
        (own, parent): (u32, u32),
        hash: NameHash,
        levels: u8,
        entries: &[(u32, u32)],
    ) -> Vec<u8> {
        let mut block = vec![0; index(self.block_size)];
        let dots = dots(own, parent);
        self.put_entry(&mut block, 0, 12, &dots[0]);
        self.put_entry(&mut block, 12, index(self.block_size) - 12, &dots[1]);
        block[28] = hash.algorithm.number();
        block[29] = 8;
        block[30] = levels;
        put_index(&mut block, 32, self.root_limit(), entries);
        block
    }

    fn leaf(&self, entries: &[Entry<'_>]) -> Vec<u8> {
        let mut block = vec![0; index(self.block_size)];
        let mut at = 0;
        for (i, entry) in entries.iter().enumerate() {
            let own = entry_len(entry.name.len());
            let len = if i + 1 == entries.len() {
                self.room() - at
            } else {
                own
            };
            self.put_entry(&mut block, at, len, entry);
            at += own;
        }
        if entries.is_empty() {
            put16(&mut block, 4, lo16(short(self.room())));
        }
        if self.sums {
            put16(&mut block, self.room() + 4, lo16(short(TAIL)));
            block[self.room() + 7] = TAIL_TYPE;
        }
        block
    }

    fn put_entry(&self, block: &mut [u8], at: usize, len: usize, entry: &Entry<'_>) {
        put32(block, at, entry.ino);
        put16(block, at + 4, lo16(short(len)));
        block[at + 6] = entry
            .name
            .len()
            .try_into()
            .expect("names have 255 bytes at most");
        block[at + 7] = if self.types {
            entry_type(entry.kind)
        } else {
            0
        };
        put(block, at + HEAD, entry.name);
    }

    /// Writes the checksum of a block: of an index after its slots, of a leaf in its last entry.
    fn sum(&self, block: &mut [u8], seed: u32) {
        let index = index_offset(block).and_then(|at| index_sum(block, at, seed));
        let (at, sum) = match index {
            Some((end, sum)) => (end + 4, sum),
            None => (self.room() + 8, crc32c(seed, &block[..self.room()])),
        };
        put32(block, at, sum);
    }
}

/// Returns the two entries that every directory begins with.
fn dots(own: u32, parent: u32) -> [Entry<'static>; 2] {
    [(b".".as_slice(), own), (b"..", parent)].map(|(name, ino)| Entry {
        name,
        ino,
        kind: S_IFDIR,
    })
}

fn entry_len(name: usize) -> usize {
    (HEAD + name).next_multiple_of(4)
}

/// Returns how many names go into each leaf when `first` bytes of the first are taken; at least one leaf.
fn leaves(first: usize, names: impl Iterator<Item = usize>, room: usize) -> Vec<usize> {
    let mut counts = vec![0];
    let mut used = first;
    for len in names.map(entry_len) {
        if used + len > room {
            counts.push(0);
            used = 0;
        }
        used += len;
        *counts.last_mut().expect("never empty") += 1;
    }
    counts
}

fn put_index(block: &mut [u8], at: usize, limit: usize, entries: &[(u32, u32)]) {
    for (i, (hash, child)) in entries.iter().enumerate() {
        put32(block, at + 8 * i, *hash);
        put32(block, at + 8 * i + 4, *child);
    }
    // Limit and count stand where the first hash would: it is implied.
    put16(block, at, lo16(short(limit)));
    put16(block, at + 2, lo16(short(entries.len())));
}

/// Returns where a block's index is, if it is one: as the kernel tells, by the lengths of its first entries.
fn index_offset(block: &[u8]) -> Option<usize> {
    let len = index(u16_at(block, 4));
    if len == block.len() {
        return Some(8);
    }
    let root = len == 12
        && index(u16_at(block, 16)) == block.len().saturating_sub(12)
        && block.get(29) == Some(&8);
    (root && u32_at(block, 24) == 0).then_some(32)
}

/// Returns where the tail of an index at `at` stands and the checksum that belongs there.
fn index_sum(block: &[u8], at: usize, seed: u32) -> Option<(usize, u32)> {
    let (limit, count) = (index(u16_at(block, at)), index(u16_at(block, at + 2)));
    let end = at + 8 * limit;
    if count > limit || end + 8 > block.len() {
        return None;
    }
    let sum = crc32c(seed, block.get(..at + 8 * count)?);
    Some((end, crc32c(crc32c(sum, &block[end..end + 4]), &[0; 4])))
}

/// Returns whether a block's checksum is right; `seed` is its directory's, `indexed` what the inode says.
pub(crate) fn verify(block: &[u8], indexed: bool, seed: u32) -> bool {
    if indexed && let Some(at) = index_offset(block) {
        return index_sum(block, at, seed).is_some_and(|(end, sum)| u32_at(block, end + 4) == sum);
    }
    let room = block.len().saturating_sub(TAIL);
    block
        .get(..room)
        .is_some_and(|it| u32_at(block, room + 8) == crc32c(seed, it))
}

/// Calls `found` with each entry's inode and name; index blocks have none, `.` and `..` are passed like others.
///
/// Returns what is wrong with the block, or `found`'s error.
pub(crate) fn parse<E: From<String>>(
    block: &[u8],
    mut found: impl FnMut(u32, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut at = 0;
    while at < block.len() {
        let (ino, len, name) = (
            u32_at(block, at),
            index(u16_at(block, at + 4)),
            block.get(at + 6),
        );
        let name_len = usize::from(name.copied().unwrap_or(0));
        if len < 12 || len % 4 != 0 || at + len > block.len() || HEAD + name_len > len {
            return Err(E::from(format!(
                "directory entry at byte {at} of its block has length {len}"
            )));
        }
        if ino != 0 {
            found(ino, &block[at + HEAD..at + HEAD + name_len])?;
        }
        at += len;
    }
    Ok(())
}
