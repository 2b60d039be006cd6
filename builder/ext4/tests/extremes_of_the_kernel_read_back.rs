//! What only the kernel makes, and few volumes have, reads as the kernel shows it: extent trees of many levels, and blocks whose
//! numbers have more than 32 bits.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "tests run the independent tools"
)]

#[path = "support/compare.rs"]
mod compare;
#[path = "support/tools.rs"]
mod tools;

use compare::{Mounted, all_from_host, same};
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use tools::{Scratch, debugfs, must, noise, open};

fn mke2fs(scratch: &Scratch, args: &[&str], size: &str) -> PathBuf {
    let image = scratch.path("image");
    let mut all = vec!["-q", "-F", "-t", "ext4"];
    all.extend(args);
    all.extend([image.to_str().unwrap(), size]);
    must("e2fsprogs", "mke2fs", &all);
    image
}

/// Has something done to a mounted volume, and asserts that it then reads as the kernel shows it.
fn same_once(scratch: &Scratch, image: &Path, change: impl FnOnce(&Path)) {
    {
        let mounted = Mounted::new(scratch, image, "rw");
        change(mounted.path());
    }
    let (got, _) = ext4::read(open(image)).unwrap();
    let mounted = Mounted::new(scratch, image, "ro");
    let want = all_from_host(mounted.path());
    same(&got, &want, "the kernel's view");
}

/// Punches every other of `count` blocks out of a file.
fn punch(file: &Path, block: u64, count: u64) {
    let script = "import ctypes, os, sys\n\
        path, block, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])\n\
        call = ctypes.CDLL(None, use_errno=True).fallocate64\n\
        call.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]\n\
        held = os.open(path, os.O_RDWR)\n\
        for n in range(1, count, 2):\n    assert call(held, 3, n * block, block) == 0, os.strerror(ctypes.get_errno())\n";
    let (block, count) = (block.to_string(), count.to_string());
    let args = ["-c", script, file.to_str().unwrap(), &block, &count];
    must("python3", "python3", &args);
}

#[test]
fn extent_trees_of_two_and_three_levels() {
    let scratch = Scratch::in_memory();
    let image = mke2fs(&scratch, &["-b", "1024", "-g", "8192"], "160M");
    same_once(&scratch, &image, |at| {
        fs::write(at.join("punched"), noise(30 << 20, 1)).unwrap();
        File::open(at.join("punched")).unwrap().sync_all().unwrap();
        punch(&at.join("punched"), 1024, 30 << 10);
        // Further apart than a run is long, and never in one piece.
        let combed = File::create(at.join("combed")).unwrap();
        for i in 0..30_000 {
            combed
                .write_all_at(&noise(1024, 0x80), i * 3072 + 1024)
                .unwrap();
        }
        // Written in the middle of what never was.
        must(
            "util-linux",
            "fallocate",
            &["-l", "9M", at.join("kept").to_str().unwrap()],
        );
        let kept = File::options().write(true).open(at.join("kept")).unwrap();
        for i in 0..2000 {
            kept.write_all_at(&noise(700, 2), i * 4096).unwrap();
        }
    });
    for (file, levels) in [
        ("/punched", " 2/ 2 "),
        ("/combed", " 3/ 3 "),
        ("/kept", " 2/ 2 "),
    ] {
        let text = debugfs(&image, &format!("dump_extents -l {file}"));
        assert!(
            text.contains(levels),
            "{file}: {}",
            text.lines().take(4).collect::<String>()
        );
    }
}

/// As wide as volumes are long: one of 20 TiB, in which the first file lies behind block 2³².
#[test]
fn blocks_whose_numbers_have_more_than_32_bits() {
    let scratch = Scratch::in_memory();
    // Without backups; the seed decides where the first directory goes.
    let special = "nodiscard,lazy_itable_init=1,assume_storage_prezeroed=1,num_backup_sb=0,\
        hash_seed=12345678-9abc-def0-1122-334455667788";
    let args = [
        "-E",
        special,
        "-J",
        "size=4",
        "-O",
        "^resize_inode,sparse_super2",
        "-N",
        "180000",
    ];
    let image = mke2fs(&scratch, &args, "20T");
    same_once(&scratch, &image, |at| {
        for i in 1..20 {
            let dir = at.join(format!("d{i}"));
            fs::create_dir(&dir).unwrap();
            fs::write(dir.join("f"), noise(300_000, 1)).unwrap();
            std::os::unix::fs::symlink("t".repeat(100), dir.join("link")).unwrap();
            let combed = File::create(dir.join("combed")).unwrap();
            for n in 0..9 {
                combed.write_all_at(&noise(5000, 3), n << 18).unwrap();
            }
            let value = "v".repeat(500);
            must(
                "attr",
                "setfattr",
                &["-n", "user.long", "-v", &value, dir.to_str().unwrap()],
            );
        }
    });
    let script = scratch.path("script");
    fs::write(
        &script,
        "bmap /d1/f 0\nbmap /d1 0\nimap /d1/f\nbmap /d1/link 0\nstat /d1\ndump_extents -n /d1/combed\n",
    )
    .unwrap();
    let text = must(
        "e2fsprogs",
        "debugfs",
        &["-f", script.to_str().unwrap(), image.to_str().unwrap()],
    );
    // Of data, a directory, an inode's table, a link, attributes, a node of an extent tree.
    let answers: Vec<&str> = text.split("debugfs: ").skip(1).collect();
    for (what, answer) in [
        "bmap /d1/f",
        "bmap /d1 ",
        "imap",
        "bmap /d1/link",
        "stat",
        "dump_extents",
    ]
    .into_iter()
    .zip(answers)
    {
        assert!(answer.starts_with(what), "{what}: {answer}");
        let text = answer.split("File ACL:").last().unwrap();
        let first = text.split("Links:").next().unwrap();
        let numbers = first.split(|it: char| !it.is_ascii_digit());
        let mut blocks = numbers.filter_map(|it| it.parse::<u64>().ok());
        assert!(
            blocks.any(|it| it > 1 << 32 && it < 5 << 30),
            "{what}: {text}"
        );
    }
}
