//! Bootstrap tokens as kubeadm knows them: `[a-z0-9]{6}.[a-z0-9]{16}`, the part before the dot being no secret.

use std::fmt;

use serde::Serialize;

use super::{Secrets, UnixTime, derive};
use crate::{Cluster, Error, Secret, yaml};

const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
const ID_LEN: usize = 6;
const SECRET_LEN: usize = 16;

/// A bootstrap token; prints as its identifier only.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    id: String,
    secret: String,
}

impl Token {
    /// Derives the token of `label`.
    pub(super) fn derive(secrets: &Secrets, label: &str) -> Self {
        let letters = letters(secrets, label, ID_LEN + SECRET_LEN);
        let (id, secret) = letters.split_at(ID_LEN);
        Self {
            id: id.to_owned(),
            secret: secret.to_owned(),
        }
    }

    /// The public half, by which `kubeadm token delete` knows it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The whole token.
    pub fn secret(&self) -> Secret {
        Secret::new(format!("{}.{}", self.id, self.secret))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.[secret]", self.id)
    }
}

/// Returns letters and digits, each as likely as any other: bytes that would favour the first are passed over.
fn letters(secrets: &Secrets, label: &str, len: usize) -> String {
    (0_u32..)
        .flat_map(|round| derive::bytes::<64>(secrets, &format!("{label}/{round}")))
        .filter(|it| *it < 252)
        .map(|it| char::from(ALPHABET[usize::from(it % 36)]))
        .take(len)
        .collect()
}

/// A bootstrap token as the API keeps it:
/// <https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/#bootstrap-token-secret-format>.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata,
    #[serde(rename = "type")]
    kind_of_secret: &'static str,
    string_data: Data,
}

#[derive(Serialize)]
struct Metadata {
    name: String,
    namespace: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Data {
    description: String,
    token_id: String,
    token_secret: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration: Option<String>,
    usage_bootstrap_authentication: &'static str,
    usage_bootstrap_signing: &'static str,
    auth_extra_groups: &'static str,
}

pub(super) fn manifest(
    secrets: &Secrets,
    cluster: &Cluster,
    now: UnixTime,
) -> Result<Secret, Error> {
    let ttl = cluster.token_ttl.seconds;
    let expiration = (ttl > 0).then(|| rfc3339(UnixTime(now.0.saturating_add(ttl))));
    let mut res = Vec::new();
    for node in cluster.nodes.iter().filter(|it| it.role.has_kubelet()) {
        let token = secrets.node_token(&node.name);
        let object = Object {
            api_version: "v1",
            kind: "Secret",
            metadata: Metadata {
                name: format!("bootstrap-token-{}", token.id),
                namespace: "kube-system",
            },
            kind_of_secret: "bootstrap.kubernetes.io/token",
            string_data: Data {
                description: format!("node {}", node.name),
                token_id: token.id,
                token_secret: token.secret,
                expiration: expiration.clone(),
                usage_bootstrap_authentication: "true",
                usage_bootstrap_signing: "true",
                auth_extra_groups: "system:bootstrappers:kubeadm:default-node-token",
            },
        };
        res.push(yaml::document("bootstrap token", &object)?);
    }
    Ok(Secret::new(res.join("---\n")))
}

/// Writes a moment as RFC 3339 does, in UTC.
fn rfc3339(time: UnixTime) -> String {
    let seconds = std::time::Duration::from_secs(time.0.min(UnixTime::LAST.0));
    let at = rcgen::date_time_ymd(1970, 1, 1) + seconds;
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    )
}
