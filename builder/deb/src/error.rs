//! The crate's error: what was read, where it went wrong, what was expected.

use fstree::ImgPath;

/// Why a package, an index or dpkg's database cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name, version, relation or field is not written as Debian Policy says.
    #[error("{what} {text:?} is malformed: {why}")]
    Syntax {
        /// What kind of text this is, such as `version`.
        what: &'static str,
        /// The text, shortened.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A line of a control file, an index or a database file cannot be understood.
    #[error("{file} line {line}: {why}")]
    Line {
        /// Which file.
        file: String,
        /// Line number from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// A field that must be there is missing.
    #[error("{place} has no field {field}")]
    MissingField {
        /// Which paragraph.
        place: String,
        /// The field's name.
        field: &'static str,
    },
    /// An archive is damaged.
    #[error("{what} at byte {at}: {why}")]
    Corrupt {
        /// What is damaged, such as `ar member header`.
        what: &'static str,
        /// Offset in bytes.
        at: u64,
        /// What is wrong.
        why: String,
    },
    /// Something grows past its limit.
    #[error("{what} is longer than {limit} bytes")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The limit in bytes.
        limit: u64,
    },
    /// What the installed packages depend on, provide and conflict with is more than any base has.
    #[error(
        "with {package} the installed packages have more than {limit} relations to others: no base has so many, its dpkg \
         database is damaged"
    )]
    TooManyRelations {
        /// The package that goes past the limit.
        package: String,
        /// The limit: alternatives of all fields together.
        limit: usize,
    },
    /// Bytes cannot be read or written.
    #[error("{doing}")]
    Io {
        /// What was being done.
        doing: String,
        /// The cause.
        source: std::io::Error,
    },
    /// Two packages own one file and neither replaces the other.
    #[error(
        "{package} wants to place {path}, which belongs to {owner} and which it does not replace"
    )]
    FileConflict {
        /// The package being unpacked.
        package: String,
        /// The path both have.
        path: String,
        /// The package that has it already.
        owner: String,
    },
    /// The package cannot be unpacked here.
    #[error("{package} cannot be unpacked: {why}")]
    Refused {
        /// The package.
        package: String,
        /// Why.
        why: String,
    },
    /// The tree does not take an edit.
    #[error("cannot place {path}")]
    Tree {
        /// Where.
        path: String,
        /// The cause.
        source: fstree::EditError,
    },
    /// dpkg's database is not in a state to work on.
    #[error("{path}: {why}")]
    Database {
        /// The file.
        path: ImgPath,
        /// What is wrong and what helps.
        why: String,
    },
}

impl Error {
    /// Returns a syntax error with the text cut to a readable length.
    pub(crate) fn syntax(what: &'static str, text: &str, why: &'static str) -> Self {
        Self::Syntax {
            what,
            text: text.chars().take(80).collect(),
            why,
        }
    }

    /// Returns an error about one line of a file.
    pub(crate) fn line(file: &str, line: usize, why: impl Into<String>) -> Self {
        Self::Line {
            file: file.to_owned(),
            line,
            why: why.into(),
        }
    }

    /// Returns an error of reading or writing.
    pub(crate) fn io(doing: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io {
            doing: doing.into(),
            source,
        }
    }
}
