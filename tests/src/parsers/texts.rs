//! What people write: profiles, base files, locks, cluster files.

use nodeimg::{lock as locks, profile as profiles};
use std::collections::BTreeMap;
use std::sync::OnceLock;

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
