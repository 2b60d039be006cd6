//! What must be known of a base image before its packages can be chosen: what it has installed, and its kernels.

use crate::base::Base;
use crate::digest::Digest;
use crate::error::{Error, Result, input};
use crate::volumes;
use crate::want::Blobs;
use fstree::{FileTree, ImgPath, Node};
use std::num::NonZeroUsize;

/// dpkg's status file; Ubuntu's server image has 600 KB.
const MAX_STATUS: u64 = 64 << 20;

/// What a base image has.
#[derive(Clone, Debug)]
pub struct BaseFacts {
    /// dpkg's status file.
    pub status: Vec<u8>,
    /// Kernel releases with modules, in Debian's version order.
    pub kernels: Vec<String>,
}

/// Reads a base image and returns what it has.
pub fn inspect(
    base: &Base,
    digest: Digest,
    blobs: &dyn Blobs,
    jobs: NonZeroUsize,
) -> Result<BaseFacts> {
    let disk = crate::open::input(digest, blobs, jobs)?;
    let root = volumes::root(&disk, &base.root_label, jobs)?;
    let path = ImgPath::new("/var/lib/dpkg/status").expect("a constant path");
    let status = root
        .tree
        .content(&path)
        .ok_or_else(|| Error::input(format!("the base image has no {path}")))?
        .read_all(MAX_STATUS)
        .map_err(input(format!("{path} of the base image")))?;
    Ok(BaseFacts {
        status,
        kernels: kernels(&root.tree),
    })
}

/// Returns the kernel releases that have a folder of modules with an index.
fn kernels(tree: &FileTree) -> Vec<String> {
    let modules = ImgPath::new("/lib/modules").expect("a constant path");
    let Some(dir) = tree.dir(&modules) else {
        return Vec::new();
    };
    let has_index = |node: &Node| match node {
        Node::Dir(dir) => dir
            .entries()
            .any(|(name, _)| name.as_bytes() == b"modules.dep"),
        Node::File(_) => false,
    };
    let mut found: Vec<deb::Version> = dir
        .entries()
        .filter(|(_, node)| has_index(node))
        .filter_map(|(name, _)| deb::Version::new(std::str::from_utf8(name.as_bytes()).ok()?).ok())
        .collect();
    found.sort();
    found.iter().map(|it| it.as_str().to_owned()).collect()
}
