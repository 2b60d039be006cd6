//! The tar members of a `.deb`, as dpkg reads them: old, ustar and GNU headers with GNU long names. deb(5).
//!
//! Finds where content is, and moves none. What dpkg refuses (pax headers, sparse files, volumes) is refused here too.

use crate::error::Error;
use fstree::{ReadAt, Timestamp};
use std::sync::Arc;

const BLOCK: u64 = 512;
/// A path longer than this cannot be used on Linux.
const MAX_NAME: u64 = 4096;
/// No package comes near: linux-firmware has 4,000 files.
const MAX_ENTRIES: usize = 1 << 20;

/// One member.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The path as dpkg keeps it: `/usr/bin/x`, and `/.` for the root.
    pub path: Vec<u8>,
    /// Permission bits, at most `0o7777`.
    pub mode: u16,
    /// Owner.
    pub user: Owner,
    /// Group.
    pub group: Owner,
    /// Time of last change.
    pub mtime: Timestamp,
    /// What it is.
    pub kind: EntryKind,
}

/// An owner or group: the name counts where the target knows it, else the number.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Owner {
    /// The number.
    pub id: u32,
    /// The name, if the archive says one.
    pub name: Option<String>,
}

/// What a member is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum EntryKind {
    /// A regular file, at a range of the decoded tar.
    File {
        /// Offset of the content in bytes.
        offset: u64,
        /// Length in bytes.
        len: u64,
    },
    /// Another name of an earlier member.
    Hardlink(Vec<u8>),
    /// A symbolic link and its target.
    Symlink(Vec<u8>),
    /// A directory.
    Dir,
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A pipe.
    Fifo,
}

/// Returns the members of a decoded tar in the order in which dpkg handles them: symbolic links come last.
pub(crate) fn entries(tar: &Arc<dyn ReadAt>) -> Result<Vec<Entry>, Error> {
    let mut scan = Scan {
        tar,
        at: 0,
        name: None,
        link: None,
    };
    let (mut entries, mut symlinks) = (Vec::new(), Vec::new());
    while let Some(entry) = scan.next()? {
        if entries.len() + symlinks.len() >= MAX_ENTRIES {
            return Err(corrupt(scan.at, "there are more than 1,048,576 members"));
        }
        match entry.kind {
            EntryKind::Symlink(_) => symlinks.push(entry),
            _ => entries.push(entry),
        }
    }
    entries.append(&mut symlinks);
    Ok(entries)
}

struct Scan<'a> {
    tar: &'a Arc<dyn ReadAt>,
    at: u64,
    /// A long name for the next header.
    name: Option<Vec<u8>>,
    /// A long link target for the next header.
    link: Option<Vec<u8>>,
}

impl Scan<'_> {
    fn next(&mut self) -> Result<Option<Entry>, Error> {
        loop {
            let at = self.at;
            // dpkg takes the end of the file for an end mark.
            if at == self.tar.size() {
                return Ok(None);
            }
            let mut block = [0; 512];
            self.read(&mut block, at)?;
            if block.iter().all(|it| *it == 0) {
                return Ok(None);
            }
            let header = Header { block: &block, at };
            header.check()?;
            let size = header.number(124, 12, "size")?;
            self.at = at + BLOCK;
            match header.byte(156) {
                b'L' => self.name = Some(self.long(size)?),
                b'K' => self.link = Some(self.long(size)?),
                flag => {
                    let name = self.name.take().unwrap_or_else(|| header.name());
                    let link = self
                        .link
                        .take()
                        .unwrap_or_else(|| header.text(157, 100).to_vec());
                    return self.member(&header, flag, (name, link), size).map(Some);
                }
            }
        }
    }

    fn member(
        &mut self,
        header: &Header<'_>,
        flag: u8,
        (name, link): (Vec<u8>, Vec<u8>),
        size: u64,
    ) -> Result<Entry, Error> {
        let is_dir_name = name.last() == Some(&b'/');
        let device = || {
            Ok::<_, Error>((
                header.small(329, 8, "major")?,
                header.small(337, 8, "minor")?,
            ))
        };
        let kind = match flag {
            0 | b'0' | b'7' if is_dir_name => EntryKind::Dir,
            0 | b'0' | b'7' => {
                let offset = self.at;
                self.skip(size)?;
                EntryKind::File { offset, len: size }
            }
            b'1' => EntryKind::Hardlink(normal(&link, header.at)?),
            b'2' => EntryKind::Symlink(link),
            b'3' => device().map(|(major, minor)| EntryKind::CharDevice { major, minor })?,
            b'4' => device().map(|(major, minor)| EntryKind::BlockDevice { major, minor })?,
            b'5' => EntryKind::Dir,
            b'6' => EntryKind::Fifo,
            other => {
                let shown = char::from(other).escape_default();
                return Err(corrupt(
                    header.at,
                    format!("dpkg knows no member of type `{shown}`"),
                ));
            }
        };
        if let EntryKind::Symlink(target) = &kind
            && (target.is_empty() || target.len() as u64 > MAX_NAME || target.contains(&0))
        {
            return Err(corrupt(header.at, "a symbolic link has no usable target"));
        }
        let mode = header.number(100, 8, "mode")? & 0o7777;
        Ok(Entry {
            path: normal(&name, header.at)?,
            mode: u16::try_from(mode).expect("12 bits fit"),
            user: Owner {
                id: header.small(108, 8, "uid")?,
                name: header.owner(265),
            },
            group: Owner {
                id: header.small(116, 8, "gid")?,
                name: header.owner(297),
            },
            mtime: Timestamp::from_secs(header.signed(136, 12, "mtime")?),
            kind,
        })
    }

    /// Reads a long name.
    fn long(&mut self, size: u64) -> Result<Vec<u8>, Error> {
        if size > MAX_NAME {
            return Err(corrupt(self.at, "a name is longer than 4,096 bytes"));
        }
        let mut text = vec![0; usize::try_from(size).expect("at most 4,096")];
        self.read(&mut text, self.at)?;
        self.skip(size)?;
        text.truncate(text.iter().position(|it| *it == 0).unwrap_or(text.len()));
        Ok(text)
    }

    fn skip(&mut self, size: u64) -> Result<(), Error> {
        let end = size
            .checked_next_multiple_of(BLOCK)
            .and_then(|it| it.checked_add(self.at))
            .filter(|it| *it <= self.tar.size())
            .ok_or_else(|| corrupt(self.at, "a member's content goes past the end"))?;
        self.at = end;
        Ok(())
    }

    fn read(&self, buf: &mut [u8], at: u64) -> Result<(), Error> {
        if at
            .checked_add(buf.len() as u64)
            .is_none_or(|it| it > self.tar.size())
        {
            return Err(corrupt(at, "the archive ends in the middle of a member"));
        }
        self.tar
            .read_exact_at(buf, at)
            .map_err(|it| Error::io("reading a tar archive", it))
    }
}

fn corrupt(at: u64, why: impl Into<String>) -> Error {
    Error::Corrupt {
        what: "tar member",
        at,
        why: why.into(),
    }
}

/// Returns the path as dpkg keeps it: with one leading `/`, none at the end, and no `.` but for the root.
fn normal(name: &[u8], at: u64) -> Result<Vec<u8>, Error> {
    let mut path = Vec::new();
    for part in name
        .split(|it| *it == b'/')
        .filter(|it| !it.is_empty() && *it != b".")
    {
        if part == b".." || part.iter().any(|it| *it == 0 || *it == b'\n') || part.len() > 255 {
            return Err(corrupt(
                at,
                format!(
                    "the path {:?} cannot be used",
                    String::from_utf8_lossy(name)
                ),
            ));
        }
        path.push(b'/');
        path.extend_from_slice(part);
    }
    if name.is_empty() || path.len() as u64 > MAX_NAME {
        return Err(corrupt(at, "a path is empty or longer than 4,096 bytes"));
    }
    Ok(if path.is_empty() {
        b"/.".to_vec()
    } else {
        path
    })
}

struct Header<'a> {
    block: &'a [u8; 512],
    at: u64,
}

impl Header<'_> {
    fn byte(&self, at: usize) -> u8 {
        self.block[at]
    }

    /// Returns a text field up to its NUL.
    fn text(&self, at: usize, len: usize) -> &[u8] {
        let field = &self.block[at..at + len];
        let end = field.iter().position(|it| *it == 0).unwrap_or(len);
        &field[..end]
    }

    fn name(&self) -> Vec<u8> {
        let (name, prefix) = (self.text(0, 100), self.text(345, 155));
        if &self.block[257..263] == b"ustar\0" && !prefix.is_empty() {
            return [prefix, b"/", name].concat();
        }
        name.to_vec()
    }

    fn owner(&self, at: usize) -> Option<String> {
        let text = self.text(at, 32);
        (!text.is_empty()).then(|| String::from_utf8_lossy(text).into_owned())
    }

    /// Checks the sum over the header, in which the sum itself counts as spaces.
    fn check(&self) -> Result<(), Error> {
        let sum: u64 = self.block.iter().map(|it| u64::from(*it)).sum();
        let field: u64 = self.block[148..156].iter().map(|it| u64::from(*it)).sum();
        if sum - field + 8 * 32 == self.number(148, 8, "checksum")? {
            return Ok(());
        }
        Err(corrupt(self.at, "the header's checksum is wrong"))
    }

    fn number(&self, at: usize, len: usize, what: &'static str) -> Result<u64, Error> {
        u64::try_from(self.signed(at, len, what)?)
            .map_err(|_| corrupt(self.at, format!("{what} is negative")))
    }

    fn small(&self, at: usize, len: usize, what: &'static str) -> Result<u32, Error> {
        u32::try_from(self.number(at, len, what)?)
            .map_err(|_| corrupt(self.at, format!("{what} exceeds 32 bits")))
    }

    /// Parses octal digits between spaces, or GNU's base 256.
    fn signed(&self, at: usize, len: usize, what: &'static str) -> Result<i64, Error> {
        let bad = || corrupt(self.at, format!("{what} is no number"));
        let field = &self.block[at..at + len];
        if let [first @ (0x80 | 0xff), rest @ ..] = field {
            let start: i128 = if *first == 0xff { -1 } else { 0 };
            let value = rest.iter().try_fold(start, |value, it| {
                value.checked_mul(256)?.checked_add(i128::from(*it))
            });
            return value.and_then(|it| i64::try_from(it).ok()).ok_or_else(bad);
        }
        let text = std::str::from_utf8(field).map_err(|_| bad())?;
        let text = text
            .split('\0')
            .next()
            .unwrap_or_default()
            .trim_matches(' ');
        if text.is_empty() {
            return Ok(0);
        }
        if !text.bytes().all(|it| (b'0'..=b'7').contains(&it)) {
            return Err(bad());
        }
        i64::from_str_radix(text, 8).map_err(|_| bad())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_dpkgs() {
        for (name, want) in [
            ("./", "/."),
            ("./usr//bin/", "/usr/bin"),
            ("usr/x", "/usr/x"),
            ("/a/./b", "/a/b"),
        ] {
            assert_eq!(normal(name.as_bytes(), 0).unwrap(), want.as_bytes());
        }
        for bad in ["", "../x", "a/../b", "a\nb"] {
            assert!(normal(bad.as_bytes(), 0).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_archive_that_stops_is_an_error() {
        let tar: Arc<dyn ReadAt> = Arc::new(vec![1_u8; 700]);
        assert!(entries(&tar).is_err());
        let tar: Arc<dyn ReadAt> = Arc::new(vec![0_u8; 1024]);
        assert!(entries(&tar).unwrap().is_empty());
    }
}
