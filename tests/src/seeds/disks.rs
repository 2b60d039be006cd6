//! Small disks: tables, containers, compressed disks, an appliance.

use super::{folder, noise, run, volumes};
use disk::compress::{self, Compression};
use disk::qcow2::{self, Qcow2Compression, Qcow2Options};
use disk::table::{
    Active, GptName, Guid, Kind, Lba, Partition, Protective, Scheme, SectorSize, Table,
};
use disk::vmdk::{self, VmdkOptions};
use fstree::{ReadAt, WriteAt};
use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Mutex;

const ONE: NonZeroUsize = NonZeroUsize::MIN;

fn gpt(sector: SectorSize, start: u64, sectors: u64) -> Table {
    let mut records = [[0; 16]; 4];
    (records[0][4], records[0][8]) = (0xee, 1);
    let partition = |number, start, sectors| Partition {
        number,
        start: Lba(start),
        sectors,
        kind: Kind::Gpt {
            type_guid: Guid([1; 16]),
            unique_guid: Guid([2; 16]),
            attributes: 4,
            name: GptName::new("root").expect("a short name"),
        },
    };
    Table {
        sector,
        scheme: Scheme::Gpt {
            disk_guid: Guid([7; 16]),
            boot_code: Box::new([0x90; 440]),
            first_usable: Lba(34),
            entries: 128,
            entry_bytes: 128,
            protective: Protective {
                signature: [0; 6],
                records,
            },
        },
        partitions: vec![partition(1, start, sectors), partition(14, 34, 2)],
        warnings: Vec::new(),
    }
}

fn mbr(sector: SectorSize) -> Table {
    let primary = |number, type_code, start, sectors| Partition {
        number,
        start: Lba(start),
        sectors,
        kind: Kind::Primary {
            type_code,
            active: Active::Yes,
        },
    };
    let logical = |number, start, record| Partition {
        number,
        start: Lba(start),
        sectors: 4,
        kind: Kind::Logical {
            type_code: 0x83,
            active: Active::No,
            record: Lba(record),
        },
    };
    Table {
        sector,
        scheme: Scheme::Mbr {
            signature: 0xdead_beef,
            boot_code: Box::new([0x90; 440]),
        },
        partitions: vec![
            primary(1, 0x0c, 2, 10),
            primary(2, 5, 20, 40),
            logical(5, 22, 20),
            logical(6, 32, 30),
            logical(7, 42, 40),
        ],
        warnings: Vec::new(),
    }
}

fn disk_of(table: &Table, size: usize) -> Vec<u8> {
    let mut disk = vec![0; size];
    for (at, bytes) in table.render(size as u64).expect("the table is sound") {
        let at = usize::try_from(at).expect("within the disk");
        disk[at..at + bytes.len()].copy_from_slice(&bytes);
    }
    disk
}

/// Returns disks with a GPT and with an MBR, of sectors of both sizes.
pub fn table() -> Vec<Vec<u8>> {
    let mut damaged = disk_of(&gpt(SectorSize::B512, 40, 20), 64 << 10);
    damaged[600] ^= 1;
    vec![
        disk_of(&gpt(SectorSize::B512, 40, 20), 64 << 10),
        disk_of(&gpt(SectorSize::B4096, 40, 2), 256 << 10),
        disk_of(&mbr(SectorSize::B512), 40 << 10),
        disk_of(&mbr(SectorSize::B4096), 320 << 10),
        damaged,
    ]
}

/// Memory to write to; what was never written is zero.
#[derive(Default)]
struct Memory(Mutex<Vec<u8>>);

impl WriteAt for Memory {
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let mut bytes = self.0.lock().expect("no writer panics");
        let end = usize::try_from(offset).expect("a small disk") + buf.len();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[end - buf.len()..end].copy_from_slice(buf);
        Ok(())
    }
}

/// A disk of text, holes and noise.
fn small() -> Vec<u8> {
    let mut disk = b"line of a file\n".repeat(200);
    disk.resize(70 << 10, 0);
    disk.extend(noise(600));
    disk.resize(disk.len().next_multiple_of(512), 0);
    disk
}

/// Runs `qemu-img convert` of the small disk.
fn by_qemu(format: &str, arguments: &[&str]) -> Vec<u8> {
    let folder = folder();
    fs::write(folder.path().join("raw"), small()).expect("a folder of our own");
    let mut all = vec!["convert", "-f", "raw", "-O", format];
    all.extend(arguments);
    all.extend(["raw", "made"]);
    run(folder.path(), "qemu-img", "qemu-utils", &all);
    fs::read(folder.path().join("made")).expect("qemu-img made it")
}

/// Returns qcow2 images of ours and of qemu-img; those of small clusters are the quickest to damage.
pub fn qcow2() -> Vec<Vec<u8>> {
    let mut seeds: Vec<_> = [
        "compat=0.10,cluster_size=512",
        "cluster_size=512",
        "cluster_size=1024,compression_type=zstd",
        "cluster_size=4096,refcount_bits=64",
    ]
    .into_iter()
    .flat_map(|options| {
        [
            by_qemu("qcow2", &["-o", options]),
            by_qemu("qcow2", &["-c", "-o", options]),
        ]
    })
    .collect();
    for compression in [Qcow2Compression::Deflate(6), Qcow2Compression::Zstd(3)] {
        let out = Memory::default();
        let options = Qcow2Options { compression };
        let stats = qcow2::write(&small(), &options, ONE, &out, &mut |_| {});
        let mut bytes = out.0.into_inner().expect("no writer panics");
        let len = stats.expect("memory can be written").bytes;
        bytes.resize(usize::try_from(len).expect("a small disk"), 0);
        seeds.push(bytes);
    }
    seeds
}

fn stream_optimized(disk: &dyn ReadAt) -> Vec<u8> {
    let options = VmdkOptions {
        uuid: "0f596904-ab1f-4168-bfcc-4cb3b4cd34d4".to_owned(),
        cid: 0x1234_5678,
        file_name: "disk.vmdk".to_owned(),
        effort: vmdk::Effort::ByContent,
        cache: None,
        ready: None,
    };
    let mut file = Vec::new();
    vmdk::write_stream(disk, &options, ONE, &mut file, &mut |_| {}).expect("memory can be written");
    file
}

/// Returns VMDKs of ours and of qemu-img, and descriptors.
pub fn vmdk() -> Vec<Vec<u8>> {
    vec![
        stream_optimized(&small()),
        by_qemu("vmdk", &["-o", "subformat=streamOptimized"]),
        by_qemu("vmdk", &["-o", "subformat=monolithicSparse"]),
        by_qemu("vmdk", &["-o", "subformat=monolithicFlat"]),
        b"# Disk DescriptorFile\nversion=1\nparentCID=ffffffff\nRW 100 FLAT \"a.vmdk\" 8\nRW 5 ZERO\n\
          RW 7 VMFS \"b\"\nRDONLY 9 SPARSE \"c\"\n"
            .to_vec(),
    ]
}

fn compressed(compression: Compression) -> Vec<u8> {
    let mut file = Vec::new();
    compress::write(&small(), compression, ONE, &mut file, &mut |_| {})
        .expect("memory can be written");
    file
}

fn by_tool(tool: &str, package: &str, arguments: &[&str]) -> Vec<u8> {
    let folder = folder();
    fs::write(folder.path().join("raw"), &small()[..20_000]).expect("a folder of our own");
    let mut all = arguments.to_vec();
    all.extend(["-c", "raw"]);
    run(folder.path(), tool, package, &all)
}

/// Returns .xz files of one and of many blocks, streams and filters.
pub fn xz() -> Vec<Vec<u8>> {
    let one = by_tool("xz", "xz-utils", &["-0", "-T1"]);
    vec![
        compressed(Compression::Xz(0)),
        [one.as_slice(), &[0; 8], &one].concat(),
        by_tool(
            "xz",
            "xz-utils",
            &["-0", "--block-size=4000", "--check=sha256"],
        ),
        by_tool(
            "xz",
            "xz-utils",
            &["--check=none", "--x86", "--lzma2=preset=0"],
        ),
        one,
    ]
}

/// Returns Zstandard and gzip streams.
pub fn stream() -> Vec<Vec<u8>> {
    let frame = by_tool("zstd", "zstd", &["-3"]);
    vec![
        compressed(Compression::Zst(3)),
        [frame.as_slice(), b"\x50\x2a\x4d\x18\x03\0\0\0abc", &frame].concat(),
        by_tool("zstd", "zstd", &["-1", "--long=27", "--no-check"]),
        by_tool("gzip", "gzip", &["-9"]),
    ]
}

/// Returns an appliance whose disk has an ext4 and a FAT volume, and the raw and compressed disk itself.
pub fn appliance() -> Vec<Vec<u8>> {
    let (root, boot) = (volumes::described(), volumes::fat().swap_remove(0));
    let sectors = |bytes: &[u8]| bytes.len().div_ceil(512);
    let mut table = gpt(SectorSize::B512, 40, sectors(&root) as u64);
    let at = 40 + sectors(&root);
    table.partitions[1].start = Lba(at as u64);
    table.partitions[1].sectors = 128;
    let mut disk = disk_of(&table, (at + 128 + 40) * 512);
    for (at, bytes) in [(40, &root), (at, &boot)] {
        disk[at * 512..at * 512 + bytes.len()].copy_from_slice(bytes);
    }
    let ovf = "<?xml version=\"1.0\"?>\n<Envelope/>\n";
    let grains = stream_optimized(&disk);
    let ova = super::packages::ustar(&[("a.ovf", ovf.as_bytes()), ("a-disk1.vmdk", &grains)]);
    let mut packed = Vec::new();
    compress::write(&disk, Compression::Zst(3), ONE, &mut packed, &mut |_| {})
        .expect("memory can be written");
    vec![ova, disk, packed]
}
