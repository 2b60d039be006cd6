//! Little-endian numbers at offsets.
//!
//! Bytes past the end of a structure read as zero: a 128-byte inode and a 32-byte group descriptor are the larger ones cut
//! short, and mean just that. Writing past the end is a programming error.

/// Returns the `N` bytes at `at`.
pub(crate) fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(bytes.get(at..).unwrap_or_default()) {
        *to = *from;
    }
    out
}

/// Returns the number in two bytes.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes_at(bytes, at))
}

/// Returns the number in four bytes.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes_at(bytes, at))
}

/// Returns the number whose low and high half stand apart, 32 bits each.
pub(crate) fn split64(bytes: &[u8], low: usize, high: usize) -> u64 {
    u64::from(u32_at(bytes, low)) | u64::from(u32_at(bytes, high)) << 32
}

/// Returns the number whose low and high half stand apart, 16 bits each.
pub(crate) fn split32(bytes: &[u8], low: usize, high: usize) -> u32 {
    u32::from(u16_at(bytes, low)) | u32::from(u16_at(bytes, high)) << 16
}

/// Writes bytes.
pub(crate) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// Writes two bytes.
pub(crate) fn put16(bytes: &mut [u8], at: usize, value: u16) {
    put(bytes, at, &value.to_le_bytes());
}

/// Writes four bytes.
pub(crate) fn put32(bytes: &mut [u8], at: usize, value: u32) {
    put(bytes, at, &value.to_le_bytes());
}

/// Writes a number as two halves of 32 bits.
pub(crate) fn put_split64(bytes: &mut [u8], low: usize, high: usize, value: u64) {
    put32(bytes, low, lo32(value));
    put32(bytes, high, hi32(value));
}

/// Returns the low 16 bits.
pub(crate) fn lo16(value: u32) -> u16 {
    let [a, b, ..] = value.to_le_bytes();
    u16::from_le_bytes([a, b])
}

/// Returns the high 16 bits.
pub(crate) fn hi16(value: u32) -> u16 {
    lo16(value >> 16)
}

/// Returns the low 32 bits.
pub(crate) fn lo32(value: u64) -> u32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// Returns the high 32 bits.
pub(crate) fn hi32(value: u64) -> u32 {
    lo32(value >> 32)
}

/// Returns a number as an index; too large for this machine becomes an index that nothing has.
pub(crate) fn index(value: impl TryInto<usize>) -> usize {
    value.try_into().unwrap_or(usize::MAX)
}

/// Returns a length as a 64-bit number.
pub(crate) fn long(value: usize) -> u64 {
    value as u64
}

/// Returns a count as a 32-bit number; what does not fit saturates, for a limit to catch.
pub(crate) fn short(value: impl TryInto<u32>) -> u32 {
    value.try_into().unwrap_or(u32::MAX)
}
