//! The kubeadm file of each kind of node, as text.

use expect_test::{expect, expect_file};

use super::*;
use crate::{RootSeed, UnixTime};

const CLUSTER: &str = r#"
name = "home"
kubernetes = "1.36"
node_cidr = "10.4.0.0/20"
pod_cidr = "192.168.0.0/16"
service_cidr = "172.16.0.0/20"
dns_domain = "k8s.internal"
node_domain = "example.org"
endpoint = "api.example.org:6443"
token_ttl = "720h"
node = [
  { name = "w1", role = "worker", profile = "w", address = "10.4.0.20" },
  { name = "cp1", role = "controlplane", profile = "c", address = "10.4.0.11" },
  { name = "cp2", role = "controlplane", profile = "c", address = "10.4.0.12" },
  { name = "cp3", role = "controlplane", profile = "c" },
]
"#;

fn rendered(node: &str) -> String {
    let cluster = crate::parse(CLUSTER, "cluster.toml").unwrap();
    let secrets = secrets(&cluster);
    let release = "v1.36.2".parse().unwrap();
    let text = render(&cluster, &secrets, &node.parse().unwrap(), release).unwrap();
    text.expose().to_owned()
}

fn secrets(cluster: &Cluster) -> Secrets {
    let seed = RootSeed::new([7; 32]);
    Secrets::new(cluster.name.clone(), seed, UnixTime(1_795_000_000))
}

#[test]
fn the_first_control_plane_of_the_file_founds_the_cluster() {
    expect![[r#"
        apiVersion: kubeadm.k8s.io/v1beta4
        kind: InitConfiguration
        bootstrapTokens:
        - token: acjunz.zypxi7dwmkzbusgm
          description: machines joined by hand
          ttl: 720h
          usages:
          - signing
          - authentication
          groups:
          - system:bootstrappers:kubeadm:default-node-token
        - token: cgdghm.h0wzyuinut900ra5
          description: node w1
          ttl: 720h
          usages:
          - signing
          - authentication
          groups:
          - system:bootstrappers:kubeadm:default-node-token
        - token: n935m5.fl0b5jycgfg30o57
          description: node cp2
          ttl: 720h
          usages:
          - signing
          - authentication
          groups:
          - system:bootstrappers:kubeadm:default-node-token
        - token: 6rki4t.0by62adw78gnnzbj
          description: node cp3
          ttl: 720h
          usages:
          - signing
          - authentication
          groups:
          - system:bootstrappers:kubeadm:default-node-token
        localAPIEndpoint:
          advertiseAddress: "@NODE_IP@"
          bindPort: 6443
        nodeRegistration:
          name: cp1
          criSocket: unix:///run/containerd/containerd.sock
          imagePullPolicy: IfNotPresent
          kubeletExtraArgs:
          - name: node-ip
            value: "@NODE_IP@"
        timeouts:
          controlPlaneComponentHealthCheck: 15m0s
          kubeletHealthCheck: 15m0s
          kubernetesAPICall: 15m0s
          etcdAPICall: 15m0s
          tlsBootstrap: 15m0s
          discovery: 15m0s
        ---
        apiVersion: kubeadm.k8s.io/v1beta4
        kind: ClusterConfiguration
        clusterName: home
        kubernetesVersion: v1.36.2
        controlPlaneEndpoint: api.example.org:6443
        encryptionAlgorithm: ECDSA-P256
        networking:
          dnsDomain: k8s.internal
          podSubnet: 192.168.0.0/16
          serviceSubnet: 172.16.0.0/20
        apiServer:
          certSANs:
          - api.example.org
          - cp1
          - cp1.example.org
          - "10.4.0.11"
          - cp2
          - cp2.example.org
          - "10.4.0.12"
          - cp3
          - cp3.example.org
          - localhost
          - "127.0.0.1"
        ---
        apiVersion: kubelet.config.k8s.io/v1beta1
        kind: KubeletConfiguration
        cgroupDriver: systemd
        resolvConf: /run/systemd/resolve/resolv.conf
        ---
        apiVersion: kubeproxy.config.k8s.io/v1alpha1
        kind: KubeProxyConfiguration
        clusterCIDR: 192.168.0.0/16
        mode: iptables
    "#]]
    .assert_eq(&rendered("cp1"));
}

#[test]
fn another_control_plane_joins_as_one() {
    expect![[r#"
        apiVersion: kubeadm.k8s.io/v1beta4
        kind: JoinConfiguration
        discovery:
          bootstrapToken:
            token: 6rki4t.0by62adw78gnnzbj
            apiServerEndpoint: api.example.org:6443
            caCertHashes:
            - sha256:e1626daafd591acdfb9bf0a2627a7a4d1d4dc5bfce01c7d19fb67dcbaec62bb3
        nodeRegistration:
          name: cp3
          criSocket: unix:///run/containerd/containerd.sock
          imagePullPolicy: IfNotPresent
          kubeletExtraArgs:
          - name: node-ip
            value: "@NODE_IP@"
        controlPlane:
          localAPIEndpoint:
            advertiseAddress: "@NODE_IP@"
            bindPort: 6443
        timeouts:
          controlPlaneComponentHealthCheck: 15m0s
          kubeletHealthCheck: 15m0s
          kubernetesAPICall: 15m0s
          etcdAPICall: 15m0s
          tlsBootstrap: 15m0s
          discovery: 15m0s
    "#]]
    .assert_eq(&rendered("cp3"));
}

#[test]
fn a_worker_joins_with_its_own_token() {
    let join = rendered("w1");
    assert!(!join.contains("controlPlane:"), "{join}");
    let cluster = crate::parse(CLUSTER, "cluster.toml").unwrap();
    let secrets = secrets(&cluster);
    let of = |name: &str| secrets.node_token(&name.parse().unwrap()).secret();
    assert!(join.contains(of("w1").expose()));
    for other in [of("cp2"), of("cp3"), secrets.cluster_token().secret()] {
        assert!(!join.contains(other.expose()));
        assert!(rendered("cp1").contains(other.expose()));
    }
}

#[test]
fn a_release_the_cluster_does_not_ask_for_is_refused() {
    let cluster = crate::parse(CLUSTER, "cluster.toml").unwrap();
    let release = "v1.35.2".parse().unwrap();
    let err = render(
        &cluster,
        &secrets(&cluster),
        &"w1".parse().unwrap(),
        release,
    )
    .unwrap_err();
    expect!["kubernetes v1.35.2 is locked, but cluster `home` asks for 1.36; update the lock or the key `kubernetes`"].assert_eq(&err.to_string());
}

#[test]
fn an_unknown_node_is_refused_by_name() {
    let cluster = crate::parse(CLUSTER, "cluster.toml").unwrap();
    let release = "v1.36.2".parse().unwrap();
    let err = render(
        &cluster,
        &secrets(&cluster),
        &"w9".parse().unwrap(),
        release,
    )
    .unwrap_err();
    expect!["no node `w9` in cluster `home`; its nodes are w1, cp1, cp2, cp3"]
        .assert_eq(&err.to_string());
}

/// Everything a cluster file can tell kubeadm, at once.
const KNOBS: &str = r#"
name = "knobs"
kubernetes = "1.36"
node_cidr = "10.0.0.0/24"
service_cidr = "10.32.0.0/24"
endpoint = "api.example.org:8443"
node = [
  { name = "lb1", role = "loadbalancer", profile = "l", address = "10.0.0.5" },
  { name = "lb2", role = "loadbalancer", profile = "l", address = "10.0.0.6" },
  { name = "etcd1", role = "etcd", profile = "e", address = "10.0.0.11" },
  { name = "etcd2", role = "etcd", profile = "e", address = "10.0.0.12" },
  { name = "etcd3", role = "etcd", profile = "e", address = "10.0.0.13" },
  { name = "cp1", role = "controlplane", profile = "c", address = "10.0.0.21", taints = [] },
  { name = "cp2", role = "controlplane", profile = "c", address = "10.0.0.22", kubernetes = "1.35" },
  { name = "gpu", role = "worker", profile = "w", kubernetes = "1.35", labels = { "example.org/gpu" = "yes", zone = "a" }, taints = ["example.org/gpu=yes:NoSchedule", "slow:PreferNoSchedule"] },
  { name = "admin1", role = "admin", profile = "d" },
]

[loadbalancer]
virtual_address = "10.0.0.4"

[kubeadm]
cert_sans = ["api", "203.0.113.9"]
ignore_preflight_errors = ["NumCPU"]
feature_gates = { RootlessControlPlane = false }

[kubeadm.apiserver]
extra_args = { audit-log-path = "/var/log/audit.log", api-audiences = ["a", "b"], v = "2" }
volume = [{ name = "audit", host_path = "/etc/audit.yaml", read_only = true, path_type = "File" }]

[kubeadm.scheduler]
extra_args = { bind-address = "0.0.0.0" }

[kubeadm.kubelet]
maxPods = 50
resolvConf = "/etc/resolv.conf"
evictionHard = { "memory.available" = "100Mi" }
tlsCipherSuites = ["TLS_AES_128_GCM_SHA256"]
seccompDefault = true

[kubeadm.kube_proxy]
mode = "nftables"

[[kubeadm.patch]]
target = "kube-apiserver"
content = "spec: {}"

[[kubeadm.patch]]
target = "kubeletconfiguration"
kind = "json"
content = "[]"
"#;

fn knobs(node: &str, release: &str) -> String {
    let cluster = crate::parse(KNOBS, "cluster.toml").unwrap();
    let node = node.parse().unwrap();
    let text = render(
        &cluster,
        &secrets(&cluster),
        &node,
        release.parse().unwrap(),
    );
    text.unwrap().expose().to_owned()
}

#[test]
fn every_knob_of_the_cluster_file_reaches_kubeadm() {
    expect_file!["golden/knobs-init.yaml"].assert_eq(&knobs("cp1", "v1.36.2"));
}

#[test]
fn a_worker_tells_its_labels_and_taints() {
    expect_file!["golden/knobs-worker.yaml"].assert_eq(&knobs("gpu", "v1.35.7"));
}

#[test]
fn etcd_on_the_control_planes_is_told_its_arguments() {
    let text = format!("{CLUSTER}\n[etcd]\nextra_args = {{ heartbeat-interval = \"500\" }}\n");
    let cluster = crate::parse(&text, "cluster.toml").unwrap();
    let release = "v1.36.2".parse().unwrap();
    let init = render(
        &cluster,
        &secrets(&cluster),
        &"cp1".parse().unwrap(),
        release,
    )
    .unwrap();
    let want =
        "etcd:\n  local:\n    extraArgs:\n    - name: heartbeat-interval\n      value: \"500\"\n";
    assert!(init.expose().contains(want), "{}", init.expose());
}

#[test]
fn patches_are_files_that_kubeadm_sorts_as_they_were_written() {
    let cluster = crate::parse(KNOBS, "cluster.toml").unwrap();
    let names: Vec<String> = patches(&cluster).into_iter().map(|it| it.0).collect();
    assert_eq!(
        names,
        [
            "kube-apiserver000+strategic.yaml",
            "kubeletconfiguration001+json.yaml"
        ]
    );
}

#[test]
fn a_node_without_a_kubelet_has_no_kubeadm_file() {
    let cluster = crate::parse(KNOBS, "cluster.toml").unwrap();
    let release = "v1.36.2".parse().unwrap();
    let err = render(
        &cluster,
        &secrets(&cluster),
        &"lb1".parse().unwrap(),
        release,
    )
    .unwrap_err();
    expect!["node `lb1` is a loadbalancer: no kubelet, so no kubeadm file"]
        .assert_eq(&err.to_string());
}

#[test]
fn a_node_that_is_not_yet_upgraded_wants_its_own_release() {
    let cluster = crate::parse(KNOBS, "cluster.toml").unwrap();
    let release = "v1.36.2".parse().unwrap();
    let err = render(
        &cluster,
        &secrets(&cluster),
        &"gpu".parse().unwrap(),
        release,
    )
    .unwrap_err();
    assert!(err.to_string().contains("asks for 1.35"), "{err}");
}
