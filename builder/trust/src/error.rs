//! Why nothing is believed: one error for the crate, with one refusal for each signature that was looked at.

use crate::fingerprint::Fingerprint;
use crate::policy::UnixTime;
use std::fmt;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Text that should be a fingerprint is none.
    #[error("{text:?} is no key fingerprint: 40 hexadecimal digits are wanted")]
    BadFingerprint {
        /// The text, cut short.
        text: String,
    },
    /// More bytes than anything of this kind has.
    #[error("{what} has {bytes} bytes, and at most {limit} are read")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// How many bytes it has.
        bytes: usize,
        /// How many it may have.
        limit: usize,
    },
    /// Bytes that are not what they should be.
    #[error("{what} is malformed: {why}")]
    Malformed {
        /// What it is.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// What a passphrase should open it does not.
    #[error("the passphrase is wrong, or the sealed text was changed")]
    WrongPassphrase,
    /// No certificate of the keyring is pinned.
    #[error("none of the keys {} is in the keyring, which holds {}", list(.wanted), list(.held))]
    NoPinnedKey {
        /// The primary fingerprints that are pinned.
        wanted: Vec<Fingerprint>,
        /// The primary fingerprints of the keyring.
        held: Vec<Fingerprint>,
    },
    /// There is no signature by a trusted key that could be believed.
    #[error("no good signature by a trusted key: {}; trusted: {}", tried(.attempts), list(.trusted))]
    Untrusted {
        /// What became of each signature; empty if there was none.
        attempts: Vec<Attempt>,
        /// The primary fingerprints of the keys that were asked for.
        trusted: Vec<Fingerprint>,
    },
}

/// A signature that was looked at and not believed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Attempt {
    /// Who says to have signed: a fingerprint where the signature names one, else a key id, else `unnamed`.
    pub signer: String,
    /// Why that is not good enough.
    pub why: Refusal,
}

/// Why a signature is not believed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No trusted certificate has such a key.
    #[error("not a trusted key")]
    UnknownKey,
    /// The signature does not match the bytes: they, or it, were altered.
    #[error("does not match the data")]
    Mismatch,
    /// A digest that can be forged, or that nobody should use.
    #[error("uses {0}, only SHA-256, SHA-384 and SHA-512 are accepted")]
    WeakHash(String),
    /// A key that can be broken, or of a kind nobody should use.
    #[error("made by a weak key ({0})")]
    WeakKey(String),
    /// The key's owner declared it void.
    #[error("key is revoked")]
    Revoked,
    /// The key was no longer, or not yet, valid when the signature was made.
    #[error("made at {made}, when the key was not valid ({valid})")]
    NotValidThen {
        /// When the signature was made.
        made: UnixTime,
        /// From when to when the key was valid.
        valid: String,
    },
    /// The key has expired since, and the rules refuse that.
    #[error("key expired at {0}")]
    Expired(UnixTime),
    /// The signature says itself until when it counts.
    #[error("signature expired at {0}")]
    SignatureExpired(UnixTime),
    /// The signature was made later than now.
    #[error("dated in the future ({0})")]
    Future(UnixTime),
    /// Nothing on the certificate allows this key to sign.
    #[error("key is not bound for signing: {0}")]
    NotBound(&'static str),
    /// A signature of a kind, version or with demands that are not known here.
    #[error("{0}")]
    Unsupported(String),
}

/// Returns fingerprints for a sentence.
fn list(all: &[Fingerprint]) -> String {
    const SHOWN: usize = 8;
    if all.is_empty() {
        return "none".to_owned();
    }
    let mut shown: Vec<_> = all.iter().take(SHOWN).map(ToString::to_string).collect();
    if all.len() > SHOWN {
        shown.push(format!("{} more", all.len() - SHOWN));
    }
    shown.join(", ")
}

/// Returns what became of each signature, for a sentence.
fn tried(all: &[Attempt]) -> String {
    if all.is_empty() {
        return "there is no signature".to_owned();
    }
    all.iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "signed by {}: {}", self.signer, self.why)
    }
}
