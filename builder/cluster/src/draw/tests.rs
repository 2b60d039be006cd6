//! A cluster of every role, drawn in each way.

use expect_test::{expect, expect_file};

use super::*;

const CLUSTER: &str = r#"
name = "ten"
kubernetes = "1.36"
node_cidr = "10.0.0.0/24"
node_domain = "example.org"
cni = "flannel"
node = [
  { name = "lb1", role = "loadbalancer", profile = "loadbalancer-amd64", address = "10.0.0.5" },
  { name = "ca1", role = "ca", profile = "ca-amd64", address = "10.0.0.6" },
  { name = "nfs", role = "storage", profile = "storage-arm64", address = "10.0.0.7" },
  { name = "etcd1", role = "etcd", profile = "etcd-amd64", address = "10.0.0.11" },
  { name = "cp1", role = "controlplane", profile = "controlplane-amd64", address = "10.0.0.21" },
  { name = "cp2", role = "controlplane", profile = "controlplane-amd64", address = "10.0.0.22" },
  { name = "w1", role = "worker", profile = "worker-arm64" },
  { name = "w2", role = "worker", profile = "worker-amd64", address = "10.0.0.32", labels = { gpu = "yes" }, kubernetes = "1.35" },
  { name = "end", role = "admin", profile = "admin-amd64" },
]
[loadbalancer]
virtual_address = "10.0.0.4"
[[manifest]]
name = "flannel"
stage = "cni"
file = "flannel.yaml"
"#;

fn cluster() -> Cluster {
    crate::parse(CLUSTER, "cluster.toml").unwrap()
}

#[test]
fn a_terminal_shows_tiers_and_ports() {
    expect![[r"
        cluster ten, Kubernetes 1.36
          endpoint  10.0.0.4:6443
          nodes     10.0.0.0/24
          pods      10.244.0.0/16, network flannel
          services  10.96.0.0/12, domain cluster.local
          virtual   10.0.0.4, kept by keepalived
          applied   flannel

        clients
          │ 10.0.0.4:6443
          ▼
        loadbalancer
          └─ lb1.example.org    10.0.0.5   loadbalancer-amd64
          │ 6443
          ▼
        controlplane
          ├─ cp1.example.org    10.0.0.21  controlplane-amd64  founds the cluster
          └─ cp2.example.org    10.0.0.22  controlplane-amd64
          │ 2379
          ▼
        etcd
          └─ etcd1.example.org  10.0.0.11  etcd-amd64
        worker
          ├─ w1.example.org     by DHCP    worker-arm64
          └─ w2.example.org     10.0.0.32  worker-amd64  Kubernetes 1.35, gpu=yes
        ca
          └─ ca1.example.org    10.0.0.6   ca-amd64
        storage
          └─ nfs.example.org    10.0.0.7   storage-arm64
        admin
          └─ end.example.org    by DHCP    admin-amd64
    "]]
    .assert_eq(&text(&cluster()));
}

#[test]
fn mermaid_is_a_flowchart_of_the_tiers() {
    expect![[r#"
        flowchart TB
          clients((clients))
          subgraph loadbalancer[loadbalancer]
            n-lb1["lb1.example.org<br/>10.0.0.5"]
          end
          subgraph controlplane[controlplane]
            n-cp1["cp1.example.org<br/>10.0.0.21"]
            n-cp2["cp2.example.org<br/>10.0.0.22"]
          end
          subgraph etcd[etcd]
            n-etcd1["etcd1.example.org<br/>10.0.0.11"]
          end
          subgraph worker[worker]
            n-w1["w1.example.org<br/>by DHCP"]
            n-w2["w2.example.org<br/>10.0.0.32"]
          end
          subgraph ca[ca]
            n-ca1["ca1.example.org<br/>10.0.0.6"]
          end
          subgraph storage[storage]
            n-nfs["nfs.example.org<br/>10.0.0.7"]
          end
          subgraph admin[admin]
            n-end["end.example.org<br/>by DHCP"]
          end
          clients -->|6443| loadbalancer
          loadbalancer -->|6443| controlplane
          controlplane -->|2379| etcd
          worker -->|6443| loadbalancer
          admin -->|6443| loadbalancer
          worker -->|2049| storage
    "#]]
    .assert_eq(&mermaid(&cluster()));
}

#[test]
fn svg_draws_every_node_once() {
    let svg = svg(&cluster());
    for node in &cluster().nodes {
        let name = format!(">{}</text>", cluster().fqdn(node));
        assert_eq!(svg.matches(&name).count(), 1, "{name}");
    }
    expect_file!["golden/ten.svg"].assert_eq(&svg);
}

#[test]
fn a_plain_cluster_is_drawn_without_what_it_has_not() {
    let plain = crate::default_for(&"home".parse().unwrap(), "1.36".parse().unwrap());
    let drawn = text(&crate::parse(&plain, "cluster.toml").unwrap());
    for absent in ["etcd", "loadbalancer", "2379", "virtual", "applied"] {
        assert!(!drawn.contains(absent), "{drawn}");
    }
}
