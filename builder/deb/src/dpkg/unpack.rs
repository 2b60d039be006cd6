//! Unpacking a package: what `dpkg --no-triggers --unpack` leaves behind, scripts apart. dpkg(1); Debian Policy,
//! chapter 6.
//!
//! Checks neither dependencies nor conflicts: the solver did, for all packages together.

use super::script::{self, Call};
use super::triggers::{self, Directive};
use super::{
    Conffile, Dpkg, INFO, Stamp, Stanza, State, dereference, link_target, md5, optional, path, put,
};
use crate::archive::Package;
use crate::error::Error;
use crate::name::PackageId;
use crate::tar::EntryKind;
use fstree::{Content, File, FileId, FileKind, FileTree, ImgPath, Meta, Node};
use std::collections::{BTreeMap, BTreeSet};

/// The longest list of conffiles; the longest real one has a few hundred lines, and each is compared with every member.
const MAX_CONFFILES: usize = 256 << 10;

/// What unpacking did beside placing files.
#[derive(Clone, Debug, Default)]
pub struct Unpacked {
    /// Scripts that dpkg would have run and that may have had an effect, each with why that is so.
    pub scripts_not_run: Vec<(Script, String)>,
}

/// A maintainer script that runs while a package is unpacked.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Script {
    /// The new version's `preinst`.
    Preinst,
    /// The old version's `prerm`.
    OldPrerm,
    /// The old version's `postrm`.
    OldPostrm,
}

/// A path of the package's new list.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) path: Vec<u8>,
    /// Kept off the disk by a filter.
    pub(super) filtered: bool,
    /// Placed, so that other packages lose it.
    pub(super) taken: bool,
    /// MD5 of the content, where it had to be computed.
    pub(super) hash: Option<String>,
}

/// A package on its way into a tree.
pub(super) struct Job<'a> {
    pub(super) package: &'a Package,
    pub(super) id: PackageId,
    /// The instance that is replaced.
    pub(super) old: Option<PackageId>,
    pub(super) stamp: Stamp,
    /// The new conffiles in order, with the digest known so far; obsolete ones are appended.
    pub(super) conffiles: Vec<Conffile>,
    pub(super) listed: Vec<Listed>,
    /// What was decided about a package with common files: whether its files are replaced, or ours left out.
    pub(super) replaces: BTreeMap<PackageId, bool>,
}

impl Job<'_> {
    pub(super) fn is_new_conffile(&self, path: &[u8]) -> bool {
        self.conffiles
            .iter()
            .any(|it| it.path == path && !it.remove_on_upgrade && !it.obsolete)
    }
}

impl Dpkg {
    /// Unpacks a package, over an older version if there is one.
    ///
    /// After an error the tree is not to be used: part of the package may be in it.
    pub fn unpack(
        &mut self,
        tree: &mut FileTree,
        package: &Package,
        stamp: Stamp,
    ) -> Result<Unpacked, Error> {
        let id = package.id.clone();
        if !id.arch.is_all() && id.arch != self.native && !self.foreign.contains(&id.arch) {
            let why = format!(
                "its architecture is neither {} nor added by dpkg --add-architecture",
                self.native
            );
            return Err(Error::Refused {
                package: id.to_string(),
                why,
            });
        }
        let old = self.replaced(package);
        let conffiles = self.new_conffiles(package, &id)?;
        let mut job = Job {
            package,
            id,
            old,
            stamp,
            conffiles,
            listed: Vec::new(),
            replaces: BTreeMap::new(),
        };
        let report = self.scripts(tree, &job)?;
        let new_triggers =
            triggers::parse(&job.id, package.control.get("triggers").unwrap_or_default())?;
        let old_stanza = job
            .old
            .as_ref()
            .and_then(|it| self.packages.get(it))
            .cloned();
        let stanza = Stanza::unpacked(
            job.id.clone(),
            &package.control.control,
            old_stanza.as_ref(),
        )?;
        // dpkg activates what the old version's file says once more, then that of the new one.
        if let Some(old) = &old_stanza {
            let at = format!("{INFO}/{}.triggers", old.info_name());
            let old_triggers = triggers::parse(&old.id, &optional(tree, &at)?)?;
            self.activate_directives(&old.id, &old_triggers);
        }
        // While files are placed, the package counts as half-installed: no trigger of its own reaches it.
        if let Some(old) = job.old.as_ref().and_then(|it| self.packages.get_mut(it)) {
            old.enter(State::HalfInstalled);
        }
        let old_files = job
            .old
            .as_ref()
            .map_or_else(|| Ok(Vec::new()), |it| self.list(tree, it))?;
        let awaiting = job.old.clone().unwrap_or_else(|| job.id.clone());
        if job.old.is_none() {
            self.packages.insert(job.id.clone(), stanza.clone());
        }
        self.activate_directives(&awaiting, &new_triggers);
        for entry in &package.entries {
            self.place(tree, &mut job, entry)?;
        }
        self.remove_old(tree, &mut job, &old_files, old_stanza.as_ref())?;
        self.write_info(tree, &mut job, old_stanza.as_ref(), &stanza, &new_triggers)?;
        self.finish(tree, job, stanza, &old_files)?;
        Ok(report)
    }

    /// Returns the instance that the package replaces: the same architecture's, or the only one of the name.
    fn replaced(&self, package: &Package) -> Option<PackageId> {
        let there = |it: &&Stanza| it.id.name == package.id.name && it.state > State::NotInstalled;
        if self.packages.get(&package.id).is_some_and(|it| there(&it)) {
            return Some(package.id.clone());
        }
        let here = |it: &PackageId| it.arch.is_all() || it.arch == self.native;
        let other = self
            .packages
            .values()
            .filter(there)
            .find(|it| here(&it.id) == here(&package.id))?;
        Some(other.id.clone())
    }

    /// Reads the list of conffiles and finds the digests that are known from before.
    fn new_conffiles(&self, package: &Package, id: &PackageId) -> Result<Vec<Conffile>, Error> {
        let mut all = Vec::new();
        let bytes = package.control.get("conffiles").unwrap_or_default();
        if bytes.len() > MAX_CONFFILES {
            return Err(Error::TooLarge {
                what: "a package's conffiles file",
                limit: MAX_CONFFILES as u64,
            });
        }
        let text = String::from_utf8_lossy(bytes).into_owned();
        for (index, line) in text
            .lines()
            .map(str::trim_end)
            .enumerate()
            .filter(|(_, it)| !it.is_empty())
        {
            let (path, remove_on_upgrade) = match line.strip_prefix("remove-on-upgrade ") {
                Some(path) => (path, true),
                None => (line, false),
            };
            if !path.starts_with('/') {
                return Err(Error::line(
                    &format!("conffiles of {id}"),
                    index + 1,
                    "it is no absolute path",
                ));
            }
            let hash = self
                .known_hash(path.as_bytes(), &package.id)
                .unwrap_or_else(|| "newconffile".to_owned());
            all.push(Conffile {
                path: path.as_bytes().to_vec(),
                hash,
                obsolete: false,
                remove_on_upgrade,
            });
        }
        Ok(all)
    }

    /// Returns the digest of a conffile that this package, or the last one that owns it, recorded.
    fn known_hash(&self, path: &[u8], id: &PackageId) -> Option<String> {
        let mut found = None;
        for owner in self.owners.get(path).into_iter().flatten() {
            found = self
                .packages
                .get(owner)?
                .conffiles
                .iter()
                .find(|it| it.path == path);
            if found.is_some() && owner.name == id.name {
                break;
            }
        }
        found.map(|it| it.hash.clone())
    }

    /// Finds the scripts that dpkg would run and that might have done something.
    fn scripts(&mut self, tree: &FileTree, job: &Job<'_>) -> Result<Unpacked, Error> {
        let mut report = Unpacked::default();
        let new_version = job.package.version.as_str();
        let old = job
            .old
            .as_ref()
            .and_then(|it| self.packages.get(it))
            .filter(|it| it.state > State::ConfigFiles);
        let old_version = old
            .map(Stanza::version)
            .transpose()?
            .map(|it| it.canonical().to_owned());
        let arguments: Vec<&str> = match &old_version {
            Some(version) => vec!["upgrade", version],
            None => vec!["install"],
        };
        let preinst = job.package.control.get("preinst").map(<[u8]>::to_vec);
        let mut calls = vec![(Script::Preinst, preinst, arguments)];
        if let Some(stanza) = old {
            for (script, name) in [(Script::OldPrerm, "prerm"), (Script::OldPostrm, "postrm")] {
                let bytes = optional(tree, &format!("{INFO}/{}.{name}", stanza.info_name()))?;
                calls.push((
                    script,
                    (!bytes.is_empty()).then_some(bytes),
                    vec!["upgrade", new_version],
                ));
            }
        }
        for (script, bytes, arguments) in calls {
            let Some(bytes) = bytes else { continue };
            let call = Call {
                tree,
                pending: &[],
                arguments: &arguments,
            };
            let why = match script::effects(&bytes, &call) {
                Ok(effects) if effects.is_empty() => continue,
                Ok(_) => "it changes units before the package is there".to_owned(),
                Err(why) => why,
            };
            report.scripts_not_run.push((script, why));
        }
        self.unrun.remove(&job.id);
        if let Some((_, why)) = report
            .scripts_not_run
            .iter()
            .find(|(it, _)| *it == Script::Preinst)
        {
            self.unrun.insert(job.id.clone(), why.clone());
        }
        Ok(report)
    }

    /// Removes the files that only the old version had; conffiles stay and become obsolete.
    fn remove_old(
        &mut self,
        tree: &mut FileTree,
        job: &mut Job<'_>,
        old_files: &[Vec<u8>],
        old: Option<&Stanza>,
    ) -> Result<(), Error> {
        for conffile in job
            .conffiles
            .clone()
            .iter()
            .filter(|it| it.remove_on_upgrade)
        {
            self.remove_conffile(tree, job, conffile)?;
        }
        let Some(old) = old else { return Ok(()) };
        let new: BTreeSet<Vec<u8>> = job.listed.iter().map(|it| it.path.clone()).collect();
        let on_disk = on_disk(tree, job);
        for file in old_files
            .iter()
            .rev()
            .filter(|it| !new.contains(*it) && it.as_slice() != b"/.")
        {
            if job.conffiles.iter().any(|it| it.path == *file) {
                continue;
            }
            let used = self.diversions.used(file, job.id.name.as_str()).to_vec();
            let Ok(at) = path(&used) else { continue };
            let others = self
                .owners
                .get(file)
                .is_some_and(|it| it.iter().any(|it| *it != old.id));
            if super::is_dir(tree, &at) && others {
                continue;
            }
            match tree.get(&at) {
                None => {}
                Some(Node::Dir(dir)) => {
                    let empty = dir.entries().len() == 0;
                    self.activate_below(&used, Some(&old.id));
                    if empty {
                        tree.take(&at);
                    }
                }
                Some(Node::File(id)) => {
                    let same = tree.locate(&at).is_ok_and(|it| on_disk.0.contains(&it))
                        || on_disk.1.contains(id);
                    let conffile = old.conffiles.iter().find(|it| it.path == *file);
                    match conffile {
                        _ if same => {}
                        Some(it) => {
                            job.conffiles.push(Conffile {
                                obsolete: true,
                                ..it.clone()
                            });
                            job.listed.push(Listed {
                                path: file.clone(),
                                filtered: false,
                                taken: false,
                                hash: None,
                            });
                        }
                        None => {
                            self.activate_below(&used, Some(&old.id));
                            tree.take(&at);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Removes a conffile that the new version wants gone, unless another package has it; a changed one is kept aside.
    fn remove_conffile(
        &self,
        tree: &mut FileTree,
        job: &Job<'_>,
        conffile: &Conffile,
    ) -> Result<(), Error> {
        let used = self.diversions.used(&conffile.path, job.id.name.as_str());
        let others = |it: &Vec<PackageId>| it.iter().any(|it| it.name != job.id.name);
        let Some(at) = dereference(tree, &path(used)?) else {
            return Ok(());
        };
        if self.owners.get(&conffile.path).is_some_and(others) {
            return Ok(());
        }
        tree.take(&super::with_suffix(&at, ".dpkg-dist")?);
        let Some(content) = tree.content(&at).cloned() else {
            return Ok(());
        };
        if md5(&content)? == conffile.hash {
            tree.take(&at);
        } else {
            let aside = super::with_suffix(&at, ".dpkg-old")?;
            tree.rename(&at, &aside)
                .map_err(|it| super::tree_error(&at, it))?;
        }
        Ok(())
    }

    /// Writes the list and the control files, and the package's interests.
    fn write_info(
        &mut self,
        tree: &mut FileTree,
        job: &mut Job<'_>,
        old: Option<&Stanza>,
        new: &Stanza,
        new_triggers: &[Directive],
    ) -> Result<(), Error> {
        let stem = new.info_name();
        if let Some(old) = old {
            let bytes = optional(tree, &format!("{INFO}/{}.triggers", old.info_name()))?;
            let label = old.info_name();
            self.triggers
                .forget(&label, &triggers::parse(&old.id, &bytes)?);
            for name in info_files(tree, &old.info_name())? {
                tree.take(&path(format!("{INFO}/{name}"))?);
            }
        }
        for name in info_files(tree, &stem)? {
            tree.take(&path(format!("{INFO}/{name}"))?);
        }
        self.triggers.remember(&stem, new_triggers);
        let list = job
            .listed
            .iter()
            .flat_map(|it| [it.path.as_slice(), b"\n"])
            .collect::<Vec<_>>()
            .concat();
        put(tree, &format!("{INFO}/{stem}.list"), list, job.stamp)?;
        for file in &job.package.control.files {
            let meta = Meta {
                mode: file.mode,
                mtime: file.mtime,
                layer: job.stamp.layer,
                ..Meta::default()
            };
            let at = path(format!("{INFO}/{stem}.{}", file.name))?;
            let kind = FileKind::Regular(Content::inline(file.bytes.clone()));
            tree.put(&at, File { meta, kind })
                .map_err(|it| super::tree_error(&at, it))?;
        }
        if job.package.control.get("md5sums").is_none() {
            let sums = checksums(job)?;
            put(tree, &format!("{INFO}/{stem}.md5sums"), sums, job.stamp)?;
        }
        Ok(())
    }

    /// Takes the placed files from other packages' lists, and records the package.
    fn finish(
        &mut self,
        tree: &mut FileTree,
        job: Job<'_>,
        mut stanza: Stanza,
        old_files: &[Vec<u8>],
    ) -> Result<(), Error> {
        let old = job.old.clone().unwrap_or_else(|| job.id.clone());
        if let Some(current) = self.packages.get(&old) {
            stanza.awaited.clone_from(&current.awaited);
        }
        self.take_from_others(tree, &job)?;
        for file in old_files {
            if let Some(owners) = self.owners.get_mut(file) {
                owners.retain(|it| *it != old);
                if owners.is_empty() {
                    self.owners.remove(file);
                }
            }
        }
        for listed in &job.listed {
            let owners = self.owners.entry(listed.path.clone()).or_default();
            if !owners.contains(&job.id) {
                owners.push(job.id.clone());
            }
        }
        if old != job.id {
            self.packages.remove(&old);
        }
        stanza.conffiles = job.conffiles;
        stanza.enter(State::Unpacked);
        self.packages.insert(job.id, stanza);
        Ok(())
    }

    fn take_from_others(&mut self, tree: &mut FileTree, job: &Job<'_>) -> Result<(), Error> {
        let mut losing: BTreeMap<PackageId, BTreeSet<Vec<u8>>> = BTreeMap::new();
        for listed in job.listed.iter().filter(|it| it.taken) {
            let diverter = self.diversions.diverter(&listed.path);
            if diverter == Some(job.id.name.as_str()) {
                continue;
            }
            for owner in self.owners.get(&listed.path).into_iter().flatten() {
                let diverted = diverter == Some(owner.name.as_str());
                if owner.name != job.id.name && !diverted {
                    losing
                        .entry(owner.clone())
                        .or_default()
                        .insert(listed.path.clone());
                }
            }
        }
        for (owner, lost) in losing {
            let list = self.list(tree, &owner)?;
            let ours = |it: &Vec<u8>| job.listed.iter().any(|listed| listed.path == *it);
            let third = |it: &Vec<u8>| {
                self.owners
                    .get(it)
                    .is_some_and(|all| all.iter().any(|it| *it != owner && it.name != job.id.name))
            };
            if list.iter().any(|it| it != b"/.") && list.iter().all(|it| ours(it) || third(it)) {
                let why = format!(
                    "it replaces every file of {owner}, which dpkg would make disappear: this is not supported"
                );
                return Err(Error::Refused {
                    package: job.id.to_string(),
                    why,
                });
            }
            let Some(stanza) = self.packages.get_mut(&owner) else {
                continue;
            };
            for conffile in &mut stanza.conffiles {
                if lost.contains(&conffile.path) && job.is_new_conffile(&conffile.path) {
                    conffile.obsolete = true;
                }
            }
            stanza.touch();
            let at = format!("{INFO}/{}.list", stanza.info_name());
            let rest = list.iter().filter(|it| !lost.contains(*it));
            put(
                tree,
                &at,
                rest.flat_map(|it| [it.as_slice(), b"\n"])
                    .collect::<Vec<_>>()
                    .concat(),
                job.stamp,
            )?;
            for file in lost {
                if let Some(owners) = self.owners.get_mut(&file) {
                    owners.retain(|it| *it != owner);
                }
            }
        }
        Ok(())
    }
}

/// Returns the names in `info` of a stem's files: `stem.type`, where the type has no dot.
fn info_files(tree: &FileTree, stem: &str) -> Result<Vec<String>, Error> {
    let Some(dir) = tree.dir(&path(INFO)?) else {
        return Ok(Vec::new());
    };
    let names = dir
        .entries()
        .map(|(name, _)| String::from_utf8_lossy(name.as_bytes()).into_owned());
    Ok(names
        .filter(|it| it.rsplit_once('.').is_some_and(|(found, _)| found == stem))
        .collect())
}

/// Returns where the new files really are, so that an old name of one of them is not removed.
fn on_disk(tree: &FileTree, job: &Job<'_>) -> (BTreeSet<ImgPath>, BTreeSet<FileId>) {
    let (mut places, mut ids) = (BTreeSet::new(), BTreeSet::new());
    for at in job
        .listed
        .iter()
        .filter(|it| !it.filtered)
        .filter_map(|it| path(&it.path).ok())
    {
        if let (Ok(real), Some(Node::File(id))) = (tree.locate(&at), tree.get(&at)) {
            places.insert(real);
            ids.insert(*id);
        }
    }
    (places, ids)
}

/// Returns `md5sums` as dpkg makes it for a package that brings none.
fn checksums(job: &mut Job<'_>) -> Result<Vec<u8>, Error> {
    let mut known: BTreeMap<Vec<u8>, String> = BTreeMap::new();
    for entry in &job.package.entries {
        let hash = match &entry.kind {
            EntryKind::File { offset, len } => {
                md5(&Content::range(job.package.tar.clone(), *offset, *len))?
            }
            EntryKind::Hardlink(to) => match known.get(to) {
                Some(hash) => hash.clone(),
                None => continue,
            },
            _ => continue,
        };
        known.insert(entry.path.clone(), hash);
    }
    let mut bytes = Vec::new();
    for listed in &mut job.listed {
        listed.hash = known
            .get(&listed.path)
            .cloned()
            .filter(|_| !listed.filtered);
        if let Some(hash) = &listed.hash {
            bytes.extend_from_slice(format!("{hash}  ").as_bytes());
            bytes.extend_from_slice(listed.path.get(1..).unwrap_or_default());
            bytes.push(b'\n');
        }
    }
    Ok(bytes)
}

/// Returns whether a link at `at` to `target` would lead to the directory that the link there leads to.
pub(super) fn leads_to_same_dir(tree: &FileTree, at: &ImgPath, target: &[u8]) -> bool {
    let Ok(real) = tree.follow(at) else {
        return false;
    };
    let new = link_target(tree, at, target).and_then(|it| tree.follow(&it).ok());
    tree.dir(&real).is_some() && new == Some(real)
}
