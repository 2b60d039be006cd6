//! `nodeimg cluster`: the cluster's file, and the folder of secrets beside it.

use super::Host;
use crate::args::ClusterCommand;
use crate::host::output::{self, Partial, Readers};
use crate::host::{at, given, lock, usage};
use anyhow::{Context as _, Result};
use cluster::{Cluster, ClusterName, RootSeed, Secrets, UnixTime};
use nodeimg::error::Error;
use serde_json::json;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::Read as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The file that is looked for where none is named.
pub(super) const FILE: &str = "cluster.toml";
/// The release of Kubernetes that a new cluster asks for.
const KUBERNETES: &str = "1.36";

/// Runs a sub-command.
pub(super) fn run(host: &Host, command: ClusterCommand) -> Result<()> {
    match command {
        ClusterCommand::Init { name, file } => init(host, &name, &file),
        ClusterCommand::Check { file } => check(host, &file),
    }
}

/// Makes the file unless it exists, and the secrets unless they do.
fn init(host: &Host, name: &str, file: &Path) -> Result<()> {
    let made_file = !file.exists();
    if made_file {
        let name: ClusterName = name
            .parse()
            .map_err(|err| Error::input(format!("cluster name {name:?}")).because(err))?;
        let text = cluster::default_for(
            &name,
            KUBERNETES.parse().context("the release of a new cluster")?,
        );
        output::write(file, text.as_bytes())?;
    }
    let cluster = read(file)?;
    let folder = folder(file);
    make_folder(&folder)?;
    // Of two that make secrets at once, the second finds those of the first.
    let _lock = lock::folder(&folder).with_context(|| format!("locking {}", folder.display()))?;
    let stored = folder.join("secrets.toml");
    let made_secrets = !stored.exists();
    let secrets = if made_secrets {
        let mut seed = [0; 32];
        File::open("/dev/urandom")
            .and_then(|mut it| it.read_exact(&mut seed))
            .context("drawing random numbers")?;
        Secrets::new(
            cluster.name.clone(),
            RootSeed::new(seed),
            UnixTime(usage::unix_time()),
        )
    } else {
        secrets(&stored, &cluster)?
    };
    // Written again even if they exist: certificates of new nodes and endpoints follow from the file.
    write(&folder, &secrets, &cluster)?;
    for warning in cluster.warnings() {
        host.voice.note(&format!("{}: {warning}", file.display()));
    }
    let what = |made: bool| if made { "made" } else { "kept" };
    host.voice.result(
        &format!(
            "{} {}\n{} {} (keep it safe: whoever has it owns the cluster)\nnext: edit {}, then nodeimg build --profile …",
            what(made_file),
            file.display(),
            what(made_secrets),
            folder.display(),
            file.display()
        ),
        &json!({
            "event": "cluster",
            "file": file.to_string_lossy(),
            "secrets": folder.to_string_lossy(),
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

/// Reads a cluster and its secrets.
pub(super) fn load(host: &Host, file: &Path) -> Result<(Cluster, Secrets)> {
    let cluster = read(file)?;
    for warning in cluster.warnings() {
        host.voice.note(&format!("{}: {warning}", file.display()));
    }
    let stored = folder(file).join("secrets.toml");
    if !stored.exists() {
        return Err(Error::input(format!(
            "cluster {} has no secrets: {} does not exist",
            cluster.name,
            stored.display()
        ))
        .help(format!("nodeimg cluster init --file {}", file.display()))
        .into());
    }
    let secrets = secrets(&stored, &cluster)?;
    Ok((cluster, secrets))
}

fn read(file: &Path) -> Result<Cluster> {
    let text = fs::read_to_string(file).map_err(|err| {
        Error::input(format!("{} cannot be read", file.display()))
            .because(err)
            .help("nodeimg cluster init makes one")
    })?;
    Ok(cluster::parse(&text, &file.display().to_string())
        .map_err(|err| Error::input(err.to_string()))?)
}

fn secrets(stored: &Path, cluster: &Cluster) -> Result<Secrets> {
    let text = fs::read_to_string(stored).map_err(given("the secrets", stored))?;
    let parsed = Secrets::parse(&text, &stored.display().to_string(), &cluster.name);
    Ok(parsed.map_err(|err| Error::input(err.to_string()))?)
}

/// Returns the folder of secrets beside a cluster's file: `cluster.secrets` for `cluster.toml`.
fn folder(file: &Path) -> PathBuf {
    file.with_extension("secrets")
}

/// Writes all files of the folder; nobody else may look into it, whatever the umask.
fn write(folder: &Path, secrets: &Secrets, cluster: &Cluster) -> Result<()> {
    let files = secrets
        .files(cluster)
        .map_err(|err| Error::input(err.to_string()))?;
    for file in files {
        let path = folder.join(&file.name);
        let parent = path.parent().unwrap_or(folder);
        make_folder(parent)?;
        let partial = Partial::create(&path, Readers::Owner)?;
        let out = partial.out().file();
        out.set_permissions(Permissions::from_mode(file.mode.bits()))
            .with_context(|| format!("protecting {}", path.display()))?;
        std::io::Write::write_all(&mut &*out, file.content.expose().as_bytes())
            .with_context(|| format!("writing {}", path.display()))?;
        partial.finish()?;
    }
    Ok(())
}

/// Makes a folder of secrets unless it is there.
fn make_folder(path: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    Ok(made.map_err(at("make folder", path))?)
}
