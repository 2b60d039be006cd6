//! What a node of each role is given besides its name and network: files, which its unit puts where the programs look.
//!
//! `nodeimg-join.service` works with those of control planes and workers, `nodeimg-role.service` with those of the other roles.

use super::Order;
use crate::secrets::pki_files;
use crate::{Error, Mode, Node, Role, Secret, kubeadm};

/// A file that user-data writes.
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
        Role::Etcd | Role::LoadBalancer | Role::Ca | Role::Storage | Role::Admin => Ok(Vec::new()),
    }
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
