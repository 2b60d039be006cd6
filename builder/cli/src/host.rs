//! Everything of the command that touches the machine: files, network, terminal, clock.
//!
//! Nothing here decides what an image is made of. What goes in was named by digest or signed; what comes out appears
//! under its name whole or not at all.

pub(crate) mod api;
pub(crate) mod cache;
pub(crate) mod config;
pub(crate) mod embedded;
pub(crate) mod fetch;
pub(crate) mod file;
pub(crate) mod inputs;
pub(crate) mod interrupt;
pub(crate) mod lock;
pub(crate) mod memory;
pub(crate) mod mirror;
pub(crate) mod output;
pub(crate) mod passphrase;
pub(crate) mod progress;
pub(crate) mod usage;

use nodeimg::error::Error;
use reqwest::blocking::{Client, ClientBuilder};
use std::io;
use std::path::Path;

/// Begins an HTTP client: its name, and who does its TLS.
fn client() -> ClientBuilder {
    // An error says that another client of this process chose it already.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    Client::builder().user_agent(concat!("nodeimg/", env!("CARGO_PKG_VERSION")))
}

/// Returns a closure that makes an I/O error into one that names what was done to which file.
pub(crate) fn at<'a>(doing: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
    move |source| {
        let what = format!("cannot {doing} {}", path.display());
        let error = if is_of_the_name(source.kind()) {
            Error::input(what)
        } else {
            Error::world(what)
        };
        error.help(help(source.kind())).because(source)
    }
}

/// The same for a file that a user named: what is wrong with it is wrong with what was asked.
pub(crate) fn given<'a>(what: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
    move |source| {
        let help = match source.kind() {
            io::ErrorKind::NotFound => "check the name",
            io::ErrorKind::PermissionDenied => "check who may read it",
            io::ErrorKind::InvalidData => "it is not text",
            other => help(other),
        };
        Error::input(format!("cannot read {what} {}", path.display()))
            .help(help)
            .because(source)
    }
}

/// Returns whether an I/O error says that a path can never be what it is used for.
fn is_of_the_name(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{AlreadyExists, InvalidFilename, IsADirectory, NotADirectory};
    matches!(
        kind,
        AlreadyExists | InvalidFilename | IsADirectory | NotADirectory
    )
}

/// Returns what a person can do about an I/O error, as far as its kind tells.
pub(crate) fn help(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::PermissionDenied => "check who owns it, or choose another folder",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "make room, or choose another folder"
        }
        io::ErrorKind::FileTooLarge => {
            "its file system, or a limit of this user, allows no file so large: choose another folder"
        }
        io::ErrorKind::ReadOnlyFilesystem => "choose another folder",
        io::ErrorKind::InvalidData => {
            "do the same again: what is damaged was deleted, and is made anew"
        }
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
            "a file is where a folder is wanted: choose another name"
        }
        _ => "",
    }
}

/// Returns whether a cause is the machine's: a file's bytes that could not be read or written, or any refusal of the
/// kernel's that is not about which file was named.
pub(crate) fn is_the_machines(cause: &(dyn std::error::Error + 'static)) -> bool {
    use io::ErrorKind::{InvalidInput, NotFound, PermissionDenied};
    let Some(error) = cause.downcast_ref::<io::Error>() else {
        return cause.is::<file::Failed>();
    };
    match error.get_ref() {
        Some(inner) => is_the_machines(inner),
        None => {
            error.raw_os_error().is_some()
                && !is_of_the_name(error.kind())
                && !matches!(error.kind(), NotFound | PermissionDenied | InvalidInput)
        }
    }
}
