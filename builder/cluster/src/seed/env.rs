//! `/etc/nodeimg/node.env`: what the join unit must know, as lines a POSIX shell can source and systemd reads as `EnvironmentFile`.

use crate::kubeadm::Action;
use crate::{Cluster, Node, Release, Role, Secrets};

/// Writes the file of `node`.
pub(super) fn render(
    cluster: &Cluster,
    secrets: &Secrets,
    node: &Node,
    release: Release,
) -> String {
    let address = node.address.map(|it| it.to_string()).unwrap_or_default();
    let mut values = vec![
        ("NODEIMG_CLUSTER", cluster.name.to_string()),
        ("NODEIMG_NODE", node.name.to_string()),
        ("NODEIMG_ROLE", node.role.as_str().to_owned()),
        (
            "NODEIMG_ACTION",
            Action::of(cluster, node).as_str().to_owned(),
        ),
        ("NODEIMG_NODE_CIDR", cluster.node_cidr.to_string()),
        ("NODEIMG_ADDRESS", address),
        ("NODEIMG_ADMIN", cluster.admin.user.to_string()),
        ("NODEIMG_ENDPOINT", cluster.endpoint.to_string()),
        ("NODEIMG_KUBERNETES_VERSION", release.to_string()),
        // Before this moment the cluster's certificates are not valid, whatever a board without a clock believes.
        ("NODEIMG_TIME_FLOOR", secrets.created().0.to_string()),
    ];
    if node.role == Role::ControlPlane {
        // A control plane that lost its disk asks the others whether there is a cluster already.
        let planes = cluster.control_planes().filter_map(|it| it.address);
        let addresses: Vec<String> = planes.map(|it| it.to_string()).collect();
        values.push(("NODEIMG_CONTROL_PLANES", addresses.join(" ")));
    }
    // No value can hold a quote: they are names, numbers and addresses.
    let lines: Vec<String> = values
        .iter()
        .map(|(name, value)| format!("{name}='{value}'\n"))
        .collect();
    lines.concat()
}
