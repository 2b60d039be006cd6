//! Crash safety: whatever call a build is killed at, what has a final name is right, and the next build succeeds.

use crate::fault::{self, Action, Calls, Which, number_on};
use crate::world::{HOST, Place, assert_whole, beside, reference, through, world, wrong};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use tests::run;

const KILL: i32 = 9;

/// At how many points builds are killed: of a virtual machine, of a card, of a card whose inputs are downloaded.
const POINTS: [usize; 3] = [90, 70, 55];
/// Threads race: so many points of each may be past the end of the build that is to be killed there.
const PAST: usize = 5;
/// What is promised.
const _: () = assert!(POINTS[0] + POINTS[1] + POINTS[2] - 3 * PAST >= 200);

/// Kills builds that begin with nothing at points spread over all their calls, and lets another finish the work.
fn killed_anywhere(profile: &'static str, formats: &[&str], points: usize, places: &[Place]) {
    let calls = fault::calls(&places[0], places[0].build(profile, formats), Calls::Change);
    let points = fault::spread(calls.len(), points);
    let killed = AtomicUsize::new(0);
    reference(profile);
    fault::each(places, &points, |place, n| {
        place.forget();
        let mut command = place.build(profile, formats);
        fault::at(&mut command, Calls::Change, n, Action::Kill);
        let output = command.output().expect("it runs");
        if output.status.signal() == Some(KILL) {
            killed.fetch_add(1, Ordering::Relaxed);
        } else {
            assert!(output.status.success(), "point {n}: {output:?}");
        }
        let files = place.files();
        assert_eq!(wrong(&files, reference(profile)), [""; 0], "point {n}");
        let mut command = place.build(profile, formats);
        fault::at(&mut command, Calls::Change, 0, Action::None);
        run(&mut command);
        assert_whole(&place.files(), profile, formats);
        assert_eq!(place.leftovers(), [""; 0], "point {n}");
    });
    let killed = killed.into_inner();
    assert!(killed + PAST >= points.len(), "only {killed} were killed");
}

fn places(name: &str) -> [Place; 2] {
    ["a", "b"].map(|it| world().place(&format!("{name}-{it}")))
}

#[test]
fn a_build_killed_anywhere_leaves_nothing_wrong_and_the_next_one_succeeds() {
    killed_anywhere("vm", &["ova", "qcow2"], POINTS[0], &places("killed-vm"));
}

#[test]
fn so_does_one_of_a_compressed_base_with_a_boot_partition() {
    killed_anywhere(
        "card",
        &["img", "img.zst"],
        POINTS[1],
        &places("killed-card"),
    );
}

#[test]
fn so_does_one_that_downloads() {
    let (_server, port) = tests::serve(&world().mirror(), &[]);
    let places = places("killed-http");
    for place in &places {
        place.take_from(&format!("http://127.0.0.1:{port}/{HOST}"), &world().key());
    }
    killed_anywhere("card", &["img"], POINTS[2], &places);
}

#[test]
fn what_stands_beside_an_artifact_is_of_that_artifact_whenever_a_rebuild_is_killed() {
    let place = world().place("killed-rebuild");
    let formats = ["img", "ova"];
    let old = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDfQWvZ0ZTg3b0hGNnJ3cWx0c2FtcGxla2V5MDAwMDAw an older key";
    let mut command = place.build("card", &formats);
    run(command.args(["--ssh-key", old]));
    let before = place.files();
    let kept = place.folder().join("kept");
    fs::rename(place.out(), &kept).expect("a rename");
    let restore = || {
        fs::remove_dir_all(place.out()).ok();
        run(Command::new("cp").arg("-a").arg(&kept).arg(place.out()));
    };
    restore();
    let calls = fault::calls(&place, place.build("card", &formats), Calls::Change);
    let (mut old_ones, mut new_ones) = (0, 0);
    for (n, (name, _)) in (1..).zip(&calls) {
        // Between writes nothing changes that has a name.
        if name == "pwrite64" || name == "ftruncate64" {
            continue;
        }
        restore();
        let mut command = place.build("card", &formats);
        fault::at(&mut command, Calls::Change, n, Action::Kill);
        command.output().expect("it runs");
        let now = place.files();
        for format in formats {
            let artifact = format!("card.{format}");
            let is = |files: &BTreeMap<_, Vec<u8>>, name: &str| now.get(name) == files.get(name);
            let state = if is(&before, &artifact) {
                old_ones += 1;
                &before
            } else {
                new_ones += 1;
                reference("card")
            };
            assert!(
                is(state, &artifact),
                "point {n}: {artifact} is neither the old nor the new"
            );
            for name in beside("card", format)
                .iter()
                .filter(|it| now.contains_key(*it))
            {
                assert!(
                    is(state, name),
                    "point {n}: {name} is not of the {artifact} beside it"
                );
            }
        }
    }
    assert!(
        old_ones > 5 && new_ones > 5,
        "{old_ones} old, {new_ones} new"
    );
}

#[test]
fn a_build_that_is_interrupted_cleans_up_and_ends_by_the_signal() {
    let place = world().place("interrupted");
    // One thread, so that calls come in one order.
    let build = || {
        let mut command = place.build("vm", &["ova"]);
        command.args(["--jobs", "1"]);
        command
    };
    let calls = fault::calls(&place, build(), Calls::Change);
    let (ova, derived) = ("vm.ova.partial-", "/derived/");
    let last = number_on(&calls, ova, Which::Last, |_| true);
    let (near, begun) = (last - 3, number_on(&calls, ova, Which::First, |_| true) + 1);
    let inflating = number_on(&calls, derived, Which::First, |it| it.contains(".partial-")) + 1;
    for (path, n, name, number) in [
        (ova, last, "INT", 2),
        (ova, near, "TERM", 15),
        (ova, begun, "TERM", 15),
        (derived, inflating, "INT", 2),
        (derived, inflating, "HUP", 1),
    ] {
        place.forget();
        let mut command = build();
        fault::on(&mut command, path, Calls::Change, n, Action::Stop);
        // Who runs tests in the background has them ignore interrupts, and what they start too.
        let mut child = through(&["env", "--default-signal=INT,TERM,HUP"], &command)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it runs");
        assert!(
            fault::wait_until_stopped(&mut child),
            "point {n} of {path} is not reached"
        );
        assert_ne!(
            place.leftovers(),
            [""; 0],
            "nothing is under way at point {n} of {path}"
        );
        fault::signal(&child, name);
        fault::signal(&child, "CONT");
        let status = child.wait().expect("it ends");
        // Near its end it may have been done before the signal was heard.
        if path == ova && n >= near && status.success() {
            assert_whole(&place.files(), "vm", &["ova"]);
            continue;
        }
        assert_eq!(status.signal(), Some(number), "{status}");
        assert_eq!(
            place.leftovers(),
            [""; 0],
            "SIG{name} at point {n} of {path}"
        );
        assert_eq!(wrong(&place.files(), reference("vm")), [""; 0]);
    }
}

#[test]
fn a_signal_that_was_ignored_stays_ignored() {
    let place = world().place("nohup");
    let calls = fault::calls(&place, place.build("vm", &["ova"]), Calls::Change);
    place.forget();
    let mut command = place.build("vm", &["ova"]);
    let ova = "vm.ova.partial-";
    let n = number_on(&calls, ova, Which::Last, |_| true) - 3;
    fault::on(&mut command, ova, Calls::Change, n, Action::Stop);
    let ignoring = ["sh", "-c", "trap '' HUP; exec \"$0\" \"$@\""];
    let mut child = through(&ignoring, &command)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    assert!(fault::wait_until_stopped(&mut child));
    fault::signal(&child, "HUP");
    fault::signal(&child, "CONT");
    assert!(child.wait().expect("it ends").success());
    assert_whole(&place.files(), "vm", &["ova"]);
}

#[test]
fn bytes_are_on_the_disk_before_they_have_a_name_and_the_name_before_the_build_ends() {
    let place = world().place("synced");
    let calls = fault::calls(&place, place.build("card", &["img", "ova"]), Calls::Change);
    let made_absolute = |path: &str| place.folder().join(path).display().to_string();
    let mut renames = 0;
    for (n, (name, paths)) in calls.iter().enumerate() {
        if name != "rename" {
            continue;
        }
        let (from, to) = paths.split_once(" -> ").expect("two paths");
        let (from, to) = (made_absolute(from), made_absolute(to));
        // What is remembered of artifacts is checked whenever it is read, and can be lost.
        if to.contains("/cache/grains/") {
            continue;
        }
        let last = calls[..n].iter().rposition(|(name, path)| {
            made_absolute(path) == from && name != "fsync" && !name.contains("chmod")
        });
        let last = last.expect("it was written");
        let is_sync = |call: &(String, String), of: &str| call.0 == "fsync" && call.1 == of;
        assert!(
            calls[last..n].iter().any(|it| is_sync(it, &from)),
            "{to} is named before its bytes are on the disk"
        );
        let folder = to.rsplit_once('/').expect("a folder").0;
        assert!(
            calls[n..].iter().any(|it| is_sync(it, folder)),
            "the name {to} is not on the disk"
        );
        renames += 1;
    }
    assert!(renames > 10, "only {renames} files got a name");
}
