//! An artifact that was not booted is not done: a cluster of three machines starts, forms and reports from inside; one of them
//! starts once more, after which nothing has joined twice. What befalls nodes that start again and again is `clusters`'.

use crate::clusters::laid;
use crate::world::{Folder, alone, built, repository, run, world};
use nodeimg::digest::Digest;
use serde_json::json;
use std::fs;
use std::path::Path;
use std::process::Command;
use tests::registry;
use tests::seeds::packages::ustar;

/// Where the tests' own clusters are.
const CLUSTERS: &str = "tests/whole/clusters";

fn file(name: &str) -> String {
    let file = built().file(name);
    file.to_str().expect("UTF-8").to_owned()
}

#[test]
fn a_bios_machine_a_uefi_machine_and_an_sd_card_form_a_cluster_by_themselves() {
    let control_plane = file("controlplane-amd64.ova");
    let (worker, card) = (file("worker-amd64.ova"), file("worker-arm64.img"));
    let _alone = alone();
    run(Command::new(repository().join("ci/boot"))
        .args(["--cpus", "1", "--timeout", "2400"])
        .args(["--kubernetes", world().programs()])
        .arg(format!(
            "{control_plane},hardware=vbox,firmware=bios,call=init,nodes=3,cpus=2,once=1"
        ))
        // A machine whose battery is empty: certificates are of the future to it, until its clock is put forward.
        .arg(format!(
            "{worker},hardware=vbox,firmware=uefi,call=join,qemu=-rtc,qemu=base=2021-01-01T00:00:00"
        ))
        .arg(format!("{card},hardware=virt,call=join,once=1")));
}

/// The image is its role's; its seed is a disk of its own, which keeps no secret.
#[test]
fn a_storage_machine_with_its_seed_exports_its_folders() {
    let (storage, seed) = (file("storage-amd64.ova"), file("seeds/files.img"));
    let _alone = alone();
    run(Command::new(repository().join("ci/boot"))
        .args(["--once", "--timeout", "2400"])
        .arg(format!(
            "{storage},seed={seed},hardware=vbox,firmware=uefi,call=serve,exports=/srv/nfs"
        )));
}

/// What a worker's kubeadm starts, and the profile that brings it along.
const IMAGES: [&str; 3] = [
    "registry.k8s.io/pause:3.10.2",
    "registry.k8s.io/kube-proxy:v1.36.2",
    "registry.k8s.io/coredns/coredns:v1.14.2",
];
const OFFLINE: &str = "\
summary = \"a worker that needs no registry\"
extends = [\"worker-arm64\", \"parts/offline\"]
";

/// Puts images that containerd can unpack into a folder that stands in for registries.
fn publish(registries: &Path) {
    for name in IMAGES {
        registry::publish(registries, name, &|arch| {
            let layer = ustar(&[("etc/", b""), ("etc/name", name.as_bytes())]);
            let id = format!("sha256:{}", Digest::of(&layer));
            registry::Image {
                config: json!({
                    "architecture": arch, "os": "linux", "config": {},
                    "rootfs": { "type": "layers", "diff_ids": [id] },
                }),
                layers: vec![("application/vnd.oci.image.layer.v1.tar", layer)],
            }
        });
    }
}

/// A control plane and two workers, whose cards are equal byte for byte and bring container images along.
#[test]
#[ignore = "a quarter of an hour that CI does not have: cargo test --workspace --test whole -- --ignored"]
fn raspberry_pis_form_a_cluster_from_cards_that_are_alike() {
    let place = laid((CLUSTERS, "raspberries"), "raspberries", &str::to_owned);
    fs::write(place.join("profiles/offline-worker.toml"), OFFLINE).expect("a file");
    publish(&place.join("registries"));
    let registry = place.join("registries/registry.k8s.io");
    run(world()
        .nodeimg(&place)
        .arg("--mirror")
        .arg(format!("https://registry.k8s.io={}", registry.display()))
        .args(["build", "--per-node", "table"]));
    let _alone = alone();
    let worker = format!(
        "offline-worker.img,call=join,images={}",
        IMAGES.join(",images=")
    );
    let cards = [
        "controlplane-arm64.img,call=init,nodes=3,cpus=2",
        &worker,
        &worker,
    ];
    run(Command::new(repository().join("ci/boot"))
        .args(["--hardware", "virt", "--once", "--cpus", "1"])
        .args(["--timeout", "3600"])
        .args(["--kubernetes", world().programs()])
        .args(cards.map(|it| place.join("out").join(it))));
}

/// The machines without a kubelet of the cluster `shelf`, for an architecture: an image for each role, a seed for each machine.
fn shelf(arch: &str) -> Folder {
    let place = laid(
        (CLUSTERS, "shelf"),
        &format!("shelf-{arch}"),
        &str::to_owned,
    );
    let file = place.join("cluster.toml");
    let text = fs::read_to_string(&file).expect("a cluster");
    fs::write(&file, text.replace("-arm64\"", &format!("-{arch}\""))).expect("a file");
    run(world().nodeimg(&place).arg("build"));
    place
}

/// Boots machines that are to serve: each an image, its seed, and options of its own.
fn serve(hardware: &str, place: &Path, machines: &[(&str, &str, &str)]) {
    let out = place.join("out");
    let machine = |(image, seed, more): &(&str, &str, &str)| {
        let seed = out.join("seeds").join(seed);
        format!(
            "{},seed={}{more}",
            out.join(image).display(),
            seed.display()
        )
    };
    run(Command::new(repository().join("ci/boot"))
        .args(["--hardware", hardware, "--call", "serve", "--once"])
        .args(["--cpus", "1", "--timeout", "3600"])
        .args(machines.iter().map(machine)));
}

/// Their owner copied the seeds onto the cards: three, then two.
#[test]
#[ignore = "twenty minutes that CI does not have: cargo test --workspace --test whole -- --ignored"]
fn raspberry_pis_of_other_roles_serve() {
    let place = shelf("arm64");
    let _alone = alone();
    let first = [
        ("ca-arm64.img", "ca", ""),
        ("etcd-arm64.img", "etcd1", ""),
        ("loadbalancer-arm64.img", "frontend", ""),
    ];
    serve("virt", &place, &first);
    let second = [
        ("storage-arm64.img", "files", ",exports=/srv/nfs"),
        ("admin-arm64.img", "desk", ""),
    ];
    serve("virt", &place, &second);
}

/// Their owner attached the seeds as disks: two and two. A machine for storage is in `ci/test`.
#[test]
#[ignore = "twenty minutes that CI does not have: cargo test --workspace --test whole -- --ignored"]
fn virtual_machines_of_other_roles_serve() {
    let place = shelf("amd64");
    let _alone = alone();
    let first = [
        ("ca-amd64.ova", "ca.img", ""),
        ("etcd-amd64.ova", "etcd1.img", ",firmware=uefi"),
    ];
    serve("vbox", &place, &first);
    let second = [
        ("loadbalancer-amd64.ova", "frontend.img", ",firmware=uefi"),
        ("admin-amd64.ova", "desk.img", ""),
    ];
    serve("vbox", &place, &second);
}
