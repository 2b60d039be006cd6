//! What `GnuPG` signs is believed exactly as far as the rules go: throw-away keys, real signatures, altered ones.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "tests run the independent tools"
)]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};
use trust::{
    Error, Expiry, Fingerprint, Keyring, Refusal, Rules, Signed, UnixTime, verify_cleartext,
    verify_detached,
};

const DATA: &[u8] = b"9c0e  jammy-server-cloudimg-amd64.img\n";

/// A `GnuPG` home of its own, with its agent, gone at the end.
struct Gpg {
    home: tempfile::TempDir,
}

impl Gpg {
    fn new() -> Self {
        let home = tempfile::Builder::new()
            .prefix("gpg")
            .tempdir_in("/tmp")
            .expect("a temporary folder");
        Self { home }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn run(&self, args: &[&str]) -> Output {
        let base = [
            "--batch",
            "--quiet",
            "--no-tty",
            "--pinentry-mode",
            "loopback",
            "--passphrase",
            "",
            "--yes",
        ];
        let mut command = Command::new("gpg");
        command
            .env("GNUPGHOME", self.home.path())
            .env("LC_ALL", "C")
            .args(base)
            .args(args)
            .stdin(Stdio::null());
        command
            .output()
            .expect("gpg runs: install the package gnupg")
    }

    fn ok(&self, args: &[&str]) -> Vec<u8> {
        let output = self.run(args);
        assert!(
            output.status.success(),
            "gpg {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    /// Makes a key and returns its fingerprint.
    fn key(&self, name: &str, algorithm: &str, more: &[&str]) -> Fingerprint {
        let mut args = more.to_vec();
        let id = format!("{name} <{name}@example.org>");
        args.extend(["--quick-generate-key", &id, algorithm, "sign", "never"]);
        self.ok(&args);
        self.fingerprint(name)
    }

    fn fingerprint(&self, name: &str) -> Fingerprint {
        let listing =
            String::from_utf8(self.ok(&["--with-colons", "--list-keys", &format!("{name}@")]))
                .unwrap();
        let line = listing
            .lines()
            .find(|it| it.starts_with("fpr:"))
            .expect("a fingerprint");
        line.split(':').nth(9).unwrap().parse().unwrap()
    }

    fn keyring(&self) -> Keyring {
        Keyring::parse(&self.ok(&["--export"])).unwrap()
    }

    /// Signs bytes; `how` is `--detach-sign` or `--clear-sign`, and options.
    fn sign(&self, name: &str, data: &[u8], how: &[&str]) -> Vec<u8> {
        let (input, output) = (self.path("in"), self.path("out"));
        fs::write(&input, data).unwrap();
        let user = format!("{name}@");
        let mut args = vec!["--local-user", &user, "--output", output.to_str().unwrap()];
        args.extend(how);
        args.push(input.to_str().unwrap());
        self.ok(&args);
        fs::read(&output).unwrap()
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        drop(
            Command::new("gpgconf")
                .env("GNUPGHOME", self.home.path())
                .args(["--kill", "all"])
                .status(),
        );
    }
}

fn now() -> Rules {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    Rules {
        at: UnixTime(seconds),
        expiry: Expiry::Refuse,
    }
}

fn refusal(result: Result<Signed, Error>) -> Refusal {
    match result.unwrap_err() {
        Error::Untrusted { mut attempts, .. } => attempts.pop().expect("an attempt").why,
        other => panic!("{other}"),
    }
}

#[test]
fn each_kind_of_key_signs_bytes_and_text() {
    let gpg = Gpg::new();
    for algorithm in ["rsa4096", "rsa2048", "ed25519", "nistp256"] {
        let fingerprint = gpg.key(algorithm, algorithm, &[]);
        let keyring = gpg.keyring().select(&[fingerprint]).unwrap();
        for how in [
            &["--detach-sign"][..],
            &["--detach-sign", "--armor"],
            &["--detach-sign", "--digest-algo", "SHA384"],
        ] {
            let signature = gpg.sign(algorithm, DATA, how);
            let signed = verify_detached(&keyring, DATA, &signature, &now()).unwrap();
            assert_eq!(
                (signed.by, signed.key, signed.expired),
                (fingerprint, fingerprint, false)
            );
            assert_eq!(
                refusal(verify_detached(&keyring, b"other", &signature, &now())),
                Refusal::Mismatch
            );
        }
        let text = gpg.sign(algorithm, DATA, &["--clear-sign"]);
        assert_eq!(verify_cleartext(&keyring, &text, &now()).unwrap().0, DATA);
    }
}

#[test]
fn only_a_pinned_primary_key_is_trusted() {
    let gpg = Gpg::new();
    let (ours, other) = (
        gpg.key("ours", "ed25519", &[]),
        gpg.key("other", "ed25519", &[]),
    );
    let signature = gpg.sign("other", DATA, &["--detach-sign"]);
    let keyring = gpg.keyring();
    assert_eq!(keyring.fingerprints().len(), 2);
    let error =
        verify_detached(&keyring.select(&[ours]).unwrap(), DATA, &signature, &now()).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(&other.to_string()) && text.contains(&ours.to_string()),
        "{text}"
    );
    assert_eq!(
        verify_detached(
            &keyring.select(&[ours, other]).unwrap(),
            DATA,
            &signature,
            &now()
        )
        .unwrap()
        .by,
        other
    );
    let nobody = Fingerprint::from_bytes([7; 20]);
    assert!(matches!(
        keyring.select(&[nobody]),
        Err(Error::NoPinnedKey { .. })
    ));
}

#[test]
fn a_signing_subkey_speaks_for_its_primary_and_pins_nothing() {
    let gpg = Gpg::new();
    let primary = gpg.key("ours", "rsa2048", &[]);
    gpg.ok(&[
        "--quick-add-key",
        &primary.to_string(),
        "ed25519",
        "sign",
        "never",
    ]);
    let signature = gpg.sign("ours", DATA, &["--detach-sign"]);
    let keyring = gpg.keyring();
    let signed = verify_detached(
        &keyring.select(&[primary]).unwrap(),
        DATA,
        &signature,
        &now(),
    )
    .unwrap();
    assert_eq!(signed.by, primary);
    assert_ne!(signed.key, primary);
    assert!(keyring.select(&[signed.key]).is_err());

    // The same subkey under somebody else's primary key: its binding is not by that key.
    let thief = gpg.key("thief", "rsa2048", &[]);
    let ours = packets(&gpg.ok(&["--export", "ours@"]));
    let mut stolen = gpg.ok(&["--export", "thief@"]);
    stolen.extend(
        ours.iter()
            .skip_while(|(tag, _)| *tag != 14)
            .flat_map(|(_, bytes)| bytes.clone()),
    );
    let keyring = Keyring::parse(&stolen).unwrap();
    assert_eq!(keyring.fingerprints(), [thief]);
    assert!(matches!(
        refusal(verify_detached(&keyring, DATA, &signature, &now())),
        Refusal::NotBound(_)
    ));

    // A subkey whose binding was cut off is no key at all.
    let unbound: Vec<u8> = ours
        .iter()
        .filter(|(tag, _)| *tag == 14)
        .flat_map(|(_, bytes)| bytes.clone())
        .collect();
    let mut cert: Vec<u8> = ours
        .iter()
        .take_while(|(tag, _)| *tag != 14)
        .flat_map(|(_, bytes)| bytes.clone())
        .collect();
    cert.extend(unbound);
    let keyring = Keyring::parse(&cert).unwrap();
    assert_eq!(
        refusal(verify_detached(&keyring, DATA, &signature, &now())),
        Refusal::UnknownKey
    );
}

#[test]
fn an_encryption_subkey_and_a_certifying_primary_do_not_sign() {
    let gpg = Gpg::new();
    gpg.ok(&[
        "--quick-generate-key",
        "certify@example.org",
        "rsa2048",
        "cert",
        "never",
    ]);
    let primary = gpg.fingerprint("certify");
    gpg.ok(&[
        "--quick-add-key",
        &primary.to_string(),
        "rsa2048",
        "sign",
        "never",
    ]);
    let signature = gpg.sign("certify", DATA, &["--detach-sign"]);
    assert!(verify_detached(&gpg.keyring(), DATA, &signature, &now()).is_ok());
    // The signature of the subkey, with the subkey gone.
    let cert: Vec<u8> = packets(&gpg.ok(&["--export"]))
        .into_iter()
        .take_while(|(tag, _)| *tag != 14)
        .flat_map(|(_, bytes)| bytes)
        .collect();
    let refused = refusal(verify_detached(
        &Keyring::parse(&cert).unwrap(),
        DATA,
        &signature,
        &now(),
    ));
    assert_eq!(refused, Refusal::UnknownKey);
}

#[test]
fn an_expired_key_counts_for_what_it_signed_in_time_if_the_rules_say_so() {
    let gpg = Gpg::new();
    gpg.ok(&[
        "--faked-system-time",
        "20200101T000000!",
        "--quick-generate-key",
        "old@example.org",
        "ed25519",
        "sign",
        "1y",
    ]);
    let signature = gpg.sign(
        "old",
        DATA,
        &["--faked-system-time", "20200601T000000!", "--detach-sign"],
    );
    let keyring = gpg.keyring();
    let refuse = now();
    let note = Rules {
        expiry: Expiry::Note,
        ..refuse
    };
    assert!(matches!(
        refusal(verify_detached(&keyring, DATA, &signature, &refuse)),
        Refusal::Expired(_)
    ));
    assert!(
        verify_detached(&keyring, DATA, &signature, &note)
            .unwrap()
            .expired
    );
    let then = Rules {
        at: UnixTime(1_590_969_600 + 3600),
        ..refuse
    };
    assert!(
        !verify_detached(&keyring, DATA, &signature, &then)
            .unwrap()
            .expired
    );

    // What the key signs after its end is refused by both; the key's life is prolonged to make gpg sign at all.
    let short = gpg.ok(&["--export"]);
    let prolong = [
        "--faked-system-time",
        "20200701T000000!",
        "--quick-set-expire",
    ];
    let fingerprint = gpg.fingerprint("old").to_string();
    gpg.ok(&[&prolong[..], &[fingerprint.as_str(), "10y"]].concat());
    let late = gpg.sign(
        "old",
        DATA,
        &["--faked-system-time", "20230101T000000!", "--detach-sign"],
    );
    assert!(
        verify_detached(&gpg.keyring(), DATA, &late, &refuse).is_ok(),
        "the newest self-signature counts"
    );
    let refused = refusal(verify_detached(
        &Keyring::parse(&short).unwrap(),
        DATA,
        &late,
        &note,
    ));
    assert!(matches!(refused, Refusal::NotValidThen { .. }), "{refused}");

    // A signature that is older than its key is a lie about one of them.
    let early = gpg.sign(
        "old",
        DATA,
        &[
            "--faked-system-time",
            "20190101T000000!",
            "--ignore-time-conflict",
            "--ignore-valid-from",
            "--detach-sign",
        ],
    );
    assert!(matches!(
        refusal(verify_detached(&keyring, DATA, &early, &note)),
        Refusal::NotValidThen { .. }
    ));
}

#[test]
fn a_revoked_key_is_refused_also_for_what_it_signed_before() {
    let gpg = Gpg::new();
    let fingerprint = gpg.key("ours", "ed25519", &[]);
    let signature = gpg.sign("ours", DATA, &["--detach-sign"]);
    assert!(verify_detached(&gpg.keyring(), DATA, &signature, &now()).is_ok());
    let prepared =
        fs::read_to_string(gpg.path(&format!("openpgp-revocs.d/{fingerprint}.rev"))).unwrap();
    let revocation = gpg.path("revocation");
    fs::write(&revocation, prepared.replace(":-----BEGIN", "-----BEGIN")).unwrap();
    gpg.ok(&["--import", revocation.to_str().unwrap()]);
    let note = Rules {
        expiry: Expiry::Note,
        ..now()
    };
    assert_eq!(
        refusal(verify_detached(&gpg.keyring(), DATA, &signature, &note)),
        Refusal::Revoked
    );
}

#[test]
fn weak_digests_weak_keys_text_mode_and_future_dates_are_refused() {
    let gpg = Gpg::new();
    gpg.key("ours", "rsa2048", &[]);
    gpg.key("weak", "rsa1024", &[]);
    let keyring = gpg.keyring();
    let check = |name: &str, how: &[&str]| {
        let signature = gpg.sign(name, DATA, &[how, &["--detach-sign"]].concat());
        refusal(verify_detached(&keyring, DATA, &signature, &now()))
    };
    assert!(matches!(
        check("ours", &["--digest-algo", "SHA1"]),
        Refusal::WeakHash(_)
    ));
    assert!(matches!(
        check("ours", &["--digest-algo", "SHA224"]),
        Refusal::WeakHash(_)
    ));
    assert!(matches!(check("weak", &[]), Refusal::WeakKey(_)));
    assert!(matches!(
        check("ours", &["--textmode"]),
        Refusal::Unsupported(_)
    ));
    assert!(matches!(
        check("ours", &["--faked-system-time", "20380101T000000!"]),
        Refusal::Future(_)
    ));
    assert!(matches!(
        check("ours", &["--sig-notation", "!x@example.org=1"]),
        Refusal::Unsupported(_)
    ));
}

#[test]
fn altered_and_lengthened_files_are_refused() {
    let gpg = Gpg::new();
    gpg.key("ours", "ed25519", &[]);
    let keyring = gpg.keyring();
    let binary = gpg.sign("ours", DATA, &["--detach-sign"]);
    let armored = gpg.sign("ours", DATA, &["--detach-sign", "--armor"]);
    for good in [&binary, &armored] {
        let whole = verify_detached(&keyring, DATA, good, &now()).unwrap();
        for garbage in [
            &b"x"[..],
            b"\x00",
            b"\xff\xff",
            b"-----BEGIN PGP SIGNATURE-----\n",
            good.as_slice(),
        ] {
            let long = [good.as_slice(), garbage].concat();
            // The same signature twice over is two signatures in binary; in armor it is a second block.
            let result = verify_detached(&keyring, DATA, &long, &now());
            assert!(
                result.is_err() || (garbage == *good && *good == binary),
                "{garbage:?}"
            );
        }
        for len in 0..good.len() - 1 {
            let result = verify_detached(&keyring, DATA, &good[..len], &now());
            assert!(result.is_err(), "cut at {len} of {}", good.len());
        }
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                // A flip where nothing is signed (an unhashed key id, armor's blanks) may leave it good, never change it.
                if let Ok(signed) = verify_detached(&keyring, DATA, &bad, &now()) {
                    assert_eq!(signed, whole, "byte {at}");
                }
            }
        }
    }
}

#[test]
fn cleartext_is_believed_as_signed_whatever_its_line_ends() {
    let gpg = Gpg::new();
    gpg.key("ours", "ed25519", &[]);
    let keyring = gpg.keyring();
    let text =
        b"Origin: x\n- dash\n-- two\n-----BEGIN PGP SIGNED MESSAGE-----\nFrom me  \t\n\nlast\n";
    let message = gpg.sign("ours", text, &["--clear-sign"]);
    let (body, _) = verify_cleartext(&keyring, &message, &now()).unwrap();
    assert_eq!(
        body,
        String::from_utf8_lossy(text)
            .replace("me  \t", "me")
            .as_bytes()
    );

    let as_text = String::from_utf8(message.clone()).unwrap();
    let crlf = as_text.replace('\n', "\r\n");
    assert_eq!(
        verify_cleartext(&keyring, crlf.as_bytes(), &now())
            .unwrap()
            .0,
        body
    );
    let crlf_signed = gpg.sign("ours", b"a\r\nb\r\n", &["--clear-sign"]);
    assert_eq!(
        verify_cleartext(&keyring, &crlf_signed, &now()).unwrap().0,
        b"a\nb\n"
    );

    let bad = [
        as_text.replacen("Origin: x", "Origin: y", 1),
        as_text.replacen("\nlast", "\nlast\nmore", 1),
        as_text.replacen("\n\nlast", "\nlast", 1),
        as_text.replacen("Origin: x\n", "Origin: x\r", 1),
        as_text.replacen("Hash: SHA", "Note: SHA", 1),
        format!("before\n{as_text}"),
        format!("{as_text}after\n"),
        as_text
            .replacen("- - dash", "- dash", 1)
            .replacen("- -- two", "-- two", 1),
    ];
    for text in bad {
        assert!(
            verify_cleartext(&keyring, text.as_bytes(), &now()).is_err(),
            "{text}"
        );
    }
    for at in 0..message.len() {
        let mut bad = message.clone();
        bad[at] ^= 1;
        if let Ok((found, _)) = verify_cleartext(&keyring, &bad, &now()) {
            assert_eq!(found, body, "byte {at}");
        }
        assert!(verify_cleartext(&keyring, &message[..at.min(message.len() - 2)], &now()).is_err());
    }
    // A signature over the same bytes as a file is not one over a text.
    let detached =
        String::from_utf8(gpg.sign("ours", b"a", &["--detach-sign", "--armor"])).unwrap();
    let forged = format!("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\na\n{detached}");
    assert!(verify_cleartext(&keyring, forged.as_bytes(), &now()).is_err());
}

#[test]
fn armored_keyrings_may_be_several_files_and_damaged_ones_never_panic() {
    let gpg = Gpg::new();
    let (one, two) = (
        gpg.key("one", "ed25519", &[]),
        gpg.key("two", "rsa2048", &[]),
    );
    let armored = [
        gpg.ok(&["--armor", "--export", "one@"]),
        gpg.ok(&["--armor", "--export", "two@"]),
    ]
    .concat();
    assert_eq!(Keyring::parse(&armored).unwrap().fingerprints(), [one, two]);
    let binary = gpg.ok(&["--export"]);
    let signature = gpg.sign("one", DATA, &["--detach-sign"]);
    for at in 0..binary.len() {
        let mut bad = binary.clone();
        bad[at] ^= 0x41;
        for file in [&bad[..], &binary[..at]] {
            if let Ok(keyring) = Keyring::parse(file).and_then(|it| it.select(&[one])) {
                drop(verify_detached(&keyring, DATA, &signature, &now()));
            }
        }
    }
    assert!(Keyring::parse(b"").is_err());
    assert!(Keyring::parse(b"no keyring").is_err());
    assert!(Keyring::parse(&vec![0x99; 5 << 20]).is_err());
}

#[test]
fn several_signatures_need_one_good_one() {
    let gpg = Gpg::new();
    let (one, two) = (
        gpg.key("one", "ed25519", &[]),
        gpg.key("two", "rsa2048", &[]),
    );
    let message = gpg.sign("one", DATA, &["--local-user", "two@", "--clear-sign"]);
    for pinned in [one, two] {
        let keyring = gpg.keyring().select(&[pinned]).unwrap();
        assert_eq!(
            verify_cleartext(&keyring, &message, &now()).unwrap().1.by,
            pinned
        );
    }
}

#[test]
fn release_files_of_this_machine_are_judged_as_gpgv_does() {
    let gpg = Gpg::new();
    gpg.key("site", "rsa4096", &[]);
    let own = gpg.path("own.gpg");
    fs::write(&own, gpg.ok(&["--export"])).unwrap();
    let mut cases = vec![(
        own,
        gpg.sign("site", b"Suite: x\nDate: y\n", &["--clear-sign"]),
    )];
    // The machine's own archive, where apt left its release files.
    for keyring in ["debian-archive-keyring.gpg", "ubuntu-archive-keyring.gpg"] {
        let keyring = PathBuf::from("/usr/share/keyrings").join(keyring);
        let lists = fs::read_dir("/var/lib/apt/lists")
            .into_iter()
            .flatten()
            .flatten()
            .map(|it| it.path());
        for list in
            lists.filter(|it| keyring.exists() && it.to_string_lossy().ends_with("_InRelease"))
        {
            cases.push((keyring.clone(), fs::read(list).unwrap()));
        }
    }
    for (keyring, message) in cases {
        let (input, output) = (gpg.path("InRelease"), gpg.path("Release"));
        fs::write(&input, &message).unwrap();
        let mut gpgv = Command::new("gpgv");
        gpgv.env("GNUPGHOME", gpg.home.path())
            .arg("--keyring")
            .arg(&keyring)
            .arg("--output")
            .arg(&output)
            .arg(&input);
        let good = gpgv
            .output()
            .expect("gpgv runs: install the package gpgv")
            .status
            .success();
        let rules = Rules {
            expiry: Expiry::Note,
            ..now()
        };
        let ours = verify_cleartext(
            &Keyring::parse(&fs::read(&keyring).unwrap()).unwrap(),
            &message,
            &rules,
        );
        assert_eq!(ours.is_ok(), good, "{}: {ours:?}", keyring.display());
        if let Ok((body, _)) = ours {
            assert_eq!(
                body.trim_ascii_end(),
                fs::read(&output).unwrap().trim_ascii_end()
            );
        }
        fs::remove_file(&output).unwrap_or_default();
    }
}

/// Cuts a binary keyring into packets: tag, and bytes with the header (RFC 9580, section 4.2).
fn packets(mut file: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut packets = Vec::new();
    while let [first, rest @ ..] = file {
        let number = |len: usize| {
            rest[..len]
                .iter()
                .fold(0_usize, |sum, it| sum << 8 | usize::from(*it))
        };
        let (tag, header, len) = match (first & 0x40 != 0, first & 3) {
            (false, 0) => ((first >> 2) & 15, 2, number(1)),
            (false, 1) => ((first >> 2) & 15, 3, number(2)),
            (true, _) if rest[0] < 192 => (first & 63, 2, number(1)),
            (true, _) if rest[0] < 224 => (
                first & 63,
                3,
                ((usize::from(rest[0]) - 192) << 8) + usize::from(rest[1]) + 192,
            ),
            other => panic!("packet header {other:?}"),
        };
        packets.push((tag, file[..header + len].to_vec()));
        file = &file[header + len..];
    }
    packets
}
