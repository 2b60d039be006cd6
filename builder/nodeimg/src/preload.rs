//! Container images that travel in an image: which are asked for, which are needed, and what is missing between the two.
//!
//! What kubeadm starts is known by its version (the profile's `[kubernetes.images]`); what manifests start is read off their
//! text. What an operator starts by itself stands in no manifest, and only a person can name it.

use crate::base::fill;
use crate::error::{Error, Result, input};
use crate::profile::{Kubernetes, Profile, Role};
use crate::reference::Reference;
use std::collections::{BTreeMap, BTreeSet};

/// The overlay with the unit that brings them into containerd's store.
pub const OVERLAY: &str = "preload";
/// In place of an image's name: all that kubeadm starts.
pub const KUBEADM: &str = "kubeadm";

/// The longest line of a manifest that is looked at; no name is nearly as long.
const MAX_LINE: usize = 4096;
/// More than the longest name with tag and digest.
const MAX_VALUE: usize = 512;

/// What a profile asks for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Preload {
    /// What is brought along, in the profile's order.
    pub images: Vec<Item>,
    /// What is needed and left out knowingly.
    pub without: BTreeSet<Reference>,
}

/// One or several images.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Item {
    /// All that kubeadm starts.
    Kubeadm,
    /// One.
    Image(Reference),
}

/// What kubeadm of a minor starts besides the sandbox image; `{version}` stands for the exact version.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct KubeadmImages {
    /// On every node.
    pub node: Vec<String>,
    /// On control planes besides.
    pub controlplane: Vec<String>,
}

/// An image that a machine cannot do without, and who says so.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Need {
    /// The image.
    pub image: Reference,
    /// `kubeadm v1.36.2`, `manifest calico`.
    pub by: String,
}

/// Returns every image that is asked for, each once.
pub fn asked(profile: &Profile, version: Option<&str>) -> Result<Vec<Reference>> {
    let Some(preload) = &profile.preload else {
        return Ok(Vec::new());
    };
    let mut res: Vec<Reference> = Vec::new();
    for item in &preload.images {
        let images = match item {
            Item::Image(it) => vec![it.clone()],
            Item::Kubeadm => kubeadm(profile, version)?,
        };
        for it in images {
            if !res.contains(&it) && !preload.without.contains(&it) {
                res.push(it);
            }
        }
    }
    Ok(res)
}

/// Returns what kubeadm starts on a machine of the profile.
fn kubeadm(profile: &Profile, version: Option<&str>) -> Result<Vec<Reference>> {
    let place = || format!("profile {:?}: `kubernetes.images`", profile.name);
    let (
        Some(version),
        Some(Kubernetes {
            images,
            pause_image,
            ..
        }),
    ) = (version, &profile.kubernetes)
    else {
        return Err(Error::input(format!(
            "profile {:?} has no Kubernetes whose images could be named",
            profile.name
        )));
    };
    if images.node.is_empty() {
        return Err(Error::input(format!("{} names nothing for Kubernetes {version}", place()))
            .help("`kubeadm config images list` prints what to put there: see profiles/parts/kubernetes-1.36.toml"));
    }
    let also: &[String] = match profile.role {
        Role::Controlplane => &images.controlplane,
        _ => &[],
    };
    let texts = pause_image.iter().chain(&images.node).chain(also);
    texts
        .map(|text| fill(text, &[("version", version)])?.parse())
        .collect::<Result<_>>()
        .map_err(input(place()))
}

/// Checks that what a machine needs is brought along, where anything is: all that is missing is named at once.
pub fn check(
    profile: &Profile,
    version: Option<&str>,
    present: &BTreeSet<Reference>,
    needs: &[Need],
) -> Result<()> {
    let Some(preload) = &profile.preload else {
        return Ok(());
    };
    let mut missing: BTreeMap<Reference, Vec<String>> = BTreeMap::new();
    let by_kubeadm = kubeadm(profile, version)?.into_iter().map(|image| Need {
        image,
        by: format!("kubeadm v{}", version.unwrap_or_default()),
    });
    for need in by_kubeadm.chain(needs.iter().cloned()) {
        if present.contains(&need.image) || preload.without.contains(&need.image) {
            continue;
        }
        let by = missing.entry(need.image).or_default();
        if !by.contains(&need.by) {
            by.push(need.by);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let told: Vec<String> = missing
        .iter()
        .map(|(image, by)| format!("{image} ({})", by.join(", ")))
        .collect();
    let quoted = |moves: bool| {
        let names: Vec<String> = missing
            .keys()
            .filter(|it| it.moves() == moves)
            .map(|it| format!("{:?}", it.to_string()))
            .collect();
        names.join(", ")
    };
    let mut help =
        "add them to [preload] `images`, or what a machine without network can do without to `without`"
            .to_owned();
    for (names, say) in [
        (quoted(false), ""),
        (
            quoted(true),
            "; without a version, these can only be left out",
        ),
    ] {
        if !names.is_empty() {
            help = format!("{help}{say}: [{names}]");
        }
    }
    Err(Error::input(format!(
        "profile {:?} preloads container images, but not all that its machines need: {}",
        profile.name,
        told.join("; ")
    ))
    .help(help))
}

/// Returns the images that a manifest names, each once.
///
/// Read line by line, so that manifests within manifests (of a ConfigMap) count, and a schema that describes a field called
/// `image` does not: YAML in block style, and JSON.
pub fn named(text: &str) -> BTreeSet<Reference> {
    values(text, "image")
        .filter_map(|it| it.parse().ok())
        .collect()
}

/// Returns whether a manifest has the kubelet ask the registry each time a pod starts, whatever is there.
pub fn always_asks(text: &str) -> bool {
    values(text, "imagePullPolicy").any(|it| it == "Always")
}

/// Returns what stands behind `key:` in a text.
fn values<'a>(text: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines()
        .filter(|it| it.len() <= MAX_LINE)
        .flat_map(move |it| on_line(it, key))
}

fn on_line<'a>(line: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    line.match_indices(key).filter_map(|(at, word)| {
        let before = line[..at].trim_end_matches(['"', '\'']);
        // A key begins a line, an entry of a list, or an object.
        let is_key = before.bytes().all(|it| b" \t-".contains(&it))
            || before.trim_end().ends_with(['{', ',']);
        let rest = line[at + word.len()..]
            .trim_start_matches(['"', '\''])
            .trim_start();
        let value = rest.strip_prefix(':').filter(|_| is_key)?.trim_start();
        let value = value.trim_start_matches(['"', '\'']);
        let value = &value[..value.floor_char_boundary(MAX_VALUE)];
        let end = value
            .find(|it: char| it.is_whitespace() || "\"',}]#".contains(it))
            .unwrap_or(value.len());
        Some(&value[..end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_that_always_ask_are_known() {
        for (text, always) in [
            ("    imagePullPolicy: Always # as upstream has it\n", true),
            ("{\"image\":\"a:1\",\"imagePullPolicy\":\"Always\"}", true),
            ("  - imagePullPolicy: 'Always'", true),
            ("    imagePullPolicy: IfNotPresent\n", false),
            ("    imagePullPolicy:\n      description: Always\n", false),
            ("    # imagePullPolicy: Always\n", false),
            ("", false),
        ] {
            assert_eq!(always_asks(text), always, "{text}");
        }
    }

    #[test]
    fn manifests_name_images_in_every_usual_way() {
        let text = r#"
apiVersion: apps/v1
spec:
  containers:
  - image: docker.io/flannel/flannel:v0.28.5 # the program
    name: a
  - name: b
    image: "quay.io/x/y:1"
  initContainers:
  - { image: ghcr.io/z:2, name: c }
data:
  helperPod.yaml: |-
    spec:
      containers:
        - name: helper
          image: busybox:1.37
---
{"containers":[{"name":"j","image":"registry.k8s.io/json:3"}]}
---
properties:
  image:
    description: 'image: the one to run, such as nginx.'
    type: string
  imagePullPolicy: Always
  # image: not/this:1
"#;
        let found: Vec<String> = named(text).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "docker.io/flannel/flannel:v0.28.5",
                "docker.io/library/busybox:1.37",
                "ghcr.io/z:2",
                "quay.io/x/y:1",
                "registry.k8s.io/json:3",
            ]
        );
    }
}
