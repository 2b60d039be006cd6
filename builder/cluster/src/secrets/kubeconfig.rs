//! A kubeconfig file (`v1`, kind `Config`) for the cluster's administrator.
//!
//! The certificate's group is `kubeadm:cluster-admins`, which kubeadm binds to `cluster-admin`: unlike `system:masters`, its
//! rights can be taken away.

use serde::Serialize;

use super::{Authority, Secrets, UnixTime, pki};
use crate::{Cluster, Error, Secret, yaml};

const USER: &str = "kubernetes-admin";
const GROUP: &str = "kubeadm:cluster-admins";

#[derive(Serialize)]
struct Config<'a> {
    #[serde(rename = "apiVersion")]
    api_version: &'a str,
    kind: &'a str,
    clusters: [NamedCluster<'a>; 1],
    users: [NamedUser<'a>; 1],
    contexts: [NamedContext<'a>; 1],
    #[serde(rename = "current-context")]
    current_context: &'a str,
}

#[derive(Serialize)]
struct NamedCluster<'a> {
    name: &'a str,
    cluster: Server<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Server<'a> {
    certificate_authority_data: &'a str,
    server: &'a str,
}

#[derive(Serialize)]
struct NamedUser<'a> {
    name: &'a str,
    user: Credentials<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Credentials<'a> {
    client_certificate_data: &'a str,
    client_key_data: &'a str,
}

#[derive(Serialize)]
struct NamedContext<'a> {
    name: &'a str,
    context: Context<'a>,
}

#[derive(Serialize)]
struct Context<'a> {
    cluster: &'a str,
    user: &'a str,
}

pub(super) fn admin(
    secrets: &Secrets,
    cluster: &Cluster,
    not_before: UnixTime,
) -> Result<Secret, Error> {
    let ca = pki::authority(secrets, Authority::Kubernetes)?.certificate_data();
    let client = pki::client(secrets, USER, GROUP, not_before)?;
    let client_key = client.key_data();
    let name = cluster.name.as_str();
    let context = format!("{USER}@{name}");
    let config = Config {
        api_version: "v1",
        kind: "Config",
        clusters: [NamedCluster {
            name,
            cluster: Server {
                certificate_authority_data: &ca,
                server: &format!("https://{}", cluster.endpoint),
            },
        }],
        users: [NamedUser {
            name: USER,
            user: Credentials {
                client_certificate_data: &client.certificate_data(),
                client_key_data: client_key.expose(),
            },
        }],
        contexts: [NamedContext {
            name: &context,
            context: Context {
                cluster: name,
                user: USER,
            },
        }],
        current_context: &context,
    };
    yaml::document("kubeconfig", &config).map(Secret::new)
}
