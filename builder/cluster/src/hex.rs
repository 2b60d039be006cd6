//! Base 16 (RFC 4648 §8), lower case.

/// Returns two digits for each byte.
pub(crate) fn encode(bytes: &[u8]) -> String {
    base16(bytes, b"0123456789abcdef")
}

/// Returns two digits for each byte, letters in upper case.
pub(crate) fn encode_upper(bytes: &[u8]) -> String {
    base16(bytes, b"0123456789ABCDEF")
}

fn base16(bytes: &[u8], digits: &[u8; 16]) -> String {
    bytes
        .iter()
        .flat_map(|it| [it >> 4, it & 15])
        .map(|it| char::from(digits[usize::from(it)]))
        .collect()
}
