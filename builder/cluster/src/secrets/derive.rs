//! HKDF-SHA256 (RFC 5869): one root seed, one salt a cluster, one label a secret.

use hkdf::Hkdf;
use sha2_of_hkdf::Sha256;

use super::Secrets;

/// Returns the `N` bytes that belong to `label`; at most 8160.
pub(super) fn bytes<const N: usize>(secrets: &Secrets, label: &str) -> [u8; N] {
    let salt = secrets.cluster.as_str().as_bytes();
    let mut res = [0; N];
    Hkdf::<Sha256>::new(Some(salt), &secrets.root.0)
        .expand_multi_info(&[b"nodeimg v1 ", label.as_bytes()], &mut res)
        .expect("HKDF gives up to 8160 bytes");
    res
}

#[cfg(test)]
mod tests {
    use hkdf::Hkdf;
    use sha2_of_hkdf::Sha256;

    #[test]
    fn the_derivation_is_the_one_of_rfc_5869() {
        // Appendix A.1.
        let salt: Vec<u8> = (0..=0x0c).collect();
        let info: Vec<u8> = (0xf0..=0xf9).collect();
        let mut okm = [0; 42];
        Hkdf::<Sha256>::new(Some(&salt), &[0x0b; 22])
            .expand(&info, &mut okm)
            .unwrap();
        assert_eq!(okm[..4], [0x3c, 0xb2, 0x5f, 0x25]);
        assert_eq!(okm[38..], [0x87, 0x18, 0x58, 0x65]);
    }
}
