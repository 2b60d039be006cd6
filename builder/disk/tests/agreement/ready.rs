//! Grains of a VMDK that are clusters of a qcow2 image, taken over as they are compressed there.

use crate::tools::{Memory, Remembers, SAMPLE_BYTES, jobs, run, sample, vmdk_options, whole};
use disk::qcow2::{self, Streams};
use disk::vmdk::{self, GRAIN, Ready};
use fstree::{MosaicBuilder, ReadAt};
use std::fs;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// The part of the disk that is zero though the image holds something there: one of the sample's text.
const WIPED: Range<u64> = (2 << 20) + 5..(2 << 20) + 900;

/// The grains of a disk that is an image's, but for what was wiped.
struct Image(Streams);

impl Ready for Image {
    fn stream(&self, range: Range<u64>, stream: &mut Vec<u8>) -> io::Result<Option<u32>> {
        if range.end - range.start != GRAIN as u64 {
            return Ok(None);
        }
        let at = |it: u64| usize::try_from(it.clamp(range.start, range.end) - range.start).unwrap();
        // And the last bytes of a run are told to be zero, as those behind a file are.
        let holes = [at(WIPED.start)..at(WIPED.end), at(5000)..at(8192)];
        let holes: Vec<_> = holes.into_iter().filter(|it| !it.is_empty()).collect();
        self.0.append(range.start / GRAIN as u64, &holes, stream)
    }
}

/// Returns the numbers and zlib streams of a VMDK's grains.
fn grains(file: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut grains = Vec::new();
    let mut at = 128 * 512;
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    while at < file.len() {
        let lba = u64::from_le_bytes(file[at..at + 8].try_into().unwrap());
        let len = usize::try_from(word(at + 8)).unwrap();
        if len == 0 {
            // A marker and so many sectors.
            at += 512 * (1 + usize::try_from(lba).unwrap());
            continue;
        }
        grains.push((
            lba * 512 / GRAIN as u64,
            file[at + 12..at + 12 + len].to_vec(),
        ));
        at = (at + 12 + len).next_multiple_of(512);
    }
    grains
}

#[test]
fn clusters_are_taken_over_as_they_are_and_what_is_wiped_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let mut expected = whole(&sample());
    fs::write(path("base"), &expected).unwrap();
    let convert = ["convert", "-f", "raw", "-O", "qcow2", "-c"];
    run(
        "qemu-img",
        &[&convert[..], &[&path("base"), &path("qcow2")]].concat(),
        "qemu-utils",
    );
    let wiped = usize::try_from(WIPED.start).unwrap()..usize::try_from(WIPED.end).unwrap();
    assert!(expected[wiped.clone()].iter().any(|it| *it != 0));
    expected[wiped].fill(0);
    fs::write(path("raw"), &expected).unwrap();
    let mut builder = MosaicBuilder::new();
    let base: Arc<dyn ReadAt> = Arc::new(sample());
    builder.place(0, base.clone(), 0, WIPED.start);
    builder.place(WIPED.end, base, WIPED.end, SAMPLE_BYTES - WIPED.end);
    let disk = builder.finish(SAMPLE_BYTES).unwrap();

    let source: Arc<dyn ReadAt> = Arc::new(fs::read(path("qcow2")).unwrap());
    let qcow2 = Arc::new(qcow2::open(source).unwrap());
    let surveys = [1, 3].map(|count| {
        let out = Memory::default();
        let len = qcow2::survey(&qcow2, jobs(count), &out).unwrap();
        out.bytes(len)
    });
    assert!(surveys[0] == surveys[1] && surveys[0].len() % 40 == 0);
    let [survey, _] = surveys;
    let image = Image(Streams::new(qcow2.clone(), Arc::new(survey)));
    let cache = Remembers::default();
    let mut made = Vec::new();
    for (count, cache) in [(1, None), (3, None), (2, Some(&cache)), (1, Some(&cache))] {
        let mut options = vmdk_options();
        options.ready = Some(&image);
        options.cache = cache.map(|it| it as _);
        let mut file = Vec::new();
        vmdk::write_stream(&disk, &options, jobs(count), &mut file, &mut |_| {}).unwrap();
        made.push(file);
    }
    assert!(made.iter().all(|it| *it == made[0]));
    fs::write(path("vmdk"), &made[0]).unwrap();
    let check = ["check", "-f", "vmdk", &path("vmdk")];
    run("qemu-img", &check, "qemu-utils");
    let compare = ["compare", "-f", "raw", "-F", "vmdk"];
    run(
        "qemu-img",
        &[&compare[..], &[&path("raw"), &path("vmdk")]].concat(),
        "qemu-utils",
    );

    let mut plain = Vec::new();
    vmdk::write_stream(&disk, &vmdk_options(), jobs(2), &mut plain, &mut |_| {}).unwrap();
    let plain = grains(&plain);
    let mut taken = 0;
    for ((number, zlib), (plain_number, compressed)) in grains(&made[0]).iter().zip(&plain) {
        assert_eq!(number, plain_number);
        let (mut stream, mut content) = (Vec::new(), vec![0; GRAIN]);
        let has_stream = qcow2.deflated(*number, &mut stream, &mut content).unwrap();
        let whole = (number + 1) * GRAIN as u64 <= SAMPLE_BYTES;
        if has_stream && whole && *number != WIPED.start / GRAIN as u64 {
            assert_eq!(zlib[..2], [0x78, 0x9c]);
            assert!(zlib[2..zlib.len() - 4] == stream, "grain {number}");
            taken += 1;
        } else {
            assert!(zlib == compressed, "grain {number}");
        }
    }
    assert_eq!(grains(&made[0]).len(), plain.len());
    assert!(taken > 40, "{taken} clusters were taken over");
}
