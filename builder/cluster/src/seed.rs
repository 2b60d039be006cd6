//! A node's seed: the three files of cloud-init's `NoCloud` datasource that make an image one node of one cluster.
//!
//! <https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html>. Where the files go (the Pi's boot partition, a
//! disk labelled `CIDATA`) is the caller's business, as is the unit `nodeimg-join.service`, which the image holds.

mod env;
mod hosts;
mod network;
mod nics;
mod role;
mod user_data;

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

pub use self::nics::{NicConfig, NicMatch, NicRole, Nics};
use crate::{Cluster, Error, NodeName, Release, Secret, Secrets, hex, yaml};

/// What a seed may weigh: it shares the smallest seed disk, 1 MiB, with a file system.
pub const LIMIT_BYTES: usize = 900 << 10;

/// What a seed is made from.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// Its secrets.
    pub secrets: &'a Secrets,
    /// The node the seed is for.
    pub node: &'a NodeName,
    /// The locked Kubernetes release.
    pub release: Release,
    /// The network interfaces of the machine the image is for.
    pub nics: &'a Nics,
    /// The text of each manifest beside the cluster's file, by its path there; see [`Cluster::local_manifests`].
    pub manifests: &'a BTreeMap<String, String>,
}

/// The files of a seed, under cloud-init's names with `-` for `_`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed {
    /// `user-data`; holds the node's token and host key, and on control planes the cluster's keys.
    pub user_data: Secret,
    /// `meta-data`; its instance-id changes with the other files, so that a changed seed runs again.
    pub meta_data: String,
    /// `network-config`, version 2.
    pub network_config: String,
}

impl Seed {
    /// Returns each file's name and text, in the order of the names.
    pub fn files(&self) -> [(&'static str, Secret); 3] {
        [
            ("meta-data", Secret::new(self.meta_data.clone())),
            ("network-config", Secret::new(self.network_config.clone())),
            ("user-data", self.user_data.clone()),
        ]
    }
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct MetaData<'a> {
    instance_id: String,
    local_hostname: &'a str,
}

/// Makes the seed of one node.
pub fn render(order: &Order<'_>) -> Result<Seed, Error> {
    let node = order.cluster.node(order.node)?;
    let user_data = user_data::render(order, node)?;
    let network_config = network::render(order.cluster, node, order.nics)?;
    let meta = MetaData {
        instance_id: instance_id(order.node, &[user_data.expose(), &network_config]),
        local_hostname: order.node.as_str(),
    };
    let seed = Seed {
        user_data,
        meta_data: yaml::document("meta-data", &meta)?,
        network_config,
    };
    let size_bytes = seed.files().iter().map(|(_, it)| it.expose().len()).sum();
    if size_bytes > LIMIT_BYTES {
        return Err(Error::SeedTooLarge {
            node: order.node.clone(),
            size_bytes,
            limit_bytes: LIMIT_BYTES,
        });
    }
    Ok(seed)
}

fn instance_id(node: &NodeName, files: &[&str]) -> String {
    let mut hasher = Sha256::new();
    // Lengths keep the borders of the files in the digest.
    for text in std::iter::once(&node.as_str()).chain(files) {
        hasher.update((text.len() as u64).to_be_bytes());
        hasher.update(text);
    }
    let digest = hex::encode(&hasher.finalize());
    format!("nodeimg-{}", &digest[..16])
}

#[cfg(test)]
mod tests;
