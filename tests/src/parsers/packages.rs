//! Debian's formats: archives and their tars, control files, indexes, release files, maintainer scripts.

use super::metered::{MAX_DECODED, metered};
use deb::{
    Arch, Archive, Compression, ControlFile, ControlFiles, Dpkg, Index, Package, Paragraph,
    Paragraphs, PathFilters, Relations, Release, Stamp, Version,
};
use fstree::{Content, File, FileKind, FileTree, ImgPath, Layer, Meta, ReadAt, Timestamp};
use std::sync::Arc;

/// Bytes of text that an index may have.
const MAX_TEXT: u64 = 4 << 20;
/// What the fixed control file of tars and scripts says.
pub const CONTROL: &[u8] = b"Package: p\nVersion: 1\nArchitecture: all\n";
/// The one package that is there before.
const STATUS: &[u8] =
    b"Package: other\nStatus: install ok installed\nArchitecture: all\nVersion: 1:2~3-4\n\
    Conffiles:\n /etc/a 0123\nReplaces: p (>= 1), y | z:any\n";

/// Opens a `.deb`, unpacks and configures it.
pub fn deb(data: &[u8]) {
    let Ok(archive) = Archive::open(&metered(data)) else {
        return;
    };
    let mut tar = Vec::new();
    if archive.decode_data(&mut tar, MAX_DECODED).is_ok()
        && let Ok(package) = archive.package(Arc::new(tar))
    {
        install(&package);
    }
}

/// Reads a data member, its headers' checksums set right, and unpacks it.
pub fn tar(data: &[u8]) {
    let mut sealed = data.to_vec();
    for block in sealed
        .chunks_exact_mut(512)
        .filter(|it| it[257..262] == *b"ustar")
    {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().copied().map(u32::from).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    if let Ok(package) = Package::new(controls(Vec::new()), metered(&sealed)) {
        install(&package);
    }
}

/// Configures a package with a maintainer script.
pub fn script(data: &[u8]) {
    let script = |name: &str| ControlFile {
        name: name.to_owned(),
        mode: 0o755,
        mtime: Timestamp::default(),
        bytes: data.to_vec(),
    };
    let empty: Arc<dyn ReadAt> = Arc::new(Vec::new());
    for name in ["preinst", "postinst", "triggers", "conffiles"] {
        if let Ok(package) = Package::new(controls(vec![script(name)]), empty.clone()) {
            install(&package);
        }
    }
}

/// Reads control files of every kind: one paragraph, many, dpkg's status, and the relations and versions in them.
pub fn control(data: &[u8]) {
    if let Ok(paragraph) = Paragraph::parse_one("control", data) {
        let text = paragraph.to_text();
        let again =
            Paragraph::parse_one("control", text.as_bytes()).expect("what was written reads");
        assert_eq!(again.to_text(), text);
    }
    for paragraph in Paragraphs::new("status", data) {
        let Ok(paragraph) = paragraph else { break };
        for field in paragraph.fields() {
            drop(Relations::parse(&field.value));
            drop(Version::new(&field.value));
        }
    }
    drop(Dpkg::read(&machine(data), native(), PathFilters::Heeded));
    drop(deb::solve::Installed::parse(data, &native()));
}

/// Reads a Packages index, and the relations in it.
pub fn packages(data: &[u8]) {
    for compression in [
        Compression::None,
        Compression::Xz,
        Compression::Zstd,
        Compression::Gzip,
    ] {
        let Ok(index) = Index::read(data, compression, MAX_TEXT) else {
            continue;
        };
        for entry in index.entries() {
            drop(entry.depends());
            drop(entry.provides());
            drop(entry.conflicts());
        }
    }
}

/// Reads a Release file.
pub fn release(data: &[u8]) {
    if let Ok(release) = Release::parse(data) {
        for (path, entry) in release.entries() {
            drop(Release::by_hash(path, entry));
        }
        drop(release.packages(None));
        drop(release.packages(Some(("main", &native()))));
    }
}

fn native() -> Arch {
    Arch::new("amd64").expect("a constant name")
}

fn controls(files: Vec<ControlFile>) -> ControlFiles {
    ControlFiles {
        control: Paragraph::parse_one("control", CONTROL).expect("a constant file"),
        files,
    }
}

/// Returns a tree with a dpkg database of that status.
fn machine(status: &[u8]) -> FileTree {
    let mut tree = FileTree::new(Meta::default());
    for (at, bytes) in [
        ("/var/lib/dpkg/status", status),
        ("/var/lib/dpkg/info/other.list", b"/.\n/usr\n/usr/x\n"),
        ("/etc/passwd", b"root:x:0:0::/root:/bin/sh\n"),
        ("/etc/group", b"root:x:0:\n"),
    ] {
        let at = ImgPath::new(at).expect("a constant path");
        let above = at.parent().expect("no path is the root");
        tree.make_dirs(&above, &Meta::default())
            .expect("nothing is in the way");
        let kind = FileKind::Regular(Content::inline(bytes.to_vec()));
        let meta = Meta::default();
        tree.put(&at, File { meta, kind })
            .expect("nothing is in the way");
    }
    tree
}

fn install(package: &Package) {
    let mut tree = machine(STATUS);
    let mut dpkg = Dpkg::read(&tree, native(), PathFilters::Heeded).expect("a constant database");
    let stamp = Stamp {
        layer: Layer(1),
        time: Timestamp::default(),
    };
    if dpkg.unpack(&mut tree, package, stamp).is_ok() && dpkg.configure(&mut tree, stamp).is_ok() {
        drop(dpkg.write(&mut tree, stamp));
        drop(dpkg.pending());
    }
}
