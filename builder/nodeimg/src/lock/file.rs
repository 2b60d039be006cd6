//! The lock's text form: TOML, written by hand so that it reads and diffs well, read back by serde.

use super::{Image, Lock, Locked, Package, Signer};
use crate::error::{Error, Result, input};
use crate::toml_text;
use serde::Deserialize;
use std::fmt::Write as _;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LockFile {
    version: u32,
    profile: String,
    profile_sha256: String,
    time: i64,
    kubernetes: Option<String>,
    kernel: String,
    base: LockedFile,
    #[serde(default, rename = "signer")]
    signers: Vec<SignerFile>,
    #[serde(default, rename = "package")]
    packages: Vec<PackageFile>,
    #[serde(default, rename = "file")]
    files: Vec<LockedFile>,
    #[serde(default, rename = "image")]
    images: Vec<ImageFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ImageFile {
    name: String,
    media_type: String,
    url: String,
    sha256: String,
    size: u64,
    #[serde(default, rename = "blob")]
    blobs: Vec<LockedFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LockedFile {
    url: String,
    sha256: String,
    size: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PackageFile {
    name: String,
    version: String,
    arch: String,
    url: String,
    sha256: String,
    size: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignerFile {
    url: String,
    key: String,
    made: i64,
}

/// The only version there is.
const VERSION: u32 = 1;

/// Parses a lock.
pub fn parse(file: &str, bytes: &[u8]) -> Result<Lock> {
    let it: LockFile = toml_text::parse(file, bytes)?;
    if it.version != VERSION {
        return Err(Error::input(format!(
            "{file} is a lock of version {}, this nodeimg reads version {VERSION}",
            it.version
        ))
        .help("delete it to lock anew, or use the nodeimg that wrote it"));
    }
    let locked = |it: LockedFile| -> Result<Locked> {
        Ok(Locked {
            sha256: it
                .sha256
                .parse()
                .map_err(input(format!("{file}: {}", it.url)))?,
            url: it.url,
            size: it.size,
        })
    };
    Ok(Lock {
        profile: it.profile,
        profile_digest: it
            .profile_sha256
            .parse()
            .map_err(input(format!("{file}: profile_sha256")))?,
        time: it.time,
        kubernetes: it.kubernetes,
        kernel: it.kernel,
        base: locked(it.base)?,
        signers: it
            .signers
            .into_iter()
            .map(|it| Signer {
                url: it.url,
                key: it.key,
                made: it.made,
            })
            .collect(),
        packages: it
            .packages
            .into_iter()
            .map(|it| {
                let deb = locked(LockedFile {
                    url: it.url,
                    sha256: it.sha256,
                    size: it.size,
                })?;
                Ok(Package {
                    name: it.name,
                    version: it.version,
                    arch: it.arch,
                    deb,
                })
            })
            .collect::<Result<_>>()?,
        files: it.files.into_iter().map(locked).collect::<Result<_>>()?,
        images: it
            .images
            .into_iter()
            .map(|it| {
                Ok(Image {
                    name: it.name.parse().map_err(input(file.to_owned()))?,
                    media_type: it.media_type,
                    manifest: locked(LockedFile {
                        url: it.url,
                        sha256: it.sha256,
                        size: it.size,
                    })?,
                    blobs: it.blobs.into_iter().map(locked).collect::<Result<_>>()?,
                })
            })
            .collect::<Result<_>>()?,
    })
}

/// Returns the lock as text; [`parse`] reads it back.
pub fn render(lock: &Lock) -> String {
    let mut text = String::from(
        "# Made by nodeimg. The same lock gives the same bytes; delete it to lock anew.\n",
    );
    let mut line =
        |it: std::fmt::Arguments<'_>| writeln!(text, "{it}").expect("a String takes all");
    line(format_args!("version = {VERSION}"));
    line(format_args!("profile = {}", quoted(&lock.profile)));
    line(format_args!("profile_sha256 = \"{}\"", lock.profile_digest));
    line(format_args!("time = {}", lock.time));
    if let Some(it) = &lock.kubernetes {
        line(format_args!("kubernetes = {}", quoted(it)));
    }
    line(format_args!("kernel = {}", quoted(&lock.kernel)));
    let locked = |it: &Locked| {
        format!(
            "url = {}\nsha256 = \"{}\"\nsize = {}",
            quoted(&it.url),
            it.sha256,
            it.size
        )
    };
    line(format_args!("\n[base]\n{}", locked(&lock.base)));
    for it in &lock.signers {
        let (url, key) = (quoted(&it.url), quoted(&it.key));
        line(format_args!(
            "\n[[signer]]\nurl = {url}\nkey = {key}\nmade = {}",
            it.made
        ));
    }
    for it in &lock.packages {
        let (name, version, arch) = (quoted(&it.name), quoted(&it.version), quoted(&it.arch));
        line(format_args!(
            "\n[[package]]\nname = {name}\nversion = {version}\narch = {arch}\n{}",
            locked(&it.deb)
        ));
    }
    for it in &lock.files {
        line(format_args!("\n[[file]]\n{}", locked(it)));
    }
    for it in &lock.images {
        let (name, media_type) = (quoted(&it.name.to_string()), quoted(&it.media_type));
        line(format_args!(
            "\n[[image]]\nname = {name}\nmedia_type = {media_type}\n{}",
            locked(&it.manifest)
        ));
        for it in &it.blobs {
            line(format_args!("\n[[image.blob]]\n{}", locked(it)));
        }
    }
    text
}

/// Returns a TOML basic string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
