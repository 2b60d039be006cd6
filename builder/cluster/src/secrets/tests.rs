//! What is derived is the same for the same seed, different for different things, and never printed.

#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

use std::collections::BTreeSet;

use super::*;
use crate::default_for;

fn cluster() -> Cluster {
    let text = default_for(&"home".parse().unwrap(), "1.36".parse().unwrap());
    crate::parse(&text, "cluster.toml").unwrap()
}

fn secrets(seed: u8) -> Secrets {
    let cluster = "home".parse().unwrap();
    Secrets::new(cluster, RootSeed::new([seed; 32]), UnixTime(1_795_000_000))
}

fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

/// All secret and identifying text of a cluster.
fn everything(secrets: &Secrets) -> Vec<String> {
    let mut res: Vec<String> = secrets
        .files(&cluster())
        .unwrap()
        .iter()
        .map(|it| it.content.expose().to_owned())
        .collect();
    for name in ["controlplane", "node01"] {
        let identity = secrets.identity(&node(name));
        res.push(secrets.node_token(&node(name)).secret().expose().to_owned());
        res.push(identity.machine_id.clone());
        res.push(identity.mac().to_string());
        res.push(identity.ssh_host_key.private.expose().to_owned());
        res.push(identity.ssh_host_key.public);
    }
    res
}

#[test]
fn the_same_seed_gives_the_same_secrets() {
    assert_eq!(everything(&secrets(7)), everything(&secrets(7)));
}

#[test]
fn another_seed_or_cluster_shares_nothing() {
    let ours: BTreeSet<_> = everything(&secrets(7)).into_iter().collect();
    assert_eq!(
        ours.len(),
        everything(&secrets(7)).len(),
        "two secrets are equal"
    );
    let other_seed = everything(&secrets(8));
    assert!(other_seed.iter().all(|it| !ours.contains(it)));
    let mut other_cluster = secrets(7);
    other_cluster.cluster = "away".parse().unwrap();
    assert!(
        everything(&other_cluster)
            .iter()
            .all(|it| !ours.contains(it))
    );
}

#[test]
fn derived_secrets_never_change_between_releases() {
    // A new value here means that the nodes of every existing cluster lose their keys.
    expect_test::expect![[r#"
        sha256:e1626daafd591acdfb9bf0a2627a7a4d1d4dc5bfce01c7d19fb67dcbaec62bb3
        acjunz.zypxi7dwmkzbusgm
        taf1h1.i0fto120m6nbv5tn
        1cc4a6eb12364bf1ba57c348b4fc50e2
        ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFsnp8E4tD1GiXXHwVm4AdxUhSDsouJEBIr00M300d7U node01
    "#]]
    .assert_eq(&format!(
        "{}\n{}\n{}\n{}\n{}\n",
        secrets(7).ca_hash(),
        secrets(7).cluster_token().secret().expose(),
        secrets(7).node_token(&node("node01")).secret().expose(),
        secrets(7).identity(&node("node01")).machine_id,
        secrets(7).identity(&node("node01")).ssh_host_key.public,
    ));
    expect_test::expect![[r#"
        -----BEGIN CERTIFICATE-----
        MIIBgDCCASegAwIBAgIQcZ6Xvoqxck1sWbF0OiZUIDAKBggqhkjOPQQDAjAVMRMw
        EQYDVQQDDAprdWJlcm5ldGVzMB4XDTI2MTExODExMDY0MFoXDTM2MTExNTExMDY0
        MFowFTETMBEGA1UEAwwKa3ViZXJuZXRlczBZMBMGByqGSM49AgEGCCqGSM49AwEH
        A0IABNl95ewANhNxpBNSHom/uJwPQSEjgDbCSGkUs2Llc1h0UUp3weG90G7Pm9en
        KV9mY2p1Z9gDWqznQ/aomNof05+jWTBXMBUGA1UdEQQOMAyCCmt1YmVybmV0ZXMw
        DgYDVR0PAQH/BAQDAgKkMB0GA1UdDgQWBBRsYrfAOUPkQZfWSh5DugCt64LMpzAP
        BgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0cAMEQCIEtjvt4y+jI7G8Al/Ebi
        BwOBI/VQND2QrZGQcG2AooVxAiBUwSRYE6LJ9z1H50h1cX2ETA/PQaEzSVeeHx8o
        j1hXuQ==
        -----END CERTIFICATE-----
    "#]]
    .assert_eq(&secrets(7).certificate(Authority::Kubernetes).unwrap());
}

#[test]
fn tokens_have_kubeadms_form() {
    for i in 0..200 {
        let token = secrets(1).node_token(&node(&format!("n{i}"))).secret();
        let (id, secret) = token.expose().split_once('.').unwrap();
        assert_eq!((id.len(), secret.len()), (6, 16));
        let valid = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit();
        assert!(id.chars().chain(secret.chars()).all(valid));
    }
}

#[test]
fn nothing_secret_is_printed() {
    let secrets = secrets(7);
    let files = secrets.files(&cluster()).unwrap();
    let token = secrets.node_token(&node("node01"));
    let printed = format!(
        "{secrets:?} {files:?} {:?} {token:?} {:?} {}",
        secrets.identity(&node("node01")),
        secrets.private_key(Authority::Etcd),
        secrets.to_text()
    );
    assert!(printed.contains("[secret]"));
    assert!(printed.contains(token.id()));
    let whole = token.secret();
    let half = &whole.expose()[7..];
    for hidden in [half, "PRIVATE KEY", "07070707", "7, 7, 7"] {
        assert!(!printed.contains(hidden), "{hidden}");
    }
}

#[test]
fn only_public_files_may_be_read_by_others() {
    let files = secrets(7).files(&cluster()).unwrap();
    let public: Vec<&str> = files
        .iter()
        .filter(|it| it.mode == Mode::Public)
        .map(|it| it.name.as_str())
        .collect();
    let want = [
        "ca-hash",
        "known_hosts",
        "pki/ca.crt",
        "pki/etcd/ca.crt",
        "pki/front-proxy-ca.crt",
        "pki/sa.pub",
    ];
    assert_eq!(public, want);
    assert_eq!((Mode::Private.bits(), Mode::Public.bits()), (0o600, 0o644));
    assert_eq!(files.len(), 13);
}

#[test]
fn stored_secrets_are_read_back() {
    let text = secrets(7).to_text();
    let read = Secrets::parse(text.expose(), "secrets.toml", secrets(7).cluster()).unwrap();
    assert_eq!(read, secrets(7));
    assert_eq!(read.created(), UnixTime(1_795_000_000));
}

#[test]
fn damaged_secrets_are_refused_without_being_repeated() {
    let text = secrets(7).to_text();
    let text = text.expose();
    let long_ago = "created = 99999999999999";
    for (from, to, want) in [
        ("version = 1", "version = 2", "version 2 is not known"),
        ("\"home\"", "\"away\"", "not of cluster `home`"),
        ("created = 1795000000", long_ago, "too far in the future"),
        ("seed = \"07", "seed = \"", "not 64 hexadecimal digits"),
        ("seed = \"07", "seed = \"xy", "not 64 hexadecimal digits"),
        ("seed = \"07", "seed = 07\"", "line 7 is not"),
        ("version = 1", "extra = 1", "line 3 is not"),
    ] {
        let changed = text.replace(from, to);
        assert_ne!(changed, text);
        let err = Secrets::parse(&changed, "secrets.toml", &"home".parse().unwrap()).unwrap_err();
        let message = format!("{err} {err:?}");
        assert!(message.contains(want), "{message}");
        assert!(!message.contains("0707"), "{message}");
    }
}

#[test]
fn a_far_future_does_not_panic() {
    let mut secrets = secrets(7);
    secrets.created = UnixTime(u64::MAX);
    assert!(secrets.certificate(Authority::Kubernetes).is_ok());
}

#[test]
fn identities_have_their_standards_form() {
    let identity = secrets(7).identity(&node("node01"));
    assert_eq!(identity.machine_id.len(), 32);
    assert_eq!(&identity.machine_id[12..13], "4");
    assert!(matches!(
        &identity.machine_id[16..17],
        "8" | "9" | "a" | "b"
    ));
    assert!(identity.mac().to_string().starts_with("08:00:27:"));
}

#[test]
fn a_revoked_node_gets_everything_of_its_own_anew_and_others_keep_theirs() {
    let (node, other): (crate::NodeName, crate::NodeName) =
        ("w1".parse().unwrap(), "w2".parse().unwrap());
    let mut secrets = Secrets::new("home".parse().unwrap(), RootSeed::new([7; 32]), UnixTime(5));
    let before = secrets.clone();
    secrets.revoke(&node);
    assert_ne!(secrets.node_token(&node), before.node_token(&node));
    assert_eq!(secrets.node_token(&other), before.node_token(&other));
    let (new, old) = (secrets.identity(&node), before.identity(&node));
    assert_ne!(new.ssh_host_key, old.ssh_host_key);
    // The machine itself stays the same.
    assert_eq!(new.machine_id, old.machine_id);
    assert_eq!(new.mac(), old.mac());
    let once = secrets.node_token(&node);
    secrets.revoke(&node);
    assert_ne!(secrets.node_token(&node), once);
}

#[test]
fn revocations_are_stored() {
    let mut secrets = Secrets::new("home".parse().unwrap(), RootSeed::new([7; 32]), UnixTime(5));
    secrets.revoke(&"w1".parse().unwrap());
    secrets.revoke(&"w1".parse().unwrap());
    secrets.revoke(&"0x1f".parse().unwrap());
    let text = secrets.to_text();
    let read = Secrets::parse(text.expose(), "secrets.toml", secrets.cluster()).unwrap();
    assert_eq!(read, secrets);
    assert_eq!(read.revocations(&"w1".parse().unwrap()), 2);
    let bad = text.expose().replace("w1 = 2", "\"W 1\" = 2");
    assert!(Secrets::parse(&bad, "secrets.toml", secrets.cluster()).is_err());
}

#[test]
fn a_live_cluster_is_told_tokens_by_a_manifest() {
    let text = crate::default_for(&"home".parse().unwrap(), "1.36".parse().unwrap());
    let cluster = |text: &str| crate::parse(text, "cluster.toml").unwrap();
    let secrets = Secrets::new("home".parse().unwrap(), RootSeed::new([7; 32]), UnixTime(5));
    let now = UnixTime(1_795_000_000);
    let manifest = |text: &str| secrets.bootstrap_tokens(&cluster(text), now).unwrap();
    let for_ever = manifest(&text);
    let limited = manifest(&text.replace("token_ttl = \"0s\"", "token_ttl = \"720h\""));
    let token = secrets.node_token(&"node01".parse().unwrap());
    assert!(
        for_ever
            .expose()
            .contains(&format!("name: bootstrap-token-{}", token.id()))
    );
    assert!(!for_ever.expose().contains("expiration"));
    let first = limited.expose().split("---\n").nth(1).unwrap().to_owned();
    expect_test::expect![[r#"
        apiVersion: v1
        kind: Secret
        metadata:
          name: bootstrap-token-taf1h1
          namespace: kube-system
        type: bootstrap.kubernetes.io/token
        stringData:
          description: node node01
          token-id: taf1h1
          token-secret: i0fto120m6nbv5tn
          expiration: "2026-12-18T11:06:40Z"
          usage-bootstrap-authentication: "true"
          usage-bootstrap-signing: "true"
          auth-extra-groups: system:bootstrappers:kubeadm:default-node-token
    "#]]
    .assert_eq(&first);
}
