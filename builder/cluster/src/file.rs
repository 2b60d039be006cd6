//! `cluster.toml`: from TOML 1.0 text to a [`Cluster`], with the line and column of everything that is wrong.
//!
//! The structs here mirror the file and stay private; unknown keys are refused with a suggestion. Values are read one by one and
//! their faults collected; what stands between values is checked in `check`.

mod check;
mod suggest;

use core::net::Ipv4Addr;
use std::ops::Range;
use std::str::FromStr;

use serde::Deserialize;
use toml::Spanned;

use crate::error::{Error, Fault, Place, Problem, Problems};
use crate::{
    Admin, Cidr, Cluster, ClusterName, Cni, DnsName, Host, HostPort, KubernetesVersion, Mac,
    Network, Node, NodeName, ProfileName, Role, SshKey, TokenTtl, UserName, net,
};

/// The port API servers listen on.
pub(crate) const API_PORT: u16 = 6443;

/// A cluster file is typed by people; more than this is a mistake.
const LIMIT_BYTES: usize = 1 << 20;

/// More problems than anybody reads; a limit, because each costs a walk through the text to find its line.
const LIMIT_PROBLEMS: usize = 200;

/// Reads the text of a cluster file; `file` is its name in messages.
///
/// Returns [`Error::Invalid`] with all problems in the order of the file.
pub fn parse(text: &str, file: &str) -> Result<Cluster, Error> {
    let mut reader = Reader {
        text,
        file,
        problems: Vec::new(),
    };
    let cluster = reader.cluster();
    match cluster {
        Some(cluster) if reader.problems.is_empty() => Ok(cluster),
        _ => {
            reader.problems.sort_by_key(|it| it.place);
            Err(Error::Invalid(Problems(reader.problems)))
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClusterFile {
    name: Spanned<String>,
    kubernetes: Spanned<String>,
    node_cidr: Spanned<String>,
    pod_cidr: Option<Spanned<String>>,
    service_cidr: Option<Spanned<String>>,
    dns_domain: Option<Spanned<String>>,
    node_domain: Option<Spanned<String>>,
    endpoint: Option<Spanned<String>>,
    cni: Option<Spanned<String>>,
    token_ttl: Option<Spanned<String>>,
    #[serde(default)]
    time_servers: Vec<Spanned<String>>,
    #[serde(default)]
    admin: AdminTable,
    #[serde(default)]
    network: NetworkTable,
    #[serde(default)]
    node: Vec<Spanned<NodeTable>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct AdminTable {
    user: Option<Spanned<String>>,
    #[serde(default)]
    ssh_keys: Vec<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct NetworkTable {
    gateway: Option<Spanned<String>>,
    #[serde(default)]
    nameservers: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeTable {
    name: Spanned<String>,
    role: Spanned<String>,
    profile: Spanned<String>,
    address: Option<Spanned<String>>,
    mac: Option<Spanned<String>>,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
struct At<T> {
    value: T,
    span: Range<usize>,
}

/// What could be read of a file; a value that is missing here was faulty and has its problem already.
struct Draft {
    node_cidr: Option<At<Cidr>>,
    pod_cidr: Option<At<Cidr>>,
    service_cidr: Option<At<Cidr>>,
    endpoint: Option<At<HostPort>>,
    endpoint_given: bool,
    gateway: Option<At<Ipv4Addr>>,
    nodes: Vec<DraftNode>,
}

struct DraftNode {
    span: Range<usize>,
    name: Option<At<NodeName>>,
    role: Option<Role>,
    profile: Option<ProfileName>,
    address: Option<At<Ipv4Addr>>,
    address_given: bool,
    mac: Option<At<Mac>>,
}

struct Reader<'a> {
    text: &'a str,
    file: &'a str,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn report(&mut self, span: &Range<usize>, fault: Fault) {
        if self.problems.len() == LIMIT_PROBLEMS {
            return;
        }
        self.problems.push(Problem {
            file: self.file.to_owned(),
            place: Place::of(self.text, span.start),
            fault,
        });
    }

    /// Reads one value; its fault is reported with the key's name.
    fn value<T>(
        &mut self,
        key: &str,
        text: &Spanned<String>,
        read: impl FnOnce(&str) -> Result<T, Fault>,
    ) -> Option<At<T>> {
        match read(text.get_ref()) {
            Ok(value) => Some(At {
                value,
                span: text.span(),
            }),
            Err(fault) => {
                let what = format!("`{key}`: {}", fault.what);
                self.report(&text.span(), Fault::new(what, fault.help));
                None
            }
        }
    }

    /// Reads one value that may be absent and then is `default`, which stands nowhere.
    fn value_or<T: FromStr<Err = Fault>>(
        &mut self,
        key: &str,
        text: Option<&Spanned<String>>,
        default: &str,
    ) -> Option<At<T>> {
        match text {
            Some(text) => self.value(key, text, str::parse),
            None => Some(At {
                value: default.parse().ok()?,
                span: 0..0,
            }),
        }
    }

    fn list<T>(
        &mut self,
        key: &str,
        texts: &[Spanned<String>],
        read: impl Fn(&str) -> Result<T, Fault>,
    ) -> Vec<T> {
        texts
            .iter()
            .filter_map(|it| self.value(key, it, &read))
            .map(|it| it.value)
            .collect()
    }

    fn file(&mut self) -> Option<ClusterFile> {
        if self.text.len() > LIMIT_BYTES {
            let fault = Fault::new(
                "the file is larger than 1 MiB",
                "give the name of a cluster file",
            );
            self.report(&(0..0), fault);
            return None;
        }
        match toml::from_str(self.text) {
            Ok(file) => Some(file),
            Err(err) => {
                let span = err.span().unwrap_or_default();
                self.report(&span, suggest::explain(err.message()));
                None
            }
        }
    }

    fn cluster(&mut self) -> Option<Cluster> {
        let file = self.file()?;
        let name: Option<At<ClusterName>> = self.value("name", &file.name, str::parse);
        let kubernetes: Option<At<KubernetesVersion>> =
            self.value("kubernetes", &file.kubernetes, str::parse);
        let dns_domain: Option<At<DnsName>> =
            self.value_or("dns_domain", file.dns_domain.as_ref(), "cluster.local");
        let node_domain = file
            .node_domain
            .as_ref()
            .map(|it| self.value("node_domain", it, str::parse::<DnsName>));
        let cni = match &file.cni {
            Some(it) => self.value("cni", it, cni).map(|it| it.value),
            None => Some(Cni::None),
        };
        let token_ttl: Option<At<TokenTtl>> =
            self.value_or("token_ttl", file.token_ttl.as_ref(), "0s");
        let time_servers = self.list("time_servers", &file.time_servers, str::parse::<Host>);
        let user: Option<At<UserName>> = self.value_or("user", file.admin.user.as_ref(), "admin");
        let ssh_keys = self.list("ssh_keys", &file.admin.ssh_keys, str::parse::<SshKey>);
        let nameservers = self.list("nameservers", &file.network.nameservers, net::ipv4);
        let draft = self.draft(&file);
        check::all(&draft, self);

        let gateway = draft.gateway.as_ref().map(|it| it.value);
        let endpoint = match &draft.endpoint {
            Some(it) => it.value.clone(),
            None => default_endpoint(&draft)?,
        };
        let nodes: Option<Vec<Node>> = draft.nodes.into_iter().map(DraftNode::finish).collect();
        Some(Cluster {
            name: name?.value,
            kubernetes: kubernetes?.value,
            node_cidr: draft.node_cidr?.value,
            pod_cidr: draft.pod_cidr?.value,
            service_cidr: draft.service_cidr?.value,
            dns_domain: dns_domain?.value,
            node_domain: match node_domain {
                Some(it) => Some(it?.value),
                None => None,
            },
            endpoint,
            cni: cni?,
            token_ttl: token_ttl?.value,
            time_servers,
            admin: Admin {
                user: user?.value,
                ssh_keys,
            },
            network: Network {
                gateway,
                nameservers,
            },
            nodes: nodes?,
        })
    }

    fn draft(&mut self, file: &ClusterFile) -> Draft {
        let gateway = file.network.gateway.as_ref();
        Draft {
            node_cidr: self.value("node_cidr", &file.node_cidr, str::parse),
            pod_cidr: self.value_or("pod_cidr", file.pod_cidr.as_ref(), "10.244.0.0/16"),
            service_cidr: self.value_or("service_cidr", file.service_cidr.as_ref(), "10.96.0.0/12"),
            endpoint: file
                .endpoint
                .as_ref()
                .and_then(|it| self.value("endpoint", it, str::parse)),
            endpoint_given: file.endpoint.is_some(),
            gateway: gateway.and_then(|it| self.value("gateway", it, net::ipv4)),
            nodes: file.node.iter().map(|it| self.node(it)).collect(),
        }
    }

    fn node(&mut self, node: &Spanned<NodeTable>) -> DraftNode {
        let table = node.get_ref();
        DraftNode {
            span: node.span(),
            name: self.value("name", &table.name, str::parse),
            role: self.value("role", &table.role, role).map(|it| it.value),
            profile: self
                .value("profile", &table.profile, str::parse)
                .map(|it| it.value),
            address: table
                .address
                .as_ref()
                .and_then(|it| self.value("address", it, net::ipv4)),
            address_given: table.address.is_some(),
            mac: table
                .mac
                .as_ref()
                .and_then(|it| self.value("mac", it, str::parse)),
        }
    }
}

impl DraftNode {
    fn finish(self) -> Option<Node> {
        Some(Node {
            name: self.name?.value,
            role: self.role?,
            profile: self.profile?,
            address: self.address.map(|it| it.value),
            mac: self.mac.map(|it| it.value),
        })
    }
}

/// The first control plane's own address, on the API server's port.
fn default_endpoint(draft: &Draft) -> Option<HostPort> {
    let founder = draft
        .nodes
        .iter()
        .find(|it| it.role == Some(Role::ControlPlane))?;
    Some(HostPort {
        host: Host::Address(founder.address.as_ref()?.value),
        port: API_PORT,
    })
}

fn role(text: &str) -> Result<Role, Fault> {
    const KNOWN: &[&str] = &["controlplane", "worker"];
    match text {
        "controlplane" => Ok(Role::ControlPlane),
        "worker" => Ok(Role::Worker),
        "etcd" | "loadbalancer" | "ca" | "storage" | "admin" => Err(Fault::new(
            format!("role `{text}` is not supported yet"),
            "use `controlplane` or `worker`",
        )),
        _ => Err(suggest::one_of("role", text, KNOWN)),
    }
}

fn cni(text: &str) -> Result<Cni, Fault> {
    match text {
        "none" => Ok(Cni::None),
        "calico" | "flannel" | "cilium" => Err(Fault::new(
            format!("`{text}` is not supported yet"),
            "use \"none\" and apply its manifest when the control plane is up",
        )),
        _ => Err(suggest::one_of("CNI", text, &["none"])),
    }
}

#[cfg(test)]
mod tests;
