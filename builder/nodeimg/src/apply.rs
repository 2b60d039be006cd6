//! Carrying out a plan on values: the base is read into trees, the trees are edited, and nothing is written.
//!
//! File content stays in the verified inputs; what is held in memory is names, metadata and what was made anew. What comes
//! out is an [`Image`], which answers `read_at` for every byte of the disk.

mod boot;
mod files;
mod image;
mod kernel;
mod packages;
mod passwords;
mod prepare;
mod seed;
mod tarball;
mod units;

use crate::error::{Error, Result, input};
use crate::open::{Clusters, OpenDisk};
use crate::plan::{Plan, Step};
use crate::tables;
use crate::volumes::{self, Volume};
use crate::want::Blobs;
use fstree::{Content, FileTree, ImgPath, Timestamp};
use std::num::NonZeroUsize;

pub use image::{Image, Notes};
pub(crate) use seed::volume as seed_volume;

/// The largest file of a boot partition that is edited.
const MAX_EDITED: u64 = 1 << 20;

/// What is told while a plan is carried out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A stage began.
    Stage(&'a str),
    /// So much of a stage is done, of so much.
    Progress(u64, u64),
    /// Something was wrong with an input and could be mended.
    Warning(&'a str),
}

/// The image while it is made.
struct Work<'a> {
    base: OpenDisk,
    clusters: Option<Clusters>,
    root: Volume<ext4::Facts>,
    boot: Option<Volume<fat::Facts>>,
    packages: packages::Packages,
    seed: Option<Vec<(String, Content)>>,
    slack: u64,
    disk: Option<u64>,
    time: Timestamp,
    blobs: &'a dyn Blobs,
}

/// Carries out a plan.
pub fn apply(
    plan: &Plan,
    blobs: &dyn Blobs,
    jobs: NonZeroUsize,
    events: &mut dyn FnMut(Event<'_>),
) -> Result<Image> {
    events(Event::Stage("inputs"));
    prepare::prepare(plan, blobs, jobs, events)?;
    events(Event::Stage("base"));
    let mut work = start(plan, blobs, jobs)?;
    for warning in std::mem::take(&mut work.base.table.warnings) {
        events(Event::Warning(&format!("the base image: {warning}")));
    }
    events(Event::Stage("tree"));
    for (at, step) in plan.steps.iter().enumerate().skip(1) {
        events(Event::Progress(at as u64, plan.steps.len() as u64));
        work.step(step)?;
    }
    events(Event::Stage("layout"));
    image::finish(work, plan)
}

/// Reads the base image: a plan's first step.
fn start<'a>(plan: &Plan, blobs: &'a dyn Blobs, jobs: NonZeroUsize) -> Result<Work<'a>> {
    let Some(Step::Base {
        digest,
        arch,
        root_label,
        boot_label,
    }) = plan.steps.first()
    else {
        return Err(Error::input("a plan begins with its base"));
    };
    let time = Timestamp::from_secs(plan.time);
    let read = |base: &OpenDisk| {
        let root = volumes::root(base, root_label, jobs)?;
        let boot = boot_label.as_ref();
        let boot = boot.map(|label| volumes::boot(base, label)).transpose()?;
        let packages = packages::Packages::open(&root.tree, *arch, time)?;
        Ok((root, boot, packages))
    };
    let base = crate::open::input(*digest, blobs, jobs)?;
    let clusters = Clusters::of(&base, *digest, blobs, jobs)?;
    let key = format!("{digest} {root_label:?} {boot_label:?}");
    let disk = tables::kept(base.disk.clone(), &key, blobs, |disk| {
        let noted = OpenDisk {
            disk: disk.clone(),
            table: base.table.clone(),
            qcow2: None,
        };
        read(&noted).map(drop)
    })?;
    let base = OpenDisk { disk, ..base };
    let (root, boot, packages) = read(&base)?;
    Ok(Work {
        base,
        clusters,
        root,
        boot,
        packages,
        seed: None,
        slack: 0,
        disk: None,
        time,
        blobs,
    })
}

impl Work<'_> {
    fn step(&mut self, step: &Step) -> Result<()> {
        let (tree, time) = (&mut self.root.tree, self.time);
        match step {
            Step::Base { .. } => Err(Error::input("a plan has one base")),
            Step::Unpack { digest, package } => {
                self.packages.unpack(tree, package, *digest, self.blobs)
            }
            Step::Configure => self.packages.configure(tree),
            Step::Hold { pattern } => {
                self.packages.hold(pattern);
                Ok(())
            }
            Step::Dir { path, owner } => files::dir(tree, path, *owner, time),
            Step::Put {
                path,
                owner,
                content,
                layer,
                ..
            } => {
                let content = files::content(content, self.blobs)?;
                files::put(tree, path, (*owner, content), *layer, time)
            }
            Step::Untar {
                path,
                digest,
                strip,
            } => files::untar(tree, path, (*digest, *strip), self.blobs, time),
            Step::Link { path, target } => files::link(tree, path, target, time),
            Step::Remove { pattern } => files::remove(tree, pattern),
            Step::Empty { path } => files::empty(tree, path, time),
            Step::LockPasswords => lock_passwords(tree),
            Step::Unit { change, unit } => units::change(tree, unit, *change, time),
            Step::Depmod { kernel } => kernel::depmod(tree, kernel, time),
            Step::Cmdline { word } => {
                self.edit_boot("cmdline.txt", |text| boot::add_word(text, word))
            }
            Step::Config { line } => {
                self.edit_boot("config.txt", |text| boot::add_line(text, line))
            }
            Step::Seed { place, files } => self.seed(*place, files),
            Step::Size { slack, disk } => {
                self.slack = slack.0;
                self.disk = disk.map(|it| it.0);
                Ok(())
            }
        }
    }

    /// Changes a text file of the boot partition, keeping its time if nothing changes.
    fn edit_boot(&mut self, name: &str, change: impl FnOnce(&[u8]) -> Vec<u8>) -> Result<()> {
        let boot = self
            .boot
            .as_mut()
            .ok_or_else(|| Error::input(format!("there is no boot partition with {name}")))?;
        let path = ImgPath::new(format!("/{name}")).map_err(input(name.to_owned()))?;
        let content = boot
            .tree
            .content(&path)
            .ok_or_else(|| Error::input(format!("the boot partition has no {name}")))?
            .read_all(MAX_EDITED)
            .map_err(input(format!("{name} of the boot partition")))?;
        let changed = change(&content);
        if changed != content {
            seed::put_in_boot(&mut boot.tree, &path, Content::inline(changed), self.time)?;
        }
        Ok(())
    }
}

/// Locks every account of the image that has a password.
fn lock_passwords(tree: &mut FileTree) -> Result<()> {
    for name in [
        "/etc/shadow",
        "/etc/shadow-",
        "/etc/gshadow",
        "/etc/gshadow-",
    ] {
        let path = ImgPath::new(name).expect("a constant path");
        let Some(content) = tree.content(&path) else {
            continue;
        };
        let before = content.read_all(MAX_EDITED).map_err(input(name))?;
        let after = passwords::lock(&before);
        let real = tree.follow(&path).map_err(input(name))?;
        if before != after
            && let Some(fstree::Node::File(id)) = tree.get(&real)
        {
            let id = *id;
            tree.file_mut(id).kind = fstree::FileKind::Regular(Content::inline(after));
        }
    }
    Ok(())
}
