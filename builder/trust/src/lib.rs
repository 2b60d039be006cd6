//! `OpenPGP` signatures by pinned keys (RFC 9580; RFC 4880 for what version 4 keys and signatures look like).
//!
//! A key is trusted because its primary fingerprint was written down beforehand, and for no other reason: there is no web
//! of trust here, no key server and no clock. [`Keyring::select`] keeps the pinned certificates of a keyring file;
//! [`verify_detached`] and [`verify_cleartext`] then want one good signature by one of them, and hand out bytes only with
//! it. The cryptography is the crate `pgp`'s; what is *good* is decided in `policy.rs`.
//!
//! [`seal`] and [`open`] keep a short text under a passphrase.
//!
//! Does not sign, encrypt to keys, or read keys of other versions than 4. Designated revokers are not followed.

mod armor;
mod cleartext;
mod error;
mod fingerprint;
mod keyring;
mod packets;
mod policy;
mod sealed;
mod verify;

pub use error::{Attempt, Error, Refusal};
pub use fingerprint::Fingerprint;
pub use keyring::Keyring;
pub use policy::{Expiry, Rules, UnixTime};
pub use sealed::{open, seal};
pub use verify::{Signed, verify_cleartext, verify_detached};
