//! Mirrors: an origin's URL becomes another URL, or a folder. The longest prefix wins; whole path segments match.

use nodeimg::error::{Error, Result};
use std::path::{Path, PathBuf};

/// Where bytes are really taken from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Source {
    /// An `http` or `https` URL.
    Url(String),
    /// A file of this machine.
    File(PathBuf),
}

/// Rules that redirect origins, and the origins themselves where no rule fits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mirrors {
    rules: Vec<(String, Source)>,
}

impl Mirrors {
    /// Adds a rule; one added later wins over an earlier one of the same length. Relative folders are below `base`.
    pub(crate) fn add(&mut self, from: &str, to: &str, base: &Path) -> Result<()> {
        if !is_url(from) {
            let what = format!("mirror of {from:?}: an origin begins with http:// or https://");
            return Err(
                Error::input(what).help("for example https://cloud-images.ubuntu.com=/srv/mirror")
            );
        }
        if to.is_empty() {
            return Err(Error::input(format!(
                "mirror of {from}: there is nothing to take instead"
            )));
        }
        let to = if is_url(to) {
            Source::Url(to.trim_end_matches('/').to_owned())
        } else if let Some(path) = to.strip_prefix("file://") {
            Source::File(file_path(path)?)
        } else {
            Source::File(base.join(to))
        };
        self.rules.push((from.trim_end_matches('/').to_owned(), to));
        Ok(())
    }

    /// Adds a rule written as `FROM=TO`.
    pub(crate) fn add_argument(&mut self, text: &str) -> Result<()> {
        let (from, to) = text.split_once('=').ok_or_else(|| {
            Error::input(format!("--mirror {text:?} is not FROM=TO"))
                .help("for example --mirror https://cloud-images.ubuntu.com=/srv/mirror")
        })?;
        self.add(from, to, Path::new(""))
    }

    /// Returns where to take a URL's bytes from.
    pub(crate) fn resolve(&self, url: &str) -> Result<Source> {
        let fits = |from: &str| {
            url.strip_prefix(from)
                .filter(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let found = self
            .rules
            .iter()
            .filter_map(|(from, to)| fits(from).map(|rest| (from.len(), rest, to)));
        match found.max_by_key(|(len, ..)| *len) {
            Some((_, rest, Source::Url(to))) => Ok(Source::Url(format!("{to}{rest}"))),
            Some((_, rest, Source::File(to))) => Ok(Source::File(below(to, rest, url)?)),
            None if is_url(url) => Ok(Source::Url(url.to_owned())),
            None => match url.strip_prefix("file://") {
                Some(path) => Ok(Source::File(file_path(path)?)),
                None => Err(Error::input(format!(
                    "{url:?} is no URL of http, https or file"
                ))),
            },
        }
    }
}

fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

/// Returns the file of a mirror's folder that a URL's tail names, and never one outside of it.
fn below(folder: &Path, tail: &str, url: &str) -> Result<PathBuf> {
    let mut path = folder.to_owned();
    for part in decode(tail)?.split('/').filter(|it| !it.is_empty()) {
        if part == ".." || part.contains('\0') {
            return Err(Error::input(format!(
                "{url} leads out of the mirror {}",
                folder.display()
            )));
        }
        path.push(part);
    }
    Ok(path)
}

/// Returns the path of a `file` URL, which has no host (RFC 8089).
fn file_path(rest: &str) -> Result<PathBuf> {
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    if !path.starts_with('/') {
        return Err(
            Error::input(format!("file://{rest} names no absolute path"))
                .help("file:///srv/mirror does"),
        );
    }
    Ok(PathBuf::from(decode(path)?))
}

/// Undoes percent-encoding (RFC 3986, section 2.1).
fn decode(text: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digit = |at: usize| after.get(at).and_then(|it| char::from(*it).to_digit(16));
        rest = if let (b'%', Some(high), Some(low)) = (first, digit(0), digit(1)) {
            bytes.push(u8::try_from(high * 16 + low).expect("two hexadecimal digits"));
            &after[2..]
        } else {
            bytes.push(*first);
            after
        };
    }
    String::from_utf8(bytes)
        .map_err(|err| Error::input(format!("{text:?} is not UTF-8")).because(err))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Source {
        Source::Url(text.to_owned())
    }

    #[test]
    fn the_longest_prefix_of_whole_segments_wins() {
        let mut mirrors = Mirrors::default();
        mirrors
            .add_argument("https://a.example=http://127.0.0.1:1/a/")
            .unwrap();
        mirrors
            .add_argument("https://a.example/deep/=/srv/deep")
            .unwrap();
        mirrors
            .add("http://b.example", "site", Path::new("/etc/nodeimg"))
            .unwrap();
        for (origin, wanted) in [
            ("https://a.example/x", url("http://127.0.0.1:1/a/x")),
            ("https://a.example", url("http://127.0.0.1:1/a")),
            ("https://a.example.org/x", url("https://a.example.org/x")),
            (
                "https://a.example/deeper",
                url("http://127.0.0.1:1/a/deeper"),
            ),
            (
                "https://a.example/deep/a%20b%2f..c",
                Source::File("/srv/deep/a b/..c".into()),
            ),
            (
                "http://b.example//x/./y",
                Source::File("/etc/nodeimg/site/x/./y".into()),
            ),
            ("https://c.example/?q=1", url("https://c.example/?q=1")),
            ("file:///srv/x%25", Source::File("/srv/x%".into())),
            ("file://localhost/srv/x", Source::File("/srv/x".into())),
        ] {
            assert_eq!(mirrors.resolve(origin).unwrap(), wanted);
        }
        mirrors
            .add_argument("https://a.example=https://later.example")
            .unwrap();
        assert_eq!(
            mirrors.resolve("https://a.example/x").unwrap(),
            url("https://later.example/x")
        );
    }

    #[test]
    fn nothing_leads_out_of_a_mirror() {
        let mut mirrors = Mirrors::default();
        mirrors.add_argument("https://a.example=/srv").unwrap();
        for bad in [
            "https://a.example/../etc/passwd",
            "https://a.example/%2e%2e/x",
            "https://a.example/x%2F..%2f..",
        ] {
            assert!(mirrors.resolve(bad).is_err(), "{bad}");
        }
        for bad in ["ftp://a.example/x", "/srv/x", "", "file://host/x"] {
            assert!(mirrors.resolve(bad).is_err(), "{bad}");
        }
        for bad in [
            "https://a.example",
            "a.example=/srv",
            "https://a.example=",
            "=x",
        ] {
            assert!(mirrors.add_argument(bad).is_err(), "{bad}");
        }
    }
}
