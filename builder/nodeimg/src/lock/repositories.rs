//! Debian-format repositories while locking: signed Release files, the indexes they vouch for, and the choice of packages.

use super::resolve::{Means, any_key, list, signer, small};
use super::{Locked, Package, Signer};
use crate::base::fill;
use crate::digest::Digest;
use crate::error::{Error, Result, input};
use crate::facts::BaseFacts;
use crate::profile::{Profile, Repository};
use crate::want::{Kind, Want};
use deb::solve::{self, Installed, Repository as Candidates, Wanted};
use deb::{Arch, Compression, Index, Release};
use fstree::ReadAt;
use std::collections::BTreeMap;
use trust::{Keyring, Rules};

/// The largest index, decoded; Ubuntu's universe has 80 MB.
const MAX_INDEX: u64 = 1 << 30;

/// One suite of one repository, signature checked.
pub(super) struct Suite {
    /// The repository's name in the profile.
    pub(super) repository: String,
    /// The folder of the Release file.
    pub(super) folder: String,
    /// What it vouches for.
    pub(super) release: Release,
}

/// One package index.
pub(super) struct SuiteIndex {
    /// The repository's name in the profile.
    repository: String,
    index: Index,
}

/// Fetches and verifies every suite's Release file.
pub(super) fn suites(
    profile: &Profile,
    means: &Means<'_>,
    keyrings: &BTreeMap<String, Keyring>,
    rules: &Rules,
) -> Result<(Vec<Suite>, Vec<Signer>)> {
    let mut folders = Vec::new();
    for (name, repository) in &profile.repositories {
        folders.extend(
            repository
                .suites
                .iter()
                .map(|suite| (name, repository, folder(repository, suite))),
        );
    }
    let wants: Vec<Want> = folders
        .iter()
        .map(|(name, _, folder)| list(format!("release of {name}"), format!("{folder}/InRelease")))
        .collect();
    let found = means.fetch.fetch(&wants)?;
    let (mut suites, mut signers) = (Vec::new(), Vec::new());
    for ((name, repository, folder), source) in folders.into_iter().zip(found) {
        let url = format!("{folder}/InRelease");
        let text = small(&source, &url)?;
        let (signed, body) = any_key(&repository.keys, keyrings, &url, |ring| {
            let (body, signed) = trust::verify_cleartext(ring, &text, rules)?;
            Ok((signed, body))
        })?;
        let release = Release::parse(&body).map_err(input(url.clone()))?;
        signers.push(signer(&url, &signed));
        suites.push(Suite {
            repository: name.clone(),
            folder,
            release,
        });
    }
    Ok((suites, signers))
}

/// Returns the folder of a suite's Release file.
fn folder(repository: &Repository, suite: &str) -> String {
    match suite.trim_matches('/') {
        "" => repository.url.clone(),
        suite => format!("{}/dists/{suite}", repository.url),
    }
}

/// Fetches the package indexes that the Release files vouch for.
pub(super) fn indexes(
    profile: &Profile,
    suites: &[Suite],
    means: &Means<'_>,
) -> Result<Vec<SuiteIndex>> {
    let arch =
        Arch::new(&profile.base.arch.to_string()).map_err(input("the base's architecture"))?;
    let (mut wants, mut owners) = (Vec::new(), Vec::new());
    for suite in suites {
        let repository = &profile.repositories[&suite.repository];
        let mut places: Vec<Option<(&str, &Arch)>> = repository
            .components
            .iter()
            .map(|it| Some((it.as_str(), &arch)))
            .collect();
        if places.is_empty() {
            places.push(None);
        }
        for place in places {
            let (path, entry) = suite.release.packages(place).ok_or_else(|| {
                let what = place.map_or_else(
                    || "Packages".to_owned(),
                    |(component, _)| format!("component {component}"),
                );
                Error::input(format!(
                    "{}/InRelease does not list {what} for {arch}",
                    suite.folder
                ))
            })?;
            let at = if suite.release.acquire_by_hash {
                Release::by_hash(&path, &entry)
            } else {
                path.clone()
            };
            wants.push(Want {
                what: format!("index of {}", suite.repository),
                url: format!("{}/{at}", suite.folder),
                digest: Some(Digest::from_bytes(entry.sha256.0)),
                size: Some(entry.size),
                limit: entry.size,
                kind: Kind::File,
            });
            owners.push((suite.repository.clone(), Compression::of_name(&path)));
        }
    }
    let found = means.fetch.fetch(&wants)?;
    let read =
        |((want, (repository, compression)), source): ((&Want, (String, Compression)), _)| {
            let reader = Reader { source, at: 0 };
            let index =
                Index::read(reader, compression, MAX_INDEX).map_err(input(want.url.clone()))?;
            Ok(SuiteIndex { repository, index })
        };
    wants.iter().zip(owners).zip(found).map(read).collect()
}

/// A source read from its beginning to its end.
pub(crate) struct Reader {
    /// The source.
    pub(crate) source: std::sync::Arc<dyn ReadAt>,
    /// Where the next byte is.
    pub(crate) at: u64,
}

impl std::io::Read for Reader {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let left = self.source.size().saturating_sub(self.at);
        let n = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        self.source.read_exact_at(&mut buf[..n], self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl std::io::Seek for Reader {
    fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
        let (from, by) = match to {
            std::io::SeekFrom::Start(at) => (at, 0),
            std::io::SeekFrom::End(by) => (self.source.size(), by),
            std::io::SeekFrom::Current(by) => (self.at, by),
        };
        let at = from.checked_add_signed(by);
        self.at = at.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

/// Chooses what to install, and pins it.
pub(super) fn solve(
    profile: &Profile,
    facts: &BaseFacts,
    indexes: &[SuiteIndex],
) -> Result<Vec<Package>> {
    let arch =
        Arch::new(&profile.base.arch.to_string()).map_err(input("the base's architecture"))?;
    let installed =
        Installed::parse(&facts.status, &arch).map_err(input("the base's package database"))?;
    let candidates: Vec<Candidates<'_>> = indexes
        .iter()
        .map(|it| Candidates {
            index: &it.index,
            priority: profile.repositories[&it.repository].priority,
        })
        .collect();
    let wanted = wanted(profile, facts)?;
    let choices = solve::solve(&installed, &candidates, &arch, &wanted).map_err(|cause| {
        Error::input(format!(
            "the packages of profile {:?} cannot be chosen",
            profile.name
        ))
        .because(cause)
    })?;
    let package = |choice: solve::Choice| {
        let repository = &profile.repositories[&indexes[choice.repository].repository];
        let entry = choice.entry;
        Package {
            name: entry.name.to_string(),
            version: entry.version.to_string(),
            arch: entry.arch.to_string(),
            deb: Locked {
                url: format!(
                    "{}/{}",
                    repository.url,
                    entry.filename.trim_start_matches("./")
                ),
                sha256: Digest::from_bytes(entry.sha256.0),
                size: entry.size,
            },
        }
    };
    Ok(choices.into_iter().map(package).collect())
}

/// Returns what the profile wants, with its placeholders filled.
fn wanted(profile: &Profile, facts: &BaseFacts) -> Result<Vec<Wanted>> {
    let kernel = facts.kernels.last().map_or("", String::as_str);
    let mut values = vec![("kernel", kernel)];
    // A minor takes its newest patch; an exact version its newest packaging.
    let pattern = profile.kubernetes.as_ref().map(|it| {
        let separator = if it.version.split('.').count() > 2 {
            "-"
        } else {
            "."
        };
        format!("{}{separator}*", it.version)
    });
    values.extend(pattern.as_deref().map(|it| ("version", it)));
    profile
        .install
        .iter()
        .map(|text| {
            let text = fill(text, &values)?;
            Wanted::parse(&text).map_err(input(format!(
                "profile {:?} installs {text:?}",
                profile.name
            )))
        })
        .collect()
}
