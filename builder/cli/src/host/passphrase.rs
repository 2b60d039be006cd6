//! The passphrase that opens a cluster's secrets: the first line of a file, or typed at the terminal, unseen.

use super::{at, given};
use nodeimg::error::{Error, Result};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The shortest that is taken for new secrets, in characters.
const SHORTEST: usize = 8;
const TERMINAL: &str = "/dev/tty";

/// Where it comes from; asked for once.
#[derive(Debug, Default)]
pub(crate) struct Passphrase {
    file: Option<PathBuf>,
    known: OnceLock<String>,
}

/// What it is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purpose {
    /// Secrets that exist.
    Open,
    /// Secrets to come: typed twice.
    Seal,
}

impl Passphrase {
    /// Takes it from a file, or else from the terminal.
    pub(crate) fn new(file: Option<PathBuf>) -> Self {
        Self {
            file,
            known: OnceLock::new(),
        }
    }

    /// Returns it, and asks for it the first time.
    pub(crate) fn get(&self, purpose: Purpose) -> Result<&str> {
        if self.known.get().is_none() {
            let text = match &self.file {
                Some(file) => first_line(file)?,
                None => typed(purpose)?,
            };
            if purpose == Purpose::Seal && text.chars().count() < SHORTEST {
                let what =
                    format!("a passphrase of fewer than {SHORTEST} characters seals nothing");
                return Err(Error::input(what).help("take several words"));
            }
            // Nobody else sets it: a command runs on one thread here.
            self.known.set(text).ok();
        }
        Ok(self.known.get().map_or("", String::as_str))
    }
}

fn first_line(file: &Path) -> Result<String> {
    let text = fs::read_to_string(file).map_err(given("the passphrase", file))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn typed(purpose: Purpose) -> Result<String> {
    let open = || File::options().read(true).write(true).open(TERMINAL);
    let terminal = open().map_err(|_| {
        Error::input(
            "the cluster's secrets need a passphrase, and there is no terminal to type it at",
        )
        .help("--passphrase-file names a file whose first line it is")
    })?;
    let text = ask(&terminal, "Passphrase of the cluster's secrets: ")?;
    if purpose == Purpose::Seal && ask(&terminal, "The same once more: ")? != text {
        return Err(Error::input("the two are not the same").help("nothing was written; try again"));
    }
    Ok(text)
}

/// Asks a question and reads a line that is not shown.
fn ask(terminal: &File, question: &str) -> Result<String> {
    let failed = |err: io::Error| at("ask at", Path::new(TERMINAL))(err);
    let shown = tcgetattr(terminal).map_err(|err| failed(err.into()))?;
    let mut hidden = shown.clone();
    hidden.local_modes -= LocalModes::ECHO;
    let mut out = terminal;
    // First unseen, then asked: what is typed at the question is all read, and none of it shown.
    tcsetattr(terminal, OptionalActions::Flush, &hidden).map_err(|err| failed(err.into()))?;
    out.write_all(question.as_bytes()).map_err(failed)?;
    let mut line = String::new();
    let read = BufReader::new(terminal).read_line(&mut line);
    tcsetattr(terminal, OptionalActions::Now, &shown).map_err(|err| failed(err.into()))?;
    out.write_all(b"\n").map_err(failed)?;
    read.map_err(failed)?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}
