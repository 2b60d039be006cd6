//! A memory that rots, is cut, is shared, and is full.

use super::*;
use nodeimg::want::Memory as _;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

fn key(number: u32) -> Digest {
    Digest::of(&number.to_le_bytes())
}

fn bytes(number: u32) -> Vec<u8> {
    let len = usize::try_from(number * 37 % 4001).unwrap();
    std::iter::repeat_n(number.to_le_bytes(), len)
        .flatten()
        .collect()
}

/// Remembers what is not recalled, and returns how many were.
fn build(folder: &Path, numbers: std::ops::Range<u32>) -> (usize, Vec<PathBuf>) {
    let memory = Memory::new(folder.to_owned());
    let mut recalled = 0;
    for number in numbers {
        let mut out = vec![9];
        match memory.recall(&key(number), &mut out) {
            Some(len) => {
                recalled += 1;
                assert_eq!((len, &out[1..]), (bytes(number).len(), &bytes(number)[..]));
            }
            None => memory.remember(&key(number), &bytes(number)),
        }
        out.truncate(1);
        assert_eq!(
            memory.recall(&key(number), &mut out),
            Some(bytes(number).len())
        );
        assert_eq!(out[1..], bytes(number));
    }
    (recalled, memory.settle())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    files.sort();
    files
}

#[test]
fn what_one_build_remembers_the_next_recalls() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(build(folder.path(), 0..300), (0, vec![]));
    assert_eq!(build(folder.path(), 100..400), (200, vec![]));
    assert_eq!(files(folder.path()).len(), 2);
    assert_eq!(build(folder.path(), 0..400), (400, vec![]));
    assert_eq!(files(folder.path()).len(), 2, "nothing new, no segment");
    let memory = Memory::new(folder.path().to_owned());
    memory.remember(&key(900), &bytes(900));
    memory.settle();
    let len = memory.recall(&key(900), &mut Vec::new());
    assert_eq!(len, Some(bytes(900).len()), "the next build of one process");
}

#[test]
fn every_flipped_bit_and_every_cut_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    build(folder.path(), 0..8);
    let path = files(folder.path()).remove(0);
    let whole = fs::read(&path).unwrap();
    for at in (0..whole.len())
        .step_by(211)
        .chain(whole.len() - 60..whole.len())
    {
        fs::write(&path, &whole).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.write_all_at(&[whole[at] ^ 16], at as u64).unwrap();
        let (_, damaged) = build(folder.path(), 0..8);
        // Nobody reads the first sixteen bytes but together with the index.
        assert!(damaged == [path.clone()] || at < 16, "byte {at}");
        // What was recalled before the damage was met is remembered by the next build.
        build(folder.path(), 0..8);
        assert_eq!(build(folder.path(), 0..8), (8, vec![]));
        for file in files(folder.path()) {
            fs::remove_file(file).unwrap();
        }
        fs::write(&path, &whole[..at]).unwrap();
        assert_eq!(
            build(folder.path(), 0..8),
            (0, vec![path.clone()]),
            "cut at {at}"
        );
        for file in files(folder.path()) {
            fs::remove_file(file).unwrap();
        }
    }
}

#[test]
fn segments_that_vanish_between_any_two_steps_are_made_again() {
    let folder = tempfile::tempdir().unwrap();
    build(folder.path(), 0..50);
    let memory = Memory::new(folder.path().to_owned());
    assert!(memory.recall(&key(3), &mut Vec::new()).is_some());
    fs::remove_dir_all(folder.path()).unwrap();
    assert!(
        memory.recall(&key(4), &mut Vec::new()).is_some(),
        "it is open"
    );
    memory.remember(&key(51), &bytes(51));
    assert_eq!(memory.settle(), [""; 0].map(PathBuf::from));
    assert_eq!(build(folder.path(), 0..52).0, 1);
}

#[test]
fn builds_at_once_do_not_disturb_each_other() {
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for it in 0..4 {
            let folder = folder.path();
            scope.spawn(move || build(folder, it * 10..it * 10 + 100));
        }
    });
    assert_eq!(build(folder.path(), 0..130).0, 130);
}

#[test]
fn what_was_of_no_use_for_longest_is_forgotten_first() {
    let folder = tempfile::tempdir().unwrap();
    let most = 40_000;
    let one = |numbers: std::ops::Range<u32>| {
        let memory = Memory::bounded(folder.path().to_owned(), most);
        let recalled = numbers.filter(|it| {
            let known = memory.recall(&key(*it), &mut Vec::new()).is_some();
            if !known {
                memory.remember(&key(*it), &[7; 1000]);
            }
            known
        });
        let recalled = recalled.count();
        memory.settle();
        recalled
    };
    let taken = || {
        files(folder.path())
            .iter()
            .map(|it| it.metadata().unwrap().len())
            .sum::<u64>()
    };
    one(0..10);
    for round in 1..12 {
        assert_eq!(one(0..10), 10, "what every build uses stays");
        one(round * 10..round * 10 + 10);
        assert!(taken() <= most, "{}", taken());
    }
    assert_eq!(one(10..20), 0);
    // A build that would fill it all keeps half.
    one(1000..2000);
    assert!(taken() <= most, "{}", taken());
}

#[test]
fn a_folder_that_cannot_be_written_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let memory = Memory::new(file.join("grains"));
    assert_eq!(memory.recall(&key(1), &mut Vec::new()), None);
    memory.remember(&key(1), b"x");
    assert_eq!(memory.recall(&key(1), &mut Vec::new()), None);
    assert!(memory.settle().is_empty());
}
