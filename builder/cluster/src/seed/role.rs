//! What a node of each role is given besides its name and network: files, which its unit puts where the programs look.
//!
//! `nodeimg-join.service` works with those of control planes and workers, `nodeimg-role.service` with those of the other roles: it
//! puts [`NODE_IP`] and [`NODE_INTERFACE`] in the places kept for them, for only the machine knows its address and interface.

mod etcd;
mod exports;
mod haproxy;
mod keepalived;
mod kube_vip;
mod manifests;
mod network;
mod step_ca;

use super::Order;
use crate::kubeadm::NODE_IP;
use crate::secrets::{etcd_client, etcd_member, pki_files};
use crate::{Error, Keeper, Mode, Node, Role, Secret, SecretFile, kubeadm};

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

    /// The file is nobody's to write, as systemd leaves it.
    pub(super) fn machine_id(id: String) -> Self {
        Self {
            path: "/etc/machine-id".to_owned(),
            mode: Mode::Constant,
            content: Secret::new(id + "\n"),
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
        Role::Etcd => {
            let mut res = pki(etcd_member(order.secrets, order.cluster, node)?);
            res.push(etcd::file(order.cluster, node)?);
            Ok(res)
        }
        Role::LoadBalancer => Ok(load_balancer(order, node)),
        Role::Ca => step_ca::files(order.cluster, order.secrets, node),
        Role::Storage => Ok(vec![exports::file(order.cluster)]),
        Role::Admin => admin(order),
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
    let Order {
        cluster, secrets, ..
    } = *order;
    let mut res = kubeadm_files(order, node)?;
    // Workers get none of these: they could sign with the keys, and kubeadm refuses to join where ca.crt already is.
    let mut files = pki_files(secrets)?;
    if cluster.has_external_etcd() {
        // An API server is etcd's client then, and makes no certificates for it.
        files.retain(|it| !it.name.starts_with("etcd/"));
        files.extend(etcd_client(secrets, node)?);
    }
    res.extend(pki(files));
    let virtual_address = cluster.load_balancer.virtual_address.as_ref();
    if let Some(at) = virtual_address
        && let Keeper::KubeVip { image } = &at.keeper
    {
        let pod = kube_vip::render(order, node, at.address, image);
        res.push(NodeFile::public(
            "/etc/nodeimg/static-pods/kube-vip.yaml",
            pod,
        ));
    }
    if cluster.founds(node) {
        res.extend(manifests::files(order)?);
    }
    Ok(res)
}

/// What the administrator works with.
fn admin(order: &Order<'_>) -> Result<Vec<NodeFile>, Error> {
    let secrets = order.secrets;
    let text = secrets.admin_kubeconfig(order.cluster, secrets.created())?;
    Ok(vec![NodeFile::private("/etc/nodeimg/admin.conf", text)])
}

fn pki(files: Vec<SecretFile>) -> Vec<NodeFile> {
    let file = |it: SecretFile| NodeFile {
        path: format!("/etc/nodeimg/pki/{}", it.name),
        mode: it.mode,
        content: it.content,
    };
    files.into_iter().map(file).collect()
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
