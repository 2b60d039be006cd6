//! What a node of each role is given besides its name and network: files, which its unit puts where the programs look.
//!
//! `nodeimg-join.service` works with those of control planes and workers, `nodeimg-role.service` with those of the other roles: it
//! puts [`NODE_IP`] and [`NODE_INTERFACE`] in the places kept for them, for only the machine knows its address and interface.

mod etcd;
mod exports;
mod haproxy;
mod keepalived;
mod step_ca;

use super::Order;
use crate::kubeadm::NODE_IP;
use crate::secrets::pki_files;
use crate::{Error, Mode, Node, Role, Secret, kubeadm};

/// Where a seed puts the files of services.
const SERVICE: &str = "/etc/nodeimg/service";

/// What stands in a file for the interface that holds the node's address.
const NODE_INTERFACE: &str = "@NODE_INTERFACE@";

/// A file that user-data writes.
#[derive(Debug)]
pub(super) struct NodeFile {
    pub(super) path: String,
    pub(super) mode: Mode,
    pub(super) content: Secret,
}

impl NodeFile {
    pub(super) fn public(path: impl Into<String>, content: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            mode: Mode::Public,
            content: Secret::new(content),
        }
    }

    pub(super) fn private(path: impl Into<String>, content: Secret) -> Self {
        Self {
            path: path.into(),
            mode: Mode::Private,
            content,
        }
    }
}

/// Returns the files of `node`'s role.
pub(super) fn files(order: &Order<'_>, node: &Node) -> Result<Vec<NodeFile>, Error> {
    match node.role {
        Role::ControlPlane => control_plane(order, node),
        Role::Worker => kubeadm_files(order, node),
        Role::Etcd => Ok(vec![etcd::file(order.cluster, node)?]),
        Role::LoadBalancer => Ok(load_balancer(order, node)),
        Role::Ca => step_ca::files(order.cluster, order.secrets, node),
        Role::Storage => Ok(vec![exports::file(order.cluster)]),
        Role::Admin => Ok(Vec::new()),
    }
}

fn load_balancer(order: &Order<'_>, node: &Node) -> Vec<NodeFile> {
    let cluster = order.cluster;
    let mut res = vec![haproxy::file(cluster)];
    res.extend(keepalived::file(cluster, order.secrets, node));
    // Where no machine does nothing but serve files, the first load balancer serves them too.
    let is_first = cluster
        .of_role(Role::LoadBalancer)
        .next()
        .is_some_and(|it| it.name == node.name);
    let has_storage = cluster.of_role(Role::Storage).next().is_some();
    if is_first && !has_storage && !cluster.storage.exports.is_empty() {
        res.push(exports::file(cluster));
    }
    res
}

fn control_plane(order: &Order<'_>, node: &Node) -> Result<Vec<NodeFile>, Error> {
    let mut res = kubeadm_files(order, node)?;
    // Workers get none of these: they could sign with the keys, and kubeadm refuses to join where ca.crt already is.
    for file in pki_files(order.secrets)? {
        res.push(NodeFile {
            path: format!("/etc/nodeimg/pki/{}", file.name),
            mode: file.mode,
            content: file.content,
        });
    }
    Ok(res)
}

/// What kubeadm reads: its file and its patches.
fn kubeadm_files(order: &Order<'_>, node: &Node) -> Result<Vec<NodeFile>, Error> {
    let text = kubeadm::render(order.cluster, order.secrets, &node.name, order.release)?;
    let mut res = vec![NodeFile::private("/etc/nodeimg/kubeadm.yaml", text)];
    for (name, content) in kubeadm::patches(order.cluster) {
        res.push(NodeFile::public(
            format!("{}/{name}", kubeadm::PATCHES),
            content,
        ));
    }
    Ok(res)
}

#[cfg(test)]
mod tests;
