//! What is wrong with a disk and can be mended reaches the one who looks at it.

use fstree::{ReadAt, WriteAt};
use nodeimg::digest::Digest;
use nodeimg::error::{Error, Result};
use nodeimg::show::{self, Shown};
use nodeimg::want::Blobs;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use tests::seeds::disks;

/// A host without inputs.
struct Nothing;

impl Blobs for Nothing {
    fn open(&self, _: Digest) -> Result<Arc<dyn ReadAt>> {
        Err(Error::world("there is nothing here"))
    }

    fn derive(
        &self,
        _: &str,
        _: &mut dyn FnMut(&dyn WriteAt) -> io::Result<u64>,
    ) -> Result<Arc<dyn ReadAt>> {
        Err(Error::world("nothing is kept here"))
    }
}

fn shown(disk: Vec<u8>, beside: Option<Vec<u8>>) -> Result<Shown> {
    let mut beside = beside.map(|it| Arc::new(it) as Arc<dyn ReadAt>);
    show::open(Arc::new(disk), &Nothing, NonZeroUsize::MIN, &mut |_| {
        Ok(beside.take())
    })
}

#[test]
fn a_damaged_primary_table_is_shown_with_a_warning_and_the_backup_s_partitions() {
    let mut disk = disks::appliance().swap_remove(1);
    let before = shown(disk.clone(), None).unwrap();
    assert!(!before.partitions().contains("damaged"));
    disk[512 + 60] ^= 1;
    let after = shown(disk, None).unwrap();
    let text = after.partitions();
    assert!(
        text.contains(
            "# the primary GPT is damaged (the header's checksum is wrong): its backup was read"
        ),
        "{text}"
    );
    assert_eq!(before.tree(None).unwrap(), after.tree(None).unwrap());
}

#[test]
fn a_flat_vmdk_is_read_with_its_extent_and_refused_by_name_without() {
    let disk = disks::appliance().swap_remove(1);
    let sectors = disk.len() / 512;
    let descriptor = format!(
        "# Disk DescriptorFile\nversion=1\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\nRW {sectors} FLAT \"a-flat.vmdk\" 0\n"
    );
    let whole = shown(descriptor.clone().into_bytes(), Some(disk.clone())).unwrap();
    assert_eq!(whole.partitions(), shown(disk, None).unwrap().partitions());
    let error = shown(descriptor.into_bytes(), None).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        cause.contains("\"a-flat.vmdk\", which is not here"),
        "{cause}"
    );
    assert!(
        error
            .help_text()
            .unwrap()
            .contains("a flat extent is a raw disk")
    );
}
