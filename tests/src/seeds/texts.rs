//! The profiles, parts and bases that are shipped, a lock, a cluster's file, and what names container images.

use nodeimg::digest::Digest;
use nodeimg::lock::{self, Image, Lock, Locked, Package, Signer};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// Returns the shipped profiles, parts and bases by path.
pub fn shelf() -> BTreeMap<String, Vec<u8>> {
    let folders = ["profiles", "profiles/parts", "profiles/bases"];
    folders.into_iter().flat_map(shipped).collect()
}

/// Returns the files of a folder by path.
fn shipped(folder: &str) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(crate::repository().join(folder)).expect("profiles are readable");
    let paths = entries.map(|it| it.expect("profiles are readable").path());
    let file = |path: PathBuf| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        let bytes = fs::read(&path).expect("profiles are readable");
        Some((format!("{folder}/{name}"), bytes))
    };
    paths.filter(|it| it.is_file()).filter_map(file).collect()
}

/// Returns every shipped profile, part and base.
pub fn profile() -> Vec<Vec<u8>> {
    shelf().into_values().collect()
}

/// Returns a lock.
pub fn lock() -> Vec<Vec<u8>> {
    let locked = |url: &str| Locked {
        url: url.to_owned(),
        sha256: Digest::of(url.as_bytes()),
        size: 12,
    };
    let lock = Lock {
        profile: "worker-amd64".to_owned(),
        profile_digest: Digest::of(b"profile"),
        time: 1_700_000_000,
        kubernetes: Some("1.36.2".to_owned()),
        kernel: "5.15.0-1-generic".to_owned(),
        base: locked("http://example.org/base.img"),
        signers: vec![Signer {
            url: "http://example.org/InRelease".to_owned(),
            key: "ab".repeat(20),
            made: 1_700_000_000,
        }],
        packages: vec![Package {
            name: "a".to_owned(),
            version: "1:2-3".to_owned(),
            arch: "all".to_owned(),
            deb: locked("http://example.org/a.deb"),
        }],
        files: vec![locked("http://example.org/file")],
        images: vec![Image {
            name: "registry.k8s.io/pause:3.10.2".parse().expect("a name"),
            media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
            manifest: locked("http://example.org/manifest"),
            blobs: vec![
                locked("http://example.org/config"),
                locked("http://example.org/layer"),
            ],
        }],
    };
    vec![lock::render(&lock).into_bytes()]
}

/// Returns a list of manifests, a manifest that is its own configuration too, and a manifest of Kubernetes.
pub fn image() -> Vec<Vec<u8>> {
    let digest = format!("sha256:{}", Digest::of(b"x"));
    let part = json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": digest,
        "size": 9,
        "platform": { "architecture": "amd64", "os": "linux", "variant": "v1" },
    });
    let list = json!({ "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [part, part] });
    let manifest = json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": part,
        "layers": [part, part],
        "architecture": "arm64",
        "os": "linux",
    });
    let pod = format!(
        "spec:\n  containers:\n  - image: quay.io/a/b:1@{digest}\n  - {{name: c, image: \"d\"}}\n"
    );
    vec![
        list.to_string().into_bytes(),
        manifest.to_string().into_bytes(),
        pod.into_bytes(),
    ]
}

/// Returns the cluster's file that `cluster init` writes, and the shipped clusters.
pub fn cluster() -> Vec<Vec<u8>> {
    let name = "home".parse().expect("a constant name");
    let kubernetes = "1.36".parse().expect("a constant version");
    let mut res: Vec<Vec<u8>> = shipped("profiles/clusters").into_values().collect();
    res.push(cluster::default_for(&name, kubernetes).into_bytes());
    res
}
