//! A small `.deb`, its parts, and what a repository publishes.

use super::{folder, run};
use crate::parsers::packages::CONTROL;
use std::fs;

const POSTINST: &[u8] = b"#!/bin/sh\nset -e\n# Automatically added by dh_installsystemd/13.6\n\
    if [ \"$1\" = \"configure\" ] || [ \"$1\" = \"abort-upgrade\" ]; then\n\tif deb-systemd-helper --quiet was-enabled 'p.service'; then\n\
    \t\tdeb-systemd-helper enable 'p.service' >/dev/null || true\n\tfi\nfi\n# End automatically added section\n\
    case \"$1\" in\n  configure)\n    ldconfig\n    dpkg-trigger --no-await ldconfig\n    ;;\nesac\nexit 0\n";

/// Returns a tar archive of files, in ustar headers as dpkg-deb writes them.
pub fn ustar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (name, bytes) in files {
        let kind = if name.ends_with('/') { b'5' } else { b'0' };
        member(&mut tar, name, kind, "", bytes);
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}

fn member(tar: &mut Vec<u8>, name: &str, kind: u8, link: &str, bytes: &[u8]) {
    let mut header = [0; 512];
    let mut put =
        |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000755\x000000000\x000000000\0");
    put(
        124,
        &format!("{:011o}\0{:011o}\0        ", bytes.len(), 1_650_000_000),
    );
    put(157, link);
    put(257, "ustar  \0root");
    put(297, "root");
    header[156] = kind;
    let sum: u32 = header.iter().copied().map(u32::from).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar.extend(header);
    tar.extend_from_slice(bytes);
    tar.resize(tar.len().next_multiple_of(512), 0);
}

/// Returns data members: every kind of member, long names.
pub fn tar() -> Vec<Vec<u8>> {
    let mut tar = Vec::new();
    member(&mut tar, "./", b'5', "", b"");
    member(&mut tar, "./usr/", b'5', "", b"");
    member(&mut tar, "./usr/x", b'0', "", b"content");
    member(&mut tar, "./usr/hard", b'1', "./usr/x", b"");
    member(&mut tar, "./usr/soft", b'2', "x", b"");
    member(&mut tar, "./dev", b'3', "", b"");
    let long = format!("./{}/f", ["d"; 80].join("/"));
    member(
        &mut tar,
        "././@LongLink",
        b'L',
        "",
        format!("{long}\0").as_bytes(),
    );
    member(&mut tar, &long[..99], b'0', "", b"long");
    member(
        &mut tar,
        "./lib/systemd/system/p.service",
        b'0',
        "",
        b"[Install]\nWantedBy=multi-user.target\n",
    );
    let short = ustar(&[("./", b""), ("./etc/", b""), ("./etc/x", b"x")]);
    tar.resize(tar.len() + 1024, 0);
    vec![tar, short]
}

fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut ar = b"!<arch>\n".to_vec();
    for (name, bytes) in members {
        let len = bytes.len();
        let header = format!(
            "{name:<16}{:<12}{:<6}{:<6}{:<8}{len:<10}`\n",
            0, 0, 0, 100_644
        );
        ar.extend(header.bytes());
        ar.extend_from_slice(bytes);
        ar.resize(ar.len().next_multiple_of(2), b'\n');
    }
    ar
}

/// Returns a `.deb` in every compression.
pub fn deb() -> Vec<Vec<u8>> {
    let control = ustar(&[
        ("./control", CONTROL),
        ("./conffiles", b"/etc/x\n"),
        ("./triggers", b"interest-noawait /usr\nactivate ldconfig\n"),
        ("./md5sums", b"9dd4e461268c8034f5c8564e155c67a6  etc/x\n"),
        ("./postinst", POSTINST),
    ]);
    let data = tar().swap_remove(1);
    let folder = folder();
    let pack = |tool: &str, package: &str, bytes: &[u8]| {
        fs::write(folder.path().join("raw"), bytes).expect("a folder of our own");
        run(folder.path(), tool, package, &["-c", "raw"])
    };
    let version = ("debian-binary", &b"2.0\n"[..]);
    let mut seeds = vec![ar(&[
        version,
        ("control.tar", &control),
        ("data.tar", &data),
    ])];
    for (tool, package, suffix) in [
        ("gzip", "gzip", "gz"),
        ("xz", "xz-utils", "xz"),
        ("zstd", "zstd", "zst"),
    ] {
        let (control, data) = (pack(tool, package, &control), pack(tool, package, &data));
        seeds.push(ar(&[
            version,
            (&format!("control.tar.{suffix}"), &control),
            (&format!("data.tar.{suffix}"), &data),
        ]));
    }
    seeds
}

/// Returns scripts, triggers and conffiles.
pub fn script() -> Vec<Vec<u8>> {
    vec![
        POSTINST.to_vec(),
        b"#!/bin/sh\nset -e\nif [ -x /bin/x ] && ! getent passwd u > /dev/null; then\n  adduser --system --group u\nfi\n\
          for i in a b; do echo \"$i ${x:-y} $(z `w`)\"; done << EOF\nhere\nEOF\n"
            .to_vec(),
        b"interest /usr\ninterest-noawait x\nactivate-await ldconfig\n# c\n".to_vec(),
        b"/etc/x\n/etc/y\n".to_vec(),
    ]
}

/// Returns a control file and a status file.
pub fn control() -> Vec<Vec<u8>> {
    vec![
        CONTROL.to_vec(),
        b"Package: a\nVersion: 1:2~3+b-4\nArchitecture: amd64\nMulti-Arch: same\nPre-Depends: b (>= 1~) | c:any\n\
          Depends: d (<< 2), e [linux-any] <!nocheck>\nProvides: v (= 1)\nDescription: one line\n more\n .\n end\n"
            .to_vec(),
        b"Package: other\nStatus: install ok installed\nArchitecture: all\nVersion: 1:2~3-4\nConffiles:\n /etc/a 0123\n \
          /etc/b 4567 obsolete\nTriggers-Pending: x\n\nPackage: b\nStatus: hold ok triggers-awaited\nArchitecture: i386\n\
          Version: 0\nTriggers-Awaited: other\n"
            .to_vec(),
    ]
}

/// Returns an index, plain and compressed.
pub fn packages() -> Vec<Vec<u8>> {
    let hash = "ab".repeat(32);
    let text = format!(
        "Package: a\nVersion: 1\nArchitecture: all\nDepends: b (>= 1), c | d\nProvides: v (= 2), w\nConflicts: x\nFilename: f\n\
         Size: 1\nSHA256: {hash}\n\nPackage: b\nVersion: 2-1\nArchitecture: amd64\nPre-Depends: c\nBreaks: a (<< 1)\n\
         Filename: pool/b.deb\nSize: 22\nSHA256: {hash}\nDescription: x\n y\n"
    );
    let folder = folder();
    fs::write(folder.path().join("raw"), &text).expect("a folder of our own");
    vec![
        text.into_bytes(),
        run(folder.path(), "xz", "xz-utils", &["-c", "raw"]),
        run(folder.path(), "gzip", "gzip", &["-c", "raw"]),
    ]
}

/// Returns a Release file.
pub fn release() -> Vec<Vec<u8>> {
    let hash = "ab".repeat(32);
    vec![
        format!(
            "Origin: o\nSuite: s\nCodename: c\nDate: Sat, 20 May 2026 08:00:00 UTC\nValid-Until: Sun, 21 May 2028 08:00:00 +0000\n\
             Acquire-By-Hash: yes\nArchitectures: amd64 arm64\nComponents: main\nSHA256:\n {hash} 1 main/binary-amd64/Packages.xz\n \
             {hash} 12345 main/binary-amd64/Packages\n"
        )
        .into_bytes(),
    ]
}
