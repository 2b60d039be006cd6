//! What makes a key good: digests, key sizes, self-signatures, bindings, revocations and times (RFC 9580, sections 5.2
//! and 10.1).
//!
//! `pgp` checks single signatures and has no opinion of keys; its `verify_bindings` fails on certificates that carry
//! other people's signatures, so each self-signature is checked here, and others' are passed over. Two rules differ from
//! the usual: a revoked key is refused whatever the reason and the day, and a SHA-1 self-signature of a *primary* key
//! may still shorten its life (old keys have no other), though it can bind no subkey.

use crate::error::Refusal;
use pgp::composed::{SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureConfig, SignatureType, SignatureVersion, SubpacketData};
use pgp::ser::Serialize as _;
use pgp::types::{KeyDetails, PublicParams, Tag, Timestamp};
use std::fmt;

/// Seconds since 1970-01-01 00:00:00 UTC.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct UnixTime(pub u64);

impl fmt::Display for UnixTime {
    /// Writes `2024-11-02T00:00:00Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, seconds) = (self.0 / 86_400, self.0 % 86_400);
        // Eras of 400 years that begin on a 1st of March have 146 097 days; 1970 began 719 468 days into the first.
        let shifted = days.saturating_add(719_468);
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 {
            from_march + 3
        } else {
            from_march - 9
        };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
        )
    }
}

/// What to do about a key that has expired since it signed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expiry {
    /// Refuse its signatures.
    Refuse,
    /// Accept signatures made while it was valid, and note that it has expired: it is pinned, and no new bytes are
    /// believed for it.
    Note,
}

/// By which rules signatures are judged.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The time that counts as now.
    pub at: UnixTime,
    /// What to do about keys that have expired.
    pub expiry: Expiry,
}

/// How far ahead of now a signature may be dated, for clocks that differ.
const MAX_SKEW: u64 = 86_400;
/// How many self-signatures of one component are checked.
const MAX_SELF_SIGNATURES: usize = 64;
/// How many user ids of a certificate are looked at.
const MAX_USERS: usize = 64;
/// The smallest RSA modulus.
const MIN_RSA_BITS: u16 = 2048;

/// From when to when a key is valid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    from: u64,
    until: Option<u64>,
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from {}", UnixTime(self.from))?;
        self.until
            .map_or(Ok(()), |it| write!(f, " until {}", UnixTime(it)))
    }
}

/// Whether a key that made a good signature has expired since.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Age {
    Current,
    Expired,
}

impl Life {
    fn new(key: &impl KeyDetails, binding: &Signature) -> Self {
        let from = u64::from(key.created_at().as_secs());
        // Zero means never (section 5.2.3.13).
        let seconds = binding
            .key_expiration_time()
            .map(|it| u64::from(it.as_secs()))
            .filter(|it| *it != 0);
        Self {
            from,
            until: seconds.map(|it| from + it),
        }
    }

    /// Judges a signature made at a time by a key with this life.
    pub(crate) fn judge(&self, made: UnixTime, rules: &Rules) -> Result<Age, Refusal> {
        if made.0 < self.from || self.until.is_some_and(|it| made.0 >= it) {
            return Err(Refusal::NotValidThen {
                made,
                valid: self.to_string(),
            });
        }
        match (self.until.filter(|it| *it <= rules.at.0), rules.expiry) {
            (None, _) => Ok(Age::Current),
            (Some(_), Expiry::Note) => Ok(Age::Expired),
            (Some(until), Expiry::Refuse) => Err(Refusal::Expired(UnixTime(until))),
        }
    }
}

/// Returns when a signature was made, if it is of a kind that can be believed at all; matches no bytes and no key yet.
pub(crate) fn acceptable(
    signature: &Signature,
    kind: SignatureType,
    rules: &Rules,
) -> Result<UnixTime, Refusal> {
    let config = signature
        .config()
        .filter(|_| signature.version() == SignatureVersion::V4);
    let config = config.ok_or_else(|| {
        Refusal::Unsupported(format!("signature of version {:?}", signature.version()))
    })?;
    if config.typ != kind {
        return Err(Refusal::Unsupported(format!(
            "signature over {:?}, not over {kind:?}",
            config.typ
        )));
    }
    strong_hash(signature)?;
    no_unknown_demand(signature)?;
    let made = signature
        .created()
        .ok_or_else(|| Refusal::Unsupported("signature without a date".to_owned()))?;
    let made = u64::from(made.as_secs());
    if made > rules.at.0.saturating_add(MAX_SKEW) {
        return Err(Refusal::Future(UnixTime(made)));
    }
    match ends(signature).filter(|it| *it <= rules.at.0) {
        Some(end) => Err(Refusal::SignatureExpired(UnixTime(end))),
        None => Ok(UnixTime(made)),
    }
}

/// Checks that a key is of a kind and size that can be believed.
pub(crate) fn strong_key(key: &impl KeyDetails) -> Result<(), Refusal> {
    match key.public_params() {
        // A key's numbers are written with their bits counted before them (section 3.2); the modulus is the first.
        PublicParams::RSA(rsa) => {
            match rsa.to_bytes().ok().and_then(|it| it.first_chunk().copied()) {
                Some(bits) if u16::from_be_bytes(bits) >= MIN_RSA_BITS => Ok(()),
                bits => Err(Refusal::WeakKey(format!(
                    "RSA of {} bits, at least {MIN_RSA_BITS} are wanted",
                    bits.map_or(0, u16::from_be_bytes)
                ))),
            }
        }
        PublicParams::EdDSALegacy(_)
        | PublicParams::Ed25519(_)
        | PublicParams::Ed448(_)
        | PublicParams::ECDSA(_) => Ok(()),
        _ => Err(Refusal::WeakKey(format!("{:?}", key.algorithm()))),
    }
}

/// Returns a primary key's life by its newest self-signature, unless it is revoked.
pub(crate) fn primary_life(cert: &SignedPublicKey) -> Result<Life, Refusal> {
    let key = &cert.primary_key;
    let details = &cert.details;
    let revoked = |it: &&Signature| {
        it.typ() == Some(SignatureType::KeyRevocation) && it.verify_key(key).is_ok()
    };
    if details.revocation_signatures.iter().any(|it| revoked(&it)) {
        return Err(Refusal::Revoked);
    }
    let direct = details
        .direct_signatures
        .iter()
        .filter(|it| it.typ() == Some(SignatureType::Key) && issued_by(it, key))
        .take(MAX_SELF_SIGNATURES)
        .filter(|it| it.verify_key(key).is_ok());
    let users = details.users.iter().take(MAX_USERS).flat_map(|user| {
        user.signatures
            .iter()
            .filter(|it| it.is_certification() && issued_by(it, key))
            .take(MAX_SELF_SIGNATURES)
            .filter(|it| it.verify_certification(key, Tag::UserId, &user.id).is_ok())
    });
    let newest = direct
        .chain(users)
        .max_by_key(|it| it.created().map(Timestamp::as_secs));
    newest
        .map(|it| Life::new(key, it))
        .ok_or(Refusal::NotBound("its certificate has no self-signature"))
}

/// Checks that a primary key may sign data itself: its self-signatures say nothing, or say so.
pub(crate) fn primary_signs(cert: &SignedPublicKey) -> Result<(), Refusal> {
    let users = cert.details.users.iter().flat_map(|it| &it.signatures);
    let flags = cert
        .details
        .direct_signatures
        .iter()
        .chain(users)
        .filter(|it| issued_by(it, &cert.primary_key) && has_flags(it))
        .max_by_key(|it| it.created().map(Timestamp::as_secs));
    match flags {
        Some(it) if !it.key_flags().sign() => {
            Err(Refusal::NotBound("its primary key only certifies"))
        }
        _ => Ok(()),
    }
}

/// Returns a signing subkey's life by its newest binding, unless it is revoked or not bound for signing.
///
/// A binding counts if the primary key made it and, inside it, the subkey signed back (section 10.1.5): else anybody
/// could claim another's subkey as theirs.
pub(crate) fn subkey_life(
    cert: &SignedPublicKey,
    subkey: &SignedPublicSubKey,
) -> Result<Life, Refusal> {
    let (primary, key) = (&cert.primary_key, &subkey.key);
    let verified = |it: &&Signature| it.verify_subkey_binding(primary, key).is_ok();
    let of_kind = |kind| {
        subkey
            .signatures
            .iter()
            .filter(move |it| it.typ() == Some(kind))
    };
    if of_kind(SignatureType::SubkeyRevocation)
        .take(MAX_SELF_SIGNATURES)
        .any(|it| verified(&it))
    {
        return Err(Refusal::Revoked);
    }
    let newest = of_kind(SignatureType::SubkeyBinding)
        .filter(|it| it.version() == SignatureVersion::V4 && issued_by(it, primary))
        .take(MAX_SELF_SIGNATURES)
        .filter(verified)
        .max_by_key(|it| it.created().map(Timestamp::as_secs))
        .ok_or(Refusal::NotBound("its primary key did not sign it"))?;
    strong_hash(newest)?;
    no_unknown_demand(newest)?;
    if !newest.key_flags().sign() {
        return Err(Refusal::NotBound("the subkey is not for signing"));
    }
    let back = newest
        .embedded_signature()
        .ok_or(Refusal::NotBound("the subkey did not sign back"))?;
    strong_hash(back)?;
    if back.verify_primary_key_binding(key, primary).is_err() {
        return Err(Refusal::NotBound("the subkey's back signature is wrong"));
    }
    Ok(Life::new(key, newest))
}

fn strong_hash(signature: &Signature) -> Result<(), Refusal> {
    match signature.hash_alg() {
        Some(HashAlgorithm::Sha256 | HashAlgorithm::Sha384 | HashAlgorithm::Sha512) => Ok(()),
        Some(other) => Err(Refusal::WeakHash(other.to_string())),
        None => Err(Refusal::WeakHash("no digest".to_owned())),
    }
}

/// Refuses signatures that demand what is not understood (section 5.2.3.7); private and notation data are such things.
fn no_unknown_demand(signature: &Signature) -> Result<(), Refusal> {
    let unknown = signature
        .config()
        .into_iter()
        .flat_map(SignatureConfig::hashed_subpackets)
        .any(|it| {
            it.is_critical
                && matches!(
                    it.data,
                    SubpacketData::Experimental(..)
                        | SubpacketData::Other(..)
                        | SubpacketData::Notation(_)
                )
        });
    if unknown {
        return Err(Refusal::Unsupported(
            "signature with a critical part that is not understood".to_owned(),
        ));
    }
    Ok(())
}

/// Returns when a signature says that it ends.
fn ends(signature: &Signature) -> Option<u64> {
    let seconds = signature
        .signature_expiration_time()
        .map(|it| u64::from(it.as_secs()))
        .filter(|it| *it != 0)?;
    Some(u64::from(signature.created()?.as_secs()) + seconds)
}

fn has_flags(signature: &Signature) -> bool {
    let mut parts = signature
        .config()
        .into_iter()
        .flat_map(SignatureConfig::hashed_subpackets);
    parts.any(|it| matches!(it.data, SubpacketData::KeyFlags(_)))
}

/// Returns whether a signature names this key as its maker, or none: others' certifications cost no time that way.
pub(crate) fn issued_by(signature: &Signature, key: &impl KeyDetails) -> bool {
    let (ids, fingerprints) = (signature.issuer_key_id(), signature.issuer_fingerprint());
    (ids.is_empty() && fingerprints.is_empty())
        || ids.iter().any(|it| **it == key.legacy_key_id())
        || fingerprints.iter().any(|it| **it == key.fingerprint())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_dates() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_730_505_600, "2024-11-02T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(UnixTime(seconds).to_string(), text);
        }
    }
}
