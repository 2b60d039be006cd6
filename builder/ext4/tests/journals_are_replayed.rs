//! A volume with a full journal reads as the volume that `e2fsck` makes of it.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "tests run the independent tools"
)]

#[path = "support/compare.rs"]
mod compare;
#[path = "support/tools.rs"]
mod tools;

use compare::{Mounted, dump, same};
use std::path::{Path, PathBuf};
use tools::{Scratch, must, noise, open, run};

const SIZE: &str = "24M";

fn mke2fs(scratch: &Scratch, args: &[&str]) -> PathBuf {
    let image = scratch.path("image");
    let folder = scratch.path("folder");
    std::fs::create_dir_all(folder.join("d")).unwrap();
    std::fs::write(folder.join("d/f"), noise(50_000, 1)).unwrap();
    let mut all = vec!["-q", "-F", "-t", "ext4", "-d", folder.to_str().unwrap()];
    all.extend(args);
    all.extend([image.to_str().unwrap(), SIZE]);
    must("e2fsprogs", "mke2fs", &all);
    image
}

/// Compares what we see of a volume with what there is once `e2fsck` has emptied its journal.
fn same_as_e2fsck(scratch: &Scratch, image: &Path, what: &str) -> String {
    let before = std::fs::read(image).unwrap();
    let (ours, _) = ext4::read(open(image)).unwrap_or_else(|it| panic!("{what}: {it}"));
    assert_eq!(std::fs::read(image).unwrap(), before);
    let theirs = scratch.path("replayed");
    std::fs::copy(image, &theirs).unwrap();
    let output = run(
        "e2fsprogs",
        "e2fsck",
        &["-fy", "-E", "journal_only", theirs.to_str().unwrap()],
    );
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.code().is_some_and(|it| it < 4),
        "{what}: {text}"
    );
    let (theirs, _) = ext4::read(open(&theirs)).unwrap();
    same(&ours, &theirs, what);
    dump(&ours)
}

/// Writes transactions into the journal that put block `with` where block `at` is.
fn log(scratch: &Scratch, image: &Path, script: &str) {
    let commands = scratch.path("commands");
    std::fs::write(&commands, script).unwrap();
    must(
        "e2fsprogs",
        "debugfs",
        &[
            "-w",
            "-f",
            commands.to_str().unwrap(),
            image.to_str().unwrap(),
        ],
    );
}

/// Takes the feature out of a journal that this `debugfs` wrongly adds to checksums of versions 2 and 3.
fn without_first_checksums(image: &Path) {
    let mut bytes = std::fs::read(image).unwrap();
    let head = [0xc0, 0x3b, 0x39, 0x98, 0, 0, 0, 4];
    let at = (0..bytes.len())
        .step_by(1024)
        .find(|it| bytes[*it..].starts_with(&head))
        .unwrap();
    let superblock = &mut bytes[at..at + 1024];
    superblock[0x24..0x28].fill(0);
    superblock[0xfc..0x100].fill(0);
    let sum = !crc32c::crc32c(superblock);
    superblock[0xfc..0x100].copy_from_slice(&sum.to_be_bytes());
    std::fs::write(image, bytes).unwrap();
}

fn block_of(image: &Path, file: &str) -> u64 {
    let text = tools::debugfs(image, &format!("bmap {file} 0"));
    text.lines().find_map(|it| it.trim().parse().ok()).unwrap()
}

#[test]
fn with_every_checksum_and_width() {
    for (features, open_as) in [
        (&["-O", "^64bit,^metadata_csum"][..], "jo"),
        (&["-O", "64bit,^metadata_csum"][..], "jo"),
        (&["-O", "64bit,metadata_csum"][..], "jo -c"),
        (
            &["-O", "64bit,^metadata_csum", "-b", "4096"][..],
            "jo -c -v 2",
        ),
        (&["-O", "^64bit,^metadata_csum"][..], "jo -c -v 3"),
    ] {
        let scratch = Scratch::new();
        let image = mke2fs(&scratch, features);
        let clean = dump(&ext4::read(open(&image)).unwrap().0);
        let block = block_of(&image, "/d/f");
        let (new, other) = (scratch.path("new"), scratch.path("other"));
        std::fs::write(&new, noise(4096 * 4, 0x80)).unwrap();
        // A block that begins like one of the journal's own must be escaped.
        let escaped = [&[0xc0, 0x3b, 0x39, 0x98][..], &noise(4092 * 4, 0x80)].concat();
        std::fs::write(&other, escaped).unwrap();
        let script = format!(
            "{open_as}\njw -b {block},{} {new}\njw -b {} {other}\njw -r {}\njw -b {} {new}\njc\n",
            block + 1,
            block + 2,
            block + 1,
            block + 3,
            new = new.display(),
            other = other.display(),
        );
        log(&scratch, &image, &script);
        if open_as.contains("-v") {
            without_first_checksums(&image);
        }
        let dirty = same_as_e2fsck(&scratch, &image, &format!("{features:?} {open_as}"));
        assert_ne!(dirty, clean, "{features:?}: nothing was replayed");
    }
}

#[test]
fn of_a_volume_that_was_copied_while_mounted() {
    for features in [
        &["-O", "64bit,metadata_csum"][..],
        &["-O", "^64bit,^metadata_csum", "-b", "1024"][..],
    ] {
        let scratch = Scratch::new();
        let image = mke2fs(&scratch, features);
        let copy = scratch.path("copy");
        {
            let mounted = Mounted::new(&scratch, &image, "rw");
            let at = |name: &str| mounted.path().join(name);
            for i in 0..300 {
                std::fs::write(at(&format!("d/new {i}")), noise(i * 10, 1)).unwrap();
            }
            std::fs::create_dir_all(at("e/f/g")).unwrap();
            let held = std::fs::File::create(at("d/deleted but open")).unwrap();
            held.set_len(100_000).unwrap();
            std::fs::remove_file(at("d/deleted but open")).unwrap();
            for i in 0..100 {
                std::fs::remove_file(at(&format!("d/new {i}"))).unwrap();
            }
            must(
                "coreutils",
                "sync",
                &["-f", mounted.path().to_str().unwrap()],
            );
            std::fs::copy(&image, &copy).unwrap();
            drop(held);
        }
        let text = same_as_e2fsck(&scratch, &copy, &format!("{features:?}"));
        assert_eq!(text.matches("/d/new").count(), 200);
        assert!(!text.contains("deleted"));
    }
}

#[test]
fn unless_something_is_wrong() {
    let scratch = Scratch::new();
    let image = mke2fs(&scratch, &[]);
    let block = block_of(&image, "/d/f");
    let new = scratch.path("new");
    std::fs::write(&new, noise(4096, 0x80)).unwrap();
    log(
        &scratch,
        &image,
        &format!("jo -c\njw -b {block} {}\njc\n", new.display()),
    );
    let mut bytes = std::fs::read(&image).unwrap();
    let logged = noise(1024, 0x80);
    let at = bytes.windows(1024).position(|it| it == logged).unwrap();
    bytes[at + 5] ^= 1;
    std::fs::write(&image, bytes).unwrap();
    let error = ext4::read(open(&image)).unwrap_err().to_string();
    assert!(
        error.contains("journal") && error.contains("checksum"),
        "{error}"
    );
}

/// Changes the blocks of the journal, its superblock the first; blocks are of 1,024 bytes and stand together.
fn edit(image: &Path, change: impl FnOnce(&mut [&mut [u8]])) {
    let mut bytes = std::fs::read(image).unwrap();
    let head = [0xc0, 0x3b, 0x39, 0x98, 0, 0, 0, 4];
    let mut blocks: Vec<&mut [u8]> = bytes
        .chunks_mut(1024)
        .skip_while(|it| !it.starts_with(&head))
        .collect();
    change(&mut blocks);
    std::fs::write(image, bytes).unwrap();
}

/// Makes a volume with two transactions in its journal, four blocks of 1,024 bytes in each of descriptor, two blocks, commit.
fn twice_logged(scratch: &Scratch, features: &str, open_as: &str) -> PathBuf {
    let image = mke2fs(scratch, &["-O", features, "-b", "1024"]);
    let block = block_of(&image, "/d/f");
    let (one, other) = (scratch.path("one"), scratch.path("other"));
    std::fs::write(&one, noise(2048, 0x80)).unwrap();
    std::fs::write(&other, noise(2048, 1)[7..].repeat(2)).unwrap();
    let script = format!(
        "{open_as}\njw -b {block},{} {}\njw -b {},{} {}\njc\n",
        block + 5,
        one.display(),
        block + 1,
        block + 5,
        other.display(),
    );
    log(scratch, &image, &script);
    image
}

/// Returns the digest of the file in a volume whose journal was changed so, which `e2fsck` reads alike.
fn changed(features: &str, open_as: &str, change: impl FnOnce(&mut [&mut [u8]])) -> String {
    let scratch = Scratch::in_memory();
    let image = twice_logged(&scratch, features, open_as);
    edit(&image, change);
    let text = same_as_e2fsck(&scratch, &image, &format!("{features} {open_as}"));
    let line = text.lines().find(|it| it.ends_with(" /d/f")).unwrap();
    line.split(' ').nth(4).unwrap().to_owned()
}

#[test]
fn up_to_a_transaction_that_was_cut_off() {
    for (features, open_as) in [("metadata_csum", "jo -c"), ("^metadata_csum", "jo")] {
        let whole = changed(features, open_as, |_| ());
        let first = changed(features, open_as, |it| it[8].fill(0));
        // Neither all blocks of the last transaction nor its commit reached the disk.
        let torn = changed(features, open_as, |it| {
            it[7][0] ^= 1;
            it[8].fill(0);
        });
        assert_eq!(torn, first);
        assert_ne!(first, whole);
        let none = changed(features, open_as, |it| it[4].fill(0));
        assert_ne!(first, none);
    }
}

#[test]
fn up_to_blocks_of_an_older_journal() {
    let first = changed("metadata_csum", "jo -c", |it| it[8].fill(0));
    // A right number, a wrong checksum and an earlier time: what was there before the volume was made.
    let stale = changed("metadata_csum", "jo -c", |it| {
        it[5][100] ^= 1;
        it[8][0x30..0x38].fill(0);
    });
    assert_eq!(stale, first);
}

#[test]
fn but_not_one_that_was_given_up() {
    let scratch = Scratch::in_memory();
    let image = twice_logged(&scratch, "^metadata_csum", "jo");
    edit(&image, |it| it[0][0x23] = 5);
    let error = ext4::read(open(&image)).unwrap_err().to_string();
    assert!(
        error.contains("given up") && error.contains("e2fsck"),
        "{error}"
    );
}

/// Before there were features, and numbers of version.
#[test]
fn of_the_first_version() {
    let features = "^64bit,^metadata_csum";
    let whole = changed(features, "jo", |_| ());
    let first = changed(features, "jo", |it| {
        it[0][7] = 3;
        it[0][0x24..].fill(0);
    });
    assert_eq!(first, whole);
    let cut_off = changed(features, "jo", |it| {
        it[0][7] = 3;
        it[0][0x24..].fill(0);
        it[8].fill(0);
    });
    assert_ne!(cut_off, whole);
}

/// Moves the blocks of the log on by `by`, those at its end to its start, as if so many had been written before.
fn move_on(journal: &mut [&mut [u8]], by: usize) {
    let word = |b: &[u8], at: usize| u32::from_be_bytes(b[at..at + 4].try_into().unwrap());
    let place = |it: u32| usize::try_from(it).unwrap();
    let (len, first) = (place(word(journal[0], 0x10)), place(word(journal[0], 0x14)));
    let log: Vec<Vec<u8>> = journal[first..len].iter().map(|it| it.to_vec()).collect();
    let span = log.len();
    for (n, block) in log.iter().enumerate() {
        journal[first + (n + by) % span].copy_from_slice(block);
    }
    let superblock = &mut *journal[0];
    let start = first + (place(word(superblock, 0x1c)) - first + by) % span;
    superblock[0x1c..0x20].copy_from_slice(&u32::try_from(start).unwrap().to_be_bytes());
    if word(superblock, 0x28) & 0x18 != 0 {
        superblock[0xfc..0x100].fill(0);
        let sum = !crc32c::crc32c(superblock);
        superblock[0xfc..0x100].copy_from_slice(&sum.to_be_bytes());
    }
}

/// The log is a ring: a transaction may end where the log begins, wherever it is cut by that.
#[test]
fn around_the_end_of_the_log() {
    for (features, open_as) in [("metadata_csum", "jo -c"), ("^metadata_csum,^64bit", "jo")] {
        let whole = changed(features, open_as, |_| ());
        // Two transactions of four blocks: none of them, some, and all are before the end.
        for before in 0..=9 {
            let wrapped = changed(features, open_as, |it| {
                let span =
                    usize::try_from(u32::from_be_bytes(it[0][0x10..0x14].try_into().unwrap()))
                        .unwrap()
                        - 1;
                move_on(it, span - before);
            });
            assert_eq!(wrapped, whole, "{features}: {before} blocks before the end");
        }
    }
}

/// What a transaction does: a letter that fills the blocks it writes, these, and those that it revokes; blocks of a file.
type Transaction = (u8, &'static [u64], &'static [u64]);

/// Returns the letters that the first blocks of a file are filled with once transactions are replayed: `.` for what was there.
fn letters(features: &str, open_as: &str, transactions: &[Transaction]) -> String {
    let scratch = Scratch::in_memory();
    let image = mke2fs(&scratch, &["-O", features, "-b", "1024"]);
    let block = block_of(&image, "/d/f");
    let mut script = format!("{open_as}\n");
    for (letter, writes, revokes) in transactions {
        let file = scratch.path(&format!("{letter}"));
        std::fs::write(&file, vec![*letter; 4096]).unwrap();
        let list = |of: &[u64]| {
            let all: Vec<String> = of.iter().map(|it| (block + it).to_string()).collect();
            all.join(",")
        };
        script += "jw";
        if !revokes.is_empty() {
            script += &format!(" -r {}", list(revokes));
        }
        if !writes.is_empty() {
            script += &format!(" -b {} {}", list(writes), file.display());
        }
        script += "\n";
    }
    log(&scratch, &image, &(script + "jc\n"));
    same_as_e2fsck(&scratch, &image, &format!("{features} {transactions:?}"));
    let (tree, _) = ext4::read(open(&image)).unwrap();
    let content = tree
        .content(&tools::path("/d/f"))
        .unwrap()
        .read_all(1 << 20)
        .unwrap();
    let original = noise(50_000, 1);
    let letter = |n: usize| {
        let at = n * 1024..(n + 1) * 1024;
        if content[at.clone()] == original[at.clone()] {
            return '.';
        }
        let letter = content[at.start];
        assert!(content[at].iter().all(|it| *it == letter));
        char::from(letter)
    };
    (0..5).map(letter).collect()
}

/// A revocation takes back what transactions before it wrote, not what those after it write.
#[test]
fn but_for_blocks_that_were_revoked() {
    for (features, open_as) in [
        ("^metadata_csum,^64bit", "jo"),
        ("metadata_csum,64bit", "jo -c"),
    ] {
        for (transactions, want) in [
            (&[(b'a', &[0, 1][..], &[][..])][..], "aa..."),
            (&[(b'a', &[0, 1], &[]), (b'b', &[], &[0])], ".a..."),
            (&[(b'a', &[0, 1], &[]), (b'b', &[2], &[0, 1])], "..b.."),
            (
                &[(b'a', &[0, 1], &[]), (b'b', &[], &[0]), (b'c', &[0], &[])],
                "ca...",
            ),
            (&[(b'a', &[], &[0, 4]), (b'b', &[0, 3], &[])], "b..b."),
            // Of one transaction the revocation counts, whichever stands first.
            (&[(b'a', &[0, 1], &[0])], ".a..."),
            (
                &[
                    (b'a', &[0], &[]),
                    (b'b', &[0, 2], &[]),
                    (b'c', &[], &[0]),
                    (b'd', &[3], &[2]),
                ],
                "...d.",
            ),
            (
                &[
                    (b'a', &[0], &[]),
                    (b'b', &[], &[0]),
                    (b'c', &[0], &[]),
                    (b'd', &[], &[0, 1]),
                    (b'e', &[1], &[]),
                ],
                ".e...",
            ),
        ] {
            let got = letters(features, open_as, transactions);
            assert_eq!(got, want, "{features}: {transactions:?}");
        }
    }
}
