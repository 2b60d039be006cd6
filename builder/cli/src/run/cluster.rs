//! `nodeimg cluster`: the cluster's file, and the folder of secrets beside it.

use super::vault::{self, Keeping, Vault};
use super::{Host, token};
use crate::args::ClusterCommand;
use crate::host::{output, usage};
use anyhow::{Context as _, Result};
use cluster::{Cluster, ClusterName, RootSeed, Secrets, UnixTime, draw};
use nodeimg::error::Error;
use nodeimg::preload::{self, Need};
use nodeimg::profile::Profile;
use nodeimg::seed::{self, Membership};
use nodeimg::want::Fetch as _;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

/// The file that is looked for where none is named.
pub(super) const FILE: &str = "cluster.toml";
/// The release of Kubernetes that a new cluster asks for.
const KUBERNETES: &str = "1.36";

/// Runs a sub-command.
pub(super) fn run(host: &Host, command: ClusterCommand) -> Result<()> {
    match command {
        ClusterCommand::Init {
            name,
            file,
            encrypt,
        } => init(
            host,
            &Init {
                name: &name,
                file: &file,
                encrypt,
            },
        ),
        ClusterCommand::Check(it) => check(host, &it.file),
        ClusterCommand::Show { file, svg, mermaid } => {
            let cluster = read(&file.file)?;
            let drawing = if svg {
                draw::svg(&cluster)
            } else if mermaid {
                draw::mermaid(&cluster)
            } else {
                draw::text(&cluster)
            };
            let event =
                json!({ "event": "drawing", "cluster": cluster.name.to_string(), "text": drawing });
            host.voice.result(drawing.trim_end(), &event)
        }
        ClusterCommand::Token { command } => token::run(host, command),
        ClusterCommand::ExportKubeconfig { file, out } => {
            export_kubeconfig(host, &file.file, out.as_deref())
        }
    }
}

/// Makes a kubeconfig that is valid from now on, and prints or writes it.
fn export_kubeconfig(host: &Host, file: &Path, out: Option<&Path>) -> Result<()> {
    let Loaded {
        cluster, secrets, ..
    } = load(host, file)?;
    let now = UnixTime(usage::unix_time());
    let text = secrets
        .admin_kubeconfig(&cluster, now)
        .map_err(Error::from)?;
    let Some(out) = out else {
        let event = json!({ "event": "kubeconfig", "text": text.expose() });
        return host.voice.result(text.expose().trim_end(), &event);
    };
    output::write_with_mode(out, 0o600, text.expose().as_bytes())?;
    host.voice.result(
        &format!(
            "wrote {}, valid for a year: kubectl --kubeconfig {} get nodes",
            out.display(),
            out.display()
        ),
        &json!({ "event": "kubeconfig", "file": out.to_string_lossy() }),
    )
}

/// What `cluster init` is asked to make.
struct Init<'a> {
    name: &'a str,
    file: &'a Path,
    /// Whether secrets are to be kept under a passphrase.
    encrypt: bool,
}

/// Makes the file unless it exists, and the secrets unless they do.
fn init(host: &Host, asked: &Init<'_>) -> Result<()> {
    let file = asked.file;
    let made_file = !file.exists();
    if made_file {
        let name: ClusterName = asked
            .name
            .parse()
            .map_err(|err| Error::input(format!("cluster name {:?}", asked.name)).because(err))?;
        let text = cluster::default_for(
            &name,
            KUBERNETES.parse().context("the release of a new cluster")?,
        );
        output::write(file, text.as_bytes())?;
    }
    let cluster = read(file)?;
    let vault = Vault::beside(file);
    let _lock = vault.lock()?;
    let kept = vault.kept();
    let secrets = match kept {
        None => Secrets::new(
            cluster.name.clone(),
            RootSeed::new(vault::random()?),
            UnixTime(usage::unix_time()),
        ),
        Some(keeping) => vault.read(host, &cluster, keeping)?,
    };
    let keeping = if asked.encrypt {
        Keeping::Sealed
    } else {
        kept.unwrap_or(Keeping::Plain)
    };
    // Written again even if they exist: certificates of new nodes and endpoints follow from the file.
    vault.write(host, &secrets, &cluster, keeping)?;
    for warning in cluster.warnings() {
        host.voice.note(&format!("{}: {warning}", file.display()));
    }
    let what = |made: bool| if made { "made" } else { "kept" };
    let advice = match keeping {
        Keeping::Plain => "keep it safe: whoever has it owns the cluster",
        Keeping::Sealed => "sealed: whoever has it and the passphrase owns the cluster",
    };
    host.voice.result(
        &format!(
            "{} {}\n{} {} ({advice})\nnext: edit {}, then nodeimg build",
            what(made_file),
            file.display(),
            what(kept.is_none()),
            vault.folder().display(),
            file.display()
        ),
        &json!({
            "event": "cluster",
            "file": file.to_string_lossy(),
            "secrets": vault.folder().to_string_lossy(),
            "sealed": keeping == Keeping::Sealed,
            "ca_hash": secrets.ca_hash(),
        }),
    )
}

fn check(host: &Host, file: &Path) -> Result<()> {
    let cluster = read(file)?;
    let mut text = format!(
        "cluster {} at {}, Kubernetes {}\n",
        cluster.name, cluster.endpoint, cluster.kubernetes
    );
    for node in &cluster.nodes {
        let address = node
            .address
            .map_or_else(|| "by DHCP".to_owned(), |it| it.to_string());
        text.push_str(&format!(
            "{:<12} {:<20} {:<16} {}\n",
            node.role.as_str(),
            node.name.to_string(),
            address,
            node.profile
        ));
    }
    let warnings = cluster.warnings();
    for warning in &warnings {
        host.voice.note(warning);
    }
    host.voice.result(text.trim_end(), &json!({ "event": "cluster", "name": cluster.name.to_string(), "nodes": cluster.nodes.len(), "warnings": warnings }))
}

/// A cluster with all that is beside its file.
pub(super) struct Loaded {
    pub(super) cluster: Cluster,
    pub(super) secrets: Secrets,
    /// The text of manifests beside the file, by path.
    manifests: BTreeMap<String, String>,
}

impl Loaded {
    /// Lets somebody log in to every node.
    pub(super) fn admit(&mut self, keys: &[String]) -> Result<()> {
        for key in keys {
            let key = key
                .parse()
                .map_err(|err| Error::input(format!("SSH key {key:?}")).because(err))?;
            if !self.cluster.admin.ssh_keys.contains(&key) {
                self.cluster.admin.ssh_keys.push(key);
            }
        }
        Ok(())
    }

    /// Returns what makes `node` one of the cluster.
    pub(super) fn member<'a>(&'a self, node: &'a str) -> Membership<'a> {
        Membership {
            cluster: &self.cluster,
            secrets: &self.secrets,
            node: Some(node),
            manifests: &self.manifests,
        }
    }

    /// Returns the container images that the cluster starts besides kubeadm's, where a profile brings such along; and says which
    /// manifests would not do with them.
    pub(super) fn needs(&self, host: &Host, profile: &Profile) -> Result<Vec<Need>> {
        if profile.preload.is_none() {
            return Ok(Vec::new());
        }
        let found = host.inputs.fetch(&seed::manifest_wants(&self.cluster)?)?;
        let manifests = seed::manifest_texts(&self.cluster, &found, &self.manifests)?;
        for (name, text) in &manifests {
            if preload::always_asks(text) {
                host.voice.note(&format!(
                    "{name} says `imagePullPolicy: Always`: its pods ask the registry when they start, also for images that {} brings along",
                    profile.name
                ));
            }
        }
        Ok(seed::needs(profile, &self.cluster, &manifests)?)
    }
}

/// Reads a cluster, its secrets and its manifests.
pub(super) fn load(host: &Host, file: &Path) -> Result<Loaded> {
    let cluster = read(file)?;
    for warning in cluster.warnings() {
        host.voice.note(&format!("{}: {warning}", file.display()));
    }
    let vault = Vault::beside(file);
    let Some(keeping) = vault.kept() else {
        return Err(Error::input(format!(
            "cluster {} has no secrets: there are none in {}",
            cluster.name,
            vault.folder().display()
        ))
        .help(format!("nodeimg cluster init --file {}", file.display()))
        .into());
    };
    let secrets = vault.read(host, &cluster, keeping)?;
    let mut manifests = BTreeMap::new();
    for name in cluster.local_manifests() {
        let path = file.with_file_name("").join(name);
        manifests.insert(name.to_owned(), manifest(&path)?);
    }
    Ok(Loaded {
        cluster,
        secrets,
        manifests,
    })
}

/// Reads a manifest; one that no seed could hold is not read to its end.
fn manifest(path: &Path) -> Result<String> {
    let broken = || Error::input(format!("manifest {} cannot be read", path.display()));
    let file = File::open(path).map_err(|err| broken().because(err))?;
    let mut text = String::new();
    let limit = cluster::seed::LIMIT_BYTES as u64;
    file.take(limit + 1)
        .read_to_string(&mut text)
        .map_err(|err| broken().because(err))?;
    if text.len() as u64 > limit {
        let what = format!("manifest {} is larger than a seed can be", path.display());
        return Err(Error::input(what)
            .help("give it by `url` and `sha256`: then it travels in the control planes' image")
            .into());
    }
    Ok(text)
}

/// Stores secrets that changed, and all that follows from them, as they were kept before.
pub(super) fn store(host: &Host, file: &Path, loaded: &Loaded) -> Result<()> {
    let vault = Vault::beside(file);
    let keeping = vault.kept().unwrap_or(Keeping::Plain);
    vault.write(host, &loaded.secrets, &loaded.cluster, keeping)
}

pub(super) fn read(file: &Path) -> Result<Cluster> {
    let text = fs::read_to_string(file).map_err(|err| {
        Error::input(format!("{} cannot be read", file.display()))
            .because(err)
            .help("nodeimg cluster init makes one")
    })?;
    Ok(cluster::parse(&text, &file.display().to_string()).map_err(Error::from)?)
}
