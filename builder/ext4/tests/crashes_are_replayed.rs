//! A volume on which the kernel was stopped in the middle of its work reads as the kernel itself finds it afterwards.

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
use compare::{Mounted, all_from_host, dump, same};
use fstree::{FileTree, Node, Timestamp};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use tools::{Scratch, must, noise, open};

/// How a volume is made and mounted.
const VOLUMES: &[(&[&str], &str)] = &[
    (&["-O", "metadata_csum,64bit"], "rw"),
    (&["-O", "^metadata_csum,^64bit", "-b", "1024"], "rw"),
    // Checksums of the first version.
    (&["-O", "^metadata_csum"], "rw,journal_checksum"),
    (
        &["-O", "^metadata_csum"],
        "rw,data=writeback,journal_async_commit",
    ),
    (
        &["-O", "metadata_csum"],
        "rw,data=writeback,journal_async_commit",
    ),
    (&["-O", "metadata_csum", "-b", "1024"], "rw,data=journal"),
    (&["-O", "orphan_file,metadata_csum"], "rw"),
    (&["-O", "orphan_file,^metadata_csum", "-b", "2048"], "rw"),
    (&["-O", "inline_data,metadata_csum", "-I", "512"], "rw"),
    (&["-O", "^extent,^64bit,^metadata_csum", "-b", "1024"], "rw"),
    (&["-t", "ext3", "-b", "1024"], "rw"),
];

const FAST: &[(&[&str], &str)] = &[
    (&["-O", "fast_commit,metadata_csum", "-b", "1024"], "rw"),
    (
        &["-O", "fast_commit,metadata_csum,64bit", "-I", "1024"],
        "rw",
    ),
    (&["-O", "fast_commit,^metadata_csum", "-I", "128"], "rw"),
    (&["-O", "fast_commit,inline_data", "-b", "2048"], "rw"),
    (&["-O", "fast_commit,orphan_file,ea_inode"], "rw"),
];

/// What there is below a mounted volume, as the one who changes it knows it.
struct Worker {
    dirs: Vec<PathBuf>,
    files: Vec<PathBuf>,
    /// Files that stay open until the end.
    held: Vec<File>,
    next: u32,
}

impl Worker {
    fn new(root: &Path) -> Self {
        Self {
            dirs: vec![root.to_path_buf()],
            files: Vec::new(),
            held: Vec::new(),
            next: 0,
        }
    }

    fn fresh(&mut self, rng: &mut Rng) -> PathBuf {
        self.next += 1;
        let long = "n".repeat(rng.below(60));
        rng.pick(&self.dirs).join(format!("{}{long}", self.next))
    }

    /// Does one thing; `fast` leaves out what is never part of a fast commit.
    fn step(&mut self, rng: &mut Rng, fast: bool) {
        let what = rng.below(if fast { 75 } else { 100 });
        if what < 30 || self.files.is_empty() {
            let at = self.fresh(rng);
            let file = File::create(&at).unwrap();
            file.write_all_at(&noise(rng.below(40_000), 1), 0).unwrap();
            sync(&file, rng);
            self.files.push(at);
            return;
        }
        let n = rng.below(self.files.len());
        let file = || {
            let mut options = OpenOptions::new();
            options.read(true).write(true);
            options.open(&self.files[n]).unwrap()
        };
        match what {
            30..38 => {
                let file = file();
                file.write_all_at(&noise(rng.below(20_000), 0x80), rng.long(300_000))
                    .unwrap();
                sync(&file, rng);
            }
            38..45 => {
                let file = file();
                file.set_len(rng.long(60_000)).unwrap();
                sync(&file, rng);
            }
            45..56 => {
                let at = self.files.swap_remove(n);
                if !fast && rng.below(3) == 0 {
                    self.held.push(File::open(&at).unwrap());
                }
                fs::remove_file(at).unwrap();
            }
            56..63 => {
                let (from, to) = (self.files.swap_remove(n), self.fresh(rng));
                fs::rename(from, &to).unwrap();
                self.files.push(to);
            }
            63..70 => {
                let (from, to) = (self.files[n].clone(), self.fresh(rng));
                fs::hard_link(from, &to).unwrap();
                self.files.push(to);
            }
            70..78 => {
                let at = self.fresh(rng);
                fs::create_dir(&at).unwrap();
                self.dirs.push(at);
            }
            78..84 => {
                let at = self.fresh(rng);
                std::os::unix::fs::symlink("t".repeat(1 + rng.below(200)), at).unwrap();
            }
            84..90 => {
                let file = file();
                self.held.push(file.try_clone().unwrap());
                file.set_len(rng.long(9000)).unwrap();
            }
            90..96 => {
                let value = "v".repeat(rng.below(300));
                let at = self.files[n].to_str().unwrap();
                must("attr", "setfattr", &["-n", "user.test", "-v", &value, at]);
            }
            _ => {
                let root = self.dirs[0].to_str().unwrap();
                must("coreutils", "sync", &["-f", root]);
            }
        }
    }
}

fn sync(file: &File, rng: &mut Rng) {
    if rng.below(2) == 0 {
        file.sync_all().unwrap();
    }
}

/// Makes a volume, works on it, and stops in the middle.
fn crashed(
    scratch: &Scratch,
    rng: &mut Rng,
    (args, how): (&[&str], &str),
    steps: usize,
) -> PathBuf {
    let fast = args[1].contains("fast_commit");
    let image = scratch.path("image");
    // This kernel cannot read an area of fast commits that is full.
    let size = if fast {
        "size=4,fast_commit_size=1024"
    } else {
        "size=4"
    };
    let mut all = vec!["-q", "-F", "-J", size, "-N", "2000"];
    if args[0] != "-t" {
        all.extend(["-t", "ext4"]);
    }
    all.extend(args);
    all.extend([image.to_str().unwrap(), "24M"]);
    must("e2fsprogs", "mke2fs", &all);
    let mounted = Mounted::new(scratch, &image, how);
    let mut worker = Worker::new(mounted.path());
    for _ in 0..rng.below(steps) {
        worker.step(rng, false);
    }
    must(
        "coreutils",
        "sync",
        &["-f", mounted.path().to_str().unwrap()],
    );
    for _ in 0..rng.below(steps) {
        worker.step(rng, fast);
    }
    mounted.crash();
    // Files that are held open keep it mounted.
    drop(worker);
    image
}

/// Takes out what the kernel sets when it carries out fast commits: times of directories.
fn without_times(tree: &mut FileTree) {
    let paths: Vec<_> = tree
        .walk()
        .filter(|it| matches!(it.1, Node::Dir(_)))
        .map(|it| it.0)
        .collect();
    for at in paths.iter().chain([&fstree::ImgPath::root()]) {
        tree.meta_mut(at).unwrap().mtime = Timestamp::default();
    }
}

/// Compares what we see of a volume with what the kernel sees once it has mounted it; `None` if the kernel fails to carry
/// out its own fast commits, as it sometimes does.
fn same_as_the_kernel(scratch: &Scratch, image: &Path, fast: bool, what: &str) -> Option<String> {
    let (mut ours, _) = ext4::read(open(image)).unwrap_or_else(|it| panic!("{what}: {it}"));
    let theirs = scratch.path("theirs");
    fs::copy(image, &theirs).unwrap();
    let mounted = match Mounted::try_new(scratch, &theirs, "rw") {
        Ok(mounted) => mounted,
        Err(_) if fast => return None,
        Err(text) => panic!("{what}: {text}"),
    };
    let mut seen = all_from_host(mounted.path());
    if fast {
        without_times(&mut ours);
        without_times(&mut seen);
    }
    same(&ours, &seen, what);
    Some(dump(&ours))
}

#[test]
fn whatever_the_journal() {
    each_case("whatever_the_journal", 22, |case, rng| {
        let volume = VOLUMES[case % VOLUMES.len()];
        let scratch = Scratch::in_memory();
        let image = crashed(&scratch, rng, volume, 120);
        same_as_the_kernel(&scratch, &image, false, &format!("{volume:?}"));
    });
}

#[test]
fn fast_commits() {
    let (mut replayed, mut failed) = (0, 0);
    let cases = each_case("fast_commits", 10, |case, rng| {
        let volume = FAST[case % FAST.len()];
        let scratch = Scratch::in_memory();
        let image = crashed(&scratch, rng, volume, 30);
        let Some(text) = same_as_the_kernel(&scratch, &image, true, &format!("{volume:?}")) else {
            failed += 1;
            return;
        };
        // Without the head of the fast commits there are none.
        let mut bytes = fs::read(&image).unwrap();
        let heads: Vec<usize> = (0..bytes.len())
            .step_by(1024)
            .filter(|it| bytes[*it..].starts_with(&[9, 0, 8, 0, 0, 0, 0, 0]))
            .collect();
        for at in heads {
            bytes[at] = 0;
        }
        let (mut before, _) = ext4::read(std::sync::Arc::new(bytes)).unwrap();
        without_times(&mut before);
        replayed += usize::from(dump(&before) != text);
    });
    assert!(
        cases < 10 || replayed > failed,
        "{replayed} volumes had fast commits, {failed} were none the kernel could read"
    );
}
