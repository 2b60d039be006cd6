//! Clusters at native speed: each image's root file system booted by its own systemd in namespaces, by `ci/nodes`. Firmware,
//! kernel and disks are `boots`'. The clusters that nodeimg ships are built from their own files, and each machine has to do
//! what its role is for: see `ci/nodes.d/shipped.py`.
//!
//! What projects release as files is stood in for, so the digests that the files name are replaced by the stand-ins'. This
//! machine runs amd64, virtual ones: where a cluster has Raspberry Pis or a PC, its profiles are taken with what they extend
//! for VirtualBox.

use crate::artifacts::{extract, imported};
use crate::world::{Folder, World, alone, built, folder, repository, run, text, world};
use nodeimg::digest::Digest;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What a worker that is a PC extends; its drivers have no stand-in.
const BARE_METAL_WORKER: &str =
    "\"parts/worker\", \"parts/containerd\", \"parts/bare-metal-amd64\"";

/// Where the clusters are that nodeimg ships.
const SHIPPED: &str = "profiles/clusters";

/// Copies shipped files whose names begin so beside the user, where they win, with what `edit` makes of each.
fn copy(from: &str, begin: &str, to: &Path, edit: &dyn Fn(&str) -> String) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(repository().join(from)).expect(from).flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_file() && name.starts_with(begin) {
            let file = fs::read_to_string(entry.path()).expect("UTF-8");
            fs::write(to.join(name), edit(&file)).expect("a file");
        }
    }
}

/// Puts the stand-ins' digests after the URLs they stand in for.
fn pinned(world: &World, file: &str) -> String {
    let mut stand_in = None;
    let mut res = String::new();
    for line in file.lines() {
        if let Some(url) = line.strip_prefix("url = \"https://") {
            let path = world.mirror.join(url.trim_end_matches('"'));
            stand_in = path.is_file().then_some(path);
        }
        match stand_in.take_if(|_| line.starts_with("sha256 = ")) {
            Some(path) => {
                let digest = Digest::of(&fs::read(path).expect("a stand-in"));
                res.push_str(&format!("sha256 = \"{digest}\"\n"));
            }
            None => res.push_str(&format!("{line}\n")),
        }
    }
    res
}

/// Lays a cluster of a folder's out in `place`, with the profiles it names as `edit` leaves them, and makes its secrets.
pub(crate) fn laid(
    (from, name): (&str, &str),
    place: &str,
    edit: &dyn Fn(&str) -> String,
) -> Folder {
    let world = world();
    let place = folder(place);
    let pin = |file: &str| pinned(world, file);
    let profiles = place.join("profiles");
    copy("profiles/parts", "", &profiles.join("parts"), &pin);
    copy("profiles", name, &profiles, edit);
    copy(from, "", &place, &pin);
    fs::rename(
        place.join(format!("{name}.toml")),
        place.join("cluster.toml"),
    )
    .expect("a file");
    run(world.nodeimg(&place).args(["cluster", "init"]));
    place
}

/// Builds a cluster of a folder's: an appliance for each profile, a seed for each node.
fn made(from: &str, name: &str) -> Folder {
    let here = |file: &str| {
        file.replace("-arm64\"", "-amd64\"")
            .replace(BARE_METAL_WORKER, "\"worker-amd64\"")
    };
    let place = laid((from, name), name, &here);
    run(world().nodeimg(&place).args(["build", "--format", "ova"]));
    place
}

fn forms(from: &str, name: &str) {
    form(&made(from, name));
}

/// Boots the machines of a cluster that was built in a place.
fn form(place: &Path) {
    if !world().has_doubles(&place.display().to_string()) {
        return;
    }
    let _alone = alone();
    run(Command::new(repository().join("ci/nodes"))
        .arg("--cluster")
        .arg(place));
}

/// One control plane or three, in any order, all at once, through cuts of power, and flashed anew.
#[test]
fn clusters_form_whatever_befalls_them() {
    if !world().has_doubles("clusters that form whatever befalls them") {
        return;
    }
    let built = built();
    let _alone = alone();
    run(Command::new(repository().join("ci/nodes"))
        .arg("--controlplane")
        .arg(built.file("controlplane-amd64.ova"))
        .arg("--worker")
        .arg(built.file("worker-amd64.ova")));
}

#[test]
fn ten_hosts_forms() {
    forms(SHIPPED, "ten-hosts");
}

#[test]
fn goldentooth_forms() {
    forms(SHIPPED, "goldentooth");
}

/// Nothing is replaced: images for Raspberry Pis and for a PC, as its file has it.
#[test]
fn goldentooth_is_built_for_its_own_machines() {
    let place = laid((SHIPPED, "goldentooth"), "machines", &str::to_owned);
    run(world().nodeimg(&place).arg("build"));
    let out = place.join("out");
    for role in ["infrastructure", "controlplane", "worker", "ca"] {
        let disk = out.join(format!("goldentooth-{role}.img"));
        checked(&disk, "writable", &place);
    }
    run(Command::new("zstd")
        .args(["-dq", "--sparse", "goldentooth-gpu-worker.img.zst"])
        .current_dir(&out));
    checked(
        &out.join("goldentooth-gpu-worker.img"),
        "cloudimg-rootfs",
        &place,
    );
    // Drivers that packages brought are in the index of the PC's kernel.
    let name = "locks/goldentooth-gpu-worker.lock";
    let lock = fs::read(place.join(name)).expect("a lock");
    let lock = nodeimg::lock::parse(name, &lock).unwrap_or_else(|err| panic!("{err}"));
    let index = format!(
        "{}:/usr/lib/modules/{}/modules.dep",
        out.join("goldentooth-gpu-worker.img").display(),
        lock.kernel
    );
    let index = text(&run(world().nodeimg(&place).args(["show", &index])));
    assert!(index.contains("drivers/net/stand-in.ko"), "{index}");
    let file = fs::read_to_string(place.join("cluster.toml")).expect("a cluster");
    let cluster = cluster::parse(&file, "cluster.toml").unwrap_or_else(|err| panic!("{err}"));
    for node in &cluster.nodes {
        let seed = out.join("seeds").join(node.name.as_str());
        assert!(
            seed.join("user-data").is_file(),
            "{} has no seed",
            node.name
        );
    }
}

/// Has e2fsck judge the root file system of a disk.
fn checked(disk: &Path, label: &str, place: &Path) {
    let root = place.join("root");
    extract(disk, label, &root);
    tests::e2fsck(&root);
    fs::remove_file(&root).expect("it is there");
}

#[test]
fn kubeauto_forms_of_machines_that_virtualbox_imports() {
    let place = made(SHIPPED, "kubeauto");
    for (role, memory, cpus) in [("controlplane", 2048, 2), ("worker", 1536, 1)] {
        let appliance = place.join(format!("out/kubeauto-{role}.ova"));
        let (memory, cpus) = (format!("memory={memory}"), format!("cpus={cpus}"));
        let cards = ["nic1=\"nat\"", "nic2=\"hostonly\""];
        imported(&appliance, None, &[&memory, &cpus, cards[0], cards[1]]);
    }
    form(&place);
}

#[test]
fn cka_simple_forms() {
    forms(SHIPPED, "cka-simple");
}

#[test]
fn kubespray_forms() {
    forms(SHIPPED, "kubespray");
}

/// An address that moves to the load balancer that is alive.
#[test]
fn two_balancers_form() {
    forms("tests/whole/clusters", "two-balancers");
}
