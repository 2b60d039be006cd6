//! A cluster's API server, asked as a kubeconfig says: JSON over HTTPS, the server's certificate checked against the cluster's
//! authority alone.

use cluster::kubeconfig::{KubeUser, Kubeconfig};
use nodeimg::error::Error;
use reqwest::blocking::Client;
use reqwest::{Certificate, Identity, Method};
use serde_json::Value;
use std::io::Read as _;
use std::time::Duration;

/// How long one answer may take, and a connection.
const ANSWER: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(10);
/// The most that is read of an answer.
const LIMIT_BYTES: u64 = 64 << 20;

/// An API server.
#[derive(Debug)]
pub(crate) struct Api {
    client: Client,
    server: String,
    token: Option<String>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Answer {
    /// Returns the answer's JSON; null if it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// Returns the answer, or what the server said instead, in a line.
    pub(crate) fn good(self) -> Result<Self, String> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        let json = self.json();
        let said = json["message"].as_str().unwrap_or(&self.text);
        let line = said.lines().next().unwrap_or_default();
        Err(format!("HTTP {}: {line}", self.status))
    }
}

impl Api {
    /// Reads the certificates; asks nothing yet.
    pub(crate) fn new(config: &Kubeconfig) -> Result<Self, Error> {
        let wrong = |err: reqwest::Error| {
            Error::input("the kubeconfig's certificates or keys cannot be used").because(err)
        };
        let authority = Certificate::from_pem(config.authority.as_bytes()).map_err(wrong)?;
        let mut builder = super::client()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .tls_certs_only([authority]);
        let mut token = None;
        match &config.user {
            KubeUser::Certificate(pem) => {
                let identity = Identity::from_pem(pem.expose().as_bytes()).map_err(wrong)?;
                builder = builder.identity(identity);
            }
            KubeUser::Token(it) => token = Some(it.expose().to_owned()),
        }
        Ok(Self {
            client: builder.build().map_err(wrong)?,
            server: config.server.clone(),
            token,
        })
    }

    /// Asks for a path; an error is about the connection, not about the answer.
    pub(crate) fn get(&self, path: &str) -> Result<Answer, String> {
        self.send(Method::GET, path, None)
    }

    /// Creates an object.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Answer, String> {
        self.send(Method::POST, path, Some(body))
    }

    /// Deletes an object.
    pub(crate) fn delete(&self, path: &str) -> Result<Answer, String> {
        self.send(Method::DELETE, path, None)
    }

    fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer, String> {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.server));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request
                .header("Content-Type", "application/json")
                .body(body.to_string());
        }
        let response = request.send().map_err(|err| chain(&err))?;
        let status = response.status().as_u16();
        let mut text = Vec::new();
        response
            .take(LIMIT_BYTES)
            .read_to_end(&mut text)
            .map_err(|err| chain(&err))?;
        let text = String::from_utf8_lossy(&text).into_owned();
        Ok(Answer { status, text })
    }
}

/// An error and its causes in a line: why a connection failed is never in the first of them.
fn chain(err: &dyn std::error::Error) -> String {
    let mut text = err.to_string();
    let mut cause = err.source();
    while let Some(it) = cause {
        text.push_str(&format!(": {it}"));
        cause = it.source();
    }
    text
}
