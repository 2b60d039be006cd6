//! The tries of `modules.*.bin`: from a key, or a pattern with `*`, `?` and `[…]`, to the values that belong to it.
//!
//! Format 2.1, all numbers big-endian: magic, version, the root's offset; then nodes, children before their parent. The
//! upper bits of an offset say what the node has: a prefix, children by character, values with priorities.

use std::collections::BTreeMap;

const MAGIC: u32 = 0xB007_F457;
const VERSION: u32 = 0x0002_0001;

const HAS_PREFIX: u32 = 0x8000_0000;
const HAS_VALUES: u32 = 0x4000_0000;
const HAS_CHILDREN: u32 = 0x2000_0000;

/// Longer keys than a path are none; the limit also bounds the depth of the trie.
const MAX_KEY_BYTES: usize = 4095;

/// Keys with their values, each with the priority by which it stands among the others of its key.
#[derive(Debug, Default)]
pub(crate) struct Trie {
    keys: BTreeMap<Vec<u8>, Vec<(u32, Vec<u8>)>>,
}

type Entry<'a> = (&'a [u8], &'a [(u32, Vec<u8>)]);

impl Trie {
    /// Adds a value; among equals in priority the last added comes first. What is not ASCII cannot be looked up.
    pub(crate) fn insert(&mut self, key: &[u8], value: &[u8], priority: u32) {
        if key.is_ascii() && !key.contains(&0) && key.len() <= MAX_KEY_BYTES {
            let values = self.keys.entry(key.to_vec()).or_default();
            let at = values.partition_point(|it| it.0 < priority);
            values.insert(at, (priority, value.to_vec()));
        }
    }

    /// Returns the file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; 12];
        let entries: Vec<Entry<'_>> = self
            .keys
            .iter()
            .map(|(key, values)| (&key[..], &values[..]))
            .collect();
        let root = write(&entries, 0, 0, &mut bytes);
        for (at, value) in [(0, MAGIC), (4, VERSION), (8, root)] {
            bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
        }
        bytes
    }
}

/// Writes the node of these keys, which agree in their first `depth` bytes, and returns its offset with its flags.
///
/// The root has no prefix: its `shortest` possible one is none.
fn write(entries: &[Entry<'_>], depth: usize, shared: usize, bytes: &mut Vec<u8>) -> u32 {
    let end = depth + shared;
    let (values, below) = match entries.split_first() {
        Some((first, below)) if first.0.len() == end => (first.1, below),
        _ => (&[][..], entries),
    };
    let children: Vec<_> = below
        .chunk_by(|a, b| a.0[end] == b.0[end])
        .map(|chunk| child(chunk, end, bytes))
        .collect();
    let at = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut flags = 0;
    if shared > 0 {
        flags |= HAS_PREFIX;
        bytes.extend_from_slice(&entries[0].0[depth..end]);
        bytes.push(0);
    }
    if let (Some(first), Some(last)) = (children.first(), children.last()) {
        flags |= HAS_CHILDREN;
        bytes.extend([first.0, last.0]);
        let mut rest = children.iter().peekable();
        for character in first.0..=last.0 {
            let offset = rest.next_if(|it| it.0 == character).map_or(0, |it| it.1);
            bytes.extend(offset.to_be_bytes());
        }
    }
    if !values.is_empty() {
        flags |= HAS_VALUES;
        bytes.extend(
            u32::try_from(values.len())
                .unwrap_or(u32::MAX)
                .to_be_bytes(),
        );
        for (priority, value) in values {
            bytes.extend(priority.to_be_bytes());
            bytes.extend_from_slice(value);
            bytes.push(0);
        }
    }
    at | flags
}

/// Writes the node of keys that agree up to and with the byte at `end`; returns that byte and the node's offset.
fn child(entries: &[Entry<'_>], end: usize, bytes: &mut Vec<u8>) -> (u8, u32) {
    let (first, last) = (entries[0].0, entries[entries.len() - 1].0);
    let depth = end + 1;
    // Keys are sorted, so what the first and the last share is shared by all.
    let shared = first[depth..]
        .iter()
        .zip(&last[depth..])
        .take_while(|(a, b)| a == b)
        .count();
    (first[end], write(entries, depth, shared, bytes))
}
