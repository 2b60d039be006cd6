//! Clusters of more than control planes and workers: etcd, load balancers, step-ca, NFS, admin; and versions during an upgrade.

use super::*;
use crate::{Keeper, Role};

/// Ten hosts; tests change lines of it.
const TEN: &str = r#"name = "ten"
kubernetes = "1.36"
node_cidr = "10.0.0.0/24"
service_cidr = "10.32.0.0/24"

node = [
  { name = "lb1", role = "loadbalancer", profile = "l", address = "10.0.0.5" },
  { name = "ca1", role = "ca", profile = "a", address = "10.0.0.6" },
  { name = "etcd1", role = "etcd", profile = "e", address = "10.0.0.11" },
  { name = "etcd2", role = "etcd", profile = "e", address = "10.0.0.12" },
  { name = "etcd3", role = "etcd", profile = "e", address = "10.0.0.13" },
  { name = "cp1", role = "controlplane", profile = "c", address = "10.0.0.21" },
  { name = "cp2", role = "controlplane", profile = "c", address = "10.0.0.22" },
  { name = "w1", role = "worker", profile = "w", address = "10.0.0.31" },
  { name = "w2", role = "worker", profile = "w", address = "10.0.0.32" },
  { name = "admin1", role = "admin", profile = "d" },
]
"#;

/// Parses [`TEN`] with each pair replaced, and compares the problems.
fn check(changes: &[(&str, &str)], want: &Expect) {
    let mut text = TEN.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    want.assert_eq(&problems(&text));
}

/// Adds a table before the nodes.
fn with(table: &str) -> String {
    format!("{TEN}{table}")
}

#[test]
fn ten_hosts_are_a_cluster() {
    let cluster = parse(TEN, "cluster.toml").unwrap();
    assert!(cluster.has_external_etcd());
    assert_eq!(cluster.endpoint.to_string(), "10.0.0.5:6443");
    assert_eq!(cluster.of_role(Role::Etcd).count(), 3);
    assert_eq!(cluster.load_balancer.metrics_port, 8405);
    let founder = cluster.node(&"cp1".parse().unwrap()).unwrap();
    assert!(cluster.founds(founder));
}

#[test]
fn etcd_has_an_odd_number_of_members_wherever_they_are() {
    check(
        &[(
            "  { name = \"etcd3\", role = \"etcd\", profile = \"e\", address = \"10.0.0.13\" },\n",
            "",
        )],
        &expect![
            "cluster.toml:10:3: 2 nodes of role etcd make an etcd of 2 members, which tolerates no more failures than 1; use 1 or 3"
        ],
    );
    // Without nodes for it, the control planes are the members.
    check(
        &[("\"etcd\"", "\"worker\"")],
        &expect![
            "cluster.toml:13:3: 2 control planes make an etcd of 2 members, which tolerates no more failures than 1; use 1 or 3"
        ],
    );
}

#[test]
fn who_is_looked_for_has_an_address() {
    check(
        &[
            (", address = \"10.0.0.5\"", ""),
            (", address = \"10.0.0.6\"", ""),
            (", address = \"10.0.0.12\"", ""),
            (", address = \"10.0.0.22\"", ""),
            (", address = \"10.0.0.31\"", ""),
        ],
        &expect![[r#"
            cluster.toml:7:3: a node of role loadbalancer has no `address`; give it one inside `node_cidr`: other nodes are told it
            cluster.toml:8:3: a node of role ca has no `address`; give it one inside `node_cidr`: other nodes are told it
            cluster.toml:10:3: a node of role etcd has no `address`; give it one inside `node_cidr`: other nodes are told it
            cluster.toml:13:3: a control plane behind load balancers has no `address`; give it one inside `node_cidr`: other nodes are told it"#]],
    );
}

#[test]
fn a_virtual_address_has_a_keeper() {
    let keeper = |text: &str| {
        let cluster = parse(text, "cluster.toml").unwrap();
        let address = cluster.load_balancer.virtual_address.unwrap();
        (cluster.endpoint.to_string(), address.keeper)
    };
    let by_keepalived = with("[loadbalancer]\nvirtual_address = \"10.0.0.4\"\n");
    let want = (
        "10.0.0.4:6443".to_owned(),
        Keeper::Keepalived { router_id: 51 },
    );
    assert_eq!(keeper(&by_keepalived), want);
    let by_kube_vip = format!(
        "{}kube_vip_image = \"example.org/kube-vip:v1\"\n",
        by_keepalived.replace("\"loadbalancer\"", "\"worker\"")
    );
    let image = "example.org/kube-vip:v1".to_owned();
    assert_eq!(keeper(&by_kube_vip).1, Keeper::KubeVip { image });

    for (table, want) in [
        (
            "virtual_address = \"10.0.0.5\"",
            expect![
                "cluster.toml:19:19: `virtual_address` 10.0.0.5 is the address of a node; choose one that no machine has: it moves between them"
            ],
        ),
        (
            "virtual_address = \"10.0.1.5\"",
            expect![
                "cluster.toml:19:19: `virtual_address` 10.0.1.5 is outside `node_cidr` 10.0.0.0/24; choose one inside 10.0.0.0/24, neither its first nor its last"
            ],
        ),
        (
            "virtual_address = \"10.0.0.4\"\nkeeper = \"kube-vip\"",
            expect![[
                r#"cluster.toml:19:19: `virtual_address` 10.0.0.4 is kept by kube-vip, but no `kube_vip_image` is named; write kube_vip_image = "ghcr.io/kube-vip/kube-vip:VERSION", or add nodes with role = "loadbalancer" for keepalived"#
            ]],
        ),
        (
            "virtual_address = \"10.0.0.4\"\nkeeper = \"kube-vip\"\nkube_vip_image = \"a/b:1\"",
            expect![[
                r#"cluster.toml:19:19: `virtual_address` 10.0.0.4 is kept by kube-vip on the control planes, past the load balancers; write keeper = "keepalived", or remove the nodes of role loadbalancer"#
            ]],
        ),
        (
            "virtual_address = \"10.0.0.4\"\nkeeper = \"vrrpd\"",
            expect![
                "cluster.toml:20:10: `keeper`: unknown keeper `vrrpd`; known here: `keepalived`, `kube-vip`"
            ],
        ),
        (
            "virtual_address = \"10.0.0.4\"\nrouter_id = 0",
            expect!["cluster.toml:20:13: `router_id`: 0 is no group of VRRP; use 1 to 255"],
        ),
        (
            "metrics_port = 0",
            expect!["cluster.toml:19:16: `metrics_port`: 0 is no port; use 8405"],
        ),
    ] {
        want.assert_eq(&problems(&with(&format!("[loadbalancer]\n{table}\n"))));
    }
    let nobody = with("[loadbalancer]\nvirtual_address = \"10.0.0.4\"\nkeeper = \"keepalived\"\n")
        .replace("\"loadbalancer\"", "\"worker\"");
    expect![[r#"cluster.toml:19:19: `virtual_address` 10.0.0.4 is kept by keepalived, but there is no load balancer; add a [[node]] with role = "loadbalancer", or write keeper = "kube-vip""#]].assert_eq(&problems(&nobody));
    let latest = by_kube_vip.replace(":v1", ":latest");
    expect!["cluster.toml:20:18: `kube_vip_image`: `example.org/kube-vip:latest` is not an image with a version; write it with its tag or digest, such as registry.example.org/name:v1.2.3"].assert_eq(&problems(&latest));
}

#[test]
fn tables_of_roles_need_nodes_of_them() {
    let text =
        with("[storage]\nexports = [\"/srv/data\"]\n[ca]\ndns_names = [\"ca.example.org\"]\n");
    // A load balancer may serve folders besides.
    expect!["accepted"].assert_eq(&problems(&text));
    let nobody = text.replace("\"loadbalancer\"", "\"worker\"");
    expect![[r#"cluster.toml:18:1: [storage] is set, but no node has the role storage; add a [[node]] with role = "storage", or remove it"#]].assert_eq(&problems(&nobody));
    check(
        &[("\"admin\"", "\"ca\"")],
        &expect![[r#"
        cluster.toml:16:3: a second node of role ca: its certificates would not be known to the first; keep one
        cluster.toml:16:3: a node of role ca has no `address`; give it one inside `node_cidr`: other nodes are told it"#]],
    );
}

#[test]
fn what_a_kubelet_is_told_is_for_nodes_that_have_one() {
    let worker = "profile = \"w\", address = \"10.0.0.31\"";
    let of_worker =
        format!("{worker}, labels = {{ gpu = \"yes\" }}, taints = [\"gpu:NoSchedule\"]");
    let text = TEN.replace(worker, &of_worker);
    let cluster = parse(&text, "cluster.toml").unwrap();
    let node = cluster.node(&"w1".parse().unwrap()).unwrap();
    assert_eq!(node.labels[0].to_string(), "gpu=yes");
    assert_eq!(node.taints.as_ref().map(Vec::len), Some(1));
    check(
        &[(
            "profile = \"d\"",
            "profile = \"d\", labels = { gpu = \"yes\" }, taints = [], kubernetes = \"1.35\"",
        )],
        &expect![[r#"
            cluster.toml:16:62: `labels` on a node of role admin, which runs no kubelet; remove it
            cluster.toml:16:88: `taints` on a node of role admin, which runs no kubelet; remove it
            cluster.toml:16:105: `kubernetes` on a node of role admin, which runs no kubelet; remove it"#]],
    );
    check(
        &[(
            worker,
            "profile = \"w\", labels = { \"node-role.kubernetes.io/gpu\" = \"\", a = \"b c\" }, taints = [\"gpu\"]",
        )],
        &expect![[r#"
            cluster.toml:14:93: `labels`: a kubelet may not give its node the label `node-role.kubernetes.io/gpu`; use a name space of your own, or `kubectl label node` when the node has joined; of Kubernetes' own it may set kubernetes.io/hostname, kubernetes.io/os, kubernetes.io/arch, topology.kubernetes.io/region, topology.kubernetes.io/zone, node.kubernetes.io/instance-type, and those of kubelet.kubernetes.io, node.kubernetes.io
            cluster.toml:14:101: `labels`: `b c` is not the value of a label; write nothing or at most 63 letters, digits, `-`, `_`, `.`, a letter or digit at both ends
            cluster.toml:14:120: `taints`: `gpu` is not a taint; write key=value:effect or key:effect; effects are NoSchedule, PreferNoSchedule, NoExecute"#]],
    );
}

#[test]
fn versions_keep_to_the_rules_of_skew() {
    let version = |of: &str, version: &str| {
        let from = format!("{{ name = \"{of}\", ");
        (from.clone(), format!("{from}kubernetes = \"{version}\", "))
    };
    for (changes, want) in [
        (
            vec![
                version("cp1", "1.35"),
                version("w1", "1.35"),
                version("w2", "1.33"),
            ],
            expect!["accepted"],
        ),
        (
            vec![version("cp1", "1.35"), version("w1", "1.33")],
            expect![
                "cluster.toml:2:14: a worker of Kubernetes 1.36 beside an API server of 1.35; upgrade all control planes before the workers"
            ],
        ),
        (
            vec![
                version("cp1", "1.34"),
                version("w1", "1.34"),
                version("w2", "1.34"),
            ],
            expect![
                "cluster.toml:12:32: control planes of Kubernetes 1.34 and 1.36 in one cluster; upgrade one minor at a time: API servers may differ by one"
            ],
        ),
        (
            vec![version("w1", "1.32")],
            expect![
                "cluster.toml:14:31: a worker of Kubernetes 1.32 beside an API server of 1.36; a kubelet may be 3 minors older: use at least 1.33"
            ],
        ),
        (
            vec![version("w1", "1.37")],
            expect![
                "cluster.toml:14:31: a worker of Kubernetes 1.37 beside an API server of 1.36; upgrade all control planes before the workers"
            ],
        ),
        (
            vec![version("w1", "1.33"), version("w2", "1.36.1")],
            expect!["accepted"],
        ),
    ] {
        let text = changes
            .iter()
            .fold(TEN.to_owned(), |text, (from, to)| text.replace(from, to));
        want.assert_eq(&problems(&text));
    }
}

#[test]
fn the_endpoint_is_served_by_somebody_on_that_port() {
    for (endpoint, want) in [
        ("10.0.0.5:8443", expect!["accepted"]),
        ("lb1:8443", expect!["accepted"]),
        ("api.example.org:8443", expect!["accepted"]),
        (
            "10.0.0.21:8443",
            expect![
                "cluster.toml:1:12: `endpoint` 10.0.0.21:8443: the API server listens on port 6443; write 10.0.0.21:6443, or put a load balancer before it"
            ],
        ),
        (
            "cp2:8443",
            expect![
                "cluster.toml:1:12: `endpoint` cp2:8443: the API server listens on port 6443; write cp2:6443, or put a load balancer before it"
            ],
        ),
        (
            "10.0.0.11:6443",
            expect![
                "cluster.toml:1:12: `endpoint` 10.0.0.11:6443 is a node of role etcd, where no API server runs; point it at a control plane, a load balancer or a virtual address"
            ],
        ),
        (
            "w1:6443",
            expect![
                "cluster.toml:1:12: `endpoint` w1:6443 is a node of role worker, where no API server runs; point it at a control plane, a load balancer or a virtual address"
            ],
        ),
        (
            "10.0.0.99:6443",
            expect![
                "cluster.toml:1:12: `endpoint` 10.0.0.99:6443 is no machine's address in this file; point it at a control plane, a load balancer or a virtual address; a load balancer that is not in this file is given by its name"
            ],
        ),
        (
            "10.32.0.1:6443",
            expect![
                "cluster.toml:1:12: `endpoint` 10.32.0.1:6443 is inside `service_cidr` 10.32.0.0/24; give an address that nodes reach before the cluster is up"
            ],
        ),
    ] {
        let text = format!("endpoint = \"{endpoint}\"\n{TEN}");
        want.assert_eq(&problems(&text));
    }
    let domain =
        format!("node_domain = \"example.org\"\nendpoint = \"w1.example.org:6443\"\n{TEN}");
    expect!["cluster.toml:2:12: `endpoint` w1.example.org:6443 is a node of role worker, where no API server runs; point it at a control plane, a load balancer or a virtual address"].assert_eq(&problems(&domain));
}

#[test]
fn several_balancers_without_a_virtual_address_are_warned_of() {
    let text = TEN.replace("role = \"ca\"", "role = \"loadbalancer\"");
    let warnings = parse(&text, "cluster.toml").unwrap().warnings();
    expect![[r#"
        no `ssh_keys` in [admin]: nobody will be able to log in
        2 load balancers and no `virtual_address` in [loadbalancer]: clients know one of them, and if it fails, so does the API"#]].assert_eq(&warnings.join("\n"));
}
