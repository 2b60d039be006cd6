//! Puts the index files together from modules that were read.

use crate::alias::{device_node, normal};
use crate::error::Error;
use crate::graph::Graph;
use crate::module::{Module, Modules, modinfo, name, plain_path, rank};
use crate::symbols::{MODULE_BUCKETS, SYMBOL_BUCKETS, bucket};
use crate::trie::Trie;
use std::collections::{BTreeMap, BTreeSet};

/// An index file: name within the kernel's folder, and bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IndexFile {
    /// Such as `modules.dep.bin`.
    pub name: &'static str,
    /// All of it.
    pub bytes: Vec<u8>,
}

/// What a kernel's package says of it besides its modules: the files of these names, and depmod's configuration.
#[derive(Clone, Copy, Debug)]
pub struct Kernel<'a> {
    /// `modules.order`.
    pub order: &'a [u8],
    /// `modules.builtin`.
    pub builtin: &'a [u8],
    /// `modules.builtin.modinfo`.
    pub builtin_modinfo: &'a [u8],
    /// Folders by preference, as in the `search` line of `depmod.d`; [`SEARCH`](crate::SEARCH) without one.
    pub search: &'a [&'a str],
}

/// Returns the index of all modules. Other files among the paths are passed over.
///
/// Of modules of one name, the one in the folder searched first counts, then the one named first.
pub fn index(modules: &Modules<'_>, kernel: &Kernel<'_>) -> Result<Vec<IndexFile>, Error> {
    let chosen = choose(modules.paths, kernel);
    let facts = modules.read(&chosen.iter().map(|it| it.0).collect::<Vec<_>>())?;
    let pairs = chosen.into_iter().zip(facts);
    let modules: Vec<_> = pairs
        .map(|((index, name), facts)| Module {
            path: modules.paths[index].to_owned(),
            name,
            facts,
        })
        .collect();
    let owners = owners(&modules);
    let graph = Graph::new(
        modules
            .iter()
            .enumerate()
            .map(|(index, it)| needs(index, &it.facts.needs, &owners))
            .collect(),
    );
    let sequence: Vec<_> = (0..modules.len()).collect();
    let place = graph.order(&sequence, &mut |_, _| Ok(None), &|it| {
        modules[it].name.clone()
    })?;
    let below: Vec<_> = (0..modules.len())
        .map(|it| graph.below(it, &place))
        .collect();
    let mut files = files(&modules, &owners, &below);
    files.extend(builtin_files(kernel));
    Ok(files)
}

/// Returns the modules that count, as indexes of `paths` with their names, in depmod's order.
fn choose(paths: &[&str], kernel: &Kernel<'_>) -> Vec<(usize, String)> {
    let mut chosen: BTreeMap<String, usize> = BTreeMap::new();
    for (index, path) in paths.iter().enumerate() {
        // The links to a kernel's headers are no place for modules.
        let Some(name) =
            name(path).filter(|_| !path.split('/').any(|it| matches!(it, "build" | "source")))
        else {
            continue;
        };
        let rank_of = |it: usize| rank(paths[it], kernel.search);
        match chosen.get_mut(&name) {
            Some(other) if rank_of(index) < rank_of(*other) => *other = index,
            Some(_) => {}
            None => {
                chosen.insert(name, index);
            }
        }
    }
    let order = Order::new(kernel.order);
    let mut chosen: Vec<_> = chosen
        .into_iter()
        .map(|(name, index)| (index, name))
        .collect();
    chosen.sort_by_cached_key(|(index, name)| order.key(paths[*index], name));
    chosen
}

/// The order of modules: those that the kernel's build lists as it does, the others after them by kmod's hash.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    listed: BTreeMap<&'a [u8], usize>,
}

impl<'a> Order<'a> {
    /// Takes `modules.order`. A path that stands there twice counts where it stands last.
    pub(crate) fn new(order: &'a [u8]) -> Self {
        Self {
            listed: order
                .split(|it| *it == b'\n')
                .enumerate()
                .map(|(at, line)| (line, at))
                .collect(),
        }
    }

    /// Returns what modules are sorted by.
    pub(crate) fn key(&self, path: &str, name: &str) -> (usize, u32, String) {
        let listed = self
            .listed
            .get(plain_path(path).as_bytes())
            .copied()
            .unwrap_or(usize::MAX);
        (
            listed,
            bucket(name.as_bytes(), MODULE_BUCKETS),
            name.to_owned(),
        )
    }
}

/// Returns which module offers each symbol; of several the last.
pub(crate) fn owners(modules: &[Module]) -> BTreeMap<&[u8], usize> {
    let pairs = modules.iter().enumerate();
    pairs
        .flat_map(|(index, module)| {
            module
                .facts
                .exports
                .iter()
                .map(move |it| (it.as_slice(), index))
        })
        .collect()
}

/// Returns the modules that offer these symbols, each once, in the symbols' order.
pub(crate) fn needs(
    module: usize,
    symbols: &[Vec<u8>],
    owners: &BTreeMap<&[u8], usize>,
) -> Vec<usize> {
    let mut seen = BTreeSet::from([module]);
    let found = symbols
        .iter()
        .filter_map(|it| owners.get(it.as_slice()).copied());
    found.filter(|it| seen.insert(*it)).collect()
}

/// Returns the files that depend on modules; `below` says what each needs, in order.
pub(crate) fn files(
    modules: &[Module],
    owners: &BTreeMap<&[u8], usize>,
    below: &[Vec<usize>],
) -> Vec<IndexFile> {
    let [alias, alias_trie] = alias_files(modules);
    let [dep, dep_trie] = dep_files(modules, below);
    let [symbols, symbols_trie] = symbol_files(modules, owners);
    let text = |name, head: &str, lines: &dyn Fn(&Module) -> Vec<u8>| {
        let lines = modules.iter().flat_map(lines);
        IndexFile {
            name,
            bytes: head.bytes().chain(lines).collect(),
        }
    };
    let softdep = text(
        "modules.softdep",
        "# Soft dependencies extracted from modules themselves.\n",
        &|module| {
            let softdeps = module.facts.softdeps.iter();
            softdeps
                .flat_map(|it| [b"softdep ", module.name.as_bytes(), b" ", it, b"\n"].concat())
                .collect()
        },
    );
    let devname = text(
        "modules.devname",
        "# Device nodes to trigger on-demand module loading.\n",
        &|module| {
            device_node(&module.name, &module.facts.aliases)
                .unwrap_or_default()
                .into_bytes()
        },
    );
    vec![
        dep,
        dep_trie,
        alias,
        alias_trie,
        softdep,
        symbols,
        symbols_trie,
        devname,
    ]
}

fn alias_files(modules: &[Module]) -> [IndexFile; 2] {
    let mut bytes = b"# Aliases extracted from modules themselves.\n".to_vec();
    let mut trie = Trie::default();
    for (priority, module) in (0..).zip(modules) {
        for alias in &module.facts.aliases {
            bytes.extend(
                [
                    b"alias ",
                    alias.as_slice(),
                    b" ",
                    module.name.as_bytes(),
                    b"\n",
                ]
                .concat(),
            );
            if let Some(key) = normal(alias) {
                trie.insert(&key, module.name.as_bytes(), priority);
            }
        }
    }
    [
        IndexFile {
            name: "modules.alias",
            bytes,
        },
        IndexFile {
            name: "modules.alias.bin",
            bytes: trie.bytes(),
        },
    ]
}

fn dep_files(modules: &[Module], below: &[Vec<usize>]) -> [IndexFile; 2] {
    let mut bytes = Vec::new();
    let mut trie = Trie::default();
    for ((priority, module), below) in (0..).zip(modules).zip(below) {
        let needed = below.iter().map(|it| format!(" {}", modules[*it].path));
        let line = format!("{}:{}", module.path, needed.collect::<String>());
        trie.insert(module.name.as_bytes(), line.as_bytes(), priority);
        bytes.extend(line.bytes());
        bytes.push(b'\n');
    }
    [
        IndexFile {
            name: "modules.dep",
            bytes,
        },
        IndexFile {
            name: "modules.dep.bin",
            bytes: trie.bytes(),
        },
    ]
}

fn symbol_files(modules: &[Module], owners: &BTreeMap<&[u8], usize>) -> [IndexFile; 2] {
    let mut bytes = b"# Aliases for symbols, used by symbol_request().\n".to_vec();
    let mut trie = Trie::default();
    let mut symbols: Vec<_> = owners.iter().collect();
    symbols.sort_by_cached_key(|it| (bucket(it.0, SYMBOL_BUCKETS), it.0));
    for (symbol, owner) in symbols {
        let (key, module) = ([b"symbol:", *symbol].concat(), &modules[*owner]);
        bytes.extend(
            [
                b"alias ",
                key.as_slice(),
                b" ",
                module.name.as_bytes(),
                b"\n",
            ]
            .concat(),
        );
        trie.insert(
            &key,
            module.name.as_bytes(),
            u32::try_from(*owner).unwrap_or(u32::MAX),
        );
    }
    [
        IndexFile {
            name: "modules.symbols",
            bytes,
        },
        IndexFile {
            name: "modules.symbols.bin",
            bytes: trie.bytes(),
        },
    ]
}

/// Returns the files about what is built into the kernel.
fn builtin_files(kernel: &Kernel<'_>) -> [IndexFile; 2] {
    let mut names = Trie::default();
    for line in kernel
        .builtin
        .split(|it| *it == b'\n')
        .filter(|it| !it.is_empty())
    {
        let file = line.rsplit(|it| *it == b'/').next().unwrap_or_default();
        let stem = file.split(|it| *it == b'.').next().unwrap_or_default();
        let name: Vec<_> = stem
            .iter()
            .map(|it| if *it == b'-' { b'_' } else { *it })
            .collect();
        names.insert(&name, b"", 0);
    }
    let mut aliases = Trie::default();
    for (key, value) in modinfo(kernel.builtin_modinfo) {
        let Some(module) = key.strip_suffix(b".alias") else {
            continue;
        };
        if let Some(alias) = normal(value) {
            aliases.insert(&alias, module, 0);
        }
    }
    let bin = |name, trie: Trie| IndexFile {
        name,
        bytes: trie.bytes(),
    };
    [
        bin("modules.builtin.bin", names),
        bin("modules.builtin.alias.bin", aliases),
    ]
}
