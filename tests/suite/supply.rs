//! What a dependency may be, by the rules of `ci/deny.toml`: its licence, its name, where it comes from. Judged is every package that
//! `Cargo.lock` names, whatever platform it is for. cargo-deny judges by the same file, and more than this does (which of a package's own
//! files hold a licence, exceptions, duplicates); it has to be installed, where this runs with every other test.

use serde_json::{Value, json};
use spdx::{Expression, ParseMode};
use std::collections::BTreeSet;
use std::process::Command;
use tests::{repository, run};

/// The part of `ci/deny.toml` that is judged here.
struct Rules {
    /// SPDX identifiers, with exceptions.
    licences: BTreeSet<String>,
    /// Names of crates.
    banned: BTreeSet<String>,
}

impl Rules {
    fn read(text: &str) -> Self {
        let table: toml::Table = text.parse().expect("deny.toml is TOML");
        let strings = |list: &toml::Value, of: fn(&toml::Value) -> Option<&str>| {
            let list = list.as_array().expect("a list");
            list.iter()
                .map(|it| of(it).expect("a string").to_owned())
                .collect()
        };
        assert_eq!(table["sources"]["unknown-registry"].as_str(), Some("deny"));
        assert_eq!(table["sources"]["unknown-git"].as_str(), Some("deny"));
        Self {
            licences: strings(&table["licenses"]["allow"], toml::Value::as_str),
            banned: strings(&table["bans"]["deny"], |it| it["crate"].as_str()),
        }
    }

    /// Returns what is wrong with packages, as `cargo metadata` tells them. Those without a source are ours.
    fn complaints(&self, packages: &[Value]) -> Vec<String> {
        let mut complaints = Vec::new();
        let mut registries = BTreeSet::new();
        for package in packages {
            let name = package["name"].as_str().expect("a name");
            if self.banned.contains(name) {
                complaints.push(format!("{name} is banned"));
            }
            let Some(source) = package["source"].as_str() else {
                continue;
            };
            registries.insert(source);
            if !source.starts_with("registry+") {
                complaints.push(format!("{name} comes from {source}"));
            }
            let licence = package["license"].as_str().unwrap_or_default();
            match Expression::parse_mode(licence, ParseMode::LAX) {
                Ok(it) if it.evaluate(|one| self.licences.contains(&one.to_string())) => {}
                Ok(_) => complaints.push(format!("{name} is under {licence}")),
                Err(err) => complaints.push(format!("{name} is under {licence:?}: {err}")),
            }
        }
        if registries.len() > 1 {
            complaints.push(format!("more than one registry: {registries:?}"));
        }
        complaints
    }
}

fn rules() -> Rules {
    let path = repository().join("ci/deny.toml");
    Rules::read(&std::fs::read_to_string(path).expect("there is ci/deny.toml"))
}

#[test]
fn dependencies_are_what_deny_toml_allows() {
    let out = run(Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--format-version", "1"])
        .current_dir(repository()));
    let metadata: Value = serde_json::from_slice(&out.stdout).expect("cargo tells JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    let theirs = packages.iter().filter(|it| it["source"].is_string());
    assert!(theirs.count() > 100, "cargo told of few packages");
    let complaints = rules().complaints(packages);
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn each_rule_is_enforced() {
    let package = |name: &str, licence: Option<&str>, source: &str| json!({"name": name, "license": licence, "source": source});
    let (one, mit) = ("registry+https://registry.example", Some("MIT"));
    let judged = |packages: &[Value]| rules().complaints(packages);
    for fine in [
        "MIT",
        "MIT/Apache-2.0",
        "GPL-3.0-only OR MIT",
        "(MIT OR GPL-2.0-only) AND NCSA",
    ] {
        assert_eq!(judged(&[package("a", Some(fine), one)]), [""; 0], "{fine}");
    }
    for bad in [
        "GPL-3.0-only",
        "MIT AND GPL-3.0-only",
        "Apache-2.0 WITH Classpath-exception-2.0",
        "a licence",
        "",
    ] {
        assert_eq!(judged(&[package("a", Some(bad), one)]).len(), 1, "{bad}");
    }
    assert_eq!(judged(&[package("a", None, one)]).len(), 1);
    assert_eq!(
        judged(&[package("openssl-sys", mit, one)]),
        ["openssl-sys is banned"]
    );
    let git = "git+https://example.org/a";
    assert_eq!(
        judged(&[package("a", mit, git)]),
        [format!("a comes from {git}")]
    );
    let other = package("b", mit, "registry+https://other.example");
    assert_eq!(judged(&[package("a", mit, one), other]).len(), 1);
    // Ours are under what the workspace says, and come from nowhere.
    assert_eq!(
        judged(&[json!({"name": "cli", "license": null, "source": null})]),
        [""; 0]
    );
}
