//! Everything of the command that touches the machine: files, network, terminal, clock.
//!
//! Nothing here decides what an image is made of. What goes in was named by digest or signed; what comes out appears
//! under its name whole or not at all.

pub(crate) mod cache;
pub(crate) mod config;
pub(crate) mod embedded;
pub(crate) mod fetch;
pub(crate) mod file;
pub(crate) mod inputs;
pub(crate) mod lock;
pub(crate) mod memory;
pub(crate) mod mirror;
pub(crate) mod output;
pub(crate) mod progress;
pub(crate) mod usage;

use nodeimg::error::Error;
use std::io;
use std::path::Path;

/// Returns a closure that makes an I/O error into one that names what was done to which file.
fn at<'a>(doing: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
    move |source| {
        let help = match source.kind() {
            io::ErrorKind::PermissionDenied => "check who owns it, or choose another folder",
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "make room, or choose another folder"
            }
            io::ErrorKind::ReadOnlyFilesystem => "choose another folder",
            _ => "",
        };
        Error::world(format!("cannot {doing} {}", path.display()))
            .help(help)
            .because(source)
    }
}
