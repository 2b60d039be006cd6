//! Keyrings: files of certificates (transferable public keys, RFC 9580, section 10.1), and the choice of those pinned.
//!
//! Parsing believes nothing: what a certificate says of itself is checked by `policy.rs` when a signature is.

use crate::armor::{self, Block};
use crate::error::Error;
use crate::fingerprint::Fingerprint;
use crate::packets;
use pgp::composed::{Deserializable as _, SignedPublicKey};
use std::collections::BTreeSet;
use std::fmt;

/// The largest keyring that is read; a distribution's has some tens of kilobytes.
const MAX_BYTES: usize = 4 << 20;
/// How many certificates, and parts of one certificate, are looked at.
const MAX_CERTS: usize = 1024;

/// Certificates, and which of them were asked for.
#[derive(Clone)]
pub struct Keyring {
    pub(crate) certs: Vec<SignedPublicKey>,
    wanted: Vec<Fingerprint>,
}

impl Keyring {
    /// Reads a keyring file, binary or armored, with any number of certificates.
    ///
    /// Certificates that cannot be understood are left out, as are those of other versions than 4: if one of them is
    /// pinned, [`Keyring::select`] says that it is missing.
    pub fn parse(file: &[u8]) -> Result<Self, Error> {
        if file.len() > MAX_BYTES {
            return Err(Error::TooLarge {
                what: "keyring",
                bytes: file.len(),
                limit: MAX_BYTES,
            });
        }
        let malformed = |why: String| Error::Malformed {
            what: "keyring",
            why,
        };
        let packets = armor::packets(file, Block::PublicKey)?;
        packets::affordable(&packets).map_err(malformed)?;
        let certs: Vec<_> = SignedPublicKey::from_bytes_many(packets.as_slice())
            .map_err(|err| malformed(err.to_string()))?
            .take(MAX_CERTS)
            .filter_map(Result::ok)
            .filter(|it| Fingerprint::of(&it.primary_key).is_some())
            .collect();
        if certs.is_empty() {
            return Err(malformed("there is no public key in it".to_owned()));
        }
        let wanted = certs
            .iter()
            .filter_map(|it| Fingerprint::of(&it.primary_key))
            .collect();
        Ok(Self { certs, wanted })
    }

    /// Returns the keyring with only those certificates whose primary key is pinned.
    ///
    /// A subkey's fingerprint pins nothing. It is enough that one of the pinned keys is there: sites drop old keys.
    pub fn select(&self, pinned: &[Fingerprint]) -> Result<Self, Error> {
        let keep: BTreeSet<_> = pinned.iter().copied().collect();
        let certs: Vec<_> = self
            .certs
            .iter()
            .filter(|it| Fingerprint::of(&it.primary_key).is_some_and(|it| keep.contains(&it)))
            .cloned()
            .collect();
        if certs.is_empty() {
            return Err(Error::NoPinnedKey {
                wanted: pinned.to_vec(),
                held: self.fingerprints(),
            });
        }
        Ok(Self {
            certs,
            wanted: pinned.to_vec(),
        })
    }

    /// Returns the primary fingerprints of the certificates, in the file's order.
    pub fn fingerprints(&self) -> Vec<Fingerprint> {
        self.certs
            .iter()
            .filter_map(|it| Fingerprint::of(&it.primary_key))
            .collect()
    }

    /// Returns the primary fingerprints that were asked for, whether or not they are here.
    pub(crate) fn wanted(&self) -> Vec<Fingerprint> {
        self.wanted.clone()
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keyring")
            .field(&self.fingerprints())
            .finish()
    }
}
