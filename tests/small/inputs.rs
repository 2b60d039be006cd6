//! Base images in every form that is read, and on every kind of table: what is built of one has the same files, whatever it came in.

use crate::apart::Apart;
use crate::world::{HOST, Place, reference, world};
use disk::table::Kind;
use fstree::ReadAt as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use tests::{repository, run, target};

/// Where the bases of these tests are.
const INPUTS: &str = "inputs.example";

/// Forms of one file, each with the shell command that makes it, as `$out`, of the raw disk `$raw`.
const FORMS: [(&str, &str); 12] = [
    ("raw", "cp --sparse=always \"$raw\" \"$out\""),
    (
        "qcow2-v2",
        "qemu-img convert -O qcow2 -o compat=0.10 \"$raw\" \"$out\"",
    ),
    (
        "qcow2-v2-zlib",
        "qemu-img convert -c -O qcow2 -o compat=0.10 \"$raw\" \"$out\"",
    ),
    (
        "qcow2-512",
        "qemu-img convert -c -O qcow2 -o cluster_size=512 \"$raw\" \"$out\"",
    ),
    (
        "qcow2-2M",
        "qemu-img convert -c -O qcow2 -o cluster_size=2M \"$raw\" \"$out\"",
    ),
    (
        "qcow2-zstd",
        "qemu-img convert -c -O qcow2 -o compression_type=zstd \"$raw\" \"$out\"",
    ),
    (
        "vmdk-stream",
        "qemu-img convert -O vmdk -o subformat=streamOptimized \"$raw\" \"$out\"",
    ),
    (
        "vmdk-sparse",
        "qemu-img convert -O vmdk -o subformat=monolithicSparse \"$raw\" \"$out\"",
    ),
    ("zst", "zstd -q \"$raw\" -o \"$out\""),
    ("gz", "gzip -1 -c \"$raw\" > \"$out\""),
    ("xz-one-block", "xz -0 -T1 -c \"$raw\" > \"$out\""),
    (
        "xz-blocks",
        "xz -0 -T1 --block-size=1MiB -c \"$raw\" > \"$out\"",
    ),
];

/// What else is in the folder of bases: descriptors of disks that lie in other files, and disks whose tables are of other kinds.
const OTHERS: &str = r#"
qemu-img convert -O vmdk -o subformat=monolithicFlat vm.raw vm.flat.vmdk
qemu-img create -q -f qcow2 -b vm.raw -F raw vm.backed
qemu-img create -q -f qcow2 -o data_file=vm.data,data_file_raw=on vm.apart 20M
cp vm.raw vm.primary-header; printf '\125' | dd of=vm.primary-header bs=1 seek=$((512 + 60)) conv=notrunc status=none
cp vm.raw vm.primary-entries; printf '\125' | dd of=vm.primary-entries bs=1 seek=$((1024 + 40)) conv=notrunc status=none
copy() { dd if="$1" skip="$2" count="$3" of="$4" seek="$5" bs=1M conv=notrunc,sparse status=none; }
truncate -s 20M vm.sectors-4096
printf 'g\nn\n14\n512\n767\nn\n1\n1024\n4607\nw\n' | fdisk -b 4096 -w never -W never vm.sectors-4096 > fdisk.log
copy vm.raw 2 1 vm.sectors-4096 2
copy vm.raw 4 14 vm.sectors-4096 4
truncate -s 19M card.sectors-4096
printf 'o\nx\ni\n0x4e2d6a12\nr\nn\np\n1\n256\n1279\nt\nc\nn\np\n2\n1280\n4863\nw\n' |
  fdisk -b 4096 -w never -W never card.sectors-4096 > fdisk.log
mkdir boot
truncate -s 4M boot.fat
mkfs.vfat -S 4096 -n system-boot -i 4E2D6A15 --invariant boot.fat > fdisk.log
export TZ=UTC
mcopy -m -i card.raw@@1M '::/*' boot
mcopy -m -i boot.fat boot/* ::/
copy boot.fat 0 4 card.sectors-4096 1
copy card.raw 5 14 card.sectors-4096 5
rm -r boot boot.fat
truncate -s 22M card.logical
printf '%s\n' 'label: dos' 'label-id: 0x4e2d6a11' \
  'start=2048, size=8192, type=c, bootable' 'start=10240, size=34816, type=5' 'start=14336, size=28672, type=83' |
  sfdisk -q --no-tell-kernel card.logical
copy card.raw 1 4 card.logical 1
copy card.raw 5 14 card.logical 7
rm fdisk.log
"#;

/// Returns the folder of signed bases, made once a run.
fn inputs() -> &'static Path {
    static INPUTS: OnceLock<PathBuf> = OnceLock::new();
    INPUTS.get_or_init(|| {
        let folder = target().join("small/inputs");
        fs::remove_dir_all(&folder).ok();
        fs::create_dir_all(&folder).expect("a folder");
        let images = world().mirror().join(HOST).join("images");
        let shell = |script: &str| {
            run(Command::new("sh")
                .args(["-ec", script])
                .env("images", &images)
                .current_dir(&folder));
        };
        shell("qemu-img convert -O raw \"$images/vm.img\" vm.raw; xz -dc \"$images/card.img.xz\" > card.raw");
        for base in ["vm", "card"] {
            for (form, script) in FORMS.iter().skip(1) {
                shell(&format!("raw={base}.raw out={base}.{form}; {script}"));
            }
        }
        shell(OTHERS);
        run(Command::new(repository().join("ci/stand-ins.d/sign.sh"))
            .arg(world().keys())
            .args(["mini", "images"])
            .arg(&folder));
        folder
    })
}

/// A place whose profile has another base: a file of the folder of bases.
fn place(profile: &str, file: &str) -> Place {
    let place = world().place(&format!("inputs-{file}"));
    let edit = |path: &str, from: &str, to: &str| {
        let path = place.folder().join(path);
        let text = fs::read_to_string(&path).expect("a file");
        assert!(text.contains(from), "{text}");
        fs::write(&path, text.replacen(from, to, 1)).expect("a file");
    };
    let image = if profile == "vm" {
        "vm.img"
    } else {
        "card.img.xz"
    };
    edit(
        &format!("profiles/bases/mini-{profile}.toml"),
        &format!("{HOST}/images/{image}"),
        &format!("{INPUTS}/{file}"),
    );
    let mirror = format!(
        "[mirrors]\n\"http://{INPUTS}\" = {:?}\n",
        inputs().display().to_string()
    );
    edit("nodeimg.toml", "[mirrors]\n", &mirror);
    place
}

/// Builds a disk, which is judged; returns it with what the build said.
fn built(place: &Place, profile: &str) -> (Apart, String) {
    let output = run(&mut place.build(profile, &["raw"]));
    let raw = fs::read(place.out().join(format!("{profile}.raw"))).expect("a disk");
    let apart = Apart::of(&raw);
    apart.judge(place.folder());
    (apart, String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Checks that a disk holds what the one does that was built of the base as it is published.
#[track_caller]
fn assert_holds_the_same(apart: &Apart, profile: &'static str, what: &str) {
    let theirs = Apart::of(&reference(profile)[&format!("{profile}.raw")]).holds();
    let ours = apart.holds();
    assert!(ours.keys().eq(theirs.keys()), "{what}: {:?}", ours.keys());
    for (label, lines) in &ours {
        let differs: Vec<_> = lines
            .iter()
            .filter(|it| !theirs[label].contains(it))
            .collect();
        assert!(differs.is_empty(), "{what}: {label} has {differs:#?}");
        assert_eq!(lines.len(), theirs[label].len(), "{what}: {label}");
    }
}

#[test]
fn a_base_in_any_form_makes_the_same_image() {
    for profile in ["vm", "card"] {
        for (form, _) in FORMS {
            let file = format!("{profile}.{form}");
            let place = place(profile, &file);
            let (apart, told) = built(&place, profile);
            assert!(!told.contains("the base image:"), "{file}: {told}");
            assert_holds_the_same(&apart, profile, &file);
        }
    }
}

#[test]
fn clusters_of_a_compressed_base_are_grains_of_its_disk() {
    let base = world().mirror().join(HOST).join("images/vm.img");
    let base = disk::qcow2::open(Arc::new(fs::read(base).expect("the base"))).expect("a qcow2");
    let (mut streams, mut content) = (Vec::new(), vec![0; base.cluster_bytes()]);
    for index in 0..base.size() / content.len() as u64 {
        let mut stream = Vec::new();
        if base
            .deflated(index, &mut stream, &mut content)
            .expect("read")
        {
            streams.push(stream);
        }
    }
    for (profile, format) in [("vm", "vmdk"), ("vm", "ova")] {
        let made = &reference(profile)[&format!("{profile}.{format}")];
        let found = |stream: &Vec<u8>| made.windows(stream.len()).any(|it| it == stream);
        let found = streams.iter().filter(|it| found(it)).count();
        // The others hold tables, directories and what a build changes.
        assert!(
            found * 2 > streams.len(),
            "{format}: {found} of {}",
            streams.len()
        );
    }
}

#[test]
fn what_was_built_is_clean_and_an_independent_reader_sees_all_of_it() {
    for profile in ["vm", "card"] {
        let place = world().place(&format!("apart-{profile}"));
        Apart::of(&reference(profile)[&format!("{profile}.raw")]).judge(place.folder());
    }
}

#[test]
fn a_base_of_4096_byte_sectors_stays_one() {
    let place = place("vm", "vm.sectors-4096");
    let (apart, _) = built(&place, "vm");
    assert_eq!(apart.table.sector.bytes(), 4096);
    assert_holds_the_same(&apart, "vm", "sectors of 4096");
    // Linux mounts no FAT whose sectors are smaller than the disk's.
    assert_eq!(apart.fat_sectors(), [4096]);
    // What holds disks of 512-byte sectors alone is refused.
    let output = place.build("vm", &["ova"]).output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("counts in 4096"), "{told}");
}

#[test]
fn a_base_of_4096_byte_sectors_whose_mbr_does_not_say_so_stays_one() {
    let place = place("card", "card.sectors-4096");
    let (apart, _) = built(&place, "card");
    assert_eq!(apart.table.sector.bytes(), 4096);
    assert_eq!(apart.fat_sectors(), [4096]);
    assert_holds_the_same(&apart, "card", "an MBR and sectors of 4096");
    apart.judge(place.folder());
}

#[test]
fn a_logical_root_shrinks_and_grows_with_the_extended_partition_around_it() {
    let base = 28_672;
    for (image, is_larger) in [
        ("slack = \"1MiB\"", false),
        ("slack = \"20MiB\"", true),
        ("slack = \"20MiB\"\ndisk = \"60MiB\"", true),
    ] {
        let place = place("card", "card.logical");
        let part = place.folder().join("profiles/parts/mini.toml");
        let text = fs::read_to_string(&part).expect("a profile");
        let text = text.replace("slack = \"1MiB\"", image);
        fs::write(&part, text).expect("a profile");
        let (apart, _) = built(&place, "card");
        let root = apart.root();
        assert!(matches!(root.kind, Kind::Logical { .. }), "{root:?}");
        assert_eq!(root.sectors > base, is_larger, "{image}: {root:?}");
        let extended = apart.table.partitions.iter().find(|it| it.is_extended());
        let extended = extended.expect("an extended partition");
        // The root can grow to the disk's end on the machine, for that far the extended partition reaches.
        let end = apart.disk_bytes() / 512;
        assert_eq!(
            extended.start.0 + extended.sectors,
            end,
            "{image}: {extended:?}"
        );
        assert_eq!(end == 60 << 11, image.contains("60MiB"), "{image}");
        assert_holds_the_same(&apart, "card", image);
    }
}

#[test]
fn a_base_whose_first_table_is_damaged_is_built_of_the_second_with_a_warning() {
    for (file, why) in [
        ("vm.primary-header", "the header's checksum is wrong"),
        ("vm.primary-entries", "the table's checksum is wrong"),
    ] {
        let warning =
            format!("the base image: the primary GPT is damaged ({why}): its backup was read");
        let place = place("vm", file);
        let (apart, told) = built(&place, "vm");
        assert!(told.contains(&warning), "{told}");
        assert_holds_the_same(&apart, "vm", file);
        let output = run(place.build("vm", &["raw"]).arg("--json"));
        let events = tests::text(&output);
        let is_warning = |line: &str| {
            let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
            event["event"] == "note" && event["text"] == warning.as_str()
        };
        assert!(events.lines().any(is_warning), "{events}");
    }
}

#[test]
fn a_base_in_several_files_is_refused_with_what_is_elsewhere() {
    for (file, words) in [
        (
            "vm.flat.vmdk",
            &[
                "\"vm.flat-flat.vmdk\", which is not here",
                "a flat extent is a raw disk and can be named itself",
            ][..],
        ),
        (
            "vm.backed",
            &["the backing file \"vm.raw\" is not supported"],
        ),
        ("vm.apart", &["an external data file is not supported"]),
    ] {
        let place = place("vm", file);
        let output = place.build("vm", &["raw"]).output().expect("it runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        for word in words {
            assert!(told.contains(word), "{file}: no {word:?} in {told}");
        }
        assert!(!place.out().join("vm.raw").exists());
    }
    // As the error says.
    let (apart, _) = built(&place("vm", "vm.flat-flat.vmdk"), "vm");
    assert_holds_the_same(&apart, "vm", "a flat extent");
}
