//! Debian versions and their order. Debian Policy, section 5.6.12; deb-version(7).
//!
//! A version keeps its text; two versions are equal when they compare equal (`1.0` and `0:1.0-0`), as in dpkg.

use crate::error::Error;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// `[epoch:]upstream[-revision]`.
#[derive(Clone)]
pub struct Version {
    text: Arc<str>,
    epoch: u32,
    /// Where the upstream version begins and ends in the text.
    upstream: (usize, usize),
}

impl Version {
    /// Parses a version; spaces around it are dropped.
    pub fn new(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let bad = |why| Error::syntax("version", text, why);
        let (epoch, start) = match text.split_once(':') {
            None => (0, 0),
            Some((epoch, _)) if epoch.bytes().all(|it| it.is_ascii_digit()) => {
                let number: i32 = epoch
                    .parse()
                    .map_err(|_| bad("its epoch is no number below 2^31"))?;
                (number.unsigned_abs(), epoch.len() + 1)
            }
            Some(_) => return Err(bad("its epoch is not a number")),
        };
        let rest = text.get(start..).unwrap_or_default();
        let upstream = rest.rsplit_once('-').map_or(rest, |(it, _)| it);
        let revision = rest.rsplit_once('-').map(|(_, it)| it);
        if upstream.is_empty() {
            return Err(bad("it is empty"));
        }
        if revision.is_some_and(str::is_empty) {
            return Err(bad("its revision is empty"));
        }
        if !upstream.starts_with(|it: char| it.is_ascii_digit()) {
            return Err(bad("it does not begin with a digit"));
        }
        let alnum = |it: u8| it.is_ascii_alphanumeric();
        if !upstream
            .bytes()
            .all(|it| alnum(it) || b".-+~:".contains(&it))
            || !revision
                .unwrap_or_default()
                .bytes()
                .all(|it| alnum(it) || b".+~".contains(&it))
        {
            return Err(bad("it holds characters other than a-z 0-9 . - + ~ :"));
        }
        Ok(Self {
            text: text.into(),
            epoch,
            upstream: (start, start + upstream.len()),
        })
    }

    /// Returns the text it was parsed from.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the text as dpkg writes it back: an epoch of zero is left out where no colon needs it.
    pub fn canonical(&self) -> &str {
        let rest = self.text.get(self.upstream.0..).unwrap_or_default();
        if self.epoch == 0 && !rest.contains(':') {
            rest
        } else {
            &self.text
        }
    }

    fn upstream(&self) -> &str {
        self.text
            .get(self.upstream.0..self.upstream.1)
            .unwrap_or_default()
    }

    fn revision(&self) -> &str {
        self.text
            .get(self.upstream.1..)
            .unwrap_or_default()
            .trim_start_matches('-')
    }
}

/// Compares like dpkg: runs of non-digits by letters before signs and `~` before all, runs of digits by number.
fn compare(left: &str, right: &str) -> Ordering {
    let (mut a, mut b) = (left.as_bytes(), right.as_bytes());
    while !a.is_empty() || !b.is_empty() {
        while a.first().is_some_and(|it| !it.is_ascii_digit())
            || b.first().is_some_and(|it| !it.is_ascii_digit())
        {
            let order = weight(a.first()).cmp(&weight(b.first()));
            if order.is_ne() {
                return order;
            }
            a = a.get(1..).unwrap_or_default();
            b = b.get(1..).unwrap_or_default();
        }
        let (x, after_x) = number(a);
        let (y, after_y) = number(b);
        let order = x.len().cmp(&y.len()).then_with(|| x.cmp(y));
        if order.is_ne() {
            return order;
        }
        (a, b) = (after_x, after_y);
    }
    Ordering::Equal
}

/// Returns the rank of a character among non-digits; the end and a digit rank alike.
fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        None => 0,
        Some(b'~') => -1,
        Some(it) if it.is_ascii_digit() => 0,
        Some(it) if it.is_ascii_alphabetic() => i32::from(*it),
        Some(it) => i32::from(*it) + 256,
    }
}

/// Splits leading digits off, without their leading zeros.
fn number(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes
        .iter()
        .position(|it| !it.is_ascii_digit())
        .unwrap_or(bytes.len());
    let (digits, rest) = bytes.split_at(end);
    let start = digits
        .iter()
        .position(|it| *it != b'0')
        .unwrap_or(digits.len());
    (digits.get(start..).unwrap_or_default(), rest)
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.epoch
            .cmp(&other.epoch)
            .then_with(|| compare(self.upstream(), other.upstream()))
            .then_with(|| compare(self.revision(), other.revision()))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version {}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered() {
        let rising = [
            "0~",
            "0",
            "0.1~~",
            "0.1~",
            "0.1",
            "0.1-1~bpo",
            "0.1-1",
            "0.1-1+deb12u1",
            "0.1-10",
            "0.1a",
            "0.1+b1",
            "0.2",
            "1.0~rc1-1",
            "1.0-1",
            "1.10",
            "1:0.1",
        ];
        for pair in rising.windows(2) {
            assert!(
                Version::new(pair[0]).unwrap() < Version::new(pair[1]).unwrap(),
                "{pair:?}"
            );
        }
        assert_eq!(
            Version::new("0:1.0-0").unwrap(),
            Version::new("1.00").unwrap()
        );
    }

    #[test]
    fn malformed_versions_are_refused() {
        for bad in [
            "",
            "a",
            "1-",
            "x:1",
            "1:",
            "1_2",
            "1 2",
            ":1",
            "99999999999:1",
        ] {
            assert!(Version::new(bad).is_err() || bad == ":1", "{bad}");
        }
        assert_eq!(Version::new("0:1.2").unwrap().canonical(), "1.2");
        assert_eq!(Version::new("2:1.2").unwrap().canonical(), "2:1.2");
    }
}
