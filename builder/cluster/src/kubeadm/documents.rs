//! The fields of kubeadm's, the kubelet's and kube-proxy's configuration that we set, in the order of the API's documentation.
//!
//! <https://kubernetes.io/docs/reference/config-api/kubeadm-config.v1beta4/>. The structs hold tokens and so have no `Debug`.

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use crate::{Component, ExtraArgs, Patch, Setting, Taint, Volume};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InitConfiguration {
    pub(super) api_version: &'static str,
    pub(super) kind: &'static str,
    pub(super) bootstrap_tokens: Vec<BootstrapToken>,
    #[serde(rename = "localAPIEndpoint")]
    pub(super) local_api_endpoint: LocalApiEndpoint,
    pub(super) node_registration: NodeRegistration,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) patches: Option<Patches>,
    pub(super) timeouts: Timeouts,
}

#[derive(Serialize)]
pub(super) struct Patches {
    pub(super) directory: &'static str,
}

impl Patches {
    /// Returns the folder of patches if there is one.
    pub(super) fn of(patches: &[Patch], directory: &'static str) -> Option<Self> {
        (!patches.is_empty()).then_some(Self { directory })
    }
}

#[derive(Serialize)]
pub(super) struct BootstrapToken {
    pub(super) token: String,
    pub(super) description: String,
    pub(super) ttl: String,
    pub(super) usages: [&'static str; 2],
    pub(super) groups: [&'static str; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LocalApiEndpoint {
    pub(super) advertise_address: &'static str,
    pub(super) bind_port: u16,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NodeRegistration {
    pub(super) name: String,
    pub(super) cri_socket: &'static str,
    pub(super) image_pull_policy: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) ignore_preflight_errors: Vec<String>,
    /// Absent for kubeadm's own, empty for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) taints: Option<Vec<TaintEntry>>,
    pub(super) kubelet_extra_args: Vec<NameValue>,
}

#[derive(Serialize)]
pub(super) struct NameValue {
    pub(super) name: String,
    pub(super) value: String,
}

impl NameValue {
    pub(super) fn new(name: &str, value: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            value: value.into(),
        }
    }

    pub(super) fn all(args: &ExtraArgs) -> Vec<Self> {
        args.0
            .iter()
            .map(|(name, value)| Self::new(name, value))
            .collect()
    }
}

#[derive(Serialize)]
pub(super) struct TaintEntry {
    key: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    value: String,
    effect: &'static str,
}

impl From<&Taint> for TaintEntry {
    fn from(it: &Taint) -> Self {
        Self {
            key: it.key.clone(),
            value: it.value.clone(),
            effect: it.effect.as_str(),
        }
    }
}

/// How long kubeadm waits for what; written as Go writes durations.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Timeouts {
    control_plane_component_health_check: &'static str,
    kubelet_health_check: &'static str,
    #[serde(rename = "kubernetesAPICall")]
    kubernetes_api_call: &'static str,
    #[serde(rename = "etcdAPICall")]
    etcd_api_call: &'static str,
    tls_bootstrap: &'static str,
    discovery: &'static str,
}

impl Timeouts {
    /// Fifteen minutes each. kubeadm's defaults are one to five, and of these the shortest, `kubernetesAPICall`, is the first an
    /// API server must meet on a slow machine; `discovery` is how long a node waits for one that was switched on with it.
    pub(super) fn for_slow_machines() -> Self {
        const LONG: &str = "15m0s";
        Self {
            control_plane_component_health_check: LONG,
            kubelet_health_check: LONG,
            kubernetes_api_call: LONG,
            etcd_api_call: LONG,
            tls_bootstrap: LONG,
            discovery: LONG,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClusterConfiguration {
    pub(super) api_version: &'static str,
    pub(super) kind: &'static str,
    pub(super) cluster_name: String,
    pub(super) kubernetes_version: String,
    pub(super) control_plane_endpoint: String,
    pub(super) encryption_algorithm: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) feature_gates: Option<Fields<bool>>,
    pub(super) networking: Networking,
    pub(super) api_server: ApiServer,
    #[serde(skip_serializing_if = "ComponentEntry::is_empty")]
    pub(super) controller_manager: ComponentEntry,
    #[serde(skip_serializing_if = "ComponentEntry::is_empty")]
    pub(super) scheduler: ComponentEntry,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) etcd: Option<EtcdEntry>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Networking {
    pub(super) dns_domain: String,
    pub(super) pod_subnet: String,
    pub(super) service_subnet: String,
}

#[derive(Serialize)]
pub(super) struct ApiServer {
    #[serde(rename = "certSANs")]
    pub(super) cert_sans: Vec<String>,
    #[serde(flatten)]
    pub(super) component: ComponentEntry,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ComponentEntry {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    extra_args: Vec<NameValue>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    extra_volumes: Vec<VolumeEntry>,
}

impl ComponentEntry {
    fn is_empty(&self) -> bool {
        self.extra_args.is_empty() && self.extra_volumes.is_empty()
    }
}

impl From<&Component> for ComponentEntry {
    fn from(it: &Component) -> Self {
        Self {
            extra_args: NameValue::all(&it.extra_args),
            extra_volumes: it.volumes.iter().map(VolumeEntry::from).collect(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VolumeEntry {
    name: String,
    host_path: String,
    mount_path: String,
    read_only: bool,
    path_type: &'static str,
}

impl From<&Volume> for VolumeEntry {
    fn from(it: &Volume) -> Self {
        Self {
            name: it.name.to_string(),
            host_path: it.host_path.to_string(),
            mount_path: it.mount_path.to_string(),
            read_only: it.access == crate::Access::ReadOnly,
            path_type: it.path_type,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum EtcdEntry {
    Local(LocalEtcd),
    External(ExternalEtcd),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LocalEtcd {
    pub(super) extra_args: Vec<NameValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExternalEtcd {
    pub(super) endpoints: Vec<String>,
    pub(super) ca_file: &'static str,
    pub(super) cert_file: &'static str,
    pub(super) key_file: &'static str,
}

/// A kubelet's or kube-proxy's configuration: our fields, and the cluster file's over them.
pub(super) struct Fields<T>(pub(super) Vec<(String, T)>);

impl Fields<Setting> {
    /// Begins with the kind and our own fields.
    pub(super) fn new(api_version: &str, kind: &str, ours: &[(&str, &str)]) -> Self {
        let head = [("apiVersion", api_version), ("kind", kind)];
        let text =
            |(name, value): &(&str, &str)| ((*name).to_owned(), Setting::Text((*value).to_owned()));
        Self(head.iter().chain(ours).map(text).collect())
    }

    /// Lays settings over what is there.
    pub(super) fn set(mut self, settings: &[(String, Setting)]) -> Self {
        for (name, setting) in settings {
            match self.0.iter_mut().find(|(it, _)| it == name) {
                Some((_, it)) => *it = setting.clone(),
                None => self.0.push((name.clone(), setting.clone())),
            }
        }
        self
    }
}

impl<T: Serialize> Serialize for Fields<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Serialize for Setting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(it) => serializer.serialize_str(it),
            Self::Integer(it) => serializer.serialize_i64(*it),
            Self::Boolean(it) => serializer.serialize_bool(*it),
            Self::List(it) => it.serialize(serializer),
            Self::Table(it) => {
                let mut map = serializer.serialize_map(Some(it.len()))?;
                for (name, value) in it {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JoinConfiguration {
    pub(super) api_version: &'static str,
    pub(super) kind: &'static str,
    pub(super) discovery: Discovery,
    pub(super) node_registration: NodeRegistration,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) control_plane: Option<ControlPlane>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) patches: Option<Patches>,
    pub(super) timeouts: Timeouts,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Discovery {
    pub(super) bootstrap_token: BootstrapTokenDiscovery,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BootstrapTokenDiscovery {
    pub(super) token: String,
    pub(super) api_server_endpoint: String,
    pub(super) ca_cert_hashes: [String; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ControlPlane {
    #[serde(rename = "localAPIEndpoint")]
    pub(super) local_api_endpoint: LocalApiEndpoint,
}
