//! The cluster as a drawing: for a terminal, for documents that know Mermaid, and as SVG 1.1.
//!
//! Tiers stand below each other in the order a request takes: clients, load balancers, control planes, their etcd, workers; the
//! other roles at the end. Every node is drawn; nothing of its secrets is.

mod svg;

use crate::{Cluster, Node, Role};

/// Returns the drawing for a terminal.
pub fn text(cluster: &Cluster) -> String {
    let mut res = heading(cluster);
    let width = |column: fn(&Cluster, &Node) -> String| {
        let of = |it: &Node| column(cluster, it).chars().count();
        cluster.nodes.iter().map(of).max().unwrap_or_default()
    };
    let (names, addresses) = (width(name), width(address));
    res.push_str(&format!("\nclients\n  │ {}\n  ▼\n", cluster.endpoint));
    for tier in tiers(cluster) {
        res.push_str(&format!("{}\n", tier.role.as_str()));
        let last = tier.nodes.len() - 1;
        for (i, node) in tier.nodes.iter().enumerate() {
            let branch = if i == last { "└─" } else { "├─" };
            let line = format!(
                "  {branch} {:<names$}  {:<addresses$}  {}{}",
                name(cluster, node),
                address(cluster, node),
                node.profile,
                remark(cluster, node)
            );
            res.push_str(line.trim_end());
            res.push('\n');
        }
        if let Some(port) = tier.to_next {
            res.push_str(&format!("  │ {port}\n  ▼\n"));
        }
    }
    res
}

/// Returns the drawing as a Mermaid flowchart (<https://mermaid.js.org/syntax/flowchart.html>).
pub fn mermaid(cluster: &Cluster) -> String {
    let mut res = String::from("flowchart TB\n  clients((clients))\n");
    let tiers = tiers(cluster);
    for tier in &tiers {
        res.push_str(&format!("  subgraph {0}[{0}]\n", tier.id()));
        for node in &tier.nodes {
            // Names are labels, but `end` is a word of Mermaid's.
            res.push_str(&format!(
                "    n-{}[\"{}<br/>{}\"]\n",
                node.name,
                name(cluster, node),
                address(cluster, node)
            ));
        }
        res.push_str("  end\n");
    }
    for (from, label, to) in arrows(cluster, &tiers) {
        res.push_str(&format!("  {from} -->|{label}| {to}\n"));
    }
    res
}

/// Returns the drawing as SVG.
pub fn svg(cluster: &Cluster) -> String {
    svg::render(cluster)
}

fn heading(cluster: &Cluster) -> String {
    let mut res = format!(
        "cluster {}, Kubernetes {}\n  endpoint  {}\n  nodes     {}\n  pods      {}, network {}\n  services  {}, domain {}\n",
        cluster.name,
        cluster.kubernetes,
        cluster.endpoint,
        cluster.node_cidr,
        cluster.pod_cidr,
        cluster.cni.as_str(),
        cluster.service_cidr,
        cluster.dns_domain
    );
    if let Some(at) = &cluster.load_balancer.virtual_address {
        let keeper = match at.keeper {
            crate::Keeper::Keepalived { .. } => "keepalived",
            crate::Keeper::KubeVip { .. } => "kube-vip",
        };
        res.push_str(&format!("  virtual   {}, kept by {keeper}\n", at.address));
    }
    let manifests: Vec<&str> = cluster
        .manifests
        .iter()
        .map(|it| it.name.as_str())
        .collect();
    if !manifests.is_empty() {
        res.push_str(&format!("  applied   {}\n", manifests.join(", ")));
    }
    res
}

/// The nodes of one role, and the port on which the next tier is asked.
struct Tier<'a> {
    role: Role,
    nodes: Vec<&'a Node>,
    to_next: Option<&'static str>,
}

impl Tier<'_> {
    fn id(&self) -> &'static str {
        self.role.as_str()
    }
}

/// Returns the tiers that have nodes, from the clients down.
fn tiers(cluster: &Cluster) -> Vec<Tier<'_>> {
    const ORDER: [Role; 7] = [
        Role::LoadBalancer,
        Role::ControlPlane,
        Role::Etcd,
        Role::Worker,
        Role::Ca,
        Role::Storage,
        Role::Admin,
    ];
    let nodes = |role| cluster.of_role(role).collect::<Vec<_>>();
    ORDER
        .into_iter()
        .map(|role| Tier {
            role,
            nodes: nodes(role),
            to_next: match role {
                Role::LoadBalancer => Some("6443"),
                Role::ControlPlane if cluster.has_external_etcd() => Some("2379"),
                _ => None,
            },
        })
        .filter(|it| !it.nodes.is_empty())
        .collect()
}

/// Returns who asks whom on which port, by the tiers' names.
fn arrows(cluster: &Cluster, tiers: &[Tier<'_>]) -> Vec<(&'static str, String, &'static str)> {
    let has = |role: Role| tiers.iter().any(|it| it.role == role);
    let door = if has(Role::LoadBalancer) {
        Role::LoadBalancer.as_str()
    } else {
        Role::ControlPlane.as_str()
    };
    let endpoint = cluster.endpoint.port.to_string();
    let mut res = vec![("clients", endpoint.clone(), door)];
    if has(Role::LoadBalancer) {
        res.push((door, "6443".to_owned(), Role::ControlPlane.as_str()));
    }
    if has(Role::Etcd) {
        let etcd = Role::Etcd.as_str();
        res.push((Role::ControlPlane.as_str(), "2379".to_owned(), etcd));
    }
    for role in [Role::Worker, Role::Admin] {
        if has(role) {
            res.push((role.as_str(), endpoint.clone(), door));
        }
    }
    if has(Role::Storage) && has(Role::Worker) {
        let nfs = "2049".to_owned();
        res.push((Role::Worker.as_str(), nfs, Role::Storage.as_str()));
    }
    res
}

fn name(cluster: &Cluster, node: &Node) -> String {
    cluster.fqdn(node)
}

fn address(_: &Cluster, node: &Node) -> String {
    node.address
        .map_or_else(|| "by DHCP".to_owned(), |it| it.to_string())
}

/// What distinguishes a node from others of its tier.
fn remark(cluster: &Cluster, node: &Node) -> String {
    let mut words = Vec::new();
    if cluster.founds(node) {
        words.push("founds the cluster".to_owned());
    }
    if let Some(version) = node.kubernetes {
        words.push(format!("Kubernetes {version}"));
    }
    words.extend(node.labels.iter().map(ToString::to_string));
    if words.is_empty() {
        String::new()
    } else {
        format!("  {}", words.join(", "))
    }
}

#[cfg(test)]
mod tests;
