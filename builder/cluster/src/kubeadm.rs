//! A node's kubeadm configuration: `kubeadm.k8s.io/v1beta4`, with the kubelet's and kube-proxy's where the node founds the cluster.
//!
//! Addresses are chosen on the node: the file holds [`NODE_IP`] wherever the node's own address belongs, and the unit that runs
//! kubeadm replaces it. Images, CNI and what runs before and after kubeadm are not this file's business.

mod documents;

use self::documents::{
    ApiServer, BootstrapToken, BootstrapTokenDiscovery, ClusterConfiguration, ControlPlane,
    Discovery, InitConfiguration, JoinConfiguration, KubeProxyConfiguration, KubeletConfiguration,
    LocalApiEndpoint, NameValue, Networking, NodeRegistration, Timeouts,
};
use crate::file::API_PORT;
use crate::{Cluster, Error, Host, Node, NodeName, Release, Role, Secret, Secrets, yaml};

/// What stands in the file for the address the node has in the cluster's node network.
pub const NODE_IP: &str = "@NODE_IP@";

const CRI_SOCKET: &str = "unix:///run/containerd/containerd.sock";
const KUBEADM: &str = "kubeadm.k8s.io/v1beta4";

/// What a node does with its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// `kubeadm init`: the node founds the cluster.
    Init,
    /// `kubeadm join`.
    Join,
}

impl Action {
    /// Returns what `node` does in `cluster`.
    pub fn of(cluster: &Cluster, node: &Node) -> Self {
        if cluster.founds(node) {
            Self::Init
        } else {
            Self::Join
        }
    }

    /// kubeadm's own word, `init` or `join`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Join => "join",
        }
    }
}

/// Returns the text of the node's kubeadm file; it holds tokens, so it is 0600 wherever it goes.
///
/// `release` is the locked one; an error if the cluster file does not allow it or has no such node.
pub fn render(
    cluster: &Cluster,
    secrets: &Secrets,
    node: &NodeName,
    release: Release,
) -> Result<Secret, Error> {
    let node = cluster.node(node)?;
    if !cluster.kubernetes.allows(release) {
        return Err(Error::Release {
            release,
            cluster: cluster.name.to_string(),
            wanted: cluster.kubernetes,
        });
    }
    let text = match Action::of(cluster, node) {
        Action::Init => [
            init(cluster, secrets, node)?,
            cluster_configuration(cluster, release)?,
            kubelet()?,
            kube_proxy(cluster)?,
        ]
        .join("---\n"),
        Action::Join => join(cluster, secrets, node)?,
    };
    Ok(Secret::new(text))
}

fn init(cluster: &Cluster, secrets: &Secrets, founder: &Node) -> Result<String, Error> {
    // Every node that joins has a token of its own, so that one can be revoked without the others.
    let of_nodes = cluster
        .nodes
        .iter()
        .filter(|it| it.name != founder.name)
        .map(|it| (format!("node {}", it.name), secrets.node_token(&it.name)));
    let by_hand = (
        "machines joined by hand".to_owned(),
        secrets.cluster_token(),
    );
    let tokens = std::iter::once(by_hand).chain(of_nodes);
    let init = InitConfiguration {
        api_version: KUBEADM,
        kind: "InitConfiguration",
        bootstrap_tokens: tokens
            .map(|(description, token)| BootstrapToken {
                token: token.secret().expose().to_owned(),
                description,
                ttl: cluster.token_ttl.to_string(),
                usages: ["signing", "authentication"],
                groups: ["system:bootstrappers:kubeadm:default-node-token"],
            })
            .collect(),
        local_api_endpoint: local_api_endpoint(),
        node_registration: node_registration(founder),
        timeouts: Timeouts::for_slow_machines(),
    };
    yaml::document("InitConfiguration", &init)
}

fn cluster_configuration(cluster: &Cluster, release: Release) -> Result<String, Error> {
    let configuration = ClusterConfiguration {
        api_version: KUBEADM,
        kind: "ClusterConfiguration",
        cluster_name: cluster.name.to_string(),
        kubernetes_version: release.to_string(),
        control_plane_endpoint: cluster.endpoint.to_string(),
        // RSA keys take seconds each on a Pi, and the authorities are ECDSA already.
        encryption_algorithm: "ECDSA-P256",
        networking: Networking {
            dns_domain: cluster.dns_domain.to_string(),
            pod_subnet: cluster.pod_cidr.to_string(),
            service_subnet: cluster.service_cidr.to_string(),
        },
        api_server: ApiServer {
            cert_sans: cert_sans(cluster),
        },
    };
    yaml::document("ClusterConfiguration", &configuration)
}

/// Every name a client may have for the API server: the endpoint, each control plane, and localhost for a forwarded port.
fn cert_sans(cluster: &Cluster) -> Vec<String> {
    let mut res = vec![cluster.endpoint.host.to_string()];
    for node in cluster.control_planes() {
        res.push(node.name.to_string());
        res.push(cluster.fqdn(node));
        res.extend(node.address.map(|it| Host::Address(it).to_string()));
    }
    res.extend(["localhost".to_owned(), "127.0.0.1".to_owned()]);
    let mut seen = std::collections::BTreeSet::new();
    res.retain(|it| seen.insert(it.clone()));
    res
}

fn kubelet() -> Result<String, Error> {
    let configuration = KubeletConfiguration {
        api_version: "kubelet.config.k8s.io/v1beta1",
        kind: "KubeletConfiguration",
        cgroup_driver: "systemd",
        // Not the stub on 127.0.0.53, which CoreDNS would ask in a circle.
        resolv_conf: "/run/systemd/resolve/resolv.conf",
    };
    yaml::document("KubeletConfiguration", &configuration)
}

fn kube_proxy(cluster: &Cluster) -> Result<String, Error> {
    let configuration = KubeProxyConfiguration {
        api_version: "kubeproxy.config.k8s.io/v1alpha1",
        kind: "KubeProxyConfiguration",
        cluster_cidr: cluster.pod_cidr.to_string(),
        mode: "iptables",
    };
    yaml::document("KubeProxyConfiguration", &configuration)
}

fn join(cluster: &Cluster, secrets: &Secrets, node: &Node) -> Result<String, Error> {
    let control_plane = match node.role {
        Role::ControlPlane => Some(ControlPlane {
            local_api_endpoint: local_api_endpoint(),
        }),
        Role::Worker => None,
    };
    let join = JoinConfiguration {
        api_version: KUBEADM,
        kind: "JoinConfiguration",
        discovery: Discovery {
            bootstrap_token: BootstrapTokenDiscovery {
                api_server_endpoint: cluster.endpoint.to_string(),
                token: secrets.node_token(&node.name).secret().expose().to_owned(),
                ca_cert_hashes: [secrets.ca_hash()],
            },
        },
        node_registration: node_registration(node),
        control_plane,
        timeouts: Timeouts::for_slow_machines(),
    };
    yaml::document("JoinConfiguration", &join)
}

fn local_api_endpoint() -> LocalApiEndpoint {
    LocalApiEndpoint {
        advertise_address: NODE_IP,
        bind_port: API_PORT,
    }
}

fn node_registration(node: &Node) -> NodeRegistration {
    NodeRegistration {
        name: node.name.to_string(),
        cri_socket: CRI_SOCKET,
        image_pull_policy: "IfNotPresent",
        kubelet_extra_args: [NameValue {
            name: "node-ip",
            value: NODE_IP,
        }],
    }
}

#[cfg(test)]
mod tests;
