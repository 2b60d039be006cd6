//! Looking things up by path and changing them.
//!
//! Symbolic links on the way to the last name are followed as the kernel would inside the image's own root (`/lib` may be
//! a link to `usr/lib`); the last name itself never is, except by [`FileTree::follow`]. Nothing is created on the way
//! unless asked for.

use crate::content::Content;
use crate::path::{ImgPath, Name};
use crate::tree::{Dir, File, FileId, FileKind, FileTree, Meta, Node};

/// As many links as Linux follows in one path.
const MAX_LINKS: u32 = 40;

/// Bytes of a path; nothing is put under a longer one: Linux cannot name it, and a tree that is deep takes long to walk.
pub const MAX_PATH: usize = 4096;

/// Why an edit cannot be made.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// Something on the way does not exist.
    #[error("{0} does not exist")]
    Missing(ImgPath),
    /// Something on the way is neither a directory nor a link to one.
    #[error("{0} is not a directory")]
    NotADirectory(ImgPath),
    /// A directory stands where a file is to be put.
    #[error("{0} is a directory")]
    IsADirectory(ImgPath),
    /// A link leads in circles or through more than 40 others.
    #[error("{0} leads through too many symbolic links")]
    TooManyLinks(ImgPath),
    /// With its links followed the path is longer than any that Linux takes.
    #[error("{0} is longer than the 4096 bytes of a path")]
    TooLong(ImgPath),
    /// A directory would be moved below itself.
    #[error("{0} cannot be moved into itself")]
    IntoItself(ImgPath),
}

impl FileTree {
    /// Returns the node at `path`, following links on the way but not the last name.
    pub fn get(&self, path: &ImgPath) -> Option<&Node> {
        let real = self.locate(path).ok()?;
        let (parent, name) = (real.parent()?, real.file_name()?);
        self.plain_dir(&parent)?.get(&name)
    }

    /// Returns the directory at `path`, following all links.
    pub fn dir(&self, path: &ImgPath) -> Option<&Dir> {
        self.plain_dir(&self.follow(path).ok()?)
    }

    /// Returns the file at `path` (not a directory), following links on the way but not the last name.
    pub fn file_at(&self, path: &ImgPath) -> Option<&File> {
        match self.get(path)? {
            Node::File(id) => Some(self.file(*id)),
            Node::Dir(_) => None,
        }
    }

    /// Returns the content of the regular file at `path`, following all links.
    pub fn content(&self, path: &ImgPath) -> Option<&Content> {
        match &self.file_at(&self.follow(path).ok()?)?.kind {
            FileKind::Regular(content) => Some(content),
            _ => None,
        }
    }

    /// Returns where `path` really is: links on the way are resolved, the last name is kept and need not exist.
    pub fn locate(&self, path: &ImgPath) -> Result<ImgPath, EditError> {
        match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => Ok(self.follow(&parent)?.join(&name)),
            _ => Ok(path.clone()),
        }
    }

    /// Returns where `path` leads when all links are followed, the last name's too; it must exist.
    pub fn follow(&self, path: &ImgPath) -> Result<ImgPath, EditError> {
        if self.is_plain(path) {
            return Ok(path.clone());
        }
        let mut links = 0;
        let mut todo: Vec<&[u8]> = path.parts().rev().collect();
        let mut here = ImgPath::root();
        // What is on the way, the root first. `None` is a file, at the end.
        let mut way = vec![Some(&self.root)];
        while let Some(part) = todo.pop() {
            match part {
                b"" | b"." => continue,
                b".." => {
                    here.pop();
                    if way.len() > 1 {
                        way.pop();
                    }
                    continue;
                }
                _ => {}
            }
            let dir = way.last().copied().flatten();
            let dir = dir.ok_or_else(|| EditError::NotADirectory(here.clone()))?;
            let Some((name, node)) = dir.entries.get_key_value(part) else {
                let name = Name::new(part);
                return Err(EditError::Missing(
                    name.map_or_else(|_| path.clone(), |name| here.join(&name)),
                ));
            };
            if let Node::File(id) = node
                && let FileKind::Symlink(target) = &self.file(*id).kind
            {
                links += 1;
                if links > MAX_LINKS {
                    return Err(EditError::TooManyLinks(path.clone()));
                }
                if target.first() == Some(&b'/') {
                    here = ImgPath::root();
                    way.truncate(1);
                }
                todo.extend(target.split(|it| *it == b'/').rev());
            } else {
                here.push(name);
                way.push(match node {
                    Node::Dir(dir) => Some(dir),
                    Node::File(_) => None,
                });
            }
        }
        Ok(here)
    }

    /// Returns whether something is at `path` that is no link, nor is any on the way.
    fn is_plain(&self, path: &ImgPath) -> bool {
        let mut dir = Some(&self.root);
        for part in path.parts() {
            dir = match dir.and_then(|it| it.entries.get(part)) {
                Some(Node::Dir(dir)) => Some(&**dir),
                Some(Node::File(id)) if !matches!(self.file(*id).kind, FileKind::Symlink(_)) => {
                    None
                }
                _ => return false,
            };
        }
        true
    }

    /// Puts a file at `path`, in place of any file there; its directory must exist.
    pub fn put(&mut self, path: &ImgPath, file: File) -> Result<FileId, EditError> {
        let id = self.add(file);
        self.put_name(path, id)?;
        Ok(id)
    }

    /// Gives the file `id` another name, in place of any file there: a hard link.
    pub fn put_name(&mut self, path: &ImgPath, id: FileId) -> Result<(), EditError> {
        let (dir, name) = self.slot(path)?;
        if matches!(dir.get(&name), Some(Node::Dir(_))) {
            return Err(EditError::IsADirectory(path.clone()));
        }
        dir.insert(name, Node::File(id));
        Ok(())
    }

    /// Makes a directory, or changes the metadata of the one that is there (links to one are followed).
    pub fn put_dir(&mut self, path: &ImgPath, meta: Meta) -> Result<(), EditError> {
        if let Ok(real) = self.follow(path) {
            let dir = self
                .plain_dir_mut(&real)
                .ok_or_else(|| EditError::NotADirectory(path.clone()))?;
            dir.meta = meta;
            return Ok(());
        }
        let (dir, name) = self.slot(path)?;
        if dir.get(&name).is_some() {
            return Err(EditError::NotADirectory(path.clone()));
        }
        dir.insert(name, Node::Dir(Box::new(Dir::new(meta))));
        Ok(())
    }

    /// Makes the directories of `path` that do not exist, each with `meta`; those that exist stay as they are.
    pub fn make_dirs(&mut self, path: &ImgPath, meta: &Meta) -> Result<(), EditError> {
        // As a rule they are there.
        if self.plain_dir(path).is_some() {
            return Ok(());
        }
        let names: Vec<Name> = path.names().collect();
        let front = |count: usize| {
            let mut front = ImgPath::root();
            for name in &names[..count] {
                front.push(name);
            }
            front
        };
        // How many of the names lead somewhere: where one does not, none after it does.
        let (mut leads, mut fails) = (0, names.len() + 1);
        while fails - leads > 1 {
            let middle = usize::midpoint(leads, fails);
            match self.follow(&front(middle)) {
                Ok(_) => leads = middle,
                Err(_) => fails = middle,
            }
        }
        let mut here = self.follow(&front(leads))?;
        let missing = &names[leads..];
        let mut whole = here.clone();
        for name in missing {
            whole.push(name);
        }
        if !missing.is_empty() && whole.as_bytes().len() > MAX_PATH {
            return Err(EditError::TooLong(path.clone()));
        }
        let mut dir = self
            .plain_dir_mut(&here)
            .ok_or_else(|| EditError::NotADirectory(here.clone()))?;
        for name in missing {
            here.push(name);
            if dir.get(name).is_some() {
                return Err(EditError::NotADirectory(here));
            }
            dir.insert(name.clone(), Node::Dir(Box::new(Dir::new(meta.clone()))));
            let Some(Node::Dir(made)) = dir.get_mut(name) else {
                return Err(EditError::Missing(here));
            };
            dir = made;
        }
        Ok(())
    }

    /// Takes `path` out with all below it; returns what was there.
    pub fn take(&mut self, path: &ImgPath) -> Option<Node> {
        let (dir, name) = self.slot(path).ok()?;
        dir.remove(&name)
    }

    /// Moves a file or a directory, in place of any file at `to`; nothing is changed on failure.
    pub fn rename(&mut self, from: &ImgPath, to: &ImgPath) -> Result<(), EditError> {
        let (real, target) = (self.locate(from)?, self.locate(to)?);
        if real == target && self.get(from).is_some() {
            return Ok(());
        }
        if target.starts_with(&real) {
            return Err(EditError::IntoItself(from.clone()));
        }
        let (dir, name) = self.slot(to)?;
        if matches!(dir.get(&name), Some(Node::Dir(_))) {
            return Err(EditError::IsADirectory(to.clone()));
        }
        let node = self
            .take(from)
            .ok_or_else(|| EditError::Missing(from.clone()))?;
        let (dir, name) = self.slot(to)?;
        dir.insert(name, node);
        Ok(())
    }

    /// Returns the metadata at `path`, to be changed; links on the way are followed, the last name is not.
    pub fn meta_mut(&mut self, path: &ImgPath) -> Option<&mut Meta> {
        if path.is_root() {
            return Some(&mut self.root.meta);
        }
        let id = match self.get(path)? {
            Node::File(id) => *id,
            Node::Dir(_) => {
                let real = self.locate(path).ok()?;
                return self.plain_dir_mut(&real).map(|it| &mut it.meta);
            }
        };
        Some(&mut self.file_mut(id).meta)
    }

    /// Returns the directory that holds, or would hold, the last name of `path`.
    fn slot(&mut self, path: &ImgPath) -> Result<(&mut Dir, Name), EditError> {
        let real = self.locate(path)?;
        let (Some(parent), Some(name)) = (real.parent(), real.file_name()) else {
            return Err(EditError::IsADirectory(path.clone()));
        };
        if real.as_bytes().len() > MAX_PATH {
            return Err(EditError::TooLong(path.clone()));
        }
        let dir = self
            .plain_dir_mut(&parent)
            .ok_or(EditError::NotADirectory(parent))?;
        Ok((dir, name))
    }

    /// Returns the directory at a path that holds no link.
    fn plain_dir(&self, path: &ImgPath) -> Option<&Dir> {
        path.parts()
            .try_fold(&self.root, |dir, name| match dir.entries.get(name)? {
                Node::Dir(dir) => Some(&**dir),
                Node::File(_) => None,
            })
    }

    fn plain_dir_mut(&mut self, path: &ImgPath) -> Option<&mut Dir> {
        path.parts().try_fold(&mut self.root, |dir, name| {
            match dir.entries.get_mut(name)? {
                Node::Dir(dir) => Some(&mut **dir),
                Node::File(_) => None,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> ImgPath {
        ImgPath::new(text).unwrap()
    }

    fn link(target: &str) -> File {
        File {
            meta: Meta::default(),
            kind: FileKind::Symlink(target.into()),
        }
    }

    fn file(text: &str) -> File {
        File {
            meta: Meta::default(),
            kind: FileKind::Regular(Content::inline(text.as_bytes())),
        }
    }

    fn merged_usr() -> FileTree {
        let mut tree = FileTree::new(Meta::default());
        tree.make_dirs(&path("/usr/lib/modules"), &Meta::default())
            .unwrap();
        tree.put(&path("/lib"), link("usr/lib")).unwrap();
        tree
    }

    #[test]
    fn links_on_the_way_are_followed() {
        let mut tree = merged_usr();
        tree.put(&path("/lib/modules/x"), file("hello")).unwrap();
        assert!(tree.get(&path("/usr/lib/modules/x")).is_some());
        assert_eq!(tree.content(&path("/lib/modules/x")).unwrap().len(), 5);
        tree.put_dir(
            &path("/lib"),
            Meta {
                mode: 0o700,
                ..Meta::default()
            },
        )
        .unwrap();
        assert_eq!(tree.dir(&path("/usr/lib")).unwrap().meta.mode, 0o700);
        assert!(matches!(tree.get(&path("/lib")), Some(Node::File(_))));
        tree.make_dirs(&path("/lib/a/b"), &Meta::default()).unwrap();
        assert!(tree.dir(&path("/usr/lib/a/b")).is_some());
    }

    #[test]
    fn circles_end() {
        let mut tree = merged_usr();
        tree.put(&path("/a"), link("b")).unwrap();
        tree.put(&path("/b"), link("/a")).unwrap();
        assert_eq!(
            tree.follow(&path("/a/x")),
            Err(EditError::TooManyLinks(path("/a/x")))
        );
        assert!(tree.put(&path("/a/x"), file("")).is_err());
    }

    #[test]
    fn directories_are_made_as_deep_as_a_path_is_long_and_no_deeper() {
        let mut tree = FileTree::new(Meta::default());
        let deep = path(&"/d".repeat(2048));
        tree.make_dirs(&deep, &Meta::default()).unwrap();
        tree.make_dirs(&deep, &Meta::default()).unwrap();
        assert_eq!(tree.walk().count(), 2048);
        // Neither at the end of the path nor through a link, which makes it look short.
        let name = Name::new(b"d").unwrap();
        let too_long = Err(EditError::TooLong(deep.join(&name)));
        assert_eq!(
            tree.make_dirs(&deep.join(&name), &Meta::default()),
            too_long
        );
        assert_eq!(tree.put_dir(&deep.join(&name), Meta::default()), too_long);
        tree.put(&path("/l"), link(&"/d".repeat(2048))).unwrap();
        assert_eq!(
            tree.put(&path("/l/f"), file("")),
            Err(EditError::TooLong(path("/l/f")))
        );
        assert_eq!(
            tree.make_dirs(&path("/l/f/g"), &Meta::default()),
            Err(EditError::TooLong(path("/l/f/g")))
        );
    }

    #[test]
    fn no_directory_is_made_where_a_link_leads_nowhere_or_a_file_is() {
        let mut tree = merged_usr();
        tree.put(&path("/usr/gone"), link("nowhere")).unwrap();
        tree.put(&path("/usr/file"), file("")).unwrap();
        for (at, what) in [
            ("/usr/gone", "/usr/gone"),
            ("/usr/gone/a/b", "/usr/gone"),
            ("/usr/file", "/usr/file"),
            ("/usr/file/a/b", "/usr/file"),
        ] {
            assert_eq!(
                tree.make_dirs(&path(at), &Meta::default()),
                Err(EditError::NotADirectory(path(what)))
            );
        }
        tree.put(&path("/usr/up"), link("../usr/lib")).unwrap();
        tree.make_dirs(&path("/usr/up/a/b"), &Meta::default())
            .unwrap();
        assert!(tree.dir(&path("/usr/lib/a/b")).is_some());
    }

    #[test]
    fn dot_dot_stays_inside() {
        let mut tree = merged_usr();
        tree.put(&path("/usr/up"), link("../../../usr/lib"))
            .unwrap();
        assert_eq!(
            tree.follow(&path("/usr/up/modules")).unwrap(),
            path("/usr/lib/modules")
        );
    }

    #[test]
    fn hard_links_share_one_file() {
        let mut tree = merged_usr();
        let id = tree.put(&path("/x"), file("1")).unwrap();
        tree.put_name(&path("/usr/y"), id).unwrap();
        tree.file_mut(id).meta.mode = 0o600;
        assert_eq!(tree.file_at(&path("/usr/y")).unwrap().meta.mode, 0o600);
        assert_eq!(tree.links()[&id], 2);
        assert!(tree.put(&path("/usr"), file("")).is_err());
        tree.rename(&path("/x"), &path("/lib/z")).unwrap();
        tree.rename(&path("/lib/z"), &path("/usr/lib/z")).unwrap();
        assert!(tree.take(&path("/x")).is_none());
        assert!(tree.take(&path("/usr/lib/z")).is_some());
    }

    #[test]
    fn nothing_moves_into_itself() {
        let mut tree = merged_usr();
        for to in ["/usr/lib/usr", "/lib/x"] {
            assert_eq!(
                tree.rename(&path("/usr"), &path(to)),
                Err(EditError::IntoItself(path("/usr")))
            );
        }
        assert!(tree.dir(&path("/usr/lib/modules")).is_some());
        assert!(tree.rename(&path("/none"), &path("/other")).is_err());
    }
}
