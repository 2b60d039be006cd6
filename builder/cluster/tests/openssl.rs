//! OpenSSL and OpenSSH read what the cluster's secrets derive: authorities, keys, pins, host keys, the kubeconfig's certificate.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "tests run the independent tools"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

use cluster::{Authority, Cluster, RootSeed, Secrets, UnixTime};
use tempfile::TempDir;

/// 2026-11-18 11:06:40 UTC.
const CREATED: UnixTime = UnixTime(1_795_000_000);

fn cluster() -> Cluster {
    let text = cluster::default_for(&"home".parse().unwrap(), "1.36".parse().unwrap());
    cluster::parse(&text, "cluster.toml").unwrap()
}

/// Writes the secrets folder of a cluster whose root seed is all `seed`.
fn folder(seed: u8) -> (TempDir, Secrets) {
    let dir = TempDir::new().unwrap();
    let secrets = Secrets::new("home".parse().unwrap(), RootSeed::new([seed; 32]), CREATED);
    for file in secrets.files(&cluster()).unwrap() {
        let path = dir.path().join(&file.name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file.content.expose()).unwrap();
    }
    (dir, secrets)
}

/// Runs a program in `dir` and returns what it prints; `package` is the Debian package to install if it is missing.
fn run(dir: &Path, package: &str, program: &str, args: &[&str]) -> String {
    let out = Command::new(program)
        .args(args)
        .current_dir(dir)
        .env("TZ", "UTC")
        .env("LC_ALL", "C")
        .output()
        .unwrap_or_else(|err| panic!("{program}: {err}; install the Debian package {package}"));
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{program} {args:?}: {stderr}");
    String::from_utf8(out.stdout).unwrap()
}

fn openssl(dir: &Path, args: &str) -> String {
    let args: Vec<&str> = args.split(' ').collect();
    run(dir, "openssl", "openssl", &args)
}

#[test]
fn authorities_have_the_extensions_of_kubeadms_own() {
    let (dir, _) = folder(7);
    for authority in Authority::ALL {
        let (path, name) = (authority.path(), authority.common_name());
        let text = openssl(dir.path(), &format!("x509 -noout -text -in pki/{path}.crt"));
        for want in [
            "Version: 3 (0x2)",
            &format!("Issuer: CN = {name}"),
            &format!("Subject: CN = {name}"),
            "Not Before: Nov 18 11:06:40 2026 GMT",
            "Not After : Nov 15 11:06:40 2036 GMT",
            "ASN1 OID: prime256v1",
            "Signature Algorithm: ecdsa-with-SHA256",
            "X509v3 Basic Constraints: critical\n                CA:TRUE\n",
            "X509v3 Key Usage: critical\n                Digital Signature, Key Encipherment, Certificate Sign\n",
            &format!("X509v3 Subject Alternative Name: \n                DNS:{name}\n"),
            "X509v3 Subject Key Identifier:",
        ] {
            assert!(text.contains(want), "{want} is not in {text}");
        }
    }
}

#[test]
fn authorities_sign_themselves_and_not_each_other() {
    let (dir, _) = folder(7);
    let verify = |ca: &str, leaf: &str| {
        Command::new("openssl")
            .args(["verify", "-x509_strict", "-attime", "1800000000", "-CAfile"])
            .args([ca, leaf])
            .current_dir(dir.path())
            .output()
            .expect("install the Debian package openssl")
            .status
            .success()
    };
    for authority in Authority::ALL {
        for other in Authority::ALL {
            let file = |it: Authority| format!("pki/{}.crt", it.path());
            let same = authority == other;
            assert_eq!(
                verify(&file(authority), &file(other)),
                same,
                "{authority:?} {other:?}"
            );
        }
    }
}

#[test]
fn private_keys_belong_to_their_certificates_and_name_their_curve() {
    let (dir, _) = folder(7);
    for authority in Authority::ALL {
        let path = authority.path();
        let of_key = openssl(dir.path(), &format!("pkey -in pki/{path}.key -pubout"));
        let of_certificate = openssl(
            dir.path(),
            &format!("x509 -in pki/{path}.crt -noout -pubkey"),
        );
        assert_eq!(of_key, of_certificate, "{path}");
        let text = openssl(
            dir.path(),
            &format!("ec -in pki/{path}.key -noout -text -check"),
        );
        assert!(text.contains("ASN1 OID: prime256v1"), "{text}");
        // OpenSSL writes the same form from what it read, so nothing in ours was left out or guessed.
        let again = openssl(dir.path(), &format!("ec -in pki/{path}.key"));
        assert_eq!(
            again,
            fs::read_to_string(dir.path().join(format!("pki/{path}.key"))).unwrap()
        );
    }
}

#[test]
fn the_service_account_keys_are_a_pair() {
    let (dir, _) = folder(7);
    let public = openssl(dir.path(), "pkey -in pki/sa.key -pubout");
    assert_eq!(
        public,
        fs::read_to_string(dir.path().join("pki/sa.pub")).unwrap()
    );
    fs::write(dir.path().join("claim"), "a token").unwrap();
    openssl(
        dir.path(),
        "dgst -sha256 -sign pki/sa.key -out signature claim",
    );
    let verdict = openssl(
        dir.path(),
        "dgst -sha256 -verify pki/sa.pub -signature signature claim",
    );
    assert_eq!(verdict, "Verified OK\n");
}

#[test]
fn the_pin_is_what_the_documented_pipeline_prints() {
    let (dir, secrets) = folder(7);
    let pipeline =
        "openssl x509 -pubkey -noout -in pki/ca.crt | openssl pkey -pubin -outform der | sha256sum";
    let digest = run(dir.path(), "openssl", "sh", &["-c", pipeline]);
    let digest = digest.split(' ').next().unwrap();
    assert_eq!(secrets.ca_hash(), format!("sha256:{digest}"));
    let file = fs::read_to_string(dir.path().join("ca-hash")).unwrap();
    assert_eq!(file, format!("sha256:{digest}\n"));
}

#[test]
fn the_kubeconfigs_certificate_is_a_client_of_the_cluster() {
    let (dir, _) = folder(7);
    let take = "import base64, sys, yaml
config = yaml.safe_load(open('admin.conf'))
user = config['users'][0]['user']
cluster = config['clusters'][0]['cluster']
data = {'crt': user['client-certificate-data'], 'key': user['client-key-data'], 'ca': cluster['certificate-authority-data']}
for name, value in data.items():
    open('admin.' + name, 'wb').write(base64.b64decode(value, validate=True))
";
    run(dir.path(), "python3-yaml", "python3", &["-c", take]);
    let verdict = openssl(
        dir.path(),
        "verify -x509_strict -purpose sslclient -attime 1800000000 -CAfile pki/ca.crt admin.crt",
    );
    assert_eq!(verdict, "admin.crt: OK\n");
    let text = openssl(dir.path(), "x509 -noout -text -in admin.crt");
    let subject = text.lines().find(|it| it.contains("Subject:")).unwrap();
    assert!(subject.contains("O = kubeadm:cluster-admins"), "{subject}");
    assert!(subject.contains("CN = kubernetes-admin"), "{subject}");
    assert!(text.contains("TLS Web Client Authentication"), "{text}");
    assert!(
        text.contains("Not After : Nov 18 11:06:40 2027 GMT"),
        "{text}"
    );
    let ca = fs::read(dir.path().join("pki/ca.crt")).unwrap();
    assert_eq!(fs::read(dir.path().join("admin.ca")).unwrap(), ca);
    let of_key = openssl(dir.path(), "pkey -in admin.key -pubout");
    assert_eq!(
        of_key,
        openssl(dir.path(), "x509 -in admin.crt -noout -pubkey")
    );
}

#[test]
fn serial_numbers_are_positive_and_distinct() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..8 {
        let (dir, _) = folder(seed);
        for authority in Authority::ALL {
            let path = authority.path();
            let serial = openssl(
                dir.path(),
                &format!("x509 -noout -serial -in pki/{path}.crt"),
            );
            assert_eq!(serial.len(), "serial=\n".len() + 32, "{serial}");
            assert!(seen.insert(serial));
        }
    }
}

#[test]
fn openssh_reads_host_keys_and_known_hosts() {
    let (dir, secrets) = folder(7);
    // Names of several lengths, so that every padding of the format occurs.
    for length in 1..=9 {
        let name = "n".repeat(length);
        let key = secrets.identity(&name.parse().unwrap()).ssh_host_key;
        let path = dir.path().join(&name);
        fs::write(&path, key.private.expose()).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(&path, mode).unwrap();
        let public = run(
            dir.path(),
            "openssh-client",
            "ssh-keygen",
            &["-y", "-f", &name],
        );
        assert_eq!(public.trim_end(), key.public);
    }
    let args = ["-F", "192.168.56.11", "-f", "known_hosts"];
    let found = run(dir.path(), "openssh-client", "ssh-keygen", &args);
    let key = secrets.identity(&"node01".parse().unwrap()).ssh_host_key;
    let key = key.public.split(' ').nth(1).unwrap();
    assert!(found.contains(key), "{found}");
}

const TEN: &str = r#"
name = "ten"
kubernetes = "1.36"
node_cidr = "10.0.0.0/24"
node_domain = "example.org"
node = [
  { name = "etcd1", role = "etcd", profile = "e", address = "10.0.0.11" },
  { name = "cp1", role = "controlplane", profile = "c", address = "10.0.0.21" },
  { name = "cp2", role = "controlplane", profile = "c", address = "10.0.0.22" },
]
"#;

/// Writes the `pki` folder that a node's seed carries, as PyYAML reads it.
fn carried(node: &str) -> TempDir {
    let cluster = cluster::parse(TEN, "cluster.toml").unwrap();
    let secrets = Secrets::new(cluster.name.clone(), RootSeed::new([7; 32]), CREATED);
    let seed = cluster::seed::render(&cluster::seed::Order {
        cluster: &cluster,
        secrets: &secrets,
        node: &node.parse().unwrap(),
        release: "v1.36.2".parse().unwrap(),
        nics: &cluster::seed::Nics::virtualbox(),
        manifests: &std::collections::BTreeMap::new(),
    })
    .unwrap();
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("user-data"), seed.user_data.expose()).unwrap();
    let take = "import os, yaml
for file in yaml.safe_load(open('user-data'))['write_files']:
    if file['path'].startswith('/etc/nodeimg/pki/'):
        path = file['path'][len('/etc/nodeimg/'):]
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, 'w').write(file['content'])
";
    run(dir.path(), "python3-yaml", "python3", &["-c", take]);
    dir
}

#[test]
fn members_of_etcd_are_servers_and_clients_by_every_name_they_have() {
    let dir = carried("etcd1");
    let verify = |purpose: &str, name: &str, file: &str| {
        openssl(
            dir.path(),
            &format!(
                "verify -x509_strict -attime 1800000000 -purpose {purpose} {name} -CAfile pki/etcd/ca.crt pki/etcd/{file}.crt"
            ),
        )
    };
    for file in ["server", "peer"] {
        for purpose in ["sslserver", "sslclient"] {
            for name in [
                "-verify_ip 10.0.0.11",
                "-verify_ip 127.0.0.1",
                "-verify_ip ::1",
                "-verify_hostname etcd1",
                "-verify_hostname etcd1.example.org",
                "-verify_hostname localhost",
            ] {
                let want = format!("pki/etcd/{file}.crt: OK\n");
                assert_eq!(verify(purpose, name, file), want, "{purpose} {name}");
            }
        }
        let subject = openssl(
            dir.path(),
            &format!("x509 -noout -subject -in pki/etcd/{file}.crt"),
        );
        assert_eq!(subject, "subject=CN = etcd1\n");
    }
    let client = verify("sslclient", "-check_ss_sig", "healthcheck-client");
    assert_eq!(client, "pki/etcd/healthcheck-client.crt: OK\n");
    let keys = ["server", "peer", "healthcheck-client"].map(|file| {
        let public = openssl(dir.path(), &format!("pkey -pubout -in pki/etcd/{file}.key"));
        let of_certificate = openssl(
            dir.path(),
            &format!("x509 -noout -pubkey -in pki/etcd/{file}.crt"),
        );
        assert_eq!(public, of_certificate);
        public
    });
    assert!(keys[0] != keys[1] && keys[1] != keys[2]);
}

#[test]
fn an_api_server_is_a_client_of_an_etcd_that_is_not_its_own_and_cannot_sign_for_it() {
    let dir = carried("cp2");
    let verdict = openssl(
        dir.path(),
        "verify -x509_strict -attime 1800000000 -purpose sslclient -CAfile pki/etcd/ca.crt pki/apiserver-etcd-client.crt",
    );
    assert_eq!(verdict, "pki/apiserver-etcd-client.crt: OK\n");
    let text = openssl(
        dir.path(),
        "x509 -noout -text -in pki/apiserver-etcd-client.crt",
    );
    assert!(
        text.contains("Subject: CN = kube-apiserver-etcd-client"),
        "{text}"
    );
    assert!(!text.contains("TLS Web Server Authentication"), "{text}");
    assert!(!dir.path().join("pki/etcd/ca.key").exists());
    assert!(dir.path().join("pki/ca.key").exists());
}
