//! A member of an etcd of its own: `etcd.yaml` (etcd 3.5 and later, `--config-file`).
//!
//! All members are named before any of them runs, so they may start in any order.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{NODE_IP, NodeFile, SERVICE};
use crate::kubeadm::ETCD_PORT;
use crate::{Cluster, Error, Node, Role, yaml};

/// Where the image puts certificates.
const PKI: &str = "/etc/etcd/pki";

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Config<'a> {
    name: &'a str,
    data_dir: &'static str,
    listen_client_urls: String,
    advertise_client_urls: String,
    listen_peer_urls: String,
    initial_advertise_peer_urls: String,
    listen_metrics_urls: &'static str,
    initial_cluster: String,
    initial_cluster_token: &'a str,
    initial_cluster_state: &'static str,
    client_transport_security: Transport,
    peer_transport_security: Transport,
    #[serde(flatten)]
    extra: BTreeMap<&'a str, Scalar<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Transport {
    cert_file: String,
    key_file: String,
    trusted_ca_file: String,
    client_cert_auth: bool,
}

/// A flag's value with the type that etcd's file wants of it.
#[derive(Serialize)]
#[serde(untagged)]
enum Scalar<'a> {
    Boolean(bool),
    Integer(i64),
    Text(&'a str),
}

impl<'a> Scalar<'a> {
    fn of(text: &'a str) -> Self {
        let boolean = text.parse().map(Self::Boolean);
        let integer = || text.parse().map(Self::Integer);
        boolean.or_else(|_| integer()).unwrap_or(Self::Text(text))
    }
}

impl Transport {
    fn of(name: &str) -> Self {
        Self {
            cert_file: format!("{PKI}/{name}.crt"),
            key_file: format!("{PKI}/{name}.key"),
            trusted_ca_file: format!("{PKI}/ca.crt"),
            client_cert_auth: true,
        }
    }
}

/// Makes `etcd.yaml` of the member `node`.
pub(super) fn file(cluster: &Cluster, node: &Node) -> Result<NodeFile, Error> {
    let text = config(cluster, node)?;
    Ok(NodeFile::public(format!("{SERVICE}/etcd.yaml"), text))
}

fn config(cluster: &Cluster, node: &Node) -> Result<String, Error> {
    let members: Vec<String> = cluster
        .of_role(Role::Etcd)
        .filter_map(|it| Some(format!("{}=https://{}:2380", it.name, it.address?)))
        .collect();
    let extra = &cluster.etcd.extra_args.0;
    let config = Config {
        name: node.name.as_str(),
        data_dir: "/var/lib/etcd",
        listen_client_urls: format!("https://{NODE_IP}:{ETCD_PORT},https://127.0.0.1:{ETCD_PORT}"),
        advertise_client_urls: format!("https://{NODE_IP}:{ETCD_PORT}"),
        listen_peer_urls: format!("https://{NODE_IP}:2380"),
        initial_advertise_peer_urls: format!("https://{NODE_IP}:2380"),
        // Health and metrics without a certificate, for this machine only.
        listen_metrics_urls: "http://127.0.0.1:2381",
        initial_cluster: members.join(","),
        initial_cluster_token: cluster.name.as_str(),
        initial_cluster_state: "new",
        client_transport_security: Transport::of("server"),
        peer_transport_security: Transport::of("peer"),
        extra: extra
            .iter()
            .map(|(name, value)| (name.as_str(), Scalar::of(value)))
            .collect(),
    };
    yaml::document("etcd.yaml", &config)
}
