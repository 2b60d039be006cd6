//! A node's seed: what makes an image one node of one cluster, or just a machine that somebody can log in to.
//!
//! It is a part of the node's image, or it comes to an image of the node's role from outside: as files for the boot partition,
//! or as a disk of its own.

use crate::apply;
use crate::base::SeedPlace;
use crate::digest::Digest;
use crate::error::{Error, Result, input};
use crate::lock::Lock;
use crate::preload::{self, Need};
use crate::profile::{Profile, RemoteFile, Role, Unpack};
use crate::want::{Kind, Want};
use cluster::seed::{NicConfig, NicRole, Nics};
use cluster::{Cluster, Keeper, Mac, Manifest, ManifestSource, NodeName, Secrets};
use disk::table::SectorSize;
use fstree::{Content, Mosaic, ReadAt, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The cluster a node belongs to.
#[derive(Debug)]
pub struct Membership<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// Its secrets.
    pub secrets: &'a Secrets,
    /// The node, or `None` for the only one of the profile.
    pub node: Option<&'a str>,
    /// The text of the manifests beside the cluster's file, by path.
    pub manifests: &'a BTreeMap<String, String>,
}

/// The size of a disk that holds nothing but a seed.
const DISK_SIZE: u64 = 1 << 20;

/// The folder of a table of nodes on the boot partition; `choose-node` of the overlay `pi` reads it.
const TABLE: &str = "nodes";

/// A manifest may weigh no more: the largest operators' are a few megabytes.
const MANIFEST_LIMIT: u64 = 16 << 20;

/// Returns the seed of an image that is the same for all nodes of its role; it holds no secret. On a boot partition it says that
/// the node's own is missing, elsewhere it would stand in the way of the node's own.
pub fn of_role(profile: &Profile) -> Result<Vec<(String, Vec<u8>)>> {
    match profile.base.seed {
        SeedPlace::BootPartition => alone(profile),
        SeedPlace::CidataPartition => Ok(Vec::new()),
    }
}

/// Returns the cluster's manifests that travel in an image of `profile`: those of control planes that are pinned.
pub fn manifests(profile: &Profile, cluster: &Cluster) -> Result<Vec<RemoteFile>> {
    if profile.role != Role::Controlplane {
        return Ok(Vec::new());
    }
    let mut res = Vec::new();
    for manifest in &cluster.manifests {
        let (Some((url, sha256)), Some(path)) = (pinned(manifest)?, manifest.image_path()) else {
            continue;
        };
        res.push(RemoteFile {
            url,
            sha256,
            path,
            mode: 0o644,
            unpack: Unpack::No,
        });
    }
    Ok(res)
}

/// Returns what must be fetched to read every manifest of the cluster that is on a server.
pub fn manifest_wants(cluster: &Cluster) -> Result<Vec<Want>> {
    let mut res = Vec::new();
    for manifest in &cluster.manifests {
        if let Some((url, sha256)) = pinned(manifest)? {
            let what = format!("manifest {}", manifest.name);
            res.push(manifest_want(what, url, sha256));
        }
    }
    Ok(res)
}

/// Returns what to ask a host for to have a manifest, with a word for it.
pub fn manifest_want(what: String, url: String, sha256: Digest) -> Want {
    Want {
        what,
        url,
        digest: Some(sha256),
        size: None,
        limit: MANIFEST_LIMIT,
        kind: Kind::File,
    }
}

/// Returns where a manifest that is on a server is, and its digest.
fn pinned(manifest: &Manifest) -> Result<Option<(String, Digest)>> {
    let ManifestSource::Remote { url, sha256 } = &manifest.source else {
        return Ok(None);
    };
    let broken = input(format!("the digest of manifest {}", manifest.name));
    let sha256 = sha256.as_str().parse().map_err(broken)?;
    Ok(Some((url.to_string(), sha256)))
}

/// Returns the text of every manifest of the cluster with a word for it: `fetched` as [`manifest_wants`] asks for them, or `beside`
/// its file.
pub fn manifest_texts(
    cluster: &Cluster,
    fetched: &[Arc<dyn ReadAt>],
    beside: &BTreeMap<String, String>,
) -> Result<Vec<(String, String)>> {
    let mut res = Vec::new();
    let mut fetched = fetched.iter();
    for manifest in &cluster.manifests {
        let by = format!("manifest {}", manifest.name);
        let missing = || Error::world(format!("{by} was not read"));
        let text = match &manifest.source {
            ManifestSource::Local { path } => beside.get(path).ok_or_else(missing)?.clone(),
            ManifestSource::Remote { .. } => {
                let source = fetched.next().ok_or_else(missing)?;
                let bytes = Content::range(source.clone(), 0, source.size())
                    .read_all(MANIFEST_LIMIT)
                    .map_err(input(by.clone()))?;
                String::from_utf8_lossy(&bytes).into_owned()
            }
        };
        res.push((by, text));
    }
    Ok(res)
}

/// Returns the container images that the cluster starts on machines of `profile` besides kubeadm's: those that its manifests name,
/// and its virtual address's.
pub fn needs(
    profile: &Profile,
    cluster: &Cluster,
    manifests: &[(String, String)],
) -> Result<Vec<Need>> {
    let mut res = Vec::new();
    for (by, text) in manifests {
        res.extend(preload::named(text).into_iter().map(|image| Need {
            image,
            by: by.clone(),
        }));
    }
    if profile.role == Role::Controlplane
        && let Some(at) = &cluster.load_balancer.virtual_address
        && let Keeper::KubeVip { image } = &at.keeper
    {
        res.push(Need {
            image: image.parse()?,
            by: "kube-vip".to_owned(),
        });
    }
    Ok(res)
}

/// Returns a disk of a MiB that is one FAT volume with a seed, by whose label cloud-init finds it.
pub fn disk(files: &[(String, Vec<u8>)], lock: &Lock) -> Result<Mosaic> {
    let mut text = String::new();
    let mut contents = Vec::new();
    for (name, bytes) in files {
        text.push_str(&format!("{name} {}\n", Digest::of(bytes)));
        contents.push((name.clone(), Content::inline(bytes.as_slice())));
    }
    let time = Timestamp::from_secs(lock.time);
    let size = (DISK_SIZE, SectorSize::B512);
    apply::seed_volume(&contents, size, Digest::of(text.as_bytes()), time)
}

/// Returns the text of a VMDK that is nothing but a description of the raw disk `image` beside it.
pub fn vmdk(image: &str) -> String {
    let sectors = DISK_SIZE / 512;
    format!(
        "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n\n\
         # Extent description\nRW {sectors} FLAT \"{image}\" 0\n\n\
         # The Disk Data Base\nddb.virtualHWVersion = \"4\"\nddb.adapterType = \"ide\"\n\
         ddb.geometry.cylinders = \"{}\"\nddb.geometry.heads = \"16\"\nddb.geometry.sectors = \"63\"\n",
        sectors.div_ceil(16 * 63)
    )
}

/// Returns the node of a cluster that a build is for.
pub fn node(profile: &Profile, cluster: &Cluster, wanted: Option<&str>) -> Result<NodeName> {
    let of_profile: Vec<&cluster::Node> = cluster
        .nodes
        .iter()
        .filter(|it| it.profile.as_str() == profile.name)
        .collect();
    let names = || {
        of_profile
            .iter()
            .map(|it| it.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let node = match (wanted, of_profile.as_slice()) {
        (Some(name), _) => cluster
            .nodes
            .iter()
            .find(|it| it.name.as_str() == name)
            .ok_or_else(|| {
                Error::input(format!("cluster {} has no node {name:?}", cluster.name))
                    .help(format!("of this profile are {}", names()))
            })?,
        (None, [node]) => node,
        (None, []) => {
            return Err(Error::input(format!(
                "cluster {} has no node of profile {:?}",
                cluster.name, profile.name
            ))
            .help("name one with --node, or change the profile of a node in the cluster's file"));
        }
        (None, _) => {
            return Err(Error::input(format!(
                "cluster {} has several nodes of profile {:?}",
                cluster.name, profile.name
            ))
            .help(format!("name one with --node: {}", names())));
        }
    };
    let role = match profile.role {
        Role::Controlplane => cluster::Role::ControlPlane,
        Role::Worker => cluster::Role::Worker,
        Role::Etcd => cluster::Role::Etcd,
        Role::Loadbalancer => cluster::Role::LoadBalancer,
        Role::Ca => cluster::Role::Ca,
        Role::Storage => cluster::Role::Storage,
        Role::Admin => cluster::Role::Admin,
    };
    if node.role != role {
        return Err(Error::input(format!(
            "node {} has the role {}, but profile {:?} is for {}",
            node.name,
            node.role.as_str(),
            profile.name,
            role.as_str()
        ))
        .help("build it with a profile of its role"));
    }
    Ok(node.name.clone())
}

/// Returns the address of the card that a node's virtual machine has on the node network: that of the cluster's file, or its own.
pub fn mac(member: &Membership<'_>, node: &NodeName) -> Result<Mac> {
    let given = member.cluster.node(node)?.mac;
    Ok(given.unwrap_or_else(|| member.secrets.identity(node).mac()))
}

/// Returns the files of a seed that belongs to no cluster: somebody can log in, and the node says that it waits.
pub fn alone(profile: &Profile) -> Result<Vec<(String, Vec<u8>)>> {
    let hostname = profile.name.clone();
    let admin = &profile.admin;
    let user_data = json!({
        "hostname": hostname,
        "ssh_pwauth": false,
        "disable_root": true,
        "users": [{
            "name": admin.user,
            "groups": ["adm", "sudo", "systemd-journal"],
            "shell": "/bin/bash",
            "sudo": ["ALL=(ALL) NOPASSWD:ALL"],
            "lock_passwd": true,
            "ssh_authorized_keys": admin.ssh_keys,
        }],
    });
    let cards = profile
        .network
        .uplink
        .iter()
        .chain([&profile.network.cluster]);
    let ethernets: serde_json::Map<String, Value> = cards
        .map(|name| (name.clone(), json!({ "dhcp4": true, "optional": true })))
        .collect();
    let network = json!({ "version": 2, "renderer": "networkd", "ethernets": ethernets });
    // JSON is YAML, and has none of YAML's traps.
    let text = |value: &Value| serde_json::to_string_pretty(value).map_err(input("the seed"));
    let user_data = format!("#cloud-config\n{}\n", text(&user_data)?);
    let network = format!("{}\n", text(&network)?);
    let digest = Digest::of(format!("{user_data}{network}").as_bytes());
    let meta =
        json!({ "instance-id": format!("nodeimg-{}", digest.short()), "local-hostname": hostname });
    Ok(vec![
        (
            "meta-data".to_owned(),
            format!("{}\n", text(&meta)?).into_bytes(),
        ),
        ("network-config".to_owned(), network.into_bytes()),
        ("user-data".to_owned(), user_data.into_bytes()),
    ])
}

/// Returns the files of a table of nodes: the seeds of all of them in one image, of which a machine takes its own at first start
/// by MAC address or serial number. Each of the nodes is one of this profile.
pub fn table(
    profile: &Profile,
    lock: &Lock,
    members: &[Membership<'_>],
) -> Result<Vec<(String, Vec<u8>)>> {
    if profile.base.seed != SeedPlace::BootPartition {
        return Err(Error::input(format!(
            "profile {:?} has no place for a table of nodes",
            profile.name
        ))
        .help(
            "a boot partition has, as on a Raspberry Pi: build the others with --per-node seed",
        ));
    }
    let mut res = alone(profile)?;
    let mut text = "# Which node a machine is, by MAC address or by serial number.\n".to_owned();
    for member in members {
        let name = node(profile, member.cluster, member.node)?;
        let entry = member.cluster.node(&name)?;
        if entry.mac.is_none() && entry.serial.is_none() {
            return Err(Error::input(format!(
                "nothing tells node {name} from the others of profile {:?}",
                profile.name
            ))
            .help("give it `mac` or `serial` in the cluster's file"));
        }
        if let Some(mac) = entry.mac {
            text.push_str(&format!("mac {mac} {name}\n"));
        }
        if let Some(serial) = entry.serial {
            text.push_str(&format!("serial {serial} {name}\n"));
        }
        for (file, bytes) in seed(profile, lock, member)? {
            res.push((format!("{TABLE}/{name}/{file}"), bytes));
        }
    }
    res.push((format!("{TABLE}/table"), text.into_bytes()));
    Ok(res)
}

/// Renders the seed's files by name. Their content holds secrets.
pub fn seed(
    profile: &Profile,
    lock: &Lock,
    member: &Membership<'_>,
) -> Result<Vec<(String, Vec<u8>)>> {
    let node = node(profile, member.cluster, member.node)?;
    // A machine without Kubernetes is told the first release its cluster allows: kubeadm has no part in it.
    let allowed = member.cluster.kubernetes.to_string();
    let first = match allowed.split('.').count() {
        2 => format!("v{allowed}.0"),
        _ => format!("v{allowed}"),
    };
    let release = lock.kubernetes.as_ref().unwrap_or(&first);
    let order = cluster::seed::Order {
        cluster: member.cluster,
        secrets: member.secrets,
        node: &node,
        release: release
            .parse()
            .map_err(input("the locked version of Kubernetes"))?,
        nics: &nics(profile)?,
        manifests: member.manifests,
    };
    let seed = cluster::seed::render(&order).map_err(input(format!("the seed of node {node}")))?;
    let file = |(name, text): (&str, cluster::Secret)| {
        (name.to_owned(), text.expose().as_bytes().to_vec())
    };
    Ok(seed.files().into_iter().map(file).collect())
}

/// Returns the machine's cards as the profile names them.
fn nics(profile: &Profile) -> Result<Nics> {
    let mut nics = Vec::new();
    if let Some(name) = &profile.network.uplink {
        nics.push(NicConfig::named(name, NicRole::Uplink));
    }
    nics.push(NicConfig::named(&profile.network.cluster, NicRole::Cluster));
    Nics::new(nics).map_err(input(format!("profile {:?}: network", profile.name)))
}
