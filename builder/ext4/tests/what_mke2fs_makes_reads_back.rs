//! Volumes that `mke2fs -d` fills from a folder, with every sane set of features, read as the folder.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "tests run the independent tools"
)]

#[path = "support/compare.rs"]
mod compare;
#[path = "support/tools.rs"]
mod tools;

use compare::{Mounted, add_host_attributes, fill_host, from_host, same};
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
    let mut want = from_host(&folder);
    add_host_attributes(&folder, &mut want);
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
            let mut want = from_host(mounted.path());
            add_host_attributes(mounted.path(), &mut want);
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
    Content::Extents {
        source: Arc::new(bytes),
        runs: runs.into(),
        len: content.len(),
    }
}
