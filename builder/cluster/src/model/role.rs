//! What a node does, and what that implies: whether kubeadm runs on it, whether others must know its address.

/// What a node does in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Role {
    /// API server, scheduler, controllers, and an etcd member unless the cluster has nodes for etcd.
    ControlPlane,
    /// Runs pods.
    Worker,
    /// A member of the etcd that the control planes use instead of their own.
    Etcd,
    /// HAProxy in front of the API servers, with keepalived where there is a virtual address.
    LoadBalancer,
    /// step-ca: certificates for what is not Kubernetes' own.
    Ca,
    /// An NFS server.
    Storage,
    /// kubectl and the administrator's kubeconfig; no kubelet.
    Admin,
}

impl Role {
    /// All of them, in the order they are drawn and listed.
    pub const ALL: [Self; 7] = [
        Self::ControlPlane,
        Self::Worker,
        Self::Etcd,
        Self::LoadBalancer,
        Self::Ca,
        Self::Storage,
        Self::Admin,
    ];

    /// The word in `cluster.toml`, in profiles and in `node.env`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ControlPlane => "controlplane",
            Self::Worker => "worker",
            Self::Etcd => "etcd",
            Self::LoadBalancer => "loadbalancer",
            Self::Ca => "ca",
            Self::Storage => "storage",
            Self::Admin => "admin",
        }
    }

    /// Says whether a node of this role runs a kubelet, and so joins by kubeadm and has pods, labels and taints.
    pub fn has_kubelet(self) -> bool {
        matches!(self, Self::ControlPlane | Self::Worker)
    }

    /// Says whether other nodes are told this node's address, so that it must stand in the file.
    pub fn is_looked_for(self) -> bool {
        matches!(
            self,
            Self::Etcd | Self::LoadBalancer | Self::Ca | Self::Storage
        )
    }
}

/// What connects pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cni {
    /// Nothing of ours: the user applies a network's manifest.
    None,
    /// Calico by its operator, whose manifest is one of the cluster's.
    Calico(Calico),
    /// Flannel by its own manifest, told which interface the nodes have in common.
    Flannel,
    /// Cilium by a manifest that Helm rendered.
    Cilium,
}

impl Cni {
    /// The word in `cluster.toml`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Calico(_) => "calico",
            Self::Flannel => "flannel",
            Self::Cilium => "cilium",
        }
    }
}

/// How Calico carries packets between nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calico {
    /// What wraps packets of pods.
    pub encapsulation: Encapsulation,
    /// Whether routes are announced by BGP, and as which autonomous system.
    pub bgp: Bgp,
}

/// What wraps packets between pods on different nodes; the words are those of Calico's operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encapsulation {
    /// VXLAN between all nodes.
    Vxlan,
    /// VXLAN between nodes of different subnets.
    VxlanCrossSubnet,
    /// IP in IP between all nodes; needs BGP.
    IpIp,
    /// IP in IP between nodes of different subnets; needs BGP.
    IpIpCrossSubnet,
    /// Nothing: all nodes are on one network; needs BGP.
    None,
}

impl Encapsulation {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Vxlan,
        Self::VxlanCrossSubnet,
        Self::IpIp,
        Self::IpIpCrossSubnet,
        Self::None,
    ];

    /// The word in `cluster.toml` and in the operator's `Installation`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vxlan => "VXLAN",
            Self::VxlanCrossSubnet => "VXLANCrossSubnet",
            Self::IpIp => "IPIP",
            Self::IpIpCrossSubnet => "IPIPCrossSubnet",
            Self::None => "None",
        }
    }

    /// Says whether nodes learn each other's routes by BGP alone.
    pub fn needs_bgp(self) -> bool {
        !matches!(self, Self::Vxlan | Self::VxlanCrossSubnet)
    }
}

/// Whether Calico speaks BGP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bgp {
    /// No.
    Disabled,
    /// Yes, as this autonomous system; `None` for Calico's own default, 64512.
    Enabled(Option<AsNumber>),
}

/// The number of an autonomous system (RFC 6793), never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AsNumber(pub std::num::NonZeroU32);

impl std::fmt::Display for AsNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
