//! Steps that put, change and remove files of the root file system.

use crate::digest::Digest;
use crate::error::{Error, Result, input};
use crate::overlay::Owner;
use crate::plan::{Payload, layer};
use crate::want::Blobs;
use fstree::{
    Content, EditError, File, FileKind, FileTree, ImgPath, Layer, Meta, Named, Node, Timestamp,
};
use std::sync::Arc;

/// Puts a regular file; directories on the way are made as root's, 0755.
pub(super) fn put(
    tree: &mut FileTree,
    path: &ImgPath,
    file: (Owner, Content),
    layer: Layer,
    time: Timestamp,
) -> Result<()> {
    make_parent(tree, path, time, layer)?;
    let meta = meta(file.0, time, layer);
    edit(
        path,
        tree.put(
            path,
            File {
                meta,
                kind: FileKind::Regular(file.1),
            },
        ),
    )?;
    Ok(())
}

/// Returns a payload's content.
pub(super) fn content(payload: &Payload, blobs: &dyn Blobs) -> Result<Content> {
    Ok(match payload {
        Payload::Bytes(bytes) => Content::inline(bytes.clone()),
        Payload::Blob(digest) => {
            let source = blobs.open(*digest)?;
            let len = source.size();
            let named = Named::new(source, digest.source_name("file"));
            Content::range(Arc::new(named), 0, len)
        }
    })
}

/// Makes a directory, or changes the one that is there.
pub(super) fn dir(
    tree: &mut FileTree,
    path: &ImgPath,
    owner: Owner,
    time: Timestamp,
) -> Result<()> {
    make_parent(tree, path, time, layer::OVERLAYS)?;
    edit(path, tree.put_dir(path, meta(owner, time, layer::OVERLAYS)))
}

/// Makes a symbolic link.
pub(super) fn link(
    tree: &mut FileTree,
    path: &ImgPath,
    target: &str,
    time: Timestamp,
) -> Result<()> {
    make_parent(tree, path, time, layer::OVERLAYS)?;
    let meta = Meta::root_owned(0o777, time, layer::OVERLAYS);
    edit(
        path,
        tree.put(
            path,
            File {
                meta,
                kind: FileKind::Symlink(target.as_bytes().to_vec()),
            },
        ),
    )?;
    Ok(())
}

/// Empties a file that exists, keeping its mode and owner; makes it as root's, 0644, if it does not.
pub(super) fn empty(tree: &mut FileTree, path: &ImgPath, time: Timestamp) -> Result<()> {
    let owner = match tree.file_at(path) {
        Some(File {
            meta,
            kind: FileKind::Regular(_),
        }) => Owner {
            mode: meta.mode,
            uid: meta.uid,
            gid: meta.gid,
        },
        _ => Owner {
            mode: 0o644,
            uid: 0,
            gid: 0,
        },
    };
    put(
        tree,
        path,
        (owner, Content::inline([])),
        layer::OVERLAYS,
        time,
    )
}

/// Removes what a pattern names, with all below it; nothing there is fine.
pub(super) fn remove(tree: &mut FileTree, pattern: &str) -> Result<()> {
    let pattern = ImgPath::new(pattern).map_err(input("a path to remove"))?;
    let (Some(parent), Some(name)) = (pattern.parent(), pattern.file_name()) else {
        return Err(Error::input("an overlay removes `/`"));
    };
    let Some(dir) = tree.dir(&parent) else {
        return Ok(());
    };
    let matching: Vec<ImgPath> = dir
        .entries()
        .filter(|(entry, _)| matches(name.as_bytes(), entry.as_bytes()))
        .map(|(entry, _)| parent.join(entry))
        .collect();
    for path in matching {
        tree.take(&path);
    }
    Ok(())
}

/// Returns whether a name fits a pattern in which `*` stands for any bytes.
pub(super) fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let mut parts = pattern.split(|it| *it == b'*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.windows(part.len().max(1)).position(|it| it == part) {
            Some(at) => rest = &rest[at + part.len()..],
            None if part.is_empty() => {}
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Unpacks a tarball below a folder; `strip` leading names of its members are dropped.
pub(super) fn untar(
    tree: &mut FileTree,
    folder: &ImgPath,
    tarball: (Digest, u8),
    blobs: &dyn Blobs,
    time: Timestamp,
) -> Result<()> {
    let (digest, strip) = tarball;
    let broken = format!("tarball sha256:{digest}");
    let entries = super::tarball::entries(digest, blobs)?;
    for entry in entries {
        let Some(path) = entry.path.below(folder, strip.into()) else {
            continue;
        };
        make_parent(tree, &path, time, layer::OVERLAYS)?;
        match entry.node {
            super::tarball::Node::Dir => {
                if !matches!(tree.get(&path), Some(Node::Dir(_))) {
                    edit(&path, tree.put_dir(&path, entry.meta))?;
                }
            }
            super::tarball::Node::File(kind) => {
                edit(
                    &path,
                    tree.put(
                        &path,
                        File {
                            meta: entry.meta,
                            kind,
                        },
                    ),
                )?;
            }
            super::tarball::Node::HardLink(target) => {
                let there = target.below(folder, strip.into());
                let found = there.as_ref().and_then(|it| tree.get(it));
                let Some(Node::File(id)) = found else {
                    let target = there.unwrap_or(target);
                    return Err(Error::input(format!(
                        "tarball sha256:{digest}: {path} links to {target}, which is not there"
                    )));
                };
                let id = *id;
                tree.put_name(&path, id).map_err(input(broken.as_str()))?;
            }
        }
    }
    Ok(())
}

fn make_parent(tree: &mut FileTree, path: &ImgPath, time: Timestamp, layer: Layer) -> Result<()> {
    let parent = path.parent().unwrap_or_else(ImgPath::root);
    edit(
        path,
        tree.make_dirs(&parent, &Meta::root_owned(0o755, time, layer)),
    )
}

fn meta(owner: Owner, mtime: Timestamp, layer: Layer) -> Meta {
    Meta {
        mode: owner.mode,
        uid: owner.uid,
        gid: owner.gid,
        mtime,
        layer,
        ..Meta::default()
    }
}

fn edit<T>(path: &ImgPath, result: std::result::Result<T, EditError>) -> Result<T> {
    result.map_err(|cause| input(format!("{path} cannot be put"))(cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, want) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "a", true),
            ("a*", "abc", true),
            ("*a", "ba", true),
            ("*a", "ab", false),
            ("ssh_host_*_key*", "ssh_host_rsa_key.pub", true),
            ("ssh_host_*_key*", "ssh_host_key", false),
            ("*", "", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXcYb", false),
            ("a**b", "ab", true),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), name.as_bytes()),
                want,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn removal_is_of_what_matches() {
        let mut tree = FileTree::new(Meta::default());
        let owner = Owner {
            mode: 0o600,
            uid: 0,
            gid: 0,
        };
        for path in [
            "/etc/ssh/ssh_host_rsa_key",
            "/etc/ssh/ssh_config",
            "/var/x/y",
        ] {
            let path = ImgPath::new(path).unwrap();
            put(
                &mut tree,
                &path,
                (owner, Content::inline(*b"x")),
                Layer(0),
                Timestamp::default(),
            )
            .unwrap();
        }
        remove(&mut tree, "/etc/ssh/ssh_host_*").unwrap();
        remove(&mut tree, "/var/*").unwrap();
        remove(&mut tree, "/nothing/*").unwrap();
        assert!(remove(&mut tree, "/").is_err());
        let left: Vec<String> = tree.walk().map(|(path, _)| path.to_string()).collect();
        assert_eq!(left, ["/etc", "/etc/ssh", "/etc/ssh/ssh_config", "/var"]);
        empty(
            &mut tree,
            &ImgPath::new("/etc/ssh/ssh_config").unwrap(),
            Timestamp::default(),
        )
        .unwrap();
        assert_eq!(
            tree.file_at(&ImgPath::new("/etc/ssh/ssh_config").unwrap())
                .unwrap()
                .meta
                .mode,
            0o600
        );
    }
}
