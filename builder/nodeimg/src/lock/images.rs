//! Container images while locking: what their names stand for, by the OCI distribution protocol (specification 1.1).
//!
//! Three rounds, each for all images: what stands under the name (a manifest, or a list of them), the manifest for the machine's
//! architecture, its configuration. Layers are fetched when they are used: the manifest vouches for them. A name with a digest is
//! checked against it; for a tag, the server's TLS is all that vouches, and the lock is where it stops moving.

use super::resolve::{list, small};
use super::{Image, Locked};
use crate::base::Arch;
use crate::digest::Digest;
use crate::error::{Error, Result, input};
use crate::reference::Reference;
use crate::want::{Fetch, Kind, LISTS, MANIFESTS, Want};
use serde::Deserialize;

/// Registries take no larger manifests.
const MAX_MANIFEST: u64 = 4 << 20;
/// The largest configuration.
const MAX_CONFIG: u64 = 8 << 20;
/// The largest layer.
const MAX_LAYER: u64 = 16 << 30;
/// The most layers; overlayfs mounts no more.
const MAX_LAYERS: usize = 500;

/// What stands under an image's name.
#[derive(Debug, Deserialize)]
struct Document {
    #[serde(rename = "mediaType")]
    media_type: Option<String>,
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
}

#[derive(Clone, Debug, Deserialize)]
struct Descriptor {
    #[serde(rename = "mediaType", default)]
    media_type: String,
    digest: String,
    size: u64,
    platform: Option<Platform>,
}

#[derive(Clone, Debug, Deserialize)]
struct Platform {
    architecture: String,
    os: String,
    #[serde(default)]
    variant: String,
}

/// Pins what each name stands for on an architecture.
pub fn resolve(names: &[Reference], arch: Arch, fetch: &dyn Fetch) -> Result<Vec<Image>> {
    let wants: Vec<Want> = names
        .iter()
        .map(|name| Want {
            digest: name.digest(),
            limit: MAX_MANIFEST,
            kind: Kind::ImageManifest,
            ..list(format!("image {name}"), name.manifest_url())
        })
        .collect();
    let mut chosen = Vec::new();
    for (name, source) in names.iter().zip(fetch.fetch(&wants)?) {
        let bytes = small(&source, &name.to_string())?;
        let document = document(name, &bytes)?;
        let (sha256, size) = match document.manifests {
            Some(list) => part(name, &choose(name, list, arch)?, MAX_MANIFEST)?,
            None => (Digest::of(&bytes), bytes.len() as u64),
        };
        chosen.push(Locked {
            url: name.manifest_url_of(sha256),
            sha256,
            size,
        });
    }
    let wants: Vec<Want> = names
        .iter()
        .zip(&chosen)
        .map(|(name, it)| it.want(format!("manifest of {name}"), Kind::ImageManifest))
        .collect();
    let mut images = Vec::new();
    for ((name, manifest), source) in names.iter().zip(chosen).zip(fetch.fetch(&wants)?) {
        let bytes = small(&source, &name.to_string())?;
        images.push(image(name, manifest, &bytes)?);
    }
    check_platforms(&images, arch, fetch)?;
    Ok(images)
}

/// Reads a manifest or a list, which has to be one of those that are understood.
fn document(name: &Reference, bytes: &[u8]) -> Result<Document> {
    let it: Document = serde_json::from_slice(bytes).map_err(input(format!(
        "what the registry has for {name} is no manifest"
    )))?;
    let kind = it.media_type.as_deref();
    let known = match &it.manifests {
        Some(_) => LISTS.as_slice(),
        None => &MANIFESTS,
    };
    if kind.is_some_and(|kind| !known.contains(&kind)) {
        let kind = kind.unwrap_or_default();
        return Err(
            Error::input(format!("{name} is a {kind:?}, which is not taken"))
                .help("only images in the formats of OCI and of Docker since 2016 are"),
        );
    }
    Ok(it)
}

/// Returns the manifest for an architecture.
fn choose(name: &Reference, list: Vec<Descriptor>, arch: Arch) -> Result<Descriptor> {
    let wanted = arch.to_string();
    let fits = |it: &Descriptor| {
        it.platform.as_ref().is_some_and(|it| {
            // Others are for processors that have more than all of the architecture have.
            let variant = ["", "v1", "v8"].contains(&it.variant.as_str());
            it.os == "linux" && it.architecture == wanted && variant
        })
    };
    let known: Vec<String> = list
        .iter()
        .filter_map(|it| it.platform.as_ref())
        .map(|it| format!("{}/{}", it.os, it.architecture))
        .collect();
    list.into_iter().find(fits).ok_or_else(|| {
        Error::input(format!("there is no {name} for linux/{wanted}"))
            .help(format!("the registry has it for {}", known.join(", ")))
    })
}

/// Returns digest and size of what a descriptor names.
fn part(name: &Reference, it: &Descriptor, limit: u64) -> Result<(Digest, u64)> {
    let digest = it.digest.strip_prefix("sha256:").ok_or_else(|| {
        Error::input(format!(
            "{name} names a part by {:?}, which is no SHA-256",
            it.digest
        ))
    })?;
    if it.size > limit {
        return Err(Error::input(format!(
            "a part of {name} has {} bytes, more than any such part",
            it.size
        )));
    }
    Ok((
        digest.parse().map_err(input(format!("a part of {name}")))?,
        it.size,
    ))
}

/// Reads a manifest.
fn image(name: &Reference, manifest: Locked, bytes: &[u8]) -> Result<Image> {
    let it = document(name, bytes)?;
    let (Some(config), Some(layers)) = (it.config, it.layers) else {
        return Err(Error::input(format!(
            "the manifest of {name} names no configuration and layers"
        )));
    };
    if layers.len() > MAX_LAYERS {
        return Err(Error::input(format!(
            "{name} has {} layers, more than any machine mounts",
            layers.len()
        )));
    }
    let mut blobs: Vec<Locked> = Vec::new();
    for (it, limit) in
        std::iter::once((config, MAX_CONFIG)).chain(layers.into_iter().map(|it| (it, MAX_LAYER)))
    {
        let kind = &it.media_type;
        if kind.contains("foreign") || kind.contains("nondistributable") {
            return Err(Error::input(format!(
                "{name} has a layer that its registry does not give out ({kind})"
            )));
        }
        let (sha256, size) = part(name, &it, limit)?;
        if blobs.iter().all(|it| it.sha256 != sha256) {
            let url = name.blob_url(sha256);
            blobs.push(Locked { url, sha256, size });
        }
    }
    Ok(Image {
        name: name.clone(),
        media_type: it.media_type.unwrap_or_else(|| MANIFESTS[0].to_owned()),
        manifest,
        blobs,
    })
}

/// A name that stands for one manifest, or a list that lies, would bring programs of another processor.
fn check_platforms(images: &[Image], arch: Arch, fetch: &dyn Fetch) -> Result<()> {
    let config = |it: &Image| {
        let blob = it.blobs.first()?;
        Some(blob.want(format!("part of {}", it.name), Kind::File))
    };
    let wants: Vec<Want> = images.iter().filter_map(config).collect();
    for (image, source) in images.iter().zip(fetch.fetch(&wants)?) {
        let name = &image.name;
        let found: Platform = serde_json::from_slice(&small(&source, &name.to_string())?)
            .map_err(input(format!("the configuration of {name}")))?;
        let wanted = arch.to_string();
        if found.os != "linux" || found.architecture != wanted {
            return Err(Error::input(format!(
                "{name} is for {}/{}, and linux/{wanted} is wanted",
                found.os, found.architecture
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
