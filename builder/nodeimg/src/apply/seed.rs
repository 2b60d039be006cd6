//! The node's seed: on the boot partition, or in a small FAT volume of its own.

use super::Work;
use crate::base::SeedPlace;
use crate::digest::Digest;
use crate::error::{Error, Result, input};
use crate::plan::{Payload, layer};
use disk::table::SectorSize;
use fstree::{Content, File, FileKind, FileTree, ImgPath, Meta, Mosaic, Timestamp};

/// The label by which cloud-init's `NoCloud` finds a seed.
const LABEL: &str = "CIDATA";

impl Work<'_> {
    /// Takes the seed's files; those of a boot partition replace the base's.
    pub(super) fn seed(&mut self, place: SeedPlace, payloads: &[(String, Payload)]) -> Result<()> {
        let mut files = Vec::new();
        for (name, payload) in payloads {
            files.push((name.clone(), super::files::content(payload, self.blobs)?));
        }
        match place {
            SeedPlace::CidataPartition => self.seed = Some(files),
            SeedPlace::BootPartition => {
                let boot = self
                    .boot
                    .as_mut()
                    .ok_or_else(|| Error::input("there is no boot partition for the seed"))?;
                for (name, content) in files {
                    put_in_boot(&mut boot.tree, &path(&name)?, content, self.time)?;
                }
            }
        }
        Ok(())
    }
}

fn path(name: &str) -> Result<ImgPath> {
    ImgPath::new(format!("/{name}")).map_err(input(format!("seed file {name:?}")))
}

/// Puts a file on the boot partition, where every file is everybody's.
pub(super) fn put_in_boot(
    tree: &mut FileTree,
    path: &ImgPath,
    content: Content,
    time: Timestamp,
) -> Result<()> {
    let meta = Meta::root_owned(0o755, time, layer::MADE);
    let broken = || input(format!("{path} of the boot partition"));
    if let Some(folder) = path.parent() {
        tree.make_dirs(&folder, &meta).map_err(broken())?;
    }
    let file = File {
        meta,
        kind: FileKind::Regular(content),
    };
    tree.put(path, file).map_err(broken())?;
    Ok(())
}

/// Returns a FAT volume of `size` bytes, for a disk of such sectors, that holds the seed; its serial number comes from `plan`, the
/// digest of what it is for.
pub(crate) fn volume(
    files: &[(String, Content)],
    (size, sector): (u64, SectorSize),
    plan: Digest,
    time: Timestamp,
) -> Result<Mosaic> {
    let mut tree = FileTree::new(Meta::root_owned(0o755, time, layer::MADE));
    for (name, content) in files {
        put_in_boot(&mut tree, &path(name)?, content.clone(), time)?;
    }
    let broken = || input("the seed's volume");
    let serial = plan.uuid("seed volume");
    let serial = u32::from_le_bytes([serial[0], serial[1], serial[2], serial[3]]);
    let label = fat::Label::new(LABEL).map_err(broken())?;
    let mut options = fat::Options::fresh(size, Some(label), serial, time);
    // Linux mounts no volume whose sectors are smaller than its disk's.
    if sector == SectorSize::B4096 {
        options = options.with_sectors_of_4096();
    }
    let layout = fat::layout(&tree, &options).map_err(broken())?;
    fat::write(&layout, &tree).map_err(broken())
}
