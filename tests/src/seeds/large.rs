//! Inputs as large as may be, made so that a careless reader takes the square of their size, or more.
//!
//! Each is named by the parser that it is for. Fuzzers find these seldom: they keep inputs small.

use super::packages::ustar;
use super::signatures::framed;
use crate::parsers::MAX_INPUT;
use crate::parsers::kernel::BETWEEN;
use std::fmt::Write as _;

/// Returns the parser and the input of each.
pub fn all() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    vec![
        (
            "control",
            "fields without end",
            lines(|it, text| writeln!(text, "F{it}:")),
        ),
        (
            "control",
            "relations without end",
            [&b"Depends: "[..], &b"a|a,".repeat(250_000)].concat(),
        ),
        ("deb", "members without end", members()),
        (
            "lock",
            "tables in tables",
            [&b"a"[..], &b".a".repeat(500_000), b" = 1"].concat(),
        ),
        ("module", "symbols that share a long name", symbols()),
        ("module", "sections that share a long name", sections()),
        (
            "modules_dep",
            "a chain",
            lines(|it, text| writeln!(text, "{it}.ko: {}.ko", it + 1)),
        ),
        ("modules_dep", "each needs all after it", closed()),
        ("modules_dep", "one need over and over", over()),
        ("modules_dep", "one alias over and over", aliases()),
        (
            "openpgp",
            "users without names",
            keyring(&b"\xcd\0".repeat(MAX_INPUT / 2 - 64)),
        ),
        (
            "openpgp",
            "signatures of subpackets",
            keyring(&subpackets().repeat(MAX_INPUT / subpackets().len() - 1)),
        ),
        (
            "openpgp",
            "as many packets as may be",
            keyring(&[revocation().repeat(2000), subpackets_of(8).repeat(2000)].concat()),
        ),
        (
            "packages",
            "stanzas of nothing",
            b"a:\n\n".repeat(MAX_INPUT / 4),
        ),
        ("release", "entries without end", entries()),
        (
            "script",
            "variables that double",
            script("x=abcdefgh\n", &b"x=$x$x\n".repeat(9000)),
        ),
        (
            "script",
            "not not not",
            script("if [ ", &b"! ".repeat(100_000)),
        ),
        (
            "script",
            "interests without end",
            lines(|it, text| writeln!(text, "interest /{it}")),
        ),
        (
            "script",
            "one deep interest",
            [&b"interest "[..], &b"/a".repeat(500_000)].concat(),
        ),
        (
            "script",
            "conffiles without end",
            lines(|it, text| writeln!(text, "/{it}")),
        ),
        (
            "stream",
            "members of nothing",
            EMPTY_GZIP.repeat(MAX_INPUT / EMPTY_GZIP.len()),
        ),
        (
            "stream",
            "frames of nothing",
            b"\x50\x2a\x4d\x18\0\0\0\0".repeat(MAX_INPUT / 8),
        ),
        ("table", "logical partitions without end", logical()),
        ("tar", "a deep path", deep()),
        ("tar", "directories in one another", nested()),
        ("vmdk", "extents without end", extents()),
        ("xz", "streams of nothing", stream().repeat(MAX_INPUT / 32)),
        ("xz", "blocks of nothing", blocks()),
    ]
}

/// An empty gzip member.
const EMPTY_GZIP: [u8; 20] = [
    0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

/// Returns numbered lines up to the largest size.
fn lines(line: impl Fn(usize, &mut String) -> std::fmt::Result) -> Vec<u8> {
    let mut text = String::new();
    for it in 0.. {
        let before = text.len();
        line(it, &mut text).expect("a String takes all");
        if text.len() > MAX_INPUT {
            text.truncate(before);
            break;
        }
    }
    text.into_bytes()
}

/// Returns an `openpgp` input: a keyring of one key, whose point is the curve's own base, and what follows it; no message.
fn keyring(rest: &[u8]) -> Vec<u8> {
    let mut key =
        b"\x98\x33\x04\0\0\0\x01\x16\x09\x2b\x06\x01\x04\x01\xda\x47\x0f\x01\x01\x07\x40\x58"
            .to_vec();
    key.extend([0x66; 31]);
    key.extend(rest);
    framed(&key, &[])
}

/// Returns a signature packet of version 4: a revocation without a meaning by Ed25519.
fn revocation() -> Vec<u8> {
    signature(0x20, &[])
}

/// Returns a signature with as many subpackets as it can have, of two bytes each.
fn subpackets() -> Vec<u8> {
    subpackets_of(32_767)
}

fn subpackets_of(count: usize) -> Vec<u8> {
    signature(0x13, &[1, 0x64].repeat(count))
}

fn signature(kind: u8, subpackets: &[u8]) -> Vec<u8> {
    let len = u16::try_from(subpackets.len()).expect("an area of 64 KiB");
    let mut body = vec![4, kind, 22, 8];
    body.extend(len.to_be_bytes());
    body.extend(subpackets);
    // No other subpackets, the digest's first bytes, and two numbers of one bit.
    body.extend([0, 0, 0, 0, 0, 1, 1, 0, 1, 1]);
    let len = u32::try_from(body.len()).expect("a megabyte");
    [&[0xc2, 0xff], &len.to_be_bytes()[..], &body].concat()
}

fn script(start: &str, rest: &[u8]) -> Vec<u8> {
    [b"#!/bin/sh\n", start.as_bytes(), rest].concat()
}

fn members() -> Vec<u8> {
    let mut ar = b"!<arch>\n".to_vec();
    while ar.len() + 60 <= MAX_INPUT {
        ar.extend(format!("{:<16}{:<32}{:<10}`\n", "_x", "", 0).bytes());
    }
    ar
}

/// Returns an ELF file of these sections, the last of which holds the names; its section headers stand at its end.
fn elf(names: &[u8], sections: &[(u32, &[u8])]) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(64, 0);
    let mut headers = vec![0; 64];
    for (name, bytes) in sections.iter().copied().chain([(0, names)]) {
        let mut header = [0; 64];
        header[..4].copy_from_slice(&name.to_le_bytes());
        header[0x18..0x20].copy_from_slice(&(file.len() as u64).to_le_bytes());
        header[0x20..0x28].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        headers.extend(header);
        file.extend_from_slice(bytes);
    }
    let count = u16::try_from(headers.len() / 64).unwrap_or(u16::MAX);
    let at = file.len() as u64;
    file[0x28..0x30].copy_from_slice(&at.to_le_bytes());
    for (at, value) in [(0x3a, 64), (0x3c, count), (0x3e, count - 1)] {
        file[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }
    file.extend(headers);
    file
}

fn symbols() -> Vec<u8> {
    let mut text = vec![b'a'; 400 << 10];
    text.push(0);
    let symbols = vec![0; 24 * (MAX_INPUT / 2 / 24)];
    elf(b"\0.symtab\0.strtab\0", &[(1, &symbols), (9, &text)])
}

fn sections() -> Vec<u8> {
    let mut names = vec![b'a'; 400 << 10];
    names.push(0);
    elf(&names, &vec![(0, &b""[..]); 9000])
}

fn closed() -> Vec<u8> {
    let line = |from: usize| {
        let needs: Vec<_> = (from + 1..540).map(|it| format!("{it}.ko")).collect();
        format!("{from}.ko: {}\n", needs.join(" "))
    };
    (0..540).map(line).collect::<String>().into_bytes()
}

/// Returns an index in which one module names another, which needs much, a hundred thousand times.
fn over() -> Vec<u8> {
    let many: String = (0..30_000).map(|it| format!("{it}.ko:\n")).collect();
    let needs: String = (0..30_000).map(|it| format!(" {it}.ko")).collect();
    let again = " b.ko".repeat(90_000);
    format!("a.ko:{again}\nb.ko:{needs}\n{many}").into_bytes()
}

fn aliases() -> Vec<u8> {
    let mut files = vec![
        b"m.ko:\n".to_vec(),
        b"alias x m\n".repeat(MAX_INPUT / 10 - 10),
    ];
    files.resize(5, Vec::new());
    files.join(&BETWEEN)
}

fn entries() -> Vec<u8> {
    let hash = "0".repeat(64);
    let mut text = String::from("SHA256:\n");
    for it in 0..MAX_INPUT / 80 {
        writeln!(text, " {hash} 1 a/{it}").expect("a String takes all");
    }
    text.into_bytes()
}

fn logical() -> Vec<u8> {
    let mut disk = vec![0; MAX_INPUT];
    let record = |kind: u8, start: u32| {
        let mut record = [0; 16];
        record[4] = kind;
        record[8..12].copy_from_slice(&start.to_le_bytes());
        record[12] = 1;
        record
    };
    for sector in 0..2048 {
        let at = sector * 512;
        let next = u32::try_from(sector).expect("a small number");
        disk[at + 446..at + 462].copy_from_slice(&record(5, next + u32::from(sector == 0)));
        disk[at + 510..at + 512].copy_from_slice(&[0x55, 0xaa]);
    }
    disk[458..462].copy_from_slice(&2000_u32.to_le_bytes());
    disk
}

fn deep() -> Vec<u8> {
    let path = format!("./{}\0", "a/".repeat(2000));
    let mut tar = ustar(&[("././@LongLink", path.as_bytes()), ("./a/", b"")]);
    tar[156] = b'L';
    tar
}

/// Returns as many directories in one another as there is room for, each named by its whole path.
fn nested() -> Vec<u8> {
    let mut tar = ustar(&[("./", b"")]);
    tar.truncate(512);
    for depth in 1.. {
        let path = format!("./{}\0", "a/".repeat(depth));
        let mut named = ustar(&[("././@LongLink", path.as_bytes()), ("./a/", b"")]);
        named.truncate(named.len() - 1024);
        named[156] = b'L';
        if tar.len() + named.len() + 1024 > MAX_INPUT {
            break;
        }
        tar.extend(named);
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}

fn extents() -> Vec<u8> {
    let lines = b"RW 1 FLAT \"a\" 0\n".repeat(MAX_INPUT / 16 - 10);
    [&b"# Disk DescriptorFile\n"[..], &lines].concat()
}

/// Returns the edges of an .xz stream without checks: header, index of these records, footer.
fn edges(records: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let sealed = |bytes: &[u8]| [bytes, &crc32fast::hash(bytes).to_le_bytes()].concat();
    let header = [b"\xfd7zXZ\0".to_vec(), sealed(&[0, 0])].concat();
    let mut index = [&[0][..], records].concat();
    index.resize(index.len().next_multiple_of(4), 0);
    let index = sealed(&index);
    let backward = u32::try_from(index.len() / 4 - 1).expect("a small index");
    let body = [&backward.to_le_bytes()[..], &[0, 0]].concat();
    let sum = crc32fast::hash(&body).to_le_bytes();
    (header, [index, sum.to_vec(), body, b"YZ".to_vec()].concat())
}

fn stream() -> Vec<u8> {
    let (header, end) = edges(&[0]);
    [header, end].concat()
}

/// Returns a stream of as many blocks as there can be, each of no bytes and with a large window.
fn blocks() -> Vec<u8> {
    // Header: size, flags, LZMA2 with a window of 64 MiB; then the end mark of LZMA2, and padding.
    let mut block = vec![2, 0, 0x21, 1, 28, 0, 0, 0];
    block.extend(crc32fast::hash(&block).to_le_bytes());
    block.extend([0; 4]);
    // 10,000 of them, as many as are taken: the count in bytes of seven bits, the lowest first.
    let mut records = vec![0x90, 0x4e];
    records.extend([13, 0].repeat(10_000));
    let (header, end) = edges(&records);
    [header, block.repeat(10_000), end].concat()
}
