//! Containers against the tools that others use: what they make we read, what we make they read, and both agree byte by
//! byte.
use crate::tools::{self, Memory, SAMPLE_BYTES, jobs, run, sample, vmdk_options, whole};
use disk::compress::{self, Compression};
use disk::qcow2::{self, Qcow2Compression, Qcow2Options};
use disk::vmdk;
use disk::{Error, Format, compressed, raw, sniff};
use fstree::{ReadAt, WriteAt as _};
use std::fs;
use std::sync::Arc;

/// Runs `qemu-img convert` of the sample with `options`, and gives the file's bytes.
fn made_by_qemu(format: &str, arguments: &[&str]) -> Arc<dyn ReadAt> {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("raw"), folder.path().join("made"));
    fs::write(&from, whole(&sample())).unwrap();
    let mut all = vec!["convert", "-f", "raw", "-O", format];
    all.extend(arguments);
    all.extend([from.to_str().unwrap(), to.to_str().unwrap()]);
    run("qemu-img", &all, "qemu-utils");
    Arc::new(fs::read(&to).unwrap())
}

/// Checks that `disk` holds the sample, read whole, in odd pieces and by its data alone.
fn check_is_sample(disk: &dyn ReadAt, what: &str) {
    let expected = whole(&sample());
    assert_eq!(disk.size(), SAMPLE_BYTES, "{what}");
    assert!(whole(disk) == expected, "{what} differs");
    for (at, len) in [
        (0, 1),
        (65_535, 2),
        (511, 70_001),
        (1_048_575, 300_000),
        (SAMPLE_BYTES - 513, 513),
    ] {
        let mut piece = vec![0xee; len];
        disk.read_exact_at(&mut piece, at).unwrap();
        let at = usize::try_from(at).unwrap();
        assert!(
            piece == expected[at..at + len],
            "{what}: {len} bytes at {at}"
        );
    }
    assert!(disk.read_exact_at(&mut [0; 2], SAMPLE_BYTES - 1).is_err());
    let mut by_data = vec![0; expected.len()];
    let mut at = 0;
    while let Some(data) = disk.next_data(at).unwrap() {
        assert!(
            data.start >= at && data.end > data.start && data.end <= SAMPLE_BYTES,
            "{what}: {data:?}"
        );
        let range = usize::try_from(data.start).unwrap()..usize::try_from(data.end).unwrap();
        disk.read_exact_at(&mut by_data[range], data.start).unwrap();
        at = data.end;
    }
    assert!(by_data == expected, "{what}: its holes hide data");
}

#[test]
fn every_qcow2_that_qemu_makes_reads_as_its_disk() {
    let plain: &[&str] = &["-S", "4k"];
    let packed: &[&str] = &["-c"];
    for compress in [plain, packed] {
        for options in [
            "compat=0.10",
            "cluster_size=512",
            "cluster_size=4096",
            "cluster_size=65536",
            "cluster_size=2097152",
            "compression_type=zstd",
            "compression_type=zstd,cluster_size=2097152",
            "lazy_refcounts=on,refcount_bits=64",
        ] {
            let mut arguments = compress.to_vec();
            arguments.extend(["-o", options]);
            let made = made_by_qemu("qcow2", &arguments);
            assert_eq!(sniff(&made).unwrap(), Format::Qcow2);
            check_is_sample(&qcow2::open(made).unwrap(), &format!("qcow2 {arguments:?}"));
        }
    }
}

#[test]
fn qcow2_features_that_need_more_than_the_file_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("base"), vec![1; 1 << 20]).unwrap();
    let cases: [(&str, &[&str]); 4] = [
        ("base", &["-F", "raw", "-b"]),
        ("external data file", &["-o", "data_file_raw=off", "-o"]),
        (
            "encryption",
            &[
                "--object",
                "secret,id=s,data=x",
                "-o",
                "encrypt.format=luks,encrypt.key-secret=s",
            ],
        ),
        ("extended L2", &["-o", "extended_l2=on,cluster_size=128k"]),
    ];
    for (name, arguments) in cases {
        let image = path("image");
        let mut all = vec!["create", "-q", "-f", "qcow2"];
        all.extend(arguments);
        let base = path("base");
        let data_file = format!("data_file={}", path("data"));
        match name {
            "base" => all.push(&base),
            "external data file" => all.push(&data_file),
            _ => {}
        }
        all.extend([image.as_str(), "1M"]);
        run("qemu-img", &all, "qemu-utils");
        let error = qcow2::open(Arc::new(fs::read(&image).unwrap()))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(name) && error.contains("not supported"),
            "{name}: {error}"
        );
    }
}

#[test]
fn every_vmdk_that_qemu_makes_reads_as_its_disk() {
    for subformat in ["streamOptimized", "monolithicSparse"] {
        let made = made_by_qemu("vmdk", &["-o", &format!("subformat={subformat}")]);
        assert_eq!(sniff(&made).unwrap(), Format::Vmdk);
        check_is_sample(&vmdk::open(made).unwrap(), subformat);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("raw"), whole(&sample())).unwrap();
    for subformat in [
        "monolithicFlat",
        "twoGbMaxExtentSparse",
        "twoGbMaxExtentFlat",
    ] {
        let option = format!("subformat={subformat}");
        let made = path(&format!("{subformat}.vmdk"));
        run(
            "qemu-img",
            &[
                "convert",
                "-f",
                "raw",
                "-O",
                "vmdk",
                "-o",
                &option,
                &path("raw"),
                &made,
            ],
            "qemu-utils",
        );
        let descriptor: Arc<dyn ReadAt> = Arc::new(fs::read(&made).unwrap());
        assert_eq!(sniff(&descriptor).unwrap(), Format::Vmdk);
        let error = vmdk::open(descriptor.clone()).err().unwrap();
        let Error::Elsewhere { name, .. } = &error else {
            panic!("{error}");
        };
        assert!(
            name.starts_with(subformat) && name.ends_with(".vmdk"),
            "{name}"
        );
        let mut open = |name: &str| Ok(Some(Arc::new(fs::read(path(name))?) as Arc<dyn ReadAt>));
        check_is_sample(&vmdk::open_with(descriptor, &mut open).unwrap(), subformat);
    }
}

#[test]
fn our_vmdk_is_read_by_qemu_and_by_us_and_is_the_same_for_any_jobs() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("raw"), whole(&sample())).unwrap();
    let mut made = Vec::new();
    for count in [1, 2, 4] {
        let mut file = Vec::new();
        let stats = vmdk::write_stream(
            &sample(),
            &vmdk_options(),
            jobs(count),
            &mut file,
            &mut |_| {},
        )
        .unwrap();
        assert_eq!(
            (stats.bytes, stats.capacity),
            (file.len() as u64, SAMPLE_BYTES)
        );
        made.push(file);
    }
    assert!(made[0] == made[1] && made[0] == made[2]);
    check_is_sample(&vmdk::open(Arc::new(made[0].clone())).unwrap(), "our VMDK");
    fs::write(path("vmdk"), &made[0]).unwrap();
    run(
        "qemu-img",
        &["check", "-f", "vmdk", &path("vmdk")],
        "qemu-utils",
    );
    run(
        "qemu-img",
        &[
            "compare",
            "-f",
            "raw",
            "-F",
            "vmdk",
            &path("raw"),
            &path("vmdk"),
        ],
        "qemu-utils",
    );
}

#[test]
fn a_vmdk_ends_with_its_end_marker_and_begins_as_importers_expect() {
    let mut file = Vec::new();
    vmdk::write_stream(&sample(), &vmdk_options(), jobs(2), &mut file, &mut |_| {}).unwrap();
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    // Magic, version, flags; grain directory "at the end"; overhead.
    assert_eq!((word(0), word(4), word(8)), (0x564d_444b, 3, 0x3_0001));
    assert_eq!((word(56), word(60), word(64)), (u32::MAX, u32::MAX, 128));
    let end = file.len();
    assert_eq!(file[end - 512..], [0; 512]);
    // The footer and its marker stand before it.
    assert_eq!(
        (word(end - 1024), word(end - 1536), word(end - 1536 + 12)),
        (0x564d_444b, 1, 3)
    );
    let text = String::from_utf8_lossy(&file[512..2048]).into_owned();
    assert!(
        text.contains(&format!(
            "RDONLY {} SPARSE \"disk.vmdk\"",
            SAMPLE_BYTES / 512
        )),
        "{text}"
    );
}

#[test]
fn a_remembered_grain_need_not_be_read_and_changes_nothing() {
    let cache = tools::Remembers::default();
    let mut options = vmdk_options();
    options.cache = Some(&cache);
    let mut made = Vec::new();
    let empty = fstree::Zeros(SAMPLE_BYTES);
    for disk in [&sample() as &dyn ReadAt, &empty] {
        let mut file = Vec::new();
        let disk = tools::Always(disk);
        vmdk::write_stream(&disk, &options, jobs(2), &mut file, &mut |_| {}).unwrap();
        made.push(file);
    }
    let mut plain = Vec::new();
    vmdk::write_stream(&sample(), &vmdk_options(), jobs(1), &mut plain, &mut |_| {}).unwrap();
    assert!(made[0] == plain && made[1] == plain);
}

#[test]
fn disks_of_odd_and_of_no_size_become_valid_vmdks() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for sectors in [1u64, 127, 129, 513 * 128 + 7] {
        let size = usize::try_from(sectors * 512).unwrap();
        let mut bytes = vec![0; size];
        bytes[size - 1] = 9;
        let mut file = Vec::new();
        vmdk::write_stream(&bytes, &vmdk_options(), jobs(2), &mut file, &mut |_| {}).unwrap();
        assert!(whole(&vmdk::open(Arc::new(file.clone())).unwrap()) == bytes);
        fs::write(path("raw"), &bytes).unwrap();
        fs::write(path("vmdk"), &file).unwrap();
        run(
            "qemu-img",
            &[
                "compare",
                "-f",
                "raw",
                "-F",
                "vmdk",
                &path("raw"),
                &path("vmdk"),
            ],
            "qemu-utils",
        );
    }
    let error = vmdk::write_stream(
        &vec![0; 513],
        &vmdk_options(),
        jobs(1),
        &mut Vec::new(),
        &mut |_| {},
    );
    assert!(error.unwrap_err().to_string().contains("513 bytes"));
}

#[test]
fn our_qcow2_passes_qemus_check_and_is_the_same_for_any_jobs() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("raw"), whole(&sample())).unwrap();
    for compression in [
        Qcow2Compression::Deflate(6),
        Qcow2Compression::Deflate(1),
        Qcow2Compression::Zstd(3),
    ] {
        let mut made = Vec::new();
        for count in [1, 2, 4] {
            let out = Memory::default();
            let options = Qcow2Options { compression };
            let stats = qcow2::write(&sample(), &options, jobs(count), &out, &mut |_| {}).unwrap();
            made.push(out.bytes(stats.bytes));
        }
        assert!(made[0] == made[1] && made[0] == made[2], "{compression:?}");
        check_is_sample(
            &qcow2::open(Arc::new(made[0].clone())).unwrap(),
            "our qcow2",
        );
        fs::write(path("qcow2"), &made[0]).unwrap();
        run(
            "qemu-img",
            &["check", "-f", "qcow2", &path("qcow2")],
            "qemu-utils",
        );
        run(
            "qemu-img",
            &[
                "compare",
                "-f",
                "raw",
                "-F",
                "qcow2",
                &path("raw"),
                &path("qcow2"),
            ],
            "qemu-utils",
        );
    }
}

#[test]
fn our_streams_are_read_by_their_own_tools_and_by_us() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let expected = whole(&sample());
    let cases = [
        (Compression::Zst(3), "zstd", Format::Zst),
        (Compression::Xz(1), "xz", Format::Xz),
        (Compression::Xz(6), "xz", Format::Xz),
    ];
    for (compression, tool, format) in cases {
        let mut made = Vec::new();
        for count in [1, 2, 4] {
            let mut file = Vec::new();
            let bytes =
                compress::write(&sample(), compression, jobs(count), &mut file, &mut |_| {})
                    .unwrap();
            assert_eq!(bytes, file.len() as u64);
            made.push(file);
        }
        assert!(made[0] == made[1] && made[0] == made[2], "{compression:?}");
        assert_eq!(sniff(&made[0]).unwrap(), format);
        fs::write(path("packed"), &made[0]).unwrap();
        run(tool, &["-t", &path("packed")], tool);
        assert!(
            run(tool, &["-dc", &path("packed")], tool) == expected,
            "{compression:?}"
        );
        check_decodes(&made[0], &expected);
    }
}

fn check_decodes(packed: &dyn ReadAt, expected: &[u8]) {
    for count in [1, 2, 4] {
        let out = Memory::default();
        let size =
            compressed::decode(packed, jobs(count), SAMPLE_BYTES, &out, &mut |_| {}).unwrap();
        assert_eq!(size, expected.len() as u64);
        assert!(out.bytes(size) == expected);
    }
    let error = compressed::decode(
        packed,
        jobs(2),
        expected.len() as u64 - 1,
        &Memory::default(),
        &mut |_| {},
    );
    assert!(
        error.unwrap_err().to_string().contains("limit"),
        "the limit holds"
    );
}

#[test]
fn streams_of_the_tools_decode_whatever_their_blocks_and_filters() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("raw").to_str().unwrap().to_owned();
    let expected = whole(&sample());
    fs::write(&path, &expected).unwrap();
    let cases: [(&str, &[&str]); 8] = [
        ("xz", &["-0", "-T1"]),
        ("xz", &["-0", "-T2", "--block-size=1MiB"]),
        ("xz", &["-0", "--check=none", "--block-size=3000000"]),
        (
            "xz",
            &[
                "--check=sha256",
                "--x86",
                "--lzma2=preset=0",
                "--block-size=1MiB",
            ],
        ),
        ("zstd", &["-1"]),
        ("zstd", &["-1", "--long=27", "--no-check"]),
        ("gzip", &["-1"]),
        ("gzip", &["-9"]),
    ];
    for (tool, arguments) in cases {
        let mut all = arguments.to_vec();
        all.extend(["-c", path.as_str()]);
        let packed = run(tool, &all, if tool == "xz" { "xz-utils" } else { tool });
        check_decodes(&packed, &expected);
        let mut twice = packed.clone();
        if tool == "xz" {
            twice.extend([0; 8]);
        }
        twice.extend(&packed);
        let out = Memory::default();
        let size = compressed::decode(&twice, jobs(2), 1 << 40, &out, &mut |_| {}).unwrap();
        assert_eq!(size, 2 * SAMPLE_BYTES, "{tool} {arguments:?}");
        assert!(out.bytes(size)[expected.len()..] == expected);
        for junk in [&b"junk"[..], b"junkjunk", b"j"] {
            let mut damaged = packed.clone();
            damaged.extend(junk);
            let result =
                compressed::decode(&damaged, jobs(2), 1 << 40, &Memory::default(), &mut |_| {});
            assert!(
                result.is_err(),
                "{tool} {arguments:?}: {junk:?} after the end"
            );
        }
    }
}

#[test]
fn a_raw_disk_is_written_with_its_holes() {
    let expected = whole(&sample());
    for count in [1, 3] {
        let out = Memory::default();
        let mut seen = 0;
        let map = raw::write(&sample(), jobs(count), &out, &mut |piece| {
            assert!(piece.offset >= seen, "pieces come in order");
            seen = piece.offset + piece.bytes.len() as u64;
        })
        .unwrap();
        assert_eq!(map.size, SAMPLE_BYTES);
        assert!(map.mapped_blocks() * 4096 < SAMPLE_BYTES / 2);
        assert!(out.bytes(SAMPLE_BYTES) == expected);
        out.write_all_at(&[], 0).unwrap();
    }
}
