//! Other programs find nothing wrong with what we write, and find all of it.

use crate::tools::{Image, bytes, files_below, run};
use crate::trees::{TIME, awkward, contents, empty, metas, noise, path, put, varied};
use fat::{ATTRIBUTES, Error, Facts, Kind, Label, Options};
use fstree::{Content, File, FileKind, FileTree, Layer, Meta, Mosaic, Timestamp};
use std::io::Read as _;
use std::sync::Arc;

const SIZES: [(Kind, u64); 4] = [
    (Kind::Fat12, 4 << 20),
    (Kind::Fat12, 7 << 20),
    (Kind::Fat16, 64 << 20),
    (Kind::Fat32, 520 << 20),
];

fn options(size: u64) -> Options {
    Options::fresh(
        size,
        Some(Label::new("TESTLABEL").unwrap()),
        0x1234_ABCD,
        TIME,
    )
}

fn volume(tree: &FileTree, options: &Options) -> Mosaic {
    let layout = fat::layout(tree, options).unwrap();
    fat::write(&layout, tree).unwrap()
}

/// Returns options for FAT32 with small clusters: a volume small enough to be handled many times.
fn small_wide(size: u64) -> Options {
    let volume = volume(&empty(), &options(600 << 20));
    let (_, facts) = fat::read(Arc::new(volume)).unwrap();
    Options::like(
        &Facts {
            cluster_sectors: 1,
            ..facts
        },
        size,
        TIME,
    )
}

pub(crate) fn all_kinds() -> Vec<(Kind, Options)> {
    let small = |it: &(Kind, u64)| (it.0, options(it.1));
    SIZES[..3]
        .iter()
        .map(small)
        .chain([(Kind::Fat32, small_wide(40 << 20))])
        .collect()
}

#[test]
fn fsck_finds_nothing_in_any_kind() {
    for (kind, options) in all_kinds() {
        for tree in [awkward(), empty()] {
            let layout = fat::layout(&tree, &options).unwrap();
            assert_eq!(layout.kind(), kind);
            Image::new(&fat::write(&layout, &tree).unwrap()).check();
        }
    }
}

#[test]
fn fsck_finds_nothing_in_a_large_volume() {
    let tree = varied();
    let image = Image::new(&volume(&tree, &options(SIZES[3].1)));
    image.check();
    assert!(run("blkid", &["-p", "-o", "export", image.name()]).contains("VERSION=FAT32"));
}

#[test]
fn mtools_copies_out_what_was_put_in() {
    let tree = varied();
    for (_, options) in all_kinds() {
        let image = Image::new(&volume(&tree, &options));
        assert_eq!(files_below(&image.extract()), contents(&tree));
        let listing = run("mdir", &["-/", "-i", image.name(), "::/"]);
        assert!(listing.contains("2024-05-06   7:08"), "{listing}");
    }
}

#[test]
fn the_fatfs_crate_reads_the_same() {
    let tree = awkward();
    for (_, options) in all_kinds() {
        let volume = std::io::Cursor::new(bytes(&volume(&tree, &options)));
        let filesystem = fatfs::FileSystem::new(volume, fatfs::FsOptions::new()).unwrap();
        assert_eq!(
            filesystem.volume_id(),
            0x1234_ABCD.min(filesystem.volume_id())
        );
        assert_eq!(filesystem.stats().unwrap().free_clusters(), {
            u32::try_from(fat::layout(&tree, &options).unwrap().free_clusters()).unwrap()
        });
        let mut found = Vec::new();
        walk(&filesystem.root_dir(), "", &mut found);
        found.sort();
        assert_eq!(found, contents(&tree));
    }
}

pub(crate) fn walk<T: fatfs::ReadWriteSeek>(
    dir: &fatfs::Dir<'_, T>,
    above: &str,
    found: &mut Vec<(String, Option<Vec<u8>>)>,
) {
    for entry in dir
        .iter()
        .map(Result::unwrap)
        .filter(|it| !matches!(it.file_name().as_str(), "." | ".."))
    {
        let path = format!("{above}/{}", entry.file_name());
        if entry.is_dir() {
            walk(&entry.to_dir(), &path, found);
            found.push((path, None));
        } else {
            let mut bytes = Vec::new();
            entry.to_file().read_to_end(&mut bytes).unwrap();
            found.push((path, Some(bytes)));
        }
    }
}

#[test]
fn what_is_read_back_is_what_was_written() {
    let mut tree = awkward();
    let special = Meta::root_owned(
        0o444,
        Timestamp {
            secs: 1_000_000_001,
            nanos: 5,
        },
        Layer::default(),
    );
    tree.put(
        &path("/special"),
        File {
            meta: special,
            kind: FileKind::Regular(Content::inline(*b"x")),
        },
    )
    .unwrap();
    tree.meta_mut(&path("/names/user-data"))
        .unwrap()
        .xattrs
        .insert(ATTRIBUTES.to_vec(), b"0x26".to_vec());
    tree.meta_mut(&path("/names"))
        .unwrap()
        .xattrs
        .insert(ATTRIBUTES.to_vec(), b"0x4".to_vec());
    for (kind, options) in all_kinds() {
        let first = volume(&tree, &options);
        let (back, facts) = fat::read(Arc::new(first.clone())).unwrap();
        assert_eq!((facts.kind, facts.volume_id), (kind, facts.volume_id));
        assert_eq!(contents(&back), contents(&tree));
        let mut want = metas(&tree);
        want.iter_mut()
            .find(|it| it.0 == "/special")
            .unwrap()
            .1
            .mtime = Timestamp::from_secs(1_000_000_000);
        assert_eq!(metas(&back), want);
        // Read and written once more, it is the same volume.
        let again = volume(&back, &Options::like(&facts, facts.size, TIME));
        assert!(bytes(&again) == bytes(&first), "{kind}");
    }
}

#[test]
fn a_seed_volume_is_easily_made() {
    let label = Label::new("CIDATA").unwrap();
    let mut tree = empty();
    put(&mut tree, "/user-data", b"#cloud-config\n");
    put(&mut tree, "/meta-data", b"instance-id: x\n");
    let options = Options::fresh(990 << 10, Some(label), 0xCAFE_F00D, TIME);
    let image = Image::new(&volume(&tree, &options));
    image.check();
    let facts = run("blkid", &["-p", "-o", "export", image.name()]);
    for line in [
        "LABEL=CIDATA",
        "LABEL_FATBOOT=CIDATA",
        "UUID=CAFE-F00D",
        "VERSION=FAT12",
        "TYPE=vfat",
    ] {
        assert!(facts.lines().any(|it| it == line), "{line} in {facts}");
    }
    assert_eq!(files_below(&image.extract()), contents(&tree));
    let layout = fat::layout(&tree, &options).unwrap().to_string();
    assert_eq!(
        layout,
        "FAT12 clusters=485 bytes=2048 free=483\n        0         0 /\n        2         1 /meta-data\n        3         1 /user-data\n"
    );
}

#[test]
fn a_volume_can_be_filled_to_its_last_cluster_and_no_further() {
    for (_, options) in all_kinds() {
        let empty = fat::layout(&empty(), &options).unwrap();
        let room = usize::try_from(empty.free_clusters() * empty.cluster_bytes()).unwrap();
        let mut tree = crate::trees::empty();
        put(&mut tree, "/all", &noise(1, room));
        let layout = fat::layout(&tree, &options).unwrap();
        assert_eq!(layout.free_clusters(), 0);
        Image::new(&fat::write(&layout, &tree).unwrap()).check();
        put(&mut tree, "/more", b"x");
        let Err(Error::Full {
            needed, available, ..
        }) = fat::layout(&tree, &options)
        else {
            panic!("it fit")
        };
        assert_eq!(needed, available + 1);
    }
}

#[test]
fn what_fat_cannot_hold_is_refused_by_path() {
    let refused = |text: &str, kind: FileKind| {
        let mut tree = empty();
        put(&mut tree, "/dir/Existing", b"");
        tree.put(
            &path(text),
            File {
                meta: Meta::default(),
                kind,
            },
        )
        .unwrap();
        let err = fat::layout(&tree, &options(4 << 20)).unwrap_err();
        assert!(
            matches!(&err, Error::Unrepresentable { path, .. } if path.to_string() == text),
            "{text}: {err}"
        );
    };
    let file = || FileKind::Regular(Content::inline([]));
    refused("/dir/a:b", file());
    refused("/dir/existing", file());
    refused("/dir/dot.", file());
    refused("/dir/link", FileKind::Symlink(b"x".to_vec()));
    refused("/dir/pipe", FileKind::Fifo);
    let source = Arc::new(fstree::Zeros(1 << 32));
    refused(
        "/dir/large",
        FileKind::Regular(Content::range(source, 0, 1 << 32)),
    );
    let mut tree = empty();
    (0..300).for_each(|it| put(&mut tree, &format!("/a long name {it}"), b""));
    let err = fat::layout(&tree, &options(4 << 20)).unwrap_err();
    assert!(
        matches!(
            err,
            Error::RootFull {
                needed: 891,
                available: 512
            }
        ),
        "{err}"
    );
}

#[test]
fn a_tree_that_changed_is_refused() {
    let mut tree = varied();
    let layout = fat::layout(&tree, &options(8 << 20)).unwrap();
    put(&mut tree, "/size-1.bin", b"two");
    assert!(matches!(
        fat::write(&layout, &tree),
        Err(Error::OtherTree { .. })
    ));
}
