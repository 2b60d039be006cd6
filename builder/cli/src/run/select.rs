//! From `--profile` and its friends to a profile, its lock, and a plan.

use super::{Host, cluster};
use crate::args::Select;
use crate::host::output::{self, Readers};
use crate::host::{config::KeySource, given, usage};
use ::cluster::Mac;
use anyhow::Result;
use nodeimg::error::Error;
use nodeimg::lock::{self, Lock, Means};
use nodeimg::plan::{self, Order, Plan};
use nodeimg::preload::Need;
use nodeimg::profile::{self, Profile, RemoteFile};
use nodeimg::seed;
use nodeimg::want::Want;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What was selected.
pub(super) struct Selected {
    pub(super) profile: Profile,
    pub(super) lock: Lock,
    /// The cluster's node this is, if it is one.
    pub(super) node: Option<String>,
    /// Who may read the image: the seed of a cluster's node holds secrets.
    pub(super) readers: Readers,
    /// The seed that is put into the image.
    pub(super) seed: Vec<(String, Vec<u8>)>,
    /// The cluster's manifests that are put into the image, which are pinned like everything in the lock.
    pub(super) manifests: Vec<RemoteFile>,
    /// Container images that the cluster needs besides kubeadm's.
    pub(super) needs: Vec<Need>,
    /// Address of the node's card on the node network, where the image is a node's.
    pub(super) mac: Option<Mac>,
}

impl Selected {
    /// Returns everything that must be in the cache before a build.
    pub(super) fn wants(&self) -> Vec<Want> {
        let mut wants = self.lock.wants();
        let want = |it: &RemoteFile| seed::manifest_want(it.url.clone(), it.url.clone(), it.sha256);
        wants.extend(self.manifests.iter().map(want));
        wants
    }
}

/// Loads the profile, finds or makes its lock, and renders the seed.
pub(super) fn select(host: &Host, args: &Select) -> Result<Selected> {
    let name = args.profile.as_deref().ok_or_else(|| {
        Error::input("no profile was named")
            .help("name one with --profile; nodeimg profiles lists them")
    })?;
    let node = match args.node.as_slice() {
        [] => None,
        [one] => Some(one.as_str()),
        _ => {
            return Err(Error::input("several nodes of one profile")
                .help("leave --profile out: nodeimg build --node A --node B")
                .into());
        }
    };
    let profile = load(host, name, &args.ssh_key)?;
    let lock = locked(host, args.lock.as_deref(), &profile)?;
    seeded(host, args.cluster.as_deref(), node, profile, lock)
}

/// Loads a profile and adds the keys that were given.
pub(super) fn load(host: &Host, name: &str, keys: &[String]) -> Result<Profile> {
    let mut profile = profile::load(&host.shelves, name)?;
    profile.admin.ssh_keys.extend(ssh_keys(keys)?);
    Ok(profile)
}

/// Returns the plan of what was selected.
pub(super) fn plan(host: &Host, selected: &Selected) -> Result<Plan> {
    let mut profile = selected.profile.clone();
    profile.files.extend(selected.manifests.iter().cloned());
    let order = Order {
        profile: &profile,
        lock: &selected.lock,
        seed: selected.seed.clone(),
        needs: selected.needs.clone(),
        mac: selected.mac,
    };
    Ok(plan::plan(&order, &host.shelves)?)
}

/// Reads the lock, or makes it and writes it where it was looked for.
pub(super) fn locked(host: &Host, lock: Option<&Path>, profile: &Profile) -> Result<Lock> {
    let path = lock.map_or_else(
        || PathBuf::from(format!("locks/{}.lock", profile.name)),
        Path::to_owned,
    );
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

/// Returns the cluster's file: the one named, else the usual one if it exists.
pub(super) fn cluster_file(named: Option<&Path>) -> Option<PathBuf> {
    match named {
        Some(path) => Some(path.to_owned()),
        None => Path::new(cluster::FILE)
            .exists()
            .then(|| PathBuf::from(cluster::FILE)),
    }
}

fn seeded(
    host: &Host,
    file: Option<&Path>,
    node: Option<&str>,
    profile: Profile,
    lock: Lock,
) -> Result<Selected> {
    let Some(path) = cluster_file(file) else {
        if let Some(node) = node {
            return Err(
                Error::input(format!("there is no cluster for node {node:?}"))
                    .help("`nodeimg cluster init` makes cluster.toml; --cluster names another file")
                    .into(),
            );
        }
        host.voice
            .note("no cluster.toml: the image joins nothing by itself");
        let seed = seed::alone(&profile)?;
        return Ok(Selected {
            profile,
            lock,
            node: None,
            readers: Readers::All,
            seed,
            manifests: Vec::new(),
            needs: Vec::new(),
            mac: None,
        });
    };
    let mut loaded = cluster::load(host, &path)?;
    loaded.admit(&profile.admin.ssh_keys)?;
    let node = seed::node(&profile, &loaded.cluster, node)?;
    let member = loaded.member(node.as_str());
    Ok(Selected {
        seed: seed::seed(&profile, &lock, &member)?,
        mac: Some(seed::mac(&member, &node)?),
        manifests: seed::manifests(&profile, &loaded.cluster)?,
        needs: loaded.needs(host, &profile)?,
        node: Some(node.to_string()),
        readers: Readers::Owner,
        profile,
        lock,
    })
}
