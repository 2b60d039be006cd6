//! Damage: every reader answers a cut or changed input with an error or with bytes, never with a panic, and never asks for
//! memory that the input's honest size does not explain.

use crate::tools::{Memory, bytes, jobs, run, vmdk_options};
use disk::compress::{self, Compression};
use disk::qcow2::{self, Qcow2Compression, Qcow2Options};
use disk::{compressed, table, vmdk};
use fstree::ReadAt;
use std::sync::Arc;

/// A disk small enough to damage every byte of its containers.
fn small() -> Vec<u8> {
    let mut disk = bytes(1, 3000, false);
    disk.resize(140 << 10, 0);
    disk.extend(bytes(2, 600, true));
    disk.resize(disk.len().next_multiple_of(512), 0);
    disk
}

/// Reads all data of a disk, but no more than 4 MiB.
fn drain(disk: &dyn ReadAt) {
    let mut at = 0;
    let mut left: usize = 4 << 20;
    for _ in 0..64 {
        let Ok(Some(data)) = disk.next_data(at) else {
            return;
        };
        assert!(data.start >= at && data.start < data.end && data.end <= disk.size());
        let len = usize::try_from(data.end - data.start)
            .unwrap_or(usize::MAX)
            .min(left)
            .min(256 << 10);
        let mut buf = vec![0; len];
        if disk.read_exact_at(&mut buf, data.start).is_err() || len == left {
            return;
        }
        left -= len;
        at = data.start + len as u64;
    }
}

/// Gives `try_one` the image cut at many places and with every byte of `ranges` changed.
fn damage(image: &[u8], ranges: &[std::ops::Range<usize>], try_one: &dyn Fn(Vec<u8>)) {
    for len in (0..image.len().min(1200))
        .step_by(7)
        .chain((0..image.len()).step_by(image.len() / 31 + 1))
    {
        try_one(image[..len].to_vec());
    }
    for at in ranges.iter().cloned().flatten() {
        for change in [0xff, 0x01] {
            let mut damaged = image.to_vec();
            damaged[at] ^= change;
            try_one(damaged);
        }
        // Whole fields of ones and of zeros: sizes and places at their extremes.
        for value in [0, 0xff] {
            let mut damaged = image.to_vec();
            let end = (at + 8).min(damaged.len());
            damaged[at..end].fill(value);
            try_one(damaged);
        }
    }
}

#[test]
fn damaged_qcow2_images_never_panic() {
    for compression in [Qcow2Compression::Deflate(6), Qcow2Compression::Zstd(1)] {
        let out = Memory::default();
        let stats = qcow2::write(
            &small(),
            &Qcow2Options { compression },
            jobs(1),
            &out,
            &mut |_| {},
        )
        .unwrap();
        let image = out.bytes(stats.bytes);
        // The header, the compressed clusters, and the few entries of L2 and L1 in use.
        let ranges = [0..120, 65_536..65_566, 131_072..131_096, 196_608..196_616];
        damage(&image, &ranges, &|image| {
            if let Ok(disk) = qcow2::open(Arc::new(image)) {
                drain(&disk);
            }
        });
    }
}

#[test]
fn damaged_vmdks_never_panic() {
    let mut image = Vec::new();
    let stats =
        vmdk::write_stream(&small(), &vmdk_options(), jobs(1), &mut image, &mut |_| {}).unwrap();
    assert_eq!(stats.grains, 2);
    let end = image.len();
    let ranges = [
        0..80,
        512..900,
        65_536..65_600,
        end - 5000..end - 4900,
        end - 1536..end - 940,
        end - 512..end,
    ];
    damage(&image, &ranges, &|image| {
        if let Ok(disk) = vmdk::open(Arc::new(image)) {
            drain(&disk);
        }
    });
}

#[test]
fn damaged_streams_never_panic_and_are_never_taken_for_whole() {
    for compression in [Compression::Zst(3), Compression::Xz(0)] {
        let mut image = Vec::new();
        compress::write(&small(), compression, jobs(1), &mut image, &mut |_| {}).unwrap();
        let everything = 0..image.len();
        let expected = small();
        damage(&image, std::slice::from_ref(&everything), &|image| {
            let out = Memory::default();
            if let Ok(size) = compressed::decode(&image, jobs(1), 8 << 20, &out, &mut |_| {}) {
                assert!(
                    out.bytes(size) == expected,
                    "damage that changes the content is found"
                );
            }
        });
    }
}

#[test]
fn declared_sizes_cost_nothing_until_they_are_there() {
    // qcow2: a disk of 2^60 bytes needs an L1 table of gigabytes, which is not in the file.
    let out = Memory::default();
    let stats = qcow2::write(
        &small(),
        &Qcow2Options::default(),
        jobs(1),
        &out,
        &mut |_| {},
    )
    .unwrap();
    let mut image = out.bytes(stats.bytes);
    image[24..32].copy_from_slice(&(1u64 << 60).to_be_bytes());
    assert!(
        qcow2::open(Arc::new(image.clone()))
            .unwrap_err()
            .to_string()
            .contains("L1 table")
    );
    image[36..40].copy_from_slice(&u32::MAX.to_be_bytes());
    assert!(
        qcow2::open(Arc::new(image))
            .unwrap_err()
            .to_string()
            .contains("L1 table")
    );

    let mut image = Vec::new();
    vmdk::write_stream(&small(), &vmdk_options(), jobs(1), &mut image, &mut |_| {}).unwrap();
    let footer = image.len() - 1024;
    for at in [12, footer + 12] {
        image[at..at + 8].copy_from_slice(&(1u64 << 51).to_le_bytes());
    }
    image[512..10_752].fill(0);
    image[512..550].copy_from_slice(b"RW 2251799813685248 SPARSE \"x\"\n       ");
    assert!(
        vmdk::open(Arc::new(image))
            .err()
            .unwrap()
            .to_string()
            .contains("grain directory")
    );

    // gzip: a bomb stops at the limit.
    let mut bomb = Vec::new();
    compress::write(
        &fstree::Zeros(64 << 20),
        Compression::Zst(1),
        jobs(1),
        &mut bomb,
        &mut |_| {},
    )
    .unwrap();
    let error =
        compressed::decode(&bomb, jobs(2), 5 << 20, &Memory::default(), &mut |_| {}).unwrap_err();
    assert!(
        error.to_string().contains("limit of 5242880 bytes"),
        "{error}"
    );
}

#[test]
fn many_blocks_of_next_to_nothing_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("raw").to_str().unwrap().to_owned();
    for (blocks, is_taken) in [(10_000, true), (11_000, false)] {
        std::fs::write(&path, vec![1; blocks * 64]).unwrap();
        let arguments = ["-0", "-T1", "--block-size=64", "-c", &path];
        let packed = run("xz", &arguments, "xz-utils");
        let result = compressed::decode(&packed, jobs(1), 1 << 20, &Memory::default(), &mut |_| {});
        match result {
            Ok(size) => assert!(is_taken && size == blocks as u64 * 64),
            Err(error) => assert!(
                !is_taken && error.to_string().contains("11000 blocks for 704000 bytes"),
                "{error}"
            ),
        }
    }
}

#[test]
fn noise_is_no_partition_table() {
    for seed in 0..200 {
        let mut noise = bytes(seed, 40 << 10, true);
        noise[510..512].copy_from_slice(&[0x55, 0xaa]);
        for at in [446, 462, 478, 494] {
            noise[at] = 0;
        }
        noise[450] = if seed % 2 == 0 { 0xee } else { 0x05 };
        for sector in [table::SectorSize::B512, table::SectorSize::B4096] {
            assert!(table::read(&noise, sector).is_err(), "seed {seed}");
        }
    }
}
