//! Disks that are full, calls that fail: an error that says what to do, exit code 2, nothing wrong under a final name, no
//! litter; and the next build, with room, succeeds.

use crate::fault::{self, Action, Calls};
use crate::world::{Files, Place, assert_whole, reference, world, wrong};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use tests::run;

/// From how many calls on the disk is full, in builds of a virtual machine and of a card.
const POINTS: [usize; 2] = [30, 20];
/// What is promised; that disks which are really full come to it is not counted.
const _: () = assert!(POINTS[0] + POINTS[1] >= 50);

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn assert_world_failed(output: &Output, what: &str) {
    let text = error(output);
    assert_eq!(output.status.code(), Some(2), "{what}: {text}");
    assert!(text.contains("error: "), "{what}: {text}");
}

#[track_caller]
fn assert_says_that_the_disk_is_full(output: &Output, what: &str) {
    assert_world_failed(output, what);
    let text = error(output);
    assert!(
        text.contains("No space left on device") && text.contains("help: make room"),
        "{what}: {text}"
    );
    // Where there is no room: a path, not only what was being done.
    let place = text.lines().any(|it| {
        !it.starts_with("note")
            && (it.contains('/')
                || ["make folder ", "write folder "]
                    .iter()
                    .any(|words| it.contains(words)))
    });
    assert!(place, "{what}: {text}");
}

fn finish(place: &Place, profile: &'static str, formats: &[&str]) {
    let mut command = place.build(profile, formats);
    fault::at(&mut command, Calls::Change, 0, Action::None);
    run(&mut command);
    assert_whole(&place.files(), profile, formats);
    assert_eq!(place.leftovers(), [""; 0]);
}

fn full_anywhere(profile: &'static str, formats: &[&str], points: usize) {
    let places = ["a", "b"].map(|it| world().place(&format!("full-{profile}-{it}")));
    let calls = fault::calls(&places[0], places[0].build(profile, formats), Calls::Change);
    reference(profile);
    // The very last calls take no room.
    let last = calls
        .iter()
        .rposition(|(name, _)| name == "open")
        .expect("a file is made")
        + 1;
    fault::each(&places, &fault::spread(last, points), |place, n| {
        place.forget();
        let mut command = place.build(profile, formats);
        fault::at(&mut command, Calls::Change, n, Action::Full);
        let output = command.output().expect("it runs");
        assert_says_that_the_disk_is_full(&output, &format!("point {n}"));
        assert_eq!(
            wrong(&place.files(), reference(profile)),
            [""; 0],
            "point {n}"
        );
        assert_eq!(place.leftovers(), [""; 0], "point {n}: {}", error(&output));
        finish(place, profile, formats);
    });
}

#[test]
fn a_disk_that_is_full_from_any_call_on_is_an_error_that_says_so() {
    full_anywhere("vm", &["ova", "raw"], POINTS[0]);
}

#[test]
fn so_it_is_for_a_compressed_base_with_a_boot_partition() {
    full_anywhere("card", &["img", "qcow2"], POINTS[1]);
}

/// A file system of so many bytes, until this is dropped.
struct Small(PathBuf);

impl Small {
    fn mount(at: &Path, kib: usize) -> Self {
        fs::create_dir_all(at).expect("a folder");
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={kib}k"), "none"])
            .arg(at));
        Self(at.to_owned())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        Command::new("umount").arg(&self.0).status().ok();
    }
}

#[test]
fn a_disk_that_is_really_full_is_an_error_that_says_so() {
    let place = world().place("small-disk");
    let disk = place.folder().join("disk");
    let build = || {
        let mut command = Command::new(tests::binary());
        command
            .current_dir(place.folder())
            .args(["--cache", "disk/cache"]);
        command.args([
            "build",
            "--profile",
            "card",
            "--format",
            "img",
            "--format",
            "ova",
        ]);
        command.args(["--out", "disk/out"]);
        command
    };
    let mut sizes = fault::spread(12 << 10, 13);
    sizes.push(200 << 10);
    let mut built = 0;
    for kib in sizes {
        let _disk = Small::mount(&disk, kib);
        let output = build().output().expect("it runs");
        let files: Files = crate::world::read(&disk.join("out"));
        assert_eq!(wrong(&files, reference("card")), [""; 0], "{kib} KiB");
        if output.status.success() {
            assert_whole(&files, "card", &["img", "ova"]);
            built += 1;
        } else {
            assert_says_that_the_disk_is_full(&output, &format!("{kib} KiB"));
            run(Command::new("mount")
                .args(["-o", "remount,size=200m"])
                .arg(&disk));
            run(&mut build());
            assert_whole(
                &crate::world::read(&disk.join("out")),
                "card",
                &["img", "ova"],
            );
        }
    }
    assert!((1..8).contains(&built), "{built} builds had room");
}

#[test]
fn any_one_call_that_fails_to_change_a_file_fails_the_build_or_does_no_harm() {
    let places = ["a", "b"].map(|it| world().place(&format!("failing-{it}")));
    let calls = fault::calls(&places[0], places[0].build("vm", &["img"]), Calls::Change);
    let failed = AtomicUsize::new(0);
    reference("vm");
    fault::each(&places, &fault::spread(calls.len(), 50), |place, n| {
        place.forget();
        let mut command = place.build("vm", &["img"]);
        fault::at(&mut command, Calls::Change, n, Action::Fail);
        let output = command.output().expect("it runs");
        let what = format!("point {n}, {:?}", calls.get(n - 1));
        if output.status.success() {
            assert_whole(&place.files(), "vm", &["img"]);
        } else {
            assert_world_failed(&output, &what);
            assert!(
                error(&output).contains("Input/output error"),
                "{what}: {}",
                error(&output)
            );
            failed.fetch_add(1, Ordering::Relaxed);
        }
        assert_eq!(wrong(&place.files(), reference("vm")), [""; 0], "{what}");
        finish(place, "vm", &["img"]);
    });
    let failed = failed.into_inner();
    assert!(failed > 30, "only {failed} failed");
}

#[test]
fn any_one_call_that_fails_to_read_a_file_fails_the_build_or_does_no_harm() {
    let places = ["a", "b"].map(|it| world().place(&format!("unreadable-{it}")));
    let calls = fault::calls(&places[0], places[0].build("card", &["img"]), Calls::Read);
    let failed = AtomicUsize::new(0);
    reference("card");
    fault::each(&places, &fault::spread(calls.len(), 80), |place, n| {
        place.forget();
        let mut command = place.build("card", &["img"]);
        fault::at(&mut command, Calls::Read, n, Action::Fail);
        let output = command.output().expect("it runs");
        let what = format!("point {n}, {:?}", calls.get(n - 1));
        if output.status.success() {
            assert_whole(&place.files(), "card", &["img"]);
        } else {
            assert_world_failed(&output, &what);
            failed.fetch_add(1, Ordering::Relaxed);
        }
        assert_eq!(wrong(&place.files(), reference("card")), [""; 0], "{what}");
        finish(place, "card", &["img"]);
    });
    let failed = failed.into_inner();
    assert!(failed > 30, "only {failed} failed");
}

#[test]
fn writes_that_are_cut_short_do_no_harm() {
    let place = world().place("short");
    let calls = fault::calls(&place, place.build("vm", &["qcow2"]), Calls::Change);
    let writes: Vec<usize> = (1..)
        .zip(&calls)
        .filter(|(_, (name, _))| name.ends_with("write") || name.ends_with("write64"))
        .map(|(n, _)| n)
        .collect();
    for at in fault::spread(writes.len(), 15) {
        place.forget();
        let mut command = place.build("vm", &["qcow2"]);
        fault::at(&mut command, Calls::Change, writes[at - 1], Action::Short);
        run(&mut command);
        assert_whole(&place.files(), "vm", &["qcow2"]);
    }
}
