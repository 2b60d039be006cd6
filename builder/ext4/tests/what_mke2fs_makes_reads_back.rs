//! Volumes that `mke2fs -d` fills from a folder, with every sane set of features, read as the folder.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "tests run the independent tools"
)]

#[path = "support/cases.rs"]
mod cases;
#[path = "support/compare.rs"]
mod compare;
#[path = "support/tools.rs"]
mod tools;

use cases::{Rng, each_case};
use compare::{Mounted, all_from_host, fill_host, from_host, same};
use fstree::{Content, FileKind, FileTree, ImgPath, Node, ReadAt as _, Run, Timestamp};
use std::path::Path;
use std::sync::Arc;
use tools::{Scratch, must, open, path};

fn mke2fs(image: &Path, folder: &Path, args: &[&str], size: &str) {
    let folder = folder.to_str().unwrap();
    let mut all = vec!["-q", "-F", "-d", folder, "-E", "nodiscard"];
    all.extend(args);
    all.extend([image.to_str().unwrap(), size]);
    must("e2fsprogs", "mke2fs", &all);
}

/// Reads a volume and takes out what `mke2fs` adds.
fn read(image: &Path) -> FileTree {
    let (mut tree, facts) = ext4::read(open(image)).unwrap_or_else(|it| panic!("{it}"));
    assert!(facts.to_string().contains("features"));
    assert!(tree.take(&path("/lost+found")).is_some());
    tree.root_mut().meta.mtime = Timestamp::default();
    tree
}

/// Cuts times down to what this `mke2fs` takes over: whole seconds, and not the root's.
fn whole_seconds(tree: &mut FileTree) {
    let paths: Vec<ImgPath> = tree.walk().map(|it| it.0).collect();
    tree.root_mut().meta.mtime = Timestamp::default();
    for at in paths {
        tree.meta_mut(&at).unwrap().mtime.nanos = 0;
    }
}

#[test]
fn whatever_the_features() {
    let scratch = Scratch::new();
    let folder = scratch.path("folder");
    std::fs::create_dir(&folder).unwrap();
    fill_host(&folder);
    let mut want = all_from_host(&folder);
    whole_seconds(&mut want);
    let combinations: &[&[&str]] = &[
        &["-t", "ext2", "-b", "1024"],
        &["-t", "ext2", "-b", "4096", "-I", "128"],
        &["-t", "ext3", "-b", "1024", "-I", "256"],
        &["-t", "ext3", "-b", "2048"],
        &["-t", "ext3", "-b", "4096", "-O", "dir_index"],
        &["-t", "ext4", "-b", "1024"],
        &["-t", "ext4", "-b", "2048", "-I", "1024"],
        &["-t", "ext4", "-b", "4096", "-I", "128"],
        &["-t", "ext4", "-O", "^64bit,^huge_file"],
        &["-t", "ext4", "-O", "^metadata_csum,uninit_bg"],
        &[
            "-t",
            "ext4",
            "-O",
            "^metadata_csum,^uninit_bg,^flex_bg",
            "-b",
            "1024",
        ],
        &["-t", "ext4", "-O", "metadata_csum_seed,large_dir"],
        &["-t", "ext4", "-O", "inline_data"],
        &["-t", "ext4", "-O", "inline_data", "-I", "1024"],
        &[
            "-t",
            "ext4",
            "-O",
            "meta_bg,^resize_inode",
            "-b",
            "1024",
            "-g",
            "1024",
        ],
        &["-t", "ext4", "-O", "sparse_super2"],
        &["-t", "ext4", "-O", "^sparse_super,^resize_inode"],
        &["-t", "ext4", "-O", "^extent,^64bit"],
        &["-t", "ext4", "-O", "ea_inode", "-b", "4096"],
        &["-t", "ext4", "-O", "orphan_file,fast_commit,stable_inodes"],
        &["-t", "ext4", "-O", "quota,project,verity,casefold,encrypt"],
        &[
            "-t",
            "ext4",
            "-O",
            "^dir_index,^filetype,^dir_nlink,^extra_isize,^large_file,^resize_inode",
        ],
        &["-t", "ext4", "-O", "^has_journal,mmp"],
        &["-t", "ext4", "-g", "4096", "-N", "5000"],
    ];
    for (n, args) in combinations.iter().enumerate() {
        let image = scratch.path(&format!("image{n}"));
        mke2fs(&image, &folder, args, "40M");
        same(&read(&image), &want, &format!("{args:?}"));
        std::fs::remove_file(&image).unwrap();
    }
}

/// Adds a feature if it is chosen, and returns whether it is.
fn maybe(features: &mut Vec<&str>, name: &'static str, chosen: bool) -> bool {
    if chosen {
        features.push(name);
    }
    chosen
}

/// Returns arguments that `mke2fs` takes and nobody would be surprised by.
fn sane_arguments(rng: &mut Rng) -> Vec<String> {
    let kind = *rng.pick(&["ext2", "ext3", "ext4", "ext4", "ext4"]);
    let is_ext4 = kind == "ext4";
    if rng.once_in(24) {
        // As before there were features.
        return ["-t", "ext2", "-r", "0"].map(str::to_owned).into();
    }
    let block = *rng.pick(&[1024, 2048, 4096]);
    let inode = *rng.pick(&[128, 256, 256, 512, 1024, 2048, 4096].map(|it: u32| it.min(block)));
    let mut features: Vec<&str> = Vec::new();
    maybe(&mut features, "^ext_attr", rng.once_in(12));
    maybe(&mut features, "^dir_index", rng.once_in(4));
    maybe(&mut features, "^filetype", rng.once_in(8));
    maybe(&mut features, "^large_file", rng.once_in(8));
    let backups = maybe(&mut features, "^sparse_super", rng.once_in(6))
        | maybe(&mut features, "sparse_super2", rng.once_in(5));
    let meta_bg = maybe(&mut features, "meta_bg", rng.once_in(4));
    maybe(
        &mut features,
        "^resize_inode",
        backups || meta_bg || rng.once_in(4),
    );
    if is_ext4 {
        let old = maybe(&mut features, "^extent", rng.once_in(6));
        maybe(&mut features, "^64bit", old || rng.once_in(4));
        maybe(&mut features, "^huge_file", rng.once_in(5));
        maybe(&mut features, "^flex_bg", rng.once_in(4));
        maybe(&mut features, "^dir_nlink", rng.once_in(6));
        if maybe(&mut features, "^metadata_csum", rng.once_in(3)) {
            maybe(&mut features, "uninit_bg", rng.once_in(2));
        } else {
            maybe(&mut features, "metadata_csum_seed", rng.once_in(3));
        }
        maybe(&mut features, "^has_journal", rng.once_in(5));
        maybe(&mut features, "large_dir", rng.once_in(4));
        maybe(&mut features, "ea_inode", rng.once_in(4));
        maybe(&mut features, "quota", rng.once_in(8));
        maybe(&mut features, "mmp", rng.once_in(10));
        maybe(&mut features, "stable_inodes", rng.once_in(10));
        maybe(&mut features, "verity", !old && rng.once_in(10));
        maybe(&mut features, "encrypt", rng.once_in(12));
        maybe(&mut features, "casefold", rng.once_in(12));
        maybe(&mut features, "bigalloc", !old && rng.once_in(24));
        maybe(&mut features, "project", inode >= 256 && rng.once_in(8));
        if inode >= 256 {
            maybe(&mut features, "inline_data", rng.once_in(3));
        } else {
            features.push("^extra_isize");
        }
        if !features.contains(&"^has_journal") {
            maybe(&mut features, "orphan_file", rng.once_in(4));
            maybe(&mut features, "fast_commit", rng.once_in(4));
        }
    }
    let mut all: Vec<String> = ["-t", kind].map(str::to_owned).into();
    all.extend([
        "-b".to_owned(),
        block.to_string(),
        "-I".to_owned(),
        inode.to_string(),
    ]);
    if !features.is_empty() {
        all.extend(["-O".to_owned(), features.join(",")]);
    }
    if inode >= 2048 {
        // More of them leave no room for files.
        all.extend(["-N", "2000"].map(str::to_owned));
    }
    for (option, values) in [
        ("-g", &["1024", "4096", "8192"][..]),
        ("-G", &["1", "4", "64"]),
        ("-N", &["2000", "9000"]),
        ("-m", &["0", "20"]),
        (
            "-E",
            &[
                "packed_meta_blocks=1",
                "stride=16,stripe_width=64",
                "lazy_itable_init=1",
                "resize=2G",
            ],
        ),
    ] {
        let fits = match option {
            "-G" => is_ext4 && !features.contains(&"^flex_bg"),
            "-E" => is_ext4 && !features.contains(&"^resize_inode"),
            "-N" => inode < 2048,
            "-g" => !features.contains(&"bigalloc"),
            _ => true,
        };
        if fits && rng.once_in(4) {
            all.extend([option.to_owned(), (*rng.pick(values)).to_owned()]);
        }
    }
    all
}

/// Lets the kernel put more on a volume and take some of that away again, if it takes such a volume.
fn by_the_kernel_too(rng: &mut Rng, scratch: &Scratch, image: &Path) {
    let Ok(mounted) = Mounted::try_new(scratch, image, "rw") else {
        return;
    };
    let more = mounted.path().join("more");
    std::fs::create_dir(&more).unwrap();
    fill_host(&more);
    for entry in std::fs::read_dir(more.join("many")).unwrap() {
        if rng.once_in(3) {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
    }
    let large = std::fs::OpenOptions::new()
        .write(true)
        .open(more.join("large"))
        .unwrap();
    large.set_len(rng.long(9 << 20)).unwrap();
    large.set_len(10 << 20).unwrap();
    std::fs::rename(more.join("etc"), mounted.path().join("etc/moved")).unwrap();
}

/// Changes a volume that `mke2fs` made: indexes, another size, what the kernel writes.
fn change(rng: &mut Rng, scratch: &Scratch, image: &Path, args: &[String]) {
    let name = image.to_str().unwrap();
    let has = |feature: &str| args.iter().any(|it| it.split(',').any(|it| it == feature));
    if rng.once_in(3) {
        // Rebuilds directories, with an index where there may be one.
        let hash = rng.pick(&["hash_alg=tea", "hash_alg=legacy", "hash_alg=half_md4"]);
        if !has("^dir_index") && !has("-r") {
            must("e2fsprogs", "tune2fs", &["-E", hash, name]);
        }
        tools::run("e2fsprogs", "e2fsck", &["-fyD", name]);
    }
    if rng.once_in(4) {
        let size = *rng.pick(&["90M", "200M", "40M"]);
        tools::run("e2fsprogs", "resize2fs", &["-f", name, size]);
    } else if rng.once_in(3) && !has("mmp") && !has("bigalloc") {
        // Not when resized: with `sparse_super2` alone the kernel then finds an invalid bitmap and notes an error. Nor with
        // `mmp`, of which the kernel waits whether somebody else mounts it too, nor with `bigalloc`, where there is no room.
        by_the_kernel_too(rng, scratch, image);
    }
}

/// What `mke2fs` does not make is no case; most must be. What the kernel does not mount reads as the folder it was made of.
#[test]
fn whatever_mke2fs_is_told() {
    let scratch = Scratch::in_memory();
    let folder = scratch.path("folder");
    std::fs::create_dir(&folder).unwrap();
    fill_host(&folder);
    let mut source = all_from_host(&folder);
    whole_seconds(&mut source);
    let (mut refused, mut unmounted) = (0, 0);
    let cases = each_case("whatever_mke2fs_is_told", 60, |_, rng| {
        let scratch = Scratch::in_memory();
        let image = scratch.path("image");
        let args = sane_arguments(rng);
        let mut all = vec!["-q", "-F", "-d", folder.to_str().unwrap()];
        all.extend(args.iter().map(String::as_str));
        all.extend([image.to_str().unwrap(), "48M"]);
        if !tools::run("e2fsprogs", "mke2fs", &all).status.success() {
            refused += 1;
            return;
        }
        change(rng, &scratch, &image, &args);
        let what = format!("{args:?}");
        if what.contains("bigalloc") {
            let error = ext4::read(open(&image)).unwrap_err().to_string();
            assert!(
                error.contains("bigalloc") && error.contains("not supported"),
                "{what}: {error}"
            );
            return;
        }
        let (got, _) = ext4::read(open(&image)).unwrap_or_else(|it| panic!("{what}: {it}"));
        let Ok(mounted) = Mounted::try_new(&scratch, &image, "ro") else {
            // Names without case are nothing that every kernel knows.
            assert!(what.contains("casefold"), "{what} is not mounted");
            unmounted += 1;
            let mut want = source.clone();
            if what.contains("^ext_attr") {
                let paths: Vec<ImgPath> = want.walk().map(|it| it.0).collect();
                for at in paths {
                    want.meta_mut(&at).unwrap().xattrs.clear();
                }
            }
            same(&read(&image), &want, &what);
            return;
        };
        let want = all_from_host(mounted.path());
        same(&got, &want, &what);
    });
    assert!(cases < 20 || refused * 5 <= cases, "{refused} of {cases}");
    assert!(
        cases < 20 || unmounted * 4 <= cases,
        "{unmounted} of {cases}"
    );
}

#[test]
fn volumes_that_were_resized_read_as_before() {
    let scratch = Scratch::in_memory();
    let folder = scratch.path("folder");
    std::fs::create_dir(&folder).unwrap();
    fill_host(&folder);
    let mut want = all_from_host(&folder);
    whole_seconds(&mut want);
    let meta_bg = [
        "-t",
        "ext4",
        "-O",
        "meta_bg,^resize_inode",
        "-b",
        "1024",
        "-g",
        "1024",
    ];
    for (args, steps) in [
        (&meta_bg[..], &[&["300M"][..], &["31M"], &["120M"]][..]),
        (
            &["-t", "ext4", "-O", "^64bit"],
            &[&["500M"], &["-b"], &["60M"], &["-s"]],
        ),
        (
            &["-t", "ext4", "-O", "sparse_super2"],
            &[&["400M"], &["-M"]],
        ),
        (&["-t", "ext3", "-b", "1024"], &[&["200M"], &["35M"]]),
    ] {
        let image = scratch.path("image");
        mke2fs(&image, &folder, args, "40M");
        for step in steps {
            let name = image.to_str().unwrap();
            must("e2fsprogs", "e2fsck", &["-fy", name]);
            let all: Vec<&str> = if step[0].starts_with('-') {
                vec![step[0], name]
            } else {
                vec![name, step[0]]
            };
            must("e2fsprogs", "resize2fs", &all);
            same(&read(&image), &want, &format!("{args:?} {step:?}"));
        }
        std::fs::remove_file(&image).unwrap();
    }
}

#[test]
fn files_of_another_kind_are_refused_by_name() {
    let scratch = Scratch::in_memory();
    let folder = scratch.path("folder");
    std::fs::create_dir_all(folder.join("dir")).unwrap();
    std::fs::write(folder.join("file"), b"x").unwrap();
    for (command, word) in [
        ("set_inode_field /file flags 0x80800", "encrypt"),
        ("set_inode_field /dir flags 0x80800", "encrypt"),
        ("set_inode_field /dir flags 0x40080000", "casefold"),
        ("set_inode_field /file flags 0x80204", "compression"),
        ("set_inode_field /file flags 0x180000", "verity"),
        ("set_super_value feature_incompat 0x2c3", "compression"),
        ("set_super_value feature_incompat 0x12c2", "dirdata"),
        ("set_super_value feature_incompat 0x402c2", "I0x40000"),
        ("set_super_value feature_ro_compat 0x66b", "bigalloc"),
    ] {
        let image = scratch.path("image");
        mke2fs(&image, &folder, &["-t", "ext4"], "20M");
        let name = image.to_str().unwrap();
        must("e2fsprogs", "debugfs", &["-w", "-R", command, name]);
        let error = ext4::read(open(&image)).unwrap_err().to_string();
        assert!(
            error.contains(word) && error.contains("not supported"),
            "{command}: {error}"
        );
        std::fs::remove_file(&image).unwrap();
    }
}

#[test]
fn indexed_directories_read_as_linear_ones() {
    let scratch = Scratch::new();
    let folder = scratch.path("folder");
    std::fs::create_dir_all(folder.join("many")).unwrap();
    for i in 0..3000 {
        std::fs::write(
            folder.join(format!("many/file of some length, number {i}")),
            [],
        )
        .unwrap();
    }
    let mut want = from_host(&folder);
    whole_seconds(&mut want);
    for args in [["-t", "ext4", "-b", "1024"], ["-t", "ext3", "-b", "4096"]] {
        let image = scratch.path("image");
        mke2fs(&image, &folder, &args, "40M");
        // Rebuilds directories, with an index.
        tools::run("e2fsprogs", "e2fsck", &["-fyD", image.to_str().unwrap()]);
        same(&read(&image), &want, &format!("{args:?}"));
        std::fs::remove_file(&image).unwrap();
    }
}

#[test]
fn what_cannot_be_read_is_refused_by_name() {
    let scratch = Scratch::new();
    let folder = scratch.path("folder");
    std::fs::create_dir(&folder).unwrap();
    for (args, word) in [
        (&["-t", "ext4", "-O", "bigalloc"][..], "bigalloc"),
        (&["-t", "ext4", "-b", "8192"][..], "block size of 8192"),
        (&["-O", "journal_dev"][..], "journal_dev"),
    ] {
        let image = scratch.path("image");
        let mut all = vec!["-q", "-F"];
        all.extend(args);
        all.extend([image.to_str().unwrap(), "40M"]);
        must("e2fsprogs", "mke2fs", &all);
        let error = ext4::read(open(&image)).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
        std::fs::remove_file(&image).unwrap();
    }
    for (command, word) in [
        ("set_super_value feature_incompat 0x800002c2", "I0x80000000"),
        ("set_super_value state 2", "e2fsck"),
    ] {
        let image = scratch.path("image");
        mke2fs(&image, &folder, &["-t", "ext4"], "40M");
        must(
            "e2fsprogs",
            "debugfs",
            &["-w", "-R", command, image.to_str().unwrap()],
        );
        let error = ext4::read(open(&image)).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
        std::fs::remove_file(&image).unwrap();
    }
}

#[test]
fn what_the_kernel_makes_reads_as_the_kernel_shows_it() {
    for args in [
        &["-O", "ea_inode,64bit,metadata_csum"][..],
        &["-O", "inline_data,^64bit", "-I", "512"][..],
        &["-O", "^extent,^64bit,^metadata_csum", "-b", "1024"][..],
    ] {
        let scratch = Scratch::new();
        let image = scratch.path("image");
        let mut all = vec!["-q", "-F", "-t", "ext4"];
        all.extend(args);
        all.extend([image.to_str().unwrap(), "80M"]);
        must("e2fsprogs", "mke2fs", &all);
        let mut want = {
            let mounted = Mounted::new(&scratch, &image, "rw");
            fill_host(mounted.path());
            let at = |name: &str| mounted.path().join(name).to_str().unwrap().to_owned();
            let len = if args[1].contains("ea_inode") {
                30_000
            } else {
                700
            };
            let value = format!("0x{}", "6f".repeat(len));
            must(
                "attr",
                "setfattr",
                &["-n", "user.large", "-v", &value, &at("etc/5000")],
            );
            // Half of this is never written.
            if !args[1].contains("^extent") {
                must(
                    "util-linux",
                    "fallocate",
                    &["-l", "300000", &at("etc/unwritten")],
                );
                let file = std::fs::OpenOptions::new()
                    .write(true)
                    .open(at("etc/unwritten"))
                    .unwrap();
                std::os::unix::fs::FileExt::write_all_at(&file, &[7; 9000], 100_000).unwrap();
            }
            let far = std::fs::File::create(at("far")).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&far, b"far away", 900 << 20).unwrap();
            let mut want = all_from_host(mounted.path());
            // Content is compared below, while the volume is not mounted.
            let paths: Vec<ImgPath> = want.walk().map(|it| it.0).collect();
            for path in paths {
                if let Some(Node::File(id)) = want.get(&path).cloned()
                    && let FileKind::Regular(content) = &want.file(id).kind
                {
                    let held = held(content);
                    want.file_mut(id).kind = FileKind::Regular(held);
                }
            }
            want
        };
        want.take(&path("/lost+found"));
        let mut got = read(&image);
        got.root_mut().meta.mtime = want.root().meta.mtime;
        same(&got, &want, &format!("{args:?}"));
    }
}

/// Returns the same content, held in memory, with what is zero as holes.
fn held(content: &Content) -> Content {
    let mut bytes = Vec::new();
    let mut runs = Vec::new();
    let mut piece = vec![0; 1 << 20];
    let mut at = 0;
    while at < content.len() {
        let n = usize::try_from((content.len() - at).min(1 << 20)).unwrap();
        content.read_exact_at(&mut piece[..n], at).unwrap();
        if piece[..n].iter().any(|it| *it != 0) {
            let (from, len) = (
                u64::try_from(bytes.len()).unwrap(),
                u64::try_from(n).unwrap(),
            );
            runs.push(Run { at, from, len });
            bytes.extend_from_slice(&piece[..n]);
        }
        at += u64::try_from(n).unwrap();
    }
    Content::extents(Arc::new(bytes), runs, content.len())
}
