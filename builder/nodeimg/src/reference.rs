//! Names of container images as people and manifests write them, in the one spelling that containerd's store has them under,
//! and where a registry keeps what they name (OCI distribution specification 1.1).
//!
//! `nginx:1.27` is `docker.io/library/nginx:1.27`. A name with tag and digest goes by its digest, as the kubelet looks it up.
//! Only SHA-256 is taken for digests.

use crate::digest::Digest;
use crate::error::Error;
use std::fmt;
use std::str::FromStr;

/// The longest name, without tag and digest.
const MAX_NAME: usize = 255;
/// The registry of names that name none, and the machine that answers for it.
const DEFAULT: &str = "docker.io";
const DEFAULT_HOST: &str = "registry-1.docker.io";

/// The name of a container image.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Reference {
    registry: String,
    repository: String,
    version: Version,
}

/// Which of a repository's images.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
enum Version {
    Tag(String),
    Digest(Digest),
}

impl Reference {
    /// Returns the digest, if the name holds one.
    pub fn digest(&self) -> Option<Digest> {
        match &self.version {
            Version::Tag(_) => None,
            Version::Digest(it) => Some(*it),
        }
    }

    /// Returns the tag, if the name goes by one.
    pub fn tag(&self) -> Option<&str> {
        match &self.version {
            Version::Tag(it) => Some(it),
            Version::Digest(_) => None,
        }
    }

    /// Returns whether the name stands for one image today and another tomorrow: the kubelet asks the registry each time.
    pub fn moves(&self) -> bool {
        self.tag() == Some("latest")
    }

    /// Returns where the manifest of that name is.
    pub fn manifest_url(&self) -> String {
        match &self.version {
            Version::Tag(tag) => self.url("manifests", tag),
            Version::Digest(digest) => self.manifest_url_of(*digest),
        }
    }

    /// Returns where the repository has a manifest of its own.
    pub fn manifest_url_of(&self, digest: Digest) -> String {
        self.url("manifests", &format!("sha256:{digest}"))
    }

    /// Returns where the repository has a blob.
    pub fn blob_url(&self, digest: Digest) -> String {
        self.url("blobs", &format!("sha256:{digest}"))
    }

    fn url(&self, kind: &str, name: &str) -> String {
        let host = match self.registry.as_str() {
            DEFAULT => DEFAULT_HOST,
            other => other,
        };
        // What registries on the machine itself speak, and what other clients speak with them.
        let scheme = match host.split(':').next() {
            Some("localhost" | "127.0.0.1") => "http",
            _ => "https",
        };
        format!("{scheme}://{host}/v2/{}/{kind}/{name}", self.repository)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        match &self.version {
            Version::Tag(it) => write!(f, ":{it}"),
            Version::Digest(it) => write!(f, "@sha256:{it}"),
        }
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text).ok_or_else(|| {
            Error::input(format!("{text:?} is no name of a container image"))
                .help("write it such as registry.k8s.io/pause:3.10.2, or with @sha256: and 64 digits behind it")
        })
    }
}

fn parse(text: &str) -> Option<Reference> {
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) => {
            let digest = digest.strip_prefix("sha256:")?;
            let lower = !digest.bytes().any(|it| it.is_ascii_uppercase());
            (name, Some(digest.parse().ok().filter(|_| lower)?))
        }
        None => (text, None),
    };
    // A colon before the last slash is a registry's port.
    let path = name.rfind('/').map_or(0, |it| it + 1);
    let (name, tag) = match name[path..].split_once(':') {
        Some((last, tag)) => (&name[..path + last.len()], Some(tag)),
        None => (name, None),
    };
    if tag.is_some_and(|it| !is_tag(it)) {
        return None;
    }
    let (registry, repository) = match name.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
        _ => (DEFAULT, name),
    };
    let registry = match registry {
        "index.docker.io" => DEFAULT,
        other => other,
    };
    let repository = if registry == DEFAULT && !repository.contains('/') {
        format!("library/{repository}")
    } else {
        repository.to_owned()
    };
    let known = is_registry(registry) && repository.split('/').all(is_component);
    (known && registry.len() + repository.len() < MAX_NAME).then(|| Reference {
        registry: registry.to_owned(),
        repository,
        version: match digest {
            Some(digest) => Version::Digest(digest),
            None => Version::Tag(tag.unwrap_or("latest").to_owned()),
        },
    })
}

fn is_tag(text: &str) -> bool {
    let inner = |it: u8| it.is_ascii_alphanumeric() || b"_.-".contains(&it);
    (1..=128).contains(&text.len()) && !text.starts_with(['.', '-']) && text.bytes().all(inner)
}

/// A host's name or IPv4 address, with a port or without.
fn is_registry(text: &str) -> bool {
    let (host, port) = text.split_once(':').unwrap_or((text, "443"));
    let label = |it: &str| {
        let inner = |it: u8| it.is_ascii_alphanumeric() || it == b'-';
        !it.is_empty() && !it.starts_with('-') && !it.ends_with('-') && it.bytes().all(inner)
    };
    host.split('.').all(label) && port.parse::<u16>().is_ok_and(|it| it > 0)
}

/// One name of a repository's path.
fn is_component(text: &str) -> bool {
    let word = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit();
    let inner = |it: u8| word(it) || b"._-".contains(&it);
    text.bytes().all(inner)
        && text.bytes().next().is_some_and(word)
        && text.bytes().next_back().is_some_and(word)
        && !text.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn reference(text: &str) -> Reference {
        text.parse().unwrap()
    }

    #[test]
    fn every_name_has_one_spelling() {
        for (text, name) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:1.27", "docker.io/library/nginx:1.27"),
            ("flannel/flannel:v0.28", "docker.io/flannel/flannel:v0.28"),
            ("index.docker.io/x", "docker.io/library/x:latest"),
            (
                "registry.k8s.io/coredns/coredns:v1.14.2",
                "registry.k8s.io/coredns/coredns:v1.14.2",
            ),
            ("localhost/x:1", "localhost/x:1"),
            ("127.0.0.1:5000/a/b__c-d.e:1", "127.0.0.1:5000/a/b__c-d.e:1"),
            ("host.example:5000/a", "host.example:5000/a:latest"),
        ] {
            assert_eq!(reference(text).to_string(), name);
            assert_eq!(reference(name), reference(text));
        }
        let by_digest = format!("quay.io/a/b@sha256:{DIGEST}");
        for text in [by_digest.clone(), format!("quay.io/a/b:v1@sha256:{DIGEST}")] {
            assert_eq!(reference(&text).to_string(), by_digest);
            assert_eq!(reference(&text).digest().unwrap().to_string(), DIGEST);
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let upper = DIGEST.to_uppercase();
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "A",
            "a b",
            "a:",
            "a:.x",
            "a:b:c",
            "a:x/y z",
            "-a",
            "a-",
            "a..b",
            "../a",
            "a.b/../c",
            "host:/a",
            "host:0/a",
            "host:65536/a",
            "-host.x/a",
            "a@",
            "a@sha256:",
            "a@sha256:12",
            "a@md5:x",
            "a:{x}",
            "a\n",
            &format!("a@sha256:{upper}"),
            &format!("a@sha512:{DIGEST}"),
            &"a".repeat(256),
            &format!("a:{}", "b".repeat(129)),
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
    }

    #[test]
    fn registries_are_asked_where_they_are() {
        let digest: Digest = DIGEST.parse().unwrap();
        let pause = reference("registry.k8s.io/pause:3.10.2");
        assert_eq!(
            pause.manifest_url(),
            "https://registry.k8s.io/v2/pause/manifests/3.10.2"
        );
        assert_eq!(
            pause.blob_url(digest),
            format!("https://registry.k8s.io/v2/pause/blobs/sha256:{DIGEST}")
        );
        assert_eq!(
            reference("nginx").manifest_url(),
            "https://registry-1.docker.io/v2/library/nginx/manifests/latest"
        );
        assert_eq!(
            reference("localhost:5000/x:1").manifest_url(),
            "http://localhost:5000/v2/x/manifests/1"
        );
        let fixed = reference(&format!("quay.io/a@sha256:{DIGEST}"));
        assert_eq!(
            fixed.manifest_url(),
            format!("https://quay.io/v2/a/manifests/sha256:{DIGEST}")
        );
        assert!(reference("nginx").moves() && !pause.moves() && !fixed.moves());
    }
}
