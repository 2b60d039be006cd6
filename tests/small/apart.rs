//! A disk that was built, taken apart again, and judged by what shares no code with what made it.

use disk::table::{self, Partition, SectorSize, Table};
use fstree::{Content, FileTree, ReadAt, Window};
use nodeimg::digest::Digest;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use tests::{independent, run};

/// What a build says of its base and of itself: the one file that is another when the same base comes in another form.
const DESCRIPTION: &str = " /usr/lib/nodeimg/image.json";

/// A built disk.
pub(crate) struct Apart {
    pub(crate) table: Table,
    disk: Arc<dyn ReadAt>,
}

/// What is in a partition.
enum Volume {
    Ext4(String, FileTree),
    Fat(String, FileTree),
    Bytes,
}

impl Volume {
    fn of(window: &Arc<dyn ReadAt>) -> Self {
        if let Ok((tree, facts)) = ext4::read(window.clone()) {
            return Self::Ext4(facts.label.escape_ascii().to_string(), tree);
        }
        match fat::read(window.clone()) {
            Ok((tree, facts)) => Self::Fat(facts.label.expect("a label").to_string(), tree),
            Err(_) => Self::Bytes,
        }
    }
}

impl Apart {
    pub(crate) fn of(raw: &[u8]) -> Self {
        let disk: Arc<dyn ReadAt> = Arc::new(raw.to_vec());
        let sector = table::sector_size(&disk).expect("a table");
        let table = table::read(&disk, sector).expect("a table");
        assert_eq!(table.warnings, []);
        Self { table, disk }
    }

    /// Returns the partition that holds the root.
    pub(crate) fn root(&self) -> &Partition {
        let found = self.table.partitions.iter().find(|it| {
            matches!(Volume::of(&self.window(it)), Volume::Ext4(label, _) if label == "mini-root")
        });
        found.expect("a root")
    }

    /// Returns the disk's size.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.disk.size()
    }

    /// Returns the size of the sectors that each FAT volume counts in.
    pub(crate) fn fat_sectors(&self) -> Vec<u16> {
        let facts = self
            .places()
            .filter_map(|it| fat::read(self.window(it)).ok());
        facts.map(|(_, facts)| facts.sector_bytes).collect()
    }

    fn window(&self, partition: &Partition) -> Arc<dyn ReadAt> {
        let range = self.table.byte_range(partition);
        let window = Window::new(self.disk.clone(), range.start, range.end - range.start);
        Arc::new(window.expect("a partition on the disk"))
    }

    /// Returns the partitions that are not mere places for others.
    fn places(&self) -> impl Iterator<Item = &Partition> {
        self.table.partitions.iter().filter(|it| !it.is_extended())
    }

    /// Returns all that the partitions hold, by their volumes' labels, whatever table they stand in.
    pub(crate) fn holds(&self) -> BTreeMap<String, Vec<String>> {
        let digest = |content: &Content| -> io::Result<String> {
            Ok(Digest::of(&content.read_all(1 << 30)?).to_string())
        };
        let mut res = BTreeMap::new();
        for it in self.places() {
            let window = self.window(it);
            let (label, text) = match Volume::of(&window) {
                Volume::Ext4(label, tree) | Volume::Fat(label, tree) => (
                    label,
                    fstree::dump(&tree, &mut { digest }).expect("content"),
                ),
                Volume::Bytes => {
                    let bytes = Content::range(window.clone(), 0, window.size());
                    ("no volume".to_owned(), digest(&bytes).expect("content"))
                }
            };
            let lines = text.lines().filter(|it| !it.ends_with(DESCRIPTION));
            let before = res.insert(label, lines.map(str::to_owned).collect());
            assert!(before.is_none(), "two volumes of one label");
        }
        res
    }

    /// Has the table and each volume judged by the tools of their own, and the root walked by an independent reader.
    pub(crate) fn judge(&self, folder: &Path) {
        let put = |name: &str, source: &dyn ReadAt| {
            let mut bytes = vec![0; usize::try_from(source.size()).expect("a small one")];
            source.read_exact_at(&mut bytes, 0).expect("bytes");
            let path = folder.join(name);
            fs::write(&path, bytes).expect("a file");
            path
        };
        let disk = put("judged.raw", &self.disk);
        match self.table.sector {
            SectorSize::B512 => tests::verify_table(&disk),
            SectorSize::B4096 => verify_table_of_4096(&disk),
        }
        let mut seen = 0;
        for it in self.places() {
            let window = self.window(it);
            match Volume::of(&window) {
                Volume::Ext4(_, tree) => {
                    let volume = put("judged.ext4", &window);
                    tests::e2fsck(&volume);
                    seen += independent::compare(window, &tree);
                }
                Volume::Fat(..) => {
                    run(Command::new("fsck.fat")
                        .arg("-n")
                        .arg(put("judged.fat", &window)));
                }
                Volume::Bytes => {}
            }
        }
        assert!(seen > 150, "only {seen} files were seen");
    }
}

/// The same as [`tests::verify_table`]: sfdisk is told of no sectors, its sister is.
fn verify_table_of_4096(disk: &Path) {
    let mut child = Command::new("fdisk")
        .args(["--sector-size", "4096"])
        .arg(disk)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("fdisk");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(b"v\nq\n").expect("commands");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    tests::assert_no_errors(disk, &output);
}
