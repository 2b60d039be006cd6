//! One attempt at a download: one request, and its body at the end of the partial file.

use super::bearer::{Challenge, Tokens};
use super::{Progress, check_limit, check_size, length, note_of};
use crate::host::at;
use crate::host::mirror::Mirrors;
use nodeimg::error::{Cause, Error};
use nodeimg::want::Want;
use reqwest::StatusCode;
use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::header::{self, HeaderMap};
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

/// What an attempt needs.
pub(super) struct Transfer<'a> {
    pub(super) client: &'a Client,
    pub(super) mirrors: &'a Mirrors,
    pub(super) tokens: &'a Tokens,
    pub(super) want: &'a Want,
    pub(super) url: &'a str,
    pub(super) partial: &'a Path,
    pub(super) deadline: Instant,
}

/// Why an attempt failed.
pub(super) enum Failure {
    /// It may pass; the server may have said when.
    Passing { why: Cause, wait: Option<Duration> },
    /// It will not pass.
    Final(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

fn passing(why: impl Into<Cause>) -> Failure {
    Failure::Passing {
        why: why.into(),
        wait: None,
    }
}

impl Transfer<'_> {
    /// Makes the request, and appends its body or replaces what was there.
    pub(super) fn run(&self, progress: &mut dyn FnMut(Progress)) -> Result<(), Failure> {
        let have = self.resumable();
        if have > 0 && self.want.size == Some(have) {
            return Ok(());
        }
        let response = self.ask(have)?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT if have > 0 => match part(response.headers()) {
                Some((start, total)) if start == have => {
                    self.receive(response, have, total, progress)
                }
                // Not the part that was asked for: start over.
                _ => Err(self.restart("the server sent another part than was asked for")),
            },
            StatusCode::OK => {
                let total = response.content_length();
                self.receive(response, 0, total, progress)
            }
            StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => {
                Err(self.restart("the server has fewer bytes than are here"))
            }
            status => Err(self.refused(status, response.headers())),
        }
    }

    /// Returns how many bytes of the partial file can be continued: those of the same URL, and surely of the same file.
    fn resumable(&self) -> u64 {
        let note = fs::read_to_string(note_of(self.partial)).unwrap_or_default();
        let mut lines = note.lines();
        let same = lines.next() == Some(self.url);
        let validator = lines.next().is_some_and(|it| !it.is_empty());
        let have = length(self.partial);
        // Without a validator it may be another file by now; a digest will tell.
        let sure = same
            && (validator || self.want.digest.is_some())
            && check_limit(self.want, have).is_ok();
        if sure { have } else { 0 }
    }

    /// Sends the request, with a token if the server wants one.
    fn ask(&self, have: u64) -> Result<Response, Failure> {
        let send = |request: RequestBuilder| request.send().map_err(|err| self.unsent(err));
        let mut response = send(self.request(self.url, have))?;
        // First a token that is known for this, which may have expired; then a new one.
        for known in [true, false] {
            let challenge = match response.status() {
                StatusCode::UNAUTHORIZED => Challenge::of(&response),
                _ => None,
            };
            let Some(challenge) = challenge else { break };
            let token = if known {
                self.tokens.known(&challenge)
            } else {
                let given = self.tokens.ask(self.client, self.mirrors, &challenge)?;
                Some(given.map_err(passing)?)
            };
            if let Some(token) = token {
                // To who asked for it, which may be where the first was redirected to.
                let url = response.url().as_str().to_owned();
                response = send(self.request(&url, have).bearer_auth(token))?;
            }
        }
        Ok(response)
    }

    fn request(&self, url: &str, have: u64) -> RequestBuilder {
        let mut request = self
            .client
            .get(url)
            .header(header::ACCEPT_ENCODING, "identity");
        if let Some(kinds) = self.want.kind.accept() {
            request = request.header(header::ACCEPT, kinds);
        }
        if have == 0 {
            return request;
        }
        let note = fs::read_to_string(note_of(self.partial)).unwrap_or_default();
        let request = request.header(header::RANGE, format!("bytes={have}-"));
        match note.lines().nth(1).filter(|it| !it.is_empty()) {
            Some(validator) => request.header(header::IF_RANGE, validator),
            None => request,
        }
    }

    fn receive(
        &self,
        mut response: Response,
        have: u64,
        total: Option<u64>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), Failure> {
        if let Some(total) = total {
            check_size(self.want, total)?;
        }
        let mut file = self.file(have, response.headers())?;
        let mut done = have;
        let mut buf = vec![0; 256 << 10];
        progress(Progress::At(done, total.or(self.want.size)));
        loop {
            let n = response.read(&mut buf).map_err(passing)?;
            if n == 0 {
                break;
            }
            done += n as u64;
            check_limit(self.want, done)?;
            file.write_all(&buf[..n])
                .map_err(at("write", self.partial))?;
            progress(Progress::At(done, total.or(self.want.size)));
            if Instant::now() >= self.deadline {
                return Err(passing("the download takes too long"));
            }
        }
        match total.or(self.want.size) {
            Some(size) if done < size => {
                Err(passing(format!("the body ended at byte {done} of {size}")))
            }
            _ => Ok(()),
        }
    }

    /// Opens the partial file where the body goes on, and notes whose bytes it has from now on.
    fn file(&self, have: u64, headers: &HeaderMap) -> Result<File, Error> {
        if have > 0 {
            let file = File::options().append(true).open(self.partial);
            return file.map_err(at("open", self.partial));
        }
        let note = note_of(self.partial);
        let file = File::create(self.partial).map_err(at("make", self.partial))?;
        let text = format!("{}\n{}\n", self.url, validator(headers).unwrap_or_default());
        fs::write(&note, text).map_err(at("write", &note))?;
        Ok(file)
    }

    fn restart(&self, why: &str) -> Failure {
        super::discard(self.partial);
        Failure::Passing {
            why: why.into(),
            wait: Some(Duration::ZERO),
        }
    }

    fn unsent(&self, err: reqwest::Error) -> Failure {
        if err.is_builder() || err.is_redirect() {
            let what = format!("cannot download {} from {}", self.want.what, self.url);
            return Failure::Final(
                Error::world(what)
                    .help("check the URL, and what it redirects to")
                    .because(err),
            );
        }
        passing(err)
    }

    fn refused(&self, status: StatusCode, headers: &HeaderMap) -> Failure {
        let why = format!("the server answers {status}");
        match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
                Failure::Passing { why: why.into(), wait: retry_after(headers) }
            }
            _ if status.is_server_error() => Failure::Passing { why: why.into(), wait: retry_after(headers) },
            StatusCode::NOT_FOUND | StatusCode::GONE => Failure::Final(
                Error::input(format!("{} is not at {}: {why}", self.want.what, self.url))
                    .help("check the URL; if the server dropped this version, name a mirror or update the lock"),
            ),
            _ => {
                let help = match status {
                    StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "check the URL and the proxy: registries of container images say the same of what they do not have; for what wants a password, name a mirror that wants none with --mirror FROM=TO",
                    _ => "check the URL and the proxy, or name a mirror with --mirror FROM=TO",
                };
                let what = format!("cannot download {} from {}: {why}", self.want.what, self.url);
                Failure::Final(Error::world(what).help(help))
            }
        }
    }
}

/// Returns what can prove to the server that a part is of the same file: a strong tag, else a date.
fn validator(headers: &HeaderMap) -> Option<&str> {
    let text = |name| headers.get(name).and_then(|it| it.to_str().ok());
    text(header::ETAG)
        .filter(|it| !it.starts_with("W/"))
        .or_else(|| text(header::LAST_MODIFIED))
}

/// Returns the first byte of a part, and the length of the whole if it is told: `bytes 100-199/200`.
fn part(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let text = headers
        .get(header::CONTENT_RANGE)?
        .to_str()
        .ok()?
        .strip_prefix("bytes ")?;
    let (range, total) = text.split_once('/')?;
    Some((range.split_once('-')?.0.parse().ok()?, total.parse().ok()))
}

/// Returns how long the server asks to wait; dates are not read.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers
        .get(header::RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
        .map(Duration::from_secs)
}
