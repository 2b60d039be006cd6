//! Module indexes: packages brought modules, and modprobe finds a module only through an index of all of them.
//!
//! The base's own index is extended by what is new, so that only new modules are read; without one, all are.

use crate::error::{Error, Result, input};
use crate::plan::layer;
use fstree::{Content, File, FileKind, FileTree, ImgPath, Meta, Node, Timestamp};
use kmod::{Existing, IndexFile, Kernel, Modules};
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// The largest module; a graphics driver with its symbols has 100 MB.
const MAX_MODULE: u64 = 512 << 20;

/// Makes the indexes of a kernel's modules say what is there.
pub(super) fn depmod(tree: &mut FileTree, kernel: &str, time: Timestamp) -> Result<()> {
    let folder =
        ImgPath::new(format!("/lib/modules/{kernel}")).map_err(input("the kernel's release"))?;
    let folder = tree
        .follow(&folder)
        .map_err(input(format!("kernel {kernel}")))?;
    let modules = modules(tree, &folder)?;
    let dep = text(tree, &folder, "modules.dep")?;
    let indexed: BTreeSet<&str> = std::str::from_utf8(&dep)
        .unwrap_or_default()
        .lines()
        .filter_map(|it| it.split(':').next())
        .collect();
    let new: Vec<&str> = modules
        .keys()
        .map(String::as_str)
        .filter(|it| !indexed.contains(it))
        .collect();
    if new.is_empty() && !dep.is_empty() {
        return Ok(());
    }
    let load = |path: &str| -> io::Result<Vec<u8>> {
        let content = modules
            .get(path)
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        content.read_all(MAX_MODULE)
    };
    let indexes = if dep.is_empty() {
        let load = |at: usize| load(new[at]);
        let all = Modules {
            paths: &new,
            load: &load,
        };
        let (order, builtin, builtin_modinfo) = (
            text(tree, &folder, "modules.order")?,
            text(tree, &folder, "modules.builtin")?,
            text(tree, &folder, "modules.builtin.modinfo")?,
        );
        let kernel = Kernel {
            order: &order,
            builtin: &builtin,
            builtin_modinfo: &builtin_modinfo,
            search: kmod::SEARCH,
        };
        kmod::index(&all, &kernel)
    } else {
        extend(tree, &folder, &dep, &new, &load)?
    };
    let indexes = indexes.map_err(input(format!(
        "the module indexes of kernel {kernel} cannot be made"
    )))?;
    write(tree, &folder, indexes, time)
}

type Loader<'a> = dyn Fn(&str) -> io::Result<Vec<u8>> + Sync + 'a;

fn extend(
    tree: &FileTree,
    folder: &ImgPath,
    dep: &[u8],
    new: &[&str],
    load: &Loader<'_>,
) -> Result<std::result::Result<Vec<IndexFile>, kmod::Error>> {
    let (alias, softdep, symbols, order) = (
        text(tree, folder, "modules.alias")?,
        text(tree, folder, "modules.softdep")?,
        text(tree, folder, "modules.symbols")?,
        text(tree, folder, "modules.order")?,
    );
    let load_old = |path: &str| load(path);
    let existing = Existing {
        dep,
        alias: &alias,
        softdep: &softdep,
        symbols: &symbols,
        order: &order,
        load: &load_old,
    };
    let load_new = |at: usize| load(new[at]);
    Ok(kmod::extend(
        &existing,
        &Modules {
            paths: new,
            load: &load_new,
        },
    ))
}

/// Returns the modules below a kernel's folder by their paths in it.
fn modules(tree: &FileTree, folder: &ImgPath) -> Result<BTreeMap<String, Content>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![(String::new(), folder.clone())];
    while let Some((prefix, at)) = folders.pop() {
        let dir = tree
            .dir(&at)
            .ok_or_else(|| Error::input(format!("{at} is not a directory")))?;
        for (name, node) in dir.entries() {
            let Ok(text) = std::str::from_utf8(name.as_bytes()) else {
                continue;
            };
            let path = format!("{prefix}{text}");
            match node {
                Node::Dir(_) => folders.push((format!("{path}/"), at.join(name))),
                Node::File(id) => {
                    let is_module = [".ko", ".ko.xz", ".ko.zst", ".ko.gz"]
                        .iter()
                        .any(|it| path.ends_with(it));
                    if let FileKind::Regular(content) = &tree.file(*id).kind
                        && is_module
                    {
                        found.insert(path, content.clone());
                    }
                }
            }
        }
    }
    Ok(found)
}

/// Returns an index file's bytes; none if it does not exist.
fn text(tree: &FileTree, folder: &ImgPath, name: &str) -> Result<Vec<u8>> {
    let path = ImgPath::new(format!("{folder}/{name}")).map_err(input(name.to_owned()))?;
    let read = |it: &Content| it.read_all(MAX_MODULE).map_err(input(path.to_string()));
    tree.content(&path).map_or_else(|| Ok(Vec::new()), read)
}

fn write(
    tree: &mut FileTree,
    folder: &ImgPath,
    indexes: Vec<IndexFile>,
    time: Timestamp,
) -> Result<()> {
    for IndexFile { name, bytes } in indexes {
        let path = ImgPath::new(format!("{folder}/{name}")).map_err(input(name))?;
        let meta = Meta::root_owned(0o644, time, layer::MADE);
        let file = File {
            meta,
            kind: FileKind::Regular(Content::inline(bytes)),
        };
        tree.put(&path, file).map_err(input(name))?;
    }
    Ok(())
}
