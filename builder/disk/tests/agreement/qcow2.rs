//! qcow2 images of every cluster size, version and kind of cluster, as qemu-img and qemu-io make them.

use crate::tools::{bytes, run};
use disk::qcow2;
use flate2::bufread::DeflateDecoder;
use fstree::ReadAt;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

/// A disk of 5 MiB and a bit, with holes smaller and larger than every cluster.
fn disk() -> Vec<u8> {
    let mut disk = vec![0; (5 << 20) + 512 * 3];
    for (at, len, noise) in [
        (0, 700, false),
        (9 << 10, 70 << 10, true),
        (1 << 20, 500 << 10, false),
        ((4 << 20) + 512, 512, true),
        ((5 << 20) + 1024, 512, false),
    ] {
        disk[at..at + len].copy_from_slice(&bytes(at as u64 + 1, len, noise));
    }
    disk
}

fn tool(folder: &Path, name: &str, arguments: &[&str]) {
    let arguments: Vec<String> = arguments
        .iter()
        .map(|it| it.replace('@', &format!("{}/", folder.display())))
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    run(name, &arguments, "qemu-utils");
}

/// Checks that an image reads as `expected`, whole, by its data alone, and by the streams of those clusters that are such;
/// returns how many those are.
fn check(image: &Path, expected: &[u8], what: &str) -> io::Result<usize> {
    let source: Arc<dyn ReadAt> = Arc::new(fs::read(image)?);
    let disk = qcow2::open(source).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(disk.size(), expected.len() as u64, "{what}");
    let mut whole = vec![0xee; expected.len()];
    disk.read_exact_at(&mut whole, 0)?;
    assert!(whole == expected, "{what} differs");
    let mut by_data = vec![0; expected.len()];
    let mut at = 0;
    while let Some(data) = disk.next_data(at)? {
        let range = usize::try_from(data.start).unwrap()..usize::try_from(data.end).unwrap();
        disk.read_exact_at(&mut by_data[range], data.start)?;
        at = data.end;
    }
    assert!(by_data == expected, "{what}: its holes hide data");
    let (mut content, mut streams) = (vec![0xee; disk.cluster_bytes()], 0);
    for (index, cluster) in (0..).zip(expected.chunks(content.len())) {
        let mut stream = b"before".to_vec();
        if !disk.deflated(index, &mut stream, &mut content).unwrap() {
            assert_eq!(stream, b"before", "{what}");
            continue;
        }
        let (whole, past) = content.split_at(cluster.len());
        assert!(whole == cluster, "{what}: cluster {index} differs");
        assert!(past.iter().all(|it| *it == 0), "{what}");
        // Another decoder finds the end where we did.
        let mut inflated = Vec::new();
        let mut rest = &stream[6..];
        DeflateDecoder::new(&mut rest).read_to_end(&mut inflated)?;
        assert!(inflated == content && rest.is_empty(), "{what}");
        streams += 1;
    }
    Ok(streams)
}

#[test]
fn every_cluster_size_reads_plain_and_compressed_in_both_versions() -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let (expected, image) = (disk(), folder.path().join("image"));
    fs::write(folder.path().join("raw"), &expected)?;
    for bits in 9..=21 {
        let cluster = format!("cluster_size={}", 1 << bits);
        for (kind, options) in [
            ("plain", "compat=0.10"),
            ("packed", "compat=0.10"),
            ("plain", "compat=1.1"),
            ("packed", "compat=1.1,compression_type=zlib"),
            ("packed", "compat=1.1,compression_type=zstd"),
        ] {
            let options = format!("{options},{cluster}");
            let mut arguments = vec!["convert", "-f", "raw", "-O", "qcow2", "-o", &options];
            if kind == "packed" {
                arguments.push("-c");
            }
            arguments.extend(["@raw", "@image"]);
            tool(folder.path(), "qemu-img", &arguments);
            let streams = check(&image, &expected, &format!("{kind} {options}"))?;
            let deflated = kind == "packed" && !options.contains("zstd");
            assert_eq!(streams > 0, deflated, "{kind} {options}: {streams} streams");
        }
    }
    Ok(())
}

#[test]
fn clusters_of_zeros_read_as_zeros_with_and_without_a_place() -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let image = folder.path().join("image");
    let mut expected = disk();
    fs::write(folder.path().join("raw"), &expected)?;
    for packed in [&["-c"][..], &[]] {
        let mut arguments = vec![
            "convert",
            "-f",
            "raw",
            "-O",
            "qcow2",
            "-o",
            "cluster_size=4096",
        ];
        arguments.extend(packed);
        arguments.extend(["@raw", "@image"]);
        tool(folder.path(), "qemu-img", &arguments);
        // Zeros over data keep the cluster's place, with -u they give it up; a discarded cluster becomes one of zeros.
        let commands = [
            "write -z 12k 8k",
            "write -z -u 1M 64k",
            "discard 1200k 32k",
            "write -P 7 24k 4k",
        ];
        let mut arguments = vec!["-f", "qcow2", "@image"];
        for command in &commands {
            arguments.extend(["-c", command]);
        }
        tool(folder.path(), "qemu-io", &arguments);
        for (at, len, byte) in [
            (12 << 10, 8 << 10, 0),
            (1 << 20, 64 << 10, 0),
            (1200 << 10, 32 << 10, 0),
            (24 << 10, 4 << 10, 7),
        ] {
            expected[at..at + len].fill(byte);
        }
        check(&image, &expected, &format!("{packed:?}"))?;
        // A snapshot inside the image keeps old clusters; what is read is the disk of now.
        tool(
            folder.path(),
            "qemu-img",
            &["snapshot", "-c", "before", "@image"],
        );
        tool(
            folder.path(),
            "qemu-io",
            &["-f", "qcow2", "@image", "-c", "write -P 9 0 4k"],
        );
        let mut after = expected.clone();
        after[..4096].fill(9);
        check(&image, &after, "with a snapshot")?;
    }
    tool(
        folder.path(),
        "qemu-img",
        &[
            "create",
            "-q",
            "-f",
            "qcow2",
            "-o",
            "preallocation=metadata,compat=1.1",
            "@image",
            "3M",
        ],
    );
    check(&image, &vec![0; 3 << 20], "preallocated")?;
    Ok(())
}
