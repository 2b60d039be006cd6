//! Profiles that bring container images along: what they ask for by role and version, and what is refused.

use crate::plans::{Own, lock};
use nodeimg::digest::Digest;
use nodeimg::error::{Error, Result};
use nodeimg::lock::{Image, Lock, Locked};
use nodeimg::plan::{self, Order, Plan};
use nodeimg::preload::{self, Need};
use nodeimg::profile::{self, Profile};

/// The repository, with a profile called `mine`.
fn with(text: String) -> Own {
    Own::new([("profiles/mine.toml".to_owned(), text)])
}

fn mine(extends: &str, text: &str) -> Own {
    with(format!(
        "extends = [\"{extends}\", \"parts/offline\"]\n{text}"
    ))
}

fn load(shelf: &Own) -> Profile {
    profile::load(shelf, "mine").unwrap_or_else(|err| panic!("{err}"))
}

/// A lock of images that do not exist; all of them share a layer.
fn locked(profile: &Profile) -> Lock {
    let of = |name: &str| Locked {
        url: format!("test:{name}"),
        sha256: Digest::of(name.as_bytes()),
        size: 1,
    };
    let mut lock = lock(profile);
    let names = preload::asked(profile, lock.kubernetes.as_deref()).expect("images");
    lock.images = names
        .into_iter()
        .map(|name| Image {
            media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
            manifest: of(&format!("{name} manifest")),
            blobs: vec![of(&format!("{name} config")), of("a layer of all")],
            name,
        })
        .collect();
    lock
}

fn names(lock: &Lock) -> Vec<String> {
    lock.images.iter().map(|it| it.name.to_string()).collect()
}

fn planned(shelf: &Own, profile: &Profile, lock: &Lock, needs: &[Need]) -> Result<Plan> {
    let order = Order {
        profile,
        lock,
        seed: Vec::new(),
        needs: needs.to_vec(),
        mac: None,
    };
    plan::plan(&order, shelf)
}

fn need(image: &str) -> Need {
    Need {
        image: image.parse().expect("a name"),
        by: "manifest x".to_owned(),
    }
}

const OF_EVERY_NODE: [&str; 3] = [
    "registry.k8s.io/pause:3.10.2",
    "registry.k8s.io/kube-proxy:v1.36.2",
    "registry.k8s.io/coredns/coredns:v1.14.2",
];

#[test]
fn a_machine_brings_what_kubeadm_of_its_version_starts_on_it() {
    for (name, more) in [
        ("worker-arm64", &[][..]),
        (
            "controlplane-amd64",
            &[
                "registry.k8s.io/kube-apiserver:v1.36.2",
                "registry.k8s.io/kube-controller-manager:v1.36.2",
                "registry.k8s.io/kube-scheduler:v1.36.2",
                "registry.k8s.io/etcd:3.6.8-0",
            ],
        ),
    ] {
        let shelf = mine(name, "");
        let profile = load(&shelf);
        let lock = locked(&profile);
        assert_eq!(names(&lock), [&OF_EVERY_NODE[..], more].concat());
        let plan = planned(&shelf, &profile, &lock, &[])
            .expect("a plan")
            .to_string();
        for word in [
            "enable    nodeimg-images.service",
            "put       /usr/lib/nodeimg/images/index.json",
            "from=registry.k8s.io/coredns/coredns:v1.14.2",
        ] {
            assert!(plan.contains(word), "{plan}");
        }
        let shared = format!("/blobs/sha256/{} ", Digest::of(b"a layer of all"));
        assert_eq!(plan.matches(&shared).count(), 1, "{plan}");
        let wants = lock.wants();
        let images = wants
            .iter()
            .filter(|it| it.url.starts_with("test:registry"));
        assert_eq!(images.count(), 2 * lock.images.len());
    }
}

#[test]
fn what_is_missing_is_named_with_who_needs_it() {
    let shelf = mine("worker-amd64", "[preload]\nimages = [\"quay.io/a/b:1\"]\n");
    let profile = load(&shelf);
    let mut lock = locked(&profile);
    let needs = [need("quay.io/a/b:1"), need("c:2")];
    let told = |result: Result<Plan>| result.expect_err("a refusal").to_string();
    assert!(
        told(planned(&shelf, &profile, &lock, &needs))
            .ends_with(" need: docker.io/library/c:2 (manifest x)")
    );
    let moving = planned(&shelf, &profile, &lock, &[need("c:2"), need("d")]).expect_err("d moves");
    assert!(
        moving.help_text().is_some_and(|it| it.ends_with(
            ": [\"docker.io/library/c:2\"]; without a version, these can only be left out: [\"docker.io/library/d:latest\"]"
        )),
        "{moving}"
    );
    lock.images.remove(0);
    let both = told(planned(&shelf, &profile, &lock, &needs));
    assert!(
        both.contains("registry.k8s.io/pause:3.10.2 (kubeadm v1.36.2)"),
        "{both}"
    );

    let without = "[preload]\nwithout = [\"c:2\", \"registry.k8s.io/coredns/coredns:v1.14.2\"]\nimages = [\"quay.io/a/b:1\"]\n";
    let shelf = mine("worker-amd64", without);
    let profile = load(&shelf);
    let lock = locked(&profile);
    assert_eq!(
        names(&lock),
        [
            "registry.k8s.io/pause:3.10.2",
            "registry.k8s.io/kube-proxy:v1.36.2",
            "quay.io/a/b:1"
        ]
    );
    planned(&shelf, &profile, &lock, &needs).expect("nothing is missing");
}

#[test]
fn mistakes_in_what_is_brought_along_are_refused() {
    for (extends, text, word) in [
        (
            "worker-amd64",
            "[preload]\nimages = [\"nginx\"]\n",
            "names no version",
        ),
        (
            "worker-amd64",
            "[preload]\nimages = [\"quay.io/x:latest\"]\n",
            "names no version",
        ),
        (
            "worker-amd64",
            "[preload]\nimages = [\"Not A Name\"]\n",
            "preload.images",
        ),
        (
            "worker-amd64",
            "[preload]\nwithout = [\"a b\"]\n",
            "preload.without",
        ),
        ("etcd-amd64", "", "no pods run on a machine of role etcd"),
    ] {
        let error = profile::load(&mine(extends, text), "mine").expect_err(text);
        assert!(
            matches!(error, Error::Input { .. }) && error.to_string().contains(word),
            "{text}: {error}"
        );
    }
    let alone = with("extends = [\"worker-amd64\"]\n[preload]\nwithout = [\"a:1\"]\n".to_owned());
    assert!(profile::load(&alone, "mine").is_err());
    // A minor of one's own names its own images.
    let shelf = mine(
        "worker-amd64",
        "[kubernetes]\nversion = \"1.37\"\n[kubernetes.images]\nnode = []\n",
    );
    let error = preload::asked(&load(&shelf), Some("1.37.0")).expect_err("no list");
    assert!(
        error
            .to_string()
            .contains("names nothing for Kubernetes 1.37.0"),
        "{error}"
    );
}
