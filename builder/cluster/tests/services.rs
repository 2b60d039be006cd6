//! The programs themselves read what machines without a kubelet are told: `haproxy -c`, and OpenSSL for step-ca's
//! authorities, all taken from finished seeds. keepalived wants a network card of its own: `tests/join` has one for it.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "tests run the independent tools"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

use cluster::seed::{Nics, Order, render};
use cluster::{Cluster, RootSeed, Secrets, UnixTime};
use serde::Deserialize;
use tempfile::TempDir;

#[derive(Deserialize)]
struct UserData {
    write_files: Vec<WriteFile>,
}

#[derive(Deserialize)]
struct WriteFile {
    path: String,
    content: String,
}

const HEAD: &str = r#"
name = "ten"
kubernetes = "1.36"
node_cidr = "192.168.56.0/24"
endpoint = "192.168.56.9:6443"
[loadbalancer]
virtual_address = "192.168.56.9"
"#;

fn cluster() -> Cluster {
    let mut text = HEAD.to_owned();
    for (at, (name, role)) in [
        ("lb1", "loadbalancer"),
        ("lb2", "loadbalancer"),
        ("etcd1", "etcd"),
        ("cp1", "controlplane"),
        ("pki", "ca"),
        ("files", "storage"),
        ("desk", "admin"),
    ]
    .into_iter()
    .enumerate()
    {
        let address = 20 + at;
        text.push_str(&format!(
            "[[node]]\nname = \"{name}\"\nrole = \"{role}\"\nprofile = \"x\"\naddress = \"192.168.56.{address}\"\n"
        ));
    }
    cluster::parse(&text, "cluster.toml").unwrap()
}

/// Writes what the seed of `node` puts below /etc/nodeimg, with this machine's loopback in the places of its own.
fn seeded(node: &str) -> TempDir {
    let cluster = cluster();
    let secrets = Secrets::new(
        cluster.name.clone(),
        RootSeed::new([7; 32]),
        UnixTime(1_795_000_000),
    );
    let seed = render(&Order {
        cluster: &cluster,
        secrets: &secrets,
        node: &node.parse().unwrap(),
        release: "v1.36.2".parse().unwrap(),
        nics: &Nics::virtualbox(),
        manifests: &std::collections::BTreeMap::new(),
    })
    .unwrap();
    let user_data: UserData = serde_saphyr::from_str(seed.user_data.expose()).unwrap();
    let dir = TempDir::new().unwrap();
    for file in user_data.write_files {
        let Some(name) = file.path.strip_prefix("/etc/nodeimg/") else {
            continue;
        };
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text = file.content.replace("@NODE_IP@", "127.0.0.1");
        fs::write(path, text.replace("@NODE_INTERFACE@", "lo")).unwrap();
    }
    dir
}

/// Runs a program in `dir` and returns what it prints; `package` is the Debian package to install if it is missing.
fn run(dir: &Path, package: &str, program: &str, args: &str) -> String {
    let out = Command::new(program)
        .args(args.split(' '))
        .current_dir(dir)
        .env("LC_ALL", "C")
        .output()
        .unwrap_or_else(|err| panic!("{program}: {err}; install the Debian package {package}"));
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    assert!(out.status.success(), "{program} {args}: {text}");
    text
}

#[test]
fn haproxy_accepts_its_configuration_without_a_warning() {
    let dir = seeded("lb1");
    let said = run(
        dir.path(),
        "haproxy",
        "/usr/sbin/haproxy",
        "-c -f service/haproxy.cfg",
    );
    assert!(
        !said.contains("WARNING") && !said.contains("ALERT"),
        "{said}"
    );
}

#[test]
fn step_ca_issues_under_a_root_whose_key_is_nowhere() {
    let dir = seeded("pki");
    let openssl = |args: &str| run(dir.path(), "openssl", "openssl", args);
    openssl("verify -CAfile service/root.crt -attime 1795000001 service/intermediate.crt");
    let text = openssl("x509 -noout -text -in service/intermediate.crt");
    assert!(text.contains("CA:TRUE, pathlen:0"), "{text}");
    let json = fs::read_to_string(dir.path().join("service/ca.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(config["dnsNames"][0], "pki");
    let mut keys = fs::read_dir(dir.path().join("service"))
        .unwrap()
        .filter(|it| {
            it.as_ref()
                .unwrap()
                .file_name()
                .to_string_lossy()
                .ends_with(".key")
        });
    assert!(keys.next().is_some() && keys.next().is_none());
}
