//! The folder of a cluster's secrets, beside the cluster's file: in plain files for their owner alone, or under a passphrase.
//!
//! Everything secret follows from the root seed in `secrets.toml`. Under a passphrase that file is `secrets.toml.asc`, and of
//! the others only what is public is written; what was there in plain is removed.

use super::Host;
use crate::host::passphrase::Purpose;
use crate::host::{at, file, given, lock, output};
use anyhow::{Context as _, Result};
use cluster::{Cluster, Mode, Secrets};
use nodeimg::error::Error;
use std::fs::{self, DirBuilder, File};
use std::io::Read as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

const PLAIN: &str = "secrets.toml";
const SEALED: &str = "secrets.toml.asc";

/// How secrets are kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Keeping {
    /// In plain files, mode 0600.
    Plain,
    /// Under a passphrase.
    Sealed,
}

/// A folder of secrets.
#[derive(Debug)]
pub(super) struct Vault {
    folder: PathBuf,
}

impl Vault {
    /// Returns the folder beside a cluster's file: `cluster.secrets` for `cluster.toml`.
    pub(super) fn beside(file: &Path) -> Self {
        Self {
            folder: file.with_extension("secrets"),
        }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the folder unless it is there, and locks it: of two that make secrets at once, the second finds the first's.
    pub(super) fn lock(&self) -> Result<lock::Lock> {
        make_folder(&self.folder)?;
        lock::folder(&self.folder).with_context(|| format!("locking {}", self.folder.display()))
    }

    /// Returns how the secrets are kept, if there are any.
    pub(super) fn kept(&self) -> Option<Keeping> {
        let has = |name: &str| self.folder.join(name).exists();
        // Both are there when sealing was cut short: the plain one is known to be whole.
        if has(PLAIN) {
            Some(Keeping::Plain)
        } else if has(SEALED) {
            Some(Keeping::Sealed)
        } else {
            None
        }
    }

    /// Reads the secrets; it must be known that there are some.
    pub(super) fn read(&self, host: &Host, cluster: &Cluster, keeping: Keeping) -> Result<Secrets> {
        let path = self.folder.join(match keeping {
            Keeping::Plain => PLAIN,
            Keeping::Sealed => SEALED,
        });
        let mut text = fs::read_to_string(&path).map_err(given("the secrets", &path))?;
        if keeping == Keeping::Sealed {
            let passphrase = host.passphrase.get(Purpose::Open)?;
            let opened = trust::open(&text, passphrase).map_err(|err| {
                Error::input(format!("{} cannot be opened", path.display())).because(err)
            })?;
            text = String::from_utf8(opened)
                .map_err(|_| Error::input(format!("{} holds no text", path.display())))?;
        }
        let parsed = Secrets::parse(&text, &path.display().to_string(), &cluster.name);
        Ok(parsed.map_err(Error::from)?)
    }

    /// Writes all files of the folder; nobody else may look into it, whatever the umask.
    pub(super) fn write(
        &self,
        host: &Host,
        secrets: &Secrets,
        cluster: &Cluster,
        keeping: Keeping,
    ) -> Result<()> {
        let files = secrets.files(cluster).map_err(Error::from)?;
        if keeping == Keeping::Sealed {
            let passphrase = host.passphrase.get(Purpose::Seal)?;
            let sealed = trust::seal(secrets.to_text().expose().as_bytes(), passphrase, random()?)
                .map_err(|err| Error::world("the secrets cannot be sealed").because(err))?;
            output::write_with_mode(&self.folder.join(SEALED), 0o600, sealed.as_bytes())?;
        }
        for secret in files {
            let path = self.folder.join(&secret.name);
            if keeping == Keeping::Sealed && secret.mode == Mode::Private {
                file::remove(&path).map_err(at("remove", &path))?;
                continue;
            }
            make_folder(path.parent().unwrap_or(&self.folder))?;
            output::write_with_mode(
                &path,
                secret.mode.bits(),
                secret.content.expose().as_bytes(),
            )?;
        }
        Ok(())
    }
}

/// Makes a folder of secrets unless it is there.
pub(super) fn make_folder(path: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    Ok(made.map_err(at("make folder", path))?)
}

/// Draws 32 bytes from the operating system's random numbers.
pub(super) fn random() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")
        .and_then(|mut it| it.read_exact(&mut bytes))
        .context("drawing random numbers")?;
    Ok(bytes)
}
