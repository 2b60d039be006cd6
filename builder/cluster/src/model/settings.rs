//! What a cluster file may say beyond nodes and networks: the way to the API, kubeadm's knobs, what is applied when it is up.

use core::net::Ipv4Addr;

use crate::{AbsolutePath, AsNumber, Cidr, DnsName, ManifestName, Sha256Hex, Url};

/// How the API server stays reachable when a control plane is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadBalancer {
    /// An address that moves to a machine that is alive.
    pub virtual_address: Option<VirtualAddress>,
    /// Where HAProxy serves its metrics on every node of role `loadbalancer`.
    pub metrics_port: u16,
}

/// An address that is no machine's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualAddress {
    /// The address, inside the node network.
    pub address: Ipv4Addr,
    /// Who holds it.
    pub keeper: Keeper,
}

/// Who holds a virtual address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// keepalived on the nodes of role `loadbalancer`, in the order of the file.
    Keepalived {
        /// VRRP's number of this group of machines, distinct on the same wire (RFC 9568).
        router_id: u8,
    },
    /// kube-vip as a static pod on the control planes.
    KubeVip {
        /// Its image, with a tag or a digest.
        image: String,
    },
}

/// What is given to etcd, a control plane's own or that of the nodes for it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Etcd {
    /// Arguments without their dashes, in order of name.
    pub extra_args: ExtraArgs,
}

/// Arguments of a program: names without dashes, each with its values; sorted by name.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ExtraArgs(pub Vec<(String, String)>);

/// What kubeadm is told beyond what follows from the rest of the file.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Kubeadm {
    /// Further names of the API server in its certificate.
    pub cert_sans: Vec<crate::Host>,
    /// Preflight checks that only warn.
    pub ignore_preflight_errors: Vec<String>,
    /// kubeadm's own feature gates.
    pub feature_gates: Vec<(String, bool)>,
    /// The API server.
    pub api_server: Component,
    /// The controller manager.
    pub controller_manager: Component,
    /// The scheduler.
    pub scheduler: Component,
    /// Fields of `KubeletConfiguration`.
    pub kubelet: Vec<(String, Setting)>,
    /// Fields of `KubeProxyConfiguration`.
    pub kube_proxy: Vec<(String, Setting)>,
    /// Patches of what kubeadm writes.
    pub patches: Vec<Patch>,
}

/// A program of the control plane.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Component {
    /// Its arguments.
    pub extra_args: ExtraArgs,
    /// Files and folders of the host that it sees.
    pub volumes: Vec<Volume>,
}

/// A file or folder of the host in a static pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Its name, one DNS label.
    pub name: ManifestName,
    /// Where it is on the host.
    pub host_path: AbsolutePath,
    /// Where the pod sees it.
    pub mount_path: AbsolutePath,
    /// Whether the pod may write.
    pub access: Access,
    /// Kubernetes' word for what is there, such as `DirectoryOrCreate`.
    pub path_type: &'static str,
}

/// Whether something may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read only.
    ReadOnly,
    /// Read and write.
    ReadWrite,
}

/// A value of a component's configuration as TOML has it; YAML has the same kinds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// True or false.
    Boolean(bool),
    /// Values in order.
    List(Vec<Self>),
    /// Fields in the order of the file.
    Table(Vec<(String, Self)>),
}

/// A patch of something that kubeadm writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// What is patched.
    pub target: PatchTarget,
    /// How.
    pub kind: PatchKind,
    /// The patch, YAML or JSON.
    pub content: String,
}

/// What kubeadm lets be patched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words are the components' own names")]
pub enum PatchTarget {
    KubeApiserver,
    KubeControllerManager,
    KubeScheduler,
    Etcd,
    KubeletConfiguration,
    CoreDnsDeployment,
}

impl PatchTarget {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::KubeApiserver,
        Self::KubeControllerManager,
        Self::KubeScheduler,
        Self::Etcd,
        Self::KubeletConfiguration,
        Self::CoreDnsDeployment,
    ];

    /// kubeadm's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::KubeScheduler => "kube-scheduler",
            Self::Etcd => "etcd",
            Self::KubeletConfiguration => "kubeletconfiguration",
            Self::CoreDnsDeployment => "corednsdeployment",
        }
    }
}

/// How a patch is laid over what it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchKind {
    /// Kubernetes' strategic merge patch.
    Strategic,
    /// JSON merge patch (RFC 7386).
    Merge,
    /// JSON patch (RFC 6902).
    Json,
}

impl PatchKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Strategic, Self::Merge, Self::Json];

    /// kubeadm's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Strategic => "strategic",
            Self::Merge => "merge",
            Self::Json => "json",
        }
    }
}

/// Something that is applied to the cluster when its first control plane is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Its name, distinct in the cluster.
    pub name: ManifestName,
    /// When it is applied.
    pub stage: Stage,
    /// Where its text is.
    pub source: ManifestSource,
}

impl Manifest {
    /// Returns where the image of a control plane holds it; `None` for one that travels in a seed. The path names the content, so
    /// that an image of another time has it not under this name.
    pub fn image_path(&self) -> Option<String> {
        match &self.source {
            ManifestSource::Remote { sha256, .. } => {
                let digest: String = sha256.as_str().chars().take(12).collect();
                Some(format!(
                    "/usr/lib/nodeimg/manifests/{}-{digest}.yaml",
                    self.name
                ))
            }
            ManifestSource::Local { .. } => None,
        }
    }
}

/// When a manifest is applied; within a stage the order is the file's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// First: the pods' network.
    Cni,
    /// Then everything else.
    Addons,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Self; 2] = [Self::Cni, Self::Addons];

    /// The word in `cluster.toml`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cni => "cni",
            Self::Addons => "addons",
        }
    }
}

/// Where a manifest's text is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestSource {
    /// On a server, pinned; it travels in the images of control planes, where anybody may read it.
    Remote {
        /// Where.
        url: Url,
        /// What it hashes to.
        sha256: Sha256Hex,
    },
    /// In a file beside the cluster's; it travels in the founder's seed and may hold secrets.
    Local {
        /// The path as it was written, relative to the cluster's file.
        path: String,
    },
}

/// Addresses that MetalLB hands out to services, and how it tells the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetalLb {
    /// The addresses.
    pub addresses: Vec<AddressRange>,
    /// How they are announced.
    pub announce: Announce,
}

/// How addresses of services are announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announce {
    /// By answering ARP.
    Layer2,
    /// To a router.
    Bgp {
        /// The cluster's own autonomous system.
        as_number: AsNumber,
        /// The router's address.
        peer_address: Ipv4Addr,
        /// The router's autonomous system.
        peer_as_number: AsNumber,
    },
}

/// Addresses from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange {
    /// The first.
    pub first: Ipv4Addr,
    /// The last, not before the first.
    pub last: Ipv4Addr,
}

/// What the NFS server gives out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Folders, to every machine of the node network.
    pub exports: Vec<AbsolutePath>,
}

/// A way to a network that is not next door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The network.
    pub to: Cidr,
    /// The router, inside the node network.
    pub via: Ipv4Addr,
}

/// The names that step-ca may sign for, and what it is called.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Ca {
    /// Further names of the server in its own certificate.
    pub dns_names: Vec<DnsName>,
}
