//! dpkg's database and what it does with packages, on a [`FileTree`]. dpkg(1), "Information about packages".
//!
//! Reads `/var/lib/dpkg`, unpacks packages as `dpkg --no-triggers --unpack` leaves them, and configures those whose
//! maintainer scripts do nothing but what can be done as a value. The rest stays `unpacked`, for `dpkg --configure
//! --pending` on the machine itself. Times of directories and of database files, `status-old`, locks and logs are not
//! kept as dpkg would: they tell of a run on a clock, which there is none of.

mod accounts;
mod configure;
mod paths;
mod place;
mod script;
mod shell;
mod status;
mod triggers;
mod units;
mod unpack;

use crate::error::Error;
use crate::name::{Arch, PackageId, PackageName};
use crate::relation::Relations;
use crate::version::Version;
use accounts::Accounts;
use fstree::{
    Content, EditError, File, FileKind, FileTree, ImgPath, Layer, Meta, Name, Node, ReadAt as _,
    Timestamp,
};
use paths::{Diversions, Filters, Overrides};
pub(crate) use status::{Conffile, Stanza, State};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use triggers::Triggers;

pub(crate) use configure::provided_fits;
pub use configure::{Outcome, Pending};
pub use unpack::{Script, Unpacked};

/// A file of the database is never larger; `status` of a full desktop is 5 MiB.
const MAX_FILE: u64 = 256 << 20;
const INFO: &str = "/var/lib/dpkg/info";

/// dpkg's database of one tree. Edits reach the tree at once but for `status` and the triggers, which
/// [`write`](Self::write) puts there.
#[derive(Clone, Debug)]
pub struct Dpkg {
    native: Arch,
    foreign: Vec<Arch>,
    packages: BTreeMap<PackageId, Stanza>,
    /// Which packages list a path.
    owners: BTreeMap<Vec<u8>, Vec<PackageId>>,
    diversions: Diversions,
    overrides: Overrides,
    filters: Filters,
    triggers: Triggers,
    accounts: Accounts,
    /// Packages of which a script that cannot be done without was not run, and why.
    unrun: BTreeMap<PackageId, String>,
}

/// The layer and the time of what is written.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// The layer that new files belong to.
    pub layer: Layer,
    /// The time of files that no archive gives a time for.
    pub time: Timestamp,
}

/// Whether `path-exclude` and its kin in the tree's dpkg configuration count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PathFilters {
    /// As dpkg in the tree would: excluded paths are not unpacked.
    Heeded,
    /// Everything is unpacked.
    Ignored,
}

impl Dpkg {
    /// Reads the database of a tree for a machine of architecture `native`.
    pub fn read(tree: &FileTree, native: Arch, filters: PathFilters) -> Result<Self, Error> {
        refuse_interrupted(tree)?;
        let mut packages = BTreeMap::new();
        for stanza in Stanza::parse_all(&required(tree, "/var/lib/dpkg/status")?)? {
            packages.insert(stanza.id.clone(), stanza);
        }
        let arches = optional(tree, "/var/lib/dpkg/arch")?;
        let foreign = String::from_utf8_lossy(&arches)
            .lines()
            .map(Arch::new)
            .collect::<Result<Vec<_>, _>>()?;
        let mut dpkg = Self {
            foreign: foreign.into_iter().filter(|it| *it != native).collect(),
            native,
            packages,
            owners: BTreeMap::new(),
            diversions: Diversions::parse(&optional(tree, "/var/lib/dpkg/diversions")?)?,
            overrides: Overrides::default(),
            filters: match filters {
                PathFilters::Heeded => Filters::read(tree)?,
                PathFilters::Ignored => Filters::default(),
            },
            triggers: Triggers::read(tree)?,
            accounts: Accounts::read(tree)?,
            unrun: BTreeMap::new(),
        };
        dpkg.overrides = Overrides::parse(
            &optional(tree, "/var/lib/dpkg/statoverride")?,
            &dpkg.accounts,
        )?;
        dpkg.read_owners(tree)?;
        Ok(dpkg)
    }

    fn read_owners(&mut self, tree: &FileTree) -> Result<(), Error> {
        let ids: Vec<PackageId> = self.packages.keys().cloned().collect();
        for id in ids {
            for path in self.list(tree, &id)? {
                self.owners.entry(path).or_default().push(id.clone());
            }
        }
        Ok(())
    }

    /// Writes `status` and the triggers' files into the tree.
    pub fn write(&self, tree: &mut FileTree, stamp: Stamp) -> Result<(), Error> {
        let mut text = String::new();
        for stanza in self.packages.values().filter(|it| it.is_informative()) {
            text.push_str(&stanza.to_text());
            text.push('\n');
        }
        put(tree, "/var/lib/dpkg/status", text.into_bytes(), stamp)?;
        self.triggers.write(tree, stamp)
    }

    /// Returns the installed version of a package, of whatever architecture; one that is merely unpacked counts.
    pub fn version(&self, name: &PackageName) -> Option<Version> {
        let mut of_name = self.packages.values().filter(|it| it.id.name == *name);
        of_name
            .find(|it| it.state >= State::Unpacked)
            .and_then(|it| it.version().ok())
    }

    /// Iterates over the packages that are there, as the solver needs them.
    pub(crate) fn installed(&self) -> impl Iterator<Item = &Stanza> {
        self.packages
            .values()
            .filter(|it| it.state >= State::Unpacked)
    }

    pub(crate) fn native(&self) -> &Arch {
        &self.native
    }

    /// Iterates over the names of the packages that are there, unpacked or further.
    pub fn names(&self) -> impl Iterator<Item = &PackageName> {
        self.installed().map(|it| &it.id.name)
    }

    /// Marks packages as held, so that no upgrade takes them along; returns the names that are not there.
    pub fn hold(&mut self, names: &[PackageName]) -> Vec<PackageName> {
        let mut missing = Vec::new();
        for name in names {
            let mut found = false;
            for stanza in self
                .packages
                .values_mut()
                .filter(|it| it.id.name == *name && it.state >= State::Unpacked)
            {
                stanza.want("hold");
                found = true;
            }
            if !found {
                missing.push(name.clone());
            }
        }
        missing
    }

    /// Returns the instance that a name in a database file stands for: `name` or `name:arch`.
    fn find(&self, spec: &str) -> Option<&PackageId> {
        let (name, arch) = spec
            .split_once(':')
            .map_or((spec, None), |(name, arch)| (name, Some(arch)));
        let mut of_name = self.packages.keys().filter(|it| it.name.as_str() == name);
        match arch {
            Some(arch) => of_name.find(|it| it.arch.as_str() == arch),
            None => of_name.next(),
        }
    }

    /// Returns how dpkg writes a package where it must not be ambiguous.
    fn label(&self, id: &PackageId) -> String {
        let same = self
            .packages
            .get(id)
            .is_some_and(Stanza::is_multi_arch_same);
        let foreign = id.arch != self.native && !id.arch.is_all();
        if same || foreign {
            id.to_string()
        } else {
            id.name.to_string()
        }
    }

    /// Returns the paths in a package's list.
    fn list(&self, tree: &FileTree, id: &PackageId) -> Result<Vec<Vec<u8>>, Error> {
        let Some(stanza) = self
            .packages
            .get(id)
            .filter(|it| it.state > State::NotInstalled)
        else {
            return Ok(Vec::new());
        };
        let bytes = optional(tree, &format!("{INFO}/{}.list", stanza.info_name()))?;
        Ok(bytes
            .split(|it| *it == b'\n')
            .filter(|it| !it.is_empty())
            .map(<[u8]>::to_vec)
            .collect())
    }

    /// Returns the relations of a field of a package that is there.
    fn relations(&self, id: &PackageId, field: &str) -> Result<Relations, Error> {
        Relations::parse_field(self.packages.get(id).and_then(|it| it.paragraph.get(field)))
    }
}

/// Refuses a database that a dpkg was killed over, which only dpkg itself can mend.
fn refuse_interrupted(tree: &FileTree) -> Result<(), Error> {
    let path = path("/var/lib/dpkg/updates")?;
    if tree.dir(&path).is_none_or(|it| it.entries().len() == 0) {
        return Ok(());
    }
    Err(Error::Database {
        path,
        why: "a dpkg run was interrupted: run dpkg --configure -a there first".to_owned(),
    })
}

/// Returns a path that this crate writes down, or that came from a database file.
fn path(text: impl AsRef<[u8]>) -> Result<ImgPath, Error> {
    let text = text.as_ref();
    // dpkg's name for the root.
    let text = if text == b"/." { b"/" } else { text };
    ImgPath::new(text).map_err(|_| {
        Error::syntax(
            "path",
            &String::from_utf8_lossy(text),
            "it is no absolute path",
        )
    })
}

fn optional(tree: &FileTree, at: &str) -> Result<Vec<u8>, Error> {
    match tree.content(&path(at)?) {
        Some(content) => content
            .read_all(MAX_FILE)
            .map_err(|it| Error::io(format!("reading {at} of the tree"), it)),
        None => Ok(Vec::new()),
    }
}

fn required(tree: &FileTree, at: &str) -> Result<Vec<u8>, Error> {
    let path = path(at)?;
    if tree.content(&path).is_none() {
        return Err(Error::Database {
            path,
            why: "it is missing: this is no Debian system".to_owned(),
        });
    }
    optional(tree, at)
}

/// Puts a file of root's with mode 0644, and the directories it needs.
fn put(tree: &mut FileTree, at: &str, bytes: Vec<u8>, stamp: Stamp) -> Result<(), Error> {
    let at = path(at)?;
    make_parents(tree, &at, stamp)?;
    let meta = Meta::root_owned(0o644, stamp.time, stamp.layer);
    tree.put(
        &at,
        File {
            meta,
            kind: FileKind::Regular(Content::inline(bytes)),
        },
    )
    .map_err(|it| tree_error(&at, it))?;
    Ok(())
}

fn make_parents(tree: &mut FileTree, at: &ImgPath, stamp: Stamp) -> Result<(), Error> {
    let parent = at.parent().unwrap_or_else(ImgPath::root);
    tree.make_dirs(&parent, &Meta::root_owned(0o755, stamp.time, stamp.layer))
        .map_err(|it| tree_error(at, it))
}

fn tree_error(at: &ImgPath, source: EditError) -> Error {
    Error::Tree {
        path: at.to_string(),
        source,
    }
}

/// Returns dpkg's digest of content.
fn md5(content: &Content) -> Result<String, Error> {
    use md5::Digest as _;
    let mut hash = md5::Md5::new();
    let mut buffer = vec![0; 128 << 10];
    let mut at = 0;
    while at < content.len() {
        let n = usize::try_from(content.len() - at)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        content
            .read_exact_at(&mut buffer[..n], at)
            .map_err(|it| Error::io("reading a package's file", it))?;
        hash.update(&buffer[..n]);
        at += n as u64;
    }
    let mut text = String::with_capacity(32);
    for byte in &hash.finalize() {
        write!(text, "{byte:02x}").expect("a String takes all");
    }
    Ok(text)
}

/// Adds a suffix to the last name of a path.
fn with_suffix(at: &ImgPath, suffix: &str) -> Result<ImgPath, Error> {
    path([at.as_bytes(), suffix.as_bytes()].concat())
}

/// Returns whether the path, all links followed, is a directory.
fn is_dir(tree: &FileTree, at: &ImgPath) -> bool {
    tree.dir(at).is_some()
}

/// Returns where a link at `at` leads, one step only.
fn link_target(tree: &FileTree, at: &ImgPath, target: &[u8]) -> Option<ImgPath> {
    let mut here = if target.first() == Some(&b'/') {
        ImgPath::root()
    } else {
        tree.locate(at).ok()?.parent()?
    };
    for part in target.split(|it| *it == b'/') {
        here = match part {
            b"" | b"." => here,
            b".." => tree
                .follow(&here)
                .ok()?
                .parent()
                .unwrap_or_else(ImgPath::root),
            name => here.join(&Name::new(name).ok()?),
        };
    }
    Some(here)
}

/// Returns where a conffile really is: its own links are followed as dpkg follows them, though the last may lead nowhere.
fn dereference(tree: &FileTree, at: &ImgPath) -> Option<ImgPath> {
    let mut here = at.clone();
    for _ in 0..25 {
        match tree.file_at(&here).map(|it| &it.kind) {
            Some(FileKind::Symlink(target)) => here = link_target(tree, &here, target)?,
            Some(FileKind::Regular(_)) | None if !matches!(tree.get(&here), Some(Node::Dir(_))) => {
                return Some(here);
            }
            _ => return None,
        }
    }
    None
}
