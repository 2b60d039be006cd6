//! Everything secret or unique of a cluster, derived from one root seed of 32 bytes.
//!
//! HKDF-SHA256 (RFC 5869) with the cluster's name as salt and one label for each key: the same seed always gives the same
//! authorities, tokens and identities, so a node that is flashed again comes back as itself, and what must be kept safe is one
//! short text. Labels are part of the format: changing one changes the keys of every cluster there is.
//!
//! Nothing here draws random numbers or reads the clock; the caller gives both.

mod der;
mod derive;
mod files;
mod identity;
mod kubeconfig;
mod leaf;
mod pki;
mod service;
mod store;
mod token;

use std::collections::BTreeMap;
use std::fmt;

pub(crate) use self::files::pki as pki_files;
pub use self::files::{Mode, SecretFile};
pub use self::identity::{Identity, SshHostKey};
pub(crate) use self::leaf::{etcd_client, etcd_member};
pub use self::pki::Authority;
pub use self::token::Token;
use crate::{Cluster, ClusterName, Error, NodeName, Secret};

/// The 32 random bytes everything else is derived from.
#[derive(Clone, PartialEq, Eq)]
pub struct RootSeed([u8; 32]);

impl RootSeed {
    /// Takes bytes drawn from the operating system's random numbers.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for RootSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// A moment in whole seconds since 1970-01-01 00:00:00 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// The last moment from which ten years end in a year of four digits, 9989-12-01; certificates begin no later.
    pub const LAST: Self = Self(253_084_089_600);
}

/// The secrets of one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secrets {
    cluster: ClusterName,
    root: RootSeed,
    created: UnixTime,
    /// How often what only a node knows was made anew; nodes that are not here never lost anything.
    generations: BTreeMap<NodeName, u32>,
}

impl Secrets {
    /// Makes the secrets of `cluster`; its authorities are valid for ten years from `created`.
    pub fn new(cluster: ClusterName, root: RootSeed, created: UnixTime) -> Self {
        Self {
            cluster,
            root,
            created,
            generations: BTreeMap::new(),
        }
    }

    /// The cluster these secrets belong to.
    pub fn cluster(&self) -> &ClusterName {
        &self.cluster
    }

    /// When they were made.
    pub fn created(&self) -> UnixTime {
        self.created
    }

    /// Reads what [`Secrets::to_text`] wrote; `file` is its name in messages, which never repeat the text.
    pub fn parse(text: &str, file: &str, cluster: &ClusterName) -> Result<Self, Error> {
        store::parse(text, file, cluster)
    }

    /// Returns the text to store, mode 0600: the root seed and the time, from which all else follows.
    pub fn to_text(&self) -> Secret {
        store::write(self)
    }

    /// Returns the certificate (PEM) of an authority.
    pub fn certificate(&self, authority: Authority) -> Result<String, Error> {
        Ok(pki::authority(self, authority)?.certificate_pem())
    }

    /// Returns the private key of an authority, PEM in SEC 1 form as kubeadm writes it.
    pub fn private_key(&self, authority: Authority) -> Secret {
        self.key(authority.key_label()).private_pem()
    }

    /// Returns the key that signs service accounts' tokens, PEM in SEC 1 form (`sa.key`).
    pub fn service_account_key(&self) -> Secret {
        self.key(pki::SERVICE_ACCOUNT).private_pem()
    }

    /// Returns the public half of [`Secrets::service_account_key`], PEM in PKIX form (`sa.pub`).
    pub fn service_account_public(&self) -> String {
        self.key(pki::SERVICE_ACCOUNT).public_pem()
    }

    /// Returns the pin of the cluster's authority, `sha256:` and 64 hexadecimal digits, as `caCertHashes` takes it.
    pub fn ca_hash(&self) -> String {
        self.key(Authority::Kubernetes.key_label()).spki_hash()
    }

    /// Returns the token for machines that are joined by hand.
    pub fn cluster_token(&self) -> Token {
        Token::derive(self, "token/cluster")
    }

    /// Returns the token that only `node` carries.
    pub fn node_token(&self, node: &NodeName) -> Token {
        Token::derive(self, &format!("token/node/{}", self.generation(node)))
    }

    /// Makes what only `node` knows anew: its token, its SSH host key, its certificates. Whoever has its old card has nothing
    /// that is in the seeds made from now on.
    pub fn revoke(&mut self, node: &NodeName) {
        let generation = self.generations.entry(node.clone()).or_default();
        *generation = generation.saturating_add(1);
    }

    /// Returns how often `node`'s own secrets were revoked.
    pub fn revocations(&self, node: &NodeName) -> u32 {
        self.generations.get(node).copied().unwrap_or_default()
    }

    /// The node's part of a label; no name of a node holds `#`.
    fn generation(&self, node: &NodeName) -> String {
        match self.revocations(node) {
            0 => node.to_string(),
            n => format!("{node}#{n}"),
        }
    }

    /// Returns a manifest of the tokens of all nodes: what makes them known to a cluster that is up already.
    ///
    /// Tokens that do not live for ever end their life after the cluster's `token_ttl` from `now`.
    pub fn bootstrap_tokens(&self, cluster: &Cluster, now: UnixTime) -> Result<Secret, Error> {
        token::manifest(self, cluster, now)
    }

    /// Returns what makes `node` itself.
    pub fn identity(&self, node: &NodeName) -> Identity {
        Identity::derive(self, node)
    }

    /// Returns a kubeconfig with full rights, valid for a year from `not_before`.
    pub fn admin_kubeconfig(
        &self,
        cluster: &Cluster,
        not_before: UnixTime,
    ) -> Result<Secret, Error> {
        kubeconfig::admin(self, cluster, not_before)
    }

    /// Returns the files of the secrets folder, sorted by name.
    pub fn files(&self, cluster: &Cluster) -> Result<Vec<SecretFile>, Error> {
        files::all(self, cluster)
    }

    /// Returns a `known_hosts` file of all nodes, by name and address.
    pub fn known_hosts(&self, cluster: &Cluster) -> String {
        identity::known_hosts(self, cluster)
    }

    fn key(&self, label: &str) -> pki::Key {
        pki::Key::derive(self, label)
    }
}

#[cfg(test)]
mod tests;
