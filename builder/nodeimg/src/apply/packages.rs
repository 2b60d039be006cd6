//! Packages: inflated into the host's cache, unpacked and configured by `deb` as dpkg would.

use crate::base::Arch;
use crate::digest::Digest;
use crate::error::{Result, input};
use crate::plan::layer;
use crate::want::Blobs;
use deb::{Archive, Dpkg, Outcome, PackageName, PathFilters, Stamp};
use fstree::{Content, File, FileKind, FileTree, ImgPath, Meta, Named, Timestamp, WriteAt};
use std::io;
use std::sync::Arc;

/// The largest package, inflated; the largest of a node's has 150 MB.
const MAX_DATA: u64 = 8 << 30;
/// Its presence tells the node's first boot that packages wait to be configured.
const PENDING: &str = "/var/lib/nodeimg/packages-pending";

/// dpkg's database while packages come in.
pub(super) struct Packages {
    dpkg: Dpkg,
    stamp: Stamp,
    /// What waits for the first boot, and why.
    first_boot: Vec<(String, String)>,
}

/// Returns the package of a `.deb`, its files as ranges of the inflated archive that the host keeps.
pub(super) fn inflated(digest: Digest, blobs: &dyn Blobs) -> Result<deb::Package> {
    let broken = format!("package sha256:{digest}");
    let archive = Archive::open(&blobs.open(digest)?).map_err(input(broken.as_str()))?;
    let tar = blobs.derive(&format!("{digest}.data.tar"), &mut |out| {
        archive
            .decode_data(&mut Append { out, at: 0 }, MAX_DATA)
            .map_err(io::Error::other)
    })?;
    let tar = Arc::new(Named::new(tar, digest.source_name("data.tar")));
    archive.package(tar).map_err(input(broken.as_str()))
}

/// Writes one piece after the other.
struct Append<'a> {
    out: &'a dyn WriteAt,
    at: u64,
}

impl io::Write for Append<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.out.write_all_at(buf, self.at)?;
        self.at += buf.len() as u64;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Packages {
    /// Reads the base's database.
    pub(super) fn open(tree: &FileTree, arch: Arch, time: Timestamp) -> Result<Self> {
        let native = deb::Arch::new(&arch.to_string()).map_err(input("the base's architecture"))?;
        let dpkg = Dpkg::read(tree, native, PathFilters::Heeded)
            .map_err(input("the base's package database"))?;
        Ok(Self {
            dpkg,
            stamp: Stamp {
                layer: layer::PACKAGES,
                time,
            },
            first_boot: Vec::new(),
        })
    }

    /// Unpacks a package.
    pub(super) fn unpack(
        &mut self,
        tree: &mut FileTree,
        name: &str,
        digest: Digest,
        blobs: &dyn Blobs,
    ) -> Result<()> {
        let package = inflated(digest, blobs)?;
        self.dpkg
            .unpack(tree, &package, self.stamp)
            .map_err(input(format!("package {name} cannot be unpacked")))?;
        Ok(())
    }

    /// Configures what can be.
    pub(super) fn configure(&mut self, tree: &mut FileTree) -> Result<()> {
        let outcomes = self
            .dpkg
            .configure(tree, self.stamp)
            .map_err(input("packages cannot be configured"))?;
        for (id, outcome) in outcomes {
            if let Outcome::LeftUnpacked { reason } = outcome {
                self.first_boot.push((id.to_string(), reason));
            }
        }
        Ok(())
    }

    /// Holds every package that is there and fits the pattern; none is fine, for a base need not have them all.
    pub(super) fn hold(&mut self, pattern: &str) {
        let names: Vec<PackageName> = self
            .dpkg
            .names()
            .filter(|it| super::files::matches(pattern.as_bytes(), it.as_str().as_bytes()))
            .cloned()
            .collect();
        self.dpkg.hold(&names);
    }

    /// Writes the database into the tree, with a mark if the first boot has something to finish.
    pub(super) fn finish(&mut self, tree: &mut FileTree) -> Result<Vec<(String, String)>> {
        let broken = String::from("the package database cannot be written");
        self.dpkg
            .write(tree, self.stamp)
            .map_err(input(broken.as_str()))?;
        let pending = self.dpkg.pending();
        for id in &pending.triggered {
            self.first_boot
                .push((id.to_string(), "triggers are to be processed".to_owned()));
        }
        if pending.needs_first_boot() {
            let path = ImgPath::new(PENDING).expect("a constant path");
            let root = Meta::root_owned(0o755, self.stamp.time, layer::MADE);
            tree.make_dirs(&path.parent().expect("not the root"), &root)
                .map_err(input(broken.as_str()))?;
            let meta = Meta::root_owned(0o644, self.stamp.time, layer::MADE);
            let file = File {
                meta,
                kind: FileKind::Regular(Content::inline([])),
            };
            tree.put(&path, file).map_err(input(broken.as_str()))?;
        }
        Ok(std::mem::take(&mut self.first_boot))
    }
}
