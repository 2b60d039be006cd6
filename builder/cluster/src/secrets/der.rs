//! PEM (RFC 7468) and the one DER structure no library writes as Kubernetes reads it: a SEC 1 P-256 key that names its curve.
//!
//! Go refuses an `EC PRIVATE KEY` without the curve's name, and `p256` leaves it out.

use base64ct::{Base64, Encoding as _};

use crate::Secret;

/// Wraps `der` into PEM with lines of 64 characters.
pub(super) fn pem(label: &str, der: &[u8]) -> String {
    lines(label, der, 64)
}

/// Wraps `data` into an armour of `width` characters a line; OpenSSH's is 70.
pub(super) fn lines(label: &str, data: &[u8], width: usize) -> String {
    let text = Base64::encode_string(data);
    let mut res = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(width.min(rest.len()));
        res.push_str(line);
        res.push('\n');
        rest = tail;
    }
    res + &format!("-----END {label}-----\n")
}

/// Writes an `ECPrivateKey` (RFC 5915 §3) on P-256: version 1, the scalar, the curve, the uncompressed point.
pub(super) fn sec1_pem(scalar: &[u8; 32], point: &[u8; 65]) -> Secret {
    let mut der = vec![0x30, 0x77, 0x02, 0x01, 0x01, 0x04, 0x20];
    der.extend_from_slice(scalar);
    // [0] OBJECT IDENTIFIER prime256v1 (1.2.840.10045.3.1.7).
    der.extend_from_slice(&[
        0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
    ]);
    // [1] BIT STRING without unused bits.
    der.extend_from_slice(&[0xa1, 0x44, 0x03, 0x42, 0x00]);
    der.extend_from_slice(point);
    Secret::new(pem("EC PRIVATE KEY", &der))
}
