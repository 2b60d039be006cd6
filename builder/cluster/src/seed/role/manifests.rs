//! What the founder applies when its API server is up: the cluster's manifests, and what our settings add to them, in order.
//!
//! `/etc/nodeimg/manifests.list` has one line a manifest, its name and its path. Each is applied on the server's side under a
//! field manager of its own, so that a later one may hold only the fields that it lays over an earlier one's objects.

use super::{NodeFile, network};
use crate::seed::Order;
use crate::{Error, ManifestSource, Secret, Stage};

/// Where a seed puts manifests.
const FOLDER: &str = "/etc/nodeimg/manifests";

pub(super) fn files(order: &Order<'_>) -> Result<Vec<NodeFile>, Error> {
    let cluster = order.cluster;
    let mut res = Vec::new();
    let mut list = Vec::new();
    for stage in Stage::ALL {
        for manifest in cluster.manifests.iter().filter(|it| it.stage == stage) {
            let path = match &manifest.source {
                ManifestSource::Remote { .. } => manifest.image_path().unwrap_or_default(),
                ManifestSource::Local { path } => {
                    let text = order.manifests.get(path).ok_or_else(|| Error::Manifest {
                        name: manifest.name.clone(),
                        path: path.clone(),
                    })?;
                    let target = format!("{FOLDER}/{}.yaml", manifest.name);
                    // The user's own may hold secrets.
                    res.push(NodeFile::private(target.clone(), Secret::new(text)));
                    target
                }
            };
            list.push(format!("{} {path}\n", manifest.name));
        }
        for (name, text) in network::settings(cluster, stage) {
            let path = format!("{FOLDER}/{name}.yaml");
            list.push(format!("{name} {path}\n"));
            res.push(NodeFile::public(path, text));
        }
    }
    if !list.is_empty() {
        let list = list.concat();
        res.push(NodeFile::public("/etc/nodeimg/manifests.list", list));
    }
    Ok(res)
}
