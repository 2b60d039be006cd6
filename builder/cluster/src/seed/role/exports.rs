//! exports(5): the folders that the NFS server gives to the machines of the node network.

use super::{NodeFile, SERVICE};
use crate::Cluster;

/// Root keeps its rights, because pods chown what they are given; nothing outside the node network is served.
const OPTIONS: &str = "rw,sync,no_subtree_check,no_root_squash";

/// Makes the list of exports.
pub(super) fn file(cluster: &Cluster) -> NodeFile {
    NodeFile::public(format!("{SERVICE}/exports"), render(cluster))
}

fn render(cluster: &Cluster) -> String {
    let mut res = format!(
        "# Folders for the nodes of cluster {}. Made by nodeimg.\n",
        cluster.name
    );
    for path in &cluster.storage.exports {
        res.push_str(&format!("{path} {}({OPTIONS})\n", cluster.node_cidr));
    }
    res
}
