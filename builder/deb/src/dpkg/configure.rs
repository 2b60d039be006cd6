//! Configuring what is unpacked: conffiles into place, units enabled, states set. dpkg(1) `--configure`; Debian Policy,
//! section 6.6.
//!
//! A package is configured only if its `postinst` is understood and all it depends on is configured too; packages that
//! depend on each other in a circle are configured together. A conffile that was changed locally is kept, as with
//! `--force-confold`.

use super::script::{self, Call, Effect};
use super::{
    Dpkg, INFO, Stamp, State, dereference, md5, optional, path, tree_error, triggers, units,
    with_suffix,
};
use crate::error::Error;
use crate::name::PackageId;
use crate::relation::{Alternative, ArchQualifier, Relation};
use crate::version::Version;
use fstree::{FileKind, FileTree, ImgPath};
use std::collections::BTreeMap;

/// What became of an unpacked package.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It is configured; triggers may be pending still.
    Configured,
    /// It stays unpacked until the machine's own dpkg configures it.
    LeftUnpacked {
        /// Why.
        reason: String,
    },
}

/// What is left to do for `dpkg --configure --pending` on the machine.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Pending {
    /// Packages that are not configured.
    pub unconfigured: Vec<PackageId>,
    /// Packages with triggers to process, or that wait for such.
    pub triggered: Vec<PackageId>,
}

impl Pending {
    /// Returns whether the first boot has anything to do.
    pub fn needs_first_boot(&self) -> bool {
        !self.unconfigured.is_empty() || !self.triggered.is_empty()
    }
}

impl Dpkg {
    /// Configures all unpacked packages that can be, in order of their dependencies; returns what became of each.
    pub fn configure(
        &mut self,
        tree: &mut FileTree,
        stamp: Stamp,
    ) -> Result<Vec<(PackageId, Outcome)>, Error> {
        let unpacked = self
            .packages
            .values()
            .filter(|it| it.state == State::Unpacked);
        let unpacked: Vec<PackageId> = unpacked.map(|it| it.id.clone()).collect();
        let (mut ready, mut reasons) = (BTreeMap::new(), BTreeMap::new());
        for id in &unpacked {
            match self.effects(tree, id)? {
                Ok(effects) => drop(ready.insert(id.clone(), effects)),
                Err(reason) => drop(reasons.insert(id.clone(), reason)),
            }
        }
        // What depends on a package that stays behind stays behind too, and so on.
        loop {
            let mut behind = Vec::new();
            for id in ready.keys() {
                if let Some(reason) = self.unmet(id, &ready)? {
                    behind.push((id.clone(), reason));
                }
            }
            if behind.is_empty() {
                break;
            }
            for (id, reason) in behind {
                ready.remove(&id);
                reasons.insert(id, reason);
            }
        }
        let mut outcomes = Vec::new();
        for id in self.in_order(&ready)? {
            self.configure_one(tree, &id, &ready[&id], stamp)?;
            outcomes.push((id, Outcome::Configured));
        }
        outcomes.extend(
            reasons
                .into_iter()
                .map(|(id, reason)| (id, Outcome::LeftUnpacked { reason })),
        );
        Ok(outcomes)
    }

    /// Returns what is left to do on the machine.
    pub fn pending(&self) -> Pending {
        let mut pending = Pending::default();
        for stanza in self.packages.values() {
            match stanza.state {
                State::Unpacked | State::HalfConfigured | State::HalfInstalled => {
                    pending.unconfigured.push(stanza.id.clone());
                }
                State::TriggersPending | State::TriggersAwaited => {
                    pending.triggered.push(stanza.id.clone());
                }
                State::NotInstalled | State::ConfigFiles | State::Installed => {}
            }
        }
        pending
    }

    /// Returns what the package's `postinst` would do, or why that is not known.
    fn effects(
        &self,
        tree: &FileTree,
        id: &PackageId,
    ) -> Result<Result<Vec<Effect>, String>, Error> {
        if let Some(why) = self.unrun.get(id) {
            return Ok(Err(format!("its preinst was not run: {why}")));
        }
        let stanza = &self.packages[id];
        let stem = stanza.info_name();
        // A debconf question would be asked by `config`, before `postinst`.
        let script = optional(tree, &format!("{INFO}/{stem}.postinst"))?;
        if script.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        let pending: Vec<ImgPath> = stanza
            .conffiles
            .iter()
            .filter_map(|it| path(&it.path).ok())
            .collect();
        let pending: Vec<ImgPath> = pending
            .into_iter()
            .filter(|it| with_suffix(it, ".dpkg-new").is_ok_and(|it| tree.get(&it).is_some()))
            .collect();
        let arguments = ["configure", stanza.configured_version()];
        let found = script::effects(
            &script,
            &Call {
                tree,
                pending: &pending,
                arguments: &arguments,
            },
        );
        Ok(match found {
            Ok(effects)
                if units::has_insserv(tree)
                    && effects.iter().any(|it| matches!(it, Effect::Init(..))) =>
            {
                Err("its postinst: insserv orders init scripts here".to_owned())
            }
            other => other.map_err(|why| format!("its postinst: {why}")),
        })
    }

    /// Returns the first dependency that is not configured and will not be.
    fn unmet(
        &self,
        id: &PackageId,
        ready: &BTreeMap<PackageId, Vec<Effect>>,
    ) -> Result<Option<String>, Error> {
        for field in ["Pre-Depends", "Depends"] {
            for relation in self.relations(id, field)?.0 {
                if self
                    .providers(id, &relation)?
                    .iter()
                    .any(|it| self.is_configured(it) || ready.contains_key(it))
                {
                    continue;
                }
                return Ok(Some(format!(
                    "it depends on {relation}, which is not configured"
                )));
            }
        }
        // Instances of one name are configured at one version only.
        let version = self.packages[id].version()?;
        for other in self
            .packages
            .values()
            .filter(|it| it.id.name == id.name && it.id != *id)
        {
            if other.state > State::ConfigFiles && other.version()? != version {
                return Ok(Some(format!("{} is at another version", other.id)));
            }
        }
        Ok(None)
    }

    fn is_configured(&self, id: &PackageId) -> bool {
        self.packages
            .get(id)
            .is_some_and(|it| matches!(it.state, State::Installed | State::TriggersPending))
    }

    /// Returns the packages that are there and satisfy a relation of `of`.
    fn providers(&self, of: &PackageId, relation: &Relation) -> Result<Vec<PackageId>, Error> {
        let mut found = Vec::new();
        for alternative in &relation.0 {
            for stanza in self.installed() {
                let real = stanza.id.name == alternative.name
                    && alternative.admits(&stanza.version()?)
                    && self.arch_fits(of, stanza, alternative);
                if real || provides(stanza, alternative)? {
                    found.push(stanza.id.clone());
                }
            }
        }
        Ok(found)
    }

    fn arch_fits(&self, of: &PackageId, stanza: &super::Stanza, alternative: &Alternative) -> bool {
        let native = |arch: &crate::name::Arch| {
            if arch.is_all() {
                self.native.clone()
            } else {
                arch.clone()
            }
        };
        let multi_arch = stanza.paragraph.get("Multi-Arch");
        match &alternative.arch {
            ArchQualifier::Any if multi_arch == Some("allowed") => true,
            ArchQualifier::Named(arch) if arch != "native" => {
                native(&stanza.id.arch).as_str() == arch
            }
            _ => multi_arch == Some("foreign") || native(&stanza.id.arch) == native(&of.arch),
        }
    }

    /// Orders packages so that each comes after what it depends on; circles begin with the first name.
    fn in_order(&self, ready: &BTreeMap<PackageId, Vec<Effect>>) -> Result<Vec<PackageId>, Error> {
        let mut needs = BTreeMap::new();
        for id in ready.keys() {
            let mut all = Vec::new();
            for field in ["Pre-Depends", "Depends"] {
                for relation in self.relations(id, field)?.0 {
                    all.extend(
                        self.providers(id, &relation)?
                            .into_iter()
                            .filter(|it| ready.contains_key(it)),
                    );
                }
            }
            needs.insert(id.clone(), all);
        }
        Ok(crate::solve::in_order(&needs))
    }

    fn configure_one(
        &mut self,
        tree: &mut FileTree,
        id: &PackageId,
        effects: &[Effect],
        stamp: Stamp,
    ) -> Result<(), Error> {
        let stem = self.packages[id].info_name();
        let directives = triggers::parse(id, &optional(tree, &format!("{INFO}/{stem}.triggers"))?)?;
        self.activate_directives(id, &directives);
        for index in 0..self.packages[id].conffiles.len() {
            self.configure_conffile(tree, id, index)?;
        }
        for effect in effects {
            units::apply(tree, effect, stamp)?;
        }
        let stanza = self.packages.get_mut(id).expect("it was unpacked");
        stanza.pending.clear();
        stanza.enter(if stanza.awaited.is_empty() {
            State::Installed
        } else {
            State::TriggersAwaited
        });
        Ok(())
    }

    /// Moves a conffile into place, or leaves the changed one that is there.
    fn configure_conffile(
        &mut self,
        tree: &mut FileTree,
        id: &PackageId,
        index: usize,
    ) -> Result<(), Error> {
        let conffile = self.packages[id].conffiles[index].clone();
        if conffile.obsolete || conffile.remove_on_upgrade {
            return Ok(());
        }
        let used = self
            .diversions
            .used(&conffile.path, id.name.as_str())
            .to_vec();
        let Some(at) = dereference(tree, &path(&used)?) else {
            self.set_hash(id, index, "-".to_owned());
            return Ok(());
        };
        let new = with_suffix(&at, ".dpkg-new")?;
        let Some(file) = tree.file_at(&new) else {
            // Another instance of the package was configured before, and has the digest.
            let mut others = self
                .packages
                .values()
                .filter(|it| it.id.name == id.name && it.id != *id);
            let same = others.find_map(|it| {
                let known = it
                    .conffiles
                    .iter()
                    .find(|it| it.path == conffile.path && !it.obsolete)?;
                (it.state > State::HalfConfigured).then(|| known.hash.clone())
            });
            if let Some(hash) = same {
                self.set_hash(id, index, hash);
            }
            return Ok(());
        };
        let FileKind::Regular(content) = &file.kind else {
            let why = format!("the conffile {at} is no regular file");
            return Err(Error::Refused {
                package: id.to_string(),
                why,
            });
        };
        let new_hash = md5(content)?;
        let current = tree.content(&at).map(md5).transpose()?;
        if let (Some(meta), Some(_)) = (tree.file_at(&at).map(|it| it.meta.clone()), &current)
            && let Some(new_meta) = tree.meta_mut(&new)
        {
            // Owner and mode are the administrator's, whatever becomes of the content.
            (new_meta.mode, new_meta.uid, new_meta.gid) = (meta.mode, meta.uid, meta.gid);
        }
        let fresh = conffile.hash == "newconffile";
        let edited = current.as_ref() != Some(&conffile.hash);
        let shipped_anew = conffile.hash != new_hash;
        match current {
            Some(current) if current == new_hash => drop(tree.take(&new)),
            None if fresh => self.install(tree, id, &used, (&new, &at))?,
            _ if !fresh && !shipped_anew => drop(tree.take(&new)),
            _ if !fresh && !edited => self.install(tree, id, &used, (&new, &at))?,
            // Changed here and there: what is here stays, the new one lies beside it.
            _ => {
                let beside = with_suffix(&at, ".dpkg-dist")?;
                tree.take(&with_suffix(&at, ".dpkg-old")?);
                self.install(tree, id, &used, (&new, &beside))?;
            }
        }
        self.set_hash(id, index, new_hash);
        Ok(())
    }

    fn install(
        &mut self,
        tree: &mut FileTree,
        id: &PackageId,
        used: &[u8],
        (from, to): (&ImgPath, &ImgPath),
    ) -> Result<(), Error> {
        self.activate_below(used, Some(id));
        tree.rename(from, to).map_err(|it| tree_error(to, it))
    }

    fn set_hash(&mut self, id: &PackageId, index: usize, hash: String) {
        let stanza = self.packages.get_mut(id).expect("it was unpacked");
        stanza.conffiles[index].hash = hash;
        stanza.touch();
    }
}

/// Returns whether a package provides what is wanted.
fn provides(stanza: &super::Stanza, wanted: &Alternative) -> Result<bool, Error> {
    let Some(text) = stanza
        .paragraph
        .get("Provides")
        .filter(|it| it.contains(wanted.name.as_str()))
    else {
        return Ok(false);
    };
    let provided = crate::relation::Relations::parse(text)?;
    Ok(provided
        .alternatives()
        .any(|it| it.name == wanted.name && provided_fits(it, wanted)))
}

/// Returns whether a provided name satisfies a wanted one: with a version only if it provides one.
pub(crate) fn provided_fits(provided: &Alternative, wanted: &Alternative) -> bool {
    let version: Option<&Version> = provided.constraint.as_ref().map(|it| &it.version);
    match (&wanted.constraint, version) {
        (None, _) => true,
        (Some(constraint), Some(version)) => constraint.admits(version),
        (Some(_), None) => false,
    }
}
