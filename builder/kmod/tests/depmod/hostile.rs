//! Damaged modules and indexes are an error or are read, never a panic.

use crate::kernel::Tree;
use kmod::{Existing, Modules};

#[test]
fn no_flipped_byte_of_a_module_makes_it_panic() {
    let tree = Tree::unpack();
    let path = tree
        .modules()
        .into_iter()
        .find(|it| it.contains("/llc.ko"))
        .expect("every kernel has LLC");
    let module = tree.file(&path);
    assert!(kmod::facts(&path, &module).is_ok());
    // Headers are at both ends, and a module is mostly code.
    let ends = (0..64)
        .chain(module.len().saturating_sub(3000)..module.len())
        .chain((0..module.len()).step_by(211));
    for at in ends {
        for mask in [0x01, 0x80, 0xFF] {
            let mut damaged = module.clone();
            damaged[at] ^= mask;
            let _outcome = kmod::facts(&path, &damaged);
        }
    }
    for len in (0..module.len()).step_by(997) {
        let _outcome = kmod::facts(&path, &module[..len]);
    }
    assert!(kmod::facts(&path, b"").is_err());
    assert!(kmod::facts(&path, &module[..module.len() / 2]).is_err());
}

#[test]
fn damaged_indexes_are_refused_by_line() {
    let extend = |dep: &str, alias: &str, softdep: &str, symbols: &str| {
        let load_old = |_: &str| Ok(Vec::new());
        let [dep, alias, softdep, symbols] = [dep, alias, softdep, symbols].map(str::as_bytes);
        let existing = Existing {
            dep,
            alias,
            softdep,
            symbols,
            order: b"",
            load: &load_old,
        };
        kmod::extend(
            &existing,
            &Modules {
                paths: &[],
                load: &|_| Ok(Vec::new()),
            },
        )
        .map_err(|it| it.to_string())
    };
    let good = "a.ko: b.ko\nb.ko:\n";
    assert!(
        extend(
            good,
            "# x\nalias x y a\n",
            "softdep b pre: a\n",
            "alias symbol:f b\n"
        )
        .is_ok()
    );
    for (files, want) in [
        (
            ["a.ko: b.ko\n", "", "", ""],
            "modules.dep line 1: it needs a module that has no line",
        ),
        (
            ["a.ko:\na.ko:\n", "", "", ""],
            "modules.dep line 2: the module stands there twice",
        ),
        (
            ["a.ko: b.ko\nb.ko: a.ko\n", "", "", ""],
            "modules need each other in a circle: b, a",
        ),
        (
            ["c.ko:\na.ko: b.ko\nb.ko: c.ko\n", "", "", ""],
            "modules.dep line 2: it lacks c.ko, which what it names needs",
        ),
        (
            ["a.ko: b.ko b.ko\nb.ko:\n", "", "", ""],
            "modules.dep line 1: it names b.ko twice",
        ),
        (
            ["\n\nrubbish\n", "", "", ""],
            "modules.dep line 3: it has no colon",
        ),
        (
            [good, "alias x c\n", "", ""],
            "modules.alias line 1: it names a module that modules.dep does not",
        ),
        (
            [good, "", "softdep c x\n", ""],
            "modules.softdep line 1: it names a module that modules.dep does not",
        ),
        (
            [good, "", "", "#\nwhat\n"],
            "modules.symbols line 2: it is no alias",
        ),
    ] {
        let [dep, alias, softdep, symbols] = files;
        assert_eq!(extend(dep, alias, softdep, symbols).unwrap_err(), want);
    }
}
