//! Kernel modules and their indexes.

use kmod::{Existing, Kernel, Modules};

/// Bytes that part the files of an index in one input.
pub const BETWEEN: u8 = 0;

/// Reads a module, and makes the index of a kernel that has it twice under two names.
pub fn module(data: &[u8]) {
    if kmod::facts("kernel/a.ko", data).is_ok() {
        let modules = Modules {
            paths: &["kernel/a.ko", "kernel/b.ko"],
            load: &|_| Ok(data.to_vec()),
        };
        let kernel = Kernel {
            order: b"kernel/b.ko\n",
            builtin: b"kernel/c.ko\n",
            builtin_modinfo: data,
            search: kmod::SEARCH,
        };
        drop(kmod::index(&modules, &kernel));
    }
}

/// Reads an index, its files parted by zeros, and extends it by nothing.
pub fn modules_dep(data: &[u8]) {
    let mut parts = data.splitn(5, |it| *it == BETWEEN);
    let mut part = || parts.next().unwrap_or_default();
    let existing = Existing {
        dep: part(),
        alias: part(),
        softdep: part(),
        symbols: part(),
        order: part(),
        load: &|_| Ok(Vec::new()),
    };
    let none = Modules {
        paths: &[],
        load: &|_| Ok(Vec::new()),
    };
    drop(kmod::extend(&existing, &none));
}
