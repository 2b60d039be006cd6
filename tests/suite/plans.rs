//! Every shipped profile's plan, as text, for a lock made up here: a new profile brings its golden file.

use expect_test::expect_file;
use nodeimg::digest::Digest;
use nodeimg::lock::{Lock, Locked, Package, profile_digest};
use nodeimg::plan::{self, Order};
use nodeimg::profile;
use nodeimg::shelf::Shelf;
use std::fs;
use std::path::{Path, PathBuf};

/// The repository as a shelf.
pub(crate) struct Repository(PathBuf);

impl Shelf for Repository {
    fn read(&self, path: &str) -> nodeimg::error::Result<Option<Vec<u8>>> {
        Ok(fs::read(self.0.join(path)).ok())
    }

    fn list(&self, folder: &str) -> Vec<String> {
        let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
        while let Some(folder) = folders.pop() {
            let Ok(entries) = fs::read_dir(self.0.join(&folder)) else {
                continue;
            };
            for entry in entries.flatten() {
                let path = format!("{folder}/{}", entry.file_name().to_str().expect("UTF-8"));
                if entry.path().is_dir() {
                    folders.push(path);
                } else {
                    found.push(path);
                }
            }
        }
        found.sort();
        found
    }
}

pub(crate) fn repository() -> Repository {
    Repository(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .expect("tests/ has a parent")
            .to_owned(),
    )
}

const KERNEL: &str = "5.15.0-1061-test";

/// A lock of inputs that do not exist: their digests are those of their names.
pub(crate) fn lock(profile: &profile::Profile) -> Lock {
    let locked = |name: &str| Locked {
        url: format!("test:{name}"),
        sha256: Digest::of(name.as_bytes()),
        size: 1,
    };
    let package = |name: &str, version: &str| Package {
        name: name.to_owned(),
        version: version.to_owned(),
        arch: profile.base.arch.to_string(),
        deb: locked(name),
    };
    Lock {
        profile: profile.name.clone(),
        profile_digest: profile_digest(profile),
        time: 1_785_542_400,
        kubernetes: profile.kubernetes.as_ref().map(|_| "1.36.2".to_owned()),
        base: locked("base"),
        signers: Vec::new(),
        kernel: KERNEL.to_owned(),
        // As if nothing depended on anything.
        packages: profile
            .install
            .iter()
            .map(|it| {
                let name = it.split('=').next().unwrap_or(it);
                package(&name.replace("{kernel}", KERNEL), "1.0-1")
            })
            .collect(),
        files: Vec::new(),
        images: Vec::new(),
    }
}

#[test]
fn every_profile_has_the_plan_that_was_reviewed() {
    let shelf = repository();
    let names = profile::names(&shelf);
    assert!(names.len() >= 4, "{names:?}");
    for name in names {
        let profile = profile::load(&shelf, &name).unwrap_or_else(|err| panic!("{name}: {err}"));
        let lock = lock(&profile);
        let seed = nodeimg::seed::alone(&profile).expect("a seed without a cluster");
        let plan = plan::plan(
            &Order {
                profile: &profile,
                lock: &lock,
                seed,
                needs: Vec::new(),
                mac: None,
            },
            &shelf,
        );
        // The lock's digest follows every byte of every profile it extends: it would hide what changed.
        let text = plan
            .unwrap_or_else(|err| panic!("{name}: {err}"))
            .to_string();
        let (first, rest) = text.split_once('\n').expect("a plan has lines");
        let first = first.split(" lock=").next().unwrap_or(first);
        // So would that of the description, which names the lock.
        let known = |line: &str| {
            let end = line
                .find(" from=nodeimg")
                .map_or(line.len(), |_| line.find(" 0:0").unwrap_or(line.len()));
            line[..end].to_owned() + "\n"
        };
        let rest: String = rest.lines().map(known).collect();
        let golden = shelf.0.join(format!("tests/golden/{name}.plan"));
        expect_file![golden].assert_eq(&format!("{first}\n{rest}"));
    }
}

#[test]
fn a_lock_is_text_that_reads_back() {
    let shelf = repository();
    let profile = profile::load(&shelf, "worker-arm64").expect("a shipped profile");
    let lock = lock(&profile);
    let text = nodeimg::lock::render(&lock);
    assert_eq!(
        nodeimg::lock::parse("x.lock", text.as_bytes()).expect("our own text"),
        lock
    );
}

#[test]
fn mistakes_in_a_profile_are_shown_where_they_are() {
    let shelf: std::collections::BTreeMap<String, Vec<u8>> = [
        ("profiles/a.toml", "summary = \"x\"\nextends = [\"b\"]\n"),
        (
            "profiles/b.toml",
            "summary = \"x\"\n[image]\nslak = \"1GiB\"\n",
        ),
        ("profiles/c.toml", "extends = [\"c\"]\n"),
        ("profiles/d.toml", "extends = [\"nowhere\"]\n"),
    ]
    .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
    .into();
    let error = |name: &str| profile::load(&shelf, name).expect_err("a mistake");
    let unknown_key = error("a");
    assert!(
        unknown_key
            .to_string()
            .starts_with("profiles/b.toml, line 3: unknown field `slak`"),
        "{unknown_key}"
    );
    assert_eq!(unknown_key.help_text(), Some("did you mean `slack`?"));
    assert_eq!(
        error("c").to_string(),
        "profile \"c\" extends itself, by way of c"
    );
    assert_eq!(
        error("d").to_string(),
        "profile \"d\" extends \"nowhere\", which does not exist"
    );
    assert!(
        error("e")
            .help_text()
            .is_some_and(|it| it.contains("known are a, b, c, d"))
    );
}
