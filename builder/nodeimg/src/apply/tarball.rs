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
