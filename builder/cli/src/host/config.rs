//! The user's settings: `$XDG_CONFIG_HOME/nodeimg/config.toml`, then `./nodeimg.toml`, then arguments; later ones win.
//!
//! Says only where bytes come from and which keys may sign them, never what an image holds.

use super::given;
use super::mirror::Mirrors;
use nodeimg::error::{Error, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What settings and arguments say together.
#[derive(Debug, Default)]
pub(crate) struct Config {
    /// Where origins are redirected to.
    pub(crate) mirrors: Mirrors,
    /// Keys that take the place of shipped ones, by the name profiles call them.
    pub(crate) keys: BTreeMap<String, KeySource>,
}

/// Which keys a user trusts in place of a shipped fingerprint.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum KeySource {
    /// Every primary key of this keyring.
    Keyring {
        /// Where the file was.
        path: PathBuf,
        /// What it holds.
        bytes: Vec<u8>,
    },
    /// The primary keys with these fingerprints.
    Fingerprints(Vec<String>),
}

impl Config {
    /// Reads the settings files that exist, then the arguments `--mirror FROM=TO` and `--key NAME=FILE`.
    pub(crate) fn load(files: &[PathBuf], mirrors: &[String], keys: &[String]) -> Result<Self> {
        let mut config = Self::default();
        for file in files {
            match fs::read_to_string(file) {
                Ok(text) => config.add_file(file, &text)?,
                Err(err) if err.kind() == io::ErrorKind::NotFound => {}
                Err(err) => return Err(given("the settings", file)(err)),
            }
        }
        for text in mirrors {
            config.mirrors.add_argument(text)?;
        }
        for text in keys {
            let pair = text
                .split_once('=')
                .filter(|(name, file)| !name.is_empty() && !file.is_empty());
            let (name, file) = pair.ok_or_else(|| {
                Error::input(format!("--key {text:?} is not NAME=FILE"))
                    .help("for example --key ubuntu=site.gpg")
            })?;
            config
                .keys
                .insert(name.to_owned(), keyring(Path::new(file))?);
        }
        Ok(config)
    }

    /// Returns a sentence for each key that a user put in place of a shipped one: it must not go unseen.
    pub(crate) fn notices(&self) -> Vec<String> {
        let tell = |(name, source): (&String, &KeySource)| match source {
            KeySource::Keyring { path, .. } => {
                format!("key {name}: every key in {} is trusted", path.display())
            }
            KeySource::Fingerprints(list) => format!("key {name}: trusted are {}", list.join(", ")),
        };
        self.keys.iter().map(tell).collect()
    }

    fn add_file(&mut self, path: &Path, text: &str) -> Result<()> {
        let wrong = |what: &str| Error::input(format!("{}: {what}", path.display()));
        let file: File = toml::from_str(text)
            .map_err(|err| wrong("this is no nodeimg configuration").because(err))?;
        let base = path.parent().unwrap_or(Path::new(""));
        for (from, to) in &file.mirrors {
            self.mirrors
                .add(from, to, base)
                .map_err(|err| wrong("[mirrors] is wrong").because(err))?;
        }
        for (name, value) in file.keys {
            let form = || {
                wrong(&format!(
                    "keys.{name} is neither a file's path nor a list of fingerprints"
                ))
            };
            let source = match value {
                toml::Value::String(file) => keyring(&base.join(file))?,
                toml::Value::Array(list) if !list.is_empty() => {
                    let text = |it: &toml::Value| it.as_str().map(str::to_owned).ok_or_else(form);
                    KeySource::Fingerprints(list.iter().map(text).collect::<Result<_>>()?)
                }
                _ => return Err(form()),
            };
            self.keys.insert(name, source);
        }
        Ok(())
    }
}

/// Returns the settings files of this user and folder, whether or not they exist.
pub(crate) fn default_files() -> Vec<PathBuf> {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|it| it.is_absolute())
    };
    let base =
        absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|it| it.join(".config")));
    base.map(|it| it.join("nodeimg/config.toml"))
        .into_iter()
        .chain([PathBuf::from("nodeimg.toml")])
        .collect()
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    mirrors: BTreeMap<String, String>,
    #[serde(default)]
    keys: BTreeMap<String, toml::Value>,
}

/// The largest keyring that is read.
const MAX_KEYRING: u64 = 4 << 20;

fn keyring(path: &Path) -> Result<KeySource> {
    let missing = |err| {
        Error::input(format!("cannot read the keyring {}", path.display()))
            .help("name a file of public keys")
            .because(err)
    };
    let size = fs::metadata(path).map_err(missing)?.len();
    if size > MAX_KEYRING {
        return Err(Error::input(format!(
            "{} is no keyring: it has {size} bytes",
            path.display()
        )));
    }
    let bytes = fs::read(path).map_err(missing)?;
    Ok(KeySource::Keyring {
        path: path.to_owned(),
        bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::super::mirror::Source;
    use super::*;

    #[test]
    fn later_settings_win_and_paths_are_relative_to_their_file() {
        let folder = tempfile::tempdir().unwrap();
        let (global, local) = (
            folder.path().join("config.toml"),
            folder.path().join("nodeimg.toml"),
        );
        fs::write(folder.path().join("site.gpg"), "keys").unwrap();
        fs::write(
            &global,
            "[mirrors]\n\"https://a.example\" = \"mirror\"\n[keys]\nubuntu = \"site.gpg\"\n",
        )
        .unwrap();
        fs::write(&local, "[keys]\nkubernetes = [\"00\", \"11\"]\n").unwrap();
        let files = [folder.path().join("missing.toml"), global, local];
        let config = Config::load(&files, &[], &[]).unwrap();
        let path = folder.path().join("mirror/x");
        assert_eq!(
            config.mirrors.resolve("https://a.example/x").unwrap(),
            Source::File(path)
        );
        assert_eq!(
            config.keys["kubernetes"],
            KeySource::Fingerprints(vec!["00".into(), "11".into()])
        );
        assert!(
            matches!(&config.keys["ubuntu"], KeySource::Keyring { bytes, .. } if bytes == b"keys")
        );
        let key = format!("kubernetes={}", folder.path().join("site.gpg").display());
        let config = Config::load(
            &files,
            &["https://a.example=http://b.example".into()],
            &[key],
        )
        .unwrap();
        assert_eq!(
            config.mirrors.resolve("https://a.example/x").unwrap(),
            Source::Url("http://b.example/x".into())
        );
        assert!(matches!(
            &config.keys["kubernetes"],
            KeySource::Keyring { .. }
        ));
        assert_eq!(config.notices().len(), 2);
    }

    #[test]
    fn wrong_settings_are_refused_with_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("nodeimg.toml");
        for bad in [
            "[mirror]\n",
            "[keys]\na = 1\n",
            "[keys]\na = []\n",
            "[keys]\na = \"none.gpg\"\n",
            "[mirrors]\nx = \"y\"\n",
            "[",
            "[keys]\na = [1]\n",
        ] {
            fs::write(&file, bad).unwrap();
            let error = Config::load(std::slice::from_ref(&file), &[], &[]).unwrap_err();
            assert!(matches!(error, Error::Input { .. }), "{bad}: {error}");
        }
        for bad in ["ubuntu", "=x", "ubuntu=", "ubuntu=/nonexistent"] {
            assert!(Config::load(&[], &[], &[bad.to_owned()]).is_err(), "{bad}");
        }
    }
}
