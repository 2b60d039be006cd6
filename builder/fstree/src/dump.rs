//! The text form of a tree: one line an entry, the same text for the same tree.
//!
//! Accounts for all that a tree holds but the content itself, of which the caller says what is printed.

use crate::content::Content;
use crate::path::shown;
use crate::tree::{FileKind, FileTree, Meta, Node};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;

/// Returns the tree as text; `digest` prints a file's content, say as its SHA-256.
///
/// A line is `type mode uid:gid seconds.nanoseconds what path`, then ` =path` of the first name for later names of one
/// file, and ` name=hex` for each extended attribute. Errors are `digest`'s own.
pub fn dump(
    tree: &FileTree,
    digest: &mut dyn FnMut(&Content) -> io::Result<String>,
) -> io::Result<String> {
    let mut text = String::new();
    let mut seen = BTreeMap::new();
    line(&mut text, 'd', &tree.root().meta, "-", "/");
    for (path, node) in tree.walk() {
        let path = path.to_string();
        let id = match node {
            Node::Dir(dir) => {
                line(&mut text, 'd', &dir.meta, "-", &path);
                continue;
            }
            Node::File(id) => id,
        };
        if let Some(first) = seen.get(id) {
            writeln!(text, "h {path} ={first}").expect("a String takes all");
            continue;
        }
        let file = tree.file(*id);
        let (kind, what) = match &file.kind {
            FileKind::Regular(content) => ('f', format!("{}:{}", content.len(), digest(content)?)),
            FileKind::Symlink(target) => ('l', format!("->{}", shown(target))),
            FileKind::BlockDevice { major, minor } => ('b', format!("{major},{minor}")),
            FileKind::CharDevice { major, minor } => ('c', format!("{major},{minor}")),
            FileKind::Fifo => ('p', "-".to_owned()),
            FileKind::Socket => ('s', "-".to_owned()),
        };
        line(&mut text, kind, &file.meta, &what, &path);
        seen.insert(*id, path);
    }
    Ok(text)
}

fn line(text: &mut String, kind: char, meta: &Meta, what: &str, path: &str) {
    let Meta {
        mode,
        uid,
        gid,
        mtime,
        xattrs,
        flags,
        layer: _,
    } = meta;
    write!(
        text,
        "{kind} {mode:04o} {uid}:{gid} {}.{:09} {what} {path}",
        mtime.secs, mtime.nanos
    )
    .expect("a String takes all");
    if *flags != 0 {
        write!(text, " flags={flags:#x}").expect("a String takes all");
    }
    for (name, value) in xattrs {
        let hex: String = value.iter().map(|it| format!("{it:02x}")).collect();
        write!(text, " {}={hex}", shown(name)).expect("a String takes all");
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::ImgPath;
    use crate::tree::{File, Timestamp};

    #[test]
    fn every_kind_has_a_line() {
        let mut tree = FileTree::new(Meta {
            mode: 0o755,
            ..Meta::default()
        });
        let meta = Meta {
            mode: 0o644,
            uid: 1,
            mtime: Timestamp { secs: 5, nanos: 7 },
            ..Meta::default()
        };
        let mut put = |path: &str, kind| {
            let meta = meta.clone();
            tree.put(&ImgPath::new(path).unwrap(), File { meta, kind })
                .unwrap()
        };
        let id = put("/a b", FileKind::Regular(Content::inline(*b"xyz")));
        put("/dev", FileKind::CharDevice { major: 1, minor: 3 });
        put("/l", FileKind::Symlink(b"a b".to_vec()));
        tree.put_name(&ImgPath::new("/z").unwrap(), id).unwrap();
        tree.file_mut(id)
            .meta
            .xattrs
            .insert(b"user.a".to_vec(), vec![1, 255]);
        let text = dump(&tree, &mut |content| Ok(format!("len{}", content.len()))).unwrap();
        let want = "d 0755 0:0 0.000000000 - /\n\
            f 0644 1:0 5.000000007 3:len3 /a\\x20b user.a=01ff\n\
            c 0644 1:0 5.000000007 1,3 /dev\n\
            l 0644 1:0 5.000000007 ->a\\x20b /l\n\
            h /z =/a\\x20b\n";
        assert_eq!(text, want);
    }
}
