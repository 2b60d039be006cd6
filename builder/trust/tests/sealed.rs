//! Sealed texts, opened by GnuPG, and GnuPG's opened by us.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the oracle is another program, which wants files"
)]

use std::fs;
use std::path::Path;
use std::process::Command;
use trust::{Error, open, seal};

const TEXT: &str = "seed = \"zürich\"\n";
const PASSPHRASE: &str = "correct horse — Batterie";

fn gpg(home: &Path, args: &[&str]) -> Vec<u8> {
    let out = Command::new("gpg")
        .args([
            "--batch",
            "--yes",
            "--pinentry-mode",
            "loopback",
            "--homedir",
        ])
        .arg(home)
        .args(["--passphrase-file", "passphrase"])
        .args(args)
        .current_dir(home)
        .output()
        .unwrap_or_else(|err| panic!("gpg: {err}; install the Debian package gnupg"));
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{args:?}: {stderr}");
    out.stdout
}

#[test]
fn what_we_seal_gnupg_opens() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("passphrase"), PASSPHRASE).unwrap();
    let sealed = seal(TEXT.as_bytes(), PASSPHRASE, [7; 32]).unwrap();
    assert!(!sealed.contains("seed"));
    fs::write(home.path().join("sealed.asc"), &sealed).unwrap();
    let opened = gpg(home.path(), &["--decrypt", "sealed.asc"]);
    assert_eq!(opened, TEXT.as_bytes());
    assert_eq!(open(&sealed, PASSPHRASE).unwrap(), TEXT.as_bytes());
}

#[test]
fn what_gnupg_seals_we_open() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("passphrase"), PASSPHRASE).unwrap();
    fs::write(home.path().join("text"), TEXT).unwrap();
    gpg(
        home.path(),
        &["--symmetric", "--armor", "--output", "sealed.asc", "text"],
    );
    let sealed = fs::read_to_string(home.path().join("sealed.asc")).unwrap();
    assert_eq!(open(&sealed, PASSPHRASE).unwrap(), TEXT.as_bytes());
}

#[test]
fn a_wrong_passphrase_and_a_changed_text_open_nothing() {
    let sealed = seal(TEXT.as_bytes(), PASSPHRASE, [7; 32]).unwrap();
    assert!(matches!(
        open(&sealed, "correct"),
        Err(Error::WrongPassphrase)
    ));
    // A digit of the armor's last whole line is of the text's own bytes or of their seal.
    let at = sealed.find("\n=").unwrap() - 6;
    let other = if sealed.as_bytes()[at] == b'A' {
        "B"
    } else {
        "A"
    };
    let changed = format!("{}{other}{}", &sealed[..at], &sealed[at + 1..]);
    open(&changed, PASSPHRASE).unwrap_err();
    for cut in (0..sealed.len()).step_by(29) {
        if let Ok(opened) = open(&sealed[..cut], PASSPHRASE) {
            assert_eq!(opened, TEXT.as_bytes(), "cut at {cut}");
        }
    }
    assert!(matches!(
        open("seed = \"x\"\n", PASSPHRASE),
        Err(Error::Malformed { .. })
    ));
}

#[test]
fn two_sealings_of_a_text_have_nothing_in_common() {
    let seal = |random| seal(TEXT.as_bytes(), PASSPHRASE, [random; 32]).unwrap();
    let (one, two) = (seal(1), seal(2));
    let lines = |it: &str| {
        it.lines()
            .filter(|it| it.len() > 40)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert!(!lines(&one).is_empty() && lines(&one).iter().all(|it| !two.contains(it)));
}
