//! A cluster that was checked: plain types without syntax.

use core::net::Ipv4Addr;

use crate::{
    Cidr, ClusterName, DnsName, Error, Host, HostPort, KubernetesVersion, Mac, NodeName,
    ProfileName, SshKey, TokenTtl, UserName,
};

/// One Kubernetes cluster: what all nodes share, and the nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// The cluster's name.
    pub name: ClusterName,
    /// The Kubernetes version all nodes run.
    pub kubernetes: KubernetesVersion,
    /// The network nodes reach each other by; a node takes the address it has in it.
    pub node_cidr: Cidr,
    /// The network of pods.
    pub pod_cidr: Cidr,
    /// The network of services.
    pub service_cidr: Cidr,
    /// The domain of services, `cluster.local` by default.
    pub dns_domain: DnsName,
    /// The domain of the nodes' own names, if they have one.
    pub node_domain: Option<DnsName>,
    /// Where every node and every client finds the API server.
    pub endpoint: HostPort,
    /// What connects pods.
    pub cni: Cni,
    /// How long join tokens are accepted.
    pub token_ttl: TokenTtl,
    /// NTP servers; empty for those the base image names.
    pub time_servers: Vec<Host>,
    /// Who may log in.
    pub admin: Admin,
    /// What nodes with a static address need besides it.
    pub network: Network,
    /// The nodes in the order of the file; the first control plane founds the cluster.
    pub nodes: Vec<Node>,
}

impl Cluster {
    /// Returns the node of this name.
    pub fn node(&self, name: &NodeName) -> Result<&Node, Error> {
        let known = || {
            let names: Vec<_> = self.nodes.iter().map(|it| it.name.as_str()).collect();
            names.join(", ")
        };
        self.nodes
            .iter()
            .find(|it| it.name == *name)
            .ok_or_else(|| Error::UnknownNode {
                node: name.clone(),
                cluster: self.name.to_string(),
                known: known(),
            })
    }

    /// Returns the control planes in the order of the file.
    pub fn control_planes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|it| it.role == Role::ControlPlane)
    }

    /// Says whether `node` founds the cluster: the first control plane of the file, by rule and not by race.
    pub fn founds(&self, node: &Node) -> bool {
        self.control_planes()
            .next()
            .is_some_and(|it| it.name == node.name)
    }

    /// Returns the fully qualified name of `node`, its plain name if the cluster has no node domain.
    pub fn fqdn(&self, node: &Node) -> String {
        match &self.node_domain {
            Some(domain) => format!("{}.{domain}", node.name),
            None => node.name.to_string(),
        }
    }

    /// Returns what is allowed but likely to disappoint, one sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let mut res = Vec::new();
        if self.admin.ssh_keys.is_empty() {
            res.push("no `ssh_keys` in [admin]: nobody will be able to log in".to_owned());
        }
        let nat = virtualbox_nat();
        for (key, cidr) in [
            ("node_cidr", self.node_cidr),
            ("pod_cidr", self.pod_cidr),
            ("service_cidr", self.service_cidr),
        ] {
            if cidr.overlaps(nat) {
                res.push(format!(
                    "`{key}` {cidr} overlaps {nat}, which VirtualBox's NAT gives to every machine: \
                     such a cluster will not work in VirtualBox"
                ));
            }
        }
        let members = self.control_planes().count();
        let founder = self.control_planes().next();
        let single = founder.and_then(|it| it.address).map(Host::Address);
        if members > 1 && single.as_ref() == Some(&self.endpoint.host) {
            res.push(format!(
                "`endpoint` {} is one control plane of {members}: if it fails, so does the API; \
                 point it at a load balancer or a virtual address",
                self.endpoint
            ));
        }
        res
    }
}

/// The network of `VirtualBox`'s NAT adapter, the same on every machine.
fn virtualbox_nat() -> Cidr {
    "10.0.2.0/24".parse().expect("a literal network")
}

/// One machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Hostname and name in Kubernetes.
    pub name: NodeName,
    /// What it does.
    pub role: Role,
    /// The image profile it boots.
    pub profile: ProfileName,
    /// Its address in the node network, or `None` where DHCP gives one.
    pub address: Option<Ipv4Addr>,
    /// Its Ethernet address on the node network, if it is known.
    pub mac: Option<Mac>,
}

/// What a node does in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Role {
    /// API server, scheduler, controllers and a stacked etcd member.
    ControlPlane,
    /// Runs pods.
    Worker,
}

impl Role {
    /// The word in `cluster.toml` and in `node.env`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ControlPlane => "controlplane",
            Self::Worker => "worker",
        }
    }
}

/// What connects pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cni {
    /// Nothing of ours: the user applies a network's manifest.
    None,
}

/// Who may log in to every node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// The login name.
    pub user: UserName,
    /// The keys it may log in with; there are no passwords.
    pub ssh_keys: Vec<SshKey>,
}

/// What nodes with a static address need besides it; used where the node network is the only one.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Network {
    /// The default route.
    pub gateway: Option<Ipv4Addr>,
    /// DNS servers.
    pub nameservers: Vec<Ipv4Addr>,
}
