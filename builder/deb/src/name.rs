//! Names: of packages, architectures, and of content by its SHA-256. Debian Policy, sections 5.6.1 and 5.6.8.

use crate::error::Error;
use std::fmt;
use std::sync::Arc;

/// A binary package's name: at least one character of `a-z 0-9 + - . _`, the first alphanumeric.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PackageName(Arc<str>);

/// An architecture such as `amd64` or `all`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Arch(Arc<str>);

/// One installed instance: with multi-arch, one name may be installed for several architectures.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PackageId {
    /// The name.
    pub name: PackageName,
    /// The architecture as its control file says it, `all` included.
    pub arch: Arch,
}

/// A SHA-256.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Digest(pub [u8; 32]);

impl PackageName {
    /// Returns the name, or why it is none. Upper case is allowed, as dpkg allows it.
    pub fn new(text: &str) -> Result<Self, Error> {
        let first = text
            .bytes()
            .next()
            .ok_or_else(|| Error::syntax("package name", text, "it is empty"))?;
        if !first.is_ascii_alphanumeric() {
            return Err(Error::syntax(
                "package name",
                text,
                "it does not begin with a letter or a digit",
            ));
        }
        if text.len() > 255 {
            return Err(Error::syntax(
                "package name",
                text,
                "it is longer than 255 bytes",
            ));
        }
        if !text
            .bytes()
            .all(|it| it.is_ascii_alphanumeric() || b"+-._".contains(&it))
        {
            return Err(Error::syntax(
                "package name",
                text,
                "it holds characters other than a-z 0-9 + - . _",
            ));
        }
        Ok(Self(text.into()))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Arch {
    /// Returns the architecture, or why the text is none.
    pub fn new(text: &str) -> Result<Self, Error> {
        let good = |it: u8| it.is_ascii_alphanumeric() || it == b'-';
        if text.is_empty() || text.len() > 64 || !text.bytes().all(good) || text.starts_with('-') {
            return Err(Error::syntax(
                "architecture",
                text,
                "it is not a word of letters, digits and `-`",
            ));
        }
        Ok(Self(text.into()))
    }

    /// Returns `all`: a package for every architecture.
    pub fn all() -> Self {
        Self("all".into())
    }

    /// Returns whether this is `all`.
    pub fn is_all(&self) -> bool {
        &*self.0 == "all"
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Digest {
    /// Parses 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Result<Self, Error> {
        let bad = || Error::syntax("SHA-256", text, "it is not 64 hexadecimal digits");
        let mut digest = [0; 32];
        if text.len() != 64 || !text.bytes().all(|it| it.is_ascii_hexdigit()) {
            return Err(bad());
        }
        for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| bad())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| bad())?;
        }
        Ok(Self(digest))
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for PackageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.arch)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|it| write!(f, "{it:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_to_policy() {
        for good in ["g++-12", "libc6", "0ad", "libstdc++6", "python3.11"] {
            assert!(PackageName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a b", "a/b", "a:b", "ä", "..", "."] {
            assert!(PackageName::new(bad).is_err(), "{bad}");
        }
        assert!(Arch::new("kfreebsd-amd64").is_ok());
        assert!(Arch::new("../x").is_err());
    }

    #[test]
    fn digests_are_64_digits() {
        let text = "00ff".repeat(16);
        assert_eq!(Digest::from_hex(&text).unwrap().to_string(), text);
        for bad in ["", "00", &"zz".repeat(32), &"+1".repeat(32)] {
            assert!(Digest::from_hex(bad).is_err(), "{bad}");
        }
    }
}
