//! A cache that rots: files cut, flipped or deleted, between builds and in the middle of one. A correct artifact comes out, or
//! none and a clear error, and the next build is right.
//!
//! Damage is done to whatever files a cache has: a new kind of cached thing is covered once builds make it.

use crate::fault::{self, Action, Calls};
use crate::world::{Place, assert_whole, reference, world, wrong};
use std::fs;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tests::run;

/// What becomes of a file.
#[derive(Clone, Copy, Debug)]
enum Damage {
    /// It is cut in the middle.
    Cut,
    /// It is empty.
    Empty,
    /// The byte at so many hundredths of it is another one.
    Flip(u64),
    /// It is gone.
    Gone,
}

const DAMAGES: [Damage; 7] = [
    Damage::Cut,
    Damage::Empty,
    Damage::Flip(0),
    Damage::Flip(40),
    Damage::Flip(90),
    Damage::Flip(100),
    Damage::Gone,
];

fn damage(file: &Path, how: Damage) {
    if matches!(how, Damage::Gone) {
        return fs::remove_file(file).expect("it can be removed");
    }
    fs::set_permissions(file, fs::Permissions::from_mode(0o644)).expect("a mode");
    let open = fs::File::options()
        .read(true)
        .write(true)
        .open(file)
        .expect("it opens");
    let len = open.metadata().expect("its size").len();
    match how {
        Damage::Cut => open.set_len(len / 2).expect("it is cut"),
        Damage::Empty => open.set_len(0).expect("it is cut"),
        Damage::Flip(hundredths) if len > 0 => {
            let at = (len * hundredths / 100).min(len - 1);
            let mut byte = [0];
            open.read_exact_at(&mut byte, at).expect("a byte");
            open.write_all_at(&[byte[0] ^ 0x5a], at).expect("a byte");
        }
        _ => {}
    }
}

/// Returns what stands for a cached file now: what is remembered of artifacts has another name each time it is made.
fn now(place: &Place, file: &Path) -> PathBuf {
    let grains = |it: &Path| it.extension().is_some_and(|it| it == "grains");
    if !grains(file) {
        return file.to_owned();
    }
    let found = place.cached().into_iter().find(|it| grains(it));
    found.expect("grains are remembered")
}

#[test]
fn whatever_is_damaged_in_the_cache_between_builds_is_made_anew() {
    let place = world().place("damaged");
    let formats = ["img", "ova"];
    run(&mut place.build("card", &formats));
    let cached = place.cached();
    assert!(cached.len() > 6, "{cached:?}");
    for (n, file) in cached.iter().enumerate() {
        for (m, how) in DAMAGES.into_iter().enumerate() {
            let file = &now(&place, file);
            damage(file, how);
            fs::remove_dir_all(place.out()).expect("artifacts");
            let mut command = place.build("card", &formats);
            fault::at(&mut command, Calls::Change, 0, Action::None);
            // With half of them the lock is made anew too, which reads the base on another way.
            if (n + m) % 2 == 0 {
                fs::remove_dir_all(place.folder().join("locks")).expect("locks");
            }
            let output = command.output().expect("it runs");
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success(),
                "{how:?} of {}: {error}",
                file.display()
            );
            assert_whole(&place.files(), "card", &formats);
        }
    }
    for file in &cached {
        let file = now(&place, file);
        assert!(file.exists(), "{} was not made anew", file.display());
    }
}

/// Damages the cache at points spread over all that builds read, while they stand still there.
fn damaged_within(profile: &'static str, formats: &[&str], points: usize) {
    let places = ["a", "b"].map(|it| world().place(&format!("damaged-within-{profile}-{it}")));
    reference(profile);
    let command = places[0].build(profile, formats);
    let calls = fault::calls(&places[0], command, Calls::Read);
    fault::each(&places, &fault::spread(calls.len(), points), |place, n| {
        place.forget();
        let mut command = place.build(profile, formats);
        fault::at(&mut command, Calls::Read, n, Action::Stop);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        let how = DAMAGES[n % DAMAGES.len()];
        let mut victim = None;
        if fault::wait_until_stopped(&mut child) {
            let cached = place.cached();
            if !cached.is_empty() {
                // The file that is being read, where it is one of the cache's; else any.
                let path = calls.get(n - 1).map_or("", |(_, path)| path.as_str());
                let name = path.rsplit('/').next().unwrap_or_default();
                let same = cached
                    .iter()
                    .find(|it| it.file_name().is_some_and(|it| it == name));
                victim = Some(same.unwrap_or(&cached[n * 7 % cached.len()]).clone());
            }
            if let Some(victim) = &victim {
                damage(victim, how);
            }
            fault::signal(&child, "CONT");
        }
        let output = child.wait_with_output().expect("it ends");
        let error = String::from_utf8_lossy(&output.stderr);
        let what = format!(
            "{how:?} of {victim:?} at point {n}, {:?}: {error}",
            calls.get(n - 1)
        );
        assert_eq!(wrong(&place.files(), reference(profile)), [""; 0], "{what}");
        if output.status.success() {
            assert_whole(&place.files(), profile, formats);
        } else {
            // A download under way is checked like any other when it is there: it is as if the server had sent it so.
            let download = victim.is_some_and(|it| it.starts_with(place.cache().join("partial")));
            let code = output.status.code();
            assert!(code == Some(2) || (download && code == Some(1)), "{what}");
            assert!(error.contains("error: "), "{what}");
        }
        let mut command = place.build(profile, formats);
        fault::at(&mut command, Calls::Change, 0, Action::None);
        let output = command.output().expect("it runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{what}\nthe next: {error}");
        assert_whole(&place.files(), profile, formats);
    });
}

#[test]
fn whatever_is_damaged_in_the_middle_of_a_build_no_wrong_artifact_comes_of_it() {
    damaged_within("card", &["img"], 120);
}

#[test]
fn nor_of_one_that_is_compressed_from_a_compressed_base() {
    damaged_within("vm", &["ova", "qcow2"], 120);
}
