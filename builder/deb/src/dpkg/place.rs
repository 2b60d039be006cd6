//! Placing one member of a package in the tree: directories that are there stay, other packages' files are respected,
//! conffiles wait as `.dpkg-new`.

use super::unpack::{Job, Listed, leads_to_same_dir};
use super::{Dpkg, State, dereference, md5, path, tree_error, with_suffix};
use crate::error::Error;
use crate::name::PackageId;
use crate::tar::{Entry, EntryKind};
use fstree::{Content, Dir, File, FileKind, FileTree, ImgPath, Meta, Node};

/// What the other owners of a path mean for a member.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Claim {
    /// It is placed.
    Free,
    /// Another instance of a multi-arch package has the same file: it must not differ.
    Shared,
    /// What is there stays, because its owner replaces this package.
    Keep,
}

impl Dpkg {
    /// Places one member.
    pub(super) fn place(
        &mut self,
        tree: &mut FileTree,
        job: &mut Job<'_>,
        entry: &Entry,
    ) -> Result<(), Error> {
        if job
            .conffiles
            .iter()
            .any(|it| it.remove_on_upgrade && it.path == entry.path)
        {
            return Err(refused(
                job,
                entry,
                "is to be removed on upgrade and shipped at once",
            ));
        }
        if self.diversions.came_from(&entry.path).is_some() {
            return Err(refused(
                job,
                entry,
                "is where another package's file is diverted to",
            ));
        }
        let used = self
            .diversions
            .used(&entry.path, job.id.name.as_str())
            .to_vec();
        let awaiting = job.old.clone().unwrap_or_else(|| job.id.clone());
        self.activate_file(&used, Some(&awaiting));
        let is_conffile = job.is_new_conffile(&entry.path);
        let mut at = path(&used)?;
        if is_conffile {
            at = dereference(tree, &at).unwrap_or(at);
        }
        let stays = stays(tree, &at, &entry.kind);
        let claim = if stays {
            Claim::Free
        } else {
            self.claim(tree, job, entry, (&at, is_conffile))?
        };
        if claim == Claim::Keep {
            for conffile in job.conffiles.iter_mut().filter(|it| it.path == entry.path) {
                conffile.obsolete = true;
            }
            return Ok(());
        }
        let is_way = matches!(entry.kind, EntryKind::Dir | EntryKind::Symlink(_));
        let filtered = self.filters.skips(&entry.path, is_way);
        let taken = !stays && !filtered && claim == Claim::Free;
        job.listed.push(Listed {
            path: entry.path.clone(),
            filtered,
            taken,
            hash: None,
        });
        if stays || filtered {
            return Ok(());
        }
        if claim == Claim::Shared {
            // A shared conffile waits, or was installed, with the other instance; it may have been edited since.
            return if is_conffile {
                Ok(())
            } else {
                check_shared(tree, job, entry, &at)
            };
        }
        if is_conffile {
            at = with_suffix(&at, ".dpkg-new")?;
        }
        let meta = self.meta(job, entry);
        self.put_member(tree, job, entry, (&at, meta))
    }

    /// Puts the member at its place.
    fn put_member(
        &self,
        tree: &mut FileTree,
        job: &Job<'_>,
        entry: &Entry,
        (at, meta): (&ImgPath, Meta),
    ) -> Result<(), Error> {
        let failed = |source| tree_error(at, source);
        let to_dir = entry.kind == EntryKind::Dir;
        if to_dir || matches!(tree.get(at), Some(Node::Dir(_))) {
            tree.take(at);
        }
        let kind = match &entry.kind {
            EntryKind::Dir => {
                let parent = at.parent().unwrap_or_else(ImgPath::root);
                let name = at
                    .file_name()
                    .ok_or_else(|| refused(job, entry, "is the root and no directory there"))?;
                // The parent must be there: `put_dir` would say so, but follow a link that leads nowhere.
                tree.dir(&parent)
                    .ok_or_else(|| failed(fstree::EditError::Missing(parent.clone())))?;
                let real = tree.follow(&parent).map_err(failed)?.join(&name);
                tree.put_dir(&real, meta.clone()).map_err(failed)?;
                debug_assert!(tree.dir(&real).is_some_and(|it: &Dir| it.meta == meta));
                return Ok(());
            }
            EntryKind::Hardlink(to) => {
                let mut target = path(self.diversions.used(to, job.id.name.as_str()))?;
                if job.is_new_conffile(to) {
                    target = with_suffix(&target, ".dpkg-new")?;
                }
                let Some(Node::File(id)) = tree.get(&target) else {
                    return Err(refused(
                        job,
                        entry,
                        "is a hard link to a file that is not there",
                    ));
                };
                let id = *id;
                tree.put_name(at, id).map_err(failed)?;
                tree.file_mut(id).meta = meta;
                return Ok(());
            }
            EntryKind::File { offset, len } => {
                FileKind::Regular(Content::range(job.package.tar.clone(), *offset, *len))
            }
            EntryKind::Symlink(target) => FileKind::Symlink(target.clone()),
            EntryKind::CharDevice { major, minor } => FileKind::CharDevice {
                major: *major,
                minor: *minor,
            },
            EntryKind::BlockDevice { major, minor } => FileKind::BlockDevice {
                major: *major,
                minor: *minor,
            },
            EntryKind::Fifo => FileKind::Fifo,
        };
        tree.put(at, File { meta, kind }).map_err(failed)?;
        Ok(())
    }

    /// Returns owner, mode and time: the administrator's override, else the archive's.
    fn meta(&self, job: &Job<'_>, entry: &Entry) -> Meta {
        let (mut uid, mut gid) = (
            self.accounts.user(&entry.user),
            self.accounts.group(&entry.group),
        );
        let mut mode = entry.mode;
        if let Some(found) = self.overrides.get(&entry.path) {
            (uid, gid, mode) = (found.uid, found.gid, found.mode);
        }
        if matches!(entry.kind, EntryKind::Symlink(_)) {
            // Links have no mode of their own on Linux.
            mode = 0o777;
        }
        Meta {
            mode,
            uid,
            gid,
            mtime: entry.mtime,
            layer: job.stamp.layer,
            ..Meta::default()
        }
    }

    /// Returns what the other owners of the path mean, or that they forbid it.
    fn claim(
        &self,
        tree: &FileTree,
        job: &mut Job<'_>,
        entry: &Entry,
        (at, is_conffile): (&ImgPath, bool),
    ) -> Result<Claim, Error> {
        let mut claim = Claim::Free;
        let exists = tree.get(at).is_some();
        let is_same = job.package.control.control.get("Multi-Arch") == Some("same");
        for owner in self.owners.get(&entry.path).cloned().unwrap_or_default() {
            let Some(other) = self
                .packages
                .get(&owner)
                .filter(|_| Some(&owner) != job.old.as_ref())
            else {
                continue;
            };
            if owner.name == job.id.name && other.is_multi_arch_same() && is_same {
                let in_sync = other.version()? == job.package.version;
                if exists && in_sync {
                    claim = Claim::Shared;
                }
                continue;
            }
            if let Some(by) = self.diversions.diverter(&entry.path)
                && (by == owner.name.as_str() || by == job.id.name.as_str())
            {
                continue;
            }
            let shared_dir = !exists && entry.kind == EntryKind::Dir;
            let obsolete = is_conffile
                && other
                    .conffiles
                    .iter()
                    .any(|it| it.obsolete && it.path == entry.path);
            if shared_dir || other.state == State::ConfigFiles || obsolete {
                continue;
            }
            if !self.replaces(job, entry, &owner)? {
                claim = Claim::Keep;
            }
        }
        Ok(claim)
    }

    /// Returns whether the package replaces the owner's files (`true`) or the owner this package's (`false`).
    fn replaces(&self, job: &mut Job<'_>, entry: &Entry, owner: &PackageId) -> Result<bool, Error> {
        if let Some(known) = job.replaces.get(owner) {
            return Ok(*known);
        }
        let ours =
            crate::relation::Relations::parse_field(job.package.control.control.get("Replaces"))?;
        let theirs = self.relations(owner, "Replaces")?;
        let their_version = self
            .packages
            .get(owner)
            .map(super::Stanza::version)
            .transpose()?;
        let we_do = ours.alternatives().any(|it| {
            it.name == owner.name
                && their_version
                    .as_ref()
                    .is_some_and(|version| it.admits(version))
        });
        let they_do = theirs
            .alternatives()
            .any(|it| it.name == job.id.name && it.admits(&job.package.version));
        if !we_do && !they_do {
            return Err(Error::FileConflict {
                package: format!("{} {}", job.id, job.package.version),
                path: String::from_utf8_lossy(&entry.path).into_owned(),
                owner: owner.to_string(),
            });
        }
        job.replaces.insert(owner.clone(), we_do);
        Ok(we_do)
    }
}

/// Returns whether what is there is a directory that serves for the member and is left alone.
fn stays(tree: &FileTree, at: &ImgPath, kind: &EntryKind) -> bool {
    match kind {
        EntryKind::Dir => at.is_root() || super::is_dir(tree, at),
        EntryKind::Symlink(target) => match tree.get(at) {
            Some(Node::Dir(_)) => true,
            Some(Node::File(id)) => {
                matches!(tree.file(*id).kind, FileKind::Symlink(_))
                    && leads_to_same_dir(tree, at, target)
            }
            None => false,
        },
        _ => false,
    }
}

/// Checks that a file which another architecture's instance has too is the same.
fn check_shared(tree: &FileTree, job: &Job<'_>, entry: &Entry, at: &ImgPath) -> Result<(), Error> {
    let same = match (&entry.kind, tree.file_at(at).map(|it| &it.kind)) {
        (EntryKind::File { offset, len }, Some(FileKind::Regular(content))) => {
            content.len() == *len
                && md5(content)? == md5(&Content::range(job.package.tar.clone(), *offset, *len))?
        }
        (EntryKind::Symlink(new), Some(FileKind::Symlink(old))) => new == old,
        // dpkg compares hard links by the digest of what they lead to, which was compared under its own name.
        (EntryKind::Hardlink(_), Some(FileKind::Regular(_))) => true,
        _ => false,
    };
    if same {
        Ok(())
    } else {
        Err(refused(
            job,
            entry,
            "differs from the one another architecture's instance has",
        ))
    }
}

fn refused(job: &Job<'_>, entry: &Entry, why: &str) -> Error {
    let why = format!("{} {why}", String::from_utf8_lossy(&entry.path));
    Error::Refused {
        package: job.id.to_string(),
        why,
    }
}
