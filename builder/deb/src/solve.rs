//! From a wish to packages: what must be fetched so that the wanted packages, and all they need, can be configured.
//!
//! Debian Policy, chapter 7, with apt's habits: what is installed stays unless a relation demands otherwise, alternatives
//! are tried from left to right, and the repository of highest priority gives its highest version. `Recommends` are not
//! followed, nothing is removed, no package is downgraded. The search goes back on its choices when they lead nowhere;
//! what it returns was checked once more as a whole.

mod order;
mod pool;
mod why;

use crate::error::Error;
use crate::index::{Index, IndexEntry};
use crate::name::{Arch, PackageName};
use crate::relation::Relation;
use crate::version::Version;
use pool::{NodeId, Pool, State};
use std::collections::{BTreeMap, VecDeque};

pub(crate) use order::in_order;
pub use pool::Installed;
pub use why::{Link, Problem, Unsatisfied};

/// No sensible wish needs more; a wish without a solution may.
const MAX_STEPS: u32 = 20_000;
const MAX_PACKAGES: usize = 5_000;

/// An index and how much it is preferred.
#[derive(Clone, Copy, Debug)]
pub struct Repository<'a> {
    /// The packages.
    pub index: &'a Index,
    /// Higher is preferred to any version of a lower one.
    pub priority: i32,
}

/// A package that is wanted: `name`, `name=version`, or `name=1.36.*`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wanted {
    /// The name.
    pub name: PackageName,
    /// The version, or what it begins with if a `*` follows.
    pub version: Option<String>,
}

/// A package to fetch and unpack.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Which of the repositories it comes from.
    pub repository: usize,
    /// Where it is and what it is.
    pub entry: IndexEntry,
    /// The installed version that it takes the place of.
    pub replaces: Option<Version>,
}

/// Why there is no solution to return.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SolveError {
    /// The wish cannot be granted.
    #[error(transparent)]
    Unsatisfied(Box<Unsatisfied>),
    /// A relation of an index or of the base cannot be parsed.
    #[error("a package's relations cannot be read")]
    Malformed(#[source] Error),
}

impl Wanted {
    /// Parses `name[=version[*]]`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (name, version) = match text.split_once('=') {
            Some((_, "")) => {
                return Err(Error::syntax(
                    "wanted package",
                    text,
                    "no version follows the `=`",
                ));
            }
            Some((name, version)) => (name, Some(version.to_owned())),
            None => (text, None),
        };
        if let Some(version) = version.as_ref().filter(|it| !it.ends_with('*')) {
            Version::new(version)?;
        }
        Ok(Self {
            name: PackageName::new(name)?,
            version,
        })
    }

    /// Returns whether a version is one that is wanted.
    pub fn admits(&self, version: &Version) -> bool {
        match &self.version {
            None => true,
            Some(pattern) => match pattern.strip_suffix('*') {
                Some(start) => version.as_str().starts_with(start),
                None => Version::new(pattern).is_ok_and(|it| it == *version),
            },
        }
    }
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{}={version}", self.name),
            None => write!(f, "{}", self.name),
        }
    }
}

/// Returns what to fetch, each package after those it depends on.
pub fn solve(
    installed: &Installed,
    repositories: &[Repository<'_>],
    native: &Arch,
    wanted: &[Wanted],
) -> Result<Vec<Choice>, SolveError> {
    let pool = Pool::new(installed, repositories, native);
    let mut search = Search {
        pool,
        wanted,
        steps: 0,
        first: None,
    };
    let goals = wanted
        .iter()
        .enumerate()
        .map(|(at, _)| Goal::Wanted(at))
        .collect();
    let found = search.run(&State::default(), goals);
    let Some(state) = found.map_err(SolveError::Malformed)? else {
        return Err(SolveError::Unsatisfied(Box::new(search.explain())));
    };
    if let Some(why) = search.pool.flaw(&state) {
        return Err(SolveError::Unsatisfied(Box::new(why)));
    }
    Ok(search.pool.choices(&state))
}

/// Something that must hold.
#[derive(Clone, Debug)]
enum Goal {
    /// A wish.
    Wanted(usize),
    /// A relation of a package that was chosen, or of an installed one whose dependency was replaced.
    Relation { by: NodeId, relation: Relation },
    /// An installed package must make place for a version that gets along with what was chosen.
    Upgrade { name: PackageName, because: NodeId },
}

struct Search<'a> {
    pool: Pool<'a>,
    wanted: &'a [Wanted],
    steps: u32,
    /// The failure on the most preferred way, which explains most.
    first: Option<Unsatisfied>,
}

impl Search<'_> {
    /// Returns the first state in which all goals hold, trying choices in order of preference.
    fn run(&mut self, state: &State, goals: VecDeque<Goal>) -> Result<Option<State>, Error> {
        // Each frame is one choice: the states and goals that its options lead to, the best one first.
        let mut frames = vec![VecDeque::from([(state.clone(), goals)])];
        while let Some(frame) = frames.last_mut() {
            let Some((state, mut goals)) = frame.pop_front() else {
                frames.pop();
                continue;
            };
            self.steps += 1;
            if self.steps > MAX_STEPS || state.len() > MAX_PACKAGES {
                self.fail(Unsatisfied::gave_up(MAX_STEPS));
                return Ok(None);
            }
            let mut open = None;
            while let Some(goal) = goals.pop_front() {
                if !self.holds(&state, &goal) {
                    open = Some(goal);
                    break;
                }
            }
            let Some(goal) = open else {
                return Ok(Some(state));
            };
            let next = self.branches(&state, &goal, &goals)?;
            frames.push(next);
        }
        Ok(None)
    }

    fn holds(&self, state: &State, goal: &Goal) -> bool {
        match goal {
            Goal::Wanted(at) => {
                let wanted = &self.wanted[*at];
                let version = self.pool.version_in(state, &wanted.name);
                version.is_some_and(|it| wanted.admits(it))
            }
            // A relation of an installed package that was itself replaced is no more.
            Goal::Relation { by, relation } => {
                !self.pool.is_current(state, *by) || self.pool.satisfies(state, relation)
            }
            Goal::Upgrade { name, .. } => state.get(name).is_some(),
        }
    }

    /// Returns the states that the options for a goal lead to.
    fn branches(
        &mut self,
        state: &State,
        goal: &Goal,
        rest: &VecDeque<Goal>,
    ) -> Result<VecDeque<(State, VecDeque<Goal>)>, Error> {
        let options = self.options(state, goal)?;
        let mut tried = Vec::new();
        let mut branches = VecDeque::new();
        for option in options {
            let (by, text) = self.reason(goal);
            match self.pool.choose(state, option, (by, text)) {
                Ok((state, consequences)) => {
                    let mut goals = rest.clone();
                    goals.extend(consequences.into_iter().map(|it| match it {
                        pool::Consequence::Relation { by, relation } => {
                            Goal::Relation { by, relation }
                        }
                        pool::Consequence::Upgrade { name, because } => {
                            Goal::Upgrade { name, because }
                        }
                    }));
                    branches.push_back((state, goals));
                }
                Err(why) => tried.push(why),
            }
        }
        if branches.is_empty() {
            let failure = self.failure(state, goal, tried);
            self.fail(failure);
        }
        Ok(branches)
    }

    fn options(&mut self, state: &State, goal: &Goal) -> Result<Vec<NodeId>, Error> {
        match goal {
            Goal::Wanted(at) => {
                let wanted = self.wanted[*at].clone();
                if state.get(&wanted.name).is_some() {
                    return Ok(Vec::new());
                }
                let mut found = self.pool.candidates(&wanted.name)?;
                found.retain(|it| {
                    wanted.admits(self.pool.version(*it)) && self.pool.is_no_downgrade(*it)
                });
                Ok(found)
            }
            Goal::Relation { by, relation } => {
                let mut found = self.pool.options(state, relation)?;
                // An installed package that does not get along with the new one may be upgraded instead.
                if let Some(name) = self.pool.installed_name(*by) {
                    found.extend(self.pool.upgrades(state, &name)?);
                }
                Ok(found)
            }
            Goal::Upgrade { name, .. } => self.pool.upgrades(state, name),
        }
    }

    /// Returns who asks, and for what.
    fn reason(&self, goal: &Goal) -> (Option<NodeId>, String) {
        match goal {
            Goal::Wanted(at) => (None, self.wanted[*at].to_string()),
            Goal::Relation { by, relation } => (Some(*by), relation.to_string()),
            Goal::Upgrade { name, because } => (Some(*because), format!("a newer {name}")),
        }
    }

    fn failure(&self, state: &State, goal: &Goal, tried: Vec<String>) -> Unsatisfied {
        let (by, needs) = self.reason(goal);
        let chain = self.pool.chain(state, by);
        let names: Vec<PackageName> = match goal {
            Goal::Wanted(at) => vec![self.wanted[*at].name.clone()],
            Goal::Relation { relation, .. } => {
                relation.0.iter().map(|it| it.name.clone()).collect()
            }
            Goal::Upgrade { name, .. } => vec![name.clone()],
        };
        let candidates = self.pool.describe(state, &names);
        let problem = if tried.is_empty() {
            Problem::NoCandidate
        } else {
            Problem::Conflict(tried)
        };
        Unsatisfied {
            chain,
            needs,
            problem,
            candidates,
        }
    }

    fn fail(&mut self, why: Unsatisfied) {
        self.first.get_or_insert(why);
    }

    fn explain(&mut self) -> Unsatisfied {
        self.first
            .take()
            .unwrap_or_else(|| Unsatisfied::gave_up(self.steps))
    }
}

/// Returns each wanted name with the version that is installed already, for messages.
pub fn satisfied_already<'a>(
    installed: &Installed,
    wanted: &'a [Wanted],
) -> BTreeMap<&'a PackageName, Version> {
    let found = wanted
        .iter()
        .filter_map(|it| Some((&it.name, installed.version(&it.name)?, it)));
    found
        .filter(|(_, version, wanted)| wanted.admits(version))
        .map(|(name, version, _)| (name, version))
        .collect()
}

#[cfg(test)]
mod tests;
