//! Signatures over bytes: detached ones, and those of cleartext messages.

use crate::armor::{self, Block};
use crate::cleartext::Cleartext;
use crate::error::{Attempt, Error, Refusal};
use crate::fingerprint::Fingerprint;
use crate::keyring::Keyring;
use crate::policy::{self, Age, Life, Rules, UnixTime};
use pgp::composed::SignedPublicKey;
use pgp::packet::{Packet, PacketParser, Signature, SignatureType};
use pgp::ser::Serialize;
use pgp::types::VerifyingKey;

/// The largest cleartext message; Ubuntu's largest `InRelease` has 300 KB.
const MAX_TEXT: usize = 16 << 20;
/// The largest file of signatures.
const MAX_SIGNATURE: usize = 64 << 10;
/// How many signatures are looked at.
const MAX_SIGNATURES: usize = 16;

/// A good signature.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Signed {
    /// The pinned primary key in whose name it was made.
    pub by: Fingerprint,
    /// The key that made it: the primary itself or one of its subkeys.
    pub key: Fingerprint,
    /// When it was made.
    pub made: UnixTime,
    /// Whether the key has expired since; only ever true under [`crate::Expiry::Note`].
    pub expired: bool,
}

/// Verifies `data` against a detached signature file, armored or binary, and returns the signature that is good.
///
/// Every certificate of `keyring` is trusted: see [`Keyring::select`]. One good signature suffices, as archives sign with
/// old and new keys at once. Signatures over text rather than bytes (`gpg --textmode`) are refused: they leave line ends open.
pub fn verify_detached(
    keyring: &Keyring,
    data: &[u8],
    signature: &[u8],
    rules: &Rules,
) -> Result<Signed, Error> {
    let signatures = signatures(signature)?;
    judge_all(
        keyring,
        &signatures,
        &Message {
            data,
            kind: SignatureType::Binary,
        },
        rules,
    )
}

/// Verifies a cleartext-signed text, such as an `InRelease`, and returns what was signed, and the signature that is good.
///
/// The body's lines end in LF and have no trailing blanks, whatever the file has: signatures do not cover either.
pub fn verify_cleartext(
    keyring: &Keyring,
    text: &[u8],
    rules: &Rules,
) -> Result<(Vec<u8>, Signed), Error> {
    if text.len() > MAX_TEXT {
        return Err(Error::TooLarge {
            what: "signed text",
            bytes: text.len(),
            limit: MAX_TEXT,
        });
    }
    let message = Cleartext::parse(text)?;
    let signatures = signatures(message.signature)?;
    let signed = judge_all(
        keyring,
        &signatures,
        &Message {
            data: &message.hashed,
            kind: SignatureType::Text,
        },
        rules,
    )?;
    Ok((message.body, signed))
}

/// What a signature should be over.
struct Message<'a> {
    data: &'a [u8],
    kind: SignatureType,
}

/// Reads a file of signature packets; anything else in it is an error.
fn signatures(file: &[u8]) -> Result<Vec<Signature>, Error> {
    if file.len() > MAX_SIGNATURE {
        return Err(Error::TooLarge {
            what: "signature",
            bytes: file.len(),
            limit: MAX_SIGNATURE,
        });
    }
    let malformed = |why: String| Error::Malformed {
        what: "signature",
        why,
    };
    let packets = armor::packets(file, Block::Signature)?;
    let mut signatures = Vec::new();
    let mut rest = packets.as_slice();
    while !rest.is_empty() {
        if signatures.len() == MAX_SIGNATURES {
            return Err(malformed(format!(
                "it has more than {MAX_SIGNATURES} packets"
            )));
        }
        let mut parser = PacketParser::new(rest);
        match parser.next() {
            Some(Ok(Packet::Signature(signature))) => signatures.push(signature),
            Some(Ok(other)) => {
                return Err(malformed(format!(
                    "it has a {:?} packet",
                    pgp::packet::PacketTrait::tag(&other)
                )));
            }
            Some(Err(err)) => return Err(malformed(err.to_string())),
            None => return Err(malformed("it has something else than packets".to_owned())),
        }
        rest = parser.into_inner();
    }
    Ok(signatures)
}

/// Returns the best of the signatures: a good one, by a key that has not expired if there is one.
fn judge_all(
    keyring: &Keyring,
    signatures: &[Signature],
    message: &Message<'_>,
    rules: &Rules,
) -> Result<Signed, Error> {
    let mut attempts = Vec::new();
    let mut noted: Option<Signed> = None;
    for signature in signatures {
        match judge(keyring, signature, message, rules) {
            Ok(signed) if !signed.expired => return Ok(signed),
            Ok(signed) => noted = noted.or(Some(signed)),
            Err(why) => attempts.push(Attempt {
                signer: signer(signature),
                why,
            }),
        }
    }
    noted.ok_or_else(|| Error::Untrusted {
        attempts,
        trusted: keyring.wanted(),
    })
}

/// Judges one signature by every key that may have made it.
fn judge(
    keyring: &Keyring,
    signature: &Signature,
    message: &Message<'_>,
    rules: &Rules,
) -> Result<Signed, Refusal> {
    let mut refusal = Refusal::UnknownKey;
    for cert in &keyring.certs {
        if policy::issued_by(signature, &cert.primary_key) {
            let life = || policy::primary_signs(cert).and_then(|()| policy::primary_life(cert));
            match by_key(signature, &cert.primary_key, message, rules) {
                Ok(made) => match conclude(cert, &cert.primary_key, made, life(), rules) {
                    Ok(signed) => return Ok(signed),
                    Err(why) => refusal = why,
                },
                Err(why) => refusal = why,
            }
        }
        for subkey in cert
            .public_subkeys
            .iter()
            .filter(|it| policy::issued_by(signature, &it.key))
        {
            let life = || policy::subkey_life(cert, subkey);
            match by_key(signature, &subkey.key, message, rules) {
                Ok(made) => match conclude(cert, &subkey.key, made, life(), rules) {
                    Ok(signed) => return Ok(signed),
                    Err(why) => refusal = why,
                },
                Err(why) => refusal = why,
            }
        }
    }
    Err(refusal)
}

/// Checks a signature against one key, and returns when it was made.
fn by_key<K: VerifyingKey + Serialize>(
    signature: &Signature,
    key: &K,
    message: &Message<'_>,
    rules: &Rules,
) -> Result<UnixTime, Refusal> {
    let made = policy::acceptable(signature, message.kind, rules)?;
    policy::strong_key(key)?;
    signature
        .verify(key, message.data)
        .map_err(|_| Refusal::Mismatch)?;
    Ok(made)
}

/// Judges the times of a signature that matches: the primary key's life bounds its subkeys'.
fn conclude(
    cert: &SignedPublicKey,
    key: &impl VerifyingKey,
    made: UnixTime,
    life: Result<Life, Refusal>,
    rules: &Rules,
) -> Result<Signed, Refusal> {
    policy::strong_key(&cert.primary_key)?;
    let ages = [
        policy::primary_life(cert)?.judge(made, rules)?,
        life?.judge(made, rules)?,
    ];
    let version = || Refusal::Unsupported("key of another version than 4".to_owned());
    Ok(Signed {
        by: Fingerprint::of(&cert.primary_key).ok_or_else(version)?,
        key: Fingerprint::of(key).ok_or_else(version)?,
        made,
        expired: ages.contains(&Age::Expired),
    })
}

/// Returns what a signature calls its maker.
fn signer(signature: &Signature) -> String {
    let fingerprint = signature
        .issuer_fingerprint()
        .first()
        .map(|it| format!("{it:X}"));
    let id = || {
        signature
            .issuer_key_id()
            .first()
            .map(|it| it.to_string().to_uppercase())
    };
    fingerprint
        .or_else(id)
        .unwrap_or_else(|| "unnamed".to_owned())
}
