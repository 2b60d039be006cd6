//! Extended attributes: entries in an inode's tail and in a block of their own.
//!
//! Kernel documentation, "Extended Attributes". Written entries are sorted as the kernel looks them up (in blocks it stops
//! at the first that is greater) and hashed; values stand at the end in the order of entries.

use crate::acl;
use crate::checksum::crc32c;
use crate::le::{index, lo16, long, put, put16, put32, short, u16_at, u32_at};
use std::collections::BTreeMap;

/// What attributes in an inode and in a block begin with.
pub(crate) const MAGIC: u32 = 0xea02_0000;
/// Header of a block.
const BLOCK_HEAD: usize = 32;
/// Entry before its name.
const ENTRY: usize = 16;

/// Prefixes of names by index; an index beyond them is unknown.
const PREFIXES: &[(u8, &[u8])] = &[
    (1, b"user."),
    (2, b"system.posix_acl_access"),
    (3, b"system.posix_acl_default"),
    (4, b"trusted."),
    (6, b"security."),
    (8, b"system.richacl"),
    (7, b"system."),
];

/// An attribute as it stands on disk. The order is the order of entries: index, name's length, name.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Attr {
    index: u8,
    name_len: u8,
    name: Vec<u8>,
    value: Vec<u8>,
}

/// Attributes sorted into their places.
#[derive(Debug, Default)]
pub(crate) struct Placed {
    /// For the inode's tail.
    pub(crate) inode: Vec<Attr>,
    /// For a block.
    pub(crate) block: Vec<Attr>,
}

/// A parsed attribute.
pub(crate) struct Found<'a> {
    /// Full name.
    pub(crate) name: Vec<u8>,
    /// Value, unless an inode holds it.
    pub(crate) value: &'a [u8],
    /// The inode that holds the value, and the value's length.
    pub(crate) inode: Option<(u32, u32)>,
}

impl Attr {
    /// Returns the attribute of a full name, or what is wrong with it.
    fn new(name: &[u8], value: &[u8]) -> Result<Self, &'static str> {
        let (index, rest) = PREFIXES
            .iter()
            .find_map(|(index, prefix)| {
                let rest = name.strip_prefix(*prefix)?;
                (rest.is_empty() != prefix.ends_with(b".")).then_some((*index, rest))
            })
            .ok_or("no file system knows its prefix")?;
        let name_len = u8::try_from(rest.len()).map_err(|_| "its name is longer than 255 bytes")?;
        let value = if acl::is_acl(name) {
            acl::to_disk(value).ok_or("it is no access control list")?
        } else {
            value.to_vec()
        };
        Ok(Self {
            index,
            name_len,
            name: rest.to_vec(),
            value,
        })
    }

    fn entry_len(&self) -> usize {
        ENTRY + self.name.len().next_multiple_of(4)
    }

    fn len(&self) -> usize {
        self.entry_len() + self.value.len().next_multiple_of(4)
    }

    fn hash(&self) -> u32 {
        let name = self
            .name
            .iter()
            .fold(0u32, |h, byte| h.rotate_left(5) ^ u32::from(*byte));
        self.value
            .chunks(4)
            .fold(name, |h, word| h.rotate_left(16) ^ u32_at(word, 0))
    }
}

/// Sorts attributes into an inode's tail of `tail` bytes, as many as fit, and a block; or says which does not fit and why.
pub(crate) fn place(
    attrs: &BTreeMap<Vec<u8>, Vec<u8>>,
    tail: usize,
    block_size: u32,
) -> Result<Placed, String> {
    let mut all = Vec::with_capacity(attrs.len());
    for (name, value) in attrs {
        let attr = Attr::new(name, value)
            .map_err(|why| format!("extended attribute {}: {why}", name.escape_ascii()))?;
        all.push(attr);
    }
    all.sort();
    let mut placed = Placed::default();
    let (mut in_inode, mut in_block) = (8, BLOCK_HEAD + 4);
    for attr in all {
        if in_inode + attr.len() <= tail {
            in_inode += attr.len();
            placed.inode.push(attr);
        } else {
            in_block += attr.len();
            placed.block.push(attr);
        }
    }
    if in_block > index(block_size) {
        return Err(format!(
            "extended attributes of {in_block} bytes do not fit into a block of {block_size}"
        ));
    }
    Ok(placed)
}

/// Returns the inode's tail of `len` bytes with these attributes; nothing if there are none.
pub(crate) fn encode_inode(attrs: &[Attr], len: usize) -> Vec<u8> {
    if attrs.is_empty() {
        return Vec::new();
    }
    let mut b = vec![0; len];
    put32(&mut b, 0, MAGIC);
    encode_entries(&mut b, 4, 4, attrs);
    b
}

/// Returns the block with these attributes; `at` is where it will stand, `seed` the volume's.
pub(crate) fn encode_block(attrs: &[Attr], block_size: u32, at: u64, seed: Option<u32>) -> Vec<u8> {
    let mut b = vec![0; index(block_size)];
    put32(&mut b, 0, MAGIC);
    put32(&mut b, 4, 1);
    put32(&mut b, 8, 1);
    let hashes: Vec<u32> = attrs.iter().map(Attr::hash).collect();
    let hash = hashes.iter().fold(0u32, |h, it| h.rotate_left(16) ^ it);
    put32(&mut b, 12, if hashes.contains(&0) { 0 } else { hash });
    encode_entries(&mut b, BLOCK_HEAD, 0, attrs);
    if let Some(seed) = seed {
        let sum = crc32c(crc32c(seed, &at.to_le_bytes()), &b);
        put32(&mut b, 16, sum);
    }
    b
}

/// Writes entries from `first` on and their values from the end, with offsets from `base`.
fn encode_entries(b: &mut [u8], first: usize, base: usize, attrs: &[Attr]) {
    let (mut at, mut end) = (first, b.len());
    for attr in attrs {
        end -= attr.value.len().next_multiple_of(4);
        b[at] = attr.name_len;
        b[at + 1] = attr.index;
        put16(
            b,
            at + 2,
            if attr.value.is_empty() {
                0
            } else {
                lo16(short(end - base))
            },
        );
        put32(b, at + 8, short(attr.value.len()));
        put32(b, at + 12, attr.hash());
        put(b, at + ENTRY, &attr.name);
        put(b, end, &attr.value);
        at += attr.entry_len();
    }
}

/// Parses the attributes in an inode's tail.
pub(crate) fn parse_inode(b: &[u8]) -> Result<Vec<Found<'_>>, String> {
    match b.get(4..) {
        Some(entries) if u32_at(b, 0) == MAGIC => parse_entries(entries, 0),
        _ => Ok(Vec::new()),
    }
}

/// Parses the attributes of a block and verifies its checksum; `at` is where it stands, `seed` the volume's.
pub(crate) fn parse_block(b: &[u8], at: u64, seed: Option<u32>) -> Result<Vec<Found<'_>>, String> {
    if u32_at(b, 0) != MAGIC || u32_at(b, 8) != 1 {
        return Err("attribute block has no magic number".to_owned());
    }
    if let Some(seed) = seed {
        let mut zeroed = b.to_vec();
        put32(&mut zeroed, 16, 0);
        if crc32c(crc32c(seed, &at.to_le_bytes()), &zeroed) != u32_at(b, 16) {
            return Err("attribute block's checksum is wrong".to_owned());
        }
    }
    parse_entries(b, BLOCK_HEAD)
}

fn parse_entries(b: &[u8], first: usize) -> Result<Vec<Found<'_>>, String> {
    let mut found = Vec::new();
    let mut at = first;
    while u32_at(b, at) != 0 {
        let entry = b.get(at..).unwrap_or_default();
        let name_len = usize::from(entry[0]);
        let bad = || format!("attribute entry at byte {at} leaves its place");
        let suffix = entry.get(ENTRY..ENTRY + name_len).ok_or_else(bad)?;
        let (inode, len) = (u32_at(entry, 4), u32_at(entry, 8));
        let start = index(u16_at(entry, 2));
        let value = if inode != 0 || len == 0 {
            &[]
        } else {
            start
                .checked_add(index(len))
                .and_then(|end| b.get(start..end))
                .ok_or_else(bad)?
        };
        if let Some(name) = full_name(entry[1], suffix)? {
            found.push(Found {
                name,
                value,
                inode: (inode != 0).then_some((inode, len)),
            });
        }
        at += ENTRY + name_len.next_multiple_of(4);
    }
    Ok(found)
}

/// Returns an attribute's full name; `None` if it is inline data, which is no attribute.
fn full_name(index: u8, suffix: &[u8]) -> Result<Option<Vec<u8>>, String> {
    if index == 7 && suffix == b"data" {
        return Ok(None);
    }
    let prefix = PREFIXES.iter().find(|it| it.0 == index).map(|it| it.1);
    match (index, prefix) {
        (_, Some(prefix)) => Ok(Some([prefix, suffix].concat())),
        (0, None) => Ok(Some(suffix.to_vec())),
        _ => Err(format!("attribute has unknown prefix {index}")),
    }
}

/// Returns the part of inline data that stands among an inode's attributes.
pub(crate) fn inline_data(b: &[u8]) -> Result<&[u8], String> {
    let entries = b
        .get(4..)
        .filter(|_| u32_at(b, 0) == MAGIC)
        .unwrap_or_default();
    let mut at = 0;
    while u32_at(entries, at) != 0 {
        let entry = &entries[at..];
        let name_len = usize::from(entry[0]);
        let (start, len) = (index(u16_at(entry, 2)), index(u32_at(entry, 8)));
        if entry.get(1) == Some(&7) && entry.get(ENTRY..ENTRY + name_len) == Some(b"data") {
            let value = start
                .checked_add(len)
                .and_then(|end| entries.get(start..end));
            return value.ok_or_else(|| "inline data leaves its inode".to_owned());
        }
        at += ENTRY + name_len.next_multiple_of(4);
    }
    Ok(&[])
}

/// Returns the value on disk as the tree holds it: access control lists in the system call's form.
pub(crate) fn value(name: &[u8], disk: Vec<u8>) -> Result<Vec<u8>, String> {
    if acl::is_acl(name) {
        return acl::from_disk(&disk).ok_or_else(|| "access control list is not one".to_owned());
    }
    Ok(disk)
}

/// Returns how many bytes of values may be read through other inodes from a volume's budget of blocks.
pub(crate) fn blocks_of(len: u32, block_size: u32) -> u64 {
    long(index(len)).div_ceil(u64::from(block_size))
}
