//! The secrets folder: what `cluster init` writes beside the cluster file.

use super::{Authority, Secrets};
use crate::{Cluster, Error, Secret};

/// Permissions of a file in the secrets folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// 0600: a key, a token, or what holds one.
    Private,
    /// 0644: anybody may read it.
    Public,
    /// 0444: anybody may read it, nobody changes it.
    Constant,
}

impl Mode {
    /// The permission bits.
    pub fn bits(self) -> u32 {
        match self {
            Self::Private => 0o600,
            Self::Public => 0o644,
            Self::Constant => 0o444,
        }
    }
}

/// One file of the secrets folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretFile {
    /// Path below the folder, such as `pki/etcd/ca.key`.
    pub name: String,
    /// Permissions.
    pub mode: Mode,
    /// Text; not shown even where it is public.
    pub content: Secret,
}

impl SecretFile {
    pub(super) fn new(name: impl Into<String>, mode: Mode, content: Secret) -> Self {
        Self {
            name: name.into(),
            mode,
            content,
        }
    }
}

/// Returns the public key infrastructure a control plane carries, with paths below `pki`.
pub(crate) fn pki(secrets: &Secrets) -> Result<Vec<SecretFile>, Error> {
    let mut res = Vec::new();
    for authority in Authority::ALL {
        let path = authority.path();
        let certificate = Secret::new(secrets.certificate(authority)?);
        let key = secrets.private_key(authority);
        res.push(SecretFile::new(
            format!("{path}.crt"),
            Mode::Public,
            certificate,
        ));
        res.push(SecretFile::new(format!("{path}.key"), Mode::Private, key));
    }
    let key = secrets.service_account_key();
    let public = Secret::new(secrets.service_account_public());
    res.push(SecretFile::new("sa.key", Mode::Private, key));
    res.push(SecretFile::new("sa.pub", Mode::Public, public));
    Ok(res)
}

pub(super) fn all(secrets: &Secrets, cluster: &Cluster) -> Result<Vec<SecretFile>, Error> {
    let mut res = pki(secrets)?;
    for file in &mut res {
        file.name = format!("pki/{}", file.name);
    }
    let token = format!("{}\n", secrets.cluster_token().secret().expose());
    let hash = Secret::new(format!("{}\n", secrets.ca_hash()));
    let kubeconfig = secrets.admin_kubeconfig(cluster, secrets.created)?;
    let known_hosts = Secret::new(secrets.known_hosts(cluster));
    res.push(SecretFile::new("admin.conf", Mode::Private, kubeconfig));
    res.push(SecretFile::new("ca-hash", Mode::Public, hash));
    res.push(SecretFile::new("known_hosts", Mode::Public, known_hosts));
    res.push(SecretFile::new(
        "secrets.toml",
        Mode::Private,
        secrets.to_text(),
    ));
    res.push(SecretFile::new("token", Mode::Private, Secret::new(token)));
    res.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(res)
}
