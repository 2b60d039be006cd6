//! The seed of each kind of node, and what must and must not be in it.

#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

use std::fmt::Write as _;

use expect_test::{Expect, expect, expect_file};

use super::*;
use crate::{RootSeed, UnixTime, default_for};

const SSH_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@laptop";

fn text() -> String {
    default_for(&"home".parse().unwrap(), "1.36".parse().unwrap())
        .replace("ssh_keys = []", &format!("ssh_keys = [\"{SSH_KEY}\"]"))
}

fn seed_of(text: &str, node: &str, nics: &Nics) -> Result<Seed, Error> {
    let cluster = crate::parse(text, "cluster.toml").unwrap();
    let seed = RootSeed::new([7; 32]);
    let secrets = Secrets::new(cluster.name.clone(), seed, UnixTime(1_795_000_000));
    render(&Order {
        cluster: &cluster,
        secrets: &secrets,
        node: &node.parse().unwrap(),
        release: "v1.36.2".parse().unwrap(),
        nics,
        manifests: &std::collections::BTreeMap::new(),
    })
}

fn seed(text: &str, node: &str) -> Seed {
    seed_of(text, node, &Nics::virtualbox()).unwrap()
}

#[test]
fn a_workers_user_data_is_this() {
    let text = text().replace(
        "time_servers = []",
        "time_servers = [\"10.0.0.1\", \"ntp.example.org\"]",
    );
    expect_file!["golden/worker-user-data.yaml"]
        .assert_eq(seed(&text, "node01").user_data.expose());
}

#[test]
fn a_control_plane_carries_the_authorities_and_a_worker_none() {
    let paths = |node| -> String {
        let user_data = seed(&text(), node).user_data;
        let lines = user_data.expose().lines();
        lines
            .filter(|it| it.starts_with("- path: ") || it.starts_with("  permissions: "))
            .map(|it| {
                it.trim_start_matches("- path: ")
                    .replace("  permissions:", " ")
            })
            .collect::<Vec<_>>()
            .join("\n")
            .replace("\n  \"", " \"")
    };
    expect![[r#"
        /etc/machine-id "0444"
        /etc/hosts "0644"
        /etc/nodeimg/node.env "0644"
        /etc/nodeimg/kubeadm.yaml "0600"
        /etc/nodeimg/pki/ca.crt "0644"
        /etc/nodeimg/pki/ca.key "0600"
        /etc/nodeimg/pki/front-proxy-ca.crt "0644"
        /etc/nodeimg/pki/front-proxy-ca.key "0600"
        /etc/nodeimg/pki/etcd/ca.crt "0644"
        /etc/nodeimg/pki/etcd/ca.key "0600"
        /etc/nodeimg/pki/sa.key "0600"
        /etc/nodeimg/pki/sa.pub "0644""#]]
    .assert_eq(&paths("controlplane"));
    expect![[r#"
        /etc/machine-id "0444"
        /etc/hosts "0644"
        /etc/nodeimg/node.env "0644"
        /etc/nodeimg/kubeadm.yaml "0600""#]]
    .assert_eq(&paths("node01"));
    let worker = seed(&text(), "node01").user_data;
    assert!(!worker.expose().contains("EC PRIVATE KEY"));
    assert!(!worker.expose().contains("CERTIFICATE"));
}

#[test]
fn meta_data_changes_with_every_other_file() {
    let base = seed(&text(), "node01");
    expect![[r#"
        instance-id: nodeimg-9082b62d40727ab4
        local-hostname: node01
    "#]]
    .assert_eq(&base.meta_data);
    assert_eq!(base, seed(&text(), "node01"));
    let ntp = seed(
        &text().replace("time_servers = []", "time_servers = [\"10.0.0.1\"]"),
        "node01",
    );
    let net = seed_of(&text(), "node01", &Nics::raspberry_pi()).unwrap();
    assert_ne!(base.meta_data, ntp.meta_data);
    assert_ne!(base.meta_data, net.meta_data);
    assert_ne!(base.meta_data, seed(&text(), "node02").meta_data);
}

/// Compares the network configuration of node01.
fn check_network(text: &str, nics: &Nics, want: &Expect) {
    want.assert_eq(&seed_of(text, "node01", nics).unwrap().network_config);
}

#[test]
fn the_network_follows_the_machine_and_the_address() {
    let router = text().replace("# gateway", "gateway").replace(
        "nameservers = []",
        "nameservers = [\"192.168.56.1\", \"9.9.9.9\"]",
    );
    let by_dhcp = text().replace("address = \"192.168.56.11\"\n", "");
    check_network(
        &router,
        &Nics::virtualbox(),
        &expect![[r#"
        version: 2
        renderer: networkd
        ethernets:
          enp0s3:
            optional: true
            dhcp4: true
            dhcp-identifier: mac
            dhcp4-overrides:
              route-metric: 100
          enp0s8:
            optional: true
            dhcp4: false
            addresses:
            - 192.168.56.11/24
    "#]],
    );
    check_network(
        &router,
        &Nics::raspberry_pi(),
        &expect![[r#"
        version: 2
        renderer: networkd
        ethernets:
          eth0:
            optional: true
            dhcp4: false
            addresses:
            - 192.168.56.11/24
            routes:
            - to: 0.0.0.0/0
              via: "192.168.56.1"
            nameservers:
              addresses:
              - "192.168.56.1"
              - "9.9.9.9"
    "#]],
    );
    check_network(
        &by_dhcp,
        &Nics::raspberry_pi(),
        &expect![[r#"
        version: 2
        renderer: networkd
        ethernets:
          eth0:
            optional: true
            dhcp4: true
            dhcp-identifier: mac
            dhcp4-overrides:
              route-metric: 200
    "#]],
    );
}

#[test]
fn an_interface_is_matched_by_address_name_or_driver() {
    let matched = |matches| {
        let id = "lan".to_owned();
        let role = NicRole::Cluster;
        Nics::new(vec![NicConfig { id, matches, role }]).unwrap()
    };
    let mac = NicMatch::Mac("08:00:27:00:00:0b".parse().unwrap());
    let name = NicMatch::Name("en*".to_owned());
    let driver = NicMatch::Driver("e1000".to_owned());
    check_network(
        &text(),
        &matched(mac),
        &expect![[r#"
        version: 2
        renderer: networkd
        ethernets:
          lan:
            match:
              macaddress: 08:00:27:00:00:0b
            optional: true
            dhcp4: false
            addresses:
            - 192.168.56.11/24
    "#]],
    );
    check_network(
        &text(),
        &matched(name),
        &expect![[r#"
        version: 2
        renderer: networkd
        ethernets:
          lan:
            match:
              name: en*
            optional: true
            dhcp4: false
            addresses:
            - 192.168.56.11/24
    "#]],
    );
    check_network(
        &text(),
        &matched(driver),
        &expect![[r#"
        version: 2
        renderer: networkd
        ethernets:
          lan:
            match:
              driver: e1000
            optional: true
            dhcp4: false
            addresses:
            - 192.168.56.11/24
    "#]],
    );
}

#[test]
fn hosts_holds_every_known_node_and_loopback_for_an_unknown_self() {
    let text = text()
        .replace("address = \"192.168.56.11\"\n", "")
        .replace("# node_domain", "node_domain");
    let cluster = crate::parse(&text, "cluster.toml").unwrap();
    let node = cluster.node(&"node01".parse().unwrap()).unwrap();
    expect![[r#"
        127.0.0.1 localhost
        127.0.1.1 node01.example.org node01
        ::1 localhost ip6-localhost ip6-loopback
        ff02::1 ip6-allnodes
        ff02::2 ip6-allrouters
        192.168.56.10 controlplane.example.org controlplane
        192.168.56.12 node02.example.org node02
    "#]]
    .assert_eq(&hosts::render(&cluster, node));
}

#[test]
fn exactly_one_interface_is_the_clusters() {
    let named = NicConfig::named;
    for (nics, want) in [
        (vec![], "0 network interfaces"),
        (vec![named("a", NicRole::Uplink)], "0 network interfaces"),
        (
            vec![named("a", NicRole::Cluster), named("b", NicRole::Cluster)],
            "2 network interfaces",
        ),
        (
            vec![named("a", NicRole::Cluster), named("a", NicRole::Uplink)],
            "repeated identifier",
        ),
        (vec![named("a b", NicRole::Cluster)], "bad or repeated"),
    ] {
        let fault = Nics::new(nics).unwrap_err();
        assert!(fault.what.contains(want), "{fault}");
    }
}

#[test]
fn a_seed_too_large_for_its_disk_is_refused() {
    let mut many = text()
        .replace("192.168.56.0/24", "10.0.0.0/16")
        .replace("192.168.56.", "10.0.0.")
        .replace("10.244.0.0/16", "11.0.0.0/8")
        .replace("10.96.0.0/12", "10.96.0.0/16");
    for i in 0..5000 {
        write!(
            many,
            "[[node]]\nname = \"n{i}\"\nrole = \"worker\"\nprofile = \"w\"\n"
        )
        .unwrap();
    }
    let err = seed_of(&many, "controlplane", &Nics::virtualbox()).unwrap_err();
    assert!(
        matches!(
            err,
            Error::SeedTooLarge {
                limit_bytes: 921_600,
                ..
            }
        ),
        "{err}"
    );
    assert!(seed_of(&many, "node01", &Nics::virtualbox()).is_ok());
}

#[test]
fn a_seed_prints_no_secret() {
    let printed = format!("{:?}", seed(&text(), "controlplane"));
    assert!(
        printed.contains("[secret]") && !printed.contains("PRIVATE"),
        "{printed}"
    );
}

/// Clusters of every role: external etcd behind load balancers, and a virtual address that kube-vip keeps.
const TEN: &str = r#"
name = "ten"
kubernetes = "1.36"
node_cidr = "10.0.0.0/24"
endpoint = "api.example.org:6443"
cni = "calico"
node = [
  { name = "lb1", role = "loadbalancer", profile = "l", address = "10.0.0.5" },
  { name = "ca1", role = "ca", profile = "a", address = "10.0.0.6" },
  { name = "nfs", role = "storage", profile = "s", address = "10.0.0.7" },
  { name = "etcd1", role = "etcd", profile = "e", address = "10.0.0.11" },
  { name = "cp1", role = "controlplane", profile = "c", address = "10.0.0.21" },
  { name = "cp2", role = "controlplane", profile = "c", address = "10.0.0.22" },
  { name = "w1", role = "worker", profile = "w", routes = [{ to = "10.9.0.0/16", via = "10.0.0.9" }] },
  { name = "admin1", role = "admin", profile = "d" },
]
[network]
gateway = "10.0.0.1"
routes = [{ to = "10.8.0.0/16", via = "10.0.0.8" }]
[calico]
as_number = 64501
[metallb]
mode = "bgp"
addresses = ["10.4.11.0-10.4.15.254"]
as_number = 64501
peer_address = "10.0.0.1"
peer_as_number = 64500
[[kubeadm.patch]]
target = "etcd"
content = "spec: {}"
[[manifest]]
name = "metallb"
file = "metallb.yaml"
[[manifest]]
name = "operator"
stage = "cni"
url = "https://example.org/operator.yaml"
sha256 = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
"#;

fn ten(text: &str, node: &str) -> Result<Seed, Error> {
    let cluster = crate::parse(text, "cluster.toml").unwrap();
    let seed = RootSeed::new([7; 32]);
    let secrets = Secrets::new(cluster.name.clone(), seed, UnixTime(1_795_000_000));
    render(&Order {
        cluster: &cluster,
        secrets: &secrets,
        node: &node.parse().unwrap(),
        release: "v1.36.2".parse().unwrap(),
        nics: &Nics::virtualbox(),
        manifests: &[("metallb.yaml".to_owned(), "kind: List\n".to_owned())].into(),
    })
}

/// The paths of the files of a node's user-data, those that every node has left out.
fn paths(text: &str, node: &str) -> String {
    let user_data = ten(text, node).unwrap().user_data;
    let paths: Vec<&str> = user_data
        .expose()
        .lines()
        .filter_map(|it| it.strip_prefix("- path: /etc/nodeimg/"))
        .filter(|it| *it != "node.env")
        .collect();
    paths.join("\n")
}

#[test]
fn each_role_is_given_what_it_needs_and_no_more() {
    for (node, want) in [
        (
            "cp1",
            expect![[r#"
            kubeadm.yaml
            patches/etcd000+strategic.yaml
            pki/ca.crt
            pki/ca.key
            pki/front-proxy-ca.crt
            pki/front-proxy-ca.key
            pki/sa.key
            pki/sa.pub
            pki/etcd/ca.crt
            pki/apiserver-etcd-client.crt
            pki/apiserver-etcd-client.key
            manifests/nodeimg-calico.yaml
            manifests/nodeimg-calico-bgp.yaml
            manifests/metallb.yaml
            manifests/nodeimg-metallb.yaml
            manifests.list"#]],
        ),
        (
            "cp2",
            expect![[r#"
            kubeadm.yaml
            patches/etcd000+strategic.yaml
            pki/ca.crt
            pki/ca.key
            pki/front-proxy-ca.crt
            pki/front-proxy-ca.key
            pki/sa.key
            pki/sa.pub
            pki/etcd/ca.crt
            pki/apiserver-etcd-client.crt
            pki/apiserver-etcd-client.key"#]],
        ),
        (
            "etcd1",
            expect![[r#"
            pki/etcd/ca.crt
            pki/etcd/server.crt
            pki/etcd/server.key
            pki/etcd/peer.crt
            pki/etcd/peer.key
            pki/etcd/healthcheck-client.crt
            pki/etcd/healthcheck-client.key
            service/etcd.yaml"#]],
        ),
        (
            "w1",
            expect![[r#"
            kubeadm.yaml
            patches/etcd000+strategic.yaml"#]],
        ),
        ("admin1", expect!["admin.conf"]),
        ("nfs", expect!["service/exports"]),
    ] {
        want.assert_eq(&paths(TEN, node));
    }
    // The key of etcd's authority is nowhere: whoever has it could read and write the cluster past the API.
    let secrets = Secrets::new(
        "ten".parse().unwrap(),
        RootSeed::new([7; 32]),
        UnixTime(1_795_000_000),
    );
    let key = secrets.private_key(crate::Authority::Etcd);
    let line = key.expose().lines().nth(1).unwrap();
    for node in ["lb1", "ca1", "nfs", "etcd1", "cp1", "cp2", "w1", "admin1"] {
        assert!(
            !ten(TEN, node).unwrap().user_data.expose().contains(line),
            "{node}"
        );
    }
}

#[test]
fn nodes_without_a_kubelet_start_another_unit() {
    for (node, unit) in [
        ("cp1", "join"),
        ("w1", "join"),
        ("etcd1", "role"),
        ("lb1", "role"),
        ("admin1", "role"),
    ] {
        let user_data = ten(TEN, node).unwrap().user_data;
        let want = format!("  - nodeimg-{unit}.service\n");
        assert!(user_data.expose().ends_with(&want), "{node}");
    }
}

#[test]
fn the_founder_applies_manifests_and_settings_in_order() {
    let user_data = ten(TEN, "cp1").unwrap().user_data;
    let (_, list) = user_data
        .expose()
        .split_once("- path: /etc/nodeimg/manifests.list")
        .unwrap();
    let (_, list) = list.split_once("content: |\n").unwrap();
    let (list, _) = list.split_once("\nruncmd:").unwrap();
    let list: Vec<&str> = list.lines().map(str::trim).collect();
    expect![[r"
        operator /usr/lib/nodeimg/manifests/operator-001122334455.yaml
        nodeimg-calico /etc/nodeimg/manifests/nodeimg-calico.yaml
        nodeimg-calico-bgp /etc/nodeimg/manifests/nodeimg-calico-bgp.yaml
        metallb /etc/nodeimg/manifests/metallb.yaml
        nodeimg-metallb /etc/nodeimg/manifests/nodeimg-metallb.yaml"]]
    .assert_eq(&list.join("\n"));
    let err = seed_of(TEN, "cp1", &Nics::virtualbox()).unwrap_err();
    expect!["manifest `metallb`: the text of metallb.yaml is missing"].assert_eq(&err.to_string());
}

#[test]
fn settings_of_networks_are_these() {
    let text = |text: &str| {
        let user_data = ten(text, "cp1").unwrap().user_data;
        let (_, text) = user_data
            .expose()
            .split_once("- path: /etc/nodeimg/manifests/")
            .unwrap();
        let (text, _) = text
            .split_once("- path: /etc/nodeimg/manifests.list")
            .unwrap();
        text.to_owned()
    };
    expect_file!["golden/calico-metallb.yaml"].assert_eq(&text(TEN));
    let flannel = TEN
        .replace("\"calico\"", "\"flannel\"")
        .replace("[calico]\nas_number = 64501\n", "")
        .replace(
            "mode = \"bgp\"\naddresses = [\"10.4.11.0-10.4.15.254\"]\nas_number = 64501\npeer_address = \"10.0.0.1\"\npeer_as_number = 64500\n",
            "addresses = [\"10.0.0.128/26\"]\n",
        );
    expect_file!["golden/flannel-metallb.yaml"].assert_eq(&text(&flannel));
}

#[test]
fn kube_vip_is_a_pod_of_every_control_plane() {
    let text = TEN.replace("\"loadbalancer\"", "\"worker\"")
        + "[loadbalancer]\nvirtual_address = \"10.0.0.4\"\nkube_vip_image = \"ghcr.io/kube-vip/kube-vip:v0.8.9\"\n";
    let pod = |node| {
        let user_data = ten(&text, node).unwrap().user_data;
        let (_, pod) = user_data
            .expose()
            .split_once("- path: /etc/nodeimg/static-pods/kube-vip.yaml")
            .unwrap();
        pod.split("- path:").next().unwrap().to_owned()
    };
    expect_file!["golden/kube-vip.yaml"].assert_eq(&pod("cp1"));
    assert!(pod("cp1").contains("path: /etc/kubernetes/super-admin.conf"));
    assert!(pod("cp2").contains("path: /etc/kubernetes/admin.conf"));
}

#[test]
fn routes_are_those_of_all_nodes_and_the_nodes_own() {
    expect![[r#"
        version: 2
        renderer: networkd
        ethernets:
          enp0s3:
            optional: true
            dhcp4: true
            dhcp-identifier: mac
            dhcp4-overrides:
              route-metric: 100
          enp0s8:
            optional: true
            dhcp4: true
            dhcp-identifier: mac
            dhcp4-overrides:
              route-metric: 200
            routes:
            - to: 10.8.0.0/16
              via: "10.0.0.8"
            - to: 10.9.0.0/16
              via: "10.0.0.9"
    "#]]
    .assert_eq(&ten(TEN, "w1").unwrap().network_config);
}

#[test]
fn the_endpoints_name_leads_to_the_load_balancer() {
    let hosts = ten(TEN, "w1").unwrap().user_data;
    assert!(
        hosts.expose().contains("    10.0.0.5 api.example.org\n"),
        "{}",
        hosts.expose()
    );
}
