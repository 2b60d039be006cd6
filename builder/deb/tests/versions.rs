//! Versions are ordered as `dpkg --compare-versions` orders them.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "tests run the independent tools"
)]

use deb::Version;
use std::fmt::Write as _;
use std::process::Command;

/// Pieces that versions are made of, chosen to meet each other at every rule.
const PIECES: &[&str] = &[
    "0",
    "00",
    "1",
    "9",
    "10",
    "1.0",
    "1.0~",
    "1.0~~",
    "1.0~rc1",
    "1.0+b1",
    "1.0a",
    "1.0A",
    "1.a",
    "1.-",
    "1+",
    "1:1",
    "0:1",
    "1-1",
    "1-1~",
    "1-0",
    "1-",
    "1--1",
    "1.0-1+deb12u1",
    "1.0-1.1",
    "2:0",
    "1.36.2-1.1",
    "1.36.10-1.1",
    "5.15.0-1053.56",
    "1~a-b",
    "1.2.3.",
    "3z",
    "3+z",
    "3.z",
    "3~z",
    "3-z",
    "010",
    "1.010",
];

#[test]
fn versions_compare_as_with_dpkg() {
    let mut script = String::new();
    let mut pairs = Vec::new();
    for (a, b) in PIECES
        .iter()
        .flat_map(|a| PIECES.iter().map(move |b| (*a, *b)))
    {
        if let (Ok(x), Ok(y)) = (Version::new(a), Version::new(b)) {
            pairs.push((a, b, x.cmp(&y)));
            writeln!(
                script,
                "if dpkg --compare-versions '{a}' lt '{b}'; then echo Less; elif dpkg --compare-versions '{a}' eq '{b}'; \
                 then echo Equal; else echo Greater; fi"
            )
            .unwrap();
        }
    }
    assert!(pairs.len() > 1000);
    // One argument may not be as long as this script is.
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), script).unwrap();
    let output = Command::new("sh").arg(file.path()).output().unwrap();
    assert!(
        output.stderr.is_empty(),
        "install the Debian package dpkg: {output:?}"
    );
    let theirs = String::from_utf8(output.stdout).unwrap();
    assert_eq!(theirs.lines().count(), pairs.len());
    for ((a, b, ours), theirs) in pairs.iter().zip(theirs.lines()) {
        assert_eq!(format!("{ours:?}"), theirs, "{a} against {b}");
    }
}

#[test]
fn what_dpkg_refuses_is_refused() {
    for bad in ["1-", "a1", "1_0", "x:1", "1 2"] {
        let output = Command::new("dpkg")
            .args(["--validate-version", bad])
            .output()
            .unwrap();
        assert!(!output.status.success(), "{bad}");
        assert!(Version::new(bad).is_err(), "{bad}");
    }
}
