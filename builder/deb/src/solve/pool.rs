//! All packages there are, installed and to be had, and what follows from choosing one.

use super::why::{Link, Problem, Unsatisfied};
use super::{Choice, Repository, in_order};
use crate::control::{Paragraph, Paragraphs};
use crate::dpkg::{Dpkg, provided_fits};
use crate::error::Error;
use crate::name::{Arch, PackageName};
use crate::relation::{Alternative, ArchQualifier, Relation, Relations};
use crate::version::Version;
use std::collections::BTreeMap;

/// The most relations of all installed packages together. A server's packages have some 4,000, those of a full desktop
/// 30,000; one takes some 200 bytes of memory, twice while a wish is granted.
const MAX_RELATIONS: usize = 100_000;

/// The packages that a base has: unpacked or further.
#[derive(Clone, Debug, Default)]
pub struct Installed {
    all: Vec<Base>,
    relations: usize,
}

#[derive(Clone, Debug)]
struct Base {
    name: PackageName,
    version: Version,
    depends: Relations,
    provides: Relations,
    conflicts: Relations,
}

/// A package in the pool.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct NodeId(usize);

struct Node {
    name: PackageName,
    version: Version,
    depends: Relations,
    provides: Relations,
    conflicts: Relations,
    /// Repository and position, or `None` for what is installed.
    from: Option<(usize, usize)>,
}

/// What was chosen so far, and for whom.
#[derive(Clone, Default)]
pub(super) struct State {
    chosen: BTreeMap<PackageName, (NodeId, Option<NodeId>, String)>,
}

impl State {
    pub(super) fn get(&self, name: &PackageName) -> Option<NodeId> {
        self.chosen.get(name).map(|it| it.0)
    }

    pub(super) fn len(&self) -> usize {
        self.chosen.len()
    }
}

/// What must hold once a package is chosen.
pub(super) enum Consequence {
    Relation { by: NodeId, relation: Relation },
    Upgrade { name: PackageName, because: NodeId },
}

type Choosing = Result<(State, Vec<Consequence>), String>;

pub(super) struct Pool<'a> {
    repositories: &'a [Repository<'a>],
    nodes: Vec<Node>,
    installed: BTreeMap<PackageName, NodeId>,
    /// Positions by name and by provided name, the best first.
    by_name: BTreeMap<&'a str, Vec<(usize, usize)>>,
    providers: BTreeMap<String, Vec<(usize, usize)>>,
    /// Nodes of candidates that were looked at.
    known: BTreeMap<(usize, usize), NodeId>,
    /// Installed packages by what they provide, depend on, and conflict with.
    installed_providing: BTreeMap<PackageName, Vec<NodeId>>,
    installed_needing: BTreeMap<PackageName, Vec<NodeId>>,
    installed_refusing: BTreeMap<PackageName, Vec<NodeId>>,
}

impl Installed {
    /// Reads the packages of dpkg's database.
    pub fn of(dpkg: &Dpkg) -> Result<Self, Error> {
        let mut found = Self::default();
        for stanza in dpkg.installed() {
            found.add(&stanza.paragraph, dpkg.native())?;
        }
        Ok(found)
    }

    /// Reads the packages of a status file.
    pub fn parse(status: &[u8], native: &Arch) -> Result<Self, Error> {
        let mut found = Self::default();
        for paragraph in Paragraphs::new("status", status) {
            let paragraph = paragraph?;
            let there = [
                "unpacked",
                "half-configured",
                "triggers-awaited",
                "triggers-pending",
                "installed",
            ];
            let state = paragraph
                .require("Status")?
                .split_whitespace()
                .nth(2)
                .unwrap_or_default();
            if there.contains(&state) {
                found.add(&paragraph, native)?;
            }
        }
        Ok(found)
    }

    /// Adds a package, unless it is one of a foreign architecture.
    fn add(&mut self, paragraph: &Paragraph, native: &Arch) -> Result<(), Error> {
        if let Some(base) = Base::new(paragraph, native)? {
            self.relations += [&base.depends, &base.provides, &base.conflicts]
                .into_iter()
                .flat_map(Relations::alternatives)
                .count();
            if self.relations > MAX_RELATIONS {
                return Err(Error::TooManyRelations {
                    package: base.name.to_string(),
                    limit: MAX_RELATIONS,
                });
            }
            self.all.push(base);
        }
        Ok(())
    }

    /// Returns the version of an installed package.
    pub fn version(&self, name: &PackageName) -> Option<Version> {
        self.all
            .iter()
            .find(|it| it.name == *name)
            .map(|it| it.version.clone())
    }
}

impl Base {
    /// Returns the package, or `None` for one of a foreign architecture, which relations of native ones do not mean.
    fn new(paragraph: &Paragraph, native: &Arch) -> Result<Option<Self>, Error> {
        let arch = Arch::new(paragraph.get("Architecture").unwrap_or("all"))?;
        if !arch.is_all() && arch != *native && paragraph.get("Multi-Arch") != Some("foreign") {
            return Ok(None);
        }
        let both = |first, second| -> Result<Relations, Error> {
            let mut all = Relations::parse_field(paragraph.get(first))?;
            all.0
                .extend(Relations::parse_field(paragraph.get(second))?.0);
            Ok(all)
        };
        Ok(Some(Self {
            name: PackageName::new(paragraph.require("Package")?)?,
            version: Version::new(paragraph.require("Version")?)?,
            depends: both("Pre-Depends", "Depends")?,
            provides: Relations::parse_field(paragraph.get("Provides"))?,
            conflicts: both("Conflicts", "Breaks")?,
        }))
    }
}

/// Returns the words of a relation that may be package names, without parsing it.
fn names_in(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', '|'])
        .filter_map(|it| it.trim().split([' ', '(', ':']).next())
        .filter(|it| !it.is_empty())
}

impl<'a> Pool<'a> {
    pub(super) fn new(
        installed: &Installed,
        repositories: &'a [Repository<'a>],
        native: &Arch,
    ) -> Self {
        let mut pool = Self {
            repositories,
            nodes: Vec::new(),
            installed: BTreeMap::new(),
            by_name: BTreeMap::new(),
            providers: BTreeMap::new(),
            known: BTreeMap::new(),
            installed_providing: BTreeMap::new(),
            installed_needing: BTreeMap::new(),
            installed_refusing: BTreeMap::new(),
        };
        for base in &installed.all {
            pool.add_installed(base);
        }
        for (repository, it) in repositories.iter().enumerate() {
            for (at, entry) in it.index.entries().iter().enumerate() {
                if !entry.arch.is_all() && entry.arch != *native {
                    continue;
                }
                pool.by_name
                    .entry(entry.name.as_str())
                    .or_default()
                    .push((repository, at));
                for name in entry.provides.as_deref().into_iter().flat_map(names_in) {
                    pool.providers
                        .entry(name.to_owned())
                        .or_default()
                        .push((repository, at));
                }
            }
        }
        let rank = |at: &(usize, usize)| {
            let entry = &repositories[at.0].index.entries()[at.1];
            (
                std::cmp::Reverse(repositories[at.0].priority),
                std::cmp::Reverse(entry.version.clone()),
                *at,
            )
        };
        for all in pool.by_name.values_mut() {
            all.sort_by_cached_key(rank);
        }
        for all in pool.providers.values_mut() {
            // Different packages compete here, and versions of different packages mean nothing to each other.
            all.sort_by_cached_key(|at| {
                let (priority, version, at) = rank(at);
                (
                    priority,
                    repositories[at.0].index.entries()[at.1].name.clone(),
                    version,
                    at,
                )
            });
        }
        pool
    }

    fn add_installed(&mut self, base: &Base) {
        let id = NodeId(self.nodes.len());
        let index = |map: &mut BTreeMap<PackageName, Vec<NodeId>>, relations: &Relations| {
            for it in relations.alternatives() {
                let ids = map.entry(it.name.clone()).or_default();
                if ids.last() != Some(&id) {
                    ids.push(id);
                }
            }
        };
        index(&mut self.installed_providing, &base.provides);
        index(&mut self.installed_needing, &base.depends);
        index(&mut self.installed_refusing, &base.conflicts);
        self.installed.insert(base.name.clone(), id);
        let Base {
            name,
            version,
            depends,
            provides,
            conflicts,
        } = base.clone();
        self.nodes.push(Node {
            name,
            version,
            depends,
            provides,
            conflicts,
            from: None,
        });
    }

    fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    pub(super) fn version(&self, id: NodeId) -> &Version {
        &self.node(id).version
    }

    /// Returns the node of a candidate.
    fn load(&mut self, at: (usize, usize)) -> Result<NodeId, Error> {
        if let Some(id) = self.known.get(&at) {
            return Ok(*id);
        }
        let entry = &self.repositories[at.0].index.entries()[at.1];
        let node = Node {
            name: entry.name.clone(),
            version: entry.version.clone(),
            depends: entry.depends()?,
            provides: entry.provides()?,
            conflicts: entry.conflicts()?,
            from: Some(at),
        };
        let id = NodeId(self.nodes.len());
        self.nodes.push(node);
        self.known.insert(at, id);
        Ok(id)
    }

    /// Returns the candidates of a name, the best first.
    pub(super) fn candidates(&mut self, name: &PackageName) -> Result<Vec<NodeId>, Error> {
        let all = self.by_name.get(name.as_str()).cloned().unwrap_or_default();
        all.into_iter().map(|it| self.load(it)).collect()
    }

    /// Returns the candidates that are newer than what is installed, unless one was chosen already.
    pub(super) fn upgrades(
        &mut self,
        state: &State,
        name: &PackageName,
    ) -> Result<Vec<NodeId>, Error> {
        if state.get(name).is_some() {
            return Ok(Vec::new());
        }
        let mut found = self.candidates(name)?;
        let current = self.installed.get(name).map(|it| self.version(*it).clone());
        found.retain(|it| {
            current
                .as_ref()
                .is_none_or(|current| self.version(*it) > current)
        });
        Ok(found)
    }

    pub(super) fn is_no_downgrade(&self, id: NodeId) -> bool {
        let node = self.node(id);
        self.installed
            .get(&node.name)
            .is_none_or(|it| *self.version(*it) <= node.version)
    }

    /// Returns the name of an installed package.
    pub(super) fn installed_name(&self, id: NodeId) -> Option<PackageName> {
        let node = self.node(id);
        node.from.is_none().then(|| node.name.clone())
    }

    /// Returns the node of a name as things stand: the chosen one, else the installed one.
    fn current(&self, state: &State, name: &PackageName) -> Option<NodeId> {
        state
            .get(name)
            .or_else(|| self.installed.get(name).copied())
    }

    pub(super) fn is_current(&self, state: &State, id: NodeId) -> bool {
        self.current(state, &self.node(id).name) == Some(id)
    }

    pub(super) fn version_in(&self, state: &State, name: &PackageName) -> Option<&Version> {
        self.current(state, name).map(|it| self.version(it))
    }

    /// Returns the nodes of the state that an alternative means, itself or by what they provide.
    fn meant(&self, state: &State, wanted: &Alternative) -> Vec<NodeId> {
        let mut found = Vec::new();
        found.extend(
            self.current(state, &wanted.name)
                .filter(|it| wanted.admits(self.version(*it))),
        );
        let installed = self
            .installed_providing
            .get(&wanted.name)
            .into_iter()
            .flatten()
            .copied();
        let chosen = state.chosen.values().map(|it| it.0);
        for id in installed
            .filter(|it| self.is_current(state, *it))
            .chain(chosen)
        {
            if self.provides(id, wanted) && !found.contains(&id) {
                found.push(id);
            }
        }
        found
    }

    fn provides(&self, id: NodeId, wanted: &Alternative) -> bool {
        let mut provided = self.node(id).provides.alternatives();
        provided.any(|it| it.name == wanted.name && provided_fits(it, wanted))
    }

    /// Returns whether a relation holds.
    pub(super) fn satisfies(&self, state: &State, relation: &Relation) -> bool {
        relation
            .0
            .iter()
            .any(|it| !self.meant(state, it).is_empty())
    }

    /// Returns what would make a relation hold: alternatives in order, the package itself before those that provide it.
    pub(super) fn options(
        &mut self,
        state: &State,
        relation: &Relation,
    ) -> Result<Vec<NodeId>, Error> {
        let mut found = Vec::new();
        for wanted in &relation.0 {
            if matches!(&wanted.arch, ArchQualifier::Named(it) if it != "native") {
                continue;
            }
            for id in self.candidates(&wanted.name)? {
                if wanted.admits(self.version(id))
                    && self.is_no_downgrade(id)
                    && state.get(&wanted.name).is_none()
                {
                    found.push(id);
                }
            }
            for at in self
                .providers
                .get(wanted.name.as_str())
                .cloned()
                .unwrap_or_default()
            {
                let id = self.load(at)?;
                if self.provides(id, wanted)
                    && self.is_no_downgrade(id)
                    && state.get(&self.node(id).name).is_none()
                {
                    found.push(id);
                }
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        found.retain(|it| seen.insert(*it));
        Ok(found)
    }

    /// Chooses a package: returns the state and what must hold now, or with what it does not get along.
    pub(super) fn choose(
        &self,
        state: &State,
        id: NodeId,
        (by, wanted): (Option<NodeId>, String),
    ) -> Choosing {
        let node = self.node(id);
        let mut next = state.clone();
        next.chosen.insert(node.name.clone(), (id, by, wanted));
        let mut consequences = Vec::new();
        for other in self.enemies(&next, id) {
            let enemy = self.node(other);
            if enemy.from.is_some() {
                return Err(format!(
                    "{} conflicts with {}",
                    self.label(id),
                    self.label(other)
                ));
            }
            consequences.push(Consequence::Upgrade {
                name: enemy.name.clone(),
                because: id,
            });
        }
        for relation in &node.depends.0 {
            consequences.push(Consequence::Relation {
                by: id,
                relation: relation.clone(),
            });
        }
        if let Some(old) = self.installed.get(&node.name) {
            self.keep_dependents(state, *old, &mut consequences);
        }
        Ok((next, consequences))
    }

    /// Adds the relations of installed packages that the old version may have met.
    fn keep_dependents(&self, state: &State, old: NodeId, consequences: &mut Vec<Consequence>) {
        let old = self.node(old);
        let names =
            std::iter::once(&old.name).chain(old.provides.alternatives().map(|it| &it.name));
        for name in names {
            for by in self.installed_needing.get(name).into_iter().flatten() {
                for relation in &self.node(*by).depends.0 {
                    // What was broken in the base before is not ours to mend.
                    if relation.0.iter().any(|it| it.name == *name)
                        && self.satisfies(state, relation)
                    {
                        consequences.push(Consequence::Relation {
                            by: *by,
                            relation: relation.clone(),
                        });
                    }
                }
            }
        }
    }

    /// Returns the other packages of the state that conflict with one, whichever of the two says so.
    fn enemies(&self, state: &State, id: NodeId) -> Vec<NodeId> {
        let node = self.node(id);
        let mut found = Vec::new();
        for conflict in node.conflicts.alternatives() {
            found.extend(
                self.meant(state, conflict)
                    .into_iter()
                    .filter(|it| self.node(*it).name != node.name),
            );
        }
        let names =
            std::iter::once(&node.name).chain(node.provides.alternatives().map(|it| &it.name));
        let installed = names
            .filter_map(|it| self.installed_refusing.get(it))
            .flatten()
            .copied();
        let chosen = state.chosen.values().map(|it| it.0);
        for other in installed
            .filter(|it| self.is_current(state, *it))
            .chain(chosen)
        {
            let refuses = self.node(other).conflicts.alternatives().any(|it| {
                (it.name == node.name && it.admits(&node.version)) || self.provides(id, it)
            });
            if refuses && self.node(other).name != node.name {
                found.push(other);
            }
        }
        found.sort();
        found.dedup();
        found
    }

    /// Returns what is wrong with a state, looked at as a whole: nothing, unless the search is.
    pub(super) fn flaw(&self, state: &State) -> Option<Unsatisfied> {
        let base = State::default();
        let chosen = state.chosen.values().map(|it| it.0);
        let kept = self
            .installed
            .values()
            .copied()
            .filter(|it| self.is_current(state, *it));
        for id in chosen.chain(kept) {
            let node = self.node(id);
            for relation in &node.depends.0 {
                let was_broken = node.from.is_none() && !self.satisfies(&base, relation);
                if !was_broken && !self.satisfies(state, relation) {
                    let (needs, problem) = (relation.to_string(), Problem::NoCandidate);
                    return Some(Unsatisfied {
                        chain: self.chain(state, Some(id)),
                        needs,
                        problem,
                        candidates: vec![],
                    });
                }
            }
            if node.from.is_some()
                && let Some(other) = self.enemies(state, id).first()
            {
                let problem =
                    Problem::Conflict(vec![format!("it conflicts with {}", self.label(*other))]);
                let needs = self.label(id);
                return Some(Unsatisfied {
                    chain: vec![],
                    needs,
                    problem,
                    candidates: vec![],
                });
            }
        }
        None
    }

    /// Returns the chosen packages, each after those it depends on.
    pub(super) fn choices(&self, state: &State) -> Vec<Choice> {
        let mut needs = BTreeMap::new();
        for (name, (id, ..)) in &state.chosen {
            let relations = self.node(*id).depends.alternatives();
            let met = relations
                .flat_map(|it| self.meant(state, it))
                .map(|it| self.node(it).name.clone());
            needs.insert(name.clone(), met.collect::<Vec<_>>());
        }
        let choice = |name: PackageName| {
            let (repository, at) = self.node(state.get(&name)?).from?;
            let entry = self.repositories[repository].index.entries()[at].clone();
            let replaces = self
                .installed
                .get(&name)
                .map(|it| self.version(*it).clone());
            Some(Choice {
                repository,
                entry,
                replaces,
            })
        };
        in_order(&needs).into_iter().filter_map(choice).collect()
    }

    /// Returns the way from a wish to a package.
    pub(super) fn chain(&self, state: &State, id: Option<NodeId>) -> Vec<Link> {
        let (mut links, mut at) = (Vec::new(), id);
        while let Some(id) = at.filter(|_| links.len() < 64) {
            let package = self.label(id);
            let found = state
                .chosen
                .get(&self.node(id).name)
                .filter(|it| it.0 == id);
            let wanted = found.map_or_else(|| "installed".to_owned(), |it| it.2.clone());
            links.push(Link { wanted, package });
            at = found.and_then(|it| it.1);
        }
        links.reverse();
        links
    }

    fn label(&self, id: NodeId) -> String {
        let node = self.node(id);
        let installed = if node.from.is_none() {
            " (installed)"
        } else {
            ""
        };
        format!("{} {}{installed}", node.name, node.version)
    }

    /// Returns the versions there are of some names.
    pub(super) fn describe(&self, state: &State, names: &[PackageName]) -> Vec<String> {
        let mut all = Vec::new();
        for name in names {
            all.extend(self.current(state, name).map(|it| self.label(it)));
            for (repository, at) in self
                .by_name
                .get(name.as_str())
                .into_iter()
                .flatten()
                .take(5)
            {
                let entry = &self.repositories[*repository].index.entries()[*at];
                all.push(format!(
                    "{name} {} in repository {}",
                    entry.version,
                    repository + 1
                ));
            }
        }
        all
    }
}
