//! Random trees with names of all sorts, edited and written again and again, against a table of paths that is their model.
//!
//! Each case comes from a number of its own: `NODEIMG_SEED` brings one back, `NODEIMG_CASES` says how many there are.

use crate::tools::{Image, bytes, files_below};
use crate::trees::{TIME, contents, empty, noise, path, put};
use fat::{Error, Facts, Kind, Label, Layout, Options};
use fstree::{FileTree, Meta, Mosaic};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Content by path; `None` is a directory.
type Model = BTreeMap<String, Option<Vec<u8>>>;

/// Numbers that look random and are not: SplitMix64.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(n).unwrap()).unwrap()
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number")),
    )
}

fn each_case(default: u64, mut run: impl FnMut(usize, &mut Rng)) {
    let first = number("NODEIMG_SEED");
    let count = number("NODEIMG_CASES").unwrap_or(if first.is_some() { 1 } else { default });
    let first = first.unwrap_or(0);
    for seed in first..first + count {
        let case = usize::try_from(seed).unwrap();
        let outcome = catch_unwind(AssertUnwindSafe(|| run(case, &mut Rng(seed << 20))));
        assert!(
            outcome.is_ok(),
            "NODEIMG_SEED={seed} brings back what is said above"
        );
    }
}

/// Returns a name: short ones and long, ones that look like short forms of others, other alphabets.
fn random_name(rng: &mut Rng) -> String {
    let letters: Vec<char> = match rng.below(6) {
        0 => "ABCXYZ019_~!#$%&'()-@^`{}".chars().collect(),
        1 => "abcxyz+,;=[] .".chars().collect(),
        2 => "aB.Cé–ß日本Ωж\u{e000}".chars().collect(),
        _ => "abcdefgh".chars().collect(),
    };
    let len = match rng.below(10) {
        0 => 60 + rng.below(195),
        1 | 2 => 13 * (1 + rng.below(4)),
        _ => 1 + rng.below(12),
    };
    let mut name: String = (0..len).map(|_| *rng.pick(&letters)).collect();
    match rng.below(12) {
        0 => name = format!("LONGNA~{}.TXT", rng.below(12)),
        1 => name = format!("longname that is long {}.txt", rng.below(99)),
        2 => name.push_str(".tar.gz"),
        _ => {}
    }
    while name.len() > 255 {
        name.pop();
    }
    let end = name.trim_end_matches(['.', ' ']).len();
    name.truncate(end);
    if name.is_empty() {
        "x".to_owned()
    } else {
        name
    }
}

/// Names that differ by case only are one name to FAT.
fn taken(model: &Model, path: &str) -> bool {
    let folded = path.to_uppercase();
    model.keys().any(|it| it.to_uppercase() == folded)
}

fn edit(rng: &mut Rng, model: &mut Model, tree: &mut FileTree) {
    let any: Vec<String> = model.keys().cloned().collect();
    let dirs: Vec<String> = model
        .iter()
        .filter(|it| it.1.is_none() && it.0.matches('/').count() < 20)
        .map(|it| it.0.clone())
        .chain([String::new(), String::new()])
        .collect();
    let to = format!("{}/{}", rng.pick(&dirs), random_name(rng));
    match rng.below(10) {
        0 | 1 if !any.is_empty() => {
            let from = rng.pick(&any).clone();
            assert!(tree.take(&path(&from)).is_some());
            model.retain(|it, _| *it != from && !it.starts_with(&format!("{from}/")));
        }
        2 if !any.is_empty() && !taken(model, &to) => {
            let from = rng.pick(&any).clone();
            if to.starts_with(&format!("{from}/")) {
                assert!(tree.rename(&path(&from), &path(&to)).is_err());
                return;
            }
            tree.rename(&path(&from), &path(&to)).unwrap();
            let below = format!("{from}/");
            let moved: Vec<String> = any
                .into_iter()
                .filter(|it| *it == from || it.starts_with(&below))
                .collect();
            for old in moved {
                let content = model.remove(&old).unwrap();
                model.insert(format!("{to}{}", &old[from.len()..]), content);
            }
        }
        3 | 4 if !taken(model, &to) => {
            tree.put_dir(
                &path(&to),
                Meta {
                    mode: 0o755,
                    mtime: TIME,
                    ..Meta::default()
                },
            )
            .unwrap();
            model.insert(to, None);
        }
        _ if !taken(model, &to) => {
            let len = *rng.pick(&[0, 1, 511, 512, 513, 2048, 9000, 40_000]);
            let content = noise(rng.below(1000), rng.below(len + 1));
            put(tree, &to, &content);
            model.insert(to, Some(content));
        }
        _ => {}
    }
}

fn options(rng: &mut Rng) -> Options {
    let label = [None, Some(Label::new("LABEL").unwrap())];
    let sizes = [(2 << 20) + 1000, 5 << 20, 12 << 20, 33 << 20];
    let fresh = Options::fresh(*rng.pick(&sizes), *rng.pick(&label), 0x1234_5678, TIME);
    if rng.below(2) == 0 {
        return fresh;
    }
    // Other shapes: FAT32 on small volumes, one table, larger sectors and clusters.
    let wide = rng.below(2) == 0;
    let volume = write(
        &empty(),
        &Options::fresh(if wide { 600 << 20 } else { 64 << 20 }, None, 7, TIME),
    );
    let (_, facts) = fat::read(Arc::new(volume)).unwrap();
    let sector_bytes = *rng.pick(&[512, 512, 1024, 4096]);
    let facts = Facts {
        sector_bytes,
        cluster_sectors: *rng.pick(&[1, 2, 4]),
        fats: *rng.pick(&[1, 2]),
        root_entries: if wide { 0 } else { *rng.pick(&[512, 1024]) },
        ..facts
    };
    Options::like(&facts, 34 << 20, TIME)
}

fn write(tree: &FileTree, options: &Options) -> Mosaic {
    let layout = fat::layout(tree, options).unwrap();
    fat::write(&layout, tree).unwrap()
}

fn as_list(model: &Model) -> Vec<(String, Option<Vec<u8>>)> {
    model
        .iter()
        .map(|it| (it.0.clone(), it.1.clone()))
        .collect()
}

#[test]
fn random_trees_and_edits() {
    let knows_fat = crate::kernel::has_fat();
    each_case(40, |case, rng| {
        let (mut model, mut tree) = (Model::new(), empty());
        for round in 0..=rng.below(3) {
            for _ in 0..rng.below(90) {
                edit(rng, &mut model, &mut tree);
            }
            let options = options(rng);
            let layout = match fat::layout(&tree, &options) {
                Ok(layout) => layout,
                // A fixed root directory is soon full, and a small volume too.
                Err(Error::RootFull { .. } | Error::Full { .. } | Error::BadShape { .. }) => {
                    continue;
                }
                Err(error) => panic!("{error}"),
            };
            let volume = fat::write(&layout, &tree).unwrap();
            let mut held = bytes(&volume);
            let image = Image::new(&volume);
            image.check();
            if fatfs_can(&layout) {
                let found = independently(&mut held);
                assert_eq!(names(&found), names(&as_list(&model)));
                assert!(found == as_list(&model));
            }
            let (read, facts) = fat::read(Arc::new(volume.clone())).unwrap();
            assert!(contents(&read) == as_list(&model));
            let again = write(&read, &Options::like(&facts, facts.size, TIME));
            let len = usize::try_from(facts.size).unwrap();
            assert!(bytes(&again)[..len] == held[..len], "{}", facts.kind);
            if knows_fat {
                crate::kernel::walk(&volume, &read);
            }
            if case % 4 == 0 && round == 0 && mtools_can(&model, facts.kind) {
                assert!(files_below(&image.extract()) == as_list(&model));
            }
            tree = read;
        }
    });
}

/// Tells whether the crate `fatfs` takes it: not FAT32 with so few clusters that by the specification it would be FAT16.
fn fatfs_can(layout: &Layout) -> bool {
    let text = layout.to_string();
    let clusters = text.split("clusters=").nth(1).unwrap();
    let clusters: u32 = clusters.split(' ').next().unwrap().parse().unwrap();
    layout.kind() != Kind::Fat32 || clusters >= 65_525
}

/// Tells whether mtools knows all letters, and no name looks like another's short form.
fn mtools_can(model: &Model, kind: Kind) -> bool {
    kind != Kind::Fat32
        && model
            .keys()
            .all(|it| !it.contains('~') && !it.contains('\u{e000}'))
}

fn names(all: &[(String, Option<Vec<u8>>)]) -> Vec<&str> {
    all.iter().map(|it| it.0.as_str()).collect()
}

/// Walks a volume with the crate `fatfs`.
fn independently(volume: &mut [u8]) -> Vec<(String, Option<Vec<u8>>)> {
    let disk = std::io::Cursor::new(volume);
    let filesystem = fatfs::FileSystem::new(disk, fatfs::FsOptions::new()).unwrap();
    let mut found = Vec::new();
    crate::writes::walk(&filesystem.root_dir(), "", &mut found);
    found.sort();
    found
}
