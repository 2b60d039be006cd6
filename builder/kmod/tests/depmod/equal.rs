//! Byte for byte.

use crate::kernel::{Tree, assert_equal, run};
use kmod::{Error, Existing, IndexFile, Modules};
use std::cell::Cell;

/// Returns every `step`th module that no other needs, of those that hang together least: leaves of the tree of needs.
fn leaves(tree: &Tree, step: usize, count: usize) -> Vec<String> {
    let dep = String::from_utf8(tree.file("modules.dep")).unwrap();
    let needed: std::collections::BTreeSet<_> = dep
        .lines()
        .flat_map(|it| it.split_once(':').unwrap().1.split_whitespace())
        .collect();
    let all = dep.lines().map(|it| it.split_once(':').unwrap().0);
    all.filter(|it| !needed.contains(it))
        .step_by(step)
        .take(count)
        .map(str::to_owned)
        .collect()
}

/// Takes modules away, has depmod index the rest, puts them back, and extends that index by them.
fn extended(tree: &Tree, new: &[String]) -> (Result<Vec<IndexFile>, Error>, u32) {
    let away = tempfile::tempdir_in(tree.folder()).unwrap();
    let kept: Vec<_> = new
        .iter()
        .enumerate()
        .map(|(index, path)| (path, away.path().join(index.to_string())))
        .collect();
    for (path, place) in &kept {
        std::fs::rename(tree.folder().join(path), place).unwrap();
    }
    tree.depmod();
    let [dep, alias, softdep, symbols, order] = [
        "modules.dep",
        "modules.alias",
        "modules.softdep",
        "modules.symbols",
        "modules.order",
    ]
    .map(|it| tree.file(it));
    for (path, place) in &kept {
        std::fs::rename(place, tree.folder().join(path)).unwrap();
    }
    let reads = Cell::new(0);
    let load_old = |path: &str| {
        reads.set(reads.get() + 1);
        std::fs::read(tree.folder().join(path))
    };
    let existing = Existing {
        dep: &dep,
        alias: &alias,
        softdep: &softdep,
        symbols: &symbols,
        order: &order,
        load: &load_old,
    };
    let paths: Vec<_> = new.iter().map(String::as_str).collect();
    let load = |it: usize| std::fs::read(tree.folder().join(paths[it]));
    (
        kmod::extend(
            &existing,
            &Modules {
                paths: &paths,
                load: &load,
            },
        ),
        reads.get(),
    )
}

#[test]
fn the_index_of_a_whole_kernel_is_depmods() {
    let tree = Tree::unpack();
    assert_equal(&tree.index().unwrap(), &tree.depmod());
}

#[test]
fn the_index_of_modules_in_no_order_is_depmods() {
    let tree = Tree::unpack();
    std::fs::write(tree.folder().join("modules.order"), b"").unwrap();
    assert_equal(&tree.index().unwrap(), &tree.depmod());
}

#[test]
fn compressed_modules_are_indexed_as_plain_ones() {
    let tree = Tree::unpack();
    for (number, path) in tree.modules().into_iter().enumerate() {
        let (program, package, suffix) = match number % 4 {
            0 => ("xz", "xz-utils", ".xz"),
            1 => ("zstd", "zstd", ".zst"),
            _ => continue,
        };
        if number % 40 > 1 || [".xz", ".zst"].iter().any(|it| path.ends_with(it)) {
            continue;
        }
        run(&tree.folder(), program, package, &["-q", "-1", &path]);
        let plain = tree.folder().join(&path);
        if plain.exists() {
            std::fs::remove_file(plain).unwrap();
        }
        assert!(tree.folder().join(format!("{path}{suffix}")).exists());
    }
    assert_equal(&tree.index().unwrap(), &tree.depmod());
}

#[test]
fn a_gzipped_module_says_what_the_plain_one_does() {
    let tree = Tree::unpack();
    let path = tree
        .modules()
        .into_iter()
        .find(|it| it.ends_with("/nf_nat.ko"))
        .expect("every kernel has NAT");
    let plain = kmod::facts(&path, &tree.file(&path)).unwrap();
    run(&tree.folder(), "gzip", "gzip", &[&path]);
    assert_eq!(
        kmod::facts(&path, &tree.file(&format!("{path}.gz"))).unwrap(),
        plain
    );
    assert!(plain.depends.contains(&b"nf_conntrack".to_vec()) && !plain.needs.is_empty());
}

#[test]
fn an_extended_index_is_that_of_all_modules() {
    let tree = Tree::unpack();
    let whole = tree.depmod();
    for (step, count) in [(7, 40), (1, 300), (3, 200)] {
        let new = leaves(&tree, step, count);
        let (files, reads) = extended(&tree, &new);
        assert_equal(&files.unwrap(), &whole);
        assert!(reads < 20, "{reads} old modules were read");
        tree.depmod();
    }
}

#[test]
fn modules_that_need_each_other_can_be_added_together() {
    let tree = Tree::unpack();
    let whole = tree.depmod();
    // All of a subsystem on which nothing else rests.
    let part = |it: &String| it.contains("/netfilter/ipvs/") || it.contains("/xt_ipvs.ko");
    let new: Vec<_> = tree.modules().into_iter().filter(part).collect();
    assert!(new.len() > 5, "{new:?}");
    let (files, _) = extended(&tree, &new);
    assert_equal(&files.unwrap(), &whole);
}

#[test]
fn updates_come_before_the_kernels_own() {
    let tree = Tree::unpack();
    let path = tree
        .modules()
        .into_iter()
        .find(|it| it.contains("/tun.ko"))
        .expect("every kernel has tun");
    let file = path.rsplit('/').next().unwrap();
    std::fs::create_dir(tree.folder().join("updates")).unwrap();
    std::fs::copy(
        tree.folder().join(&path),
        tree.folder().join("updates").join(file),
    )
    .unwrap();
    let ours = tree.index().unwrap();
    assert_equal(&ours, &tree.depmod());
    let dep = String::from_utf8(ours[0].bytes.clone()).unwrap();
    assert!(dep.contains(&format!("\nupdates/{file}:")) && !dep.contains(&path));
    // Which is why it cannot be an extension.
    let (files, _) = extended(&tree, &[format!("updates/{file}")]);
    let err = files.unwrap_err();
    assert!(matches!(&err, Error::NotAnExtension { .. }), "{err}");
}
