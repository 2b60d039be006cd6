//! The cluster as a file: its nodes, its trust, and what each node is told on its first boot.
//!
//! [`parse`] reads `cluster.toml` into a [`Cluster`], checked wholly: what is wrong with it is reported at once, each fault with its
//! place and what to do. [`Secrets`] derives every key, certificate, token and identity from one root seed, so that the same
//! cluster file and the same seed always give the same bytes. [`kubeadm::render`] writes a node's kubeadm configuration
//! (`kubeadm.k8s.io/v1beta4`), and [`seed::render`] wraps it into the three files of a cloud-init `NoCloud` seed.
//!
//! Nothing here touches the host: the seed's randomness and the time are given by the caller, and files are returned as bytes.

pub mod draw;
mod error;
mod file;
mod hex;
pub mod kubeadm;
pub mod kubeconfig;
mod label;
mod model;
mod name;
mod net;
mod secret;
mod secrets;
pub mod seed;
mod source;
mod template;
mod version;
mod yaml;

pub use error::{Error, Fault, Place, Problem, Problems};
pub use file::parse;
pub use label::{Label, Taint, TaintEffect};
pub use model::{
    Access, AddressRange, Admin, Announce, AsNumber, Bgp, Ca, Calico, Cluster, Cni, Component,
    Encapsulation, Etcd, ExtraArgs, Keeper, Kubeadm, LoadBalancer, Manifest, ManifestSource,
    MetalLb, Network, Node, Patch, PatchKind, PatchTarget, Role, Route, Setting, Stage, Storage,
    VirtualAddress, Volume,
};
pub use name::{ClusterName, DnsName, NodeName, ProfileName, SshKey, UserName};
pub use net::{Cidr, Host, HostPort, Mac, Serial};
pub use secret::Secret;
pub use secrets::{
    Authority, Identity, Mode, RootSeed, SecretFile, Secrets, SshHostKey, Token, UnixTime,
};
pub use source::{AbsolutePath, ManifestName, Sha256Hex, Url};
pub use template::default_for;
pub use version::{KubernetesVersion, Release, TokenTtl};
