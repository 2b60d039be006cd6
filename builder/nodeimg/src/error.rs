//! What can go wrong between a profile and an artifact, sorted by whose turn it is.
//!
//! The sort decides the exit code; the text names the thing and the place; `help` says what a person can do.

/// The cause under an [`Error`].
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// An error of the core.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What the user gave is wrong: a profile, a lock, a base image, an argument.
    #[error("{what}")]
    Input {
        /// The thing and the place.
        what: String,
        /// What to do about it; empty where the text says it all.
        help: String,
        /// The cause, where there is one.
        source: Option<Cause>,
    },
    /// The world failed: network, disk, a verified input that can no longer be read.
    #[error("{what}")]
    World {
        /// The thing and the place.
        what: String,
        /// What to do about it.
        help: String,
        /// The cause, where there is one.
        source: Option<Cause>,
    },
}

/// Result of the core.
pub type Result<T> = std::result::Result<T, Error>;

/// What is wrong with a cluster is wrong with what the user gave; its text says it all.
impl From<cluster::Error> for Error {
    fn from(error: cluster::Error) -> Self {
        Self::input(error.to_string())
    }
}

impl Error {
    /// Returns an error about what the user gave.
    pub fn input(what: impl Into<String>) -> Self {
        Self::Input {
            what: what.into(),
            help: String::new(),
            source: None,
        }
    }

    /// Returns an error about the world.
    pub fn world(what: impl Into<String>) -> Self {
        Self::World {
            what: what.into(),
            help: String::new(),
            source: None,
        }
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        let (Self::Input { help, .. } | Self::World { help, .. }) = &mut self;
        *help = text.into();
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Cause>) -> Self {
        let (Self::Input { source, .. } | Self::World { source, .. }) = &mut self;
        *source = Some(cause.into());
        self
    }

    /// Returns what to do, if anything is known.
    pub fn help_text(&self) -> Option<&str> {
        let (Self::Input { help, .. } | Self::World { help, .. }) = self;
        (!help.is_empty()).then_some(help)
    }
}

/// Returns a closure that makes a cause into an error about what the user gave.
pub(crate) fn input<C: Into<Cause>>(what: impl Into<String>) -> impl FnOnce(C) -> Error {
    let what = what.into();
    |cause| Error::input(what).because(cause)
}

/// Returns a closure that makes a cause into an error of the world.
pub(crate) fn world<C: Into<Cause>>(what: impl Into<String>) -> impl FnOnce(C) -> Error {
    let what = what.into();
    |cause| Error::world(what).because(cause)
}
