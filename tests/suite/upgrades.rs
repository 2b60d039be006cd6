//! The first step to a new minor, as docs/upgrade.md has it: the files and the command are taken from that page.

use crate::clusters::{made, parse, text};
use crate::plans::{Own, repository};
use cluster::Cluster;
use nodeimg::profile::Profile;
use nodeimg::shelf::Shelf;
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

/// The cluster that is upgraded: its profiles are the page's.
const CLUSTER: &str = "cka-simple";

/// Returns the page's blocks of a language, without the list's indentation.
fn blocks(language: &str) -> Vec<String> {
    let page = repository().read("docs/upgrade.md").expect("readable");
    let page = String::from_utf8(page.expect("a page")).expect("UTF-8");
    let mut res: Vec<String> = Vec::new();
    let mut is_inside = false;
    for line in page.lines() {
        let line = line.strip_prefix("   ").unwrap_or(line);
        if line == format!("```{language}") {
            is_inside = true;
            res.push(String::new());
        } else if line == "```" {
            is_inside = false;
        } else if let Some(block) = res.last_mut().filter(|_| is_inside) {
            block.push_str(&format!("{line}\n"));
        }
    }
    res
}

/// Returns the files that the page has its reader write; the first line of each is its path.
fn files() -> Vec<(String, String)> {
    let of = |block: String| {
        let path = block.lines().next().and_then(|it| it.strip_prefix("# "));
        (path.expect("a path").to_owned(), block.clone())
    };
    blocks("toml").into_iter().map(of).collect()
}

/// Returns the cluster's file after the page's command has gone over it.
fn edited() -> String {
    let script = (blocks("sh").into_iter())
        .find(|it| it.contains("sed -i"))
        .expect("a block with the command");
    let command: Vec<&str> = (script.lines())
        .take_while(|it| !it.starts_with("nodeimg"))
        .collect();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cluster.toml");
    fs::write(&path, text(CLUSTER)).expect("writable");
    let status = Command::new("sh")
        .args(["-c", &command.join("\n")])
        .current_dir(folder.path())
        .status()
        .expect("sh");
    assert!(status.success());
    fs::read_to_string(&path).expect("readable")
}

/// Makes each node's seed and plan; returns the profiles by node and the founder's user-data.
fn planned(cluster: &Cluster, shelf: &dyn Shelf) -> Result<(Vec<Profile>, String), String> {
    let mut profiles = Vec::new();
    let mut user_data = String::new();
    for node in &cluster.nodes {
        let made = made(shelf, cluster, node, &BTreeMap::new()).map_err(|it| told(&it))?;
        if cluster.founds(node) {
            user_data = made.file("user-data");
        }
        made.plan(shelf).map_err(|it| told(&it))?;
        profiles.push(made.profile);
    }
    Ok((profiles, user_data))
}

/// Returns an error with what caused it.
fn told(error: &dyn std::error::Error) -> String {
    let mut res = error.to_string();
    let mut source = error.source();
    while let Some(it) = source {
        res.push_str(&format!(": {it}"));
        source = it.source();
    }
    res
}

#[test]
fn without_the_pages_files_the_new_minor_is_refused() {
    let only = text(CLUSTER).replace("kubernetes = \"1.36\"", "kubernetes = \"1.37\"");
    let refused = planned(&parse(CLUSTER, &only), &repository()).expect_err("1.36 is locked");
    assert!(
        refused.contains("kubernetes v1.36.2 is locked, but cluster `cka-simple` asks for 1.37"),
        "{refused}"
    );
    // The nodes' lines alone name profiles that nobody wrote.
    let refused = planned(&parse(CLUSTER, &edited()), &repository()).expect_err("no such profile");
    assert_eq!(refused, "there is no profile \"controlplane-1-37\"");
}

#[test]
fn with_the_pages_files_the_new_minor_is_planned() {
    let shelf = Own::new(files());
    let written: Vec<&str> = shelf.0.keys().map(String::as_str).collect();
    assert_eq!(
        written,
        [
            "profiles/controlplane-1-37.toml",
            "profiles/parts/kubernetes-1.37.toml",
            "profiles/worker-1-37.toml",
        ]
    );
    let cluster = parse(CLUSTER, &edited());
    assert_eq!(cluster.kubernetes.to_string(), "1.37");
    let (profiles, user_data) = planned(&cluster, &shelf).unwrap_or_else(|err| panic!("{err}"));
    assert!(
        user_data.contains("kubernetesVersion: v1.37.2"),
        "{user_data}"
    );
    assert_eq!(profiles.len(), 3);
    for profile in &profiles {
        let repository = &profile.repositories["kubernetes"];
        assert_eq!(
            repository.url,
            "https://pkgs.k8s.io/core:/stable:/v1.37/deb"
        );
        let key = &profile.keys["kubernetes"];
        assert_eq!(key.urls.len(), 1);
        assert!(key.urls[0].contains("/v1.37/"), "{:?}", key.urls);
        // What is told twice is asked for once.
        let kubelets = profile
            .install
            .iter()
            .filter(|it| it.starts_with("kubelet="));
        assert_eq!(kubelets.count(), 1);
    }
}

#[test]
fn a_worker_that_goes_back_has_its_old_profile_and_a_version_of_its_own() {
    let shelf = Own::new(files());
    let back = |version: &str| {
        edited().replace(
            "name = \"worker2\"\nrole = \"worker\"\nprofile = \"worker-1-37\"\n",
            &format!(
                "name = \"worker2\"\nrole = \"worker\"\nprofile = \"worker-amd64\"\n{version}"
            ),
        )
    };
    let cluster = parse(CLUSTER, &back("kubernetes = \"1.36\"\n"));
    let (profiles, _) = planned(&cluster, &shelf).unwrap_or_else(|err| panic!("{err}"));
    assert_eq!(profiles[2].name, "worker-amd64");
    let refused = planned(&parse(CLUSTER, &back("")), &shelf).expect_err("of another minor");
    assert!(
        refused.contains("kubernetes v1.36.2 is locked"),
        "{refused}"
    );
}
