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
            values.push((priority, value.to_vec()));
        }
    }

    /// Returns the file.
    pub(crate) fn bytes(mut self) -> Vec<u8> {
        // Sorted once and not kept sorted: a hostile index may name one key a hundred thousand times.
        for values in self.keys.values_mut() {
            values.reverse();
            values.sort_by_key(|it| it.0);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns all keys below a node with their values, in order.
    fn read(bytes: &[u8], offset: u32, key: &str, found: &mut Vec<(String, u32, String)>) {
        let u32 = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        let text = |at: usize| {
            String::from_utf8(bytes[at..].split(|it| *it == 0).next().unwrap().to_vec()).unwrap()
        };
        let mut at = usize::try_from(offset & 0x0FFF_FFFF).unwrap();
        let mut key = key.to_owned();
        if offset & HAS_PREFIX != 0 {
            key += &text(at);
            at += text(at).len() + 1;
        }
        let mut children = Vec::new();
        if offset & HAS_CHILDREN != 0 {
            let characters = bytes[at]..=bytes[at + 1];
            at += 2;
            for character in characters {
                children.push((char::from(character), u32(at)));
                at += 4;
            }
        }
        if offset & HAS_VALUES != 0 {
            let count = u32(at);
            at += 4;
            for _ in 0..count {
                found.push((key.clone(), u32(at), text(at + 4)));
                at += 4 + text(at + 4).len() + 1;
            }
        }
        for (character, offset) in children.into_iter().filter(|it| it.1 != 0) {
            read(bytes, offset, &format!("{key}{character}"), found);
        }
    }

    #[test]
    fn every_key_is_found_with_its_values_by_priority() {
        let mut trie = Trie::default();
        let entries = [
            ("pci:v1*", "b", 7),
            ("pci:v1*", "a", 3),
            ("pci:v1*", "c", 9),
            ("pci", "d", 0),
            ("", "e", 1),
            ("pcx", "f", 2),
            ("é", "g", 0),
        ];
        for (key, value, priority) in entries {
            trie.insert(key.as_bytes(), value.as_bytes(), priority);
        }
        let bytes = trie.bytes();
        let mut found = Vec::new();
        read(
            &bytes,
            u32::from_be_bytes(bytes[8..12].try_into().unwrap()),
            "",
            &mut found,
        );
        let want = [
            ("", 1, "e"),
            ("pci", 0, "d"),
            ("pci:v1*", 3, "a"),
            ("pci:v1*", 7, "b"),
            ("pci:v1*", 9, "c"),
            ("pcx", 2, "f"),
        ];
        let want: Vec<_> = want
            .iter()
            .map(|it| (it.0.to_owned(), it.1, it.2.to_owned()))
            .collect();
        assert_eq!(found, want);
    }

    #[test]
    fn an_empty_trie_has_an_empty_root() {
        assert_eq!(
            Trie::default().bytes(),
            [0xB0, 0x07, 0xF4, 0x57, 0, 2, 0, 1, 0, 0, 0, 12]
        );
    }

    #[test]
    fn long_and_nested_keys_are_bounded() {
        let mut trie = Trie::default();
        for len in 1..6000 {
            trie.insert(&vec![b'a'; len], b"v", 0);
        }
        assert_eq!(trie.keys.len(), MAX_KEY_BYTES);
        assert!(trie.bytes().len() < 200_000);
    }
}
