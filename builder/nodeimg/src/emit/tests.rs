//! What is refused before anything is written.

use super::*;
use crate::apply::Notes;
use disk::table::{Scheme, Table};
use fstree::ReadAt;
use std::io;
use std::sync::{Arc, Mutex};

/// A place in memory with room for so many bytes.
pub(super) struct Memory {
    bytes: Mutex<Vec<u8>>,
    room: usize,
}

impl Memory {
    pub(super) fn new(room: usize) -> Self {
        Self {
            bytes: Mutex::default(),
            room,
        }
    }

    /// Returns what was written, zeros where nothing was.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes.into_inner().unwrap()
    }
}

impl WriteAt for Memory {
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let mut bytes = self.bytes.lock().unwrap();
        let end = usize::try_from(offset).unwrap() + buf.len();
        if end > self.room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let len = bytes.len().max(end);
        bytes.resize(len, 0);
        bytes[end - buf.len()..end].copy_from_slice(buf);
        Ok(())
    }
}

/// A sink that nothing may be put into.
struct Closed;

impl Sink for Closed {
    type Draft = Never;

    fn create(&self, name: &str) -> Result<Never> {
        panic!("{name} is begun")
    }

    fn finish(&self, _: Vec<Never>, _: &[String]) -> Result<()> {
        panic!("nothing was begun")
    }
}

enum Never {}

impl WriteAt for Never {
    fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        match *self {}
    }
}

impl ReadAt for Never {
    fn size(&self) -> u64 {
        match *self {}
    }

    fn read_exact_at(&self, _: &mut [u8], _: u64) -> io::Result<()> {
        match *self {}
    }
}

impl Draft for Never {
    fn set_len(&self, _: u64) -> io::Result<()> {
        match *self {}
    }
}

#[test]
fn appliances_and_vmdks_of_4096_byte_sectors_are_refused_by_name() {
    let image = Image {
        disk: Arc::new(vec![0; 1 << 20]),
        table: Table {
            sector: SectorSize::B4096,
            scheme: Scheme::Mbr {
                signature: 1,
                boot_code: Box::new([0; 440]),
            },
            partitions: Vec::new(),
            warnings: Vec::new(),
        },
        notes: Notes::default(),
        plan: Digest::of(b"plan"),
        clusters: None,
    };
    let plan = Plan {
        profile: "p".to_owned(),
        lock: Digest::of(b"lock"),
        time: 0,
        steps: Vec::new(),
        machine: None,
    };
    for (format, file) in [(Format::Ova, "node.ova"), (Format::Vmdk, "node.vmdk")] {
        let target = Target {
            name: "node",
            format,
            jobs: NonZeroUsize::MIN,
            hashing: Hashing::Data,
        };
        let error = emit(&image, &plan, &target, &Closed, &mut |_| ()).unwrap_err();
        assert!(matches!(error, Error::Input { .. }));
        let text = error.to_string();
        assert!(text.contains(file) && text.contains("4096"), "{text}");
        assert!(
            error
                .help_text()
                .is_some_and(|it| it.contains("raw, img or qcow2"))
        );
    }
}
