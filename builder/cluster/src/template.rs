//! The cluster file that `nodeimg cluster init` writes for somebody who has none.

use crate::{ClusterName, KubernetesVersion};

/// Returns the text of a commented `cluster.toml`: one control plane and two workers on `VirtualBox`'s usual host-only network.
pub fn default_for(name: &ClusterName, kubernetes: KubernetesVersion) -> String {
    TEMPLATE
        .replace("@NAME@", name.as_str())
        .replace("@KUBERNETES@", &kubernetes.to_string())
}

const TEMPLATE: &str = r#"# A Kubernetes cluster for nodeimg: what its nodes share, and the nodes.
# Changing this file changes the nodes' seeds; their images stay as they are.

name = "@NAME@"

# A minor (the lock pins the newest release of it) or one release such as "1.36.2".
kubernetes = "@KUBERNETES@"

# The network nodes reach each other by. A node takes the address it has in it, never another.
node_cidr = "192.168.56.0/24"
pod_cidr = "10.244.0.0/16"
service_cidr = "10.96.0.0/12"
dns_domain = "cluster.local"

# The domain of the nodes' own names, if they have one.
# node_domain = "example.org"

# Where nodes and clients find the API server; by default the first control plane's address on port 6443.
# With three control planes, name a load balancer or a virtual address.
# endpoint = "192.168.56.10:6443"

# What connects pods. "none": nodes stay NotReady until you apply a network's manifest.
cni = "none"

# How long join tokens are accepted after the cluster is formed. "0s" is for ever: a card flashed today
# joins next month. A lifetime such as "720h" makes unused cards worthless after it.
token_ttl = "0s"

# NTP servers, by name or address; empty for those of the base image.
time_servers = []

[admin]
user = "admin"
# Whole lines of .pub files. There are no passwords: without a key nobody can log in.
ssh_keys = []

# Machines with a single network card and a static address need these; VirtualBox machines do not.
[network]
# gateway = "192.168.56.1"
nameservers = []

# The first control plane founds the cluster; the number of control planes is odd.
[[node]]
name = "controlplane"
role = "controlplane"
profile = "controlplane-amd64"
address = "192.168.56.10"

[[node]]
name = "node01"
role = "worker"
profile = "worker-amd64"
address = "192.168.56.11"
# mac = "08:00:27:00:00:0b"

[[node]]
name = "node02"
role = "worker"
profile = "worker-amd64"
address = "192.168.56.12"
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_cluster_parses_and_only_warns_of_missing_keys() {
        let text = default_for(&"home".parse().unwrap(), "1.36".parse().unwrap());
        let cluster = crate::parse(&text, "cluster.toml").unwrap();
        assert_eq!(cluster.name.as_str(), "home");
        assert_eq!(cluster.endpoint.to_string(), "192.168.56.10:6443");
        assert_eq!(cluster.nodes.len(), 3);
        assert_eq!(cluster.warnings().len(), 1, "{:?}", cluster.warnings());
    }

    #[test]
    fn every_commented_key_of_the_default_cluster_is_a_real_one() {
        let text = default_for(&"home".parse().unwrap(), "1.36".parse().unwrap());
        let text: String = text
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest) if rest.contains(" = \"") => format!("{rest}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let cluster = crate::parse(&text, "cluster.toml").unwrap();
        assert!(cluster.node_domain.is_some() && cluster.network.gateway.is_some());
    }
}
