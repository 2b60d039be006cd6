//! Reads a kubeconfig file (`v1`, kind `Config`): how its current context reaches a cluster, and as whom.
//!
//! Understands what kubeadm and `cluster export-kubeconfig` write: certificates and keys inside the file, or a token. Files
//! named by the file, `exec` and `auth-provider` are refused by name.

use base64ct::{Base64, Encoding as _};
use serde::Deserialize;

use crate::{Error, Secret};

/// The most that is read.
const LIMIT_BYTES: usize = 1 << 20;

/// How to reach a cluster.
#[derive(Debug)]
pub struct Kubeconfig {
    /// `https://` and what follows.
    pub server: String,
    /// The authority that the server's certificate must be of, PEM.
    pub authority: String,
    /// As whom.
    pub user: KubeUser,
}

/// Who asks.
#[derive(Debug)]
pub enum KubeUser {
    /// A certificate and its key, PEM, one after the other.
    Certificate(Secret),
    /// A bearer token.
    Token(Secret),
}

#[derive(Deserialize)]
struct File {
    #[serde(rename = "current-context", default)]
    current_context: String,
    #[serde(default)]
    clusters: Vec<NamedCluster>,
    #[serde(default)]
    users: Vec<NamedUser>,
    #[serde(default)]
    contexts: Vec<NamedContext>,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Server,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Server {
    server: String,
    certificate_authority_data: Option<String>,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    user: Credentials,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Credentials {
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    token: Option<String>,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Context,
}

#[derive(Deserialize)]
struct Context {
    cluster: String,
    user: String,
}

/// Reads a file; `name` is its name in messages, which never repeat its text.
pub fn parse(text: &str, name: &str) -> Result<Kubeconfig, Error> {
    let wrong = |what: &str| Error::Kubeconfig {
        file: name.to_owned(),
        what: what.to_owned(),
    };
    if text.len() > LIMIT_BYTES {
        return Err(wrong("it has more than a MiB"));
    }
    let file: File =
        serde_saphyr::from_str(text).map_err(|_| wrong("it is no YAML of the kind Config"))?;
    let context = file
        .contexts
        .into_iter()
        .find(|it| it.name == file.current_context)
        .ok_or_else(|| wrong("its current-context is not among its contexts"))?
        .context;
    let server = file
        .clusters
        .into_iter()
        .find(|it| it.name == context.cluster)
        .ok_or_else(|| wrong("the context's cluster is not among its clusters"))?
        .cluster;
    let user = file
        .users
        .into_iter()
        .find(|it| it.name == context.user)
        .ok_or_else(|| wrong("the context's user is not among its users"))?
        .user;
    if !server.server.starts_with("https://") {
        return Err(wrong("its server is not asked by https"));
    }
    let decoded = |what: &str, data: Option<&str>| {
        let data = data.ok_or_else(|| {
            wrong(&format!(
                "{what} is missing: only what is inside the file is read"
            ))
        })?;
        let bytes = Base64::decode_vec(data).map_err(|_| wrong(&format!("{what} is no base64")))?;
        String::from_utf8(bytes).map_err(|_| wrong(&format!("{what} holds no PEM")))
    };
    let authority = decoded(
        "certificate-authority-data",
        server.certificate_authority_data.as_deref(),
    )?;
    let user = if let Some(token) = user.token {
        KubeUser::Token(Secret::new(token))
    } else {
        let certificate = decoded(
            "client-certificate-data",
            user.client_certificate_data.as_deref(),
        )?;
        let key = decoded("client-key-data", user.client_key_data.as_deref())?;
        KubeUser::Certificate(Secret::new(format!("{certificate}\n{key}")))
    };
    Ok(Kubeconfig {
        server: server.server.trim_end_matches('/').to_owned(),
        authority,
        user,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RootSeed, Secrets, UnixTime};
    use expect_test::expect;

    fn ours() -> String {
        let text = crate::default_for(&"home".parse().unwrap(), "1.36".parse().unwrap());
        let cluster = crate::parse(&text, "cluster.toml").unwrap();
        let seed = RootSeed::new([7; 32]);
        let secrets = Secrets::new(cluster.name.clone(), seed, UnixTime(1_795_000_000));
        let text = secrets.admin_kubeconfig(&cluster, UnixTime(1_795_000_000));
        text.unwrap().expose().to_owned()
    }

    #[test]
    fn our_own_is_understood() {
        let read = parse(&ours(), "admin.conf").unwrap();
        assert!(
            read.server.starts_with("https://192.168."),
            "{}",
            read.server
        );
        assert!(read.authority.starts_with("-----BEGIN CERTIFICATE-----"));
        let KubeUser::Certificate(pem) = read.user else {
            panic!("a token");
        };
        assert_eq!(pem.expose().matches("-----BEGIN ").count(), 2);
    }

    #[test]
    fn what_is_wrong_is_said_without_its_text() {
        let with = |from: &str, to: &str| {
            let text = ours();
            assert!(text.contains(from), "{text}");
            parse(&text.replace(from, to), "a.conf")
                .unwrap_err()
                .to_string()
        };
        expect!["a.conf is no kubeconfig for this: its current-context is not among its contexts"]
            .assert_eq(&with("current-context: ", "current-context: x"));
        expect!["a.conf is no kubeconfig for this: its server is not asked by https"]
            .assert_eq(&with("https://", "http://"));
        expect!["a.conf is no kubeconfig for this: client-key-data is missing: only what is inside the file is read"]
            .assert_eq(&with("client-key-data", "client-key"));
        expect!["a.conf is no kubeconfig for this: certificate-authority-data is no base64"]
            .assert_eq(&with(
                "certificate-authority-data: ",
                "certificate-authority-data: \"*\" #",
            ));
        for text in ["", "[", "a: b", &"x".repeat(2 << 20)] {
            parse(text, "a.conf").unwrap_err();
        }
    }
}
