//! Why a wish cannot be granted: the way from the wish to the need that nothing meets.

use std::fmt;

/// Why a wish cannot be granted.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub struct Unsatisfied {
    /// From the wish down: each package and the relation of it that leads to the next.
    pub chain: Vec<Link>,
    /// What could not be met: a wish or a relation.
    pub needs: String,
    /// What is the matter.
    pub problem: Problem,
    /// The versions there are of what is needed, and where they are.
    pub candidates: Vec<String>,
}

/// A package on the way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Link {
    /// What asked for it.
    pub wanted: String,
    /// Name and version that were chosen.
    pub package: String,
}

/// What is the matter.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Problem {
    /// Nothing that is allowed meets the need.
    NoCandidate,
    /// What meets the need does not get along with something else, said for each.
    Conflict(Vec<String>),
    /// No answer was found within this many steps.
    GaveUp(u32),
}

impl Unsatisfied {
    pub(super) fn gave_up(steps: u32) -> Self {
        Self {
            chain: Vec::new(),
            needs: String::new(),
            problem: Problem::GaveUp(steps),
            candidates: Vec::new(),
        }
    }
}

impl fmt::Display for Unsatisfied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Link { wanted, package } in &self.chain {
            write!(f, "{wanted} → {package} needs ")?;
        }
        match &self.problem {
            Problem::NoCandidate => write!(f, "{}, which nothing meets", self.needs)?,
            Problem::Conflict(all) => write!(f, "{}, but {}", self.needs, all.join("; "))?,
            Problem::GaveUp(steps) => write!(
                f,
                "no consistent set of packages was found in {steps} steps"
            )?,
        }
        if !self.candidates.is_empty() {
            write!(f, " (there is {})", self.candidates.join(", "))?;
        }
        Ok(())
    }
}
