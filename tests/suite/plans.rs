//! Every shipped profile's plan, as text, for a lock made up here: a new profile brings its golden file.

use expect_test::expect_file;
use nodeimg::digest::Digest;
use nodeimg::lock::{Lock, Locked, Package, profile_digest};
use nodeimg::plan::{self, Order};
use nodeimg::profile;
use nodeimg::shelf::Shelf;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

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
    Repository(tests::repository())
}

/// The repository with files of a user's, which win.
pub(crate) struct Own(pub(crate) BTreeMap<String, Vec<u8>>);

impl Own {
    /// Paths and texts.
    pub(crate) fn new(files: impl IntoIterator<Item = (String, String)>) -> Self {
        let bytes = |(path, text): (String, String)| (path, text.into_bytes());
        Self(files.into_iter().map(bytes).collect())
    }
}

impl Shelf for Own {
    fn read(&self, path: &str) -> nodeimg::error::Result<Option<Vec<u8>>> {
        match self.0.get(path) {
            Some(own) => Ok(Some(own.clone())),
            None => repository().read(path),
        }
    }

    fn list(&self, folder: &str) -> Vec<String> {
        repository().list(folder)
    }
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
        kubernetes: (profile.kubernetes.as_ref()).map(|it| format!("{}.2", it.version)),
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

/// HashiCorp's agents have their places on a Pi and on a PC: the packages are there, and nothing starts before it is configured.
#[test]
fn agents_of_nomad_consul_and_vault_have_places_and_stay_off() {
    const AGENTS: [&str; 3] = ["nomad", "consul", "vault"];
    let parts = AGENTS.map(|it| format!("\"parts/{it}-agent\"")).join(", ");
    for under in [
        "goldentooth-worker",
        "worker-arm64",
        "goldentooth-gpu-worker",
    ] {
        let text = format!("summary = \"agents\"\nextends = [\"{under}\", {parts}]\n");
        let shelf = Own::new([("profiles/agents.toml".to_owned(), text)]);
        let planned = |name: &str| {
            let profile = profile::load(&shelf, name).unwrap_or_else(|err| panic!("{err}"));
            let lock = lock(&profile);
            let order = Order {
                profile: &profile,
                lock: &lock,
                seed: nodeimg::seed::alone(&profile).expect("a seed"),
                needs: Vec::new(),
                mac: None,
            };
            let plan = plan::plan(&order, &shelf).unwrap_or_else(|err| panic!("{name}: {err}"));
            (profile, plan.to_string())
        };
        let ((plain, without), (profile, with)) = (planned(under), planned("agents"));
        let added: Vec<&String> = (profile.install.iter())
            .filter(|it| !plain.install.contains(*it))
            .collect();
        assert_eq!(added, AGENTS, "{under}");
        let arch = profile.base.arch.to_string();
        for agent in AGENTS {
            let unpack = format!("unpack    {agent} 1.0-1 {arch} ");
            assert!(
                with.lines().any(|it| it.starts_with(&unpack)),
                "{under}: {with}"
            );
            assert!(!without.contains(&unpack), "{under}: {without}");
        }
        // What the overlays change of units is that these three are off; whatever else is on stays on.
        let units = |text: &str| -> Vec<String> {
            let lines = text.lines().filter(|it| it.contains(".service"));
            let is_change = |it: &&str| it.starts_with("disable") || it.starts_with("enable");
            lines.filter(is_change).map(str::to_owned).collect()
        };
        let off: Vec<String> = (units(&with).into_iter())
            .filter(|it| !units(&without).contains(it))
            .collect();
        assert_eq!(
            off,
            AGENTS.map(|it| format!("disable   {it}.service")),
            "{under}"
        );
        let repository = &profile.repositories["hashicorp"];
        assert_eq!(repository.suites, ["jammy"]);
        assert!(profile.keys.contains_key("hashicorp") && !plain.keys.contains_key("hashicorp"));
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
    let shelf: BTreeMap<String, Vec<u8>> = [
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
