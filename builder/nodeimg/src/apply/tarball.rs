//! Members of a tarball that a profile names, found in the decoded archive: pax, GNU and ustar headers (crate `tar`).
//!
//! Content stays where it is. Everything belongs to root: the owners in an archive are those of the machine it was packed on. A
//! member whose path leaves the folder is an error.

use crate::digest::Digest;
use crate::error::{Error, Result, input};
use crate::lock::Reader;
use crate::plan::layer;
use crate::tables;
use crate::want::Blobs;
use disk::Format;
use fstree::{Content, FileKind, ImgPath, Meta, Named, ReadAt, Timestamp};
use std::num::NonZeroUsize;
use std::sync::Arc;
use tar::EntryType;

/// The largest tarball, decoded.
const MAX_TAR: u64 = 16 << 30;
/// The most members of one.
const MAX_MEMBERS: usize = 1 << 20;

/// So large a tarball is worth keeping its headers in one piece.
const LARGE: u64 = 16 << 20;

/// A member.
pub(super) struct Member {
    /// Where it is in the archive.
    pub(super) path: ImgPath,
    /// Mode and time.
    pub(super) meta: Meta,
    /// What it is.
    pub(super) node: Node,
}

/// What a member is.
pub(super) enum Node {
    /// A directory.
    Dir,
    /// Anything else.
    File(FileKind),
    /// Another name of an earlier member.
    HardLink(ImgPath),
}

/// Returns the members in order; the archive is decoded once and kept by the host.
pub(super) fn entries(digest: Digest, blobs: &dyn Blobs) -> Result<Vec<Member>> {
    let broken = format!("tarball sha256:{digest}");
    let source = blobs.open(digest)?;
    let tar = match disk::sniff(&source).map_err(input(broken.as_str()))? {
        Format::Xz | Format::Zst | Format::Gz => {
            blobs.derive(&format!("{digest}.tar"), &mut |out| {
                disk::compressed::decode(&source, NonZeroUsize::MIN, MAX_TAR, out, &mut |_| ())
                    .map_err(std::io::Error::other)
            })?
        }
        Format::Raw | Format::Qcow2 | Format::Vmdk => source,
    };
    let tar: Arc<dyn ReadAt> = Arc::new(Named::new(tar, digest.source_name("tar")));
    if tar.size() < LARGE {
        return members(&tar, &tar, digest);
    }
    let key = format!("{digest} tar");
    let headers = tables::kept(tar.clone(), &key, blobs, |it| {
        members(it, &tar, digest).map(drop)
    })?;
    members(&headers, &tar, digest)
}

/// Returns the members of an archive whose headers are read from `headers`.
fn members(
    headers: &Arc<dyn ReadAt>,
    tar: &Arc<dyn ReadAt>,
    digest: Digest,
) -> Result<Vec<Member>> {
    let broken = format!("tarball sha256:{digest}");
    let mut archive = tar::Archive::new(Reader {
        source: headers.clone(),
        at: 0,
    });
    let mut members = Vec::new();
    for entry in archive
        .entries_with_seek()
        .map_err(input(broken.as_str()))?
    {
        let entry = entry.map_err(input(broken.as_str()))?;
        if members.len() >= MAX_MEMBERS {
            return Err(Error::input(format!(
                "tarball sha256:{digest} has more than {MAX_MEMBERS} members"
            )));
        }
        let path = ImgPath::from_archive(&entry.path_bytes()).map_err(input(broken.as_str()))?;
        let link = entry
            .link_name_bytes()
            .map(|it| it.to_vec())
            .unwrap_or_default();
        let node = match entry.header().entry_type() {
            EntryType::Directory => Node::Dir,
            EntryType::Symlink => Node::File(FileKind::Symlink(link)),
            EntryType::Link => {
                Node::HardLink(ImgPath::from_archive(&link).map_err(input(broken.as_str()))?)
            }
            EntryType::Regular | EntryType::Continuous => {
                let (from, len) = (entry.raw_file_position(), entry.size());
                if from.checked_add(len).is_none_or(|end| end > tar.size()) {
                    return Err(Error::input(format!(
                        "tarball sha256:{digest}: {path} is cut off"
                    )));
                }
                Node::File(FileKind::Regular(Content::range(tar.clone(), from, len)))
            }
            EntryType::XGlobalHeader => continue,
            other => {
                return Err(Error::input(format!(
                    "tarball sha256:{digest}: {path} is a {other:?}, which is not taken"
                )));
            }
        };
        members.push(Member {
            path,
            meta: meta(entry.header()).map_err(input(broken.as_str()))?,
            node,
        });
    }
    Ok(members)
}

fn meta(header: &tar::Header) -> std::io::Result<Meta> {
    Ok(Meta {
        mode: u16::try_from(header.mode()? & 0o7777).unwrap_or_default(),
        mtime: Timestamp::from_secs(i64::try_from(header.mtime()?).unwrap_or_default()),
        layer: layer::OVERLAYS,
        ..Meta::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::want::held::Host;
    use std::io;
    use std::ops::Range;

    fn header(kind: EntryType, size: u64) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o4750);
        header.set_uid(1000);
        header.set_mtime(1_600_000_000);
        header
    }

    /// Returns an archive of `members`: names, types, what they link to or hold.
    fn archive(members: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, kind, what) in members {
            let is_link = matches!(kind, EntryType::Symlink | EntryType::Link);
            let (target, content): (&[u8], &[u8]) = if is_link { (what, b"") } else { (b"", what) };
            let mut header = header(*kind, content.len() as u64);
            // As they are: the crate refuses names that lead out.
            let fields = header.as_old_mut();
            fields.name[..name.len()].copy_from_slice(name.as_bytes());
            fields.linkname[..target.len()].copy_from_slice(target);
            header.set_cksum();
            builder.append(&header, content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn host(tar: Arc<dyn ReadAt>) -> Host {
        Host {
            inputs: [(digest(), tar)].into(),
            ..Host::default()
        }
    }

    fn digest() -> Digest {
        Digest::of(b"an archive")
    }

    fn shown(members: &[Member]) -> Vec<String> {
        let shown = members.iter().map(|it| {
            let what = match &it.node {
                Node::Dir => "dir".to_owned(),
                Node::File(FileKind::Regular(content)) => {
                    let bytes = content.read_all(99).unwrap_or_default();
                    format!("{} {}", content.len(), String::from_utf8_lossy(&bytes))
                }
                Node::File(kind) => format!("{kind:?}"),
                Node::HardLink(to) => format!("is {to}"),
            };
            format!("{} {:o} {} {what}", it.path, it.meta.mode, it.meta.uid)
        });
        shown.collect()
    }

    #[test]
    fn members_of_every_kind_belong_to_root() {
        let tar = archive(&[
            ("./", EntryType::Directory, b""),
            ("./bin/", EntryType::Directory, b""),
            ("./bin/tool", EntryType::Regular, b"code"),
            ("/bin/same", EntryType::Link, b"bin/tool"),
            ("bin/other", EntryType::Symlink, b"../tool"),
        ]);
        let host = host(Arc::new(tar));
        let found = entries(digest(), &host).unwrap();
        let expected = [
            "/ 4750 0 dir",
            "/bin 4750 0 dir",
            "/bin/tool 4750 0 4 code",
            "/bin/same 4750 0 is /bin/tool",
            "/bin/other 4750 0 Symlink([46, 46, 47, 116, 111, 111, 108])",
        ];
        assert_eq!(shown(&found), expected);
        // So small a one is read where it is.
        assert!(host.derived.lock().unwrap().is_empty());
    }

    #[test]
    fn what_leads_out_is_a_device_or_is_cut_off_is_refused() {
        let whole = archive(&[("a", EntryType::Regular, &[b'x'; 2000])]);
        for (tar, why) in [
            (archive(&[("../a", EntryType::Regular, b"")]), "\"..\""),
            (archive(&[("a", EntryType::Char, b"")]), "/a is a Char"),
            (whole[..1500].to_vec(), "/a is cut off"),
        ] {
            let error = entries(digest(), &host(Arc::new(tar))).err().unwrap();
            let told = format!("{error:?}");
            assert!(told.contains(why), "{told}");
        }
    }

    /// An archive of which some bytes may not be read.
    struct Torn(Vec<u8>, Range<u64>);

    impl ReadAt for Torn {
        fn size(&self) -> u64 {
            self.0.len() as u64
        }

        fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
            if offset < self.1.end && offset + buf.len() as u64 > self.1.start {
                return Err(io::Error::other(format!("read at {offset}")));
            }
            self.0.read_exact_at(buf, offset)
        }
    }

    #[test]
    fn headers_of_a_large_one_are_read_once() {
        let large = vec![b'x'; usize::try_from(LARGE).unwrap()];
        let tar = archive(&[
            ("large", EntryType::Regular, &large),
            ("small", EntryType::Regular, b"text"),
        ]);
        let (size, behind) = (tar.len() as u64, 512 + LARGE);
        // What the first holds is not read to find the second.
        let mut host = host(Arc::new(Torn(tar.clone(), 512..behind)));
        let first = shown(&entries(digest(), &host).unwrap());
        let found = [
            format!("/large 4750 0 {LARGE} "),
            "/small 4750 0 4 text".to_owned(),
        ];
        assert_eq!(first, found);
        // What kind of file it is is asked of its first bytes each time.
        let torn = Torn(tar, behind..size);
        host.inputs.insert(digest(), Arc::new(torn));
        let again = entries(digest(), &host).unwrap();
        let Node::File(FileKind::Regular(small)) = &again[1].node else {
            panic!("{:?}", shown(&again));
        };
        assert_eq!(
            (again[1].path.to_string(), small.len()),
            ("/small".into(), 4)
        );
        assert!(small.read_all(4).is_err(), "content is where it was");
    }
}
