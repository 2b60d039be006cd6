//! Keyrings of GnuPG, and what it signed with them.

use super::{folder, run};
use crate::parsers::signatures::SIGNED;
use std::fs;

const TEXT: &[u8] = b"Suite: s\n- dashed\ntrailing blanks  \nSHA256:\n";

/// Returns a keyring and a message as the parser takes them.
pub(super) fn framed(keys: &[u8], message: &[u8]) -> Vec<u8> {
    let len = u32::try_from(keys.len()).expect("a small keyring");
    [&len.to_le_bytes(), keys, message].concat()
}

/// Returns keyrings with a signed text and with detached signatures, of RSA and of Ed25519.
pub fn openpgp() -> Vec<Vec<u8>> {
    let folder = folder();
    let gpg = |arguments: &[&str]| {
        let mut all = vec![
            "--batch",
            "--quiet",
            "--no-tty",
            "--pinentry-mode",
            "loopback",
            "--passphrase",
            "",
            "--yes",
        ];
        all.extend(arguments);
        run(folder.path(), "gpg", "gnupg", &all)
    };
    fs::write(folder.path().join("text"), TEXT).expect("a folder of our own");
    fs::write(folder.path().join("data"), SIGNED).expect("a folder of our own");
    let mut seeds = Vec::new();
    for (name, algorithm) in [("e@x", "ed25519"), ("r@x", "rsa2048")] {
        gpg(&["--quick-generate-key", name, algorithm, "sign", "never"]);
        let (keys, armored) = (
            gpg(&["--export", name]),
            gpg(&["--armor", "--export", name]),
        );
        for message in [
            gpg(&["-u", name, "--clearsign", "-o", "-", "text"]),
            gpg(&["-u", name, "--detach-sign", "-o", "-", "data"]),
            gpg(&["-u", name, "--armor", "--detach-sign", "-o", "-", "data"]),
        ] {
            for keys in [&keys, &armored] {
                seeds.push(framed(keys, &message));
            }
        }
    }
    run(folder.path(), "gpgconf", "gpgconf", &["--kill", "all"]);
    seeds
}
