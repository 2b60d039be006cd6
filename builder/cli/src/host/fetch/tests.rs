//! Downloads from a server that misbehaves.

use super::server::{Reply, Server};
use super::*;
use nodeimg::digest::Digest;
use nodeimg::want::Kind;

const QUICK: Patience = Patience {
    attempts: 3,
    first_wait: Duration::from_millis(1),
    longest_wait: Duration::from_millis(20),
    connect: Duration::from_secs(5),
    idle: Duration::from_millis(300),
    total: Duration::from_mins(1),
};

fn body() -> Vec<u8> {
    (0..300_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn want(url: &str) -> Want {
    let digest = Some(Digest::of(&body()));
    Want {
        what: "base image".to_owned(),
        url: url.to_owned(),
        digest,
        size: None,
        limit: 4 << 20,
        kind: Kind::File,
    }
}

fn fetcher(network: Network) -> Fetcher {
    Fetcher::new(Mirrors::default(), network, QUICK)
}

struct Case {
    folder: tempfile::TempDir,
    retries: usize,
}

impl Case {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            retries: 0,
        }
    }

    fn partial(&self) -> PathBuf {
        self.folder.path().join("partial/x")
    }

    fn get(&mut self, want: &Want) -> Result<Vec<u8>> {
        let (partial, mut retries) = (self.partial(), 0);
        let result = fetcher(Network::Allowed).download(want, &partial, &mut |progress| {
            retries += usize::from(matches!(progress, Progress::Retry(..)));
        });
        self.retries = retries;
        result.map(|()| fs::read(partial).unwrap())
    }
}

#[test]
fn a_cut_body_is_continued_where_it_ended() {
    let server = Server::start(|request, before| {
        Reply::file(request, &body(), "\"1\"").cut(if before < 4 { 200_000 } else { usize::MAX })
    });
    let mut case = Case::new();
    assert_eq!(case.get(&want(&server.url("/x"))).unwrap(), body());
    // More retries than may fail in a row: each of them brought something.
    assert_eq!(case.retries, 4);
    let seen = server.seen();
    assert_eq!(seen[0].from(), None);
    assert_eq!(seen[0].headers["accept-encoding"], "identity");
    assert!(seen[1..].iter().all(|it| it.headers["if-range"] == "\"1\""));
    assert!(seen.windows(2).all(|it| it[0].from() < it[1].from()));
}

#[test]
fn a_later_build_continues_and_a_changed_file_starts_over() {
    for tag in ["\"1\"", "\"2\""] {
        let server = Server::start(move |request, before| match before {
            0..3 => Reply::file(request, &vec![9; body().len()], "\"1\"").cut(if before == 0 {
                1000
            } else {
                0
            }),
            _ => Reply::file(request, &body(), tag),
        });
        let mut case = Case::new();
        assert!(matches!(
            case.get(&want(&server.url("/x"))),
            Err(Error::World { .. })
        ));
        assert_eq!(length(&case.partial()), 1000);
        let bytes = case.get(&want(&server.url("/x"))).unwrap();
        assert_eq!(bytes.len(), body().len());
        assert_eq!(
            bytes == body(),
            tag == "\"2\"",
            "a server that lies about its tag is found out by the digest"
        );
        assert_eq!(server.seen().len(), 4);
    }
}

#[test]
fn a_server_without_ranges_is_asked_again_from_the_start() {
    let server = Server::start(|_, before| {
        Reply::new(200, &body()).cut(if before == 0 { 500_000 } else { usize::MAX })
    });
    assert_eq!(Case::new().get(&want(&server.url("/x"))).unwrap(), body());
}

#[test]
fn wrong_parts_are_thrown_away() {
    let server = Server::start(|request, before| match before {
        0 => Reply::file(request, &body(), "\"1\"").cut(500_000),
        1 => Reply::new(206, &body()[7..])
            .with("Content-Range", format!("bytes 7-{0}/{0}", body().len())),
        2 => Reply::file(request, &body(), "\"1\"").cut(400_000),
        3 => Reply::new(416, b""),
        _ => Reply::file(request, &body(), "\"1\""),
    });
    assert_eq!(Case::new().get(&want(&server.url("/x"))).unwrap(), body());
}

#[test]
fn passing_failures_are_waited_out() {
    let server = Server::start(|request, before| match before {
        0 => Reply::new(503, b"later").with("Retry-After", "0"),
        1 => Reply::new(429, b"").with("Retry-After", "86400"),
        _ => Reply::file(request, &body(), "\"1\""),
    });
    let mut case = Case::new();
    assert_eq!(case.get(&want(&server.url("/x"))).unwrap(), body());
    assert_eq!(case.retries, 2);
}

#[test]
fn patience_ends() {
    let busy = Server::start(|_, _| Reply::new(500, b""));
    let error = Case::new().get(&want(&busy.url("/x"))).unwrap_err();
    assert!(
        matches!(error, Error::World { .. }) && busy.seen().len() == 3,
        "{error}"
    );
    let idle = Server::start(|request, _| Reply {
        pause: Duration::from_secs(2),
        ..Reply::file(request, &body(), "\"1\"")
    });
    assert!(matches!(
        Case::new().get(&want(&idle.url("/x"))),
        Err(Error::World { .. })
    ));
    let nobody = TcpAddress::unused();
    let error = Case::new().get(&want(&nobody)).unwrap_err();
    assert!(matches!(error, Error::World { .. }), "{error}");
    assert!(error.to_string().contains(&nobody), "{error}");
}

#[test]
fn lasting_failures_are_not_tried_again() {
    for status in [404, 410, 403, 401, 400] {
        let server = Server::start(move |_, _| Reply::new(status, b""));
        let error = Case::new().get(&want(&server.url("/x"))).unwrap_err();
        assert_eq!(
            matches!(error, Error::Input { .. }),
            matches!(status, 404 | 410),
            "{error}"
        );
        assert_eq!(server.seen().len(), 1);
    }
}

#[test]
fn redirects_are_followed_a_few_times_and_only_to_http() {
    let server = Server::start(|request, _| match request.path.as_str() {
        "/loop" => Reply::new(302, b"").with("Location", "/loop"),
        "/file" => Reply::new(302, b"").with("Location", "file:///etc/hostname"),
        "/ftp" => Reply::new(302, b"").with("Location", "ftp://127.0.0.1/x"),
        "/moved" => Reply::new(301, b"").with("Location", "/x"),
        _ => Reply::file(request, &body(), "\"1\""),
    });
    assert_eq!(
        Case::new().get(&want(&server.url("/moved"))).unwrap(),
        body()
    );
    for bad in ["/loop", "/file", "/ftp"] {
        let before = server.seen().len();
        assert!(Case::new().get(&want(&server.url(bad))).is_err(), "{bad}");
        assert!(server.seen().len() - before <= MAX_REDIRECTS + 2, "{bad}");
    }
}

#[test]
fn too_much_and_too_little_are_refused() {
    let server = Server::start(|request, _| {
        let told = request.path == "/told";
        Reply {
            told,
            ..Reply::new(200, &body())
        }
    });
    for path in ["/told", "/untold"] {
        let mut small = want(&server.url(path));
        small.limit = 1000;
        let mut case = Case::new();
        assert!(
            matches!(case.get(&small), Err(Error::Input { .. })),
            "{path}"
        );
        assert!(length(&case.partial()) <= 1000);
        for size in [body().len() as u64 - 1, body().len() as u64 + 1] {
            let sized = Want {
                size: Some(size),
                ..want(&server.url(path))
            };
            assert!(Case::new().get(&sized).is_err(), "{path} {size}");
        }
        let sized = Want {
            size: Some(body().len() as u64),
            ..want(&server.url(path))
        };
        assert_eq!(Case::new().get(&sized).unwrap(), body());
    }
}

#[test]
fn offline_takes_folders_and_no_server() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("dir")).unwrap();
    fs::write(folder.path().join("a b"), body()).unwrap();
    let mut mirrors = Mirrors::default();
    mirrors
        .add(
            "https://a.example",
            folder.path().to_str().unwrap(),
            Path::new(""),
        )
        .unwrap();
    let fetcher = Fetcher::new(mirrors, Network::Refused, QUICK);
    let partial = folder.path().join("partial");
    let get = |url: &str| fetcher.download(&want(url), &partial, &mut |_| {});
    get("https://a.example/a%20b").unwrap();
    assert_eq!(fs::read(&partial).unwrap(), body());
    get(&format!("file://{}/a%20b", folder.path().display())).unwrap();
    for bad in [
        "https://a.example/none",
        "https://a.example/dir",
        "https://a.example/../x",
        "https://b.example/x",
    ] {
        assert!(matches!(get(bad), Err(Error::Input { .. })), "{bad}");
    }
    assert!(fetcher.is_refused(&want("https://b.example/x")).unwrap());
    assert!(!fetcher.is_refused(&want("https://a.example/x")).unwrap());
}

/// An address where nobody listens.
struct TcpAddress;

impl TcpAddress {
    fn unused() -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/x", listener.local_addr().unwrap())
    }
}
