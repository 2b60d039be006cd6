//! Downloads over HTTP(S), and copies from folders that stand in for it.
//!
//! A download is kept as a partial file and resumed by range request (RFC 9110, section 14), also by a later build; it is
//! tried again on what passes — refused connections, cut bodies, 429 and 5xx — after waits that double. Nothing is
//! believed here: digests and signatures are checked by who asked. The schedule has no random part.

mod bearer;
mod folder;
#[cfg(test)]
pub(crate) mod server;
#[cfg(test)]
mod tests;
mod transfer;

use super::at;
use super::mirror::{Mirrors, Source};
use bearer::Tokens;
use nodeimg::error::{Cause, Error, Result};
use nodeimg::want::Want;
use reqwest::blocking::Client;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use transfer::{Failure, Transfer};

/// How far a download is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Progress {
    /// This many bytes are there, of this many if that is known.
    At(u64, Option<u64>),
    /// An attempt failed, and another follows after this long.
    Retry(String, Duration),
}

/// Whether the network may be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Network {
    /// It may.
    Allowed,
    /// It may not; folders and `file` URLs may.
    Refused,
}

/// Patience.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// How many attempts in a row may bring nothing.
    pub(crate) attempts: u32,
    /// The wait after the first of them; it doubles.
    pub(crate) first_wait: Duration,
    /// The longest wait, also if the server asks for more.
    pub(crate) longest_wait: Duration,
    /// How long a connection may take.
    pub(crate) connect: Duration,
    /// How long nothing may come.
    pub(crate) idle: Duration,
    /// How long one download may take with all its attempts.
    pub(crate) total: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            attempts: 6,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_mins(1),
            connect: Duration::from_secs(20),
            idle: Duration::from_mins(1),
            total: Duration::from_hours(6),
        }
    }
}

const MAX_REDIRECTS: usize = 10;

/// Brings bytes here.
#[derive(Debug)]
pub(crate) struct Fetcher {
    /// Made when it is first needed: reading the system's certificates takes a while, and most builds fetch nothing.
    client: OnceLock<Client>,
    mirrors: Mirrors,
    network: Network,
    patience: Patience,
    tokens: Tokens,
}

impl Fetcher {
    /// Returns a fetcher that obeys the environment's proxies and trusts the system's certificates.
    pub(crate) fn new(mirrors: Mirrors, network: Network, patience: Patience) -> Self {
        Self {
            client: OnceLock::new(),
            mirrors,
            network,
            patience,
            tokens: Tokens::default(),
        }
    }

    fn client(&self) -> Result<&Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let redirects = reqwest::redirect::Policy::custom(|attempt| {
            if attempt.previous().len() > MAX_REDIRECTS {
                return attempt.error("too many redirects");
            }
            match attempt.url().scheme() {
                "http" | "https" => attempt.follow(),
                _ => attempt.error("redirect to something that is neither http nor https"),
            }
        });
        let builder = super::client()
            .redirect(redirects)
            .connect_timeout(self.patience.connect)
            .timeout(self.patience.idle);
        // Tests talk to themselves, whatever proxy the machine has.
        let builder = if cfg!(test) {
            builder.no_proxy()
        } else {
            builder
        };
        let client = builder
            .build()
            .map_err(|err| Error::world("cannot set up HTTP").because(err))?;
        Ok(self.client.get_or_init(|| client))
    }

    /// Returns where a want's bytes would be taken from.
    pub(crate) fn source(&self, want: &Want) -> Result<Source> {
        self.mirrors.resolve(&want.url)
    }

    /// Returns whether a want could be fetched at all: whether it needs the network, and that is refused.
    pub(crate) fn is_refused(&self, want: &Want) -> Result<bool> {
        Ok(self.network == Network::Refused && matches!(self.source(want)?, Source::Url(_)))
    }

    /// Brings a want's bytes into the file `partial`, continuing what is there.
    ///
    /// When this returns, the file is as long as the server says, and no longer than the want allows.
    pub(crate) fn download(
        &self,
        want: &Want,
        partial: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<()> {
        if let Some(folder) = partial.parent() {
            fs::create_dir_all(folder).map_err(at("make folder", folder))?;
        }
        match self.source(want)? {
            Source::File(file) => folder::copy(want, &file, partial, progress),
            Source::Url(_) if self.network == Network::Refused => Err(Error::input(format!(
                "{} is not in the cache, and --offline refuses the network",
                want.what
            ))
            .help(format!(
                "it is at {}: run `nodeimg fetch` without --offline",
                want.url
            ))),
            Source::Url(url) => self.transfer(want, &url, partial, progress),
        }
    }

    fn transfer(
        &self,
        want: &Want,
        url: &str,
        partial: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<()> {
        let deadline = Instant::now() + self.patience.total;
        let mut wait = self.patience.first_wait;
        let mut fruitless = 0;
        loop {
            let before = length(partial);
            let transfer = Transfer {
                client: self.client()?,
                mirrors: &self.mirrors,
                tokens: &self.tokens,
                want,
                url,
                partial,
                deadline,
            };
            let (why, asked) = match transfer.run(progress) {
                Ok(()) => return Ok(()),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Passing { why, wait }) => (why, wait),
            };
            // An attempt that brought something is no failure: the schedule starts afresh.
            if length(partial) > before {
                (fruitless, wait) = (0, self.patience.first_wait);
            }
            fruitless += 1;
            let pause = asked.unwrap_or(wait).min(self.patience.longest_wait);
            if fruitless >= self.patience.attempts || Instant::now() + pause >= deadline {
                return Err(gave_up(want, url, why));
            }
            progress(Progress::Retry(chain(&*why), pause));
            std::thread::sleep(pause);
            wait = (wait * 2).min(self.patience.longest_wait);
        }
    }
}

fn gave_up(want: &Want, url: &str, why: Cause) -> Error {
    let through = if url == want.url {
        String::new()
    } else {
        format!(" (mirror of {})", want.url)
    };
    Error::world(format!("cannot download {} from {url}{through}", want.what))
        .help("check the network and try again: what has arrived is kept; or name a mirror with --mirror FROM=TO")
        .because(why)
}

/// Refuses a length that is not the want's.
fn check_size(want: &Want, found: u64) -> Result<()> {
    match want.size {
        Some(size) if size != found => {
            Err(Error::input(format!("{} has {found} bytes where {size} are wanted: {}", want.what, want.url))
                .help("the server has another version of it: update the lock, or use a mirror that has this one"))
        }
        _ => check_limit(want, found),
    }
}

/// Refuses more bytes than the want allows.
fn check_limit(want: &Want, found: u64) -> Result<()> {
    let limit = want.size.unwrap_or(want.limit).min(want.limit);
    if found <= limit {
        return Ok(());
    }
    Err(Error::input(format!(
        "{} has more than {limit} bytes: {}",
        want.what, want.url
    ))
    .help("this is not what it should be: check the URL"))
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |it| it.len())
}

/// Returns where it is noted which server's bytes a partial file has.
fn note_of(partial: &Path) -> PathBuf {
    partial.with_added_extension("from")
}

/// Removes a partial file and its note.
pub(crate) fn discard(partial: &Path) {
    // What cannot be removed is overwritten by the next download.
    drop(fs::remove_file(partial));
    drop(fs::remove_file(note_of(partial)));
}

/// Returns an error and its causes on one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |it| it.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
