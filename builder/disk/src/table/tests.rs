//! Tables built by hand, damaged and edited.

use super::*;

const GUID: Guid = Guid([7; 16]);
const DISK: u64 = 8 << 20;

fn sample(sector: SectorSize) -> Table {
    let kind = |number: u8| Kind::Gpt {
        type_guid: Guid([number; 16]),
        unique_guid: Guid([number + 100; 16]),
        attributes: u64::from(number) << 60,
        name: GptName::new("größe 𝄞").unwrap(),
    };
    let mut records = [[0; 16]; 4];
    records[0][4] = 0xee;
    records[0][8] = 1;
    Table {
        sector,
        scheme: Scheme::Gpt {
            disk_guid: GUID,
            boot_code: Box::new([0x90; 440]),
            first_usable: Lba(34),
            entries: 128,
            entry_bytes: 128,
            protective: Protective {
                signature: [1, 2, 3, 4, 0, 0],
                records,
            },
        },
        partitions: vec![
            Partition {
                number: 1,
                start: Lba(40),
                sectors: 60,
                kind: kind(1),
            },
            Partition {
                number: 14,
                start: Lba(100),
                sectors: 900,
                kind: kind(2),
            },
        ],
        warnings: Vec::new(),
    }
}

fn disk_of(table: &Table, size: u64) -> Vec<u8> {
    let mut disk = vec![0; usize::try_from(size).unwrap()];
    for (at, bytes) in table.render(size).unwrap() {
        let at = usize::try_from(at).unwrap();
        disk[at..at + bytes.len()].copy_from_slice(&bytes);
    }
    disk
}

#[test]
fn a_gpt_reads_back_what_was_rendered() {
    for sector in [SectorSize::B512, SectorSize::B4096] {
        let table = sample(sector);
        let read = read(&disk_of(&table, DISK), sector).unwrap();
        assert_eq!(read.partitions, table.partitions);
        assert_eq!(read.warnings, []);
        assert_eq!(disk_of(&read, DISK), disk_of(&table, DISK));
    }
}

#[test]
fn every_flipped_byte_of_the_primary_gives_way_to_the_backup() {
    let table = sample(SectorSize::B512);
    let whole = disk_of(&table, DISK);
    for at in (512..604).chain([1024, 1024 + 13 * 128 + 5, 1024 + 16_383]) {
        let mut disk = whole.clone();
        disk[at] ^= 0x20;
        let read = read(&disk, SectorSize::B512).unwrap();
        assert!(
            matches!(read.warnings[..], [Warning::PrimaryDamaged(_)]),
            "byte {at}: {:?}",
            read.warnings
        );
        assert_eq!(read.partitions, table.partitions);
    }
}

#[test]
fn a_damaged_backup_is_warned_of_and_two_damaged_copies_refused() {
    let mut disk = disk_of(&sample(SectorSize::B512), DISK);
    let last = disk.len() - 500;
    disk[last] ^= 1;
    let table = read(&disk, SectorSize::B512).unwrap();
    assert!(matches!(table.warnings[..], [Warning::BackupDamaged(_)]));
    disk[512] ^= 1;
    assert!(
        read(&disk, SectorSize::B512)
            .unwrap_err()
            .to_string()
            .contains("both copies")
    );
}

#[test]
fn two_whole_copies_that_differ_are_warned_of_and_the_primary_is_read() {
    let table = sample(SectorSize::B512);
    let whole = disk_of(&table, DISK);
    // Another program changed its copy of one, and set the checksums right.
    let edits: [fn(&mut Table); 3] = [
        |it| it.partition_mut(14).unwrap().sectors = 800,
        |it| {
            it.partitions.pop();
        },
        |it| {
            let Scheme::Gpt { disk_guid, .. } = &mut it.scheme else {
                panic!("a GPT")
            };
            *disk_guid = Guid([8; 16]);
        },
    ];
    for edit in edits {
        let mut other = table.clone();
        edit(&mut other);
        let mut disk = disk_of(&other, DISK);
        let backup = disk.len() - 33 * 512;
        disk[..backup].copy_from_slice(&whole[..backup]);
        let found = read(&disk, SectorSize::B512).unwrap();
        assert_eq!(found.warnings, [Warning::CopiesDiffer]);
        assert_eq!(found.partitions, table.partitions);
        let said = found.to_string();
        assert!(
            said.contains("# the two copies of the GPT differ: the primary was read"),
            "{said}"
        );
        // What is rendered is one table again.
        let again = read(&disk_of(&found, DISK), SectorSize::B512).unwrap();
        assert_eq!(
            (again.warnings, again.partitions),
            (vec![], table.partitions.clone())
        );
    }
}

#[test]
fn a_grown_disk_moves_its_backup_and_keeps_its_names() {
    let mut disk = disk_of(&sample(SectorSize::B512), DISK);
    disk.resize(2 * disk.len(), 0);
    let mut table = read(&disk, SectorSize::B512).unwrap();
    assert_eq!(table.warnings, []);
    table.set_end(14, table.usable_end(2 * DISK)).unwrap();
    let grown = read(&disk_of(&table, 2 * DISK), SectorSize::B512).unwrap();
    assert_eq!(
        grown.partition(14).unwrap().sectors,
        2 * DISK / 512 - 33 - 100
    );
    assert_eq!(grown.partition(1).unwrap(), table.partition(1).unwrap());
    assert_eq!(
        table.partuuid(&table.partitions[0]),
        Guid([101; 16]).to_string()
    );
}

#[test]
fn overlaps_and_strays_name_their_partition() {
    let mut table = sample(SectorSize::B512);
    table.partition_mut(1).unwrap().sectors = 61;
    assert_eq!(
        table.check(DISK).unwrap_err().to_string(),
        "partition 14: it overlaps partition 1"
    );
    table.partition_mut(1).unwrap().start = Lba(33);
    assert!(
        table
            .check(DISK)
            .unwrap_err()
            .to_string()
            .starts_with("partition 1: 61 sectors from 33")
    );
    let mut table = sample(SectorSize::B512);
    assert!(table.set_end(14, Lba(100)).is_err());
    table.partition_mut(14).unwrap().sectors = u64::MAX;
    assert!(table.check(DISK).is_err());
    assert!(sample(SectorSize::B512).check(16 << 10).is_err());
    assert!(table.add(table.partitions[0].clone()).is_err());
}

#[test]
fn no_flipped_byte_of_any_header_panics() {
    let whole = disk_of(&sample(SectorSize::B512), 1 << 20);
    let mut both = 0;
    for at in 0..2048 {
        for value in [0, 0xff, 0x80] {
            let mut disk = whole.clone();
            disk[at] = value;
            let len = disk.len();
            if at >= 512 {
                disk[len - 512] ^= 1;
            }
            both += u32::from(read(&disk, SectorSize::B512).is_err());
        }
    }
    assert!(both > 200, "{both} refused");
    for len in [0, 1, 511, 512, 1024, 4096, 17_408] {
        assert!(
            read(&whole[..len].to_vec(), SectorSize::B512).is_err(),
            "{len} bytes"
        );
    }
}

#[test]
fn text_speaks_the_words_of_sfdisk() {
    let text = sample(SectorSize::B512).to_string();
    assert!(
        text.starts_with("label: gpt\nlabel-id: 07070707-0707-"),
        "{text}"
    );
    assert!(
        text.contains("1 : start=          40, size=          60, type=01010101-"),
        "{text}"
    );
    assert!(
        text.contains("name=\"größe 𝄞\", attrs=0x1000000000000000"),
        "{text}"
    );
}
