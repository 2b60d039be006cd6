//! From `--profile` and its friends to a profile, its lock, and a plan.

use super::{Host, cluster};
use crate::args::Select;
use crate::host::{config::KeySource, given, output, usage};
use anyhow::Result;
use nodeimg::error::Error;
use nodeimg::lock::{self, Lock, Means};
use nodeimg::plan::{self, Order, Plan};
use nodeimg::profile::{self, Profile};
use nodeimg::seed;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What was selected.
pub(super) struct Selected {
    pub(super) profile: Profile,
    pub(super) lock: Lock,
    /// The cluster's node this is, if it is one.
    pub(super) node: Option<String>,
    seed: Vec<(String, Vec<u8>)>,
}

/// Loads the profile, finds or makes its lock, and renders the seed.
pub(super) fn select(host: &Host, args: &Select) -> Result<Selected> {
    let mut profile = profile::load(&host.shelves, &args.profile)?;
    profile.admin.ssh_keys.extend(ssh_keys(&args.ssh_key)?);
    let lock = locked(host, args, &profile)?;
    let (seed, node) = seeded(host, args, &profile, &lock)?;
    Ok(Selected {
        profile,
        lock,
        node,
        seed,
    })
}

/// Returns the plan of what was selected.
pub(super) fn plan(host: &Host, selected: &Selected) -> Result<Plan> {
    let order = Order {
        profile: &selected.profile,
        lock: &selected.lock,
        seed: selected.seed.clone(),
    };
    Ok(plan::plan(&order, &host.shelves)?)
}

/// Reads the lock, or makes it and writes it where it was looked for.
fn locked(host: &Host, args: &Select, profile: &Profile) -> Result<Lock> {
    let path = args
        .lock
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("locks/{}.lock", profile.name)));
    if path.exists() {
        // A build that was killed before it could name its lock may have been overtaken by the one that made this.
        output::sweep(output::folder_of(&path));
        let bytes = fs::read(&path).map_err(given("the lock", &path))?;
        let lock = lock::parse(&path.display().to_string(), &bytes)?;
        if lock.profile_digest != lock::profile_digest(profile) {
            return Err(Error::input(format!(
                "{} was made for another state of profile {:?}",
                path.display(),
                profile.name
            ))
            .help(format!("remove it to lock anew: rm {}", path.display()))
            .into());
        }
        return Ok(lock);
    }
    host.voice.note(&format!(
        "locking profile {}: {} does not exist yet",
        profile.name,
        path.display()
    ));
    let keyrings = keyrings(host);
    let mut profile = profile.clone();
    for (name, source) in &host.keys {
        if let (KeySource::Fingerprints(list), Some(key)) = (source, profile.keys.get_mut(name)) {
            *key = profile::Key::new(name, list, key.urls.clone())?;
        }
    }
    let means = Means {
        fetch: &host.inputs,
        blobs: &host.inputs,
        keyrings: &keyrings,
        now: usage::unix_time(),
        jobs: host.jobs,
    };
    let lock = lock::lock(&profile, &means)?;
    host.inputs.cache().check_again()?;
    output::write(&path, lock::render(&lock).as_bytes())?;
    host.voice.note(&format!(
        "wrote {}: keep it, the same lock gives the same bytes",
        path.display()
    ));
    Ok(lock)
}

fn keyrings(host: &Host) -> BTreeMap<String, Vec<u8>> {
    let file = |(name, source): (&String, &KeySource)| match source {
        KeySource::Keyring { bytes, .. } => Some((name.clone(), bytes.clone())),
        KeySource::Fingerprints(_) => None,
    };
    host.keys.iter().filter_map(file).collect()
}

/// Returns public keys given as such or as files of them.
fn ssh_keys(texts: &[String]) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    for text in texts {
        let is_key =
            text.starts_with("ssh-") || text.starts_with("ecdsa-") || text.starts_with("sk-");
        let lines = if is_key {
            text.clone()
        } else {
            let path = Path::new(text);
            fs::read_to_string(path).map_err(given("the file of SSH keys", path))?
        };
        let found = lines
            .lines()
            .map(str::trim)
            .filter(|it| !it.is_empty() && !it.starts_with('#'));
        for key in found {
            if key.contains("PRIVATE") || key.split_whitespace().count() < 2 {
                return Err(Error::input(format!("{text} holds no public SSH keys"))
                    .help("name the file that ends in .pub")
                    .into());
            }
            keys.push(key.to_owned());
        }
    }
    Ok(keys)
}

type Seeded = (Vec<(String, Vec<u8>)>, Option<String>);

fn seeded(host: &Host, args: &Select, profile: &Profile, lock: &Lock) -> Result<Seeded> {
    let path = match &args.cluster {
        Some(path) => path.clone(),
        None if Path::new(cluster::FILE).exists() => PathBuf::from(cluster::FILE),
        None => {
            if let Some(node) = &args.node {
                return Err(Error::input(format!("there is no cluster for node {node:?}"))
                    .help("`nodeimg cluster init` makes cluster.toml; --cluster names another file")
                    .into());
            }
            host.voice
                .note("no cluster.toml: the image joins nothing by itself");
            return Ok((seed::alone(profile)?, None));
        }
    };
    let (mut cluster, secrets) = cluster::load(host, &path)?;
    for key in &profile.admin.ssh_keys {
        let key = key
            .parse()
            .map_err(|err| Error::input(format!("SSH key {key:?}")).because(err))?;
        cluster.admin.ssh_keys.push(key);
    }
    let node = seed::node(profile, &cluster, args.node.as_deref())?.to_string();
    let member = seed::Membership {
        cluster: &cluster,
        secrets: &secrets,
        node: Some(&node),
    };
    Ok((seed::seed(profile, lock, &member)?, Some(node)))
}
