//! Packages indexes: the packages of one repository, component and architecture. Debian's repository format.
//!
//! Read as a stream and reduced to what a solver and a downloader need; relations stay text until they are asked for,
//! so that an archive of 60,000 packages is read in a fraction of a second.

use crate::decode::Compression;
use crate::error::Error;
use crate::name::{Arch, Digest, PackageName};
use crate::relation::Relations;
use crate::version::Version;
use std::io::{self, BufRead as _, BufReader, Read};

/// The longest line an index may have; real ones stay below 64 KiB.
const MAX_LINE: u64 = 1 << 20;

/// The packages of one index.
#[derive(Clone, Debug, Default)]
pub struct Index {
    entries: Vec<IndexEntry>,
}

/// A package that can be fetched.
#[derive(Clone, Debug)]
pub struct IndexEntry {
    /// `Package`.
    pub name: PackageName,
    /// `Version`.
    pub version: Version,
    /// `Architecture`.
    pub arch: Arch,
    /// `Filename`: where it is below the repository's root.
    pub filename: String,
    /// `Size` in bytes.
    pub size: u64,
    /// `SHA256` of the `.deb`.
    pub sha256: Digest,
    pub(crate) depends: Option<Box<str>>,
    pub(crate) pre_depends: Option<Box<str>>,
    pub(crate) provides: Option<Box<str>>,
    pub(crate) conflicts: Option<Box<str>>,
    pub(crate) breaks: Option<Box<str>>,
}

impl Index {
    /// Reads an index; fails past `limit` bytes of decoded text.
    pub fn read(
        source: impl Read + Send,
        compression: Compression,
        limit: u64,
    ) -> Result<Self, Error> {
        // One byte more than allowed is let through, to tell an end from a limit.
        let mut reader = BufReader::with_capacity(
            256 << 10,
            compression.reader(source)?.take(limit.saturating_add(1)),
        );
        let mut index = Self::default();
        let (mut stanza, mut line) = (Stanza::default(), Vec::new());
        let (mut number, mut total) = (0, 0_u64);
        loop {
            line.clear();
            let n = (&mut reader)
                .take(MAX_LINE)
                .read_until(b'\n', &mut line)
                .map_err(|it: io::Error| Error::io("reading a Packages index", it))?
                as u64;
            total += n;
            if total > limit {
                return Err(Error::TooLarge {
                    what: "a Packages index",
                    limit,
                });
            }
            if n == MAX_LINE {
                return Err(Error::TooLarge {
                    what: "a line of a Packages index",
                    limit: MAX_LINE,
                });
            }
            number += 1;
            let text = line.trim_ascii_end();
            if text.is_empty() {
                if let Some(entry) = stanza.finish(number)? {
                    index.entries.push(entry);
                }
                if n == 0 {
                    return Ok(index);
                }
            } else {
                stanza.take(text, number)?;
            }
        }
    }

    /// Returns the packages in the order of the index.
    pub fn entries(&self) -> &[IndexEntry] {
        &self.entries
    }
}

impl IndexEntry {
    /// Returns `Pre-Depends` and `Depends`, in this order.
    pub fn depends(&self) -> Result<Relations, Error> {
        let mut all = Relations::parse_field(self.pre_depends.as_deref())?;
        all.0
            .extend(Relations::parse_field(self.depends.as_deref())?.0);
        Ok(all)
    }

    /// Returns `Provides`.
    pub fn provides(&self) -> Result<Relations, Error> {
        Relations::parse_field(self.provides.as_deref())
    }

    /// Returns `Conflicts` and `Breaks`.
    pub fn conflicts(&self) -> Result<Relations, Error> {
        let mut all = Relations::parse_field(self.conflicts.as_deref())?;
        all.0
            .extend(Relations::parse_field(self.breaks.as_deref())?.0);
        Ok(all)
    }
}

/// The fields of the stanza being read; values are kept only for the fields that are needed.
#[derive(Default)]
struct Stanza {
    values: [Option<String>; FIELDS.len()],
    last: Option<usize>,
    started: bool,
}

const FIELDS: [&str; 11] = [
    "Package",
    "Version",
    "Architecture",
    "Filename",
    "Size",
    "SHA256",
    "Depends",
    "Pre-Depends",
    "Provides",
    "Conflicts",
    "Breaks",
];

impl Stanza {
    fn take(&mut self, line: &[u8], number: usize) -> Result<(), Error> {
        let bad = |why: &str| Error::line("Packages", number, why);
        if matches!(line.first(), Some(b' ' | b'\t')) {
            if !self.started {
                return Err(bad("it continues a field that has not begun"));
            }
            if let Some(value) = self.last.and_then(|it| self.values.get_mut(it)?.as_mut()) {
                let text = std::str::from_utf8(line).map_err(|_| bad("it is not UTF-8"))?;
                value.push_str(text);
            }
            return Ok(());
        }
        let colon = line
            .iter()
            .position(|it| *it == b':')
            .ok_or_else(|| bad("it is no field: there is no colon"))?;
        let (name, value) = line.split_at(colon);
        self.started = true;
        self.last = FIELDS
            .iter()
            .position(|it| it.as_bytes().eq_ignore_ascii_case(name));
        if let Some(slot) = self.last.and_then(|it| self.values.get_mut(it)) {
            let value = std::str::from_utf8(&value[1..]).map_err(|_| bad("it is not UTF-8"))?;
            if slot.replace(value.trim().to_owned()).is_some() {
                return Err(bad("the field stands here twice"));
            }
        }
        Ok(())
    }

    fn finish(&mut self, number: usize) -> Result<Option<IndexEntry>, Error> {
        let Self {
            values, started, ..
        } = std::mem::take(self);
        if !started {
            return Ok(None);
        }
        let [
            name,
            version,
            arch,
            filename,
            size,
            sha256,
            depends,
            pre_depends,
            provides,
            conflicts,
            breaks,
        ] = values;
        let missing = |field: &str| {
            Error::line(
                "Packages",
                number,
                format!("the stanza before has no {field}"),
            )
        };
        let name = PackageName::new(&name.ok_or_else(|| missing("Package"))?)?;
        let filename = filename.ok_or_else(|| missing("Filename"))?;
        if filename.starts_with('/') || filename.split('/').any(|it| it == "..") {
            return Err(Error::syntax(
                "Filename",
                &filename,
                "it leaves the repository",
            ));
        }
        let size = size.ok_or_else(|| missing("Size"))?;
        let boxed = |it: Option<String>| it.filter(|it| !it.is_empty()).map(String::into_boxed_str);
        Ok(Some(IndexEntry {
            name,
            version: Version::new(&version.ok_or_else(|| missing("Version"))?)?,
            arch: Arch::new(&arch.ok_or_else(|| missing("Architecture"))?)?,
            filename: filename.strip_prefix("./").unwrap_or(&filename).to_owned(),
            size: size
                .parse()
                .map_err(|_| Error::syntax("Size", &size, "it is no number"))?,
            sha256: Digest::from_hex(&sha256.ok_or_else(|| missing("SHA256"))?)?,
            depends: boxed(depends),
            pre_depends: boxed(pre_depends),
            provides: boxed(provides),
            conflicts: boxed(conflicts),
            breaks: boxed(breaks),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stanza(name: &str) -> String {
        let hash = "0f".repeat(32);
        format!(
            "Package: {name}\nVersion: 1.0\nArchitecture: all\nDepends: a (>= 1),\n b\nDescription: x\n long\nTag: q\n \
             w\nFilename: ./p/{name}.deb\nSize: 12\nSHA256: {hash}\n"
        )
    }

    fn read(text: &str) -> Result<Index, Error> {
        Index::read(text.as_bytes(), Compression::None, 10_000)
    }

    #[test]
    fn only_what_is_needed_is_kept() {
        let index = read(&format!("{}\n\n{}", stanza("x"), stanza("y"))).unwrap();
        let names: Vec<_> = index.entries().iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["x", "y"]);
        let entry = &index.entries()[0];
        assert_eq!((entry.filename.as_str(), entry.size), ("p/x.deb", 12));
        assert_eq!(entry.depends().unwrap().to_string(), "a (>= 1), b");
        assert!(read("").unwrap().entries().is_empty());
    }

    #[test]
    fn damage_is_an_error() {
        let good = stanza("x");
        for bad in [
            good.replace("Size: 12", "Size: -1"),
            good.replace("./p/", "../p/"),
            good.replace("Package: x\n", ""),
            good.replace("Tag", "Size"),
            format!(" {good}"),
        ] {
            assert!(read(&bad).is_err(), "{bad}");
        }
        let error = Index::read(good.repeat(9).as_bytes(), Compression::None, 100).unwrap_err();
        assert!(
            matches!(error, Error::TooLarge { limit: 100, .. }),
            "{error}"
        );
    }
}
