//! Partition tables against sfdisk, sgdisk and an independent reader.

use crate::tools::run;
use disk::table::{
    Active, GptName, Guid, Kind, Lba, Partition, Scheme, SectorSize, Table, Warning, read,
    sector_size,
};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const CLOUD: &str = "label: gpt\nlabel-id: 3C1F8D4E-0B6A-4E57-9B5C-0123456789AB\nfirst-lba: 34\n
1 : start=227328, size=40960, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid=11111111-2222-3333-4444-555555555555, name=\"root\"
14 : start=2048, size=8192, type=21686148-6449-6E6F-744E-656564454649, attrs=\"LegacyBIOSBootable\"
15 : start=10240, size=217088, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name=\"EFI system\"\n";

const LOGICAL: &str = "label: dos\nlabel-id: 0xdeadbeef\n
1 : start=2048, size=20480, type=c, bootable
2 : start=22528, size=100000, type=5
4 : start=130000, size=3000, type=83
5 : start=24576, size=2048, type=83
6 : start=28672, size=4096, type=82\n";

/// Makes a disk of `bytes` with the table that `script` describes.
fn made_by_sfdisk(folder: &Path, script: &str, bytes: u64) -> PathBuf {
    let path = folder.join("disk");
    fs::File::create(&path).unwrap().set_len(bytes).unwrap();
    apply(&path, script);
    path
}

fn apply(path: &Path, script: &str) {
    let child = Command::new("/usr/sbin/sfdisk")
        .args(["-q", "--no-tell-kernel"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn();
    let mut child =
        child.unwrap_or_else(|error| panic!("sfdisk: {error}; install the Debian package fdisk"));
    child
        .stdin
        .take()
        .unwrap()
        .write_all(script.as_bytes())
        .unwrap();
    assert!(child.wait().unwrap().success());
}

fn put(path: &Path, table: &Table, bytes: u64) {
    let mut disk = fs::read(path).unwrap();
    disk.resize(usize::try_from(bytes).unwrap(), 0);
    for (at, piece) in table.render(bytes).unwrap() {
        let at = usize::try_from(at).unwrap();
        disk[at..at + piece.len()].copy_from_slice(&piece);
    }
    fs::write(path, disk).unwrap();
}

fn dump(path: &Path) -> String {
    let text = run("sfdisk", &["-d", path.to_str().unwrap()], "fdisk");
    String::from_utf8(text).unwrap()
}

fn verify(path: &Path) {
    // Of a damaged copy it speaks beside that, and on the other stream.
    let script = "exec sfdisk --verify \"$0\" 2>&1";
    let said = run("sh", &["-c", script, path.to_str().unwrap()], "fdisk");
    let said = String::from_utf8_lossy(&said);
    let is_clean = said.contains("No errors detected") && !said.contains("corrupt");
    assert!(is_clean, "{said}");
}

#[test]
fn what_is_read_and_rendered_is_what_sfdisk_wrote() {
    let folder = tempfile::tempdir().unwrap();
    for (script, size) in [(CLOUD, 200 << 20), (LOGICAL, 70 << 20)] {
        let path = made_by_sfdisk(folder.path(), script, size);
        let before = fs::read(&path).unwrap();
        let table = read(&before, SectorSize::B512).unwrap();
        assert_eq!(table.warnings, []);
        put(&path, &table, size);
        let after = fs::read(&path).unwrap();
        let differing = before.iter().zip(&after).position(|(a, b)| a != b);
        assert_eq!(differing, None, "first differing byte");
    }
}

#[test]
fn the_text_form_names_the_same_partitions_as_sfdisk() {
    let folder = tempfile::tempdir().unwrap();
    for (script, size) in [(CLOUD, 200 << 20), (LOGICAL, 70 << 20)] {
        let path = made_by_sfdisk(folder.path(), script, size);
        let ours = read(&fs::read(&path).unwrap(), SectorSize::B512)
            .unwrap()
            .to_string();
        let theirs = dump(&path).replace(path.to_str().unwrap(), "");
        let squeeze = |text: &str| -> Vec<String> {
            let lines = text
                .lines()
                .filter(|line| line.contains("start=") || line.starts_with("label"));
            let lines = lines.map(|line| line.split(", attrs").next().unwrap_or(""));
            lines
                .map(|line| line.split_whitespace().collect())
                .collect()
        };
        assert_eq!(squeeze(&ours), squeeze(&theirs));
    }
}

#[test]
fn a_grown_gpt_has_no_problems_and_keeps_its_ids() {
    let folder = tempfile::tempdir().unwrap();
    let path = made_by_sfdisk(folder.path(), CLOUD, 200 << 20);
    let mut table = read(&fs::read(&path).unwrap(), SectorSize::B512).unwrap();
    let size = 512 << 20;
    table.set_end(1, table.usable_end(size)).unwrap();
    put(&path, &table, size);
    verify(&path);
    let said = run("sgdisk", &["-v", path.to_str().unwrap()], "gdisk");
    assert!(
        String::from_utf8_lossy(&said).contains("No problems found"),
        "{}",
        String::from_utf8_lossy(&said)
    );
    let text = dump(&path);
    assert!(
        text.contains("label-id: 3C1F8D4E-0B6A-4E57-9B5C-0123456789AB"),
        "{text}"
    );
    assert!(text.contains("size=      821215, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid=11111111-2222-3333-4444-555555555555"), "{text}");
    assert!(
        text.contains("LegacyBIOSBootable") && text.contains("EFI system"),
        "{text}"
    );

    let theirs = gpt::GptConfig::new().writable(false).open(&path).unwrap();
    assert_eq!(theirs.partitions().len(), 3);
    for partition in &table.partitions {
        let other = &theirs.partitions()[&partition.number];
        assert_eq!(
            (other.first_lba, other.last_lba + 1),
            (partition.start.0, partition.start.0 + partition.sectors)
        );
        assert_eq!(other.part_guid.to_string(), table.partuuid(partition));
    }
}

#[test]
fn a_gpt_of_4096_byte_sectors_is_read_by_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = made_by_sfdisk(folder.path(), CLOUD, 200 << 20);
    let mut table = read(&fs::read(&path).unwrap(), SectorSize::B512).unwrap();
    let size = 64 << 20;
    table.sector = SectorSize::B4096;
    table.partitions.truncate(1);
    table.partitions[0].start = Lba(256);
    table.partitions[0].sectors = table.usable_end(size).0 - 256;
    fs::write(&path, []).unwrap();
    put(&path, &table, size);
    assert_eq!(
        read(&fs::read(&path).unwrap(), SectorSize::B4096)
            .unwrap()
            .partitions,
        table.partitions
    );
    let config = gpt::GptConfig::new()
        .writable(false)
        .logical_block_size(gpt::disk::LogicalBlockSize::Lb4096);
    let theirs = config.open(&path).unwrap();
    assert_eq!(theirs.partitions()[&1].first_lba, 256);
}

#[test]
fn added_and_grown_partitions_of_an_mbr_pass_sfdisk() {
    let folder = tempfile::tempdir().unwrap();
    let size = 100 << 20;
    let path = made_by_sfdisk(folder.path(), LOGICAL, size);
    let mut table = read(&fs::read(&path).unwrap(), SectorSize::B512).unwrap();
    table.set_end(4, table.usable_end(size)).unwrap();
    table.set_end(6, Lba(28_672 + 8192)).unwrap();
    let kind = Kind::Logical {
        type_code: 0x83,
        active: Active::No,
        record: Lba(38_000),
    };
    table
        .add(Partition {
            number: 7,
            start: Lba(38_912),
            sectors: 2048,
            kind,
        })
        .unwrap();
    put(&path, &table, size);
    verify(&path);
    let text = dump(&path);
    assert!(text.contains("label-id: 0xdeadbeef"), "{text}");
    assert!(
        text.contains("7 : start=       38912, size=        2048, type=83"),
        "{text}"
    );
    assert!(
        text.contains("6 : start=       28672, size=        8192, type=82"),
        "{text}"
    );
    assert!(
        text.contains("4 : start=      130000, size=       74800, type=83"),
        "{text}"
    );
    let again = read(&fs::read(&path).unwrap(), SectorSize::B512).unwrap();
    assert_eq!(again, table);
    assert_eq!(again.partuuid(again.partition(7).unwrap()), "deadbeef-07");
}

#[test]
fn an_added_gpt_partition_is_seen_by_sfdisk() {
    let folder = tempfile::tempdir().unwrap();
    let path = made_by_sfdisk(folder.path(), CLOUD, 200 << 20);
    let mut table = read(&fs::read(&path).unwrap(), SectorSize::B512).unwrap();
    let kind = Kind::Gpt {
        type_guid: "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7".parse().unwrap(),
        unique_guid: Guid([9; 16]),
        attributes: 0,
        name: GptName::new("cidata").unwrap(),
    };
    table
        .add(Partition {
            number: 2,
            start: Lba(300_000),
            sectors: 2048,
            kind,
        })
        .unwrap();
    put(&path, &table, 200 << 20);
    verify(&path);
    assert!(dump(&path).contains("name=\"cidata\""));
    assert!(matches!(table.scheme, Scheme::Gpt { entries: 128, .. }));
}

#[test]
fn a_file_system_without_a_table_is_not_taken_for_one() {
    let mut fat = vec![0; 1 << 20];
    fat[510..512].copy_from_slice(&[0x55, 0xaa]);
    fat[446..460].copy_from_slice(b"Non-system dis");
    let error = read(&fat, SectorSize::B512).unwrap_err().to_string();
    assert!(error.contains("is this a file system?"), "{error}");
    assert!(
        read(&vec![0; 1 << 20], SectorSize::B512)
            .unwrap_err()
            .to_string()
            .contains("no signature")
    );
}

/// Returns the lines of sfdisk's words that name partitions, without blanks and file name.
fn partitions(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| line.contains("start="));
    let lines = lines.map(|line| line.split(", attrs").next().unwrap_or(""));
    lines
        .map(|line| line.split_whitespace().collect())
        .collect()
}

#[test]
fn a_damaged_primary_is_read_from_the_backup_as_sfdisk_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = made_by_sfdisk(folder.path(), CLOUD, 200 << 20);
    let whole = fs::read(&path).unwrap();
    let expected = read(&whole, SectorSize::B512).unwrap();
    // A wiped header, one flipped bit of it, one of an entry.
    for (at, len, mask) in [(512, 512, 0xff), (512 + 40, 1, 4), (1024 + 32, 1, 1)] {
        let mut damaged = whole.clone();
        damaged[at..at + len].iter_mut().for_each(|it| *it ^= mask);
        fs::write(&path, &damaged).unwrap();
        assert_eq!(sector_size(&damaged).unwrap(), SectorSize::B512);
        let table = read(&damaged, SectorSize::B512).unwrap();
        assert!(matches!(table.warnings[..], [Warning::PrimaryDamaged(_)]));
        assert_eq!(table.partitions, expected.partitions);
        let theirs = dump(&path).replace(path.to_str().unwrap(), "");
        assert_eq!(partitions(&table.to_string()), partitions(&theirs));
        // What is rendered has two good copies again.
        put(&path, &table, 200 << 20);
        let said = run("sgdisk", &["-v", path.to_str().unwrap()], "gdisk");
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(said.contains("No problems found"), "{said}");
    }
}

#[test]
fn what_sgdisk_makes_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk");
    fs::File::create(&path).unwrap().set_len(64 << 20).unwrap();
    let arguments = [
        "-Z",
        "-S",
        "256",
        "-n",
        "200:0:+8M",
        "-c",
        "200:a name of 36 characters, or so it is",
        "-A",
        "200:set:2",
        "-n",
        "3:40960:+1M",
        "-t",
        "3:ef00",
        "-h",
        "200",
    ];
    let arguments: Vec<&str> = arguments.into_iter().chain(path.to_str()).collect();
    run("sgdisk", &arguments, "gdisk");
    let table = read(&fs::read(&path).unwrap(), SectorSize::B512).unwrap();
    // A hybrid MBR and twice the entries.
    assert!(matches!(table.scheme, Scheme::Gpt { entries: 256, .. }));
    let theirs = dump(&path).replace(path.to_str().unwrap(), "");
    assert_eq!(partitions(&table.to_string()), partitions(&theirs));
    let before = fs::read(&path).unwrap();
    put(&path, &table, 64 << 20);
    assert!(
        fs::read(&path).unwrap() == before,
        "what was read is rendered again"
    );
}

#[test]
fn tables_of_4096_byte_sectors_are_told_apart_and_read_as_fdisk_made_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk");
    let gpt = "g\nn\n1\n\n+16M\nn\n14\n\n\nw\n";
    let mbr = "o\nn\ne\n1\n\n\nn\n\n+4M\nn\n\n+5M\nw\n";
    for (commands, expected) in [
        (gpt, vec![(1, 256, 4096), (14, 4352, 11_776)]),
        (mbr, vec![(1, 256, 16_128), (5, 512, 1024), (6, 1792, 1280)]),
    ] {
        fs::write(&path, []).unwrap();
        fs::File::create(&path).unwrap().set_len(64 << 20).unwrap();
        let child = Command::new("/usr/sbin/fdisk")
            .args(["-b", "4096"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        let mut child = child
            .unwrap_or_else(|error| panic!("fdisk: {error}; install the Debian package fdisk"));
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(commands.as_bytes()).unwrap();
        drop(stdin);
        assert!(child.wait().unwrap().success());
        let mut disk = fs::read(&path).unwrap();
        let table = read(&disk, SectorSize::B4096).unwrap();
        let found: Vec<_> = table
            .partitions
            .iter()
            .map(|it| (it.number, it.start.0, it.sectors))
            .collect();
        assert_eq!(found, expected);
        put(&path, &table, 64 << 20);
        assert!(
            fs::read(&path).unwrap() == disk,
            "what was read is rendered again"
        );
        assert_eq!(sector_size(&disk).unwrap(), SectorSize::B4096);
        if commands == gpt {
            // Either copy tells.
            disk[4096..8192].fill(0);
            assert_eq!(sector_size(&disk).unwrap(), SectorSize::B4096);
            let warned = read(&disk, SectorSize::B4096).unwrap();
            assert_eq!(warned.partitions, table.partitions);
            assert!(matches!(warned.warnings[..], [Warning::PrimaryDamaged(_)]));
        }
    }
}

/// Puts what tools make into a disk, at the partitions that it has if its sectors are of `sector` bytes.
fn with_volumes(folder: &Path, disk: &[u8], sector: SectorSize, makers: &[&str]) -> Vec<u8> {
    let mut disk = disk.to_vec();
    let table = read(&disk, sector).unwrap();
    for (partition, maker) in table.partitions.iter().zip(makers) {
        let range = table.byte_range(partition);
        let volume = folder.join("volume");
        fs::File::create(&volume)
            .and_then(|it| it.set_len((range.end - range.start).min(4 << 20)))
            .unwrap();
        run(
            "sh",
            &["-c", maker, volume.to_str().unwrap()],
            "e2fsprogs or dosfstools",
        );
        let bytes = fs::read(&volume).unwrap();
        let at = usize::try_from(range.start).unwrap();
        disk[at..at + bytes.len()].copy_from_slice(&bytes);
    }
    disk
}

#[test]
fn an_mbr_counts_in_the_sectors_at_which_volumes_begin() {
    const EXT: &str = "mke2fs -qF \"$0\"";
    const FAT: &str = "mkfs.vfat \"$0\" > /dev/null";
    const FAT_OF_4096: &str = "mkfs.vfat -S 4096 \"$0\" > /dev/null";
    const NONE: &str = "true";
    let folder = tempfile::tempdir().unwrap();
    // So small a part of the disk that it would fit with sectors of either size.
    let script = "label: dos\nstart=256, size=1100, type=c\nstart=1536, size=1200, type=83\n";
    let path = made_by_sfdisk(folder.path(), script, 64 << 20);
    let empty = fs::read(&path).unwrap();
    for sector in [SectorSize::B512, SectorSize::B4096] {
        for makers in [[FAT, EXT], [FAT_OF_4096, EXT], [EXT, NONE], [NONE, FAT]] {
            let disk = with_volumes(folder.path(), &empty, sector, &makers);
            assert_eq!(sector_size(&disk).unwrap(), sector, "{makers:?}");
        }
    }
    // Volumes of no known kind, or as many for the one as for the other.
    assert_eq!(sector_size(&empty).unwrap(), SectorSize::B512);
    let both = with_volumes(folder.path(), &empty, SectorSize::B4096, &[FAT, EXT]);
    let both = with_volumes(folder.path(), &both, SectorSize::B512, &[EXT, FAT]);
    assert_eq!(sector_size(&both).unwrap(), SectorSize::B512);
}

/// A disk that cannot be read at one byte.
struct Worn(Vec<u8>, u64);

impl fstree::ReadAt for Worn {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        if (offset..offset + buf.len() as u64).contains(&self.1) {
            return Err(std::io::Error::other("worn out"));
        }
        self.0.read_exact_at(buf, offset)
    }
}

#[test]
fn a_volume_that_cannot_be_read_is_not_taken_for_one_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let script = "label: dos\nstart=256, size=1100, type=c\n";
    let disk = fs::read(made_by_sfdisk(folder.path(), script, 64 << 20)).unwrap();
    let disk = with_volumes(
        folder.path(),
        &disk,
        SectorSize::B4096,
        &["mke2fs -qF \"$0\""],
    );
    let error = sector_size(&Worn(disk, (1 << 20) + 1080)).unwrap_err();
    assert_eq!(error.to_string(), "reading partition 1");
}

#[test]
fn logical_partitions_whose_records_lead_back_keep_their_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let size = 70 << 20;
    let path = made_by_sfdisk(folder.path(), LOGICAL, size);
    let mut table = read(&fs::read(&path).unwrap(), SectorSize::B512).unwrap();
    // 5 stands first, 7 before 6: as when 6 was added behind what was deleted since.
    let logical = |number, start, record| Partition {
        number,
        start: Lba(start),
        sectors: 2048,
        kind: Kind::Logical {
            type_code: 0x83,
            active: Active::No,
            record: Lba(record),
        },
    };
    table.partitions.retain(|it| it.number < 5);
    for it in [
        logical(5, 24_576, 22_528),
        logical(6, 80_000, 79_000),
        logical(7, 50_000, 49_000),
    ] {
        table.add(it).unwrap();
    }
    put(&path, &table, size);
    verify(&path);
    let theirs = dump(&path).replace(path.to_str().unwrap(), "");
    assert_eq!(partitions(&table.to_string()), partitions(&theirs));
    let again = read(&fs::read(&path).unwrap(), SectorSize::B512).unwrap();
    assert_eq!(again, table);
    let mut circle = fs::read(&path).unwrap();
    // The last record's link, made to lead to the second.
    let at = 49_000 * 512 + 462;
    circle[at + 4] = 5;
    circle[at + 8..at + 12].copy_from_slice(&(79_000_u32 - 22_528).to_le_bytes());
    circle[at + 12..at + 16].copy_from_slice(&1_u32.to_le_bytes());
    let error = read(&circle, SectorSize::B512).unwrap_err().to_string();
    assert!(error.contains("circle"), "{error}");
}
