//! OpenPGP: keyrings, signed texts, detached signatures.

use trust::{Expiry, Keyring, Rules, UnixTime};

/// The data that detached signatures are tried on.
pub const SIGNED: &[u8] = b"9c0e  jammy-server-cloudimg-amd64.img\n";

/// Reads a keyring and a message signed by it. The input is the keyring's length in four bytes, the keyring, the message.
pub fn openpgp(data: &[u8]) {
    let Some((len, rest)) = data.split_first_chunk::<4>() else {
        return;
    };
    let len = u32::from_le_bytes(*len) as usize;
    let len = len.min(rest.len());
    let (keys, message) = rest.split_at(len);
    let Ok(keyring) = Keyring::parse(keys) else {
        return;
    };
    let all = keyring.fingerprints();
    let Ok(keyring) = keyring.select(&all) else {
        return;
    };
    for expiry in [Expiry::Refuse, Expiry::Note] {
        let rules = Rules {
            at: UnixTime(1_900_000_000),
            expiry,
        };
        drop(trust::verify_cleartext(&keyring, message, &rules));
        drop(trust::verify_detached(&keyring, SIGNED, message, &rules));
    }
}
