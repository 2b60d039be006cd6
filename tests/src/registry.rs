//! A container registry as a folder: files under the paths of the OCI distribution protocol (manifests by tag and by digest,
//! blobs by digest), for a server or for `--mirror`. Image indexes of two architectures; no tokens, no errors.

use nodeimg::digest::Digest;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// What an image is made of on one architecture.
#[derive(Debug)]
pub struct Image {
    /// Its configuration, a JSON object.
    pub config: Value,
    /// Media type and bytes of each layer, the lowest first.
    pub layers: Vec<(&'static str, Vec<u8>)>,
}

/// Keeps bytes under their digest; returns their descriptor.
fn keep(folder: &Path, media_type: &str, bytes: &[u8]) -> Value {
    let digest = format!("sha256:{}", Digest::of(bytes));
    fs::create_dir_all(folder).expect("a folder");
    fs::write(folder.join(&digest), bytes).expect("a file");
    json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
}

/// Puts an image, `REGISTRY/REPOSITORY:TAG`, into the folder that stands in for its registry.
pub fn publish(registries: &Path, name: &str, image: &dyn Fn(&str) -> Image) {
    let (path, tag) = name.rsplit_once(':').expect("a tag");
    let (registry, repository) = path.split_once('/').expect("a registry");
    let folder = registries.join(registry).join("v2").join(repository);
    let (manifests, blobs) = (folder.join("manifests"), folder.join("blobs"));
    let mut list = Vec::new();
    for arch in ["arm64", "amd64"] {
        let Image { config, layers } = image(arch);
        let layers: Vec<_> = layers
            .iter()
            .map(|(media_type, bytes)| keep(&blobs, media_type, bytes))
            .collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": keep(&blobs, "application/vnd.oci.image.config.v1+json", config.to_string().as_bytes()),
            "layers": layers,
        });
        let mut it = keep(
            &manifests,
            "application/vnd.oci.image.manifest.v1+json",
            manifest.to_string().as_bytes(),
        );
        it["platform"] = json!({ "architecture": arch, "os": "linux" });
        list.push(it);
    }
    let list = json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": list });
    fs::write(manifests.join(tag), list.to_string()).expect("a file");
}
