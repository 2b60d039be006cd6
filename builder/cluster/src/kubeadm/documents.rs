//! The fields of kubeadm's, the kubelet's and kube-proxy's configuration that we set, in the order of the API's documentation.
//!
//! <https://kubernetes.io/docs/reference/config-api/kubeadm-config.v1beta4/>. The structs hold tokens and so have no `Debug`.

use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InitConfiguration {
    pub(super) api_version: &'static str,
    pub(super) kind: &'static str,
    pub(super) bootstrap_tokens: Vec<BootstrapToken>,
    #[serde(rename = "localAPIEndpoint")]
    pub(super) local_api_endpoint: LocalApiEndpoint,
    pub(super) node_registration: NodeRegistration,
    pub(super) timeouts: Timeouts,
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
    pub(super) kubelet_extra_args: [NameValue; 1],
}

#[derive(Serialize)]
pub(super) struct NameValue {
    pub(super) name: &'static str,
    pub(super) value: &'static str,
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
    pub(super) networking: Networking,
    pub(super) api_server: ApiServer,
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
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KubeletConfiguration {
    pub(super) api_version: &'static str,
    pub(super) kind: &'static str,
    pub(super) cgroup_driver: &'static str,
    pub(super) resolv_conf: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KubeProxyConfiguration {
    pub(super) api_version: &'static str,
    pub(super) kind: &'static str,
    #[serde(rename = "clusterCIDR")]
    pub(super) cluster_cidr: String,
    pub(super) mode: &'static str,
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
