//! `PyYAML`, which cloud-init reads with, and a shell read back from the rendered files what was meant.
#![expect(clippy::disallowed_types, reason = "tests run the independent tools")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use cluster::seed::{self, NicConfig, NicMatch, NicRole, Nics, Order, Seed};
use cluster::{Cluster, NodeName, RootSeed, Secrets, UnixTime};
use serde_json::{Value, json};

const SSH_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me: # 'x' \"y\"";

struct Lab {
    cluster: Cluster,
    secrets: Secrets,
}

impl Lab {
    fn new(text: &str) -> Self {
        let cluster = cluster::parse(text, "cluster.toml").unwrap();
        let name = cluster.name.clone();
        let secrets = Secrets::new(name, RootSeed::new([7; 32]), UnixTime(1_795_000_000));
        Self { cluster, secrets }
    }

    fn home() -> Self {
        let text = cluster::default_for(&"home".parse().unwrap(), "1.36".parse().unwrap());
        let key = SSH_KEY.replace('"', "\\\"");
        Self::new(&text.replace("ssh_keys = []", &format!("ssh_keys = [\"{key}\"]")))
    }

    fn seed(&self, node: &NodeName, nics: &Nics) -> Seed {
        let order = Order {
            cluster: &self.cluster,
            secrets: &self.secrets,
            node,
            release: "v1.36.2".parse().unwrap(),
            nics,
            manifests: &std::collections::BTreeMap::new(),
        };
        seed::render(&order).unwrap()
    }

    /// The user-data of `node` as `PyYAML` reads it.
    fn user_data(&self, node: &str) -> Value {
        let seed = self.seed(&node.parse().unwrap(), &Nics::virtualbox());
        document(seed.user_data.expose())
    }

    fn token(&self, node: &str) -> String {
        let token = self.secrets.node_token(&node.parse().unwrap());
        token.secret().expose().to_owned()
    }
}

/// Feeds `text` to a program and returns what it prints.
fn filter(program: &str, package: &str, args: &[&str], text: &str) -> String {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|err| panic!("{program}: {err}; install the Debian package {package}"));
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    let out = child.wait_with_output().unwrap();
    assert!(
        out.status.success(),
        "{program} refuses (is the Debian package {package} installed?): {text}"
    );
    String::from_utf8(out.stdout).unwrap()
}

/// All documents of a YAML text, as `PyYAML` reads them; values JSON does not know become their Python form.
fn documents(text: &str) -> Vec<Value> {
    let script = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(sys.stdin)), default=repr))";
    let json = filter("python3", "python3-yaml", &["-c", script], text);
    serde_json::from_str(&json).unwrap()
}

fn document(text: &str) -> Value {
    let mut all = documents(text);
    assert_eq!(all.len(), 1);
    all.remove(0)
}

/// The content of a file that user-data writes.
fn file<'a>(user_data: &'a Value, path: &str) -> &'a str {
    let files = user_data["write_files"].as_array().unwrap();
    let file = files.iter().find(|it| it["path"] == path).expect(path);
    file["content"].as_str().unwrap()
}

#[test]
fn cloud_init_reads_what_was_meant() {
    let lab = Lab::home();
    let user_data = lab.user_data("node01");
    let user = &user_data["users"][0];
    assert_eq!(user["name"], "admin");
    assert_eq!(user["lock_passwd"], true);
    assert_eq!(user["ssh_authorized_keys"], json!([SSH_KEY]));
    assert_eq!(user_data["ssh_pwauth"], false);
    let key = lab
        .secrets
        .identity(&"node01".parse().unwrap())
        .ssh_host_key;
    assert_eq!(
        user_data["ssh_keys"]["ed25519_private"],
        key.private.expose()
    );
    assert_eq!(user_data["ssh_keys"]["ed25519_public"], key.public);
    let journal = json!(["systemctl", "restart", "systemd-journald.service"]);
    let start = json!(["systemctl", "start", "--no-block", "nodeimg-join.service"]);
    assert_eq!(user_data["runcmd"], json!([journal, start]));
    let id = lab.secrets.identity(&"node01".parse().unwrap()).machine_id;
    assert_eq!(file(&user_data, "/etc/machine-id"), format!("{id}\n"));
    let modes: Vec<&Value> = user_data["write_files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["permissions"])
        .collect();
    assert_eq!(modes, ["0444", "0644", "0644", "0600"]);
}

#[test]
fn a_control_plane_writes_the_very_files_of_the_secrets_folder() {
    let lab = Lab::home();
    let user_data = lab.user_data("controlplane");
    let files = lab.secrets.files(&lab.cluster).unwrap();
    let pki: Vec<_> = files
        .iter()
        .filter(|it| it.name.starts_with("pki/"))
        .collect();
    assert_eq!(pki.len(), 8);
    for it in pki {
        let path = format!("/etc/nodeimg/{}", it.name);
        assert_eq!(file(&user_data, &path), it.content.expose(), "{path}");
    }
}

#[test]
fn kubeadm_reads_what_was_meant() {
    let lab = Lab::home();
    let user_data = lab.user_data("controlplane");
    let init = documents(file(&user_data, "/etc/nodeimg/kubeadm.yaml"));
    let kinds: Vec<&Value> = init.iter().map(|it| &it["kind"]).collect();
    let want = [
        "InitConfiguration",
        "ClusterConfiguration",
        "KubeletConfiguration",
        "KubeProxyConfiguration",
    ];
    assert_eq!(kinds, want);
    let node_ip = json!([{"name": "node-ip", "value": "@NODE_IP@"}]);
    assert_eq!(init[0]["nodeRegistration"]["kubeletExtraArgs"], node_ip);
    assert_eq!(init[0]["localAPIEndpoint"]["bindPort"], 6443);
    assert_eq!(init[1]["kubernetesVersion"], "v1.36.2");
    assert_eq!(init[1]["controlPlaneEndpoint"], "192.168.56.10:6443");
    let tokens: Vec<&Value> = init[0]["bootstrapTokens"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["token"])
        .collect();
    let by_hand = lab.secrets.cluster_token().secret();
    assert_eq!(
        tokens,
        [by_hand.expose(), &lab.token("node01"), &lab.token("node02")]
    );

    let user_data = lab.user_data("node02");
    let join = documents(file(&user_data, "/etc/nodeimg/kubeadm.yaml"));
    assert_eq!(join.len(), 1);
    let discovery = &join[0]["discovery"]["bootstrapToken"];
    assert_eq!(discovery["token"], lab.token("node02").as_str());
    assert_eq!(discovery["caCertHashes"], json!([lab.secrets.ca_hash()]));
    assert_eq!(discovery["apiServerEndpoint"], "192.168.56.10:6443");
    assert_eq!(join[0].get("controlPlane"), None);
}

#[test]
fn names_that_yaml_takes_for_something_else_stay_text() {
    // Valid hostnames, every one: booleans, nulls, numbers of all bases, a date, a float of Go's YAML.
    let names = [
        "yes",
        "no",
        "on",
        "off",
        "y",
        "n",
        "true",
        "null",
        "12",
        "0x1f",
        "0o17",
        "017",
        "1e3",
        "2026-11-23",
        "nan",
        "inf",
        "0b1",
    ];
    let mut text = String::from(
        "name = \"on\"\nkubernetes = \"1.36\"\nnode_cidr = \"10.9.0.0/24\"\nendpoint = \"yes:6443\"\ndns_domain = \"no\"\n",
    );
    for (i, name) in names.iter().enumerate() {
        let role = if i == 0 { "controlplane" } else { "worker" };
        write!(
            text,
            "[[node]]\nname = \"{name}\"\nrole = \"{role}\"\nprofile = \"p\"\n"
        )
        .unwrap();
    }
    let lab = Lab::new(&text);
    let seeds = names.map(|it| lab.seed(&it.parse().unwrap(), &Nics::raspberry_pi()));
    let stream: Vec<&str> = seeds
        .iter()
        .flat_map(|it| [it.meta_data.as_str(), it.user_data.expose()])
        .collect();
    let read = documents(&stream.join("---\n"));
    assert_eq!(read.len(), 2 * names.len());
    let kubeadm: Vec<&str> = read
        .chunks(2)
        .map(|it| file(&it[1], "/etc/nodeimg/kubeadm.yaml"))
        .collect();
    let mut kubeadm = documents(&kubeadm.join("---\n"));
    // The founder's file has three documents more.
    kubeadm.drain(1..4);
    for ((name, seed), kubeadm) in names.iter().zip(read.chunks(2)).zip(&kubeadm) {
        assert_eq!(seed[0]["local-hostname"], *name);
        assert_eq!(seed[1]["hostname"], *name);
        assert_eq!(kubeadm["nodeRegistration"]["name"], *name);
    }
    let user_data = lab.user_data("yes");
    let kubeadm = documents(file(&user_data, "/etc/nodeimg/kubeadm.yaml"));
    assert_eq!(kubeadm[1]["clusterName"], "on");
    assert_eq!(kubeadm[1]["networking"]["dnsDomain"], "no");
}

#[test]
fn what_gos_yaml_takes_for_a_number_is_quoted() {
    // kubeadm reads `1e3` and `0b1` as numbers where PyYAML does not.
    for name in ["1e3", "0b1", "0o17", "0x1f"] {
        let text = format!(
            "name = \"c\"\nkubernetes = \"1.36\"\nnode_cidr = \"10.9.0.0/24\"\nendpoint = \"api:6443\"\n\
             [[node]]\nname = \"{name}\"\nrole = \"controlplane\"\nprofile = \"p\"\n"
        );
        let Lab { cluster, secrets } = Lab::new(&text);
        let release = "v1.36.2".parse().unwrap();
        let name_of = name.parse().unwrap();
        let kubeadm = cluster::kubeadm::render(&cluster, &secrets, &name_of, release).unwrap();
        let kubeadm = kubeadm.expose();
        assert!(kubeadm.contains(&format!("name: \"{name}\"")), "{kubeadm}");
    }
}

#[test]
fn macs_that_yaml_takes_for_numbers_of_base_60_stay_text() {
    let lab = Lab::home();
    let nic = NicConfig {
        id: "lan".to_owned(),
        matches: NicMatch::Mac("10:20:30:40:50:58".parse().unwrap()),
        role: NicRole::Cluster,
    };
    let nics = Nics::new(vec![nic]).unwrap();
    let seed = lab.seed(&"node01".parse().unwrap(), &nics);
    let network = document(&seed.network_config);
    let lan = &network["ethernets"]["lan"];
    assert_eq!(lan["match"]["macaddress"], "10:20:30:40:50:58");
    assert_eq!(lan["addresses"], json!(["192.168.56.11/24"]));
    assert_eq!(
        (&network["version"], &lan["optional"]),
        (&json!(2), &json!(true))
    );
}

#[test]
fn tokens_stay_text_whatever_their_letters() {
    let mut text = String::from(
        "name = \"c\"\nkubernetes = \"1.36\"\nnode_cidr = \"10.9.0.0/24\"\nendpoint = \"api:6443\"\n",
    );
    for i in 0..250 {
        let role = if i == 0 { "controlplane" } else { "worker" };
        write!(
            text,
            "[[node]]\nname = \"n{i}\"\nrole = \"{role}\"\nprofile = \"p\"\n"
        )
        .unwrap();
    }
    let lab = Lab::new(&text);
    let user_data = lab.user_data("n0");
    let init = documents(file(&user_data, "/etc/nodeimg/kubeadm.yaml"));
    let tokens = init[0]["bootstrapTokens"].as_array().unwrap();
    assert_eq!(tokens.len(), 250);
    for (i, token) in tokens.iter().enumerate().skip(1) {
        assert_eq!(token["token"], lab.token(&format!("n{i}")).as_str());
    }
}

#[test]
fn a_shell_sources_the_nodes_environment() {
    let lab = Lab::home();
    let user_data = lab.user_data("node01");
    let env = file(&user_data, "/etc/nodeimg/node.env");
    let script = format!("set -eu\n{env}set | grep ^NODEIMG_ | tr -d \"'\" | sort");
    let want = "NODEIMG_ACTION=join\n\
        NODEIMG_ADDRESS=192.168.56.11\n\
        NODEIMG_ADMIN=admin\n\
        NODEIMG_CLUSTER=home\n\
        NODEIMG_ENDPOINT=192.168.56.10:6443\n\
        NODEIMG_KUBERNETES_VERSION=v1.36.2\n\
        NODEIMG_NODE=node01\n\
        NODEIMG_NODE_CIDR=192.168.56.0/24\n\
        NODEIMG_ROLE=worker\n\
        NODEIMG_TIME_FLOOR=1795000000\n";
    assert_eq!(filter("sh", "dash", &["-s"], &script), want);
}
