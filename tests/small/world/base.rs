//! The base images: an ext4 root with what a build looks at, behind a GPT with a gap for the seed in a compressed qcow2, and
//! behind an MBR with a FAT boot partition in an xz of several blocks.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::Path;
use std::process::Command;
use tests::run;

const MIB: u64 = 1 << 20;
const KERNEL: &str = "5.15.0-1-mini";
/// Noon of a day long ago: the tools that take a time take this one.
pub(super) const TIME: &str = "1704067200";

/// Makes `vm.img` and `card.img.xz` in a folder.
pub(super) fn make(work: &Path, images: &Path) {
    let root = work.join("root.ext4");
    tree(&work.join("root"));
    ext4(&work.join("root"), &root);
    let boot = work.join("boot.fat");
    fat(work, &boot);
    vm(work, &root, &images.join("vm.img"));
    card(work, &root, &boot, &images.join("card.img.xz"));
}

/// Returns bytes that do not compress, the same for the same seed (xorshift, Marsaglia 2003).
pub(super) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Lays out what a root file system has.
fn tree(root: &Path) {
    let put = |path: &str, bytes: &[u8]| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, bytes).expect("a file");
    };
    put("etc/hostname", b"mini\n");
    put("etc/machine-id", b"0123456789abcdef0123456789abcdef\n");
    put("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n");
    put("etc/group", b"root:x:0:\n");
    put(
        "etc/shadow",
        b"root:*:19000:0:99999:7:::\nmini:$6$salt$hash:19000:0:99999:7:::\n",
    );
    put(
        "etc/ssh/ssh_host_rsa_key",
        b"of the base's own first boot\n",
    );
    put("etc/systemd/system/.keep", b"");
    put("usr/bin/sh", &noise(1, 200 << 10));
    put("usr/bin/large", &noise(2, 1300 << 10));
    for n in 0..150_u64 {
        let text = format!("document {n}\n").repeat(usize::try_from(n).expect("small") * 7 + 1);
        put(&format!("usr/share/doc/mini/{n:03}.txt"), text.as_bytes());
    }
    put(
        &format!("usr/lib/modules/{KERNEL}/modules.dep"),
        b"kernel/fs/mini.ko:\n",
    );
    put("var/lib/dpkg/status", STATUS.as_bytes());
    put(
        "var/lib/dpkg/info/base-files.list",
        b"/.\n/etc\n/etc/hostname\n",
    );
    put("var/lib/dpkg/info/format", b"1\n");
    for name in ["lib", "bin"] {
        symlink(format!("usr/{name}"), root.join(name)).expect("a link");
    }
    fs::hard_link(root.join("usr/bin/sh"), root.join("usr/bin/dash")).expect("a hard link");
    let holes = File::create(root.join("usr/share/holes")).expect("a file");
    holes.set_len(3 * MIB).expect("a hole");
    holes.write_all_at(b"between holes", 2 * MIB).expect("data");
}

const STATUS: &str = "\
Package: base-files
Status: install ok installed
Priority: required
Section: admin
Installed-Size: 10
Maintainer: nodeimg tests <nodeimg@example.invalid>
Architecture: amd64
Version: 12ubuntu4
Description: files of the small world

Package: libmini1
Status: install ok installed
Priority: optional
Section: libs
Installed-Size: 10
Maintainer: nodeimg tests <nodeimg@example.invalid>
Architecture: amd64
Multi-Arch: same
Version: 1.0-1
Description: a library of the small world
";

fn ext4(tree: &Path, volume: &Path) {
    run(Command::new("mke2fs")
        .env("E2FSPROGS_FAKE_TIME", TIME)
        .args([
            "-q",
            "-F",
            "-t",
            "ext4",
            "-b",
            "4096",
            "-m",
            "0",
            "-L",
            "mini-root",
        ])
        .args(["-U", "4e2d6a10-0000-4000-8000-00000000aa01"])
        .args(["-O", "^orphan_file,^metadata_csum_seed"])
        .args([
            "-E",
            "root_owner=0:0,hash_seed=4e2d6a10-0000-4000-8000-00000000aa01",
        ])
        .arg("-d")
        .arg(tree)
        .arg(volume)
        .arg("14M"));
}

fn fat(work: &Path, volume: &Path) {
    File::create(volume)
        .and_then(|it| it.set_len(4 * MIB))
        .expect("a file");
    run(Command::new("mkfs.vfat")
        .args(["-n", "system-boot", "-i", "4E2D6A15", "--invariant"])
        .arg(volume));
    let files: [(&str, &[u8]); 6] = [
        (
            "cmdline.txt",
            b"console=tty1 root=LABEL=mini-root rootwait\n",
        ),
        ("config.txt", b"[all]\nkernel=vmlinuz\n"),
        ("meta-data", b"instance_id: base\n"),
        ("network-config", b"version: 2\n"),
        ("user-data", b"#cloud-config\nchpasswd: { expire: true }\n"),
        ("vmlinuz", &noise(3, 700 << 10)),
    ];
    for (name, bytes) in files {
        let from = work.join(name);
        fs::write(&from, bytes).expect("a file");
        run(Command::new("mcopy")
            .env("TZ", "UTC")
            .env("SOURCE_DATE_EPOCH", TIME)
            .arg("-i")
            .arg(volume)
            .arg(&from)
            .arg(format!("::/{name}")));
    }
}

/// Makes a disk from sfdisk's script, with volumes at offsets.
fn disk(path: &Path, size: u64, table: &str, volumes: &[(u64, &Path)]) {
    let disk = File::create(path).expect("a file");
    disk.set_len(size).expect("a disk");
    let script = path.with_extension("sfdisk");
    fs::write(&script, table).expect("a file");
    run(Command::new("sfdisk")
        .args(["--quiet", "--no-tell-kernel", "--wipe", "never"])
        .arg(path)
        .stdin(File::open(&script).expect("the script")));
    for (at, volume) in volumes {
        // Zeros stay holes, as in a disk that came out of qemu-img.
        let bytes = fs::read(volume).expect("a volume");
        for (n, block) in (0_u64..).zip(bytes.chunks(4096)) {
            if block.iter().any(|it| *it != 0) {
                disk.write_all_at(block, at + n * 4096).expect("a block");
            }
        }
    }
}

fn vm(work: &Path, root: &Path, image: &Path) {
    let raw = work.join("vm.raw");
    let boot = work.join("bios-boot");
    fs::write(&boot, noise(4, 100 << 10)).expect("a file");
    let table = "label: gpt\nlabel-id: 4E2D6A10-0000-4000-8000-0000000000FF\nfirst-lba: 34\n\
        vm.raw14 : start=4096, size=2048, type=21686148-6449-6E6F-744E-656564454649, uuid=4E2D6A10-0000-4000-8000-000000000014\n\
        vm.raw1 : start=8192, size=28672, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid=4E2D6A10-0000-4000-8000-000000000001\n";
    disk(&raw, 20 * MIB, table, &[(2 * MIB, &boot), (4 * MIB, root)]);
    run(Command::new("qemu-img")
        .args(["convert", "-c", "-O", "qcow2"])
        .arg(&raw)
        .arg(image));
}

fn card(work: &Path, root: &Path, boot: &Path, image: &Path) {
    let raw = work.join("card.raw");
    let table = "label: dos\nlabel-id: 0x4e2d6a10\n\
        card.raw1 : start=2048, size=8192, type=c, bootable\n\
        card.raw2 : start=10240, size=28672, type=83\n";
    disk(&raw, 19 * MIB, table, &[(MIB, boot), (5 * MIB, root)]);
    let script = "xz --block-size=2MiB -1 -T1 -c \"$0\" > \"$1\"";
    run(Command::new("sh").args(["-c", script]).arg(&raw).arg(image));
}
