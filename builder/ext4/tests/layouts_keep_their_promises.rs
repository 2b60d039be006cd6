//! What `e2fsck` does not see: the resize inode to its last slot, backups, sorted attributes, layers that stay where they
//! were, the same bytes for the same tree, names hashed as `debugfs` hashes them, the smallest size.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "tests run the independent tools"
)]

#[path = "support/tools.rs"]
mod tools;

use ext4::{CharSign, Feature, Features, HashAlgorithm, NameHash, Options};
use fstree::{Content, File, FileKind, FileTree, Layer, Meta, Mosaic, Node, ReadAt, Run};
use std::sync::Arc;
use tools::{
    MIB, Scratch, TIME, empty, fsck, make, meta, must, noise, options, path, put, sampler, text,
};

fn bytes(volume: &Mosaic, at: u64, len: usize) -> Vec<u8> {
    let mut buf = vec![0; len];
    volume.read_exact_at(&mut buf, at).unwrap();
    buf
}

fn word(volume: &Mosaic, at: u64) -> u64 {
    u64::from(u32::from_le_bytes(bytes(volume, at, 4).try_into().unwrap()))
}

/// Returns the groups that hold backups.
fn backups(groups: u64) -> Vec<u64> {
    let power = |base: u64, it: u64| (1..12).any(|n| base.pow(n) == it);
    (1..groups)
        .filter(|it| *it == 1 || power(3, *it) || power(5, *it) || power(7, *it))
        .collect()
}

/// As the kernel checks it when a mounted volume grows (`verify_reserved_gdb`): every slot, every backup.
fn check_resize_inode(options: &Options) {
    let (_, volume) = make(&empty(), options);
    let block = u64::from(options.block_size);
    let first = u64::from(block == 1024);
    let per_group = block * 8;
    let blocks = word(&volume, 1024 + 4);
    let groups = (blocks - first).div_ceil(per_group);
    let desc_size = if options.features.has(Feature::IS_64BIT) {
        64
    } else {
        32
    };
    let desc_blocks = groups.div_ceil(block / desc_size);
    let reserved = word(&volume, 1024 + 0xcc) >> 16;
    let slots = block / 4;
    let expected = u64::from(options.growth_blocks).max(desc_blocks) - desc_blocks;
    assert_eq!(reserved, expected.min(slots));

    let table = word(&volume, (first + 1) * block + 8) * block;
    let inode = table + 6 * u64::from(options.inode_size);
    let listed = backups(groups);
    let count = u64::try_from(listed.len()).unwrap();
    assert_eq!(
        word(&volume, inode + 4),
        ((slots * slots + slots + 12) * block) & 0xffff_ffff
    );
    assert_eq!(
        word(&volume, inode + 0x1c),
        block / 512 * (1 + reserved * (1 + count))
    );
    let map: Vec<u64> = (0..15)
        .map(|i| word(&volume, inode + 0x28 + 4 * i))
        .collect();
    let double = map[13];
    assert!(double != 0 && map.iter().filter(|it| **it != 0).count() == 1);
    let used: Vec<(u64, u64)> = (0..reserved)
        .map(|i| ((desc_blocks + i) % slots, first + 1 + desc_blocks + i))
        .collect();
    for slot in 0..slots {
        let want = used.iter().find(|it| it.0 == slot).map_or(0, |it| it.1);
        assert_eq!(
            word(&volume, double * block + 4 * slot),
            want,
            "slot {slot}"
        );
    }
    for (_, primary) in used {
        for slot in 0..slots {
            let group = usize::try_from(slot).ok().and_then(|it| listed.get(it));
            let want = group.map_or(0, |group| primary + group * per_group);
            assert_eq!(
                word(&volume, primary * block + 4 * slot),
                want,
                "{primary} slot {slot}"
            );
        }
    }
    check_backups(&volume, &listed, (first, block, desc_blocks * block));
}

/// Every backup is the primary but for its group's number, its state and its checksum.
fn check_backups(volume: &Mosaic, groups: &[u64], (first, block, descs): (u64, u64, u64)) {
    let descs = usize::try_from(descs).unwrap();
    let primary = bytes(volume, 1024, 1024);
    let descriptors = bytes(volume, (first + 1) * block, descs);
    for group in groups {
        let at = (first + group * block * 8) * block;
        let copy = bytes(volume, at, 1024);
        assert_eq!(
            u64::from(u16::from_le_bytes([copy[0x5a], copy[0x5b]])),
            *group
        );
        assert_eq!(
            copy[0x3fc..],
            (!crc32c::crc32c(&copy[..0x3fc])).to_le_bytes()
        );
        for (i, byte) in copy.iter().enumerate().take(0x3fc) {
            assert!(
                *byte == primary[i] || matches!(i, 0x3a | 0x5a | 0x5b),
                "group {group} byte {i:#x}"
            );
        }
        assert_eq!(
            bytes(volume, at + block, descs),
            descriptors,
            "group {group}"
        );
    }
}

#[test]
fn the_resize_inode_is_right_to_its_last_slot() {
    check_resize_inode(&options(2200 * MIB));
    check_resize_inode(&options(9000 * MIB));
    check_resize_inode(&Options {
        block_size: 1024,
        ..options(300 * MIB)
    });
    check_resize_inode(&Options {
        block_size: 2048,
        growth_blocks: 40,
        ..options(1000 * MIB)
    });
    let scratch = Scratch::new();
    let full = Options {
        growth_blocks: 0,
        ..options(300 * MIB)
    };
    let (_, volume) = make(&empty(), &full);
    fsck(&scratch.save("image", &volume), None);
}

#[test]
fn sizes_that_volumes_can_grow_to_are_2_tib() {
    assert_eq!(options(MIB).growth_blocks, 256);
}

/// Returns a tree of three layers, or of the first ones only.
fn layered(layers: u16) -> FileTree {
    let mut tree = empty();
    let source: Arc<dyn ReadAt> = Arc::new(noise(5 << 20, 1));
    tree.make_dirs(&path("/base/dir"), &meta(0o755)).unwrap();
    for layer in 0..layers {
        for i in 0..80u64 {
            let at = format!("/base/dir/a name of layer {layer} that takes its room: {i}");
            let runs = [Run {
                at: 0,
                from: (80 - i) * 40_000,
                len: 30_000 + i,
            }];
            let content = Content::extents(source.clone(), runs, 30_000 + i);
            let meta = Meta {
                layer: Layer(layer),
                ..meta(0o644)
            };
            tree.put(
                &path(&at),
                File {
                    meta,
                    kind: FileKind::Regular(content),
                },
            )
            .unwrap();
        }
    }
    tree
}

fn lines(tree: &FileTree) -> Vec<String> {
    let layout = ext4::layout(tree, &options(64 * MIB)).unwrap();
    layout.to_string().lines().map(str::to_owned).collect()
}

#[test]
fn a_further_layer_moves_no_block_of_earlier_ones() {
    for layers in 1..3 {
        let before = layered(layers);
        let (_, before) = make(&before, &options(64 * MIB));
        let (_, after) = make(&layered(layers + 1), &options(64 * MIB));
        let mut changed = 0;
        let mut at = 0;
        // Past the bitmaps and inode tables stand blocks of directories and files.
        while let Some(data) = before.next_data(at).unwrap() {
            let len = usize::try_from(data.end - data.start).unwrap();
            if bytes(&before, data.start, len) != bytes(&after, data.start, len) {
                changed += 1;
            }
            at = data.end;
        }
        // Superblock, descriptors, two bitmaps, the inode table, and the directory's blocks.
        assert!(changed <= 8, "{changed} pieces changed");
    }
}

/// Returns a tree with so many MiB in its base and in an overlay.
fn sized(base: u64, overlay: u64) -> FileTree {
    let mut tree = empty();
    for (layer, dir, mib) in [(0, "base", base), (1, "overlay", overlay)] {
        for i in 0..mib.div_ceil(7) {
            let source: Arc<dyn ReadAt> = Arc::new(fstree::Zeros(7 * MIB));
            let kind = FileKind::Regular(Content::range(source, 0, (mib - 7 * i).min(7) * MIB));
            let meta = Meta {
                layer: Layer(layer),
                ..meta(0o644)
            };
            let at = path(&format!("/{dir}/{i}"));
            tree.make_dirs(
                &at.parent().unwrap(),
                &Meta {
                    mode: 0o755,
                    ..meta.clone()
                },
            )
            .unwrap();
            tree.put(&at, File { meta, kind }).unwrap();
        }
    }
    tree
}

#[test]
fn an_overlay_that_makes_the_volume_larger_moves_nothing_either() {
    // More groups, a longer journal, another flex group.
    for (base, overlays) in [
        (300, [1, 90, 400]),
        (900, [1, 200, 1300]),
        (2000, [20, 150, 2300]),
    ] {
        let lines = |tree: &FileTree| {
            let size = ext4::minimum_size(tree, &options(0), 10 * MIB);
            let layout = ext4::layout(tree, &options(size)).unwrap().to_string();
            layout
                .lines()
                .filter(|it| {
                    it.starts_with("dir") || it.starts_with("file") || it.starts_with("group")
                })
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let before = lines(&sized(base, 0));
        for overlay in overlays {
            let after = lines(&sized(base, overlay));
            let moved: Vec<&String> = before.iter().filter(|it| !after.contains(it)).collect();
            assert!(moved.is_empty(), "{base}+{overlay} MiB: {moved:?}");
        }
    }
}

#[test]
fn the_base_is_laid_out_in_its_source_s_order() {
    let layout = lines(&layered(1));
    let mut names: Vec<String> = (0..80).map(|it| it.to_string()).collect();
    names.sort();
    let place = |i: u32| {
        let i = names.iter().position(|it| *it == i.to_string()).unwrap();
        let line = layout
            .iter()
            .find(|it| it.starts_with(&format!("file {i} ")))
            .unwrap();
        let run = line.split_whitespace().find(|it| it.contains('@')).unwrap();
        run.split(['@', '+'])
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    // The later ones stand earlier in the source.
    assert!(place(79) < place(40) && place(40) < place(2));
}

/// Where files of a base are in their source: block and length in blocks. The gaps are directories and what was removed.
const SEATS: [(u64, u64); 9] = [
    (3, 5),
    (8, 1),
    (9, 40),
    (52, 3),
    (60, 200),
    (260, 1),
    (263, 1),
    (300, 2000),
    (2301, 30),
];

/// Returns a base of those files, without the one that is named, and what its volume of units of 64 KiB holds.
fn seated(without: Option<usize>, blocks: u32) -> (Vec<u8>, Vec<u64>) {
    let block = u64::from(blocks);
    let source: Arc<dyn ReadAt> = Arc::new(noise(usize::try_from(2400 * block).unwrap(), 3));
    let mut tree = empty();
    for (n, (at, len)) in SEATS.iter().enumerate() {
        if Some(n) != without {
            let content = Content::range(source.clone(), at * block, len * block - 7);
            put(&mut tree, &format!("/{n}"), FileKind::Regular(content));
        }
    }
    let options = Options {
        block_size: blocks,
        growth_blocks: 64,
        unit: Some(65536),
        ..options(0)
    };
    let size = ext4::minimum_size(&tree, &options, MIB);
    let (layout, volume) = make(&tree, &Options { size, ..options });
    let scratch = Scratch::new();
    fsck(&scratch.save("seated", &volume), None);
    let layout = layout.to_string();
    let lines = layout.lines().filter(|it| it.starts_with("file "));
    let mut places: Vec<u64> = lines.map(|it| runs_of(it)[0].1).collect();
    if let Some(n) = without {
        places.insert(n, 0);
    }
    (
        bytes(&volume, 0, usize::try_from(volume.size()).unwrap()),
        places,
    )
}

#[test]
fn files_of_the_base_keep_their_places_in_units() {
    for blocks in [1024_u32, 4096] {
        let unit = 65536 / u64::from(blocks);
        let (volume, places) = seated(None, blocks);
        for ((at, _), place) in SEATS.iter().zip(&places) {
            assert_eq!(at % unit, place % unit, "{places:?}");
        }
        // Neighbours in the source are neighbours, and gaps of less than a unit are as wide.
        for (n, pair) in SEATS.windows(2).enumerate() {
            let gap = pair[1].0 - pair[0].0 - pair[0].1;
            let found = places[n + 1] - places[n] - pair[0].1;
            assert_eq!(found, gap % unit, "after file {n}");
        }
        // A unit of the source that files fill comes out as it is.
        let source = noise(usize::try_from(2400 * u64::from(blocks)).unwrap(), 3);
        let whole = |first: u64| {
            let at = usize::try_from(first * u64::from(blocks)).unwrap();
            volume.chunks(65536).any(|it| it == &source[at..at + 65536])
        };
        assert!(whole(unit * (320_u64.div_ceil(unit))));
        // Without a file that is smaller than a unit, all others are where they were.
        let (_, fewer) = seated(Some(1), blocks);
        for (n, (place, before)) in fewer.iter().zip(&places).enumerate() {
            assert!(
                n == 1 || place == before,
                "file {n}: {before}, then {place}"
            );
        }
    }
}

#[test]
fn the_order_in_which_a_tree_was_made_does_not_matter() {
    let names: Vec<String> = (0..300).map(|i| format!("/file {}", i * 7 % 300)).collect();
    let tree = |names: &mut dyn Iterator<Item = &String>| {
        let mut tree = empty();
        for name in names {
            put(&mut tree, name, text(name.as_bytes()));
        }
        make(&tree, &options(32 * MIB)).1
    };
    let (one, other) = (tree(&mut names.iter()), tree(&mut names.iter().rev()));
    let len = usize::try_from(32 * MIB).unwrap();
    assert!(bytes(&one, 0, len) == bytes(&other, 0, len));
}

#[test]
fn the_smallest_size_is_the_smallest() {
    for tree in [empty(), sampler(), layered(2)] {
        for (block_size, slack) in [(1024, 0), (4096, 0), (4096, 3 * MIB + 5)] {
            for reserved_per_million in [0, 50_000] {
                let base = Options {
                    block_size,
                    growth_blocks: 64,
                    reserved_per_million,
                    ..options(0)
                };
                let size = ext4::minimum_size(&tree, &base, slack);
                assert_eq!(size % MIB, 0);
                let free = |size: u64| {
                    let layout = ext4::layout(
                        &tree,
                        &Options {
                            size,
                            ..base.clone()
                        },
                    )
                    .ok()?;
                    let reserved =
                        size / u64::from(block_size) * u64::from(reserved_per_million) / 1_000_000;
                    Some((layout.free_blocks().saturating_sub(reserved)) * u64::from(block_size))
                };
                assert!(
                    free(size).is_some_and(|it| it >= slack),
                    "{size} {:?}",
                    free(size)
                );
                assert!(
                    free(size - MIB).is_none_or(|it| it < slack || it == 0),
                    "{size} is not the smallest"
                );
            }
        }
    }
    let mut impossible = empty();
    put(&mut impossible, "/x", FileKind::Symlink(Vec::new()));
    assert_eq!(ext4::minimum_size(&impossible, &options(0), 0), 1 << 44);
    // Tables as large as the volume: no size will do, which is soon said.
    let all_tables = Options {
        block_size: 1024,
        growth_blocks: 0,
        inode_size: 1024,
        bytes_per_inode: 1024,
        ..options(0)
    };
    assert_eq!(ext4::minimum_size(&empty(), &all_tables, 0), 1 << 44);
    // Without flexible groups each must hold its own table.
    let features = Features::EXT4.without(Feature::FLEX_BG);
    let own = Options {
        features,
        ..all_tables
    };
    assert_eq!(ext4::minimum_size(&empty(), &own, 0), 1 << 44);
}

#[test]
fn names_are_hashed_as_debugfs_hashes_them() {
    let scratch = Scratch::new();
    let names = [
        "a",
        "hello",
        "a name of more than thirty-two characters, in fact of two chunks",
        "größe",
        "ÿÿÿÿÿ",
    ];
    let seed = [
        0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 1, 2, 3, 4, 5, 6, 7, 8,
    ];
    for (algorithm, number) in [
        (HashAlgorithm::Legacy, 0),
        (HashAlgorithm::HalfMd4, 1),
        (HashAlgorithm::Tea, 2),
    ] {
        for (sign, more) in [(CharSign::Signed, 0), (CharSign::Unsigned, 3)] {
            for (seed, args) in [
                ([0; 16], ""),
                (seed, "-s 12345678-9abc-def0-0102-030405060708"),
            ] {
                let hash = NameHash {
                    algorithm,
                    sign,
                    seed,
                };
                for name in names {
                    let script = scratch.path("script");
                    std::fs::write(
                        &script,
                        format!("dx_hash -h {} {args} \"{name}\"\n", number + more),
                    )
                    .unwrap();
                    let text = must("e2fsprogs", "debugfs", &["-f", script.to_str().unwrap()]);
                    let (major, minor) = hash.hash(name.as_bytes());
                    let want = format!("is {major:#x} (minor {minor:#x})");
                    let zero = want.replace("0x0)", "0x0000)");
                    assert!(
                        text.contains(&want) || text.contains(&zero),
                        "{hash} {name}: {want} in {text}"
                    );
                }
            }
        }
    }
}

#[test]
fn unsigned_hashes_and_tea_are_written_too() {
    let mut tree = empty();
    for i in 0..900 {
        put(
            &mut tree,
            &format!("/größe {i} mit vielen Ümläuten"),
            text(b""),
        );
    }
    for algorithm in [
        HashAlgorithm::HalfMd4,
        HashAlgorithm::Tea,
        HashAlgorithm::Legacy,
    ] {
        for sign in [CharSign::Signed, CharSign::Unsigned] {
            let hash = NameHash {
                algorithm,
                sign,
                seed: *b"0123456789abcdef",
            };
            let scratch = Scratch::new();
            let (_, volume) = make(
                &tree,
                &Options {
                    hash,
                    block_size: 1024,
                    growth_blocks: 0,
                    ..options(16 * MIB)
                },
            );
            fsck(&scratch.save("image", &volume), None);
        }
    }
}

#[test]
fn layouts_are_only_for_their_trees() {
    let tree = sampler();
    let layout = ext4::layout(&tree, &options(64 * MIB)).unwrap();
    assert!(ext4::write(&layout, &empty()).is_err());
    assert_eq!(layout.options().time, TIME);
}

#[test]
fn impossible_options_are_refused() {
    let base = options(64 * MIB);
    let plain = Features::EXT4;
    for options in [
        Options {
            block_size: 8192,
            ..base.clone()
        },
        Options {
            inode_size: 200,
            ..base.clone()
        },
        Options {
            label: vec![b'x'; 17],
            ..base.clone()
        },
        Options {
            size: 100_000,
            ..base.clone()
        },
        Options {
            groups_per_flex: 3,
            ..base.clone()
        },
        Options {
            journal_blocks: Some(5),
            ..base.clone()
        },
        Options {
            features: plain.with(Feature::BIGALLOC),
            ..base.clone()
        },
        Options {
            features: plain.without(Feature::EXTENTS),
            ..base.clone()
        },
        Options {
            features: plain.with(Feature::GDT_CSUM),
            ..base
        },
    ] {
        assert!(ext4::layout(&empty(), &options).is_err(), "{options}");
    }
}

#[test]
fn an_equal_volume_has_equal_groups() {
    for bytes_per_inode in [4096, 8192, 8380, 16384, 20_000] {
        for size in [40 * MIB, 500 * MIB, 2252 * MIB] {
            let base = Options {
                bytes_per_inode,
                ..options(size)
            };
            let (_, volume) = make(&empty(), &base);
            let (_, facts) = ext4::read(Arc::new(volume)).unwrap();
            let again = Options::like(&facts, size, TIME);
            let (_, volume) = make(&empty(), &again);
            let (_, same) = ext4::read(Arc::new(volume)).unwrap();
            assert_eq!(same, facts, "{base}");
        }
    }
}

/// A run of blocks of a file: first in the file, first in the volume, how many.
fn runs_of(line: &str) -> Vec<(u64, u64, u64)> {
    let run = |it: &str| {
        let (logical, rest) = it.split_once('@')?;
        let (physical, len) = rest.split_once('+')?;
        let number = |it: &str| it.parse::<u64>().unwrap();
        Some((number(logical), number(physical), number(len)))
    };
    line.split(' ').filter_map(run).collect()
}

/// Asserts that every file without holes lies in one run, but where a group's own metadata stands in its way, and returns how
/// many files there are and how many are parted so.
fn check_contiguity(tree: &FileTree, options: &Options) -> (usize, usize) {
    let layout = ext4::layout(tree, options).unwrap();
    assert!(layout.free_blocks() > 0);
    let text = layout.to_string();
    let block = u64::from(options.block_size);
    // Blocks of all files, directories and the journal, for what parts a file must be none of them.
    let all: Vec<(u64, u64)> = text
        .lines()
        .filter(|it| it.contains(" inode "))
        .flat_map(runs_of)
        .map(|it| (it.1, it.1 + it.2))
        .collect();
    let free: Vec<(u64, u64)> = text
        .lines()
        .filter_map(|it| it.strip_prefix("free "))
        .map(|it| it.split_once("..").unwrap())
        .map(|it| (it.0.parse().unwrap(), it.1.parse().unwrap()))
        .collect();
    let lines = text.lines().filter(|it| it.starts_with("file "));
    let (mut files, mut parted) = (0, 0);
    for ((file, name), line) in in_order(tree).into_iter().zip(lines) {
        let FileKind::Regular(content) = &file.kind else {
            continue;
        };
        let runs = content.runs();
        if runs.len() != 1 || runs[0].len < content.len() {
            continue;
        }
        files += 1;
        let pieces = runs_of(line);
        let blocks = content.len().div_ceil(block);
        assert_eq!(pieces.iter().map(|it| it.2).sum::<u64>(), blocks, "{name}");
        let mut apart = 0;
        for pair in pieces.windows(2) {
            let ((logical, physical, len), next) = (pair[0], pair[1]);
            assert_eq!(logical + len, next.0, "{name}");
            if physical + len == next.1 {
                // In one run, an extent ends only where it may not be longer.
                assert_eq!(len, 32768, "{name}");
                continue;
            }
            apart += 1;
            let gap = (physical + len, next.1);
            assert!(gap.0 < gap.1, "{name}: {gap:?}");
            let within = |it: &(u64, u64)| it.0 < gap.1 && it.1 > gap.0;
            // At the start of a flex group room is kept for what a larger volume would have there.
            let flex = block * 8 * u64::from(options.groups_per_flex);
            let is_room = (gap.0 - u64::from(block == 1024)).is_multiple_of(flex);
            assert!(is_room || !free.iter().any(within), "{name}: {gap:?}");
            assert!(!all.iter().any(within), "{name}: {gap:?}");
        }
        // The first extents of each piece are as long as can be.
        let least = blocks.div_ceil(32768);
        let count = u64::try_from(pieces.len()).unwrap();
        assert!(count <= least + 2 * apart, "{name}: {count} extents");
        parted += usize::from(apart > 0);
    }
    (files, parted)
}

/// Returns files by their first names, in the order of a walk, as a layout numbers them.
fn in_order(tree: &FileTree) -> Vec<(&File, String)> {
    let mut seen = std::collections::BTreeSet::new();
    let mut files = Vec::new();
    for (at, node) in tree.walk() {
        if let Node::File(id) = node
            && seen.insert(*id)
        {
            files.push((tree.file(*id), at.to_string()));
        }
    }
    files
}

#[test]
fn files_without_holes_lie_in_one_run() {
    for block_size in [1024, 4096] {
        for features in [
            Features::EXT4,
            Features::EXT4.without(Feature::RESIZE_INODE),
            Features::EXT4.without(Feature::FLEX_BG),
        ] {
            let options = |size| Options {
                block_size,
                features,
                ..options(size)
            };
            // Groups of 8 MiB are shorter than the files here.
            let metadata = block_size == 1024 || !features.has(Feature::FLEX_BG);
            let (files, parted) = check_contiguity(&sampler(), &options(300 * MIB));
            assert!(files > 700 && parted <= 1, "{parted} of {files}");
            let (files, parted) = check_contiguity(&sized(1500, 900), &options(3000 * MIB));
            assert!(files > 340, "{files}");
            assert!(metadata || parted <= 12, "{parted} of {files}");
            check_contiguity(&layered(3), &options(64 * MIB));
        }
    }
    // One extent for 32,768 blocks, from the first on: there is nothing between the tables of group 16 and group 25.
    let mut tree = empty();
    let source: Arc<dyn ReadAt> = Arc::new(fstree::Zeros(2100 * MIB));
    let fill = FileKind::Regular(Content::range(source.clone(), 0, 2060 * MIB));
    put(&mut tree, "/a fill", fill);
    let large = FileKind::Regular(Content::range(source, 0, 1000 * MIB));
    put(&mut tree, "/b large", large);
    let layout = ext4::layout(&tree, &options(4000 * MIB))
        .unwrap()
        .to_string();
    let line = layout.lines().find(|it| it.starts_with("file 1 ")).unwrap();
    let lengths: Vec<u64> = runs_of(line).iter().map(|it| it.2).collect();
    assert_eq!(
        lengths,
        [[32768; 7].to_vec(), vec![256_000 - 7 * 32768]].concat()
    );
}
