//! Anonymous tokens: registries of container images refuse a download until it is asked for with a token that anybody can have
//! (RFC 6750; the token protocol of OCI registries). No password is ever sent, nor asked for.
//!
//! A token goes to the server that asked for it, and is kept for further downloads of the same scope until it is refused.

use super::super::mirror::{Mirrors, Source};
use nodeimg::error::{Error, Result};
use reqwest::blocking::{Client, Response};
use reqwest::{Url, header};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::{Mutex, PoisonError};

/// The longest answer that can hold a token.
const MAX_ANSWER: u64 = 256 << 10;

/// Where a token is to be had, and for what.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Challenge {
    realm: String,
    service: Option<String>,
    scope: Option<String>,
}

/// Tokens that were given out.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    known: Mutex<BTreeMap<Challenge, String>>,
}

impl Challenge {
    /// Reads what a server says when it refuses a request, if a token could change its mind.
    pub(super) fn of(response: &Response) -> Option<Self> {
        let texts = response.headers().get_all(header::WWW_AUTHENTICATE);
        let it = texts
            .iter()
            .filter_map(|it| it.to_str().ok())
            .find_map(Self::parse)?;
        // Who was asked in confidence is not to be betrayed by where it sends us.
        let open = response.url().scheme() == "http";
        (open || it.realm.starts_with("https://")).then_some(it)
    }

    /// `Bearer realm="https://auth.example/token",service="registry",scope="repository:a:pull"`.
    fn parse(text: &str) -> Option<Self> {
        let (scheme, mut rest) = text.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut values = BTreeMap::new();
        while let Some((name, after)) = rest.split_once('=') {
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => after.split_at(after.find(',').unwrap_or(after.len())),
            };
            values.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
            rest = after.trim_start().trim_start_matches(',');
        }
        Some(Self {
            realm: values.remove("realm")?,
            service: values.remove("service"),
            scope: values.remove("scope"),
        })
    }

    /// Returns where to ask: the realm, or its mirror.
    fn url(&self, mirrors: &Mirrors) -> Result<Url> {
        let bad = || Error::input(format!("{:?} gives out no tokens", self.realm));
        let Source::Url(text) = mirrors.resolve(&self.realm)? else {
            return Err(bad().help("name a mirror of the registry that asks for no token"));
        };
        let mut url: Url = text.parse().map_err(|err| bad().because(err))?;
        let parts = [("service", &self.service), ("scope", &self.scope)];
        for (name, value) in parts {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        Ok(url)
    }
}

impl Tokens {
    /// Returns a token that was given out before.
    pub(super) fn known(&self, challenge: &Challenge) -> Option<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(challenge).cloned()
    }

    /// Asks for a token; the inner error says why none was given, which may pass.
    pub(super) fn ask(
        &self,
        client: &Client,
        mirrors: &Mirrors,
        challenge: &Challenge,
    ) -> Result<std::result::Result<String, String>> {
        let url = challenge.url(mirrors)?;
        let response = match client.get(url).send() {
            Ok(it) if it.status().is_success() => it,
            Ok(it) => return Ok(Err(format!("{} answers {}", challenge.realm, it.status()))),
            Err(err) => return Ok(Err(super::chain(&err))),
        };
        let mut bytes = Vec::new();
        if let Err(err) = response.take(MAX_ANSWER).read_to_end(&mut bytes) {
            return Ok(Err(format!("{}: {err}", challenge.realm)));
        }
        let answer: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let text = |name: &str| answer[name].as_str().filter(|it| !it.is_empty());
        let Some(token) = text("token").or_else(|| text("access_token")) else {
            return Ok(Err(format!("{} gives no token", challenge.realm)));
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(challenge.clone(), token.to_owned());
        Ok(Ok(token.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        }
    }

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        for (text, wanted) in [
            (
                r#"Bearer realm="https://a.example/token",service="r.example",scope="repository:a/b:pull,push""#,
                Some(challenge(
                    "https://a.example/token",
                    Some("r.example"),
                    Some("repository:a/b:pull,push"),
                )),
            ),
            (
                "bearer  scope=x , Realm=https://a",
                Some(challenge("https://a", None, Some("x"))),
            ),
            (
                r#"Bearer realm="https://a", error="invalid_token""#,
                Some(challenge("https://a", None, None)),
            ),
            (r#"Basic realm="x""#, None),
            (r#"Bearer realm="x"#, None),
            ("Bearer service=x", None),
            ("Bearer", None),
            ("", None),
        ] {
            assert_eq!(Challenge::parse(text), wanted, "{text}");
        }
    }

    #[test]
    fn tokens_are_asked_for_where_the_realm_is_or_its_mirror() {
        let it = challenge("https://a.example/token?x=1", Some("r e"), Some("a:pull"));
        let mut mirrors = Mirrors::default();
        let url = |mirrors: &Mirrors| it.url(mirrors).map(|it| it.to_string());
        assert_eq!(
            url(&mirrors).unwrap(),
            "https://a.example/token?x=1&service=r+e&scope=a%3Apull"
        );
        mirrors
            .add_argument("https://a.example=http://127.0.0.1:1/a")
            .unwrap();
        assert!(
            url(&mirrors)
                .unwrap()
                .starts_with("http://127.0.0.1:1/a/token?")
        );
        mirrors
            .add("https://a.example", "/srv", std::path::Path::new(""))
            .unwrap();
        assert!(url(&mirrors).is_err());
    }
}
