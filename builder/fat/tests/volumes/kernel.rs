//! Linux mounts what we write, and finds every name and every byte.

use crate::tools::{Image, files_below};
use crate::trees::{awkward, contents, empty, noise, path, put, varied};
use fstree::{FileTree, ReadAt};
use std::path::PathBuf;
use std::process::Command;

/// A volume the kernel has mounted, until this is dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn new(image: &Image) -> Self {
        let at = image.folder.path().join("mounted");
        std::fs::create_dir(&at).unwrap();
        let output = Command::new("mount")
            .args(["-t", "vfat", "-o", "loop,ro,utf8"])
            .args([&image.path, &at])
            .output();
        let output = output.unwrap_or_else(|it| panic!("mount: {it}; it wants root"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        Self(at)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let done = Command::new("umount").arg(&self.0).status();
        assert!(done.is_ok_and(|it| it.success()) || std::thread::panicking());
    }
}

/// Tells whether this machine's kernel knows FAT, as a part or a module; says so if not.
#[expect(clippy::print_stderr, reason = "nothing is left out silently")]
pub(crate) fn has_fat() -> bool {
    Command::new("modprobe").args(["-q", "vfat"]).status().ok();
    let known = std::fs::read_to_string("/proc/filesystems").unwrap();
    let has = known.lines().any(|it| it.ends_with("\tvfat"));
    if !has {
        eprintln!("what Linux makes of the volumes is left out: this machine's kernel has no vfat");
    }
    has
}

/// Has the kernel walk a volume, and compares all names and contents.
pub(crate) fn walk(volume: &dyn ReadAt, tree: &FileTree) {
    let image = Image::new(volume);
    let mounted = Mounted::new(&image);
    let (found, want) = (files_below(&mounted.0), contents(tree));
    let names = |all: &[(String, Option<Vec<u8>>)]| -> Vec<String> {
        all.iter().map(|it| it.0.clone()).collect()
    };
    assert_eq!(names(&found), names(&want));
    for (found, want) in found.iter().zip(&want) {
        assert!(found == want, "the content of {}", found.0);
    }
}

/// Names of every sort: as DOS has them, in one case or both, with parts that are too long or odd, and what is taken for another's
/// short one.
fn named() -> FileTree {
    let mut tree = empty();
    for name in [
        "A",
        "a",
        "README",
        "readme",
        "README.md",
        "ReadMe.TXT",
        "12345678.123",
        "123456789.1",
        "1.1234",
        "a.b.c",
        ".x",
        "x~1",
        "LONGNA~1.TXT",
        "longname that is long.txt",
        "longname that is longer.txt",
        "#$%&'()-@^_`{}~!",
        "plus+comma,semi;=[x]",
        "two  blanks",
        "é",
        "É.TXT",
        "日本語",
        "ß\u{e000}Ω",
        "😀.md",
    ] {
        // What differs by case alone is one name.
        let taken = tree
            .walk()
            .any(|it| it.0.to_string().to_lowercase() == format!("/{}", name.to_lowercase()));
        if !taken {
            put(&mut tree, &format!("/{name}"), name.as_bytes());
        }
    }
    for len in [12, 13, 14, 26, 27, 254, 255] {
        put(
            &mut tree,
            &format!("/{}", "n".repeat(len)),
            &[7; 3000][..len],
        );
        put(
            &mut tree,
            &format!("/{}/é", "ü".repeat(len / 2)),
            &noise(len, 70_000),
        );
    }
    assert!(tree.get(&path("/😀.md")).is_some());
    tree
}

#[test]
fn linux_finds_every_name_and_every_byte() {
    if !has_fat() {
        return;
    }
    for (_, options) in crate::writes::all_kinds() {
        for tree in [named(), awkward(), varied(), empty()] {
            let layout = fat::layout(&tree, &options).unwrap();
            walk(&fat::write(&layout, &tree).unwrap(), &tree);
        }
    }
}
