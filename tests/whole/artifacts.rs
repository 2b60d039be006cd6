//! What is built, judged by the tools that its users have: fsck, the kernel, qemu-img, bmaptool, dpkg, VirtualBox.

use crate::world::{Built, built, folder, repository, run, text};
use fstree::ReadAt;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tests::independent;

/// Returns a partition's first byte and size, as sfdisk reads the table.
fn partition(disk: &Path, label: &str) -> (u64, u64) {
    let json = text(&run(Command::new("sfdisk").arg("--json").arg(disk)));
    let table: serde_json::Value = serde_json::from_str(&json).expect("sfdisk prints JSON");
    for it in table["partitiontable"]["partitions"]
        .as_array()
        .expect("partitions")
    {
        let (start, size) = (
            it["start"].as_u64().expect("start") * 512,
            it["size"].as_u64().expect("size") * 512,
        );
        let found = Command::new("blkid")
            .args([
                "--probe",
                "--output",
                "value",
                "--match-tag",
                "LABEL",
                "--offset",
            ])
            .arg(start.to_string())
            .arg(disk)
            .output();
        if text(&found.expect("blkid, of util-linux")).trim() == label {
            return (start, size);
        }
    }
    panic!(
        "{} has no partition labelled {label}: {json}",
        disk.display()
    );
}

/// Copies a partition out of a disk, with its holes.
pub(crate) fn extract(disk: &Path, label: &str, to: &Path) {
    let (start, size) = partition(disk, label);
    run(Command::new("dd")
        .args([
            "bs=1M",
            "conv=sparse",
            "iflag=skip_bytes,count_bytes",
            "status=none",
        ])
        .arg(format!("if={}", disk.display()))
        .arg(format!("of={}", to.display()))
        .arg(format!("skip={start}"))
        .arg(format!("count={size}")));
    run(Command::new("truncate")
        .arg("--size")
        .arg(size.to_string())
        .arg(to));
}

/// A file of the host, read at offsets.
struct OnDisk(File);

impl ReadAt for OnDisk {
    fn size(&self) -> u64 {
        self.0.metadata().expect("its size").len()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }
}

/// A file system the kernel has mounted, until this is dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn new(volume: &Path, at: &Path) -> Self {
        std::fs::create_dir_all(at).expect("a folder");
        run(Command::new("mount")
            .args(["-o", "loop,ro,noload"])
            .arg(volume)
            .arg(at));
        Self(at.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        Command::new("umount").arg(&self.0).status().ok();
    }
}

/// Everything the kernel says of a tree, by path; content as its SHA-256.
fn walk(root: &Path) -> BTreeMap<String, String> {
    let script = r"
import hashlib, os, stat, sys
root = sys.argv[1]
for folder, names, files in os.walk(root):
    for name in sorted(names + files):
        path = os.path.join(folder, name); it = os.lstat(path)
        what = [stat.S_IFMT(it.st_mode), oct(it.st_mode & 0o7777), it.st_uid, it.st_gid]
        if not stat.S_ISDIR(it.st_mode): what += [it.st_mtime_ns, it.st_nlink, it.st_size]
        if stat.S_ISREG(it.st_mode): what.append(hashlib.sha256(open(path, 'rb').read()).hexdigest())
        if stat.S_ISLNK(it.st_mode): what.append(os.readlink(path))
        if stat.S_ISCHR(it.st_mode) or stat.S_ISBLK(it.st_mode): what.append(it.st_rdev)
        what += [(key, os.getxattr(path, key, follow_symlinks=False)) for key in sorted(os.listxattr(path, follow_symlinks=False))]
        print(os.path.relpath(path, root) + '\t' + repr(what))
";
    let listing = text(&run(Command::new("python3").args(["-c", script]).arg(root)));
    listing
        .lines()
        .filter_map(|it| it.split_once('\t'))
        .map(|(path, what)| (path.to_owned(), what.to_owned()))
        .collect()
}

/// Checks a built root file system against the base's, both as the kernel sees them.
fn root_is_the_base_and_what_was_laid_over_it(
    built: &Built,
    base: &Path,
    artifact: &str,
    label: &str,
    place: &str,
) {
    let place = folder(place);
    let (ours, theirs) = (place.join("ours.ext4"), place.join("base.ext4"));
    extract(&built.file(artifact), label, &ours);
    extract(base, label, &theirs);
    tests::e2fsck(&ours);
    let volume: Arc<dyn ReadAt> = Arc::new(OnDisk(File::open(&ours).expect("the root")));
    let (tree, _) = ext4::read(volume.clone()).expect("our own volume");
    let seen = independent::compare(volume, &tree);
    assert!(seen > 10_000, "only {seen} files were seen");
    let mounted = Mounted::new(&ours, &place.join("ours"));
    let base_mounted = Mounted::new(&theirs, &place.join("base"));
    let (now, before) = (walk(&mounted.0), walk(&base_mounted.0));
    let listing = text(&run(built.nodeimg().arg("show").arg(built.file(artifact))));
    let layers: BTreeMap<&str, &str> = listing.lines().filter_map(layer_line).collect();
    assert!(
        layers.len() > 10_000,
        "only {} files are listed",
        layers.len()
    );
    let mut kept = 0;
    for (path, what) in &before {
        let layer = layers.get(path.as_str()).copied();
        if layer == Some("base") && path != "lost+found" {
            assert_eq!(now.get(path), Some(what), "{path} is said to be the base's");
            kept += 1;
        }
    }
    assert!(kept > 10_000, "only {kept} files are the base's");
    // Directories are shared: a new one may be of several layers.
    let is_dir = |what: &str| what.starts_with("[16384,");
    let new = now
        .iter()
        .filter(|(path, what)| !before.contains_key(*path) && !is_dir(what));
    for (path, _) in new {
        assert!(
            layers.get(path.as_str()).is_some_and(|it| *it != "base"),
            "{path} is new, and of layer {:?}",
            layers.get(path.as_str())
        );
    }
    dpkg_knows_what_is_there(&mounted.0);
    nobody_can_log_in_by_password(&mounted.0);
}

/// The nodes' packages are held, and each is configured or waits for the first boot.
fn dpkg_knows_what_is_there(root: &Path) {
    let admin = format!("--admindir={}/var/lib/dpkg", root.display());
    let format = "--showformat=${db:Status-Abbrev} ${Package}\\n";
    let listing = text(&run(
        Command::new("dpkg-query").args([&admin, "--show", format])
    ));
    for line in [
        "hi  containerd.io",
        "hi  kubeadm",
        "hU  kubelet",
        "hi  kubectl",
    ] {
        assert!(
            listing.lines().any(|it| it == line),
            "{line} is not in\n{listing}"
        );
    }
    for line in listing.lines() {
        let known = ["ii ", "hi ", "iU ", "hU ", "it ", "iW "];
        assert!(known.iter().any(|it| line.starts_with(it)), "{line}");
    }
    assert!(root.join("var/lib/nodeimg/packages-pending").exists());
}

/// Takes a line of `nodeimg show` apart: path and layer.
fn layer_line(line: &str) -> Option<(&str, &str)> {
    let (head, path) = line.split_once(" /")?;
    let layer = head.get(17..)?.trim();
    Some((path.split(' ').next()?, layer))
}

fn nobody_can_log_in_by_password(root: &Path) {
    for line in std::fs::read_to_string(root.join("etc/shadow"))
        .expect("/etc/shadow")
        .lines()
    {
        let password = line.split(':').nth(1).unwrap_or_default();
        assert!(password.starts_with(['!', '*']), "{line}");
    }
    assert_eq!(
        std::fs::read(root.join("etc/machine-id")).expect("/etc/machine-id"),
        b""
    );
    let keys = std::fs::read_dir(root.join("etc/ssh"))
        .expect("/etc/ssh")
        .flatten();
    assert_eq!(
        keys.filter(|it| it.file_name().to_string_lossy().starts_with("ssh_host_"))
            .count(),
        0
    );
}

#[test]
fn the_amd64_root_is_the_base_and_what_was_laid_over_it() {
    let built = built();
    let place = folder("base-amd64");
    let base = place.join("base.raw");
    let image = built.world.mirror.join("cloud-images.ubuntu.com/releases/jammy/release-20250725/ubuntu-22.04-server-cloudimg-amd64.img");
    run(Command::new("qemu-img")
        .args(["convert", "-O", "raw"])
        .arg(image)
        .arg(&base));
    root_is_the_base_and_what_was_laid_over_it(
        built,
        &base,
        "worker-amd64.raw",
        "cloudimg-rootfs",
        "root-amd64",
    );
    tests::verify_table(&built.file("worker-amd64.raw"));
}

#[test]
fn the_pi_root_is_the_base_and_what_was_laid_over_it() {
    let built = built();
    let place = folder("base-arm64");
    let base = place.join("base.raw");
    let image = built.world.mirror.join("cdimage.ubuntu.com/releases/22.04.5/release/ubuntu-22.04.5-preinstalled-server-arm64+raspi.img.xz");
    run(Command::new("sh")
        .arg("-c")
        .arg("xz -T2 -dc \"$0\" | dd of=\"$1\" bs=1M conv=sparse status=none")
        .arg(image)
        .arg(&base));
    root_is_the_base_and_what_was_laid_over_it(
        built,
        &base,
        "worker-arm64.img",
        "writable",
        "root-arm64",
    );
    tests::verify_table(&built.file("worker-arm64.img"));
}

#[test]
fn the_boot_partition_is_edited_and_nothing_else_of_it() {
    let built = built();
    let place = folder("boot-arm64");
    let volume = place.join("boot.fat");
    extract(&built.file("worker-arm64.img"), "system-boot", &volume);
    run(Command::new("fsck.fat").arg("-n").arg(&volume));
    let read = |name: &str| {
        text(&run(Command::new("mtype")
            .arg("-i")
            .arg(&volume)
            .arg(format!("::/{name}"))))
    };
    let cmdline = read("cmdline.txt");
    assert_eq!(cmdline.trim_end().lines().count(), 1, "{cmdline:?}");
    for word in [
        "cgroup_enable=memory",
        "cgroup_memory=1",
        "root=LABEL=writable",
    ] {
        assert!(
            cmdline.split_whitespace().any(|it| it == word),
            "{cmdline:?}"
        );
    }
    assert!(
        !read("user-data").contains("chpasswd"),
        "the base's password is gone"
    );
    assert!(read("meta-data").contains("instance-id"));
}

#[test]
fn every_format_holds_the_same_disk() {
    let built = built();
    let raw = built.file("worker-amd64.raw");
    for (file, format) in [
        ("worker-amd64.vmdk", "vmdk"),
        ("worker-amd64.qcow2", "qcow2"),
    ] {
        run(Command::new("qemu-img")
            .args(["check", "-f", format])
            .arg(built.file(file)));
        run(Command::new("qemu-img")
            .args(["compare", "-f", "raw", "-F", format])
            .arg(&raw)
            .arg(built.file(file)));
    }
    // img.xz is held to the same in the small world: here it would cost minutes.
    run(Command::new("sh")
        .args(["-c", "zstd -dc \"$0\" | cmp - \"$1\""])
        .arg(built.file("worker-arm64.img.zst"))
        .arg(built.file("worker-arm64.img")));
}

#[test]
fn digests_beside_artifacts_are_theirs() {
    let built = built();
    for file in built.files() {
        if file.extension().is_some_and(|it| it == "sha256") {
            run(Command::new("sha256sum")
                .arg("--check")
                .arg("--strict")
                .arg(&file)
                .current_dir(built.out()));
        }
    }
}

#[test]
fn bmaptool_writes_the_card_from_the_block_map() {
    let built = built();
    let place = folder("bmap");
    let card = place.join("card");
    run(Command::new("bmaptool")
        .arg("copy")
        .arg("--bmap")
        .arg(built.file("worker-arm64.bmap"))
        .arg(built.file("worker-arm64.img"))
        .arg(&card));
    run(Command::new("cmp")
        .arg(built.file("worker-arm64.img"))
        .arg(&card));
}

/// Has VirtualBox import an appliance, and clone its disk where what it should be is given; the machine has these settings.
pub(crate) fn imported(appliance: &Path, disk: Option<&Path>, settings: &[&str]) {
    let mut command = Command::new(repository().join("ci/vbox-import"));
    let shown = text(&run(command.arg(appliance).args(disk)));
    for line in settings {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }
}

#[test]
fn virtualbox_imports_the_appliance() {
    let built = built();
    imported(
        &built.file("worker-amd64.ova"),
        Some(&built.file("worker-amd64.raw")),
        &[
            "firmware=\"EFI\"",
            "graphicscontroller=\"vmsvga\"",
            "cpus=2",
            "memory=2048",
            "nic1=\"nat\"",
            "nic2=\"intnet\"",
        ],
    );
}

#[test]
fn no_secret_is_in_a_plan() {
    let built = built();
    let plan = text(&run(built.nodeimg().args([
        "plan",
        "--profile",
        "controlplane-amd64",
    ])));
    let token =
        std::fs::read_to_string(built.folder().join("cluster.secrets/token")).expect("the token");
    let key = std::fs::read_to_string(built.folder().join("cluster.secrets/pki/ca.key"))
        .expect("the key");
    let key = key.lines().nth(1).expect("a line of the key");
    assert!(
        !plan.contains(token.trim()) && !plan.contains(key),
        "a secret is in the plan"
    );
    let mode = text(&run(Command::new("stat")
        .args(["--format", "%a"])
        .arg(built.folder().join("cluster.secrets/pki/ca.key"))));
    assert_eq!(mode.trim(), "600");
}
