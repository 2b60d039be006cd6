//! The volumes of a disk that a build edits, found by label.

use crate::error::{Error, Result};
use crate::open::OpenDisk;
use fstree::{FileTree, ReadAt, Window};
use std::num::NonZeroUsize;
use std::sync::Arc;

/// A volume taken apart.
pub(crate) struct Volume<F> {
    /// The partition it is in.
    pub(crate) partition: u32,
    /// Its files.
    pub(crate) tree: FileTree,
    /// What else it is.
    pub(crate) facts: F,
}

/// Returns every partition's number and bytes.
pub(crate) fn windows(disk: &OpenDisk) -> Result<Vec<(u32, Arc<dyn ReadAt>)>> {
    let mut found = Vec::new();
    for partition in &disk.table.partitions {
        let range = disk.table.byte_range(partition);
        let window = Window::new(disk.disk.clone(), range.start, range.end - range.start)
            .ok_or_else(|| {
                Error::input(format!(
                    "partition {} lies past the end of the disk",
                    partition.number
                ))
            })?;
        found.push((partition.number, Arc::new(window) as Arc<dyn ReadAt>));
    }
    Ok(found)
}

/// Finds and reads the ext4 volume with that label.
pub(crate) fn root(
    disk: &OpenDisk,
    label: &str,
    jobs: NonZeroUsize,
) -> Result<Volume<ext4::Facts>> {
    let mut seen = Vec::new();
    for (partition, window) in windows(disk)? {
        match ext4::read_with(window, jobs) {
            Ok((tree, facts)) if facts.label == label.as_bytes() => {
                return Ok(Volume {
                    partition,
                    tree,
                    facts,
                });
            }
            Ok((_, facts)) => seen.push(facts.label.escape_ascii().to_string()),
            Err(ext4::Error::NotExt4(_)) => {}
            Err(cause) => {
                let what = format!(
                    "the file system of partition {partition} of the base image cannot be read"
                );
                return Err(Error::input(what).because(cause));
            }
        }
    }
    let found = if seen.is_empty() {
        "none".to_owned()
    } else {
        seen.join(", ")
    };
    Err(Error::input(format!(
        "the base image has no ext4 file system labelled {label:?}"
    ))
    .help(format!("labels found: {found}")))
}

/// Finds and reads the FAT volume with that label.
pub(crate) fn boot(disk: &OpenDisk, label: &str) -> Result<Volume<fat::Facts>> {
    for (partition, window) in windows(disk)? {
        if let Ok((tree, facts)) = fat::read(window)
            && facts
                .label
                .as_ref()
                .is_some_and(|it| it.to_string() == label)
        {
            return Ok(Volume {
                partition,
                tree,
                facts,
            });
        }
    }
    Err(Error::input(format!(
        "the base image has no FAT file system labelled {label:?}"
    )))
}
