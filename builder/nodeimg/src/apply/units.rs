//! Enabling, disabling and masking units offline: the links that `systemctl` would make.
//!
//! systemd.unit(5), section `[Install]`: WantedBy, RequiredBy, Alias and Also. Templates' DefaultInstance and presets are
//! not looked at.

use crate::error::{Error, Result, input};
use crate::plan::{UnitChange, layer};
use fstree::{File, FileKind, FileTree, ImgPath, Meta, Node, Timestamp};

/// Where units stand, those that win first.
const PLACES: [&str; 3] = [
    "/etc/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
/// As deep as units may name one another by Also.
const MAX_ALSO: u32 = 16;
/// A unit file is text that people write.
const MAX_UNIT: u64 = 1 << 20;

/// Changes a unit.
pub(super) fn change(
    tree: &mut FileTree,
    unit: &str,
    change: UnitChange,
    time: Timestamp,
) -> Result<()> {
    match change {
        UnitChange::Enable => enable(tree, unit, time, 0),
        UnitChange::Disable => {
            for link in links(tree, unit)? {
                tree.take(&link);
            }
            Ok(())
        }
        UnitChange::Mask => link(tree, &format!("{}/{unit}", PLACES[0]), "/dev/null", time),
    }
}

fn enable(tree: &mut FileTree, unit: &str, time: Timestamp, depth: u32) -> Result<()> {
    if depth > MAX_ALSO {
        return Err(Error::input(format!("unit {unit} names itself by Also=")));
    }
    let (path, install) = find(tree, unit)?;
    for (key, value) in &install {
        match key.as_str() {
            "WantedBy" => link(
                tree,
                &format!("{}/{value}.wants/{unit}", PLACES[0]),
                &path,
                time,
            )?,
            "RequiredBy" => link(
                tree,
                &format!("{}/{value}.requires/{unit}", PLACES[0]),
                &path,
                time,
            )?,
            "Alias" => link(tree, &format!("{}/{value}", PLACES[0]), &path, time)?,
            "Also" if value != unit => enable(tree, value, time, depth + 1)?,
            _ => {}
        }
    }
    Ok(())
}

/// Returns a unit's path and the words of its `[Install]` section, one key and one word each.
fn find(tree: &FileTree, unit: &str) -> Result<(String, Vec<(String, String)>)> {
    for place in PLACES {
        let path = format!("{place}/{unit}");
        let Ok(img_path) = ImgPath::new(&path) else {
            break;
        };
        if let Some(content) = tree.content(&img_path) {
            let bytes = content
                .read_all(MAX_UNIT)
                .map_err(input(format!("unit {path} cannot be read")))?;
            return Ok((path, install_section(&String::from_utf8_lossy(&bytes))));
        }
    }
    Err(
        Error::input(format!("there is no unit {unit} in the image"))
            .help("an overlay that enables a unit brings it, or a package of the profile does"),
    )
}

fn install_section(text: &str) -> Vec<(String, String)> {
    let mut words = Vec::new();
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line == "[Install]";
        } else if inside && let Some((key, values)) = line.split_once('=') {
            let key = key.trim();
            words.extend(
                values
                    .split_whitespace()
                    .map(|it| (key.to_owned(), it.to_owned())),
            );
        }
    }
    words
}

/// Returns all links to a unit below `/etc/systemd/system`.
fn links(tree: &FileTree, unit: &str) -> Result<Vec<ImgPath>> {
    let folder = ImgPath::new(PLACES[0]).map_err(input("systemd's folder"))?;
    let mut found = Vec::new();
    let Some(dir) = tree.dir(&folder) else {
        return Ok(found);
    };
    for (name, node) in dir.entries() {
        let Node::Dir(wants) = node else { continue };
        let is_wants = [&b".wants"[..], b".requires"]
            .iter()
            .any(|it| name.as_bytes().ends_with(it));
        if is_wants
            && wants
                .entries()
                .any(|(name, _)| name.as_bytes() == unit.as_bytes())
        {
            let path = format!("{}/{name}/{unit}", PLACES[0]);
            found.push(ImgPath::new(path).map_err(input(format!("unit {unit}")))?);
        }
    }
    Ok(found)
}

fn link(tree: &mut FileTree, path: &str, target: &str, time: Timestamp) -> Result<()> {
    let path = ImgPath::new(path).map_err(input(format!("unit link {path}")))?;
    let parent = path.parent().unwrap_or_else(ImgPath::root);
    let failed = format!("unit link {path}");
    tree.make_dirs(&parent, &Meta::root_owned(0o755, time, layer::MADE))
        .map_err(input(failed.clone()))?;
    let meta = Meta::root_owned(0o777, time, layer::MADE);
    tree.put(
        &path,
        File {
            meta,
            kind: FileKind::Symlink(target.as_bytes().to_vec()),
        },
    )
    .map_err(input(failed))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use fstree::Content;

    fn tree(unit: &str) -> FileTree {
        let mut tree = FileTree::new(Meta::default());
        tree.make_dirs(
            &ImgPath::new("/usr/lib/systemd/system").unwrap(),
            &Meta::default(),
        )
        .unwrap();
        let kind = FileKind::Regular(Content::inline(unit.as_bytes()));
        let path = ImgPath::new("/usr/lib/systemd/system/a.service").unwrap();
        tree.put(
            &path,
            File {
                meta: Meta::default(),
                kind,
            },
        )
        .unwrap();
        tree
    }

    fn all_links(tree: &FileTree) -> Vec<String> {
        let is_link = |node: &Node| match node {
            Node::File(id) => matches!(tree.file(*id).kind, FileKind::Symlink(_)),
            Node::Dir(_) => false,
        };
        tree.walk()
            .filter(|(_, node)| is_link(node))
            .map(|(path, _)| path.to_string())
            .collect()
    }

    #[test]
    fn install_sections_become_links() {
        let mut tree = tree(
            "[Unit]\nWantedBy=no\n[Install]\n# x\nWantedBy = multi-user.target x.target\nAlias=b.service\n",
        );
        change(
            &mut tree,
            "a.service",
            UnitChange::Enable,
            Timestamp::default(),
        )
        .unwrap();
        let want = [
            "/etc/systemd/system/b.service",
            "/etc/systemd/system/multi-user.target.wants/a.service",
            "/etc/systemd/system/x.target.wants/a.service",
        ];
        assert_eq!(all_links(&tree), want);
        change(
            &mut tree,
            "a.service",
            UnitChange::Disable,
            Timestamp::default(),
        )
        .unwrap();
        assert_eq!(all_links(&tree), want[..1]);
        change(
            &mut tree,
            "a.service",
            UnitChange::Mask,
            Timestamp::default(),
        )
        .unwrap();
        assert_eq!(all_links(&tree)[0], "/etc/systemd/system/a.service");
    }

    #[test]
    fn missing_units_and_circles_are_errors() {
        let mut tree = tree("[Install]\nAlso=a.service b.service\n");
        let error = change(
            &mut tree,
            "a.service",
            UnitChange::Enable,
            Timestamp::default(),
        )
        .unwrap_err();
        assert_eq!(error.to_string(), "there is no unit b.service in the image");
    }
}
