//! The tables of `cluster.toml` as TOML has them: names of keys and kinds of values, nothing read yet.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

pub(super) type Text = Spanned<String>;
pub(super) type Any = Spanned<toml::Value>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClusterFile {
    pub(super) name: Text,
    pub(super) kubernetes: Text,
    pub(super) node_cidr: Text,
    pub(super) pod_cidr: Option<Text>,
    pub(super) service_cidr: Option<Text>,
    pub(super) dns_domain: Option<Text>,
    pub(super) node_domain: Option<Text>,
    pub(super) endpoint: Option<Text>,
    pub(super) cni: Option<Text>,
    pub(super) token_ttl: Option<Text>,
    #[serde(default)]
    pub(super) time_servers: Vec<Text>,
    #[serde(default)]
    pub(super) admin: AdminTable,
    #[serde(default)]
    pub(super) network: NetworkTable,
    pub(super) calico: Option<Spanned<CalicoTable>>,
    pub(super) loadbalancer: Option<Spanned<LoadBalancerTable>>,
    pub(super) etcd: Option<EtcdTable>,
    #[serde(default)]
    pub(super) kubeadm: KubeadmTable,
    pub(super) metallb: Option<Spanned<MetalLbTable>>,
    pub(super) storage: Option<Spanned<StorageTable>>,
    pub(super) ca: Option<Spanned<CaTable>>,
    #[serde(default)]
    pub(super) manifest: Vec<Spanned<ManifestTable>>,
    #[serde(default)]
    pub(super) node: Vec<Spanned<NodeTable>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct AdminTable {
    pub(super) user: Option<Text>,
    #[serde(default)]
    pub(super) ssh_keys: Vec<Text>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct NetworkTable {
    pub(super) gateway: Option<Text>,
    #[serde(default)]
    pub(super) nameservers: Vec<Text>,
    #[serde(default)]
    pub(super) routes: Vec<RouteTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteTable {
    pub(super) to: Text,
    pub(super) via: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CalicoTable {
    pub(super) encapsulation: Option<Text>,
    pub(super) bgp: Option<bool>,
    pub(super) as_number: Option<Spanned<u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LoadBalancerTable {
    pub(super) virtual_address: Option<Text>,
    pub(super) keeper: Option<Text>,
    pub(super) router_id: Option<Spanned<u8>>,
    pub(super) kube_vip_image: Option<Text>,
    pub(super) metrics_port: Option<Spanned<u16>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EtcdTable {
    #[serde(default)]
    pub(super) extra_args: BTreeMap<String, Any>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct KubeadmTable {
    pub(super) cert_sans: Vec<Text>,
    pub(super) ignore_preflight_errors: Vec<Text>,
    pub(super) feature_gates: BTreeMap<String, bool>,
    pub(super) apiserver: ComponentTable,
    pub(super) controller_manager: ComponentTable,
    pub(super) scheduler: ComponentTable,
    pub(super) kubelet: BTreeMap<String, Any>,
    pub(super) kube_proxy: BTreeMap<String, Any>,
    pub(super) patch: Vec<PatchTable>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ComponentTable {
    pub(super) extra_args: BTreeMap<String, Any>,
    pub(super) volume: Vec<VolumeTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VolumeTable {
    pub(super) name: Text,
    pub(super) host_path: Text,
    pub(super) mount_path: Option<Text>,
    pub(super) read_only: Option<bool>,
    pub(super) path_type: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PatchTable {
    pub(super) target: Text,
    pub(super) kind: Option<Text>,
    pub(super) content: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MetalLbTable {
    pub(super) addresses: Vec<Text>,
    pub(super) mode: Option<Text>,
    pub(super) as_number: Option<Spanned<u32>>,
    pub(super) peer_address: Option<Text>,
    pub(super) peer_as_number: Option<Spanned<u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StorageTable {
    pub(super) exports: Vec<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaTable {
    #[serde(default)]
    pub(super) dns_names: Vec<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ManifestTable {
    pub(super) name: Text,
    pub(super) stage: Option<Text>,
    pub(super) url: Option<Text>,
    pub(super) sha256: Option<Text>,
    pub(super) file: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeTable {
    pub(super) name: Text,
    pub(super) role: Text,
    pub(super) profile: Text,
    pub(super) address: Option<Text>,
    pub(super) mac: Option<Text>,
    pub(super) serial: Option<Text>,
    pub(super) kubernetes: Option<Text>,
    pub(super) labels: Option<Spanned<BTreeMap<String, Text>>>,
    pub(super) taints: Option<Spanned<Vec<Text>>>,
    #[serde(default)]
    pub(super) routes: Vec<RouteTable>,
}
