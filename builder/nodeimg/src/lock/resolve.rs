//! Making a lock: rounds of asking the host, with every signature checked before anything is read.
//!
//! First the signed lists (the base's SHA256SUMS, each suite's InRelease) and the keys; then what those vouch for (the base
//! image, the package indexes); then what the profile pins itself, and container images. A key is believed by its fingerprint alone,
//! wherever it came from.

use super::repositories::{self, Suite};
use super::{Lock, Locked, Package, Signer, profile_digest};
use crate::digest::Digest;
use crate::error::{Error, Result, input};
use crate::facts::{self, BaseFacts};
use crate::preload;
use crate::profile::{Profile, Role};
use crate::want::{Blobs, Fetch, Kind, Want};
use fstree::ReadAt;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use trust::{Expiry, Keyring, Rules, UnixTime};

/// Lists and signatures are small; anything larger is not what it says.
const MAX_LIST: u64 = 16 << 20;
/// The largest base image.
const MAX_BASE: u64 = 32 << 30;

/// What locking needs besides the profile.
#[expect(
    missing_debug_implementations,
    reason = "it holds what the host does, not data"
)]
pub struct Means<'a> {
    /// Fetches.
    pub fetch: &'a dyn Fetch,
    /// Opens what was fetched.
    pub blobs: &'a dyn Blobs,
    /// Keyring files that stand in for a named key, for mirrors that sign for themselves.
    pub keyrings: &'a BTreeMap<String, Vec<u8>>,
    /// The host's clock, by which signatures from the future are refused.
    pub now: u64,
    /// Threads to use.
    pub jobs: NonZeroUsize,
}

/// Pins every input of a profile.
pub fn lock(profile: &Profile, means: &Means<'_>) -> Result<Lock> {
    let keyrings = keyrings(profile, means)?;
    let rules = Rules {
        at: UnixTime(means.now),
        expiry: Expiry::Note,
    };
    let (base_digest, base_signer) = base_digest(profile, means, &keyrings, &rules)?;
    let (suites, mut signers) = repositories::suites(profile, means, &keyrings, &rules)?;
    signers.insert(0, base_signer);
    let base = Want {
        what: "base image".to_owned(),
        url: profile.base.url.clone(),
        digest: Some(base_digest),
        size: None,
        limit: MAX_BASE,
        kind: Kind::File,
    };
    let size = one(means.fetch, base.clone())?.size();
    let facts = facts::inspect(&profile.base, base_digest, means.blobs, means.jobs)?;
    let indexes = repositories::indexes(profile, &suites, means)?;
    let packages = repositories::solve(profile, &facts, &indexes)?;
    let kubernetes = kubernetes(profile, &packages)?;
    let images = preload::asked(profile, kubernetes.as_deref())?;
    Ok(Lock {
        profile: profile.name.clone(),
        profile_digest: profile_digest(profile),
        time: time(&suites, &signers),
        kubernetes,
        base: Locked {
            url: base.url,
            sha256: base_digest,
            size,
        },
        signers,
        kernel: kernel(&facts)?,
        packages,
        files: files(profile, means)?,
        images: super::resolve_images(&images, profile.base.arch, means.fetch)?,
    })
}

/// Fetches one thing.
fn one(fetch: &dyn Fetch, want: Want) -> Result<Arc<dyn ReadAt>> {
    let what = want.what.clone();
    fetch
        .fetch(&[want])?
        .pop()
        .ok_or_else(|| Error::world(format!("{what} was not fetched")))
}

/// Returns the bytes of something small.
pub(super) fn small(source: &dyn ReadAt, what: &str) -> Result<Vec<u8>> {
    if source.size() > MAX_LIST {
        return Err(Error::input(format!(
            "{what} has {} bytes, more than any such file",
            source.size()
        )));
    }
    let mut bytes = vec![0; usize::try_from(source.size()).expect("at most 16 MiB")];
    source
        .read_exact_at(&mut bytes, 0)
        .map_err(crate::error::world(what.to_owned()))?;
    Ok(bytes)
}

/// Returns a want of something small that has no digest yet.
pub(super) fn list(what: String, url: String) -> Want {
    Want {
        what,
        url,
        digest: None,
        size: None,
        limit: MAX_LIST,
        kind: Kind::File,
    }
}

/// Returns the pinned certificates of every key the profile uses.
fn keyrings(profile: &Profile, means: &Means<'_>) -> Result<BTreeMap<String, Keyring>> {
    let used = profile
        .repositories
        .values()
        .flat_map(|it| &it.keys)
        .chain(&profile.base.keys);
    let mut rings = BTreeMap::new();
    for name in used {
        if rings.contains_key(name) {
            continue;
        }
        let bad = || input(format!("key {name:?}"));
        let ring = if let Some(bytes) = means.keyrings.get(name) {
            Keyring::parse(bytes).map_err(bad())?
        } else {
            let key = &profile.keys[name];
            let wants: Vec<Want> = key
                .urls
                .iter()
                .map(|url| list(format!("key {name}"), url.clone()))
                .collect();
            let mut file = Vec::new();
            for source in means.fetch.fetch(&wants)? {
                file.extend(small(&source, &format!("key {name}"))?);
                file.push(b'\n');
            }
            Keyring::parse(&file)
                .and_then(|it| it.select(&key.fingerprints))
                .map_err(bad())?
        };
        rings.insert(name.clone(), ring);
    }
    Ok(rings)
}

/// Returns the base image's digest from the signed list beside it.
fn base_digest(
    profile: &Profile,
    means: &Means<'_>,
    keyrings: &BTreeMap<String, Keyring>,
    rules: &Rules,
) -> Result<(Digest, Signer)> {
    let base = &profile.base;
    let wants = [
        list("list of digests".to_owned(), base.sums_url.clone()),
        list("its signature".to_owned(), base.signature_url.clone()),
    ];
    let found = means.fetch.fetch(&wants)?;
    let sums = small(&found[0], &base.sums_url)?;
    let signature = small(&found[1], &base.signature_url)?;
    let (signed, ()) = any_key(&base.keys, keyrings, &base.sums_url, |ring| {
        Ok((trust::verify_detached(ring, &sums, &signature, rules)?, ()))
    })?;
    let text = String::from_utf8_lossy(&sums);
    let line = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(_, name)| name.trim_start_matches([' ', '*']) == base.file_name())
        .ok_or_else(|| {
            Error::input(format!(
                "{} does not name {}",
                base.sums_url,
                base.file_name()
            ))
        })?;
    Ok((line.0.parse()?, signer(&base.sums_url, &signed)))
}

/// Tries the keys in turn and returns the first good signature, or the last refusal.
pub(super) fn any_key<T>(
    keys: &[String],
    keyrings: &BTreeMap<String, Keyring>,
    what: &str,
    verify: impl Fn(&Keyring) -> std::result::Result<(trust::Signed, T), trust::Error>,
) -> Result<(trust::Signed, T)> {
    let mut refusal = Error::input(format!(
        "{what} is signed by nobody: no key is named for it"
    ));
    for key in keys {
        match verify(&keyrings[key]) {
            Ok(signed) => return Ok(signed),
            Err(cause) => {
                refusal = Error::input(format!("the signature of {what} is not good"))
                    .because(cause)
                    .help("a mirror that signs for itself is trusted by `--key NAME=FILE`; otherwise do not use these files");
            }
        }
    }
    Err(refusal)
}

pub(super) fn signer(url: &str, signed: &trust::Signed) -> Signer {
    let made = i64::try_from(signed.made.0).unwrap_or(i64::MAX);
    Signer {
        url: url.to_owned(),
        key: signed.by.to_string(),
        made,
    }
}

/// The newest repository's date is the build's time: never the clock's.
fn time(suites: &[Suite], signers: &[Signer]) -> i64 {
    let dates = suites.iter().filter_map(|it| it.release.date);
    dates
        .max()
        .or_else(|| signers.iter().map(|it| it.made).max())
        .unwrap_or(0)
}

/// The version of the package a node of this role cannot do without.
fn kubernetes(profile: &Profile, packages: &[Package]) -> Result<Option<String>> {
    if profile.kubernetes.is_none() {
        return Ok(None);
    }
    let wanted = match profile.role {
        Role::Controlplane | Role::Worker => "kubeadm",
        _ => "kubectl",
    };
    let found = packages
        .iter()
        .find(|it| it.name == wanted)
        .ok_or_else(|| {
            Error::input(format!("profile {:?} installs no {wanted}", profile.name)).help(format!(
                "`packages.install` names it: \"{wanted}={{version}}\""
            ))
        })?;
    let version = found.version.split('-').next().unwrap_or(&found.version);
    Ok(Some(version.to_owned()))
}

fn kernel(facts: &BaseFacts) -> Result<String> {
    facts
        .kernels
        .last()
        .cloned()
        .ok_or_else(|| Error::input("the base image has no kernel below /lib/modules"))
}

/// Fetches the profile's own files, to know their sizes.
fn files(profile: &Profile, means: &Means<'_>) -> Result<Vec<Locked>> {
    let wants: Vec<Want> = profile
        .files
        .iter()
        .map(|it| Want {
            what: it.url.clone(),
            url: it.url.clone(),
            digest: Some(it.sha256),
            size: None,
            limit: 4 << 30,
            kind: Kind::File,
        })
        .collect();
    let found = means.fetch.fetch(&wants)?;
    let locked = |(want, source): (&Want, &Arc<dyn ReadAt>)| Locked {
        url: want.url.clone(),
        sha256: want.digest.expect("set above"),
        size: source.size(),
    };
    Ok(wants.iter().zip(&found).map(locked).collect())
}
