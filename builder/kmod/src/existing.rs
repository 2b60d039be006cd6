//! Adds modules to an index that is there, from its text files, without reading the modules that it is of.
//!
//! The text files hold all but one thing: in which order a module names what it needs directly. That order decides between
//! modules that become free together, and is seen in `modules.dep` wherever it mattered. Where it did not matter and now
//! does, the one old module in question is read.

use crate::error::Error;
use crate::graph::Graph;
use crate::module::{Facts, Module, Modules, facts, name};
use crate::output::{IndexFile, Order, files, needs, owners};
use std::collections::BTreeMap;
use std::io;

/// An index to be extended: the bytes of the files of these names, and how to read the modules it is of.
#[derive(Clone, Copy)]
pub struct Existing<'a> {
    /// `modules.dep`.
    pub dep: &'a [u8],
    /// `modules.alias`.
    pub alias: &'a [u8],
    /// `modules.softdep`.
    pub softdep: &'a [u8],
    /// `modules.symbols`.
    pub symbols: &'a [u8],
    /// `modules.order`, which is the kernel's and not of the index.
    pub order: &'a [u8],
    /// Returns the bytes of the module at that path of `modules.dep`; called for few modules, mostly for none.
    pub load: &'a dyn Fn(&str) -> io::Result<Vec<u8>>,
}

impl std::fmt::Debug for Existing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Existing({} B of modules.dep)", self.dep.len())
    }
}

/// Returns the index of the old modules and the new: what [`index`](crate::index()) makes of all of them, without the files
/// of built-in modules, which stay as they are.
///
/// A new module may need old ones and other new ones. One that replaces an old one is refused, and so is one that offers a
/// symbol that an old one does. That no old module lacks a symbol that a new one offers is the caller's to know: packages
/// see to it by their dependencies, and the text files do not tell.
pub fn extend(existing: &Existing<'_>, new: &Modules<'_>) -> Result<Vec<IndexFile>, Error> {
    let (mut modules, lists) = parse(existing)?;
    let old = modules.len();
    let indexes: Vec<_> = (0..new.paths.len())
        .filter(|it| name(new.paths[*it]).is_some())
        .collect();
    let all_facts = new.read(&indexes)?;
    for (index, facts) in indexes.into_iter().zip(all_facts) {
        let path = new.paths[index].to_owned();
        let name = name(&path).unwrap_or_default();
        modules.push(Module { path, name, facts });
    }
    check(&modules, old)?;

    // Old modules keep their indexes while the order of loading is found.
    let names = |it: usize| modules[it].name.clone();
    let owners_before = owners(&modules);
    let mut marks = Marks::new(old);
    let mut direct: Vec<_> = lists
        .iter()
        .map(|it| direct(it, &lists, &mut marks))
        .collect();
    let order = Order::new(existing.order);
    let sequence = |count: usize| {
        let mut all: Vec<_> = (0..count).collect();
        all.sort_by_cached_key(|it| order.key(&modules[*it].path, &modules[*it].name));
        all
    };
    let together = Graph::new(direct.clone()).freed(&sequence(old), &names)?;
    direct
        .extend((old..modules.len()).map(|it| needs(it, &modules[it].facts.needs, &owners_before)));
    let sequence = sequence(modules.len());
    let mut resolve = |module: usize, freed: &[usize]| -> Result<Option<Vec<usize>>, Error> {
        let known = |it: &usize| together[module].contains(it);
        if module >= old || freed.len() < 2 || freed.iter().all(known) {
            return Ok(None);
        }
        let path = &modules[module].path;
        let bytes = (existing.load)(path).map_err(|source| Error::Load {
            path: path.clone(),
            source,
        })?;
        Ok(Some(needs(
            module,
            &facts(path, &bytes)?.needs,
            &owners_before,
        )))
    };
    let graph = Graph::new(direct);
    let place = graph.order(&sequence, &mut resolve, &names)?;

    let mut position = vec![0; modules.len()];
    for (at, module) in sequence.iter().enumerate() {
        position[*module] = at;
    }
    let below = sequence.iter().map(|it| {
        graph
            .below(*it, &place)
            .iter()
            .map(|it| position[*it])
            .collect()
    });
    let below: Vec<Vec<usize>> = below.collect();
    let mut sorted: Vec<_> = position.iter().copied().zip(modules).collect();
    sorted.sort_by_key(|it| it.0);
    let modules: Vec<_> = sorted.into_iter().map(|it| it.1).collect();
    Ok(files(&modules, &owners(&modules), &below))
}

/// Refuses new modules that change what old ones are.
fn check(modules: &[Module], old: usize) -> Result<(), Error> {
    let refused = |module: &Module, why| {
        Err(Error::NotAnExtension {
            path: module.path.clone(),
            why,
        })
    };
    let mut names = BTreeMap::new();
    let mut symbols = BTreeMap::new();
    for (index, module) in modules.iter().enumerate() {
        if let Some(other) = names.insert(module.name.as_str(), module) {
            return refused(module, format!("it has the name of {}", other.path));
        }
        for symbol in &module.facts.exports {
            if let Some((other, at)) = symbols.insert(symbol.as_slice(), (module, index))
                && index >= old
                && at != index
            {
                let symbol = String::from_utf8_lossy(symbol);
                return refused(
                    module,
                    format!("it offers the symbol {symbol} as {} does", other.path),
                );
            }
        }
    }
    Ok(())
}

/// Returns the modules that one needs directly and not through others, the last to load first.
///
/// `list` is its line of `modules.dep`. What is freed together is loaded in reverse, hence the order.
fn direct(list: &[usize], lists: &[Vec<usize>], through: &mut Marks) -> Vec<usize> {
    through.begin();
    for it in list.iter().flat_map(|it| &lists[*it]) {
        through.mark(*it);
    }
    list.iter()
        .rev()
        .filter(|it| !through.has(**it))
        .copied()
        .collect()
}

/// A set of modules, used over and over: a hostile index has a hundred thousand sets of many.
struct Marks {
    of: Vec<usize>,
    round: usize,
}

impl Marks {
    fn new(modules: usize) -> Self {
        Self {
            of: vec![0; modules],
            round: 0,
        }
    }

    /// Makes the set empty.
    fn begin(&mut self) {
        self.round += 1;
    }

    /// Puts a module into the set, and returns whether it was not there.
    fn mark(&mut self, module: usize) -> bool {
        std::mem::replace(&mut self.of[module], self.round) != self.round
    }

    fn has(&self, module: usize) -> bool {
        self.of[module] == self.round
    }
}

/// Returns the old modules in their order, each with its line of `modules.dep` as indexes.
fn parse(existing: &Existing<'_>) -> Result<(Vec<Module>, Vec<Vec<usize>>), Error> {
    let mut modules = Vec::new();
    let mut by_path = BTreeMap::new();
    let mut by_name = BTreeMap::new();
    let mut needed = Vec::new();
    for line in lines("modules.dep", existing.dep) {
        let (text, bad) = line?;
        let (path, rest) = text.split_once(':').ok_or_else(|| bad("it has no colon"))?;
        let name = name(path).ok_or_else(|| bad("it names no module"))?;
        let twice = by_path.insert(path, modules.len()).is_some()
            || by_name.insert(name.clone(), modules.len()).is_some();
        if twice {
            return Err(bad("the module stands there twice"));
        }
        modules.push(Module {
            path: path.to_owned(),
            name,
            facts: Facts::default(),
        });
        needed.push((rest, bad));
    }
    let mut lists = Vec::with_capacity(modules.len());
    let mut marks = Marks::new(modules.len());
    for (rest, bad) in &needed {
        let mut list = Vec::new();
        marks.begin();
        for path in rest.split_ascii_whitespace() {
            let found = by_path.get(path).copied();
            let found = found.ok_or_else(|| bad("it needs a module that has no line"))?;
            if !marks.mark(found) {
                return Err(bad(&format!("it names {path} twice")));
            }
            list.push(found);
        }
        lists.push(list);
    }
    for (module, (_, bad)) in needed.iter().enumerate() {
        if let Some(other) = lacking(module, &lists, &mut marks) {
            let other = &modules[other].path;
            return Err(bad(&format!("it lacks {other}, which what it names needs")));
        }
    }
    for (file, bytes) in [
        ("modules.alias", existing.alias),
        ("modules.symbols", existing.symbols),
    ] {
        for line in lines(file, bytes) {
            let (text, bad) = line?;
            // An alias may hold spaces; the name of a module never does.
            let (alias, name) = text
                .strip_prefix("alias ")
                .and_then(|it| it.rsplit_once(' '))
                .ok_or_else(|| bad("it is no alias"))?;
            let index = *by_name
                .get(name)
                .ok_or_else(|| bad("it names a module that modules.dep does not"))?;
            let facts = &mut modules[index].facts;
            match alias.strip_prefix("symbol:") {
                Some(symbol) if file == "modules.symbols" => facts.exports.push(symbol.into()),
                _ => facts.aliases.push(alias.into()),
            }
        }
    }
    for line in lines("modules.softdep", existing.softdep) {
        let (text, bad) = line?;
        let (name, value) = text
            .strip_prefix("softdep ")
            .and_then(|it| it.split_once(' '))
            .ok_or_else(|| bad("it is no softdep"))?;
        let index = *by_name
            .get(name)
            .ok_or_else(|| bad("it names a module that modules.dep does not"))?;
        modules[index].facts.softdeps.push(value.into());
    }
    Ok((modules, lists))
}

/// Returns what the line of `module` lacks: depmod writes with each module all that this one needs.
///
/// So what is written is no longer than what was read: a chain of lines of one module each would become its square.
fn lacking(module: usize, lists: &[Vec<usize>], named: &mut Marks) -> Option<usize> {
    named.begin();
    for it in &lists[module] {
        named.mark(*it);
    }
    let mut below = lists[module].iter().flat_map(|it| &lists[*it]);
    below.find(|it| **it != module && !named.has(**it)).copied()
}

/// Iterates over the lines that are no comments, each with what makes it an error.
fn lines<'a>(
    file: &'static str,
    bytes: &'a [u8],
) -> impl Iterator<Item = Result<(&'a str, impl Fn(&str) -> Error + use<>), Error>> {
    let numbered = (1..).zip(bytes.split(|it| *it == b'\n'));
    numbered
        .filter(|(_, it)| !it.is_empty() && !it.starts_with(b"#"))
        .map(move |(line, bytes)| {
            let bad = move |why: &str| Error::BadIndex {
                file,
                line,
                why: why.to_owned(),
            };
            std::str::from_utf8(bytes)
                .map(|it| (it, bad))
                .map_err(|_| bad("it is not UTF-8"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::tests::file;
    use crate::output::{Kernel, index};
    use std::cell::RefCell;

    /// Returns a module that offers and needs these symbols.
    fn module(exports: &str, needs: &[&str]) -> Vec<u8> {
        let mut table = vec![0; 24];
        let mut names = vec![0];
        for need in needs {
            let mut symbol = vec![0; 24];
            symbol[0] = u8::try_from(names.len()).unwrap();
            table.extend(symbol);
            names.extend(need.bytes().chain([0]));
        }
        let exports = exports.bytes().chain([0]).collect();
        file(
            true,
            &[
                ("__ksymtab_strings", exports),
                (".symtab", table),
                (".strtab", names),
            ],
        )
    }

    fn all(modules: &[(&str, Vec<u8>)], order: &[u8]) -> Vec<IndexFile> {
        let paths: Vec<_> = modules.iter().map(|it| it.0).collect();
        let kernel = Kernel {
            order,
            builtin: b"",
            builtin_modinfo: b"",
            search: crate::SEARCH,
        };
        index(
            &Modules {
                paths: &paths,
                load: &|it| Ok(modules[it].1.clone()),
            },
            &kernel,
        )
        .unwrap()
    }

    #[test]
    fn an_order_that_begins_to_matter_is_looked_up() {
        let order = b"b.ko\na.ko\np.ko\nq.ko\nn.ko\n";
        let old = [
            ("b.ko", module("of_b", &["of_q"])),
            ("a.ko", module("", &["of_p", "of_q"])),
            ("p.ko", module("of_p", &[])),
            ("q.ko", module("of_q", &[])),
        ];
        let before = all(&old, order);
        // Because of `n`, `b` is placed before `a`, which then frees `p` and `q` together.
        let new = module("", &["of_b"]);
        let after = all(&[&old[..], &[("n.ko", new.clone())]].concat(), order);
        assert!(
            before[0]
                .bytes
                .windows(16)
                .any(|it| it == b"a.ko: p.ko q.ko\n")
        );
        assert!(
            after[0]
                .bytes
                .windows(16)
                .any(|it| it == b"a.ko: q.ko p.ko\n")
        );

        let text = |name: &str| {
            before
                .iter()
                .find(|it| it.name == name)
                .unwrap()
                .bytes
                .as_slice()
        };
        let reads = RefCell::new(Vec::new());
        let load = |path: &str| {
            reads.borrow_mut().push(path.to_owned());
            Ok(old.iter().find(|it| it.0 == path).unwrap().1.clone())
        };
        let existing = Existing {
            dep: text("modules.dep"),
            alias: text("modules.alias"),
            softdep: text("modules.softdep"),
            symbols: text("modules.symbols"),
            order,
            load: &load,
        };
        let files = extend(
            &existing,
            &Modules {
                paths: &["n.ko"],
                load: &|_| Ok(new.clone()),
            },
        )
        .unwrap();
        assert_eq!(files, after[..files.len()]);
        assert_eq!(*reads.borrow(), ["a.ko"]);
    }

    #[test]
    fn a_module_that_takes_over_a_symbol_is_refused() {
        let old = [("p.ko", module("of_p", &[]))];
        let before = all(&old, b"");
        let existing = Existing {
            dep: &before[0].bytes,
            alias: b"",
            softdep: b"",
            symbols: b"alias symbol:of_p p\n",
            order: b"",
            load: &|_| Ok(Vec::new()),
        };
        let new = Modules {
            paths: &["n.ko"],
            load: &|_| Ok(module("of_p", &[])),
        };
        let err = extend(&existing, &new).unwrap_err().to_string();
        assert_eq!(
            err,
            "the module index cannot be extended by n.ko: it offers the symbol of_p as p.ko does"
        );
    }
}
