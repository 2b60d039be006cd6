//! The clusters of `profiles/clusters`: each file is right, every node's profile is shipped and of its role, every seed can be made.

use crate::plans::{lock, repository};
use cluster::{Cluster, RootSeed, Secrets, UnixTime};
use nodeimg::plan::{self, Order};
use nodeimg::profile;
use nodeimg::seed::{self, Membership};
use nodeimg::shelf::Shelf as _;
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
        let secrets = secrets(&cluster);
        let manifests: BTreeMap<String, String> = cluster
            .local_manifests()
            .map(|it| (it.to_owned(), file(it)))
            .collect();
        for node in &cluster.nodes {
            let profile = profile::load(&shelf, node.profile.as_str())
                .unwrap_or_else(|err| panic!("{name}, {}: {err}", node.name));
            let lock = lock(&profile);
            let member = Membership {
                cluster: &cluster,
                secrets: &secrets,
                node: Some(node.name.as_str()),
                manifests: &manifests,
            };
            let seed = seed::seed(&profile, &lock, &member)
                .unwrap_or_else(|err| panic!("{name}, {}: {err}", node.name));
            let order = Order {
                profile: &profile,
                lock: &lock,
                seed,
                needs: Vec::new(),
                mac: None,
            };
            plan::plan(&order, &shelf).unwrap_or_else(|err| panic!("{name}, {}: {err}", node.name));
        }
    }
}
