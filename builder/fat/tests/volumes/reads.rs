//! Volumes that other programs made are read as they are.

use crate::tools::{Image, files_below, run};
use crate::trees::{TIME, contents, noise, varied};
use fat::{Kind, Options};
use fstree::{FileKind, FileTree, Node, Zeros};
use std::path::Path;

/// Copies a tree onto the host.
fn spread(tree: &FileTree, to: &Path) {
    for (name, content) in contents(tree) {
        let path = to.join(&name[1..]);
        match content {
            None => std::fs::create_dir(path).unwrap(),
            Some(bytes) => std::fs::write(path, bytes).unwrap(),
        }
    }
}

/// Makes an image with other programs and returns it with what was copied onto it.
fn foreign(size: u64, arguments: &[&str]) -> (Image, FileTree) {
    let image = Image::new(&Zeros(size));
    let tree = varied();
    run(
        "mkfs.vfat",
        &[
            &["-n", "system-boot", "-i", "4E2D6A20"],
            arguments,
            &[image.name()],
        ]
        .concat(),
    );
    let from = image.folder.path().join("in");
    std::fs::create_dir(&from).unwrap();
    spread(&tree, &from);
    for entry in std::fs::read_dir(&from).unwrap() {
        run(
            "mcopy",
            &[
                "-s",
                "-i",
                image.name(),
                entry.unwrap().path().to_str().unwrap(),
                "::/",
            ],
        );
    }
    (image, tree)
}

#[test]
fn images_of_mkfs_and_mcopy_read_equal_and_are_rewritten_equal() {
    for (kind, size, arguments) in [
        (Kind::Fat12, 5 << 20, &["-F", "12"][..]),
        (Kind::Fat16, 32 << 20, &["-F", "16", "-s", "2"]),
        (Kind::Fat32, 80 << 20, &["-F", "32", "-s", "2"]),
        (
            Kind::Fat16,
            48 << 20,
            &["-F", "16", "-S", "4096", "-s", "1", "-f", "1"],
        ),
    ] {
        let (image, tree) = foreign(size, arguments);
        let (read, facts) = fat::read(image.load()).unwrap();
        assert_eq!(contents(&read), contents(&tree), "{kind} {arguments:?}");
        assert_eq!((facts.kind, facts.volume_id), (kind, 0x4E2D_6A20));
        assert_eq!(facts.label.unwrap().as_bytes(), b"system-boot");
        assert_eq!(&facts.oem_name, b"mkfs.fat");
        let layout = fat::layout(&read, &Options::like(&facts, size, TIME)).unwrap();
        let ours = Image::new(&fat::write(&layout, &read).unwrap());
        ours.check();
        assert_eq!(files_below(&ours.extract()), contents(&tree));
        let (_, again) = fat::read(ours.load()).unwrap();
        assert_eq!(again, facts);
    }
}

#[test]
fn fragmented_files_are_read_in_the_right_order() {
    let image = Image::new(&Zeros(4 << 20));
    run("mkfs.vfat", &["-F", "12", image.name()]);
    let from = image.folder.path().join("file");
    let put = |name: &str, seed, len| {
        std::fs::write(&from, noise(seed, len)).unwrap();
        run(
            "mcopy",
            &[
                "-o",
                "-i",
                image.name(),
                from.to_str().unwrap(),
                &format!("::/{name}"),
            ],
        );
    };
    (0..40).for_each(|it| put(&format!("f{it}"), it, 30_000));
    for index in (0..40).step_by(2) {
        run("mdel", &["-i", image.name(), &format!("::/f{index}")]);
    }
    // The large file goes into the holes that twenty small ones left.
    put("large", 99, 500_000);
    let (tree, _) = fat::read(image.load()).unwrap();
    let all = contents(&tree);
    assert_eq!(
        all.iter().find(|it| it.0 == "/large").unwrap().1,
        Some(noise(99, 500_000))
    );
    assert_eq!(
        all.iter().find(|it| it.0 == "/f7").unwrap().1,
        Some(noise(7, 30_000))
    );
    let Some(Node::File(id)) = tree.get(&crate::trees::path("/large")) else {
        panic!("it is a file")
    };
    let FileKind::Regular(content) = &tree.file(*id).kind else {
        panic!("it is regular")
    };
    let runs = content.runs().len();
    assert!((5..=40).contains(&runs), "{runs} runs");
}

#[test]
fn attributes_and_orphaned_long_names_survive() {
    let image = Image::new(&Zeros(2 << 20));
    run("mkfs.vfat", &["-n", "ATTR", image.name()]);
    let from = image.folder.path().join("file");
    std::fs::write(&from, b"x").unwrap();
    run(
        "mcopy",
        &[
            "-i",
            image.name(),
            from.to_str().unwrap(),
            "::/A rather long name.txt",
        ],
    );
    run(
        "mattrib",
        &[
            "+r",
            "+h",
            "+s",
            "-a",
            "-i",
            image.name(),
            "::/A rather long name.txt",
        ],
    );
    let (tree, facts) = fat::read(image.load()).unwrap();
    let metas = crate::trees::metas(&tree);
    assert_eq!(metas[0].1.mode, 0o444);
    assert_eq!(metas[0].1.xattrs[fat::ATTRIBUTES], b"0x6");
    assert_eq!(facts.label.unwrap().to_string(), "ATTR");
    // A short name that no longer fits its long one is what old systems leave behind when they rename.
    let mut bytes = std::fs::read(&image.path).unwrap();
    let at = bytes
        .windows(11)
        .position(|it| it == b"ARATHE~1TXT")
        .unwrap();
    bytes[at..at + 11].copy_from_slice(b"RENAMED TXT");
    let (tree, _) = fat::read(std::sync::Arc::new(bytes)).unwrap();
    assert_eq!(contents(&tree)[0].0, "/RENAMED.TXT");
}

/// What Linux itself can neither look up nor make is no name for an image, and its short form would be another file.
#[test]
fn names_longer_than_linux_allows_are_refused() {
    let image = Image::new(&Zeros(2 << 20));
    run("mkfs.vfat", &[image.name()]);
    let from = image.folder.path().join("file");
    std::fs::write(&from, b"x").unwrap();
    let to = format!("::/{}", "z".repeat(200));
    run("mcopy", &["-i", image.name(), from.to_str().unwrap(), &to]);
    // Every letter becomes one of three bytes.
    let mut bytes = std::fs::read(&image.path).unwrap();
    for at in 0..bytes.len() - 1 {
        if bytes[at..].starts_with(b"z\0") {
            bytes[at..at + 2].copy_from_slice(&0x65e5_u16.to_le_bytes());
        }
    }
    let error = fat::read(std::sync::Arc::new(bytes))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("600 bytes") && error.contains("/ZZZ"),
        "{error}"
    );
}
