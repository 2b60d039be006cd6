//! Damaged archives, indexes and databases are errors or harmless: never a panic, never endless.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "tests run the independent tools"
)]

#[path = "oracle/host.rs"]
#[expect(dead_code, reason = "the other tests use the rest")]
mod host;

use deb::{Arch, Archive, Compression, Dpkg, Index, PathFilters, Release, Stamp};
use fstree::{Content, File, FileKind, FileTree, ImgPath, Layer, Meta, ReadAt, Timestamp};
use std::sync::Arc;

const LIMIT: u64 = 1 << 20;

fn put(tree: &mut FileTree, at: &str, bytes: &[u8]) {
    let at = ImgPath::new(at).unwrap();
    tree.make_dirs(&at.parent().unwrap(), &Meta::default())
        .unwrap();
    let kind = FileKind::Regular(Content::inline(bytes.to_vec()));
    tree.put(
        &at,
        File {
            meta: Meta::default(),
            kind,
        },
    )
    .unwrap();
}

fn machine(status: &[u8], diversions: &[u8], triggers: &[u8]) -> FileTree {
    let mut tree = FileTree::new(Meta::default());
    put(&mut tree, "/var/lib/dpkg/status", status);
    put(&mut tree, "/var/lib/dpkg/diversions", diversions);
    put(&mut tree, "/var/lib/dpkg/triggers/File", triggers);
    put(
        &mut tree,
        "/var/lib/dpkg/info/other.list",
        b"/.\n/usr\n/usr/x\n",
    );
    tree
}

const STATUS: &[u8] =
    b"Package: other\nStatus: install ok installed\nArchitecture: all\nVersion: 1:2~3-4\n\
    Conffiles:\n /etc/a 0123\n /etc/b 4567 obsolete\nReplaces: x (>= 1), y | z:any\n";

/// Does all that can be done with a `.deb`.
fn try_deb(bytes: Vec<u8>) -> Option<()> {
    let source: Arc<dyn ReadAt> = Arc::new(bytes);
    let archive = Archive::open(&source).ok()?;
    let mut tar = Vec::new();
    archive.decode_data(&mut tar, LIMIT).ok()?;
    let package = archive.package(Arc::new(tar)).ok()?;
    let mut tree = machine(STATUS, b"", b"");
    let mut dpkg = Dpkg::read(&tree, Arch::new("amd64").unwrap(), PathFilters::Heeded).unwrap();
    let stamp = Stamp {
        layer: Layer(1),
        time: Timestamp::default(),
    };
    dpkg.unpack(&mut tree, &package, stamp).ok()?;
    dpkg.configure(&mut tree, stamp).ok()?;
    dpkg.write(&mut tree, stamp).ok()
}

/// Calls `check` with every truncation and with every byte changed in a few ways.
fn damage(bytes: &[u8], mut check: impl FnMut(Vec<u8>)) {
    for len in 0..bytes.len() {
        check(bytes[..len].to_vec());
    }
    for at in 0..bytes.len() {
        for change in [0x01, 0x80, 0xff, bytes[at] ^ b'\n', bytes[at] ^ b'/'] {
            let mut bad = bytes.to_vec();
            bad[at] ^= change;
            check(bad);
        }
    }
}

#[test]
fn damaged_archives_do_no_harm() {
    host::require(&[("dpkg-deb", "dpkg")]);
    let dir = tempfile::tempdir().unwrap();
    let files = [
        ("DEBIAN/conffiles", "/etc/x\n"),
        ("DEBIAN/triggers", "interest /usr\n"),
        (
            "DEBIAN/postinst",
            "#!/bin/sh\nset -e\nif [ \"$1\" = x ]; then y; fi\n",
        ),
        ("etc/x", "x"),
        ("usr/l", "-> x"),
    ];
    for compression in ["none", "gzip", "xz", "zstd"] {
        let deb = host::built_with(dir.path(), "Package: p\nVersion: 1\n", &files, compression);
        let bytes = std::fs::read(deb).unwrap();
        assert!(try_deb(bytes.clone()).is_some());
        if compression == "none" {
            // Most of a plain tar is padding: every 3rd byte meets each field.
            for at in (0..bytes.len()).step_by(3) {
                let mut bad = bytes.clone();
                bad[at] ^= 0x15;
                try_deb(bad);
                try_deb(bytes[..at].to_vec());
            }
        } else {
            damage(&bytes, |bad| {
                try_deb(bad);
            });
        }
    }
}

#[test]
fn damaged_texts_do_no_harm() {
    let arch = Arch::new("amd64").unwrap();
    damage(STATUS, |bad| {
        drop(Dpkg::read(
            &machine(&bad, b"", b""),
            arch.clone(),
            PathFilters::Ignored,
        ));
    });
    damage(b"/a\n/b\n:\n/c\n/d\nx\n", |bad| {
        drop(Dpkg::read(
            &machine(STATUS, &bad, b"/usr other/noawait\n"),
            arch.clone(),
            PathFilters::Ignored,
        ));
    });
    let hash = "ab".repeat(32);
    let packages = format!(
        "Package: a\nVersion: 1\nArchitecture: all\nDepends: b (>= 1)\nFilename: f\nSize: 1\nSHA256: {hash}\n\n"
    );
    damage(packages.as_bytes(), |bad| {
        drop(Index::read(&bad[..], Compression::None, LIMIT));
    });
    let release =
        format!("Suite: s\nDate: Sat, 20 May 2026 08:00:00 UTC\nSHA256:\n {hash} 1 main/x\n");
    damage(release.as_bytes(), |bad| drop(Release::parse(&bad)));
}

#[test]
fn small_archives_of_large_content_stop_at_the_limit() {
    host::require(&[("dpkg-deb", "dpkg")]);
    let dir = tempfile::tempdir().unwrap();
    let zeros = "\0".repeat(3 << 20);
    let deb = host::built_with(
        dir.path(),
        "Package: p\nVersion: 1\n",
        &[("x", &zeros)],
        "zstd",
    );
    let source: Arc<dyn ReadAt> = Arc::new(std::fs::read(deb).unwrap());
    assert!(source.size() < 10_000);
    let error = Archive::open(&source)
        .unwrap()
        .decode_data(&mut std::io::sink(), LIMIT)
        .unwrap_err();
    assert!(
        error.to_string().contains("longer than 1048576 bytes"),
        "{error}"
    );
}
