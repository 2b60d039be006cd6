//! An image for a role and seeds for its nodes: the image holds no secret, a seed is a small disk that the tools of others read.

use crate::plans::{lock, repository};
use cluster::{Cluster, RootSeed, Secrets, UnixTime};
use fstree::ReadAt as _;
use nodeimg::plan::{self, Order};
use nodeimg::profile::{self, Profile};
use nodeimg::seed::{self, Membership};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

const CLUSTER: &str = r#"
name = "home"
kubernetes = "1.36"
node_cidr = "192.168.56.0/24"
cni = "calico"
[[manifest]]
name = "operator"
stage = "cni"
url = "https://example.org/operator.yaml"
sha256 = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
[[manifest]]
name = "mine"
file = "mine.yaml"
[[node]]
name = "cp1"
role = "controlplane"
profile = "controlplane-amd64"
address = "192.168.56.10"
[[node]]
name = "w1"
role = "worker"
profile = "worker-amd64"
address = "192.168.56.11"
[[node]]
name = "w2"
role = "worker"
profile = "worker-arm64"
address = "192.168.56.12"
"#;

fn cluster() -> Cluster {
    cluster::parse(CLUSTER, "cluster.toml").expect("a good file")
}

fn loaded(name: &str) -> Profile {
    profile::load(&repository(), name).expect("a shipped profile")
}

fn seed_of(profile: &Profile, node: &str) -> Vec<(String, Vec<u8>)> {
    let cluster = cluster();
    let secrets = Secrets::new(
        cluster.name.clone(),
        RootSeed::new([7; 32]),
        UnixTime(1_795_000_000),
    );
    let member = Membership {
        cluster: &cluster,
        secrets: &secrets,
        node: Some(node),
        manifests: &BTreeMap::from([("mine.yaml".to_owned(), "kind: List\n".to_owned())]),
    };
    seed::seed(profile, &lock(profile), &member).expect("a seed")
}

fn run(folder: &Path, program: &str, package: &str, args: &[&str]) -> String {
    let out = Command::new(program)
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap_or_else(|err| panic!("{program}: {err}; install the Debian package {package}"));
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{program} {args:?}: {stderr}");
    String::from_utf8(out.stdout).expect("UTF-8")
}

#[test]
fn an_image_of_a_role_has_the_clusters_pinned_manifests_and_no_seed() {
    let shelf = repository();
    let plan = |name: &str| {
        let mut profile = loaded(name);
        let manifests = seed::manifests(&profile, &cluster()).expect("manifests");
        profile.files.extend(manifests);
        let order = Order {
            profile: &profile,
            lock: &lock(&profile),
            seed: seed::of_role(&profile).expect("a seed without secrets"),
            needs: Vec::new(),
            mac: None,
        };
        plan::plan(&order, &shelf).expect("a plan").to_string()
    };
    let (plane, worker) = (plan("controlplane-amd64"), plan("worker-amd64"));
    let path = "/usr/lib/nodeimg/manifests/operator-001122334455.yaml";
    assert!(plane.contains(path) && !worker.contains(path), "{plane}");
    assert!(!plane.contains("mine.yaml"), "{plane}");
    let has_seed = |plan: &str| plan.lines().any(|it| it.starts_with("seed"));
    assert!(!has_seed(&plane) && !has_seed(&worker), "{plane}");
    // A Pi's boot partition says that its seed is missing, and is overwritten by it.
    assert!(has_seed(&plan("worker-arm64")));
}

#[test]
fn an_image_of_a_role_does_not_change_with_the_cluster_but_by_its_manifests() {
    let profile = loaded("worker-amd64");
    assert_eq!(seed::of_role(&profile).expect("none"), Vec::new());
    assert_eq!(
        seed::manifests(&profile, &cluster()).expect("none"),
        Vec::new()
    );
}

#[test]
fn a_seeds_disk_is_a_volume_that_others_read() {
    let profile = loaded("controlplane-amd64");
    let files = seed_of(&profile, "cp1");
    let disk = seed::disk(&files, &lock(&profile)).expect("a disk");
    let mut bytes = vec![0; usize::try_from(disk.size()).expect("small")];
    disk.read_exact_at(&mut bytes, 0).expect("readable");
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path();
    fs::write(place.join("cp1.img"), &bytes).expect("writable");
    fs::write(place.join("cp1.vmdk"), seed::vmdk("cp1.img")).expect("writable");
    run(place, "fsck.vfat", "dosfstools", &["-n", "cp1.img"]);
    let label = ["-p", "-s", "LABEL", "-o", "value", "cp1.img"];
    assert_eq!(run(place, "blkid", "util-linux", &label), "CIDATA\n");
    // VirtualBox and QEMU see the same bytes through the description.
    run(
        place,
        "qemu-img",
        "qemu-utils",
        &["convert", "-O", "raw", "cp1.vmdk", "copy.img"],
    );
    assert!(fs::read(place.join("copy.img")).expect("written") == bytes);
    for (name, content) in files {
        let read = run(
            place,
            "mtype",
            "mtools",
            &["-i", "cp1.img", &format!("::{name}")],
        );
        assert!(read.as_bytes() == content, "{name}");
    }
}
