//! A cluster that was checked: plain types without syntax.

mod role;
mod settings;
mod warnings;

use core::net::Ipv4Addr;

pub use self::role::{AsNumber, Bgp, Calico, Cni, Encapsulation, Role};
pub use self::settings::{
    Access, AddressRange, Announce, Ca, Component, Etcd, ExtraArgs, Keeper, Kubeadm, LoadBalancer,
    Manifest, ManifestSource, MetalLb, Patch, PatchKind, PatchTarget, Route, Setting, Stage,
    Storage, VirtualAddress, Volume,
};
use crate::{
    Cidr, ClusterName, DnsName, Error, Host, HostPort, KubernetesVersion, Label, Mac, NodeName,
    ProfileName, Serial, SshKey, Taint, TokenTtl, UserName,
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
    /// How the API stays reachable.
    pub load_balancer: LoadBalancer,
    /// What etcd is told.
    pub etcd: Etcd,
    /// What kubeadm is told.
    pub kubeadm: Kubeadm,
    /// What is applied when the first control plane is up, in order.
    pub manifests: Vec<Manifest>,
    /// Addresses for services, if MetalLB hands them out.
    pub metallb: Option<MetalLb>,
    /// What the NFS server gives out.
    pub storage: Storage,
    /// What step-ca is called.
    pub ca: Ca,
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

    /// Returns the nodes of a role in the order of the file.
    pub fn of_role(&self, role: Role) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |it| it.role == role)
    }

    /// Returns the control planes in the order of the file.
    pub fn control_planes(&self) -> impl Iterator<Item = &Node> {
        self.of_role(Role::ControlPlane)
    }

    /// Says whether the control planes use the etcd of nodes that do nothing else.
    pub fn has_external_etcd(&self) -> bool {
        self.of_role(Role::Etcd).next().is_some()
    }

    /// Returns the Kubernetes version of `node`: its own during an upgrade, else the cluster's.
    pub fn version_of(&self, node: &Node) -> KubernetesVersion {
        node.kubernetes.unwrap_or(self.kubernetes)
    }

    /// Returns the address that the endpoint's name stands for, where the cluster itself knows: its virtual address, else its
    /// first load balancer. `None` where the endpoint is an address or the name is for a DNS server to know.
    pub fn endpoint_address(&self) -> Option<Ipv4Addr> {
        let Host::Name(name) = &self.endpoint.host else {
            return None;
        };
        let named =
            |it: &&Node| name.as_str() == it.name.as_str() || *name.as_str() == self.fqdn(it);
        if self.nodes.iter().any(|it| named(&it)) {
            return None;
        }
        let virtual_address = self.load_balancer.virtual_address.as_ref();
        virtual_address
            .map(|it| it.address)
            .or_else(|| self.of_role(Role::LoadBalancer).find_map(|it| it.address))
    }

    /// Returns the paths of the manifests beside the cluster's file, whose text a founder's seed needs.
    pub fn local_manifests(&self) -> impl Iterator<Item = &str> {
        self.manifests.iter().filter_map(|it| match &it.source {
            ManifestSource::Local { path } => Some(path.as_str()),
            ManifestSource::Remote { .. } => None,
        })
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
    /// Its board's serial number, if it is a Raspberry Pi's and known.
    pub serial: Option<Serial>,
    /// The version it runs where that is not yet, or no more, the cluster's.
    pub kubernetes: Option<KubernetesVersion>,
    /// Labels it gives itself.
    pub labels: Vec<Label>,
    /// Its taints; `None` for kubeadm's: one on a control plane, none on a worker.
    pub taints: Option<Vec<Taint>>,
    /// Its ways to other networks, besides those all nodes have.
    pub routes: Vec<Route>,
}

/// Who may log in to every node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// The login name.
    pub user: UserName,
    /// The keys it may log in with; there are no passwords.
    pub ssh_keys: Vec<SshKey>,
}

/// What nodes with a static address need besides it; router and name servers are used where the node network is the only one.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Network {
    /// The default route.
    pub gateway: Option<Ipv4Addr>,
    /// DNS servers.
    pub nameservers: Vec<Ipv4Addr>,
    /// Ways to other networks, the same on every node.
    pub routes: Vec<Route>,
}
