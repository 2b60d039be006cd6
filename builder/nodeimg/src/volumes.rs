//! The volumes of a disk that a build edits, found by label.

use crate::error::{Cause, Error, Result};
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
            Err(cause) => return Err(unreadable(partition, cause)),
        }
    }
    Err(none("ext4", label, &seen))
}

/// Finds and reads the FAT volume with that label.
pub(crate) fn boot(disk: &OpenDisk, label: &str) -> Result<Volume<fat::Facts>> {
    let mut seen = Vec::new();
    let mut broken = None;
    for (partition, window) in windows(disk)? {
        match fat::read(window) {
            Ok((tree, facts)) => {
                let found = facts.label.as_ref().map(ToString::to_string);
                if found.as_deref() == Some(label) {
                    return Ok(Volume {
                        partition,
                        tree,
                        facts,
                    });
                }
                seen.extend(found);
            }
            Err(fat::Error::NotFat { .. }) => {}
            // One that is not looked for may be as it likes.
            Err(cause) => {
                broken.get_or_insert((partition, cause));
            }
        }
    }
    Err(match broken {
        Some((partition, cause)) => unreadable(partition, cause),
        None => none("FAT", label, &seen),
    })
}

/// Returns the error that there is a volume and it cannot be read.
fn unreadable(partition: u32, cause: impl Into<Cause>) -> Error {
    let what = format!("the file system of partition {partition} of the base image cannot be read");
    Error::input(what).because(cause)
}

/// Returns the error that no volume has a label.
fn none(kind: &str, label: &str, seen: &[String]) -> Error {
    let found = if seen.is_empty() {
        "none".to_owned()
    } else {
        seen.join(", ")
    };
    Error::input(format!(
        "the base image has no {kind} file system labelled {label:?}"
    ))
    .help(format!("labels found: {found}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use disk::table::{Active, Kind, Lba, Partition};
    use std::io;

    /// A mebibyte of zeros, or one that cannot be read.
    struct Zeros(Option<io::ErrorKind>);

    impl ReadAt for Zeros {
        fn size(&self) -> u64 {
            1 << 20
        }

        fn read_exact_at(&self, buf: &mut [u8], _: u64) -> io::Result<()> {
            buf.fill(0);
            self.0.map_or(Ok(()), |kind| Err(kind.into()))
        }
    }

    fn open(disk: Zeros) -> OpenDisk {
        let kind = Kind::Primary {
            type_code: 0x0c,
            active: Active::No,
        };
        let partition = Partition {
            number: 1,
            start: Lba(64),
            sectors: 1024,
            kind,
        };
        OpenDisk::of(Arc::new(disk), vec![partition])
    }

    #[test]
    fn a_volume_that_cannot_be_read_is_not_taken_for_one_that_is_not_there() {
        let jobs = NonZeroUsize::MIN;
        let both = |disk: fn() -> Zeros| {
            let root = root(&open(disk()), "x", jobs).err().expect("an error");
            let boot = boot(&open(disk()), "x").err().expect("an error");
            [root, boot].map(|it| it.to_string())
        };
        for (kind, text) in ["ext4", "FAT"].iter().zip(both(|| Zeros(None))) {
            let said = format!("the base image has no {kind} file system labelled \"x\"");
            assert_eq!(text, said);
        }
        for text in both(|| Zeros(Some(io::ErrorKind::InvalidData))) {
            let said = "the file system of partition 1 of the base image cannot be read";
            assert_eq!(text, said);
        }
    }
}
