//! The order in which kmod's hash tables give out their entries, which is the order of some index files.
//!
//! The hash is the one that Paul Hsieh published as super-fast; buckets are a power of two, and names within a bucket in byte order.

/// Buckets of the tables of symbols and of modules.
pub(crate) const SYMBOL_BUCKETS: u32 = 2048;
pub(crate) const MODULE_BUCKETS: u32 = 512;

/// Returns the place of a name: its bucket.
pub(crate) fn bucket(name: &[u8], buckets: u32) -> u32 {
    hash(name) % buckets
}

fn hash(bytes: &[u8]) -> u32 {
    let pair = |low: u8, high: u8| u32::from(u16::from_le_bytes([low, high]));
    // Characters are signed where kmod was built for x86; names are ASCII, where that makes no difference.
    let mut hash = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let (fours, rest) = bytes.as_chunks::<4>();
    for [a, b, c, d] in fours {
        hash = hash.wrapping_add(pair(*a, *b));
        let mixed = (pair(*c, *d) << 11) ^ hash;
        hash = (hash << 16) ^ mixed;
        hash = hash.wrapping_add(hash >> 11);
    }
    match rest {
        [a, b, c] => {
            hash = hash.wrapping_add(pair(*a, *b));
            hash ^= hash << 16;
            hash ^= u32::from(*c) << 18;
            hash = hash.wrapping_add(hash >> 11);
        }
        [a, b] => {
            hash = hash.wrapping_add(pair(*a, *b));
            hash ^= hash << 11;
            hash = hash.wrapping_add(hash >> 17);
        }
        [a] => {
            hash = hash.wrapping_add(u32::from(*a));
            hash ^= hash << 10;
            hash = hash.wrapping_add(hash >> 1);
        }
        _ => {}
    }
    hash ^= hash << 3;
    hash = hash.wrapping_add(hash >> 5);
    hash ^= hash << 4;
    hash = hash.wrapping_add(hash >> 17);
    hash ^= hash << 25;
    hash.wrapping_add(hash >> 6)
}
