//! Certificates of machines that no kubeadm makes: the members of an etcd on nodes of its own, and those who ask it.
//!
//! Names, subjects and usages are kubeadm's (its `certs` phases), so that its API server and its checks accept them. They are
//! valid as long as the authority that signs them: nothing on these nodes could renew them, for nothing there can sign.

use rcgen::{DnType, ExtendedKeyUsagePurpose, IsCa, SanType};

use super::pki::{self, Authority, Certified};
use super::{Mode, SecretFile, Secrets};
use crate::{Cluster, Error, Node, Secret};

/// Who shows the certificate to whom.
#[derive(Clone, Copy)]
enum Usage {
    /// A client to a server.
    Client,
    /// A server to clients, and a client to others of its kind.
    Both,
}

/// Returns the certificates of a member of etcd, with paths below `pki`.
pub(crate) fn etcd_member(
    secrets: &Secrets,
    cluster: &Cluster,
    node: &Node,
) -> Result<Vec<SecretFile>, Error> {
    let mut res = vec![authority(secrets)?];
    let names = names(cluster, node)?;
    for (file, purpose) in [("etcd/server", "etcd-server"), ("etcd/peer", "etcd-peer")] {
        let subject = node.name.as_str();
        let leaf = Leaf {
            file,
            purpose,
            subject,
            usage: Usage::Both,
            names: names.clone(),
        };
        res.extend(leaf.pair(secrets, node)?);
    }
    let leaf = Leaf {
        file: "etcd/healthcheck-client",
        purpose: "etcd-healthcheck-client",
        subject: "kube-etcd-healthcheck-client",
        usage: Usage::Client,
        names: Vec::new(),
    };
    res.extend(leaf.pair(secrets, node)?);
    Ok(res)
}

/// Returns what an API server shows to an etcd that is not its own, with paths below `pki`.
pub(crate) fn etcd_client(secrets: &Secrets, node: &Node) -> Result<Vec<SecretFile>, Error> {
    let mut res = vec![authority(secrets)?];
    let leaf = Leaf {
        file: "apiserver-etcd-client",
        purpose: "apiserver-etcd-client",
        subject: "kube-apiserver-etcd-client",
        usage: Usage::Client,
        names: Vec::new(),
    };
    res.extend(leaf.pair(secrets, node)?);
    Ok(res)
}

fn authority(secrets: &Secrets) -> Result<SecretFile, Error> {
    let text = secrets.certificate(Authority::Etcd)?;
    Ok(SecretFile::new(
        "etcd/ca.crt",
        Mode::Public,
        Secret::new(text),
    ))
}

/// The names by which others reach a member: kubeadm's, and its full name.
fn names(cluster: &Cluster, node: &Node) -> Result<Vec<SanType>, Error> {
    let mut dns = vec![node.name.to_string(), "localhost".to_owned()];
    let fqdn = cluster.fqdn(node);
    if fqdn != node.name.as_str() {
        dns.push(fqdn);
    }
    let mut res = Vec::new();
    for name in dns {
        let name = name
            .as_str()
            .try_into()
            .map_err(|source| Error::Certificate {
                what: name.clone(),
                source,
            })?;
        res.push(SanType::DnsName(name));
    }
    res.extend(node.address.map(|it| SanType::IpAddress(it.into())));
    res.push(SanType::IpAddress(core::net::Ipv4Addr::LOCALHOST.into()));
    res.push(SanType::IpAddress(core::net::Ipv6Addr::LOCALHOST.into()));
    Ok(res)
}

/// A certificate to be made.
struct Leaf<'a> {
    /// Path below `pki` without `.crt` and `.key`.
    file: &'a str,
    /// What distinguishes its key from the node's others.
    purpose: &'a str,
    subject: &'a str,
    usage: Usage,
    names: Vec<SanType>,
}

impl Leaf<'_> {
    /// Returns certificate and key of `node` as files.
    fn pair(self, secrets: &Secrets, node: &Node) -> Result<[SecretFile; 2], Error> {
        let file = self.file;
        let label = format!("{}/{}", self.purpose, secrets.generation(&node.name));
        let leaf = self.signed(secrets, &label)?;
        let certificate = Secret::new(leaf.certificate_pem());
        Ok([
            SecretFile::new(format!("{file}.crt"), Mode::Public, certificate),
            SecretFile::new(format!("{file}.key"), Mode::Private, leaf.key_pem()),
        ])
    }

    fn signed(self, secrets: &Secrets, label: &str) -> Result<Certified, Error> {
        let key = secrets.key(&format!("key/{label}"));
        let mut params = pki::params(secrets, label, secrets.created, pki::AUTHORITY_DAYS);
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, self.subject);
        params.subject_alt_names = self.names;
        params.extended_key_usages = match self.usage {
            Usage::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
            Usage::Both => vec![
                ExtendedKeyUsagePurpose::ServerAuth,
                ExtendedKeyUsagePurpose::ClientAuth,
            ],
        };
        params.use_authority_key_identifier_extension = true;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_identifier_method = key.identifier();
        let ca = pki::authority(secrets, Authority::Etcd)?;
        ca.sign(params, key, self.subject)
    }
}
