//! Container images as files: an OCI image layout (image specification 1.1), whose blobs are the locked inputs themselves, and a
//! list of what is in it for the unit that imports them.
//!
//! The layout says of each image what containerd calls it (the annotation of its own exports), so that the import keeps names.

use super::{Payload, Step, layer};
use crate::error::{Result, input};
use crate::lock::{Image, Lock};
use crate::overlay::Owner;
use crate::reference::Reference;
use fstree::ImgPath;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Where the layout is.
const LAYOUT: &str = "/usr/lib/nodeimg/images";
/// A line an image: digest of the manifest, name.
const LIST: &str = "/usr/lib/nodeimg/images.list";

const FILE: Owner = Owner {
    mode: 0o644,
    uid: 0,
    gid: 0,
};

/// Writes out the steps that bring a lock's images along; none if there are none.
pub(super) fn steps(lock: &Lock, arch: &str, steps: &mut Vec<Step>) -> Result<()> {
    if lock.images.is_empty() {
        return Ok(());
    }
    let mut put = |path: &str, content: Payload, from: String| {
        let path = ImgPath::new(path).map_err(input("the layout of container images"))?;
        // With the packages: as large as they are, and as seldom changed.
        steps.push(Step::Put {
            path,
            owner: FILE,
            content,
            from,
            layer: layer::PACKAGES,
        });
        Ok(())
    };
    for (name, paths) in paths(lock) {
        for (path, content) in paths {
            put(&path, content, name.to_string())?;
        }
    }
    let bytes = |it: &Value| -> Result<Payload> {
        let mut bytes = serde_json::to_vec(it).map_err(input("the layout of container images"))?;
        bytes.push(b'\n');
        Ok(Payload::new(bytes))
    };
    let nodeimg = || "nodeimg".to_owned();
    put(
        &format!("{LAYOUT}/oci-layout"),
        bytes(&json!({ "imageLayoutVersion": "1.0.0" }))?,
        nodeimg(),
    )?;
    put(
        &format!("{LAYOUT}/index.json"),
        bytes(&index(lock, arch))?,
        nodeimg(),
    )?;
    let list: String = lock
        .images
        .iter()
        .map(|it| format!("sha256:{} {}\n", it.manifest.sha256, it.name))
        .collect();
    put(LIST, Payload::new(list.into_bytes()), nodeimg())
}

/// Returns what the image's description tells of them: the paths of each, under its name.
pub(super) fn described(lock: &Lock) -> Value {
    let entry = |(name, paths): (&Reference, Vec<(String, Payload)>)| {
        let paths: Vec<String> = paths.into_iter().map(|(path, _)| path).collect();
        (name.to_string(), json!(paths))
    };
    Value::Object(paths(lock).into_iter().map(entry).collect::<Map<_, _>>())
}

/// Returns the blobs of each image by their paths; one that several share is the first one's.
fn paths(lock: &Lock) -> Vec<(&Reference, Vec<(String, Payload)>)> {
    let mut known = BTreeSet::new();
    let mut of = |image: &Image| {
        let all = std::iter::once(&image.manifest).chain(&image.blobs);
        all.filter(|it| known.insert(it.sha256))
            .map(|it| {
                (
                    format!("{LAYOUT}/blobs/sha256/{}", it.sha256),
                    Payload::Blob(it.sha256),
                )
            })
            .collect()
    };
    lock.images.iter().map(|it| (&it.name, of(it))).collect()
}

fn index(lock: &Lock, arch: &str) -> Value {
    let descriptor = |it: &Image| {
        let name = it.name.to_string();
        json!({
            "mediaType": it.media_type,
            "digest": format!("sha256:{}", it.manifest.sha256),
            "size": it.manifest.size,
            "platform": { "architecture": arch, "os": "linux" },
            "annotations": {
                "io.containerd.image.name": name,
                "org.opencontainers.image.ref.name": it.name.tag().unwrap_or(&name),
            },
        })
    };
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": lock.images.iter().map(descriptor).collect::<Vec<_>>(),
    })
}
