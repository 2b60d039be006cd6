//! The shipped profiles and overlays, which are part of the program, and the user's own, which win file by file.

use super::at;
use include_dir::{Dir, include_dir};
use nodeimg::error::Result;
use nodeimg::shelf::Shelf;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// The shipped trees, by the name of their folder.
static SHIPPED: [(&str, Dir<'_>); 2] = [
    (
        "profiles",
        include_dir!("$CARGO_MANIFEST_DIR/../../profiles"),
    ),
    (
        "overlays",
        include_dir!("$CARGO_MANIFEST_DIR/../../overlays"),
    ),
];

/// How deep a user's folders are searched.
const MAX_DEPTH: usize = 32;

/// Profiles and overlays: those of a folder over those of the program.
#[derive(Clone, Debug)]
pub(crate) struct Shelves {
    beside: PathBuf,
}

impl Shelves {
    /// Returns the shipped files, with `profiles/` and `overlays/` of a folder over them.
    pub(crate) fn beside(folder: impl Into<PathBuf>) -> Self {
        Self {
            beside: folder.into(),
        }
    }

    /// Returns the user's file of that name, if there is one: what to name in an error about it.
    pub(crate) fn own(&self, path: &str) -> Option<PathBuf> {
        let own = self.beside.join(checked(path)?);
        own.is_file().then_some(own)
    }
}

impl Shelf for Shelves {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        if let Some(own) = self.own(path) {
            return fs::read(&own).map(Some).map_err(at("read", &own));
        }
        let found = checked(path).and_then(shipped);
        Ok(found
            .and_then(|(tree, rest)| tree.get_file(rest))
            .map(|it| it.contents().to_vec()))
    }

    fn list(&self, folder: &str) -> Vec<String> {
        let Some(folder) = checked(folder.trim_end_matches('/')) else {
            return Vec::new();
        };
        let mut names = BTreeSet::new();
        if let Some((tree, rest)) = shipped(folder) {
            let below = if rest.as_os_str().is_empty() {
                Some(tree)
            } else {
                tree.get_dir(rest)
            };
            let root = folder.iter().next().map_or(folder, Path::new);
            if let Some(below) = below {
                add_shipped(below, root, &mut names);
            }
        }
        add_own(&self.beside.join(folder), folder, MAX_DEPTH, &mut names);
        names.into_iter().collect()
    }
}

/// Returns a path if it is relative and stays below where it starts, inside one of the trees.
fn checked(path: &str) -> Option<&Path> {
    let path = Path::new(path);
    let known = SHIPPED.iter().any(|(name, _)| path.starts_with(name));
    (known
        && path
            .components()
            .all(|it| matches!(it, Component::Normal(_))))
    .then_some(path)
}

/// Returns the shipped tree a path is in, and the path within it.
fn shipped(path: &Path) -> Option<(&'static Dir<'static>, &Path)> {
    SHIPPED
        .iter()
        .find_map(|(name, tree)| Some((tree, path.strip_prefix(name).ok()?)))
}

fn add_shipped(dir: &Dir<'_>, root: &Path, names: &mut BTreeSet<String>) {
    names.extend(
        dir.files()
            .filter_map(|it| Some(root.join(it.path()).to_str()?.to_owned())),
    );
    dir.dirs().for_each(|it| add_shipped(it, root, names));
}

fn add_own(folder: &Path, name: &Path, depth: usize, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|_| depth > 0)
    {
        let (path, name) = (entry.path(), name.join(entry.file_name()));
        if path.is_dir() {
            add_own(&path, &name, depth - 1, names);
        } else if path.is_file() {
            names.extend(name.to_str().map(str::to_owned));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_files_win_one_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let shelves = Shelves::beside(folder.path());
        let shipped = shelves.list("overlays");
        let first = shipped.first().expect("overlays are shipped").clone();
        let bytes = shelves
            .read(&first)
            .unwrap()
            .expect("what is listed can be read");
        assert!(shelves.own(&first).is_none());

        let own = folder.path().join(&first);
        fs::create_dir_all(own.parent().unwrap()).unwrap();
        fs::write(&own, [&bytes[..], b"own"].concat()).unwrap();
        fs::create_dir_all(folder.path().join("profiles")).unwrap();
        fs::write(folder.path().join("profiles/mine.toml"), "x").unwrap();
        assert_eq!(
            shelves.read(&first).unwrap(),
            Some([&bytes[..], b"own"].concat())
        );
        assert_eq!(shelves.own(&first), Some(own));
        assert_eq!(shelves.list("overlays"), shipped);
        assert!(
            shelves
                .list("profiles")
                .contains(&"profiles/mine.toml".to_owned())
        );
        let part = first.rsplit_once('/').unwrap().0;
        assert!(
            shelves.list(part).contains(&first)
                && shelves.list(&format!("{part}/")).contains(&first)
        );
        assert!(shipped.iter().all(|it| shelves.read(it).unwrap().is_some()));
        assert!(shipped.is_sorted());
    }

    #[test]
    fn paths_stay_on_the_shelf() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("secret"), "x").unwrap();
        let shelves = Shelves::beside(folder.path());
        for bad in [
            "secret",
            "profiles/../secret",
            "/etc/passwd",
            "",
            "profiles/../../etc/passwd",
            "profilesx",
        ] {
            assert_eq!(shelves.read(bad).unwrap(), None, "{bad}");
            assert_eq!(shelves.list(bad), [""; 0], "{bad}");
        }
    }
}
