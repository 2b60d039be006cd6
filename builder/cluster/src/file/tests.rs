//! Every fault of a cluster file, with its place and its remedy.

#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

mod addons;
mod roles;

use expect_test::{Expect, expect};

use super::*;

/// A whole file; tests change lines of it.
const GOOD: &str = r#"name = "home"
kubernetes = "1.36"
node_cidr = "192.168.56.0/24"
pod_cidr = "10.244.0.0/16"
service_cidr = "10.96.0.0/12"
endpoint = "192.168.56.10:6443"
cni = "none"

[admin]
user = "ops"

[[node]]
name = "cp1"
role = "controlplane"
profile = "controlplane-amd64"
address = "192.168.56.10"
mac = "08:00:27:00:00:0a"

[[node]]
name = "w1"
role = "worker"
profile = "worker-arm64"
address = "192.168.56.11"
mac = "08:00:27:00:00:0b"
"#;

/// Parses [`GOOD`] with `from` replaced by `to`, and compares the problems.
fn check(from: &str, to: &str, want: &Expect) {
    assert!(GOOD.contains(from), "{from}");
    want.assert_eq(&problems(&GOOD.replace(from, to)));
}

fn problems(text: &str) -> String {
    match parse(text, "cluster.toml") {
        Ok(_) => "accepted".to_owned(),
        Err(err) => err.to_string(),
    }
}

#[test]
fn a_good_file_is_read_whole() {
    let cluster = parse(GOOD, "cluster.toml").unwrap();
    assert_eq!(cluster.admin.user.as_str(), "ops");
    assert_eq!(cluster.dns_domain.as_str(), "cluster.local");
    assert_eq!(cluster.token_ttl.seconds, 0);
    let [first, second] = cluster.nodes.as_slice() else {
        panic!("{:?}", cluster.nodes)
    };
    assert!(cluster.founds(first) && !cluster.founds(second));
    assert_eq!(second.mac.unwrap().compact(), "08002700000B");
}

#[test]
fn the_endpoint_defaults_to_the_first_control_plane() {
    let text = GOOD.replace("endpoint = \"192.168.56.10:6443\"\n", "");
    let cluster = parse(&text, "cluster.toml").unwrap();
    assert_eq!(cluster.endpoint.to_string(), "192.168.56.10:6443");
}

#[test]
fn syntax_errors_have_a_place() {
    check(
        "name = \"home\"",
        "name = home",
        &expect![
            "cluster.toml:1:8: string values must be quoted, expected literal string; correct the line"
        ],
    );
    check(
        "kubernetes = \"1.36\"",
        "kubernetes = 1.36",
        &expect![
            "cluster.toml:2:14: invalid type: floating point `1.36`, expected a string; correct the line"
        ],
    );
    check(
        "name = \"home\"\n",
        "",
        &expect![
            "cluster.toml:1:1: missing field `name`; add it; `nodeimg cluster init` writes an example"
        ],
    );
    check(
        "[admin]",
        "[admin",
        &expect!["cluster.toml:9:7: unclosed table, expected `]`; correct the line"],
    );
}

#[test]
fn unknown_keys_are_refused_with_a_suggestion() {
    check(
        "pod_cidr",
        "pod_cdir",
        &expect!["cluster.toml:4:1: unknown key `pod_cdir`; did you mean `pod_cidr`?"],
    );
    check(
        "user = ",
        "usr = ",
        &expect!["cluster.toml:10:1: unknown key `usr`; did you mean `user`?"],
    );
    check(
        "mac = \"08:00:27:00:00:0b\"",
        "colour = \"red\"",
        &expect![
            "cluster.toml:24:1: unknown key `colour`; known here: `name`, `role`, `profile`, `address`, `mac`, `serial`, `kubernetes`, `labels`, `taints`, `routes`"
        ],
    );
}

#[test]
fn unknown_words_are_refused_with_a_suggestion() {
    check(
        "\"worker\"",
        "\"wroker\"",
        &expect!["cluster.toml:21:8: `role`: unknown role `wroker`; did you mean `worker`?"],
    );
    check(
        "cni = \"none\"",
        "cni = \"weave\"",
        &expect![
            "cluster.toml:7:7: `cni`: unknown CNI `weave`; known here: `none`, `calico`, `flannel`, `cilium`"
        ],
    );
}

#[test]
fn malformed_values_are_named_by_their_key() {
    check(
        "\"home\"",
        "\"Home\"",
        &expect![
            "cluster.toml:1:8: `name`: cluster name `Home` is not an RFC 1123 label; use lower-case letters, digits and hyphens, a letter or digit at both ends, at most 63"
        ],
    );
    check(
        "\"1.36\"",
        "\"1.36.x\"",
        &expect![[
            r#"cluster.toml:2:14: `kubernetes`: `1.36.x` is not a Kubernetes version; write a minor such as "1.36" or a release such as "1.36.2", in quotes"#
        ]],
    );
    check(
        "\"1.36\"",
        "\"1.29\"",
        &expect![
            "cluster.toml:2:14: `kubernetes`: Kubernetes 1.29 is too old: its kubeadm does not read v1beta4; use 1.31 or newer"
        ],
    );
    check(
        "\"10.96.0.0/12\"",
        "\"10.96.0.1/12\"",
        &expect![
            "cluster.toml:5:16: `service_cidr`: `10.96.0.1/12` has host bits set; write the network itself: 10.96.0.0/12"
        ],
    );
    check(
        "\"192.168.56.10:6443\"",
        "\"192.168.56.10\"",
        &expect![
            "cluster.toml:6:12: `endpoint`: `192.168.56.10` is not host:port; write host:port such as 192.168.56.10:6443 or api.example.org:6443"
        ],
    );
    check(
        "08:00:27:00:00:0b",
        "01:00:27:00:00:0b",
        &expect![
            "cluster.toml:24:7: `mac`: `01:00:27:00:00:0b` is no address of an interface; the first octet must be even (not a group address) and not all octets zero"
        ],
    );
    check(
        "\"ops\"",
        "\"root\"",
        &expect![
            "cluster.toml:10:8: `user`: the admin user cannot be root; choose another; it may use sudo"
        ],
    );
    check(
        "\"192.168.56.11\"",
        "\"fd00::1\"",
        &expect![
            "cluster.toml:23:11: `address`: `fd00::1` is an IPv6 address, which is not supported; write four numbers such as 192.168.56.10"
        ],
    );
    check(
        "cni = \"none\"",
        "dns_domain = \"Cluster\"",
        &expect![
            "cluster.toml:7:14: `dns_domain`: `Cluster` is not a DNS name; between dots, use lower-case letters, digits and hyphens, a letter or digit at both ends, at most 63"
        ],
    );
    check(
        "cni = \"none\"",
        "node_domain = \"a..b\"",
        &expect![
            "cluster.toml:7:15: `node_domain`: `a..b` is not a DNS name; between dots, use lower-case letters, digits and hyphens, a letter or digit at both ends, at most 63"
        ],
    );
    check(
        "cni = \"none\"",
        "token_ttl = \"1d\"",
        &expect![[
            r#"cluster.toml:7:13: `token_ttl`: `1d` is not a duration; write hours, minutes or seconds such as "720h", or "0s" for a token that never expires"#
        ]],
    );
    check(
        "cni = \"none\"",
        "time_servers = [\"ntp.example.org\", \"10.0.0.300\"]",
        &expect![
            "cluster.toml:7:36: `time_servers`: `10.0.0.300` is not an IPv4 address; write four numbers such as 192.168.56.10"
        ],
    );
    check(
        "worker-arm64",
        "../worker",
        &expect![
            "cluster.toml:22:11: `profile`: profile name `../worker` is not an RFC 1123 label; use lower-case letters, digits and hyphens, a letter or digit at both ends, at most 63"
        ],
    );
}

#[test]
fn ssh_keys_are_checked_and_never_repeated() {
    check(
        "user = \"ops\"",
        "ssh_keys = [\"-----BEGIN OPENSSH PRIVATE KEY----- hunter2\"]",
        &expect![
            "cluster.toml:10:13: `ssh_keys`: SSH key is a private key, which must never be in a cluster file; paste the one line of a .pub file, such as ~/.ssh/id_ed25519.pub"
        ],
    );
}

#[test]
fn networks_must_be_apart() {
    check(
        "10.244.0.0/16",
        "10.100.0.0/16",
        &expect![
            "cluster.toml:5:16: `service_cidr` 10.96.0.0/12 overlaps `pod_cidr` 10.100.0.0/16; choose networks that share no address"
        ],
    );
    check(
        "10.244.0.0/16",
        "192.168.0.0/16",
        &expect![[r#"
        cluster.toml:4:12: `pod_cidr` 192.168.0.0/16 overlaps `node_cidr` 192.168.56.0/24; choose networks that share no address
        cluster.toml:6:12: `endpoint` 192.168.56.10:6443 is inside `pod_cidr` 192.168.0.0/16; give an address that nodes reach before the cluster is up"#]],
    );
    check(
        "pod_cidr = \"10.244.0.0/16\"\nservice_cidr = \"10.96.0.0/12\"",
        "service_cidr = \"10.244.0.0/20\"",
        &expect![
            "cluster.toml:4:16: `service_cidr` 10.244.0.0/20 overlaps `pod_cidr` 10.244.0.0/16; choose networks that share no address"
        ],
    );
}

#[test]
fn networks_must_have_sizes_kubeadm_takes() {
    check(
        "10.244.0.0/16",
        "10.244.0.0/25",
        &expect![
            "cluster.toml:4:12: `pod_cidr` 10.244.0.0/25 cannot be cut into a /24 for each node; use a prefix from /8 to /24"
        ],
    );
    check(
        "10.244.0.0/16",
        "10.244.0.0/24",
        &expect![
            "cluster.toml:4:12: `pod_cidr` 10.244.0.0/24 has a /24 for 1 nodes, but there are 2; use a larger network such as 10.244.0.0/16"
        ],
    );
    check(
        "10.96.0.0/12",
        "10.96.0.0/29",
        &expect![
            "cluster.toml:5:16: `service_cidr` 10.96.0.0/29 is too large or too small for kubeadm; use a prefix from /12 to /28"
        ],
    );
    check(
        "10.96.0.0/12",
        "11.0.0.0/8",
        &expect![
            "cluster.toml:5:16: `service_cidr` 11.0.0.0/8 is too large or too small for kubeadm; use a prefix from /12 to /28"
        ],
    );
}

#[test]
fn addresses_must_be_a_machines_in_the_node_network() {
    check(
        "\"192.168.56.11\"",
        "\"192.168.57.11\"",
        &expect![
            "cluster.toml:23:11: `address` 192.168.57.11 is outside `node_cidr` 192.168.56.0/24; choose one inside 192.168.56.0/24, neither its first nor its last"
        ],
    );
    check(
        "\"192.168.56.11\"",
        "\"192.168.56.0\"",
        &expect![
            "cluster.toml:23:11: `address` 192.168.56.0 is the network address of `node_cidr` 192.168.56.0/24; choose one inside 192.168.56.0/24, neither its first nor its last"
        ],
    );
    check(
        "\"192.168.56.11\"",
        "\"192.168.56.255\"",
        &expect![
            "cluster.toml:23:11: `address` 192.168.56.255 is the broadcast address of `node_cidr` 192.168.56.0/24; choose one inside 192.168.56.0/24, neither its first nor its last"
        ],
    );
    check(
        "[admin]",
        "[network]\ngateway = \"10.0.0.1\"\n[admin]",
        &expect![
            "cluster.toml:10:11: `gateway` 10.0.0.1 is outside `node_cidr` 192.168.56.0/24; choose one inside 192.168.56.0/24, neither its first nor its last"
        ],
    );
    check(
        "[admin]",
        "[network]\ngateway = \"192.168.56.11\"\n[admin]",
        &expect![
            "cluster.toml:10:11: `gateway` 192.168.56.11 is the address of a node; give the router's address"
        ],
    );
    check(
        "[admin]",
        "[network]\nnameservers = [\"dns\"]\n[admin]",
        &expect![
            "cluster.toml:10:16: `nameservers`: `dns` is not an IPv4 address; write four numbers such as 192.168.56.10"
        ],
    );
}

#[test]
fn names_addresses_and_macs_are_each_given_once() {
    check(
        "\"w1\"",
        "\"cp1\"",
        &expect![
            "cluster.toml:20:8: `name` cp1 is given twice, first in line 13; give each its own"
        ],
    );
    check(
        "\"192.168.56.11\"",
        "\"192.168.56.10\"",
        &expect![
            "cluster.toml:23:11: `address` 192.168.56.10 is given twice, first in line 16; give each its own"
        ],
    );
    check(
        "08:00:27:00:00:0b",
        "08-00-27-00-00-0A",
        &expect![
            "cluster.toml:24:7: `mac` 08:00:27:00:00:0a is given twice, first in line 17; give each its own"
        ],
    );
}

#[test]
fn there_is_a_control_plane_and_their_number_is_odd() {
    check(
        "\"controlplane\"",
        "\"worker\"",
        &expect![[r#"
        cluster.toml:6:12: `endpoint` 192.168.56.10:6443 is a node of role worker, where no API server runs; point it at a control plane, a load balancer or a virtual address
        cluster.toml:12:1: the cluster has no control plane; add a [[node]] with role = "controlplane""#]],
    );
    check(
        "\"worker\"",
        "\"controlplane\"",
        &expect![
            "cluster.toml:19:1: 2 control planes make an etcd of 2 members, which tolerates no more failures than 1; use 1 or 3"
        ],
    );
    let empty = &GOOD[..GOOD.find("[[node]]").unwrap()];
    expect![[r#"cluster.toml:1:1: the cluster has no control plane; add a [[node]] with role = "controlplane""#]]
        .assert_eq(&problems(empty));
}

#[test]
fn the_endpoint_is_where_an_api_server_can_be() {
    check(
        "\"192.168.56.10:6443\"",
        "\"192.168.56.11:6443\"",
        &expect![
            "cluster.toml:6:12: `endpoint` 192.168.56.11:6443 is a node of role worker, where no API server runs; point it at a control plane, a load balancer or a virtual address"
        ],
    );
    check(
        "\"192.168.56.10:6443\"",
        "\"10.244.0.1:6443\"",
        &expect![
            "cluster.toml:6:12: `endpoint` 10.244.0.1:6443 is inside `pod_cidr` 10.244.0.0/16; give an address that nodes reach before the cluster is up"
        ],
    );
    let text = GOOD
        .replace("endpoint = \"192.168.56.10:6443\"\n", "")
        .replace("address = \"192.168.56.10\"\n", "");
    expect![[r#"cluster.toml:11:1: no `endpoint`, and the first control plane has no `address` to take it from; give it an `address`, or write endpoint = "host:6443""#]].assert_eq(&problems(&text));
}

#[test]
fn all_problems_are_reported_at_once_in_the_order_of_the_file() {
    let text = GOOD
        .replace("\"home\"", "\"Home\"")
        .replace("cni = \"none\"", "cni = \"calico\"")
        .replace("\"ops\"", "\"root\"")
        .replace("\"192.168.56.11\"", "\"192.168.57.11\"")
        .replace("\"w1\"", "\"cp1\"");
    expect![[r#"
        cluster.toml:1:8: `name`: cluster name `Home` is not an RFC 1123 label; use lower-case letters, digits and hyphens, a letter or digit at both ends, at most 63
        cluster.toml:7:7: `cni` is "calico", but no manifest installs it; add a [[manifest]] with stage = "cni", and `url` and `sha256` or `file`
        cluster.toml:10:8: `user`: the admin user cannot be root; choose another; it may use sudo
        cluster.toml:20:8: `name` cp1 is given twice, first in line 13; give each its own
        cluster.toml:23:11: `address` 192.168.57.11 is outside `node_cidr` 192.168.56.0/24; choose one inside 192.168.56.0/24, neither its first nor its last"#]].assert_eq(&problems(&text));
}

#[test]
fn columns_count_characters() {
    let text = "name = \"äö\" # ä\nkubernetes = \"1.36\"\nnode_cidr = \"10.0.0.0/8\" ; x";
    expect!["cluster.toml:3:26: unexpected key or value, expected newline, `#`; correct the line"]
        .assert_eq(&problems(text));
}

#[test]
fn hostile_files_end_in_an_error() {
    expect!["cluster.toml:1:1: the file is larger than 1 MiB; give the name of a cluster file"]
        .assert_eq(&problems(&" ".repeat(LIMIT_BYTES + 1)));
    let nodes = "[[node]]\nname = \"X\"\nrole = \"x\"\nprofile = \"X\"\n".repeat(10_000);
    let text = format!("{}{nodes}", &GOOD[..GOOD.find("[[node]]").unwrap()]);
    let Err(Error::Invalid(problems)) = parse(&text, "cluster.toml") else {
        panic!("accepted")
    };
    assert_eq!(problems.0.len(), LIMIT_PROBLEMS);
    for end in 0..GOOD.len() {
        // What is cut short is refused or is a smaller cluster, and never a panic.
        let _outcome = parse(&GOOD[..end], "cluster.toml");
    }
}

#[test]
fn what_is_allowed_but_unwise_is_warned_of() {
    let three = GOOD
        .replace("\"worker\"", "\"controlplane\"")
        .replace("10.244.0.0", "10.0.0.0")
        + "[[node]]\nname = \"cp3\"\nrole = \"controlplane\"\nprofile = \"p\"\n";
    let warnings = parse(&three, "cluster.toml").unwrap().warnings();
    expect![[r#"
        no `ssh_keys` in [admin]: nobody will be able to log in
        `pod_cidr` 10.0.0.0/16 overlaps 10.0.2.0/24, which VirtualBox's NAT gives to every machine: such a cluster will not work in VirtualBox
        `endpoint` 192.168.56.10:6443 is one control plane of 3: if it fails, so does the API; point it at a load balancer or a virtual address"#]].assert_eq(&warnings.join("\n"));
}
