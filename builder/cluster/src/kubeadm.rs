//! A node's kubeadm configuration: `kubeadm.k8s.io/v1beta4`, with the kubelet's and kube-proxy's where the node founds the cluster.
//!
//! Addresses are chosen on the node: the file holds [`NODE_IP`] wherever the node's own address belongs, and the unit that runs
//! kubeadm replaces it. Images, CNI and what runs before and after kubeadm are not this file's business.

mod documents;

use self::documents::{
    ApiServer, BootstrapToken, BootstrapTokenDiscovery, ClusterConfiguration, ComponentEntry,
    ControlPlane, Discovery, EtcdEntry, ExternalEtcd, Fields, InitConfiguration, JoinConfiguration,
    LocalApiEndpoint, LocalEtcd, NameValue, Networking, NodeRegistration, Patches, TaintEntry,
    Timeouts,
};
use crate::file::API_PORT;
use crate::{Cluster, Error, Host, Node, NodeName, Release, Role, Secret, Secrets, yaml};

/// What stands in the file for the address the node has in the cluster's node network.
pub const NODE_IP: &str = "@NODE_IP@";

const CRI_SOCKET: &str = "unix:///run/containerd/containerd.sock";
const KUBEADM: &str = "kubeadm.k8s.io/v1beta4";

/// Where a seed puts the patches of what kubeadm writes.
pub const PATCHES: &str = "/etc/nodeimg/patches";

/// The port on which clients reach etcd.
pub const ETCD_PORT: u16 = 2379;

/// What a node does when it is switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// `kubeadm init`: the node founds the cluster.
    Init,
    /// `kubeadm join`.
    Join,
    /// Nothing with kubeadm: the node's role is another.
    Serve,
}

impl Action {
    /// Returns what `node` does in `cluster`.
    pub fn of(cluster: &Cluster, node: &Node) -> Self {
        if cluster.founds(node) {
            Self::Init
        } else if node.role.has_kubelet() {
            Self::Join
        } else {
            Self::Serve
        }
    }

    /// The word in `node.env`: kubeadm's own `init` or `join`, or `serve`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Join => "join",
            Self::Serve => "serve",
        }
    }
}

/// Returns the text of the node's kubeadm file; it holds tokens, so it is 0600 wherever it goes.
///
/// `release` is the locked one; an error if the cluster file does not allow it, or has no such node that runs a kubelet.
pub fn render(
    cluster: &Cluster,
    secrets: &Secrets,
    node: &NodeName,
    release: Release,
) -> Result<Secret, Error> {
    let node = cluster.node(node)?;
    let wanted = cluster.version_of(node);
    if !wanted.allows(release) {
        return Err(Error::Release {
            release,
            cluster: cluster.name.to_string(),
            wanted,
        });
    }
    let text = match Action::of(cluster, node) {
        Action::Init => [
            init(cluster, secrets, node)?,
            cluster_configuration(cluster, release)?,
            kubelet(cluster)?,
            kube_proxy(cluster)?,
        ]
        .join("---\n"),
        Action::Join => join(cluster, secrets, node)?,
        Action::Serve => {
            return Err(Error::NoKubelet {
                node: node.name.clone(),
                role: node.role,
            });
        }
    };
    Ok(Secret::new(text))
}

fn init(cluster: &Cluster, secrets: &Secrets, founder: &Node) -> Result<String, Error> {
    // Every node that joins has a token of its own, so that one can be revoked without the others.
    let of_nodes = cluster
        .nodes
        .iter()
        .filter(|it| it.name != founder.name && it.role.has_kubelet())
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
        node_registration: node_registration(cluster, founder),
        patches: Patches::of(&cluster.kubeadm.patches, PATCHES),
        timeouts: Timeouts::for_slow_machines(),
    };
    yaml::document("InitConfiguration", &init)
}

fn cluster_configuration(cluster: &Cluster, release: Release) -> Result<String, Error> {
    let kubeadm = &cluster.kubeadm;
    let gates = kubeadm.feature_gates.clone();
    let configuration = ClusterConfiguration {
        api_version: KUBEADM,
        kind: "ClusterConfiguration",
        cluster_name: cluster.name.to_string(),
        kubernetes_version: release.to_string(),
        control_plane_endpoint: cluster.endpoint.to_string(),
        // RSA keys take seconds each on a Pi, and the authorities are ECDSA already.
        encryption_algorithm: "ECDSA-P256",
        feature_gates: (!gates.is_empty()).then_some(Fields(gates)),
        networking: Networking {
            dns_domain: cluster.dns_domain.to_string(),
            pod_subnet: cluster.pod_cidr.to_string(),
            service_subnet: cluster.service_cidr.to_string(),
        },
        api_server: ApiServer {
            cert_sans: cert_sans(cluster),
            component: ComponentEntry::from(&kubeadm.api_server),
        },
        controller_manager: ComponentEntry::from(&kubeadm.controller_manager),
        scheduler: ComponentEntry::from(&kubeadm.scheduler),
        etcd: etcd(cluster),
    };
    yaml::document("ClusterConfiguration", &configuration)
}

fn etcd(cluster: &Cluster) -> Option<EtcdEntry> {
    if cluster.has_external_etcd() {
        let endpoint = |it: &Node| Some(format!("https://{}:{ETCD_PORT}", it.address?));
        return Some(EtcdEntry::External(ExternalEtcd {
            endpoints: cluster.of_role(Role::Etcd).filter_map(endpoint).collect(),
            // kubeadm's own names of these files.
            ca_file: "/etc/kubernetes/pki/etcd/ca.crt",
            cert_file: "/etc/kubernetes/pki/apiserver-etcd-client.crt",
            key_file: "/etc/kubernetes/pki/apiserver-etcd-client.key",
        }));
    }
    let extra_args = NameValue::all(&cluster.etcd.extra_args);
    (!extra_args.is_empty()).then_some(EtcdEntry::Local(LocalEtcd { extra_args }))
}

/// Every name a client may have for the API server: the endpoint, the virtual address, each load balancer and control plane, what
/// the file adds, and localhost for a forwarded port.
fn cert_sans(cluster: &Cluster) -> Vec<String> {
    let mut res = vec![cluster.endpoint.host.to_string()];
    let virtual_address = cluster.load_balancer.virtual_address.as_ref();
    res.extend(virtual_address.map(|it| it.address.to_string()));
    for node in cluster
        .of_role(Role::LoadBalancer)
        .chain(cluster.control_planes())
    {
        res.push(node.name.to_string());
        res.push(cluster.fqdn(node));
        res.extend(node.address.map(|it| Host::Address(it).to_string()));
    }
    res.extend(cluster.kubeadm.cert_sans.iter().map(ToString::to_string));
    res.extend(["localhost".to_owned(), "127.0.0.1".to_owned()]);
    let mut seen = std::collections::BTreeSet::new();
    res.retain(|it| seen.insert(it.clone()));
    res
}

fn kubelet(cluster: &Cluster) -> Result<String, Error> {
    let ours = [
        ("cgroupDriver", "systemd"),
        // Not the stub on 127.0.0.53, which CoreDNS would ask in a circle.
        ("resolvConf", "/run/systemd/resolve/resolv.conf"),
    ];
    let fields = Fields::new(
        "kubelet.config.k8s.io/v1beta1",
        "KubeletConfiguration",
        &ours,
    );
    yaml::document(
        "KubeletConfiguration",
        &fields.set(&cluster.kubeadm.kubelet),
    )
}

fn kube_proxy(cluster: &Cluster) -> Result<String, Error> {
    let pods = cluster.pod_cidr.to_string();
    let ours = [("clusterCIDR", pods.as_str()), ("mode", "iptables")];
    let fields = Fields::new(
        "kubeproxy.config.k8s.io/v1alpha1",
        "KubeProxyConfiguration",
        &ours,
    );
    yaml::document(
        "KubeProxyConfiguration",
        &fields.set(&cluster.kubeadm.kube_proxy),
    )
}

fn join(cluster: &Cluster, secrets: &Secrets, node: &Node) -> Result<String, Error> {
    let control_plane = match node.role {
        Role::ControlPlane => Some(ControlPlane {
            local_api_endpoint: local_api_endpoint(),
        }),
        _ => None,
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
        node_registration: node_registration(cluster, node),
        control_plane,
        patches: Patches::of(&cluster.kubeadm.patches, PATCHES),
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

fn node_registration(cluster: &Cluster, node: &Node) -> NodeRegistration {
    let mut args = vec![NameValue::new("node-ip", NODE_IP)];
    if !node.labels.is_empty() {
        let labels: Vec<String> = node.labels.iter().map(ToString::to_string).collect();
        args.push(NameValue::new("node-labels", labels.join(",")));
    }
    let taints = node.taints.as_ref();
    NodeRegistration {
        name: node.name.to_string(),
        cri_socket: CRI_SOCKET,
        image_pull_policy: "IfNotPresent",
        ignore_preflight_errors: cluster.kubeadm.ignore_preflight_errors.clone(),
        taints: taints.map(|it| it.iter().map(TaintEntry::from).collect()),
        kubelet_extra_args: args,
    }
}

/// Returns the patches as files of [`PATCHES`], in the order of the cluster's file: kubeadm sorts them by name.
pub(crate) fn patches(cluster: &Cluster) -> Vec<(String, String)> {
    let numbered = cluster.kubeadm.patches.iter().enumerate();
    numbered
        .map(|(i, it)| {
            let (target, kind) = (it.target.as_str(), it.kind.as_str());
            (format!("{target}{i:03}+{kind}.yaml"), it.content.clone())
        })
        .collect()
}

#[cfg(test)]
mod tests;
