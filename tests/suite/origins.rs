//! What the five clusters are measured by: the addresses, networks and machines of the clusters they are made after.
//!
//! The values are written out here, from the issue that asks for the clusters, and looked for in what is made of the files.

use crate::clusters::{made, parse, secrets, text};
use crate::plans::repository;
use cluster::{Announce, Cluster, Role, kubeadm};
use core::net::Ipv4Addr;
use nodeimg::profile::{self, Link, Machine};
use std::collections::BTreeMap;

/// A node: its name, its role, the end of its address.
type Host = (&'static str, Role, &'static str);

/// What a cluster must be.
struct Origin {
    name: &'static str,
    nodes: &'static str,
    pods: &'static str,
    services: &'static str,
    dns: &'static str,
    endpoint: &'static str,
    cni: &'static str,
    /// What all addresses begin with.
    begin: &'static str,
    hosts: &'static [Host],
}

use Role::{Admin, Ca, ControlPlane, Etcd, LoadBalancer, Worker};

const ORIGINS: [Origin; 5] = [
    Origin {
        name: "kubeauto",
        nodes: "192.168.56.0/24",
        pods: "10.244.0.0/16",
        services: "10.96.0.0/16",
        dns: "10.96.0.10",
        endpoint: "192.168.56.10:6443",
        cni: "calico",
        begin: "192.168.56.",
        hosts: &[
            ("controlplane", ControlPlane, "10"),
            ("node01", Worker, "11"),
            ("node02", Worker, "12"),
            ("node03", Worker, "13"),
        ],
    },
    Origin {
        name: "cka-simple",
        nodes: "10.0.1.0/24",
        pods: "192.168.0.0/16",
        services: "10.96.0.0/12",
        dns: "10.96.0.10",
        endpoint: "10.0.1.10:6443",
        cni: "calico",
        begin: "10.0.1.",
        hosts: &[
            ("master", ControlPlane, "10"),
            ("worker1", Worker, "11"),
            ("worker2", Worker, "12"),
        ],
    },
    Origin {
        name: "ten-hosts",
        nodes: "192.168.56.0/24",
        pods: "10.244.0.0/16",
        services: "10.32.0.0/24",
        dns: "10.32.0.10",
        endpoint: "192.168.56.20:6443",
        cni: "flannel",
        begin: "192.168.56.",
        hosts: &[
            ("ca", Ca, "10"),
            ("etcd1", Etcd, "11"),
            ("etcd2", Etcd, "12"),
            ("etcd3", Etcd, "13"),
            ("frontend", LoadBalancer, "20"),
            ("controller1", ControlPlane, "21"),
            ("controller2", ControlPlane, "22"),
            ("worker1", Worker, "31"),
            ("worker2", Worker, "32"),
            ("admin", Admin, "40"),
        ],
    },
    Origin {
        name: "kubespray",
        nodes: "192.168.56.0/24",
        pods: "10.233.64.0/18",
        services: "10.233.0.0/18",
        dns: "10.233.0.10",
        endpoint: "192.168.56.9:6443",
        cni: "calico",
        begin: "192.168.56.",
        hosts: &[
            ("node1", ControlPlane, "11"),
            ("node2", ControlPlane, "12"),
            ("node3", ControlPlane, "13"),
            ("node4", Worker, "14"),
            ("node5", Worker, "15"),
        ],
    },
    Origin {
        name: "goldentooth",
        nodes: "10.4.0.0/20",
        pods: "192.168.0.0/16",
        services: "172.16.0.0/20",
        dns: "172.16.0.10",
        endpoint: "10.4.0.10:6443",
        cni: "calico",
        begin: "10.4.0.",
        hosts: &[
            ("allyrion", LoadBalancer, "10"),
            ("bettley", ControlPlane, "11"),
            ("cargyll", ControlPlane, "12"),
            ("dalt", ControlPlane, "13"),
            ("erenford", Worker, "14"),
            ("fenn", Worker, "15"),
            ("gardener", Worker, "16"),
            ("harlton", Worker, "17"),
            ("inchfield", Worker, "18"),
            ("jast", Worker, "19"),
            ("karstark", Worker, "20"),
            ("lipps", Worker, "21"),
            ("manderly", Ca, "22"),
            ("velaryon", Worker, "30"),
        ],
    },
];

/// Returns the kubeadm file of a cluster's founder.
fn founders(cluster: &Cluster) -> String {
    let founder = cluster.control_planes().next().expect("a founder");
    let release = "v1.36.2".parse().expect("a release");
    let file = kubeadm::render(cluster, &secrets(cluster), &founder.name, release);
    file.expect("a kubeadm file").expose().to_owned()
}

/// Returns a file of a node's seed.
fn seed_file(cluster: &Cluster, node: &str, name: &str) -> String {
    let known = cluster.nodes.iter().find(|it| it.name.as_str() == node);
    let node = known.expect("a node");
    let made = made(&repository(), cluster, node, &BTreeMap::new());
    made.expect("a seed").file(name)
}

/// Asserts that each line is in `text`, and says which is not.
fn has(text: &str, lines: &[&str]) {
    for line in lines {
        let found = text.lines().any(|it| it.trim() == *line);
        assert!(found, "no line {line:?} in\n{text}");
    }
}

fn machine(profile: &str) -> Machine {
    let profile = profile::load(&repository(), profile).expect("a shipped profile");
    profile.machine.expect("an appliance")
}

#[test]
fn every_cluster_has_the_networks_and_hosts_of_its_origin() {
    for it in &ORIGINS {
        let cluster = parse(it.name, &text(it.name));
        let networks = [cluster.node_cidr, cluster.pod_cidr, cluster.service_cidr];
        assert_eq!(
            networks.map(|it| it.to_string()),
            [it.nodes, it.pods, it.services],
            "{}",
            it.name
        );
        assert_eq!(cluster.endpoint.to_string(), it.endpoint, "{}", it.name);
        assert_eq!(cluster.cni.as_str(), it.cni, "{}", it.name);
        let found: Vec<(&str, Role, Option<Ipv4Addr>)> = cluster
            .nodes
            .iter()
            .map(|it| (it.name.as_str(), it.role, it.address))
            .collect();
        let wanted: Vec<(&str, Role, Option<Ipv4Addr>)> = it
            .hosts
            .iter()
            .map(|(name, role, end)| (*name, *role, format!("{}{end}", it.begin).parse().ok()))
            .collect();
        assert_eq!(found, wanted, "{}", it.name);
    }
}

#[test]
fn kubeadm_is_told_these_networks_and_derives_the_address_of_dns() {
    for it in &ORIGINS {
        let cluster = parse(it.name, &text(it.name));
        let file = founders(&cluster);
        let pods = format!("podSubnet: {}", it.pods);
        let services = format!("serviceSubnet: {}", it.services);
        let endpoint = format!("controlPlaneEndpoint: {}", it.endpoint);
        // kube-proxy's mode is Kubernetes' own, and kubeauto's.
        has(&file, &[&pods, &services, &endpoint, "mode: iptables"]);
        // kubeadm takes the tenth address of the services for DNS, and tells the kubelets; nobody tells it another.
        let tenth = u32::from(cluster.service_cidr.network()) + 10;
        assert_eq!(Ipv4Addr::from(tenth).to_string(), it.dns, "{}", it.name);
        assert!(!file.contains("clusterDNS"), "{}", it.name);
    }
    let other = "\n[kubeadm.kubelet]\nclusterDNS = [\"10.32.0.53\"]\n";
    let refused = cluster::parse(&(text("ten-hosts") + other), "ten-hosts.toml");
    let refused = refused.expect_err("another address for DNS").to_string();
    let why = "it is the tenth address of `service_cidr`";
    assert!(refused.contains(why), "{refused}");
}

#[test]
fn five_servers_for_etcd_are_right_and_four_are_refused() {
    let server = |number: u32| {
        format!(
            "\n[[node]]\nname = \"etcd{number}\"\nrole = \"etcd\"\nprofile = \"etcd-amd64\"\naddress = \"192.168.56.1{number}\"\n"
        )
    };
    let four = text("ten-hosts") + &server(4);
    let refused = cluster::parse(&four, "ten-hosts.toml").expect_err("an even number");
    let line = four
        .lines()
        .position(|it| it == "name = \"etcd4\"")
        .expect("the fourth");
    assert_eq!(
        refused.to_string(),
        format!(
            "ten-hosts.toml:{line}:1: 4 nodes of role etcd make an etcd of 4 members, which tolerates no more failures than 3; use 3 or 5"
        )
    );
    let five = parse("ten-hosts", &(four + &server(5)));
    assert_eq!(five.of_role(Role::Etcd).count(), 5);
    has(
        &founders(&five),
        &[
            "- https://192.168.56.14:2379",
            "- https://192.168.56.15:2379",
        ],
    );
}

#[test]
fn appliances_have_the_processors_memory_and_cards_of_their_origin() {
    const GIB: u64 = 1 << 30;
    for (profile, cpus, memory) in [
        ("kubeauto-controlplane", 2, 2 * GIB),
        ("kubeauto-worker", 1, GIB + GIB / 2),
    ] {
        let machine = machine(profile);
        assert_eq!(
            (machine.cpus, machine.memory.0),
            (cpus, memory),
            "{profile}"
        );
        let links: Vec<&Link> = machine.nics.iter().map(|it| &it.link).collect();
        let second = Link::HostOnly("vboxnet0".to_owned());
        assert!(
            matches!(links.as_slice(), [Link::Nat(_), it] if **it == second),
            "{profile}: {links:?}"
        );
    }
    let cluster = parse("ten-hosts", &text("ten-hosts"));
    for node in &cluster.nodes {
        let wanted = if node.role.has_kubelet() { 2 } else { 1 };
        let memory = machine(node.profile.as_str()).memory.0;
        assert_eq!(memory, wanted * GIB, "{}", node.name);
    }
}

#[test]
fn goldentooth_is_reached_announced_and_routed_as_its_origin() {
    let cluster = parse("goldentooth", &text("goldentooth"));
    let metallb = cluster.metallb.as_ref().expect("MetalLB");
    let ranges: Vec<(String, String)> = metallb
        .addresses
        .iter()
        .map(|it| (it.first.to_string(), it.last.to_string()))
        .collect();
    assert_eq!(ranges, [("10.4.11.0".to_owned(), "10.4.15.254".to_owned())]);
    let Announce::Bgp {
        as_number,
        peer_address,
        peer_as_number,
    } = &metallb.announce
    else {
        panic!("MetalLB announces by ARP");
    };
    let numbers = (as_number.0.get(), peer_as_number.0.get());
    assert_eq!(numbers, (64500, 64501));
    assert_eq!(peer_address.to_string(), "10.4.0.1");
    let founder = seed_file(&cluster, "bettley", "user-data");
    has(
        &founder,
        &[
            "- 10.4.11.0-10.4.15.254",
            "myASN: 64500",
            "peerASN: 64501",
            "bgp: Enabled",
        ],
    );
    has(
        &seed_file(&cluster, "allyrion", "user-data"),
        &[
            "balance roundrobin",
            "default-server check check-ssl verify none inter 3s fall 3 rise 2",
            "server bettley 10.4.0.11:6443",
            "server cargyll 10.4.0.12:6443",
            "server dalt 10.4.0.13:6443",
            "bind :6443",
            "bind @NODE_IP@:8405",
        ],
    );
    // A static route of the file is in every machine's own configuration, and so there after every start.
    for node in &cluster.nodes {
        let network = seed_file(&cluster, node.name.as_str(), "network-config");
        let route = "- to: 10.5.0.0/16\n      via: \"10.4.0.2\"\n";
        assert!(network.contains(route), "{}: {network}", node.name);
        let name = format!("fqdn: {}.nodes.goldentooth.net", node.name);
        let user_data = seed_file(&cluster, node.name.as_str(), "user-data");
        has(&user_data, &[&name]);
    }
    let arch = |profile: &str| {
        let profile = profile::load(&repository(), profile).expect("a shipped profile");
        profile.base.arch.to_string()
    };
    let archs: Vec<String> = cluster
        .nodes
        .iter()
        .map(|it| arch(it.profile.as_str()))
        .collect();
    let (last, others) = archs.split_last().expect("nodes");
    assert!(last == "amd64" && others.iter().all(|it| it == "arm64"));
}
