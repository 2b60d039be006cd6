//! What `nodeimg cluster` tells of a cluster's file and of its secrets.

use crate::fleet::token;
use crate::world::{Place, world};
use std::fs;
use tests::{run, text};

/// Runs a command of `nodeimg cluster` and returns what it says.
fn told(place: &Place, words: &[&str]) -> String {
    text(&run(place.nodeimg().arg("cluster").args(words)))
}

#[test]
fn a_cluster_is_checked_and_drawn_from_its_file() {
    let place = world().place("cluster-drawn");
    let names = ["cp1", "vm01", "card01"];
    for (words, begin) in [
        (&["check"][..], "cluster"),
        (&["show"], ""),
        (&["show", "--svg"], "<svg "),
        (&["show", "--mermaid"], "flowchart "),
    ] {
        let text = told(&place, words);
        assert!(text.starts_with(begin), "{words:?}: {text}");
        for name in names {
            assert!(text.contains(name), "{words:?}: no {name} in {text}");
        }
    }
}

#[test]
fn a_running_cluster_is_given_its_tokens_as_a_manifest() {
    let place = world().place("cluster-tokens");
    let manifest = told(&place, &["token", "manifest"]);
    assert!(manifest.contains("kind: Secret"), "{manifest}");
    let seeded = || {
        run(place
            .nodeimg()
            .args(["build", "--node", "vm01", "--per-node", "only-seed"]));
        token(&place, "vm01")
    };
    let before = seeded();
    let (id, secret) = before.split_once('.').expect("an id and a secret");
    assert!(
        manifest.contains(id) && manifest.contains(secret),
        "{manifest}"
    );
    // A lost card: what the cluster has to forget is named, what it has to learn is another token.
    let steps = told(&place, &["token", "revoke", "vm01"]);
    assert!(
        steps.contains(&format!("bootstrap-token-{id}")) && steps.contains("delete"),
        "{steps}"
    );
    let manifest = told(&place, &["token", "manifest"]);
    assert!(
        !manifest.contains(id) && !manifest.contains(secret),
        "{manifest}"
    );
    let after = seeded();
    assert_ne!(before, after);
    assert!(manifest.contains(after.split_once('.').expect("a dot").1));
}

#[test]
fn nothing_is_built_of_a_file_that_describes_no_cluster() {
    let place = world().place("cluster-wrong");
    let file = place.folder().join("cluster.toml");
    let text = fs::read_to_string(&file).expect("a cluster");
    let members: String = (1..=2)
        .map(|it| {
            format!(
                "\n[[node]]\nname = \"etcd{it}\"\nrole = \"etcd\"\nprofile = \"etcd-amd64\"\naddress = \"192.168.56.2{it}\"\n"
            )
        })
        .collect();
    fs::write(&file, text + &members).expect("a file");
    for words in [&["build"][..], &["cluster", "check"]] {
        let output = place.nodeimg().args(words).output().expect("it runs");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(
            told.contains("2 nodes of role etcd make an etcd of 2 members"),
            "{told}"
        );
    }
    assert!(!place.out().exists(), "nothing is begun");
    assert!(!place.folder().join("locks").exists(), "nothing is locked");
}
