//! Trees to write.

use fstree::{
    Content, File, FileKind, FileTree, ImgPath, Layer, Meta, Node, ReadAt as _, Timestamp,
};

/// 2024-05-06T07:08:10Z
pub(crate) const TIME: Timestamp = Timestamp {
    secs: 1_714_979_290,
    nanos: 0,
};

pub(crate) fn path(text: &str) -> ImgPath {
    ImgPath::new(text).unwrap()
}

pub(crate) fn empty() -> FileTree {
    FileTree::new(Meta {
        mode: 0o755,
        ..Meta::default()
    })
}

/// Puts a file and the directories above it.
pub(crate) fn put(tree: &mut FileTree, text: &str, bytes: &[u8]) {
    let at = path(text);
    let dir = Meta::root_owned(0o755, TIME, Layer::default());
    tree.make_dirs(&at.parent().unwrap(), &dir).unwrap();
    let meta = Meta::root_owned(0o644, TIME, Layer::default());
    tree.put(
        &at,
        File {
            meta,
            kind: FileKind::Regular(Content::inline(bytes)),
        },
    )
    .unwrap();
}

/// Returns bytes that no two seeds have alike.
pub(crate) fn noise(seed: usize, len: usize) -> Vec<u8> {
    let mut state = seed as u64 ^ 0x9E37_79B9_7F4A_7C15;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..len).map(|_| next()).collect()
}

/// A tree with something of everything: sizes about a cluster's, names of all sorts, deep and wide directories.
pub(crate) fn varied() -> FileTree {
    let mut tree = empty();
    for (index, size) in [0, 1, 511, 512, 513, 2047, 2048, 2049, 16_384, 100_001]
        .into_iter()
        .enumerate()
    {
        put(&mut tree, &format!("/size-{size}.bin"), &noise(index, size));
    }
    for name in [
        "CONFIG.TXT",
        "cmdline.txt",
        "Kernel8.img",
        "user-data",
        "network-config",
        "start4.ELF",
        ".hidden",
        "a b  c",
        "naïve – “quoted”.txt",
        "日本語のファイル.テキスト",
        "plus+comma,semi;=[x].a.b.c",
        "x.tar.gz",
        "longfilename.txt",
        "exactly13char",
        "no extension at all but rather long",
    ] {
        put(&mut tree, &format!("/names/{name}"), name.as_bytes());
    }
    put(
        &mut tree,
        &format!("/names/{}", "n".repeat(255)),
        b"as long as can be",
    );
    for index in 0..300 {
        put(
            &mut tree,
            &format!("/overlays/overlay number {index}.dtbo"),
            &noise(index, index * 7),
        );
    }
    let deep: Vec<_> = (0..40).map(|it| format!("level-{it}")).collect();
    put(&mut tree, &format!("/{}/leaf", deep.join("/")), b"deep");
    tree.make_dirs(
        &path("/empty/Directory"),
        &Meta::root_owned(0o755, TIME, Layer::default()),
    )
    .unwrap();
    tree
}

/// The same and what mtools cannot write or read: a name that looks like another's short one, and one beyond the basic plane.
pub(crate) fn awkward() -> FileTree {
    let mut tree = varied();
    put(&mut tree, "/names/LONGFI~1.TXT", b"not the long one");
    put(&mut tree, "/names/emoji 😀.md", b"two units");
    tree
}

/// Returns path and content of everything; `None` is a directory.
pub(crate) fn contents(tree: &FileTree) -> Vec<(String, Option<Vec<u8>>)> {
    let content = |node: &Node| match node {
        Node::Dir(_) => None,
        Node::File(id) => match &tree.file(*id).kind {
            FileKind::Regular(content) => Some(content.read_all(content.size()).unwrap()),
            other => panic!("{other:?} on FAT"),
        },
    };
    let mut all: Vec<_> = tree
        .walk()
        .map(|(path, node)| (text(&path), content(node)))
        .collect();
    all.sort();
    all
}

fn text(path: &ImgPath) -> String {
    String::from_utf8(path.as_bytes().to_vec()).unwrap()
}

/// Returns path and metadata of everything.
pub(crate) fn metas(tree: &FileTree) -> Vec<(String, Meta)> {
    let meta = |node: &Node| match node {
        Node::Dir(dir) => dir.meta.clone(),
        Node::File(id) => tree.file(*id).meta.clone(),
    };
    tree.walk()
        .map(|(path, node)| (text(&path), meta(node)))
        .collect()
}
