//! A cluster's machines: one image for each profile, without a secret, and a seed for each node.

use crate::world::{Files, Place, mode, read, world};
use std::fs;
use std::path::Path;
use std::process::Command;
use tests::{run, text};

const NODES: [&str; 4] = ["--node", "vm01", "--node", "card01"];
const SEED: [&str; 3] = ["meta-data", "network-config", "user-data"];

/// Builds nodes of the world's cluster, but the one whose profile is not of this world.
fn build(place: &Place, more: &[&str]) -> String {
    let mut command = place.nodeimg();
    text(&run(command.arg("build").args(NODES).args(more)))
}

/// Returns the token that a node's seed holds.
pub(crate) fn token(place: &Place, node: &str) -> String {
    let user_data = place.out().join("seeds").join(node).join("user-data");
    let user_data = fs::read_to_string(user_data).expect("a seed");
    let token = user_data
        .lines()
        .find_map(|it| it.trim().strip_prefix("token: "))
        .expect("a token");
    token.trim_matches('"').to_owned()
}

fn has(bytes: &[u8], wanted: &str) -> bool {
    let first = wanted.as_bytes()[0];
    let mut at = bytes;
    while let Some(n) = at.iter().position(|it| *it == first) {
        if at[n..].starts_with(wanted.as_bytes()) {
            return true;
        }
        at = &at[n + 1..];
    }
    false
}

fn seeds(place: &Place) -> Vec<(String, Files)> {
    let of = |name: &str| (name.to_owned(), read(&place.out().join("seeds").join(name)));
    ["vm01", "card01"].map(of).into()
}

#[test]
fn a_cluster_is_an_image_a_profile_and_a_seed_a_node() {
    let place = world().place("fleet");
    let told = build(&place, &["--format", "raw"]);
    let images = read_files(&place.out());
    for name in ["vm.raw", "vm.bmap", "card.raw", "card.bmap"] {
        assert!(images.contains_key(name), "{name} is missing: {told}");
    }
    for (node, files) in seeds(&place) {
        let names: Vec<&str> = files.keys().map(String::as_str).collect();
        assert_eq!(names, SEED, "{node}");
        for name in SEED {
            assert_eq!(
                mode(&place.out().join("seeds").join(&node).join(name)),
                0o600
            );
        }
        let token = token(&place, &node);
        for (name, bytes) in &images {
            assert!(!has(bytes, &token), "{name} holds the token of {node}");
        }
    }
    assert_eq!(mode(&place.out().join("seeds")), 0o700);
    assert_eq!(mode(&place.out().join("vm.raw")), 0o644);
    for words in ["attach out/seeds/vm01.vmdk", "copy out/seeds/card01/*"] {
        assert!(told.contains(words), "{words:?} is not in {told}");
    }
    // A machine is given its seed as a disk, by a description that the tools of others follow.
    let seeds = place.out().join("seeds");
    run(Command::new("qemu-img").current_dir(&seeds).args([
        "compare",
        "-f",
        "vmdk",
        "-F",
        "raw",
        "vm01.vmdk",
        "vm01.img",
    ]));
    let mut mdir = Command::new("mdir");
    let listed = text(&run(mdir.arg("-b").arg("-i").arg(seeds.join("vm01.img"))));
    for name in SEED {
        assert!(listed.contains(&format!("::/{name}")), "{listed}");
    }
}

/// Files of a folder, its folders left out.
fn read_files(folder: &Path) -> Files {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    let file = |it: fs::DirEntry| {
        let name = it.file_name().into_string().expect("UTF-8");
        (name, fs::read(it.path()).expect("a file"))
    };
    let files = entries.filter(|it| it.path().is_file());
    files.map(file).collect()
}

#[test]
fn an_image_a_node_is_what_a_build_of_that_node_gives() {
    let place = world().place("fleet-images");
    build(&place, &["--per-node", "image", "--format", "raw"]);
    let fleet = read_files(&place.out());
    run(place
        .build("card", &["raw"])
        .args(["--node", "card01", "--out", "alone"]));
    let alone = read(&place.folder().join("alone"));
    assert!(fleet["card01.raw"] == alone["card-card01.raw"]);
    assert_eq!(mode(&place.out().join("card01.raw")), 0o600);
    assert!(!place.out().join("seeds").exists());
    // So the search of the test above would have found a token.
    build(&place, &["--per-node", "only-seed"]);
    assert!(has(&fleet["card01.raw"], &token(&place, "card01")));
}

#[test]
fn seeds_follow_the_clusters_file_and_images_stay() {
    let place = world().place("fleet-seeds");
    build(&place, &["--format", "img"]);
    let (first, image) = (seeds(&place), place.out().join("card.img"));
    let before = fs::read(&image).expect("an image");
    build(&place, &["--per-node", "only-seed"]);
    assert!(seeds(&place) == first, "the same cluster has other seeds");
    let file = place.folder().join("cluster.toml");
    let old = fs::read_to_string(&file).expect("a cluster");
    let changed = format!("time_servers = [\"192.168.56.1\"]\n{old}");
    fs::write(&file, changed).expect("a file");
    build(&place, &["--per-node", "only-seed"]);
    for ((node, old), (_, new)) in first.iter().zip(seeds(&place)) {
        assert!(old["user-data"] != new["user-data"], "{node}");
        // Or cloud-init would take it for the one it has seen.
        assert!(old["meta-data"] != new["meta-data"], "{node}");
    }
    assert!(fs::read(&image).expect("an image") == before);
}

/// Gives card01 a line, and the cluster another card.
fn with_another_card(place: &Place, line: &str) {
    let file = place.folder().join("cluster.toml");
    let text = fs::read_to_string(&file).expect("a cluster");
    let text = text.replacen(
        "name = \"card01\"\n",
        &format!("name = \"card01\"\n{line}"),
        1,
    );
    let card02 = "\n[[node]]\nname = \"card02\"\nrole = \"worker\"\nprofile = \"card\"\nserial = \"100000003D1D5D2B\"\n";
    fs::write(&file, text + card02).expect("a file");
}

#[test]
fn cards_can_be_flashed_alike() {
    let place = world().place("fleet-table");
    with_another_card(&place, "mac = \"dc:a6:32:00:00:01\"\n");
    let nodes = ["--node", "card01", "--node", "card02"];
    let table = ["--per-node", "table", "--format", "raw"];
    let told = text(&run(place.nodeimg().arg("build").args(nodes).args(table)));
    assert!(
        told.contains("card01 (card): MAC address dc:a6:32:00:00:01")
            && told.contains("card02 (card): serial number 100000003d1d5d2b"),
        "{told}"
    );
    let image = place.out().join("card.raw");
    assert_eq!(mode(&image), 0o600, "it is as secret as its seeds");
    let disk = fs::read(&image).expect("an image");
    let start: [u8; 4] = disk[454..458].try_into().expect("an entry of the MBR");
    let volume = format!(
        "{}@@{}",
        image.display(),
        u64::from(u32::from_le_bytes(start)) * 512
    );
    let read = |name: &str| {
        let mut mtype = Command::new("mtype");
        text(&run(mtype.args(["-i", &volume, &format!("::/{name}")])))
    };
    assert_eq!(
        read("nodes/table"),
        "# Which node a machine is, by MAC address or by serial number.\n\
         mac dc:a6:32:00:00:01 card01\nserial 100000003d1d5d2b card02\n"
    );
    run(place
        .nodeimg()
        .arg("build")
        .args(nodes)
        .args(["--per-node", "only-seed"]));
    for node in ["card01", "card02"] {
        let seed = read_files(&place.out().join("seeds").join(node));
        for name in SEED {
            let bytes = read(&format!("nodes/{node}/{name}")).into_bytes();
            assert!(bytes == seed[name], "{node}/{name} is another");
        }
    }
    assert!(
        !read("user-data").contains("token"),
        "nobody's seed is a node's"
    );
}

#[test]
fn a_node_that_nothing_tells_apart_is_in_no_table() {
    let place = world().place("fleet-no-table");
    with_another_card(&place, "");
    for (node, words) in [
        (
            "card01",
            "nothing tells node card01 from the others of profile \"card\"",
        ),
        ("vm01", "profile \"vm\" has no place for a table of nodes"),
    ] {
        let mut command = place.nodeimg();
        command.args(["build", "--node", node, "--per-node", "table"]);
        let output = command.output().expect("it runs");
        assert_eq!(output.status.code(), Some(1));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains(words), "{told}");
    }
    assert!(!place.out().exists(), "nothing is begun");
}

#[test]
fn nodes_that_are_not_in_the_cluster_are_the_users_mistake() {
    let place = world().place("fleet-unknown");
    let output = place
        .nodeimg()
        .args(["build", "--node", "vm01", "--node", "nobody"])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        told.contains("cluster mini has no node \"nobody\"") && told.contains("cp1, vm01, card01"),
        "{told}"
    );
    assert!(!place.out().exists(), "nothing is begun");
}

/// A public key that SSH would take.
const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDfQWvZ0ZTg3b0hGNnJ3cWx0c2FtcGxla2V5MDAwMDAw";

/// Returns the addresses of an appliance's cards, in their order, as its descriptor has them.
fn cards(appliance: &Path) -> Vec<String> {
    let mut tar = Command::new("tar");
    let told = text(&run(tar
        .args(["--to-stdout", "--wildcards", "-xf"])
        .arg(appliance)
        .arg("*.ovf")));
    let found = told.split("MACAddress=\"").skip(1);
    found.map(|it| it[..12].to_owned()).collect()
}

#[test]
fn a_nodes_appliance_has_the_nodes_address_whatever_else_changes() {
    let place = world().place("fleet-addresses");
    let build = |node: &str, out: &str| {
        let mut command = place.build("vm", &["ova"]);
        // Who may log in is in the seed, so that each is another image.
        let key = format!("{KEY} {out}-{node}");
        run(command.args(["--node", node, "--out", out, "--ssh-key", &key]));
        cards(&place.folder().join(out).join(format!("vm-{node}.ova")))
    };
    let first = build("vm01", "first");
    let file = place.folder().join("cluster.toml");
    let text = fs::read_to_string(&file).expect("a cluster");
    let others: String = [("vm02", ""), ("vm03", "mac = \"08:00:27:00:00:0c\"\n")]
        .map(|(name, mac)| {
            format!("\n[[node]]\nname = \"{name}\"\nrole = \"worker\"\nprofile = \"vm\"\n{mac}")
        })
        .concat();
    fs::write(&file, text + &others).expect("a file");
    let again = build("vm01", "again");
    assert_eq!(first.len(), 2, "{first:?}");
    assert_ne!(first[0], again[0], "another image's card behind NAT");
    assert_eq!(first[1], again[1], "the same node's card on its network");
    let second = build("vm02", "again");
    assert_ne!(first[1], second[1]);
    assert!(first[1].starts_with("080027") && second[1].starts_with("080027"));
    assert_eq!(build("vm03", "again")[1], "08002700000C", "the file's");
    let told = self::build(&place, &["--node", "vm03", "--per-node", "only-seed"]);
    assert!(
        told.contains("vm03.vmdk to its machine, whose card on the node network has the address 08:00:27:00:00:0c"),
        "{told}"
    );
}
