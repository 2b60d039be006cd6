//! Networks of pods, manifests, MetalLB, routes, and kubeadm's knobs.

use super::*;
use crate::{Announce, Bgp, Cni, Encapsulation, ManifestSource, Setting};

/// Parses [`GOOD`] with tables behind it and other lines in its head.
fn parsed(head: &str, tables: &str) -> Result<Cluster, Error> {
    let text = GOOD.replace("cni = \"none\"\n", head);
    parse(&format!("{text}{tables}"), "cluster.toml")
}

fn faults(head: &str, tables: &str) -> String {
    match parsed(head, tables) {
        Ok(_) => "accepted".to_owned(),
        Err(err) => err.to_string(),
    }
}

const OPERATOR: &str = "[[manifest]]\nname = \"operator\"\nstage = \"cni\"\nurl = \"https://example.org/operator.yaml\"\nsha256 = \"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"\n";

#[test]
fn manifests_are_applied_in_the_order_of_stage_and_file() {
    let local = |name: &str| format!("[[manifest]]\nname = \"{name}\"\nfile = \"{name}.yaml\"\n");
    let tables = format!("{}{OPERATOR}{}", local("b"), local("a"));
    let cluster = parsed("cni = \"calico\"\n", &tables).unwrap();
    let names: Vec<&str> = cluster
        .manifests
        .iter()
        .map(|it| it.name.as_str())
        .collect();
    assert_eq!(names, ["operator", "b", "a"]);
    assert!(matches!(
        cluster.manifests[0].source,
        ManifestSource::Remote { .. }
    ));
    assert_eq!(
        cluster.local_manifests().collect::<Vec<_>>(),
        ["b.yaml", "a.yaml"]
    );
}

#[test]
fn a_manifest_is_pinned_or_beside_the_file() {
    for (table, want) in [
        (
            "name = \"a\"\nurl = \"https://example.org/a.yaml\"",
            expect![[
                r#"cluster.toml:24:1: a manifest by `url` without `sha256`; download it, look at it, and add what `sha256sum` prints as sha256 = "…""#
            ]],
        ),
        (
            "name = \"a\"",
            expect![
                "cluster.toml:24:1: a manifest is either `url` and `sha256`, or `file`; keep one of the two"
            ],
        ),
        (
            "name = \"a\"\nfile = \"a\"\nsha256 = \"00\"",
            expect![
                "cluster.toml:24:1: a manifest is either `url` and `sha256`, or `file`; keep one of the two"
            ],
        ),
        (
            "name = \"A\"\nstage = \"first\"\nurl = \"ftp://x\"\nsha256 = \"00\"",
            expect![[r#"
            cluster.toml:25:8: `name`: name `A` is not an RFC 1123 label; use lower-case letters, digits and hyphens, a letter or digit at both ends, at most 63
            cluster.toml:26:9: `stage`: unknown stage `first`; known here: `cni`, `addons`
            cluster.toml:27:7: `url`: not the URL of a file; write it whole, such as https://example.org/manifest.yaml, without user name and password
            cluster.toml:28:10: `sha256`: `00` is not a SHA-256 digest; write the 64 digits that `sha256sum` prints for the file"#]],
        ),
        (
            "name = \"a\"\nfile = \"\"",
            expect![
                "cluster.toml:26:8: `file`: not the path of a file; write it relative to the cluster's file, such as manifests/ingress.yaml"
            ],
        ),
        (
            "name = \"a\"\nfile = \"a\"\n[[manifest]]\nname = \"a\"\nfile = \"b\"",
            expect![
                "cluster.toml:28:8: `name` a is given twice, first in line 25; give each its own"
            ],
        ),
    ] {
        want.assert_eq(&faults("", &format!("[[manifest]]\n{table}\n")));
    }
}

#[test]
fn a_network_of_pods_needs_its_manifest_and_its_settings_each_other() {
    let cni = |tables: &str| {
        parsed("cni = \"calico\"\n", &format!("{tables}{OPERATOR}"))
            .unwrap()
            .cni
    };
    let Cni::Calico(plain) = cni("") else {
        panic!("calico")
    };
    assert_eq!(
        (plain.encapsulation, plain.bgp),
        (Encapsulation::VxlanCrossSubnet, Bgp::Disabled)
    );
    let Cni::Calico(routed) = cni("[calico]\nencapsulation = \"None\"\nas_number = 64501\n") else {
        panic!("calico")
    };
    let Bgp::Enabled(Some(number)) = routed.bgp else {
        panic!("calico")
    };
    assert_eq!(number.to_string(), "64501");

    expect![[r#"cluster.toml:7:7: `cni` is "flannel", but no manifest installs it; add a [[manifest]] with stage = "cni", and `url` and `sha256` or `file`"#]].assert_eq(&faults("cni = \"flannel\"\n", ""));
    for (table, want) in [
        (
            "encapsulation = \"vxlan\"",
            expect![
                "cluster.toml:26:17: `encapsulation`: unknown encapsulation `vxlan`; known here: `VXLAN`, `VXLANCrossSubnet`, `IPIP`, `IPIPCrossSubnet`, `None`"
            ],
        ),
        (
            "encapsulation = \"IPIP\"\nbgp = false",
            expect![[
                r#"cluster.toml:26:17: encapsulation "IPIP" needs BGP, but `bgp` is false; write bgp = true, or use encapsulation "VXLAN""#
            ]],
        ),
        (
            "bgp = false\nas_number = 64501",
            expect![[
                r#"cluster.toml:27:13: `as_number` is set, but `bgp` is false; write bgp = true, or use encapsulation "VXLAN""#
            ]],
        ),
        (
            "as_number = 0",
            expect![
                "cluster.toml:26:13: `as_number`: 0 is no autonomous system; use a private number, 64512 to 65534"
            ],
        ),
    ] {
        want.assert_eq(&faults(
            "cni = \"calico\"\n",
            &format!("[calico]\n{table}\n{OPERATOR}"),
        ));
    }
    expect![[r#"cluster.toml:25:1: [calico] is set, but `cni` is "flannel"; write cni = "calico", or remove the table"#]].assert_eq(&faults("cni = \"flannel\"\n", &format!("[calico]\n{OPERATOR}")));
}

const METALLB: &str = "[[manifest]]\nname = \"metallb\"\nfile = \"metallb.yaml\"\n";

#[test]
fn metallb_gives_out_addresses_that_nobody_has() {
    let table =
        "[metallb]\naddresses = [\"192.168.56.200-192.168.56.250\", \"192.168.56.128/28\"]\n";
    let metallb = parsed("", &format!("{table}{METALLB}"))
        .unwrap()
        .metallb
        .unwrap();
    assert_eq!(metallb.addresses[1].last.to_string(), "192.168.56.143");
    assert_eq!(metallb.announce, Announce::Layer2);
    let table = "[metallb]\naddresses = [\"10.9.0.0/24\"]\nmode = \"bgp\"\nas_number = 64501\npeer_address = \"192.168.56.1\"\npeer_as_number = 64500\n";
    let metallb = parsed("", &format!("{table}{METALLB}"))
        .unwrap()
        .metallb
        .unwrap();
    assert!(matches!(metallb.announce, Announce::Bgp { .. }));

    for (table, want) in [
        (
            "addresses = []",
            expect![[
                r#"cluster.toml:24:1: [metallb] has no `addresses`; write ranges such as "10.4.11.0-10.4.15.254" or networks such as "10.4.11.0/24""#
            ]],
        ),
        (
            "addresses = [\"192.168.56.9-192.168.56.20\"]",
            expect![
                "cluster.toml:24:1: [metallb] gives out 192.168.56.9-192.168.56.20, which holds 192.168.56.10 of a node; choose a range that no machine has an address in"
            ],
        ),
        (
            "addresses = [\"192.168.56.20-192.168.56.9\", \"x\"]",
            expect![[r#"
            cluster.toml:25:14: `addresses`: `192.168.56.20-192.168.56.9` is not a range of addresses; write the first and the last such as 10.4.11.0-10.4.15.254, or a network such as 10.4.11.0/24
            cluster.toml:25:44: `addresses`: `x` is not a range of addresses; write the first and the last such as 10.4.11.0-10.4.15.254, or a network such as 10.4.11.0/24"#]],
        ),
        (
            "addresses = [\"10.9.0.0/24\"]",
            expect![[
                r#"cluster.toml:24:1: [metallb] gives out 10.9.0.0-10.9.0.255 by ARP, but that is not inside `node_cidr` 192.168.56.0/24; choose a range inside it, or announce the addresses with mode = "bgp""#
            ]],
        ),
        (
            "addresses = [\"10.244.0.0/24\"]\nmode = \"bgp\"",
            expect![[
                r#"cluster.toml:24:1: [metallb] with mode "bgp" lacks its peer; write `as_number`, `peer_address` and `peer_as_number`"#
            ]],
        ),
        (
            "addresses = [\"192.168.56.200/30\"]\nas_number = 1",
            expect![[
                r#"cluster.toml:24:1: [metallb] names a BGP peer, but its `mode` is "l2"; write mode = "bgp", or remove `as_number`, `peer_address` and `peer_as_number`"#
            ]],
        ),
        (
            "addresses = [\"10.96.0.0/24\"]\nmode = \"bgp\"\nas_number = 64501\npeer_address = \"192.168.56.1\"\npeer_as_number = 64500",
            expect![
                "cluster.toml:24:1: [metallb] gives out 10.96.0.0-10.96.0.255, which overlaps `service_cidr` 10.96.0.0/12; choose addresses that the network outside of the cluster routes"
            ],
        ),
    ] {
        want.assert_eq(&faults("", &format!("[metallb]\n{table}\n{METALLB}")));
    }
    expect![[r#"cluster.toml:24:1: [metallb] is set, but no manifest installs it; add a [[manifest]] with name = "metallb", and `url` and `sha256` or `file`"#]].assert_eq(&faults("", "[metallb]\naddresses = [\"192.168.56.200/30\"]\n"));
}

#[test]
fn routes_lead_over_a_neighbour_to_where_he_is_not() {
    let route = |to: &str, via: &str| {
        let table = format!("[network]\nroutes = [{{ to = \"{to}\", via = \"{via}\" }}]\n");
        faults("", &table)
    };
    assert_eq!(route("10.8.0.0/16", "192.168.56.1"), "accepted");
    expect!["cluster.toml:25:18: a route to everywhere; write it as `gateway` in [network]"]
        .assert_eq(&route("0.0.0.0/0", "192.168.56.1"));
    expect![[r#"
        cluster.toml:25:18: the route to 192.168.0.0/16 overlaps `node_cidr` 192.168.56.0/24, which is next door; remove it, or choose another network
        cluster.toml:25:42: `via` 192.168.57.1 is outside `node_cidr` 192.168.56.0/24; choose one inside 192.168.56.0/24, neither its first nor its last"#]].assert_eq(&route("192.168.0.0/16", "192.168.57.1"));
    expect![[r#"
        cluster.toml:25:18: `to`: `10.8.0.1/16` has host bits set; write the network itself: 10.8.0.0/16
        cluster.toml:25:39: `via`: `here` is not an IPv4 address; write four numbers such as 192.168.56.10"#]].assert_eq(&route("10.8.0.1/16", "here"));
    let of_node = GOOD.replace(
        "mac = \"08:00:27:00:00:0b\"",
        "routes = [{ to = \"10.8.0.0/16\", via = \"10.9.0.1\" }]",
    );
    expect!["cluster.toml:24:39: `via` 10.9.0.1 is outside `node_cidr` 192.168.56.0/24; choose one inside 192.168.56.0/24, neither its first nor its last"].assert_eq(&problems(&of_node));
}

#[test]
fn kubeadms_knobs_are_read() {
    let tables = r#"
[kubeadm]
cert_sans = ["api.example.org", "10.0.0.9"]
ignore_preflight_errors = ["NumCPU"]
feature_gates = { ControlPlaneKubeletLocalMode = true }
[kubeadm.apiserver]
extra_args = { audit-log-path = "/var/log/audit.log", "tls-cipher-suites" = "A,B", api-audiences = ["a", "b"] }
[[kubeadm.apiserver.volume]]
name = "audit"
host_path = "/var/log/kubernetes"
[[kubeadm.apiserver.volume]]
name = "policy"
host_path = "/etc/kubernetes/policy.yaml"
mount_path = "/policy.yaml"
read_only = true
path_type = "File"
[kubeadm.kubelet]
maxPods = 50
evictionHard = { "memory.available" = "100Mi" }
featureGates = { X = false }
tlsCipherSuites = ["A"]
[kubeadm.kube_proxy]
mode = "nftables"
[[kubeadm.patch]]
target = "kube-apiserver"
content = "spec: {}"
[etcd]
extra_args = { heartbeat-interval = "500" }
"#;
    let kubeadm = parsed("", tables).unwrap().kubeadm;
    let audiences: Vec<_> = kubeadm
        .api_server
        .extra_args
        .0
        .iter()
        .filter(|it| it.0 == "api-audiences")
        .collect();
    assert_eq!(audiences.len(), 2);
    assert_eq!(
        kubeadm.api_server.volumes[0].mount_path.as_str(),
        "/var/log/kubernetes"
    );
    assert_eq!(
        kubeadm.kubelet[2],
        ("maxPods".to_owned(), Setting::Integer(50))
    );
    assert_eq!(kubeadm.patches.len(), 1);
}

#[test]
fn knobs_that_turn_something_else_are_refused() {
    for (tables, want) in [
        (
            "[kubeadm.apiserver]\nextra_args = { \"--v\" = \"2\", v = 2, service-cluster-ip-range = \"10.0.0.0/8\" }",
            expect![[r#"
            cluster.toml:25:24: `--v` is not the name of an argument; write it without its leading dashes, such as audit-log-path
            cluster.toml:25:33: argument `v` is not a text; write it in quotes, or a list of texts for an argument that is given often
            cluster.toml:25:63: `service-cluster-ip-range` follows from the rest of the file; remove it: `service_cidr` decides"#]],
        ),
        (
            "[kubeadm.kubelet]\nclusterDomain = \"x\"\nmemoryThrottlingFactor = 0.9",
            expect![[r#"
            cluster.toml:25:17: `clusterDomain` follows from the rest of the file; remove it: `dns_domain` decides
            cluster.toml:26:26: `kubelet.memoryThrottlingFactor` holds a value that has no place here; use texts, whole numbers, true, false, lists and tables; for others write a patch"#]],
        ),
        (
            "[kubeadm.kubelets]",
            expect!["cluster.toml:24:10: unknown key `kubelets`; did you mean `kubelet`?"],
        ),
        (
            "[[kubeadm.patch]]\ntarget = \"kubelet\"\ncontent = \"\"\nkind = \"jsonpatch\"",
            expect![[r#"
            cluster.toml:25:10: `target`: unknown target `kubelet`; known here: `kube-apiserver`, `kube-controller-manager`, `kube-scheduler`, `etcd`, `kubeletconfiguration`, `corednsdeployment`
            cluster.toml:26:11: `content`: the patch is empty or larger than 64 KiB; write the YAML or JSON of the patch between three quotes
            cluster.toml:27:8: `kind`: unknown kind of patch `jsonpatch`; known here: `strategic`, `merge`, `json`"#]],
        ),
        (
            "[[kubeadm.scheduler.volume]]\nname = \"a b\"\nhost_path = \"x\"\npath_type = \"Dir\"",
            expect![[r#"
            cluster.toml:25:8: `name`: name `a b` is not an RFC 1123 label; use lower-case letters, digits and hyphens, a letter or digit at both ends, at most 63
            cluster.toml:26:13: `host_path`: `x` is not an absolute path; write it from the root without `..` and spaces, such as /srv/nfs
            cluster.toml:27:13: `path_type`: unknown path type `Dir`; known here: `Directory`, `DirectoryOrCreate`, `File`, `FileOrCreate`, `Socket`"#]],
        ),
        (
            "[kubeadm]\nignore_preflight_errors = [\"a b\"]\ncert_sans = [\"-\"]",
            expect![[r#"
            cluster.toml:25:28: `ignore_preflight_errors`: `a b` is not the name of a preflight check; write it as kubeadm prints it, such as NumCPU
            cluster.toml:26:14: `cert_sans`: `-` is not a DNS name; between dots, use lower-case letters, digits and hyphens, a letter or digit at both ends, at most 63"#]],
        ),
        (
            "[etcd]\nextra_args = { data-dir = \"/x\" }",
            expect![
                "cluster.toml:25:27: `data-dir` follows from the rest of the file; remove it: etcd's data is in /var/lib/etcd"
            ],
        ),
    ] {
        want.assert_eq(&faults("", &format!("{tables}\n")));
    }
}
