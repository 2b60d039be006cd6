//! Release files: what a repository holds, by path and SHA-256. Debian's repository format; apt-secure(8).
//!
//! Takes text whose signature was checked already. Only SHA-256 is read: older digests prove nothing.

use crate::control::Paragraph;
use crate::error::Error;
use crate::name::{Arch, Digest};
use std::collections::BTreeMap;

/// A `Release` file, or the signed text of an `InRelease` file.
#[derive(Clone, Debug)]
pub struct Release {
    /// `Suite`, such as `jammy-updates`.
    pub suite: Option<String>,
    /// `Codename`, such as `jammy`.
    pub codename: Option<String>,
    /// `Date` in seconds since 1970.
    pub date: Option<i64>,
    /// `Valid-Until` in seconds since 1970; past it the file is stale.
    pub valid_until: Option<i64>,
    /// Whether indexes can be fetched as `by-hash/SHA256/…`.
    pub acquire_by_hash: bool,
    /// `Architectures`; empty in most flat repositories.
    pub architectures: Vec<Arch>,
    /// `Components`; empty in flat repositories.
    pub components: Vec<String>,
    entries: BTreeMap<String, ReleaseEntry>,
}

/// An index file that the Release file vouches for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReleaseEntry {
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of the bytes.
    pub sha256: Digest,
}

impl Release {
    /// Parses the text.
    pub fn parse(text: &[u8]) -> Result<Self, Error> {
        let paragraph = Paragraph::parse_one("Release", text)?;
        let words = |field| paragraph.get(field).unwrap_or_default().split_whitespace();
        let time = |field| paragraph.get(field).map(parse_date).transpose();
        Ok(Self {
            suite: paragraph.get("Suite").map(str::to_owned),
            codename: paragraph.get("Codename").map(str::to_owned),
            date: time("Date")?,
            valid_until: time("Valid-Until")?,
            acquire_by_hash: paragraph.get("Acquire-By-Hash") == Some("yes"),
            architectures: words("Architectures")
                .map(Arch::new)
                .collect::<Result<_, _>>()?,
            // Debian's security archive writes `updates/main` for `main`.
            components: words("Components")
                .map(|it| it.rsplit('/').next().unwrap_or(it).to_owned())
                .collect(),
            entries: parse_entries(paragraph.require("SHA256")?)?,
        })
    }

    /// Returns the entry of a path below the Release file, such as `main/binary-amd64/Packages.xz`.
    pub fn entry(&self, path: &str) -> Option<&ReleaseEntry> {
        self.entries.get(path)
    }

    /// Iterates over all entries in the order of their paths.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &ReleaseEntry)> {
        self.entries
            .iter()
            .map(|(path, entry)| (path.as_str(), entry))
    }

    /// Returns the best Packages index: of a component and architecture, or of a flat repository for `None`.
    ///
    /// Prefers xz, then gzip, then plain text.
    pub fn packages(&self, component: Option<(&str, &Arch)>) -> Option<(String, ReleaseEntry)> {
        let stem = match component {
            Some((component, arch)) => format!("{component}/binary-{arch}/Packages"),
            None => "Packages".to_owned(),
        };
        ["xz", "gz", ""].iter().find_map(|suffix| {
            let dot = if suffix.is_empty() { "" } else { "." };
            let path = format!("{stem}{dot}{suffix}");
            let entry = *self.entry(&path)?;
            Some((path, entry))
        })
    }

    /// Returns where an entry can be fetched by its digest, so that a mirror's update between two requests does no harm.
    pub fn by_hash(path: &str, entry: &ReleaseEntry) -> String {
        let folder = path
            .rsplit_once('/')
            .map_or(String::new(), |(folder, _)| format!("{folder}/"));
        format!("{folder}by-hash/SHA256/{}", entry.sha256)
    }
}

fn parse_entries(value: &str) -> Result<BTreeMap<String, ReleaseEntry>, Error> {
    let mut entries = BTreeMap::new();
    for line in value.lines().map(str::trim).filter(|it| !it.is_empty()) {
        let bad = |why| Error::syntax("SHA256 entry", line, why);
        let mut words = line.split_whitespace();
        let (Some(digest), Some(size), Some(path), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(bad("it is not `digest size path`"));
        };
        if path.starts_with('/') || path.split('/').any(|it| it == "..") {
            return Err(bad("its path leaves the repository"));
        }
        let path = path.strip_prefix("./").unwrap_or(path);
        let size = size.parse().map_err(|_| bad("its size is no number"))?;
        entries.insert(
            path.to_owned(),
            ReleaseEntry {
                size,
                sha256: Digest::from_hex(digest)?,
            },
        );
    }
    Ok(entries)
}

/// Parses `Sat, 20 May 2026 08:00:00 UTC`.
fn parse_date(text: &str) -> Result<i64, Error> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let bad = || {
        Error::syntax(
            "date",
            text,
            "it is not like `Sat, 20 May 2026 08:00:00 UTC`",
        )
    };
    let rest = text.split_once(',').map_or(text, |(_, it)| it);
    let words: Vec<&str> = rest.split_whitespace().collect();
    let &[day, month, year, time, zone] = words.as_slice() else {
        return Err(bad());
    };
    if !["UTC", "GMT", "Z", "+0000"].contains(&zone) {
        return Err(bad());
    }
    let number = |text: &str, range: std::ops::RangeInclusive<i64>| {
        text.parse::<i64>()
            .ok()
            .filter(|it| range.contains(it))
            .ok_or_else(bad)
    };
    let month = MONTHS
        .iter()
        .zip(1_i64..)
        .find_map(|(name, n)| (*name == month).then_some(n))
        .ok_or_else(bad)?;
    let (day, year) = (number(day, 1..=31)?, number(year, 1970..=9999)?);
    let parts: Vec<&str> = time.split(':').collect();
    let &[h, m, s] = parts.as_slice() else {
        return Err(bad());
    };
    let seconds = number(h, 0..=23)? * 3600 + number(m, 0..=59)? * 60 + number(s, 0..=60)?;
    // Days since 1970, with years that begin in March.
    let shifted = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + day_of_year - 719_468;
    Ok(days * 86_400 + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_seconds() {
        for (text, want) in [
            ("Thu, 01 Jan 1970 00:00:00 UTC", 0),
            ("Tue, 29 Feb 2000 23:59:59 UTC", 951_868_799),
            ("Mon,  9 Nov 2026 08:13:06 UTC", 1_794_211_986),
        ] {
            assert_eq!(parse_date(text).unwrap(), want, "{text}");
        }
        assert!(parse_date("Mon, 9 Nov 2026 08:13:06 CEST").is_err());
        assert!(parse_date("").is_err());
    }

    #[test]
    fn flat_and_nested_repositories_are_found() {
        let hash = "ab".repeat(32);
        let text = format!(
            "Suite: x\nAcquire-By-Hash: yes\nArchitectures: amd64 arm64\nComponents: main\nSHA256:\n {hash} 5 Packages.gz\n \
             {hash} 7 main/binary-arm64/Packages\n {hash} 6 ./main/binary-arm64/Packages.xz\n"
        );
        let release = Release::parse(text.as_bytes()).unwrap();
        assert_eq!(release.packages(None).unwrap().0, "Packages.gz");
        let arm = Arch::new("arm64").unwrap();
        let (path, entry) = release.packages(Some(("main", &arm))).unwrap();
        assert_eq!(
            (path.as_str(), entry.size),
            ("main/binary-arm64/Packages.xz", 6)
        );
        assert_eq!(
            Release::by_hash(&path, &entry),
            format!("main/binary-arm64/by-hash/SHA256/{hash}")
        );
        assert!(release.acquire_by_hash);
        for bad in [
            "SHA256:\n x 5 a",
            &format!("SHA256:\n {hash} 5 ../a"),
            "Suite: x",
        ] {
            assert!(Release::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
