//! `cluster.toml`: from TOML 1.0 text to a [`Cluster`], with the line and column of everything that is wrong.
//!
//! `tables` mirrors the file and stays private; unknown keys are refused with a suggestion. Values are read one by one and
//! their faults collected; what stands between values is checked in `check`.

mod addons;
mod check;
mod kubeadm;
mod suggest;
mod tables;

use core::net::Ipv4Addr;
use std::collections::BTreeMap;
use std::ops::Range;
use std::str::FromStr;

use toml::Spanned;

use self::addons::{DraftBalancer, DraftManifest, DraftRoute};
use self::tables::{ClusterFile, NodeTable};
use crate::error::{Error, Fault, Place, Problem, Problems};
use crate::{
    Admin, Cidr, Cluster, ClusterName, Cni, DnsName, Host, HostPort, KubernetesVersion, Label,
    LoadBalancer, Mac, MetalLb, Network, Node, NodeName, ProfileName, Role, Serial, SshKey, Taint,
    TokenTtl, UserName, VirtualAddress, net,
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

/// A value and where it stands.
#[derive(Clone, Debug)]
struct At<T> {
    value: T,
    span: Range<usize>,
}

/// What could be read of a file; a value that is missing here was faulty and has its problem already.
struct Draft {
    kubernetes: Option<At<KubernetesVersion>>,
    node_cidr: Option<At<Cidr>>,
    pod_cidr: Option<At<Cidr>>,
    service_cidr: Option<At<Cidr>>,
    node_domain: Option<At<DnsName>>,
    endpoint: Option<At<HostPort>>,
    endpoint_given: bool,
    gateway: Option<At<Ipv4Addr>>,
    routes: Vec<DraftRoute>,
    /// Where the word for the pods' network stands, and what it was.
    cni: Option<At<Cni>>,
    balancer: DraftBalancer,
    metallb: Option<At<MetalLb>>,
    manifests: Vec<DraftManifest>,
    /// Tables of roles and where they stand.
    tables: Vec<(&'static str, Role, Range<usize>)>,
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
    serial: Option<At<Serial>>,
    kubernetes: Option<At<KubernetesVersion>>,
    labels: At<Vec<Label>>,
    taints: Option<At<Vec<Taint>>>,
    routes: Vec<DraftRoute>,
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

    /// Reads one value that may be absent.
    fn maybe<T>(
        &mut self,
        key: &str,
        text: Option<&Spanned<String>>,
        read: impl FnOnce(&str) -> Result<T, Fault>,
    ) -> Option<At<T>> {
        text.and_then(|it| self.value(key, it, read))
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
        let dns_domain: Option<At<DnsName>> =
            self.value_or("dns_domain", file.dns_domain.as_ref(), "cluster.local");
        let token_ttl: Option<At<TokenTtl>> =
            self.value_or("token_ttl", file.token_ttl.as_ref(), "0s");
        let time_servers = self.list("time_servers", &file.time_servers, str::parse::<Host>);
        let user: Option<At<UserName>> = self.value_or("user", file.admin.user.as_ref(), "admin");
        let ssh_keys = self.list("ssh_keys", &file.admin.ssh_keys, str::parse::<SshKey>);
        let nameservers = self.list("nameservers", &file.network.nameservers, net::ipv4);
        let etcd = self.etcd(file.etcd.as_ref());
        let kubeadm = self.kubeadm(&file.kubeadm);
        let has_storage =
            |it: &Spanned<tables::NodeTable>| it.get_ref().role.get_ref() == "storage";
        let storage = self.storage(file.storage.as_ref(), file.node.iter().any(has_storage));
        let ca = self.ca(file.ca.as_ref());
        let draft = self.draft(&file);
        check::all(&draft, self);

        if !self.problems.is_empty() {
            return None;
        }
        let endpoint = match &draft.endpoint {
            Some(it) => it.value.clone(),
            None => default_endpoint(&draft)?,
        };
        let nodes: Option<Vec<Node>> = draft.nodes.into_iter().map(DraftNode::finish).collect();
        Some(Cluster {
            name: name?.value,
            kubernetes: draft.kubernetes?.value,
            node_cidr: draft.node_cidr?.value,
            pod_cidr: draft.pod_cidr?.value,
            service_cidr: draft.service_cidr?.value,
            dns_domain: dns_domain?.value,
            node_domain: draft.node_domain.map(|it| it.value),
            endpoint,
            cni: draft.cni?.value,
            load_balancer: draft.balancer.finish(),
            etcd,
            kubeadm,
            manifests: draft.manifests.into_iter().map(|it| it.manifest).collect(),
            metallb: draft.metallb.map(|it| it.value),
            storage,
            ca,
            token_ttl: token_ttl?.value,
            time_servers,
            admin: Admin {
                user: user?.value,
                ssh_keys,
            },
            network: Network {
                gateway: draft.gateway.map(|it| it.value),
                nameservers,
                routes: draft.routes.iter().map(DraftRoute::finish).collect(),
            },
            nodes: nodes?,
        })
    }

    fn draft(&mut self, file: &ClusterFile) -> Draft {
        let balancer = file.loadbalancer.as_ref();
        let has_balancers = file
            .node
            .iter()
            .any(|it| it.get_ref().role.get_ref() == Role::LoadBalancer.as_str());
        Draft {
            kubernetes: self.value("kubernetes", &file.kubernetes, str::parse),
            node_cidr: self.value("node_cidr", &file.node_cidr, str::parse),
            pod_cidr: self.value_or("pod_cidr", file.pod_cidr.as_ref(), "10.244.0.0/16"),
            service_cidr: self.value_or("service_cidr", file.service_cidr.as_ref(), "10.96.0.0/12"),
            node_domain: self.maybe("node_domain", file.node_domain.as_ref(), str::parse),
            endpoint: self.maybe("endpoint", file.endpoint.as_ref(), str::parse),
            endpoint_given: file.endpoint.is_some(),
            gateway: self.maybe("gateway", file.network.gateway.as_ref(), net::ipv4),
            routes: self.routes(&file.network.routes),
            cni: self
                .cni(file.cni.as_ref(), file.calico.as_ref())
                .map(|value| At {
                    value,
                    span: file.cni.as_ref().map(Spanned::span).unwrap_or_default(),
                }),
            balancer: self.balancer(balancer.map(Spanned::get_ref), has_balancers),
            metallb: file.metallb.as_ref().and_then(|it| {
                let span = it.span();
                self.metallb(it).map(|value| At { value, span })
            }),
            manifests: self.manifests(&file.manifest),
            tables: [
                (
                    "storage",
                    Role::Storage,
                    file.storage.as_ref().map(Spanned::span),
                ),
                ("ca", Role::Ca, file.ca.as_ref().map(Spanned::span)),
            ]
            .into_iter()
            .filter_map(|(name, role, span)| Some((name, role, span?)))
            .collect(),
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
            address: self.maybe("address", table.address.as_ref(), net::ipv4),
            address_given: table.address.is_some(),
            mac: self.maybe("mac", table.mac.as_ref(), str::parse),
            serial: self.maybe("serial", table.serial.as_ref(), str::parse),
            kubernetes: self.maybe("kubernetes", table.kubernetes.as_ref(), str::parse),
            labels: self.labels(table.labels.as_ref()),
            taints: table.taints.as_ref().map(|it| At {
                value: self.list("taints", it.get_ref(), str::parse),
                span: it.span(),
            }),
            routes: self.routes(&table.routes),
        }
    }

    fn labels(
        &mut self,
        table: Option<&Spanned<BTreeMap<String, Spanned<String>>>>,
    ) -> At<Vec<Label>> {
        let Some(table) = table else {
            return At {
                value: Vec::new(),
                span: 0..0,
            };
        };
        let read = |(key, value): (&String, &Spanned<String>)| {
            self.value("labels", value, |text| Label::new(key, text))
                .map(|it| it.value)
        };
        At {
            value: table.get_ref().iter().filter_map(read).collect(),
            span: table.span(),
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
            serial: self.serial.map(|it| it.value),
            kubernetes: self.kubernetes.map(|it| it.value),
            labels: self.labels.value,
            taints: self.taints.map(|it| it.value),
            routes: self.routes.iter().map(DraftRoute::finish).collect(),
        })
    }
}

impl DraftBalancer {
    fn finish(self) -> LoadBalancer {
        LoadBalancer {
            virtual_address: self
                .virtual_address
                .zip(self.keeper)
                .map(|(address, keeper)| VirtualAddress {
                    address: address.value,
                    keeper,
                }),
            metrics_port: self.metrics_port,
        }
    }
}

/// Where the API is when nothing is said: the virtual address, else the first load balancer, else the first control plane, on the
/// API server's port.
fn default_endpoint(draft: &Draft) -> Option<HostPort> {
    let first = |role: Role| {
        draft
            .nodes
            .iter()
            .find(|it| it.role == Some(role))
            .map(|it| it.address.as_ref().map(|it| it.value))
    };
    let address = match &draft.balancer.virtual_address {
        Some(it) => it.value,
        None => first(Role::LoadBalancer).or_else(|| first(Role::ControlPlane))??,
    };
    Some(HostPort {
        host: Host::Address(address),
        port: API_PORT,
    })
}

fn role(text: &str) -> Result<Role, Fault> {
    kubeadm::word("role", text, &Role::ALL, Role::as_str)
}

#[cfg(test)]
mod tests;
