//! Names of images against a registry of what is in a map, which checks digests as the host does.

use super::*;
use fstree::ReadAt;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct Registry {
    has: BTreeMap<String, Vec<u8>>,
    asked: Mutex<Vec<String>>,
}

impl Fetch for Registry {
    fn fetch(&self, wants: &[Want]) -> Result<Vec<Arc<dyn ReadAt>>> {
        let mut found: Vec<Arc<dyn ReadAt>> = Vec::new();
        for want in wants {
            self.asked.lock().unwrap().push(want.url.clone());
            let bytes = self
                .has
                .get(&want.url)
                .ok_or_else(|| Error::input(format!("no {}", want.url)))?;
            let is_manifest = want.url.contains("/manifests/");
            assert_eq!(
                want.kind == Kind::ImageManifest,
                is_manifest,
                "{}",
                want.url
            );
            if want.digest.is_some_and(|it| it != Digest::of(bytes))
                || bytes.len() as u64 > want.limit
            {
                return Err(Error::input(format!("{} is not what was wanted", want.url)));
            }
            found.push(Arc::new(bytes.clone()));
        }
        Ok(found)
    }
}

const AT: &str = "https://r.example/v2/a";

impl Registry {
    /// Keeps a blob or a manifest under its digest, and returns its descriptor.
    fn keep(&mut self, kind: &str, bytes: &[u8], media_type: &str) -> Value {
        let digest = Digest::of(bytes);
        self.has
            .insert(format!("{AT}/{kind}/sha256:{digest}"), bytes.to_vec());
        json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len() })
    }

    /// Keeps an image of two layers, one of them twice, and returns its descriptor.
    fn image(&mut self, arch: &str) -> Value {
        let config = json!({ "architecture": arch, "os": "linux" }).to_string();
        let config = self.keep(
            "blobs",
            config.as_bytes(),
            "application/vnd.oci.image.config.v1+json",
        );
        let layer = |it: &str| {
            let digest = Digest::of(it.as_bytes());
            json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": format!("sha256:{digest}"), "size": it.len() })
        };
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFESTS[0],
            "config": config,
            "layers": [layer("one"), layer("three"), layer("one")],
        });
        let mut descriptor = self.keep("manifests", manifest.to_string().as_bytes(), MANIFESTS[0]);
        descriptor["platform"] = json!({ "architecture": arch, "os": "linux" });
        descriptor
    }

    /// Puts something under a tag.
    fn tag(&mut self, tag: &str, bytes: &[u8]) {
        self.has
            .insert(format!("{AT}/manifests/{tag}"), bytes.to_vec());
    }

    fn list(&mut self, tag: &str, manifests: &[Value]) {
        let list = json!({ "schemaVersion": 2, "mediaType": LISTS[1], "manifests": manifests });
        self.tag(tag, list.to_string().as_bytes());
    }

    fn resolve(&self, name: &str, arch: Arch) -> Result<Vec<Image>> {
        resolve(&[format!("r.example/{name}").parse().unwrap()], arch, self)
    }
}

fn told(result: Result<Vec<Image>>) -> String {
    let error = result.expect_err("a refusal");
    assert!(matches!(error, Error::Input { .. }));
    error.to_string()
}

#[test]
fn a_list_gives_the_manifest_of_the_architecture() {
    let mut registry = Registry::default();
    let (mut old, here, there) = (
        registry.image("arm"),
        registry.image("amd64"),
        registry.image("arm64"),
    );
    old["platform"] = json!({ "architecture": "amd64", "os": "windows" });
    registry.list("1", &[old, here.clone(), there]);
    let images = registry.resolve("a:1", Arch::Amd64).unwrap();
    let [image] = images.as_slice() else {
        panic!("{images:?}")
    };
    assert_eq!(
        format!("sha256:{}", image.manifest.sha256),
        here["digest"].as_str().unwrap()
    );
    assert_eq!(
        image.manifest.url,
        format!("{AT}/manifests/sha256:{}", image.manifest.sha256)
    );
    assert_eq!(
        (image.media_type.as_str(), image.name.to_string().as_str()),
        (MANIFESTS[0], "r.example/a:1")
    );
    // The configuration, and each layer once.
    let urls: Vec<&str> = image.blobs.iter().map(|it| it.url.as_str()).collect();
    let layer = |it: &str| format!("{AT}/blobs/sha256:{}", Digest::of(it.as_bytes()));
    assert_eq!(urls[1..], [layer("one"), layer("three")]);
    assert_eq!(image.blobs[2].size, 5);
    assert_eq!(
        registry.asked.lock().unwrap().len(),
        3,
        "layers are not fetched"
    );
    assert_ne!(registry.resolve("a:1", Arch::Arm64).unwrap(), images);
}

#[test]
fn a_tag_may_stand_for_a_manifest() {
    let mut registry = Registry::default();
    let digest = registry.image("amd64")["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    let bytes = registry.has[&format!("{AT}/manifests/{digest}")].clone();
    registry.tag("1", &bytes);
    for name in ["a:1".to_owned(), format!("a:1@{digest}")] {
        let image = registry.resolve(&name, Arch::Amd64).unwrap().remove(0);
        assert_eq!(format!("sha256:{}", image.manifest.sha256), digest);
    }
    assert_eq!(
        told(registry.resolve("a:1", Arch::Arm64)),
        "r.example/a:1 is for linux/amd64, and linux/arm64 is wanted"
    );
}

#[test]
fn what_is_not_as_named_is_refused() {
    let mut registry = Registry::default();
    let here = registry.image("amd64");
    let mut liar = registry.image("arm64");
    liar["platform"] = here["platform"].clone();
    registry.list("liar", &[liar]);
    assert!(told(registry.resolve("a:liar", Arch::Amd64)).contains("is for linux/arm64"));
    registry.list("other", std::slice::from_ref(&here));
    let error = registry
        .resolve("a:other", Arch::Arm64)
        .expect_err("a refusal");
    assert_eq!(
        error.to_string(),
        "there is no r.example/a:other for linux/arm64"
    );
    assert!(
        error
            .help_text()
            .is_some_and(|it| it.ends_with("linux/amd64"))
    );

    let other = Digest::of(b"other");
    registry
        .has
        .insert(format!("{AT}/manifests/sha256:{other}"), b"{}".to_vec());
    assert!(
        told(registry.resolve(&format!("a@sha256:{other}"), Arch::Amd64))
            .contains("not what was wanted")
    );
    let mut wrong = here.clone();
    wrong["digest"] = json!(format!("sha256:{other}"));
    registry.list("wrong", &[wrong]);
    assert!(told(registry.resolve("a:wrong", Arch::Amd64)).contains("not what was wanted"));
    let mut odd = here;
    odd["digest"] = json!("sha512:00");
    registry.list("odd", &[odd]);
    assert!(told(registry.resolve("a:odd", Arch::Amd64)).contains("no SHA-256"));
}

#[test]
fn what_is_no_image_is_refused() {
    let layer =
        json!({ "mediaType": "x", "digest": format!("sha256:{}", Digest::of(b"x")), "size": 1 });
    let huge = json!({ "mediaType": "x", "digest": layer["digest"], "size": u64::MAX });
    let foreign = json!({ "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "digest": layer["digest"], "size": 1 });
    let many = vec![layer.clone(); 501];
    for (text, word) in [
        (json!("text"), "is no manifest"),
        (json!({ "schemaVersion": 1 }), "names no configuration"),
        (
            json!({ "mediaType": "application/vnd.docker.distribution.manifest.v1+json" }),
            "is not taken",
        ),
        (
            json!({ "mediaType": MANIFESTS[0], "manifests": [] }),
            "is not taken",
        ),
        (json!({ "manifests": [] }), "there is no"),
        (json!({ "config": layer }), "names no configuration"),
        (json!({ "config": layer, "layers": many }), "501 layers"),
        (
            json!({ "config": layer, "layers": [huge] }),
            "more than any such part",
        ),
        (
            json!({ "config": huge, "layers": [] }),
            "more than any such part",
        ),
        (
            json!({ "config": layer, "layers": [foreign] }),
            "does not give out",
        ),
    ] {
        let mut registry = Registry::default();
        registry.tag("1", text.to_string().as_bytes());
        registry.keep("manifests", text.to_string().as_bytes(), "");
        let told = told(registry.resolve("a:1", Arch::Amd64));
        assert!(told.contains(word), "{text}: {told}");
    }
}
