//! `/etc/hosts` of a node: every node with a known address, so that names resolve where there is no DNS.

use crate::{Cluster, Node};

/// Writes the file of `node`.
pub(super) fn render(cluster: &Cluster, node: &Node) -> String {
    let mut res = vec!["127.0.0.1 localhost".to_owned()];
    // A node whose address comes by DHCP resolves its own name to loopback, as Debian does.
    if node.address.is_none() {
        res.push(format!("127.0.1.1 {}", names(cluster, node)));
    }
    res.push("::1 localhost ip6-localhost ip6-loopback".to_owned());
    res.push("ff02::1 ip6-allnodes".to_owned());
    res.push("ff02::2 ip6-allrouters".to_owned());
    for other in &cluster.nodes {
        if let Some(address) = other.address {
            res.push(format!("{address} {}", names(cluster, other)));
        }
    }
    // The endpoint's name, where the cluster's own machines answer to it.
    if let Some(address) = cluster.endpoint_address() {
        res.push(format!("{address} {}", cluster.endpoint.host));
    }
    res.push(String::new());
    res.join("\n")
}

fn names(cluster: &Cluster, node: &Node) -> String {
    let fqdn = cluster.fqdn(node);
    if fqdn == node.name.as_str() {
        fqdn
    } else {
        format!("{fqdn} {}", node.name)
    }
}
