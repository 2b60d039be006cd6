//! What can go wrong with a cluster file, its secrets and its seeds, with place and remedy.
//!
//! A value that cannot be is a [`Fault`]; a fault with its place in the file is a [`Problem`]; a file is refused with all its
//! problems at once.

use std::fmt;

use crate::NodeName;

/// Says why a value is refused and what to write instead; it does not know where the value stood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {help}")]
pub struct Fault {
    /// What is wrong, with the value.
    pub what: String,
    /// What to do about it.
    pub help: String,
}

impl Fault {
    pub(crate) fn new(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            help: help.into(),
        }
    }
}

/// A place in a text file; both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

impl Place {
    /// Returns the place of the byte `offset` in `text`; an offset past the end is the end.
    pub(crate) fn of(text: &str, offset: usize) -> Self {
        let before = text
            .char_indices()
            .take_while(|(at, _)| *at < offset)
            .map(|(_, char)| char);
        let mut res = Self { line: 1, column: 1 };
        for char in before {
            if char == '\n' {
                res.line += 1;
                res.column = 1;
            } else {
                res.column += 1;
            }
        }
        res
    }
}

/// One thing that is wrong in a cluster file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file's name as the caller gave it.
    pub file: String,
    /// Where in the file.
    pub place: Place,
    /// What is wrong and what to do.
    pub fault: Fault,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, place, fault } = self;
        write!(f, "{file}:{}:{}: {fault}", place.line, place.column)
    }
}

/// Everything that is wrong in a cluster file, in the order of the file; one line each when displayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The cluster file is refused.
    #[error("{0}")]
    Invalid(Problems),
    /// The text of the stored secrets is refused; the text itself is never repeated.
    #[error("{file}: {fault}")]
    Secrets {
        /// The file's name as the caller gave it.
        file: String,
        /// What is wrong and what to do.
        fault: Fault,
    },
    /// A kubeconfig file that cannot be used; its text is never repeated.
    #[error("{file} is no kubeconfig for this: {what}")]
    Kubeconfig {
        /// The file's name as the caller gave it.
        file: String,
        /// What is wrong with it.
        what: String,
    },
    /// The cluster has no node of this name.
    #[error("no node `{node}` in cluster `{cluster}`; its nodes are {known}")]
    UnknownNode {
        /// The name asked for.
        node: NodeName,
        /// The cluster's name.
        cluster: String,
        /// The names there are.
        known: String,
    },
    /// The locked Kubernetes release is not one the cluster file allows.
    #[error(
        "kubernetes {release} is locked, but cluster `{cluster}` asks for {wanted}; update the lock or the key `kubernetes`"
    )]
    Release {
        /// The release of the lock.
        release: crate::Release,
        /// The cluster's name.
        cluster: String,
        /// What the cluster file says.
        wanted: crate::KubernetesVersion,
    },
    /// The node runs no kubelet, so kubeadm has nothing to do on it.
    #[error("node `{node}` is a {}: no kubelet, so no kubeadm file", role.as_str())]
    NoKubelet {
        /// The node.
        node: NodeName,
        /// What it does.
        role: crate::Role,
    },
    /// A manifest beside the cluster's file was not given.
    #[error("manifest `{name}`: the text of {path} is missing")]
    Manifest {
        /// Its name.
        name: crate::ManifestName,
        /// Its path as the cluster's file names it.
        path: String,
    },
    /// The network interfaces given for a seed make no sense.
    #[error("network interfaces of node `{node}`: {fault}")]
    Nics {
        /// The node.
        node: NodeName,
        /// What is wrong and what to do.
        fault: Fault,
    },
    /// A seed is larger than what the boot partition and the seed disk keep free for it.
    #[error("seed of node `{node}` is {size_bytes} bytes, more than {limit_bytes}")]
    SeedTooLarge {
        /// The node.
        node: NodeName,
        /// Size of the seed's files together.
        size_bytes: usize,
        /// What is allowed.
        limit_bytes: usize,
    },
    /// A certificate could not be made.
    #[error("certificate `{what}` cannot be made")]
    Certificate {
        /// The common name.
        what: String,
        /// The encoder's reason.
        source: rcgen::Error,
    },
    /// A YAML document could not be written.
    #[error("{what} cannot be written as YAML")]
    Yaml {
        /// Which document.
        what: &'static str,
        /// The writer's reason.
        source: serde_saphyr::SerializeError,
    },
}
