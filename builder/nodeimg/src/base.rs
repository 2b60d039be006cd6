//! A base image as data: where it is, who signs it, how it is laid out. Another release is another file.

use crate::error::{Error, Result};
use crate::profile::{Key, Repository};
use crate::toml_text;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;

/// A processor architecture, by Debian's name.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// x86-64.
    Amd64,
    /// `AArch64`.
    Arm64,
}

/// Where a node's seed goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeedPlace {
    /// On the FAT boot partition, which the base's cloud-init already looks at.
    BootPartition,
    /// In a small FAT partition of its own, labelled `CIDATA`, in the gap before the first partition.
    CidataPartition,
}

/// A base image.
#[derive(Clone, Debug)]
pub struct Base {
    /// Its file below `profiles/`, without `.toml`.
    pub name: String,
    /// One line for people.
    pub summary: String,
    /// Debian's name of the architecture.
    pub arch: Arch,
    /// The release's code name: `jammy`.
    pub codename: String,
    /// The image.
    pub url: String,
    /// The list of digests beside it, and that list's detached signature.
    pub sums_url: String,
    /// See `sums_url`.
    pub signature_url: String,
    /// Names of keys that may sign the list.
    pub keys: Vec<String>,
    /// Label of the root file system.
    pub root_label: String,
    /// Label of the FAT partition the firmware reads, where there is one to edit.
    pub boot_label: Option<String>,
    /// Where the seed goes.
    pub seed: SeedPlace,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BaseFile {
    summary: String,
    arch: Arch,
    codename: String,
    url: String,
    sums: String,
    signature: String,
    signed_by: Vec<String>,
    root_label: String,
    boot_label: Option<String>,
    seed: SeedPlace,
    #[serde(default, rename = "keys")]
    key_files: BTreeMap<String, crate::profile::KeyFile>,
    #[serde(default)]
    repositories: BTreeMap<String, crate::profile::RepositoryFile>,
}

/// What a base brings besides itself.
pub(crate) type Extras = (
    BTreeMap<String, crate::profile::KeyFile>,
    BTreeMap<String, crate::profile::RepositoryFile>,
);

impl Base {
    /// Parses a base file.
    pub(crate) fn parse(name: &str, file: &str, bytes: &[u8]) -> Result<(Self, Extras)> {
        let it: BaseFile = toml_text::parse(file, bytes)?;
        let folder = it.url.rsplit_once('/').map_or("", |(folder, _)| folder);
        if folder.contains("/current") || folder.contains("/daily") {
            return Err(Error::input(format!(
                "{file}: {} names a place whose content changes",
                it.url
            ))
            .help("name a dated release folder"));
        }
        let beside = |other: &str| {
            if other.contains("://") {
                other.to_owned()
            } else {
                format!("{folder}/{other}")
            }
        };
        let base = Self {
            name: name.to_owned(),
            summary: it.summary,
            arch: it.arch,
            codename: it.codename,
            sums_url: beside(&it.sums),
            signature_url: beside(&it.signature),
            url: it.url,
            keys: it.signed_by,
            root_label: it.root_label,
            boot_label: it.boot_label,
            seed: it.seed,
        };
        Ok((base, (it.key_files, it.repositories)))
    }

    /// Returns the image's file name, as the list of digests has it.
    pub fn file_name(&self) -> &str {
        self.url.rsplit('/').next().unwrap_or(&self.url)
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        })
    }
}

/// Replaces `{word}` by its value; an unknown word is an error that names the known ones.
pub(crate) fn fill(text: &str, values: &[(&str, &str)]) -> Result<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (word, after) = after
            .split_once('}')
            .ok_or_else(|| Error::input(format!("{text:?} has a `{{` without `}}`")))?;
        let value = values
            .iter()
            .find(|(name, _)| *name == word)
            .ok_or_else(|| {
                let known: Vec<_> = values.iter().map(|(name, _)| *name).collect();
                Error::input(format!("{text:?} names an unknown value `{word}`"))
                    .help(format!("known are {}", known.join(", ")))
            })?;
        out.push_str(before);
        out.push_str(value.1);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// Key and repository definitions need both a place and a signer.
pub(crate) fn repository(
    name: &str,
    file: crate::profile::RepositoryFile,
    values: &[(&str, &str)],
) -> Result<Repository> {
    let missing = |what: &str| Error::input(format!("repository {name:?} has no `{what}`"));
    let url = fill(&file.url.ok_or_else(|| missing("url"))?, values)?;
    let suites = file.suites.ok_or_else(|| missing("suites"))?;
    Ok(Repository {
        url: url.trim_end_matches('/').to_owned(),
        suites: suites
            .iter()
            .map(|it| fill(it, values))
            .collect::<Result<_>>()?,
        components: file.components.unwrap_or_default(),
        keys: file.keys.ok_or_else(|| missing("keys"))?,
        priority: file.priority.unwrap_or(500),
    })
}

/// See [`repository`].
pub(crate) fn key(name: &str, file: crate::profile::KeyFile) -> Result<Key> {
    Key::new(
        name,
        &file.fingerprints.unwrap_or_default(),
        file.urls.unwrap_or_default(),
    )
}
