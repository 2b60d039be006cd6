//! What people write: profiles, base files, locks, cluster files; and what registries tell of container images.

use fstree::ReadAt;
use nodeimg::base::Arch;
use nodeimg::error::Result;
use nodeimg::reference::Reference;
use nodeimg::want::{Fetch, Want};
use nodeimg::{lock as locks, preload, profile as profiles};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// Loads a profile, and one whose base is the input.
pub fn profile(data: &[u8]) {
    static SHIPPED: OnceLock<BTreeMap<String, Vec<u8>>> = OnceLock::new();
    let shipped = SHIPPED.get_or_init(crate::seeds::texts::shelf);
    for (place, name) in [
        ("profiles/worker-amd64.toml", "worker-amd64"),
        ("profiles/parts/node.toml", "worker-amd64"),
        ("profiles/bases/jammy-amd64.toml", "worker-amd64"),
    ] {
        let mut shelf = shipped.clone();
        shelf.insert(place.to_owned(), data.to_vec());
        if let Ok(profile) = profiles::load(&shelf, name) {
            drop(profile.to_string());
            locks::profile_digest(&profile);
        }
    }
}

/// Reads a lock, writes it, and reads it again.
pub fn lock(data: &[u8]) {
    if let Ok(lock) = locks::parse("x.lock", data) {
        let text = locks::render(&lock);
        let again = locks::parse("x.lock", text.as_bytes()).expect("what was written reads");
        assert_eq!(again, lock);
        drop(lock.wants());
    }
}

/// A registry that has the input under every name.
struct Everywhere<'a>(&'a [u8]);

impl Fetch for Everywhere<'_> {
    fn fetch(&self, wants: &[Want]) -> Result<Vec<Arc<dyn ReadAt>>> {
        let bytes = || -> Arc<dyn ReadAt> { Arc::new(self.0.to_vec()) };
        Ok(wants.iter().map(|_| bytes()).collect())
    }
}

/// Takes the input for all that a registry answers, and for a manifest that names images.
pub fn image(data: &[u8]) {
    for name in [
        "registry.k8s.io/pause:3.10.2",
        "a@sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    ] {
        let name = name.parse().expect("a constant name");
        for arch in [Arch::Amd64, Arch::Arm64] {
            drop(locks::resolve_images(
                std::slice::from_ref(&name),
                arch,
                &Everywhere(data),
            ));
        }
    }
    for it in preload::named(&String::from_utf8_lossy(data)) {
        let again: Reference = it.to_string().parse().expect("what was written reads");
        assert_eq!(again, it);
        drop(it.manifest_url());
    }
}

/// Reads a cluster's file.
pub fn cluster(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match cluster::parse(text, "cluster.toml") {
        Ok(cluster) => drop(cluster.warnings()),
        Err(error) => drop(error.to_string()),
    }
}
