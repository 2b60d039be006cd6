//! The way of an input from a server, through the cache, to the core.

use super::super::fetch::server::{Reply, Server};
use super::super::fetch::{Network, Patience};
use super::super::mirror::Mirrors;
use super::super::progress::Quiet;
use super::*;
use nodeimg::want::Kind;
use std::path::PathBuf;

fn body() -> Vec<u8> {
    (0..200_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn inputs(root: &Path, network: Network) -> Inputs {
    let fetcher = Fetcher::new(Mirrors::default(), network, Patience::default());
    Inputs::new(Cache::new(root), fetcher, Arc::new(Quiet))
}

fn want(url: String, bytes: &[u8]) -> Want {
    Want {
        what: "base image".to_owned(),
        url,
        digest: Some(Digest::of(bytes)),
        size: None,
        limit: 4 << 20,
        kind: Kind::File,
    }
}

fn bytes(source: &dyn ReadAt) -> Vec<u8> {
    let mut buf = vec![0; usize::try_from(source.size()).unwrap()];
    source.read_exact_at(&mut buf, 0).unwrap();
    buf
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|it| it.path());
    entries
        .flat_map(|it| if it.is_dir() { files(&it) } else { vec![it] })
        .collect()
}

#[test]
fn what_was_fetched_once_needs_no_network() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(|request, _| Reply::file(request, &body(), "\"1\""));
    let wants = [
        want(server.url("/a"), &body()),
        want(server.url("/b"), &body()),
    ];
    let found = inputs(root.path(), Network::Allowed).fetch(&wants).unwrap();
    assert!(found.len() == 2 && found.iter().all(|it| bytes(it) == body()));
    assert_eq!(server.seen().len(), 1, "the same bytes are fetched once");
    let offline = inputs(root.path(), Network::Refused);
    assert_eq!(bytes(&offline.fetch(&wants).unwrap()[1]), body());
    assert_eq!(bytes(&offline.open(Digest::of(&body())).unwrap()), body());
    assert!(files(&root.path().join("partial")).is_empty());
}

#[test]
fn offline_names_everything_that_is_missing() {
    let root = tempfile::tempdir().unwrap();
    let wants =
        ["https://a.example/1", "https://a.example/2"].map(|it| want(it.to_owned(), it.as_bytes()));
    let error = inputs(root.path(), Network::Refused)
        .fetch(&wants)
        .err()
        .expect("an error");
    assert!(matches!(error, Error::Input { .. }));
    assert!(
        wants.iter().all(|it| error.to_string().contains(&it.url)),
        "{error}"
    );
    assert!(error.help_text().is_some());
}

#[test]
fn wrong_bytes_are_fetched_again_once_and_then_refused() {
    for good_at in [1, 2] {
        let root = tempfile::tempdir().unwrap();
        let server = Server::start(move |request, before| {
            let mut bytes = body();
            bytes[5] ^= u8::from(before < good_at);
            Reply::file(request, &bytes, "\"1\"")
        });
        let wanted = want(server.url("/x"), &body());
        let result = inputs(root.path(), Network::Allowed).fetch(std::slice::from_ref(&wanted));
        assert_eq!(server.seen().len(), 2);
        match result {
            Ok(found) => assert!(good_at == 1 && bytes(&found[0]) == body()),
            Err(error) => {
                let text = error.to_string();
                assert!(good_at == 2 && text.contains("digest mismatch"), "{text}");
                assert!(
                    text.contains(&wanted.digest.unwrap().to_string())
                        && text.contains(&wanted.url)
                );
                assert!(
                    files(&root.path().join("sha256")).is_empty()
                        && files(&root.path().join("partial")).is_empty()
                );
            }
        }
    }
}

#[test]
fn signed_texts_are_fetched_anew_each_time() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(|_, before| {
        Reply::new(200, before.to_string().as_bytes()).with("ETag", "\"1\"")
    });
    let wanted = Want {
        digest: None,
        ..want(server.url("/InRelease"), b"")
    };
    for round in ["0", "1"] {
        let found = inputs(root.path(), Network::Allowed)
            .fetch(std::slice::from_ref(&wanted))
            .unwrap();
        assert_eq!(bytes(&found[0]), round.as_bytes());
    }
    assert!(
        inputs(root.path(), Network::Refused)
            .fetch(&[wanted])
            .is_err()
    );
}

#[test]
fn a_damaged_input_is_fetched_again() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(|request, _| Reply::file(request, &body(), "\"1\""));
    let wanted = [want(server.url("/x"), &body())];
    inputs(root.path(), Network::Allowed)
        .fetch(&wanted)
        .unwrap();
    let file = files(&root.path().join("sha256")).pop().unwrap();
    fs::remove_file(&file).unwrap();
    fs::write(&file, &body()[1..]).unwrap();
    let again = inputs(root.path(), Network::Allowed);
    assert_eq!(bytes(&again.fetch(&wanted).unwrap()[0]), body());
    assert_eq!(
        (server.seen().len(), again.cache().take_damaged()),
        (2, vec![file])
    );
}

#[test]
fn builds_side_by_side_fetch_once() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(|request, _| Reply::file(request, &body(), "\"1\""));
    let wanted = [want(server.url("/x"), &body())];
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                assert_eq!(
                    bytes(
                        &inputs(root.path(), Network::Allowed)
                            .fetch(&wanted)
                            .unwrap()[0]
                    ),
                    body()
                );
            });
        }
    });
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn the_first_error_in_order_is_told() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| Reply::new(404, b""));
    let wants: Vec<_> = (0..9)
        .map(|it: u8| want(server.url(&format!("/{it}")), &[it]))
        .collect();
    let error = inputs(root.path(), Network::Allowed)
        .fetch(&wants)
        .err()
        .expect("an error");
    assert!(error.to_string().contains("/0:"), "{error}");
}
