//! `.deb` archives: an ar file of `debian-binary`, `control.tar.*` and `data.tar.*`, in this order. deb(5).
//!
//! The control member is read whole, within limits; the data member is decoded by whoever has a place to keep it, and
//! then read where it lies.

use crate::control::Paragraph;
use crate::decode::Compression;
use crate::error::Error;
use crate::name::{Arch, PackageId, PackageName};
use crate::tar::{self, Entry, EntryKind};
use crate::version::Version;
use fstree::{ReadAt, Timestamp, Window};
use std::io::{self, Read, Write};
use std::sync::Arc;

/// Decoded control members are below 2 MiB in practice; templates of all languages are the largest part.
const MAX_CONTROL: u64 = 64 << 20;
/// No real archive has more members than three and a few with a leading `_`.
const MAX_MEMBERS: usize = 32;

/// A `.deb` whose members were found, none of them decoded yet.
#[derive(Debug)]
pub struct Archive {
    control: (Window, Compression),
    data: (Window, Compression),
}

/// What the control member holds.
#[derive(Clone, Debug)]
pub struct ControlFiles {
    /// The control file.
    pub control: Paragraph,
    /// All other files, in the order of their names: `md5sums`, `conffiles`, `triggers`, scripts.
    pub files: Vec<ControlFile>,
}

/// A file of the control member.
#[derive(Clone, Debug)]
pub struct ControlFile {
    /// The name, such as `postinst`.
    pub name: String,
    /// Permission bits.
    pub mode: u16,
    /// Time of last change.
    pub mtime: Timestamp,
    /// The content.
    pub bytes: Vec<u8>,
}

/// A package that can be unpacked: its control files, and its members as ranges of the decoded data tar.
#[derive(Clone)]
pub struct Package {
    /// Name and architecture.
    pub id: PackageId,
    /// Version.
    pub version: Version,
    /// The control files.
    pub control: ControlFiles,
    /// The members.
    pub entries: Vec<Entry>,
    /// The decoded tar that the members lie in.
    pub tar: Arc<dyn ReadAt>,
}

impl Archive {
    /// Finds the members; reads headers only.
    pub fn open(deb: &Arc<dyn ReadAt>) -> Result<Self, Error> {
        let members = members(deb)?;
        let corrupt = |why: &str| Error::Corrupt {
            what: ".deb archive",
            at: 0,
            why: why.to_owned(),
        };
        // Members whose names begin with `_` may stand between and are for others.
        let mut members = members
            .into_iter()
            .enumerate()
            .filter(|(at, (name, _))| *at == 0 || !name.starts_with('_'));
        let Some((_, (first, version))) = members.next() else {
            return Err(corrupt("it is empty"));
        };
        if first != "debian-binary" {
            return Err(corrupt("its first member is not debian-binary"));
        }
        let mut text = vec![0; usize::try_from(version.size().min(16)).expect("at most 16")];
        version
            .read_exact_at(&mut text, 0)
            .map_err(|it| Error::io("reading debian-binary", it))?;
        if !text.starts_with(b"2.") {
            return Err(corrupt("its format version is not 2"));
        }
        let mut named = |stem: &str| {
            let (name, window) = members
                .next()
                .map(|it| it.1)
                .ok_or_else(|| corrupt("a member is missing"))?;
            let suffix = name.strip_prefix(stem).unwrap_or("?");
            let compression = match suffix {
                "" => Compression::None,
                ".gz" => Compression::Gzip,
                ".xz" => Compression::Xz,
                ".zst" => Compression::Zstd,
                _ => {
                    return Err(corrupt(&format!(
                        "{stem} in a known compression should stand where {name:?} does"
                    )));
                }
            };
            Ok((window, compression))
        };
        Ok(Self {
            control: named("control.tar")?,
            data: named("data.tar")?,
        })
    }

    /// Returns how the data member is compressed.
    pub fn data_format(&self) -> Compression {
        self.data.1
    }

    /// Decodes the control member.
    pub fn control(&self) -> Result<ControlFiles, Error> {
        let mut bytes = Vec::new();
        self.control
            .1
            .decode(Stream(self.control.0.clone(), 0), &mut bytes, MAX_CONTROL)?;
        let source: Arc<dyn ReadAt> = Arc::new(bytes);
        let (mut control, mut files) = (None, Vec::new());
        for entry in tar::entries(&source)? {
            let EntryKind::File { offset, len } = entry.kind else {
                continue;
            };
            let name =
                String::from_utf8_lossy(entry.path.get(1..).unwrap_or_default()).into_owned();
            let mut bytes = vec![0; usize::try_from(len).expect("bounded by the member's size")];
            source
                .read_exact_at(&mut bytes, offset)
                .map_err(|it| Error::io("reading a control file", it))?;
            if name == "control" {
                control = Some(Paragraph::parse_one("control", &bytes)?);
            } else if !name.contains(['/', '.']) && name != "list" {
                // dpkg ignores names with a dot; `list` is its own.
                files.push(ControlFile {
                    name,
                    mode: entry.mode,
                    mtime: entry.mtime,
                    bytes,
                });
            }
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        files.dedup_by(|a, b| a.name == b.name);
        let control = control.ok_or_else(|| Error::Corrupt {
            what: "control.tar",
            at: 0,
            why: "it holds no control file".to_owned(),
        })?;
        Ok(ControlFiles { control, files })
    }

    /// Decodes the data member into `out`; returns the length of the tar, or fails past `limit` bytes.
    pub fn decode_data(&self, out: &mut dyn Write, limit: u64) -> Result<u64, Error> {
        self.data
            .1
            .decode(Stream(self.data.0.clone(), 0), out, limit)
    }

    /// Returns the package, given the data member as [`decode_data`](Self::decode_data) decoded it.
    pub fn package(&self, tar: Arc<dyn ReadAt>) -> Result<Package, Error> {
        Package::new(self.control()?, tar)
    }
}

impl Package {
    /// Reads what is needed to unpack from the control files and the decoded data tar.
    pub fn new(control: ControlFiles, tar: Arc<dyn ReadAt>) -> Result<Self, Error> {
        let name = PackageName::new(control.control.require("Package")?)?;
        let arch = Arch::new(control.control.require("Architecture")?)?;
        let version = Version::new(control.control.require("Version")?)?;
        let entries = tar::entries(&tar)?;
        Ok(Self {
            id: PackageId { name, arch },
            version,
            control,
            entries,
            tar,
        })
    }
}

impl ControlFiles {
    /// Returns the content of a control file.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.files
            .iter()
            .find(|it| it.name == name)
            .map(|it| it.bytes.as_slice())
    }
}

impl std::fmt::Debug for Package {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Package({} {}, {} members)",
            self.id,
            self.version,
            self.entries.len()
        )
    }
}

/// Returns the members of an ar file by name.
fn members(deb: &Arc<dyn ReadAt>) -> Result<Vec<(String, Window)>, Error> {
    let corrupt = |at, why: &str| Error::Corrupt {
        what: "ar member",
        at,
        why: why.to_owned(),
    };
    let read = |buf: &mut [u8], at| {
        let past = at + buf.len() as u64 > deb.size();
        if past {
            return Err(corrupt(at, "the archive ends in the middle of a header"));
        }
        deb.read_exact_at(buf, at)
            .map_err(|it| Error::io("reading a .deb", it))
    };
    let mut magic = [0; 8];
    read(&mut magic, 0)?;
    if &magic != b"!<arch>\n" {
        return Err(corrupt(0, "this is no ar file"));
    }
    let (mut members, mut at) = (Vec::new(), 8);
    while at < deb.size() {
        let mut header = [0; 60];
        read(&mut header, at)?;
        if &header[58..] != b"`\n" || members.len() == MAX_MEMBERS {
            return Err(corrupt(
                at,
                "the header has no end mark, or there are more than 32 members",
            ));
        }
        let text =
            |range: std::ops::Range<usize>| std::str::from_utf8(&header[range]).map(str::trim_end);
        let name = text(0..16).map_err(|_| corrupt(at, "the name is not UTF-8"))?;
        let name = name.strip_suffix('/').unwrap_or(name).to_owned();
        let len = text(48..58).ok().and_then(|it| it.parse::<u64>().ok());
        let len = len.ok_or_else(|| corrupt(at, "the size is no number"))?;
        let window = Window::new(deb.clone(), at + 60, len);
        members.push((
            name,
            window.ok_or_else(|| corrupt(at, "the member goes past the end"))?,
        ));
        at += 60 + len.next_multiple_of(2);
    }
    Ok(members)
}

/// Reads a window from its start.
struct Stream(Window, u64);

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.0.size() - self.1;
        let n = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let part = buf.get_mut(..n).unwrap_or_default();
        self.0.read_exact_at(part, self.1)?;
        self.1 += n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ar(members: &[(&str, &[u8])]) -> Arc<dyn ReadAt> {
        let mut bytes = b"!<arch>\n".to_vec();
        for (name, content) in members {
            bytes.extend(
                format!(
                    "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n",
                    0,
                    0,
                    0,
                    100_644,
                    content.len()
                )
                .bytes(),
            );
            bytes.extend_from_slice(content);
            bytes.resize(bytes.len().next_multiple_of(2), b'\n');
        }
        Arc::new(bytes)
    }

    #[test]
    fn members_stand_in_order() {
        let version = ("debian-binary", &b"2.0\n"[..]);
        let archive = Archive::open(&ar(&[
            version,
            ("_x", b"1"),
            ("control.tar.gz", b""),
            ("data.tar.zst", b""),
        ]));
        assert_eq!(archive.unwrap().data_format(), Compression::Zstd);
        for bad in [
            &[][..],
            &[version],
            &[("control.tar", b""), version, ("data.tar", b"")],
            &[version, ("data.tar", b""), ("control.tar", b"")],
            &[
                ("debian-binary", b"3.0\n"),
                ("control.tar", b""),
                ("data.tar", b""),
            ],
            &[version, ("control.tar.lzma", b""), ("data.tar", b"")],
        ] {
            assert!(Archive::open(&ar(bad)).is_err(), "{bad:?}");
        }
    }
}
