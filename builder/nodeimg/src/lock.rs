//! A lock: every input of a build by URL, version, size and SHA-256, and the one time that is used for everything.
//!
//! The same lock gives the same bytes. A lock is bound to the profile's text: change that, and the lock must be made anew.

mod file;
mod images;
mod repositories;
mod resolve;

use crate::digest::Digest;
use crate::profile::Profile;
use crate::reference::Reference;
use crate::want::{Kind, Want};
use std::collections::BTreeSet;

pub use file::{parse, render};
pub use images::resolve as resolve_images;
pub(crate) use repositories::Reader;
pub use resolve::{Means, lock};

/// Every input of a build.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lock {
    /// The profile this was made for.
    pub profile: String,
    /// What that profile was, with all it extends: see [`profile_digest`].
    pub profile_digest: Digest,
    /// Seconds since 1970 of the newest repository used: the time of everything that is made, not copied.
    pub time: i64,
    /// Exact version of Kubernetes, where the node has any of it.
    pub kubernetes: Option<String>,
    /// The base image.
    pub base: Locked,
    /// Who signed what the digests come from, for people.
    pub signers: Vec<Signer>,
    /// The base's kernel release: `5.15.0-1061-raspi`.
    pub kernel: String,
    /// Packages in the order they are unpacked and configured.
    pub packages: Vec<Package>,
    /// Single files.
    pub files: Vec<Locked>,
    /// Container images.
    pub images: Vec<Image>,
}

/// An input by its digest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Locked {
    /// Where it was found.
    pub url: String,
    /// Its name.
    pub sha256: Digest,
    /// Size in bytes.
    pub size: u64,
}

/// A package to be unpacked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Package {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Architecture, or `all`.
    pub arch: String,
    /// The `.deb`.
    pub deb: Locked,
}

/// A container image for one architecture.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Image {
    /// Its name.
    pub name: Reference,
    /// What kind of manifest it has: `application/vnd.oci.image.manifest.v1+json`.
    pub media_type: String,
    /// Its manifest: what the name stood for when it was locked.
    pub manifest: Locked,
    /// What the manifest names: configuration and layers, in its order, each once.
    pub blobs: Vec<Locked>,
}

/// Who vouched for a list of digests.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Signer {
    /// The signed file.
    pub url: String,
    /// Fingerprint of the primary key.
    pub key: String,
    /// When it was signed, in seconds since 1970.
    pub made: i64,
}

/// Returns the digest of all files a profile was read from.
pub fn profile_digest(profile: &Profile) -> Digest {
    let text: String = profile
        .sources
        .iter()
        .map(|(path, digest)| format!("{digest}  {path}\n"))
        .collect();
    Digest::of(text.as_bytes())
}

impl Locked {
    /// Returns what to ask a host for, with a word for it.
    pub fn want(&self, what: String, kind: Kind) -> Want {
        Want {
            what,
            url: self.url.clone(),
            digest: Some(self.sha256),
            size: Some(self.size),
            limit: self.size,
            kind,
        }
    }
}

impl Lock {
    /// Returns everything that must be in the cache before a build, with a word for each.
    pub fn wants(&self) -> Vec<Want> {
        let want = |what: String, it: &Locked| it.want(what, Kind::File);
        let mut wants = vec![want("base image".to_owned(), &self.base)];
        wants.extend(
            self.packages
                .iter()
                .map(|it| want(format!("{} {}", it.name, it.version), &it.deb)),
        );
        wants.extend(self.files.iter().map(|it| want(it.url.clone(), it)));
        // Images share layers.
        let mut known = BTreeSet::new();
        for it in &self.images {
            let word = format!("manifest of {}", it.name);
            let manifest = it.manifest.want(word, Kind::ImageManifest);
            let blobs = it
                .blobs
                .iter()
                .map(|blob| want(format!("part of {}", it.name), blob));
            let all = std::iter::once(manifest).chain(blobs);
            wants.extend(all.filter(|it| known.insert(it.digest)));
        }
        wants
    }
}
