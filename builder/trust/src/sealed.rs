//! A short text under a passphrase: an armored OpenPGP message (RFC 9580) that `gpg --decrypt` opens too.
//!
//! AES-256 with modification detection (SEIPD version 1), the key made of the passphrase by 65 million iterations of SHA-256
//! (S2K 3, the most there is a code for). The strength of the passphrase is its owner's matter.

use crate::Error;
use pgp::composed::{ArmorOptions, Message, MessageBuilder};
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::sym::SymmetricKeyAlgorithm;
use pgp::types::{Password, StringToKey};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use std::fmt::Display;
use std::io::Read as _;

/// The code of 65,011,712 bytes.
const ITERATIONS: u8 = 0xff;
/// The most that a sealed text, or what is in it, may have.
const LIMIT: usize = 1 << 20;
const WHAT: &str = "the sealed text";

/// Seals a text. `random` are 32 bytes drawn for this call alone.
pub fn seal(text: &[u8], passphrase: &str, random: [u8; 32]) -> Result<String, Error> {
    let mut draw = StdRng::from_seed(random);
    let key = StringToKey::new_iterated(&mut draw, HashAlgorithm::Sha256, ITERATIONS);
    let mut message = MessageBuilder::from_bytes("", text.to_vec())
        .seipd_v1(&mut draw, SymmetricKeyAlgorithm::AES256);
    message
        .encrypt_with_password(key, &Password::from(passphrase))
        .map_err(malformed)?;
    message
        .to_armored_string(&mut draw, ArmorOptions::default())
        .map_err(malformed)
}

/// Opens a text that [`seal`] or `gpg --symmetric` made. [`Error::WrongPassphrase`] also when it was changed since.
pub fn open(sealed: &str, passphrase: &str) -> Result<Vec<u8>, Error> {
    if sealed.len() > LIMIT {
        return Err(Error::TooLarge {
            what: WHAT,
            bytes: sealed.len(),
            limit: LIMIT,
        });
    }
    let (message, _) = Message::from_string(sealed).map_err(malformed)?;
    if !matches!(message, Message::Encrypted { .. }) {
        return Err(malformed("it is not encrypted"));
    }
    let wrong = |_| Error::WrongPassphrase;
    let mut message = message
        .decrypt_with_password(&Password::from(passphrase))
        .map_err(wrong)?;
    if message.is_compressed() {
        message = message.decompress().map_err(wrong)?;
    }
    let mut text = Vec::new();
    message
        .take(LIMIT as u64 + 1)
        .read_to_end(&mut text)
        .map_err(|_| Error::WrongPassphrase)?;
    if text.len() > LIMIT {
        return Err(Error::TooLarge {
            what: WHAT,
            bytes: text.len(),
            limit: LIMIT,
        });
    }
    Ok(text)
}

fn malformed(why: impl Display) -> Error {
    Error::Malformed {
        what: WHAT,
        why: format!("{why}"),
    }
}
