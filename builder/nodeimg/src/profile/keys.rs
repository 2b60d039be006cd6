//! Repositories and the keys that sign them, as profiles and bases name them.

use crate::error::{Error, Result};
use trust::Fingerprint;

/// A signing key: trusted by its fingerprint, fetched from where its owner publishes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Key {
    /// Fingerprints of the primary keys that may sign; one suffices.
    pub fingerprints: Vec<Fingerprint>,
    /// Where the keys themselves are; whatever is found there is believed only under these fingerprints.
    pub urls: Vec<String>,
}

/// A Debian-format repository.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Repository {
    /// The root, without a trailing `/`.
    pub url: String,
    /// Suites below `dists/`; `/` alone is a flat repository.
    pub suites: Vec<String>,
    /// Components; none in a flat repository.
    pub components: Vec<String>,
    /// Names of the keys that may sign it.
    pub keys: Vec<String>,
    /// Among repositories that offer a package, the one of the highest priority wins; 500 unless said.
    pub priority: i32,
}

impl Key {
    /// Returns a key of at least one fingerprint, each of 40 hexadecimal digits with or without spaces.
    pub fn new(name: &str, fingerprints: &[String], urls: Vec<String>) -> Result<Self> {
        let fingerprints = fingerprints
            .iter()
            .map(|it| it.replace(' ', "").parse())
            .collect::<std::result::Result<Vec<Fingerprint>, _>>()
            .map_err(|cause| {
                Error::input(format!("fingerprint of key {name:?} is not usable")).because(cause)
            })?;
        if fingerprints.is_empty() {
            return Err(Error::input(format!("key {name:?} has no fingerprint")));
        }
        Ok(Self { fingerprints, urls })
    }
}
