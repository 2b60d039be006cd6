//! A cache that rots, is shared, and is interrupted.

use super::*;
use fstree::ReadAt;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::sync::atomic::{AtomicUsize, Ordering};

fn source(len: usize) -> Vec<u8> {
    (0..len).map(|it| u8::try_from(it % 251).unwrap()).collect()
}

fn bytes(source: &dyn ReadAt) -> io::Result<Vec<u8>> {
    let mut buf = vec![0; usize::try_from(source.size()).unwrap()];
    source.read_exact_at(&mut buf, 0).map(|()| buf)
}

fn file_below(folder: &Path) -> PathBuf {
    let mut path = folder.to_owned();
    while path.is_dir() {
        path = fs::read_dir(&path)
            .unwrap()
            .next()
            .expect("a file")
            .unwrap()
            .path();
    }
    path
}

fn flip(path: &Path, at: u64) {
    fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 4], at).unwrap();
}

/// Changes a file that was opened just now.
fn flip_in_use(path: &Path) {
    // The clock of a file system may tick slowly.
    std::thread::sleep(std::time::Duration::from_millis(20));
    flip(path, 100);
}

/// Derives 1 MiB of data, 3 MiB of zeros (half of them written), and 100 bytes.
fn derive(cache: &Cache, made: &AtomicUsize) -> Result<Arc<Sealed>> {
    cache.derive("unxz v1 of 9c0e", &mut |out| {
        made.fetch_add(1, Ordering::SeqCst);
        out.write_all_at(&source(1 << 20), 0)?;
        out.write_all_at(&vec![0; 3 << 19], 1 << 20)?;
        out.write_all_at(&[1; 100], 4 << 20)?;
        Ok((4 << 20) + 100)
    })
}

fn derived() -> Vec<u8> {
    [source(1 << 20), vec![0; 3 << 20], vec![1; 100]].concat()
}

#[test]
fn inputs_come_back_and_rotten_ones_do_not() {
    let root = tempfile::tempdir().unwrap();
    let digest = Cache::new(root.path()).insert(&source(5000)).unwrap();
    let cache = Cache::new(root.path());
    assert_eq!(
        bytes(&cache.open(digest).unwrap().unwrap()).unwrap(),
        source(5000)
    );
    assert!(cache.has(digest, Some(5000)) && !cache.has(digest, Some(1)));
    let path = cache.input(digest);
    flip(&path, 4000);
    let cache = Cache::new(root.path());
    assert!(cache.open(digest).unwrap().is_none());
    assert!(!path.exists() && cache.take_damaged() == [path] && cache.take_damaged().is_empty());
    assert_eq!(cache.insert(&source(5000)).unwrap(), digest);
    assert!(cache.open(Digest::of(b"")).unwrap().is_none());
}

#[test]
fn a_large_input_is_verified_where_it_is_read() {
    let root = tempfile::tempdir().unwrap();
    let all = source((17 << 20) + 5);
    let digest = Digest::of(&all);
    let download = root.path().join("x");
    let adopted = |cache: &Cache| {
        fs::write(&download, &all).unwrap();
        cache.adopt(&download, digest).unwrap().unwrap();
    };
    adopted(&Cache::new(root.path()));
    let by_chunks = |cache: &Cache| {
        let input = cache.open(digest).unwrap().unwrap();
        assert!(matches!(*input, Input::ByChunks(_)), "{input:?}");
        input
    };
    assert_eq!(bytes(&by_chunks(&Cache::new(root.path()))).unwrap(), all);
    // Any range, whatever was read before.
    let input = by_chunks(&Cache::new(root.path()));
    for (at, len) in [
        (65_530, 10),
        (100, 1),
        (10, 300_000),
        (0, 65_536),
        (all.len() - 9, 9),
    ] {
        let mut buf = vec![0; len];
        input.read_exact_at(&mut buf, at as u64).unwrap();
        assert_eq!(buf, all[at..at + len], "{len} bytes at {at}");
    }
    assert!(
        input
            .read_exact_at(&mut [0; 2], all.len() as u64 - 1)
            .is_err()
    );
    // One that was put there by hand, or whose chunks nobody remembers, is hashed, and its chunks are kept again.
    fs::remove_dir_all(root.path().join("derived")).unwrap();
    let whole = Cache::new(root.path()).open(digest).unwrap().unwrap();
    assert!(matches!(*whole, Input::Hashed(_)), "{whole:?}");

    let path = Cache::new(root.path()).input(digest);
    flip(&path, 5 << 20);
    let cache = Cache::new(root.path());
    let input = by_chunks(&cache);
    let mut buf = [0; 100];
    input.read_exact_at(&mut buf, (5 << 20) - 70_000).unwrap();
    assert!(path.exists() && cache.check_again().is_ok());
    let error = input.read_exact_at(&mut buf, (5 << 20) + 10).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(!path.exists() && cache.check_again().is_err() && cache.take_spoiled());
    assert!(cache.take_damaged() == [path.clone()] && cache.open(digest).unwrap().is_none());
    adopted(&cache);
    assert!(cache.open(digest).unwrap().is_some() && !cache.take_spoiled());

    // One that is cut, or has more behind it, is not here at all.
    for len in [all.len() as u64 - 1, all.len() as u64 + 1] {
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(len).unwrap();
        let cache = Cache::new(root.path());
        assert!(
            cache.open(digest).unwrap().is_none() && !path.exists(),
            "{len}"
        );
        adopted(&cache);
    }
    // What is kept of the chunks may rot too: then all of the input is hashed.
    flip(&file_below(&root.path().join("derived")), 100);
    let whole = Cache::new(root.path()).open(digest).unwrap().unwrap();
    assert!(matches!(*whole, Input::Hashed(_)), "{whole:?}");
    by_chunks(&Cache::new(root.path()));
}

#[test]
fn a_download_is_adopted_only_if_it_is_what_it_should_be() {
    let root = tempfile::tempdir().unwrap();
    let cache = Cache::new(root.path());
    let download = root.path().join("x");
    fs::write(&download, "abc").unwrap();
    let wrong = cache.adopt(&download, Digest::of(b"abd")).unwrap();
    assert_eq!(wrong.unwrap_err(), Digest::of(b"abc"));
    assert!(download.exists() && cache.open(Digest::of(b"abd")).unwrap().is_none());
    assert!(cache.adopt(&download, Digest::of(b"abc")).unwrap().is_ok());
    assert!(
        !download.exists()
            && Cache::new(root.path())
                .open(Digest::of(b"abc"))
                .unwrap()
                .is_some()
    );
}

#[test]
fn what_is_derived_is_made_once_and_keeps_its_holes() {
    let (root, made) = (tempfile::tempdir().unwrap(), AtomicUsize::new(0));
    for _ in 0..3 {
        let sealed = derive(&Cache::new(root.path()), &made).unwrap();
        assert_eq!(bytes(&sealed).unwrap(), derived());
        assert_eq!(sealed.next_data(0).unwrap(), Some(0..1 << 20));
        assert_eq!(
            sealed.next_data(1 << 20).unwrap(),
            Some(4 << 20..(4 << 20) + 100)
        );
        assert_eq!(
            sealed.next_data((4 << 20) + 5).unwrap(),
            Some((4 << 20) + 5..(4 << 20) + 100)
        );
        assert_eq!(sealed.next_data((4 << 20) + 100).unwrap(), None);
        let mut across = [9; 10];
        sealed.read_exact_at(&mut across, (4 << 20) - 5).unwrap();
        assert_eq!(across, [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]);
        assert!(sealed.read_exact_at(&mut across, (4 << 20) + 91).is_err());
        assert!(sealed.read_exact_at(&mut across, u64::MAX).is_err());
    }
    assert_eq!(made.load(Ordering::SeqCst), 1);
    let blocks = fs::metadata(file_below(&root.path().join("derived")))
        .unwrap()
        .blocks();
    assert!(
        blocks * 512 < 2 << 20,
        "{blocks} blocks of 512 B: zeros take no room"
    );
}

#[test]
fn a_rotten_chunk_fails_when_it_is_touched_and_is_made_again() {
    let (root, made) = (tempfile::tempdir().unwrap(), AtomicUsize::new(0));
    derive(&Cache::new(root.path()), &made).unwrap();
    let path = file_below(&root.path().join("derived"));
    flip(&path, 1000);
    let sealed = derive(&Cache::new(root.path()), &made).unwrap();
    assert_eq!(made.load(Ordering::SeqCst), 1, "its seal is whole");
    let mut buf = [0; 4];
    sealed.read_exact_at(&mut buf, 4 << 20).unwrap();
    let error = sealed.read_exact_at(&mut buf, 0).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    assert!(
        error.to_string().contains(path.to_str().unwrap()),
        "{error}"
    );
    assert_eq!(cause.as_deref(), Some("the file is damaged"));
    assert_eq!(
        bytes(&derive(&Cache::new(root.path()), &made).unwrap()).unwrap(),
        derived()
    );
    assert_eq!(made.load(Ordering::SeqCst), 2);
}

#[test]
fn a_broken_seal_or_a_cut_file_is_made_again() {
    let (root, made) = (tempfile::tempdir().unwrap(), AtomicUsize::new(0));
    derive(&Cache::new(root.path()), &made).unwrap();
    let path = file_below(&root.path().join("derived"));
    let len = fs::metadata(&path).unwrap().len();
    for round in 1..=3 {
        match round {
            1 => flip(&path, len - 1),
            2 => flip(&path, len - 60),
            _ => File::options()
                .write(true)
                .open(&path)
                .unwrap()
                .set_len(len - 10)
                .unwrap(),
        }
        let cache = Cache::new(root.path());
        assert_eq!(bytes(&derive(&cache, &made).unwrap()).unwrap(), derived());
        assert_eq!(
            (cache.take_damaged().len(), made.load(Ordering::SeqCst)),
            (1, 1 + round)
        );
    }
}

#[test]
fn every_flipped_bit_of_a_small_sealed_file_is_found() {
    let root = tempfile::tempdir().unwrap();
    let make = || {
        Cache::new(root.path()).derive("k", &mut |out| out.write_all_at(b"content", 0).map(|()| 7))
    };
    make().unwrap();
    let path = file_below(&root.path().join("derived"));
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut bad = whole.clone();
        bad[at] ^= 1;
        fs::write(&path, &bad).unwrap();
        let open = |key| Sealed::open(FileAt::open(&path).unwrap(), &path, key, &Arc::default());
        let sealed = open("k");
        assert!(sealed.and_then(|it| bytes(&it)).is_err(), "byte {at}");
        fs::write(&path, &whole[..at]).unwrap();
        assert!(open("k").is_err(), "cut at {at}");
    }
    fs::write(&path, &whole).unwrap();
    let file = FileAt::open(&path).unwrap();
    assert!(Sealed::open(file, &path, "other key", &Arc::default()).is_err());
}

#[test]
fn what_changes_while_it_is_used_is_found_deleted_and_made_anew() {
    let (root, made) = (tempfile::tempdir().unwrap(), AtomicUsize::new(0));
    let cache = Cache::new(root.path());
    let digest = cache.insert(&source(5000)).unwrap();
    let derived = derive(&cache, &made).unwrap();
    bytes(&derived).unwrap();
    let input = cache.open(digest).unwrap().unwrap();
    cache.check_again().unwrap();
    assert!(!cache.take_spoiled());
    for (round, path) in [
        cache.input(digest),
        file_below(&root.path().join("derived")),
    ]
    .iter()
    .enumerate()
    {
        flip_in_use(path);
        let error = cache.check_again().unwrap_err();
        assert!(
            error.to_string().contains(path.to_str().unwrap()),
            "{error}"
        );
        assert!(!path.exists() && cache.take_spoiled() && (round == 1 || !cache.take_spoiled()));
    }
    assert!(cache.open(digest).unwrap().is_none());
    assert_eq!(cache.take_damaged().len(), 2);
    drop((derived, input));
    assert_eq!(
        bytes(&derive(&cache, &made).unwrap()).unwrap(),
        self::derived()
    );
}

#[test]
fn what_changes_while_it_is_used_is_found_also_if_it_is_let_go_before_anybody_looks() {
    let (root, made) = (tempfile::tempdir().unwrap(), AtomicUsize::new(0));
    let cache = Cache::new(root.path());
    let derived = derive(&cache, &made).unwrap();
    bytes(&derived).unwrap();
    let path = file_below(&root.path().join("derived"));
    flip_in_use(&path);
    drop(derived);
    assert!(!path.exists() && cache.check_again().is_err() && cache.check_again().is_err());
    assert!(cache.take_spoiled() && cache.check_again().is_ok() && !cache.take_spoiled());
    assert_eq!(cache.take_damaged(), [path]);
}

#[test]
fn what_changes_while_it_is_used_stays_found_when_a_large_input_comes() {
    let root = tempfile::tempdir().unwrap();
    let cache = Cache::new(root.path());
    let small = cache.insert(&source(5000)).unwrap();
    let path = cache.input(small);
    cache.open(small).unwrap().unwrap();
    flip_in_use(&path);
    let (download, large) = (root.path().join("x"), source(16 << 20));
    fs::write(&download, &large).unwrap();
    let adopted = cache.adopt(&download, Digest::of(&large)).unwrap();
    assert!(adopted.is_ok() && cache.check_again().is_err() && cache.take_spoiled());
}

#[test]
fn a_failed_or_panicked_making_leaves_nothing() {
    let (root, made) = (tempfile::tempdir().unwrap(), AtomicUsize::new(0));
    let cache = Cache::new(root.path());
    let failed = cache.derive("unxz v1 of 9c0e", &mut |out| {
        out.write_all_at(&source(100), 0)?;
        Err(io::Error::other("cut"))
    });
    assert!(failed.unwrap_err().to_string().contains("unxz v1 of 9c0e"));
    let panicked =
        std::panic::catch_unwind(|| cache.derive("unxz v1 of 9c0e", &mut |_| panic!("a bug")));
    assert!(panicked.is_err());
    assert_eq!(bytes(&derive(&cache, &made).unwrap()).unwrap(), derived());
    let folder = file_below(&root.path().join("derived"));
    assert_eq!(fs::read_dir(folder.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn threads_that_derive_the_same_wait_for_the_first() {
    let (root, made) = (tempfile::tempdir().unwrap(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                assert_eq!(
                    bytes(&derive(&Cache::new(root.path()), &made).unwrap()).unwrap(),
                    derived()
                );
            });
        }
    });
    assert_eq!(made.load(Ordering::SeqCst), 1);
}

#[test]
fn empty_content_is_content() {
    let root = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let sealed = Cache::new(root.path())
            .derive("nothing", &mut |_| Ok(0))
            .unwrap();
        assert_eq!((sealed.size(), sealed.next_data(0).unwrap()), (0, None));
    }
}

#[test]
fn a_file_that_is_cut_while_it_is_made_is_made_again() {
    let root = tempfile::tempdir().unwrap();
    let cache = Cache::new(root.path());
    let cut = |out: &dyn WriteAt| {
        out.write_all_at(&[7; 100], 0)?;
        let below = root.path().join("derived");
        let folder = fs::read_dir(below)?.next().expect("a folder")?.path();
        let partial = fs::read_dir(folder)?.next().expect("a file")?.path();
        File::options().write(true).open(partial)?.set_len(10)?;
        out.write_all_at(&[8; 100], 100).map(|()| 200)
    };
    let failed = cache.derive("k", &mut |out| cut(out)).unwrap_err();
    assert!(format!("{failed:?}").contains("changed while it was written"));
    assert!(cache.take_spoiled());
    let made = cache.derive("k", &mut |out| out.write_all_at(&[9; 3], 0).map(|()| 3));
    assert_eq!(made.unwrap().size(), 3);
}
