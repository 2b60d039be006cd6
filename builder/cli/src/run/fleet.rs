//! `nodeimg build` for a whole cluster: an image for each profile, built once and without secrets, and a seed for each node.

use super::Host;
use super::build::{self, Built, Goal};
use super::cluster::{self, Loaded};
use super::select::{self, Selected};
use super::vault;
use crate::args::{Build, PerNode};
use crate::host::output::{self, Readers};
use crate::host::usage::Stopwatch;
use crate::report;
use ::cluster::Node;
use anyhow::{Context as _, Result};
use fstree::ReadAt as _;
use nodeimg::base::SeedPlace;
use nodeimg::error::Error;
use nodeimg::lock::Lock;
use nodeimg::preload::Need;
use nodeimg::profile::Profile;
use nodeimg::seed::{self, Membership};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// What is told at the end.
#[derive(Default)]
struct Tale {
    text: String,
    images: Vec<Value>,
    seeds: Vec<Value>,
}

/// Builds the nodes that were named, or all.
pub(super) fn build(host: &Host, args: &Build) -> Result<()> {
    let file = select::cluster_file(args.select.cluster.as_deref()).ok_or_else(|| {
        Error::input("neither a profile nor a cluster was named").help(
            "--profile builds one image; `nodeimg cluster init` makes cluster.toml, whose nodes are built without --profile",
        )
    })?;
    if args.select.lock.is_some() {
        return Err(Error::input("one lock for several profiles")
            .help("leave --lock out: each profile has locks/<profile>.lock")
            .into());
    }
    let mut watch = Stopwatch::start();
    let mut loaded = cluster::load(host, &file)?;
    let nodes = chosen(&loaded, &args.select.node)?;
    let mut tale = Tale::default();
    for name in profiles(&nodes) {
        let profile = select::load(host, &name, &args.select.ssh_key)?;
        loaded.admit(&profile.admin.ssh_keys)?;
        let lock = select::locked(host, None, &profile)?;
        watch.lap(&format!("lock {name}"));
        let formats = build::formats(args, &profile)?;
        let goal = |name| Goal {
            name,
            out: &args.out,
            formats: &formats,
            hashing: args.hashing(),
        };
        let of_profile = nodes.iter().filter(|it| it.profile.as_str() == name);
        // Nobody needs them where no image is built.
        let needs = match args.per_node {
            PerNode::OnlySeed => Vec::new(),
            _ => loaded.needs(host, &profile)?,
        };
        let selected = |seed| selected(&profile, &lock, &loaded, needs.clone(), seed);
        if args.per_node == PerNode::Image {
            for node in of_profile {
                let seed = seed_of(&profile, &lock, &loaded, node)?;
                let mut selected = selected(seed)?;
                selected.node = Some(node.name.to_string());
                selected.mac = Some(seed::mac(&loaded.member(node.name.as_str()), &node.name)?);
                selected.readers = Readers::Owner;
                let built = build::image(host, &selected, &goal(node.name.as_str()), &mut watch)?;
                tale.image(&args.out, &built, node.name.as_str());
            }
            continue;
        }
        if args.per_node == PerNode::Table {
            let of_profile: Vec<&Node> = of_profile.collect();
            let members: Vec<Membership<'_>> = of_profile
                .iter()
                .map(|it| loaded.member(it.name.as_str()))
                .collect();
            let table = seed::table(&profile, &lock, &members)?;
            let mut selected = selected(table)?;
            selected.readers = Readers::Owner;
            let built = build::image(host, &selected, &goal(&name), &mut watch)?;
            tale.image(&args.out, &built, &name);
            for node in of_profile {
                tale.entry(node);
            }
            continue;
        }
        // Seeds first: what is wrong with a node is known before an image is built.
        for node in of_profile {
            let seed = seed_of(&profile, &lock, &loaded, node)?;
            let files = write_seed(&args.out, node, &profile, &lock, &seed)?;
            tale.seed(node, &files);
        }
        if args.per_node == PerNode::Seed {
            let selected = selected(seed::of_role(&profile)?)?;
            let built = build::image(host, &selected, &goal(&name), &mut watch)?;
            tale.image(&args.out, &built, &name);
        }
    }
    build::tell_damaged(host);
    host.voice.result(
        tale.text.trim_end(),
        &json!({ "event": "built", "cluster": loaded.cluster.name.to_string(), "images": tale.images, "seeds": tale.seeds }),
    )
}

/// Returns the nodes that were named, in the order of the cluster's file.
fn chosen(loaded: &Loaded, names: &[String]) -> Result<Vec<Node>> {
    for name in names {
        if !loaded
            .cluster
            .nodes
            .iter()
            .any(|it| it.name.as_str() == name)
        {
            let known: Vec<&str> = loaded
                .cluster
                .nodes
                .iter()
                .map(|it| it.name.as_str())
                .collect();
            return Err(Error::input(format!(
                "cluster {} has no node {name:?}",
                loaded.cluster.name
            ))
            .help(format!("its nodes are {}", known.join(", ")))
            .into());
        }
    }
    let wanted = |it: &&Node| names.is_empty() || names.iter().any(|name| it.name.as_str() == name);
    Ok(loaded
        .cluster
        .nodes
        .iter()
        .filter(wanted)
        .cloned()
        .collect())
}

/// Returns the nodes' profiles, each once, in order.
fn profiles(nodes: &[Node]) -> Vec<String> {
    let mut res: Vec<String> = Vec::new();
    for node in nodes {
        if !res.iter().any(|it| it == node.profile.as_str()) {
            res.push(node.profile.to_string());
        }
    }
    res
}

type SeedFiles = Vec<(String, Vec<u8>)>;

fn seed_of(profile: &Profile, lock: &Lock, loaded: &Loaded, node: &Node) -> Result<SeedFiles> {
    let name = seed::node(profile, &loaded.cluster, Some(node.name.as_str()))?;
    Ok(seed::seed(profile, lock, &loaded.member(name.as_str()))?)
}

fn selected(
    profile: &Profile,
    lock: &Lock,
    loaded: &Loaded,
    needs: Vec<Need>,
    seed: SeedFiles,
) -> Result<Selected> {
    Ok(Selected {
        needs,
        manifests: seed::manifests(profile, &loaded.cluster)?,
        profile: profile.clone(),
        lock: lock.clone(),
        node: None,
        mac: None,
        readers: Readers::All,
        seed,
    })
}

/// Writes a node's seed as files, and where its machine takes disks also as a disk; returns what to give the machine.
fn write_seed(
    out: &Path,
    node: &Node,
    profile: &Profile,
    lock: &Lock,
    files: &[(String, Vec<u8>)],
) -> Result<Vec<PathBuf>> {
    let folder = out.join("seeds");
    let own = folder.join(node.name.as_str());
    vault::make_folder(&own)?;
    for (name, bytes) in files {
        output::write_with_mode(&own.join(name), 0o600, bytes)?;
    }
    if profile.base.seed == SeedPlace::BootPartition {
        return Ok(vec![own]);
    }
    let disk = seed::disk(files, lock)?;
    let size = usize::try_from(disk.size()).context("the size of a seed's disk")?;
    let mut bytes = vec![0; size];
    disk.read_exact_at(&mut bytes, 0)
        .context("reading the seed's disk")?;
    let image = format!("{}.img", node.name);
    output::write_with_mode(&folder.join(&image), 0o600, &bytes)?;
    let vmdk = folder.join(format!("{}.vmdk", node.name));
    output::write_with_mode(&vmdk, 0o600, seed::vmdk(&image).as_bytes())?;
    Ok(vec![vmdk, folder.join(image)])
}

impl Tale {
    fn line(&mut self, name: &str, value: &str) {
        self.text.push_str(&format!("{name:<10} {value}\n"));
    }

    fn image(&mut self, out: &Path, built: &Built, name: &str) {
        for (format, artifact) in &built.artifacts {
            let path = out.join(&artifact.file);
            let size = report::size(artifact.size);
            self.line("image", &format!("{} ({size})", path.display()));
            let mut told = Map::from_iter([("name".to_owned(), json!(name))]);
            told.extend(report::artifact(out, *format, artifact));
            self.images.push(Value::Object(told));
        }
    }

    fn seed(&mut self, node: &Node, files: &[PathBuf]) {
        let use_ = match files {
            [folder] => format!("copy {}/* onto system-boot of its card", folder.display()),
            [vmdk, ..] => {
                let card = node
                    .mac
                    .map(|it| format!(", whose card on the node network has the address {it}"));
                format!(
                    "attach {} to its machine{}",
                    vmdk.display(),
                    card.unwrap_or_default()
                )
            }
            [] => String::new(),
        };
        self.line("seed", &format!("{} ({}): {use_}", node.name, node.profile));
        self.seeds.push(json!({
            "node": node.name.to_string(),
            "profile": node.profile.to_string(),
            "files": files.iter().map(|it| it.to_string_lossy()).collect::<Vec<_>>(),
        }));
    }

    /// A node that is an entry of its profile's image.
    fn entry(&mut self, node: &Node) {
        let known: Vec<String> = (node.mac.iter().map(|it| format!("MAC address {it}")))
            .chain(node.serial.iter().map(|it| format!("serial number {it}")))
            .collect();
        self.line(
            "entry",
            &format!("{} ({}): {}", node.name, node.profile, known.join(" or ")),
        );
        self.seeds.push(json!({
            "node": node.name.to_string(),
            "profile": node.profile.to_string(),
            "mac": node.mac.map(|it| it.to_string()),
            "serial": node.serial.map(|it| it.to_string()),
        }));
    }
}
