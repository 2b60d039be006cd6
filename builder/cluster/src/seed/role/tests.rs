//! What each kind of machine is told: goldens, which the programs' own checks read too (`tests/join`).

use expect_test::expect_file;

use super::*;
use crate::seed::Nics;
use crate::{RootSeed, Secrets, UnixTime};

/// Two load balancers with a virtual address, an etcd of three, step-ca, NFS, an admin host.
const CLUSTER: &str = r#"
name = "ten"
kubernetes = "1.36"
node_cidr = "192.168.56.0/24"
node_domain = "example.org"
endpoint = "192.168.56.9:6443"
[loadbalancer]
virtual_address = "192.168.56.9"
router_id = 77
[storage]
exports = ["/srv/nfs", "/srv/backup"]
[etcd.extra_args]
auto-compaction-retention = "8h"
quota-backend-bytes = "8589934592"
[ca]
dns_names = ["pki.example.org"]
[[node]]
name = "lb1"
role = "loadbalancer"
profile = "loadbalancer-amd64"
address = "192.168.56.20"
[[node]]
name = "lb2"
role = "loadbalancer"
profile = "loadbalancer-amd64"
address = "192.168.56.21"
[[node]]
name = "etcd1"
role = "etcd"
profile = "etcd-amd64"
address = "192.168.56.11"
[[node]]
name = "etcd2"
role = "etcd"
profile = "etcd-amd64"
address = "192.168.56.12"
[[node]]
name = "etcd3"
role = "etcd"
profile = "etcd-amd64"
address = "192.168.56.13"
[[node]]
name = "cp1"
role = "controlplane"
profile = "controlplane-amd64"
address = "192.168.56.31"
[[node]]
name = "cp2"
role = "controlplane"
profile = "controlplane-amd64"
address = "192.168.56.32"
[[node]]
name = "pki"
role = "ca"
profile = "ca-amd64"
address = "192.168.56.41"
[[node]]
name = "files"
role = "storage"
profile = "storage-amd64"
address = "192.168.56.42"
[[node]]
name = "desk"
role = "admin"
profile = "admin-amd64"
"#;

fn files_of(text: &str, node: &str) -> Vec<NodeFile> {
    let cluster = crate::parse(text, "cluster.toml").unwrap_or_else(|err| panic!("{err}"));
    let secrets = Secrets::new(
        cluster.name.clone(),
        RootSeed::new([7; 32]),
        UnixTime(1_795_000_000),
    );
    let name = node.parse().unwrap();
    let order = Order {
        cluster: &cluster,
        secrets: &secrets,
        node: &name,
        release: "v1.36.2".parse().unwrap(),
        nics: &Nics::virtualbox(),
        manifests: &std::collections::BTreeMap::new(),
    };
    files(&order, cluster.node(&name).unwrap()).unwrap()
}

fn text_of(node: &str, name: &str) -> String {
    let files = files_of(CLUSTER, node);
    let path = format!("{SERVICE}/{name}");
    let file = files.iter().find(|it| it.path == path).unwrap();
    file.content.expose().to_owned()
}

#[test]
fn a_load_balancer_is_told_this() {
    expect_file!["golden/haproxy.cfg"].assert_eq(&text_of("lb1", "haproxy.cfg"));
    expect_file!["golden/keepalived.conf"].assert_eq(&text_of("lb1", "keepalived.conf"));
    assert_eq!(text_of("lb1", "haproxy.cfg"), text_of("lb2", "haproxy.cfg"));
    let second = text_of("lb2", "keepalived.conf");
    assert!(
        second.contains("priority 190") && second.contains("\t\t192.168.56.20\n"),
        "{second}"
    );
}

#[test]
fn a_member_of_etcd_is_told_this() {
    expect_file!["golden/etcd.yaml"].assert_eq(&text_of("etcd1", "etcd.yaml"));
}

#[test]
fn step_ca_and_the_nfs_server_are_told_this() {
    expect_file!["golden/ca.json"].assert_eq(&text_of("pki", "ca.json"));
    expect_file!["golden/exports"].assert_eq(&text_of("files", "exports"));
}

#[test]
fn each_role_is_given_its_services_files_and_no_others() {
    let names = |node: &str| -> Vec<String> {
        files_of(CLUSTER, node)
            .iter()
            .filter_map(|it| {
                let name = it.path.strip_prefix(SERVICE)?;
                Some(format!("{name} {:04o}", it.mode.bits()))
            })
            .collect()
    };
    assert_eq!(names("lb1"), ["/haproxy.cfg 0644", "/keepalived.conf 0600"]);
    assert_eq!(names("etcd1"), ["/etcd.yaml 0644"]);
    assert_eq!(
        names("pki"),
        [
            "/ca.json 0644",
            "/root.crt 0644",
            "/intermediate.crt 0644",
            "/intermediate.key 0600"
        ]
    );
    assert_eq!(names("files"), ["/exports 0644"]);
    assert_eq!(names("desk"), [""; 0]);
    assert_eq!(names("cp1"), [""; 0]);
}

#[test]
fn a_load_balancer_serves_files_where_nobody_else_does() {
    let text = CLUSTER.replace("role = \"storage\"\nprofile", "role = \"worker\"\nprofile");
    let has_exports = |text: &str, node| {
        let path = format!("{SERVICE}/exports");
        files_of(text, node).iter().any(|it| it.path == path)
    };
    assert!(has_exports(&text, "lb1"));
    assert!(!has_exports(&text, "lb2") && !has_exports(&text, "files"));
    // Nor without being asked to.
    let at = text.find("[storage]").unwrap();
    let end = text.find("[etcd.extra_args]").unwrap();
    let without = format!("{}{}", &text[..at], &text[end..]);
    assert!(!has_exports(&without, "lb1"));
}
