//! The clusters of `profiles/clusters`: each file is right, every node's profile is shipped and of its role, every seed can be made.

use crate::plans::{lock, repository};
use cluster::{Cluster, Node, RootSeed, Secrets, UnixTime};
use nodeimg::error::Result;
use nodeimg::lock::Lock;
use nodeimg::plan::{self, Order, Plan};
use nodeimg::profile::{self, Profile};
use nodeimg::seed::{self, Membership};
use nodeimg::shelf::Shelf;
use std::collections::BTreeMap;

pub(crate) const NAMES: [&str; 5] = [
    "cka-simple",
    "goldentooth",
    "kubeauto",
    "kubespray",
    "ten-hosts",
];

/// Returns the text of a cluster's file.
pub(crate) fn text(name: &str) -> String {
    file(&format!("{name}.toml"))
}

/// Returns the text of a file beside the clusters.
pub(crate) fn file(name: &str) -> String {
    let path = format!("profiles/clusters/{name}");
    let bytes = repository()
        .read(&path)
        .expect("it can be read")
        .unwrap_or_else(|| panic!("{path} is missing"));
    String::from_utf8(bytes).expect("UTF-8")
}

/// Reads a cluster's file, which is right.
pub(crate) fn parse(name: &str, text: &str) -> Cluster {
    cluster::parse(text, &format!("{name}.toml")).unwrap_or_else(|err| panic!("{err}"))
}

/// Returns secrets that are the same each time.
pub(crate) fn secrets(cluster: &Cluster) -> Secrets {
    Secrets::new(
        cluster.name.clone(),
        RootSeed::new([7; 32]),
        UnixTime(1_795_000_000),
    )
}

/// What a node is made of.
pub(crate) struct Made {
    pub(crate) profile: Profile,
    lock: Lock,
    seed: Vec<(String, Vec<u8>)>,
}

/// Makes a node's seed, of a lock of its profile; `manifests` are the texts beside the cluster's file.
pub(crate) fn made(
    shelf: &dyn Shelf,
    cluster: &Cluster,
    node: &Node,
    manifests: &BTreeMap<String, String>,
) -> Result<Made> {
    let profile = profile::load(shelf, node.profile.as_str())?;
    let lock = lock(&profile);
    let member = Membership {
        cluster,
        secrets: &secrets(cluster),
        node: Some(node.name.as_str()),
        manifests,
    };
    let seed = seed::seed(&profile, &lock, &member)?;
    Ok(Made {
        profile,
        lock,
        seed,
    })
}

impl Made {
    /// Returns a file of the seed.
    pub(crate) fn file(&self, name: &str) -> String {
        let found = self.seed.iter().find(|(it, _)| it == name);
        let (_, bytes) = found.unwrap_or_else(|| panic!("a seed without {name}"));
        String::from_utf8(bytes.clone()).expect("UTF-8")
    }

    /// Makes the plan of an image that is this node's.
    pub(crate) fn plan(&self, shelf: &dyn Shelf) -> Result<Plan> {
        let order = Order {
            profile: &self.profile,
            lock: &self.lock,
            seed: self.seed.clone(),
            needs: Vec::new(),
            mac: None,
        };
        plan::plan(&order, shelf)
    }
}

#[test]
fn every_cluster_is_known_and_has_a_page() {
    let shelf = repository();
    let found: Vec<String> = shelf
        .list("profiles/clusters")
        .iter()
        .filter_map(|it| {
            let name = it.strip_prefix("profiles/clusters/")?;
            name.strip_suffix(".toml").map(str::to_owned)
        })
        .collect();
    assert_eq!(found, NAMES);
    for name in NAMES {
        let page = shelf
            .read(&format!("docs/clusters/{name}.md"))
            .expect("it can be read")
            .expect("a page");
        let page = String::from_utf8(page).expect("UTF-8");
        assert!(page.contains("## What differs from its origin"), "{name}");
        assert!(page.contains("## What was booted here"), "{name}");
    }
}

#[test]
fn every_node_has_a_shipped_profile_of_its_role_a_seed_and_a_plan() {
    let shelf = repository();
    for name in NAMES {
        let cluster = parse(name, &text(name));
        assert_eq!(cluster.name.as_str(), name);
        let manifests: BTreeMap<String, String> = cluster
            .local_manifests()
            .map(|it| (it.to_owned(), file(it)))
            .collect();
        for node in &cluster.nodes {
            made(&shelf, &cluster, node, &manifests)
                .and_then(|it| it.plan(&shelf))
                .unwrap_or_else(|err| panic!("{name}, {}: {err}", node.name));
        }
    }
}
