//! One module: its name, and what it says about itself and of the symbols it has and needs.

use crate::elf::{Elf, text};
use crate::error::Error;
use crate::unpack::unpack;
use std::collections::BTreeSet;
use std::io;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// The folders in which depmod prefers modules over others of the same name, most wanted first, unless it is told otherwise.
pub const SEARCH: &[&str] = &["updates", "built-in"];

/// Modules that can be read one at a time, from several threads.
#[derive(Clone, Copy)]
pub struct Modules<'a> {
    /// Paths relative to the kernel's folder, such as `kernel/net/llc/llc.ko.xz`.
    pub paths: &'a [&'a str],
    /// Returns the bytes of the file at that index of `paths`, as found.
    pub load: &'a (dyn Fn(usize) -> io::Result<Vec<u8>> + Sync),
}

impl std::fmt::Debug for Modules<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Modules")
            .field("paths", &self.paths)
            .finish_non_exhaustive()
    }
}

/// What a module says, each in the order in which it stands there.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Facts {
    /// Names it can be asked for by: `pci:v00008086d…`, `fs-ext4`.
    pub aliases: Vec<Vec<u8>>,
    /// Modules that should be loaded before or after it: `pre: crc32c`.
    pub softdeps: Vec<Vec<u8>>,
    /// The modules its builder says that it needs. No index holds them; depmod goes by symbols.
    pub depends: Vec<Vec<u8>>,
    /// Symbols it offers to other modules.
    pub exports: Vec<Vec<u8>>,
    /// Symbols it needs, the kernel's own included.
    pub needs: Vec<Vec<u8>>,
}

/// A module with its place in the index.
#[derive(Clone, Debug)]
pub(crate) struct Module {
    pub(crate) path: String,
    pub(crate) name: String,
    pub(crate) facts: Facts,
}

/// Returns what a module's file says; `path` is for errors.
pub fn facts(path: &str, file: &[u8]) -> Result<Facts, Error> {
    let bytes = unpack(path, file)?;
    let elf = Elf::parse(&bytes).map_err(|why| Error::NotAModule {
        path: path.to_owned(),
        why,
    })?;
    let mut facts = Facts {
        exports: exports(&elf),
        needs: needs(&elf),
        ..Facts::default()
    };
    for (key, value) in modinfo(elf.section(b".modinfo").unwrap_or_default()) {
        match key {
            b"alias" => facts.aliases.push(value.to_vec()),
            b"softdep" => facts.softdeps.push(value.to_vec()),
            b"depends" => {
                facts.depends.extend(
                    value
                        .split(|it| *it == b',')
                        .filter(|it| !it.is_empty())
                        .map(<[u8]>::to_vec),
                );
            }
            _ => {}
        }
    }
    Ok(facts)
}

/// Iterates over the `key=value` strings of a `.modinfo` section.
pub(crate) fn modinfo(section: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let strings = section.split(|it| *it == 0);
    strings.filter_map(|it| {
        it.iter()
            .position(|it| *it == b'=')
            .map(|equals| (&it[..equals], &it[equals + 1..]))
    })
}

/// Symbols with a checksum are exported; where there are no checksums, all names in the table of exports are.
fn exports(elf: &Elf<'_>) -> Vec<Vec<u8>> {
    let summed: Vec<_> = elf
        .symbols()
        .filter_map(|it| it.name.strip_prefix(b"__crc_"))
        .map(<[u8]>::to_vec)
        .collect();
    if !summed.is_empty() {
        return summed;
    }
    let names = elf.section(b"__ksymtab_strings").unwrap_or_default();
    names
        .split(|it| *it == 0)
        .filter(|it| !it.is_empty())
        .map(<[u8]>::to_vec)
        .collect()
}

/// Undefined symbols come first, then those that only the table of versions names.
fn needs(elf: &Elf<'_>) -> Vec<Vec<u8>> {
    const ENTRY_BYTES: usize = 64;
    let undefined = elf
        .symbols()
        .filter(|it| !it.is_defined && !it.name.is_empty())
        .map(|it| it.name);
    let mut needs: Vec<_> = undefined.map(<[u8]>::to_vec).collect();
    let known: BTreeSet<_> = needs.iter().map(Vec::as_slice).collect();
    let versions = elf
        .section(b"__versions")
        .unwrap_or_default()
        .chunks_exact(ENTRY_BYTES);
    let versions = versions.map(|it| text(&it[elf.version_name_at()..]));
    let more: Vec<_> = versions
        .filter(|it| !it.is_empty() && !known.contains(it))
        .map(<[u8]>::to_vec)
        .collect();
    needs.extend(more);
    needs
}

/// Returns the name by which the kernel knows the module of that path: `snd-hda.ko.xz` is `snd_hda`; `None` for other files.
pub(crate) fn name(path: &str) -> Option<String> {
    let file = path.rsplit('/').next()?;
    let stem = ["", ".gz", ".xz", ".zst"]
        .iter()
        .find_map(|it| file.strip_suffix(it)?.strip_suffix(".ko"))?;
    (!stem.is_empty()).then(|| stem.replace('-', "_"))
}

/// Returns the path without the suffix of a compressor, as `modules.order` has it.
pub(crate) fn plain_path(path: &str) -> &str {
    [".gz", ".xz", ".zst"]
        .iter()
        .find_map(|it| path.strip_suffix(it))
        .unwrap_or(path)
}

/// Returns the rank of a module among those of its name by its path; the least is the one that counts.
pub(crate) fn rank(path: &str, search: &[&str]) -> usize {
    let built_in = search
        .iter()
        .position(|it| *it == "built-in")
        .unwrap_or(search.len());
    search
        .iter()
        .position(|it| *it != "built-in" && path.starts_with(it))
        .unwrap_or(built_in)
}

impl Modules<'_> {
    /// Reads the modules at these indexes, on as many threads as there are processors; the result is in their order.
    pub(crate) fn read(&self, indexes: &[usize]) -> Result<Vec<Facts>, Error> {
        let threads = std::thread::available_parallelism()
            .map_or(1, NonZero::get)
            .min(indexes.len());
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::with_capacity(indexes.len()));
        let work = || {
            while let Some((position, index)) = Some(next.fetch_add(1, Ordering::Relaxed))
                .and_then(|it| indexes.get(it).map(|index| (it, *index)))
            {
                let facts = self.facts(index);
                if facts.is_err() {
                    next.store(indexes.len(), Ordering::Relaxed); // The others need not go on.
                }
                done.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push((position, facts));
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_by_key(|it| it.0);
        done.into_iter().map(|it| it.1).collect()
    }

    fn facts(&self, index: usize) -> Result<Facts, Error> {
        let path = self.paths[index];
        let bytes = (self.load)(index).map_err(|source| Error::Load {
            path: path.to_owned(),
            source,
        })?;
        facts(path, &bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_paths() {
        for (path, want) in [
            ("kernel/sound/snd-hda.ko.xz", Some("snd_hda")),
            ("a.ko", Some("a")),
            ("a.ko.zst", Some("a")),
            ("x/a.ko.bz2", None),
            ("x/.ko", None),
            ("modules.dep", None),
        ] {
            assert_eq!(name(path).as_deref(), want, "{path}");
        }
        assert_eq!(plain_path("kernel/a.ko.zst"), "kernel/a.ko");
    }

    #[test]
    fn the_first_folder_searched_wins() {
        let search = &["updates", "ubuntu", "built-in"];
        let ranks = [
            "updates/a.ko",
            "updates-2/a.ko",
            "ubuntu/a.ko",
            "kernel/a.ko",
        ]
        .map(|it| rank(it, search));
        assert_eq!(ranks, [0, 0, 1, 2]);
    }
}
