//! A volume that we write grows while it is mounted, as a node's does when it first boots: by the kernel, to 2 TiB.
//!
//! The kernel lets only a process with `CAP_SYS_RESOURCE` do this. Where the tests lack it, a kernel in a process of its own
//! does it (Debian's package `user-mode-linux`), with the host's files and tools.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "tests run the independent tools"
)]

#[path = "support/compare.rs"]
mod compare;
#[path = "support/tools.rs"]
mod tools;

use compare::same;
use ext4::{Feature, Options};
use fstree::FileTree;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};
use tools::{
    MIB, Scratch, fsck, make, meta, must, noise, open, options, path, put, run, sampler, text,
};

const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;
/// Files that are put on a volume once it has grown, and their bytes.
const ADDED: &[(&str, usize)] = &[("small", 100), ("large", 5 << 20)];
/// `CAP_SYS_RESOURCE` in `/proc/self/status`.
const SYS_RESOURCE: u64 = 1 << 24;

/// Returns whether this process may have a mounted volume grow.
fn is_allowed() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|it| it.strip_prefix("CapEff:"));
    u64::from_str_radix(line.unwrap().trim(), 16).unwrap() & SYS_RESOURCE != 0
}

/// Runs a script as root where volumes may grow, with the image as `$device`, and returns what it prints.
fn run_where_allowed(scratch: &Scratch, image: &Path, script: &str) -> String {
    let file = scratch.path("script");
    let image = image.to_str().unwrap();
    if is_allowed() {
        let device = must("mount", "losetup", &["-f", "--show", image]);
        let device = device.trim();
        fs::write(&file, format!("device={device}\n{script}")).unwrap();
        let output = run("dash", "sh", &["-e", file.to_str().unwrap()]);
        must("mount", "losetup", &["-d", device]);
        return [output.stdout, output.stderr]
            .map(|it| String::from_utf8_lossy(&it).into_owned())
            .concat();
    }
    let first =
        "#!/bin/sh\nmount -t proc proc /proc\nmount -t sysfs sysfs /sys\ndevice=/dev/ubda\n";
    let last = "echo o > /proc/sysrq-trigger\nsleep 60\n";
    fs::write(&file, format!("{first}(set -e\n{script})\n{last}")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    let folder = file.parent().unwrap().display();
    let arguments = format!(
        "mem=256M quiet ubd0={image} uml_dir={folder} root=/dev/root rootfstype=hostfs rootflags=/ ro \
         con=null con0=null,fd:1 init={}",
        file.display()
    );
    let arguments: Vec<&str> = ["60", "linux.uml"]
        .into_iter()
        .chain(arguments.split_whitespace())
        .collect();
    let output = run("user-mode-linux", "timeout", &arguments);
    assert_ne!(
        output.status.code(),
        Some(127),
        "install the package user-mode-linux"
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Puts into a tree what is put on its volume once that has grown. The other kernel sees no parts of seconds of the host's files.
fn add(tree: &mut FileTree) {
    tree.put_dir(&path("/new"), meta(0o755)).unwrap();
    for (name, len) in ADDED {
        for dir in ["new", "many"] {
            put(tree, &format!("/{dir}/{name}"), text(&noise(*len, 3)));
            let at = path(&format!("/{dir}/{name}"));
            tree.meta_mut(&at).unwrap().mtime.nanos = 0;
        }
    }
    for at in ["/", "/new", "/many"] {
        tree.meta_mut(&path(at)).unwrap().mtime.nanos = 0;
    }
}

/// Lets a volume of a tree grow to each of these sizes, puts something on it, and has everybody judge it.
fn grow(tree: &FileTree, options: &Options, sizes: &[u64]) -> ext4::Facts {
    let (images, scratch) = (Scratch::in_memory(), Scratch::new());
    let what = options.to_string();
    let (_, volume) = make(tree, options);
    let image = images.save("image", &volume);
    let last = *sizes.last().unwrap();
    fs::File::options()
        .write(true)
        .open(&image)
        .unwrap()
        .set_len(last)
        .unwrap();
    let mut want = tree.clone();
    add(&mut want);
    let content = scratch.path("content");
    fs::create_dir_all(&content).unwrap();
    fs::create_dir_all(scratch.path("mounted")).unwrap();
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    for (name, len) in ADDED {
        let at = content.join(name);
        fs::write(&at, noise(*len, 3)).unwrap();
        fs::set_permissions(&at, fs::Permissions::from_mode(0o644)).unwrap();
        fs::File::options()
            .write(true)
            .open(&at)
            .unwrap()
            .set_modified(then)
            .unwrap();
    }
    let mut script = format!(
        "at={}\nfrom={}\nmount -t ext4 $device $at\n",
        scratch.path("mounted").display(),
        content.display(),
    );
    for size in sizes {
        script += &format!("resize2fs $device {}K 2>&1\n", size / 1024);
    }
    script += "mkdir $at/new\nchmod 755 $at/new\ncp -p $from/* $at/new\ncp -p $from/* $at/many\n\
        touch -r $from/small $at $at/new $at/many\numount $at\necho all is done\n";
    let said = run_where_allowed(&scratch, &image, &script);
    assert!(said.contains("all is done"), "{what}\n{said}");
    assert_eq!(
        said.matches("is now").count(),
        sizes.len(),
        "{what}\n{said}"
    );
    fsck(&image, None);
    let (got, facts) = ext4::read(open(&image)).unwrap_or_else(|it| panic!("{it}\n{what}"));
    same(&got, &want, &what);
    assert_eq!(facts.blocks, last / u64::from(options.block_size), "{what}");
    facts
}

#[test]
fn a_volume_as_we_make_it_grows_to_2_tib() {
    let facts = grow(&sampler(), &options(200 * MIB), &[3 * GIB, 2 * TIB]);
    assert_eq!((facts.desc_blocks, facts.reserved_gdt), (256, 0));
    assert!(!facts.features.has(Feature::META_BG));
}

#[test]
fn blocks_of_1_kib_grow_as_far_as_descriptors_were_kept_for() {
    let small = Options {
        block_size: 1024,
        ..options(200 * MIB)
    };
    let facts = grow(&sampler(), &small, &[3 * GIB, 32 * GIB]);
    assert_eq!((facts.desc_blocks, facts.reserved_gdt), (256, 0));
    assert!(!facts.features.has(Feature::META_BG));
}

/// Where no room was kept for descriptors, the kernel puts them into meta groups.
#[test]
fn the_equals_of_volumes_without_a_resize_inode_grow_too() {
    let equals = ["meta_bg,^resize_inode", "sparse_super2"].map(|features| {
        let scratch = Scratch::in_memory();
        let image = scratch.path("image");
        let name = image.to_str().unwrap();
        let args = [
            "-q", "-t", "ext4", "-b", "4096", "-O", features, name, "60M",
        ];
        must("e2fsprogs", "mke2fs", &args);
        let (_, facts) = ext4::read(open(&image)).unwrap();
        Options::like(&facts, 200 * MIB, tools::TIME)
    });
    let [one, other] = &equals;
    assert_eq!(one.features, other.features);
    assert!(!one.features.has(Feature::RESIZE_INODE));
    let facts = grow(&sampler(), one, &[3 * GIB, 200 * GIB]);
    assert!(facts.features.has(Feature::META_BG));
}

/// Older descriptors are half as long, so that a block holds more of them.
#[test]
fn a_volume_without_64bit_and_checksums_grows() {
    let plain = options(200 * MIB);
    let features = plain
        .features
        .without(Feature::IS_64BIT)
        .without(Feature::METADATA_CSUM)
        .with(Feature::GDT_CSUM);
    let old = Options { features, ..plain };
    grow(&sampler(), &old, &[3 * GIB, 100 * GIB]);
}
