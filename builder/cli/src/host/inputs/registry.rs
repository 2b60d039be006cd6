//! Container images from a double of a registry on 127.0.0.1: tokens, lists of manifests, and what such a server can do wrong.

use super::super::fetch::server::{Reply, Request, Server};
use super::super::fetch::{Network, Patience};
use super::super::mirror::Mirrors;
use super::super::progress::Quiet;
use super::*;
use nodeimg::base::Arch;
use nodeimg::lock::{Image, Locked, resolve_images};
use nodeimg::reference::Reference;
use nodeimg::want::Kind;
use serde_json::{Value, json};
use std::time::Duration;

/// What the registry has, by path.
#[derive(Clone, Default)]
struct Content {
    files: BTreeMap<String, Vec<u8>>,
    /// The digest of the list, as a name wants it.
    list: String,
}

const LAYER: &[u8] = b"a layer, as far as anybody looks at it";

fn put(files: &mut BTreeMap<String, Vec<u8>>, kind: &str, bytes: &[u8]) -> Value {
    let digest = Digest::of(bytes);
    files.insert(format!("/v2/a/b/{kind}/sha256:{digest}"), bytes.to_vec());
    json!({ "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": format!("sha256:{digest}"), "size": bytes.len() })
}

fn content() -> Content {
    let mut files = BTreeMap::new();
    let mut manifests = Vec::new();
    for arch in ["arm64", "amd64"] {
        let config = json!({ "architecture": arch, "os": "linux" }).to_string();
        let manifest = json!({
            "schemaVersion": 2,
            "config": put(&mut files, "blobs", config.as_bytes()),
            "layers": [put(&mut files, "blobs", LAYER)],
        });
        let mut it = put(&mut files, "manifests", manifest.to_string().as_bytes());
        it["platform"] = json!({ "architecture": arch, "os": "linux" });
        manifests.push(it);
    }
    let list = json!({ "schemaVersion": 2, "manifests": manifests }).to_string();
    let list_digest = put(&mut files, "manifests", list.as_bytes())["digest"].to_string();
    files.insert("/v2/a/b/manifests/1".to_owned(), list.into_bytes());
    Content {
        files,
        list: list_digest.trim_matches('"').to_owned(),
    }
}

/// Answers as a registry does that gives a token to anybody; `good` says which it takes.
fn answer(content: &Content, request: &Request, good: impl Fn(&str) -> bool) -> Reply {
    if let Some(query) = request.path.strip_prefix("/token?") {
        assert_eq!(query, "service=double&scope=repository%3Aa%2Fb%3Apull");
        return Reply::new(200, br#"{"token":"token"}"#);
    }
    let token = request.headers.get("authorization");
    if !token
        .and_then(|it| it.strip_prefix("Bearer "))
        .is_some_and(good)
    {
        let host = &request.headers["host"];
        let ask = format!(
            "Bearer realm=\"http://{host}/token\",service=\"double\",scope=\"repository:a/b:pull\""
        );
        return Reply::new(401, b"{\"errors\":[]}").with("WWW-Authenticate", ask);
    }
    let manifest = request.path.contains("/manifests/");
    let accepted = request
        .headers
        .get("accept")
        .is_some_and(|it| it.contains("oci.image.index"));
    assert_eq!(manifest, accepted, "{}", request.path);
    match content.files.get(&request.path) {
        Some(bytes) => Reply::file(request, bytes, "\"1\""),
        None => Reply::new(404, b""),
    }
}

fn inputs(server: &Server, root: &Path) -> Inputs {
    let mut mirrors = Mirrors::default();
    mirrors
        .add("https://r.example", &server.url(""), Path::new(""))
        .unwrap();
    let patience = Patience {
        attempts: 3,
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_millis(5),
        ..Patience::default()
    };
    let fetcher = Fetcher::new(mirrors, Network::Allowed, patience);
    Inputs::new(Cache::new(root), fetcher, Arc::new(Quiet))
}

fn resolve(inputs: &Inputs, name: &str) -> Result<Image> {
    let names: [Reference; 1] = [format!("r.example/a/b{name}").parse().unwrap()];
    Ok(resolve_images(&names, Arch::Amd64, inputs)?.remove(0))
}

/// Fetches what a lock names of an image.
fn fetch(inputs: &Inputs, image: &Image) -> Result<usize> {
    let want = |it: &Locked| it.want("part".to_owned(), Kind::File);
    let wants: Vec<Want> = image.blobs.iter().map(want).collect();
    inputs.fetch(&wants).map(|it| it.len())
}

#[test]
fn an_image_is_locked_and_fetched_with_a_token_for_anybody() {
    let (content, root) = (content(), tempfile::tempdir().unwrap());
    let by_digest = format!("@{}", content.list);
    let server = Server::start(move |request, _| answer(&content, request, |it| it == "token"));
    let inputs = inputs(&server, root.path());
    let image = resolve(&inputs, ":1").unwrap();
    assert_eq!(image.name.to_string(), "r.example/a/b:1");
    assert_eq!(image.blobs.last().unwrap().sha256, Digest::of(LAYER));
    assert!(
        image
            .manifest
            .url
            .starts_with("https://r.example/v2/a/b/manifests/sha256:")
    );
    assert_eq!(fetch(&inputs, &image).unwrap(), 2);
    let named = resolve(&inputs, &by_digest).unwrap();
    assert_eq!(named.manifest, image.manifest);
    let tokens = server
        .seen()
        .iter()
        .filter(|it| it.path.starts_with("/token"))
        .count();
    assert_eq!(tokens, 1, "a token is asked for once");
}

#[test]
fn a_token_that_expired_is_asked_for_anew() {
    let (content, root) = (content(), tempfile::tempdir().unwrap());
    let given = AtomicUsize::new(0);
    let server = Server::start(move |request, _| {
        if request.path.starts_with("/token?") {
            let n = given.fetch_add(1, Ordering::SeqCst) + 1;
            return Reply::new(
                200,
                format!("{{\"access_token\":\"token-{n}\"}}").as_bytes(),
            );
        }
        // The first is good for the list and no longer.
        let good = if request.path.ends_with("/1") {
            "token-1"
        } else {
            "token-2"
        };
        answer(&content, request, |it| it == good)
    });
    let inputs = inputs(&server, root.path());
    let image = resolve(&inputs, ":1").unwrap();
    assert_eq!(fetch(&inputs, &image).unwrap(), 2);
}

#[test]
fn tokens_that_help_nothing_end_in_an_error() {
    let (content, root) = (content(), tempfile::tempdir().unwrap());
    let server = Server::start(move |request, _| answer(&content, request, |_| false));
    let error = resolve(&inputs(&server, root.path()), ":1").unwrap_err();
    assert!(error.to_string().contains("401"), "{error}");
    assert_eq!(
        server.seen().len(),
        3,
        "a request, a token, and the request with it"
    );
}

#[test]
fn bytes_of_another_digest_are_refused() {
    let (mut content, root) = (content(), tempfile::tempdir().unwrap());
    let list = content.list.clone();
    content
        .files
        .insert(format!("/v2/a/b/manifests/{list}"), b"{}".to_vec());
    content.files.insert(
        format!("/v2/a/b/blobs/sha256:{}", Digest::of(LAYER)),
        vec![b'x'; LAYER.len()],
    );
    let server = Server::start(move |request, _| answer(&content, request, |it| it == "token"));
    let inputs = inputs(&server, root.path());
    let error = resolve(&inputs, &format!("@{list}")).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("digest mismatch of image r.example/a/b@"),
        "{error}"
    );
    let image = resolve(&inputs, ":1").unwrap();
    let error = fetch(&inputs, &image).unwrap_err();
    assert!(error.to_string().contains("digest mismatch"), "{error}");
    assert!(inputs.open(Digest::of(LAYER)).is_err());
}

#[test]
fn a_blob_that_is_cut_off_is_continued() {
    let (content, root) = (content(), tempfile::tempdir().unwrap());
    let server = Server::start(move |request, _| {
        let reply = answer(&content, request, |it| it == "token");
        let first = request.from().is_none() && reply.body == LAYER;
        if first { reply.cut(7) } else { reply }
    });
    let inputs = inputs(&server, root.path());
    let image = resolve(&inputs, ":1").unwrap();
    assert_eq!(fetch(&inputs, &image).unwrap(), 2);
    let seen = server.seen();
    assert!(seen.iter().any(|it| it.from() == Some(7)), "{seen:?}");
    assert_eq!(
        inputs.open(Digest::of(LAYER)).unwrap().size(),
        LAYER.len() as u64
    );
}
