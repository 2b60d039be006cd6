//! Determinism: the same lock gives the same bytes in every format, whoever builds, wherever, whenever, on however many
//! processors.

use crate::world::{FORMATS, Place, assert_whole, reference, world};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::Command;
use tests::run;

const NOBODY: u32 = 65534;

/// Builds every format of both profiles in a way of its own, and compares.
fn same(place: &Place, adjust: impl Fn(&mut Command)) {
    for profile in ["vm", "card"] {
        let mut command = place.build(profile, &FORMATS);
        adjust(&mut command);
        run(&mut command);
        assert_whole(
            &place
                .files()
                .into_iter()
                .filter(|(name, _)| name.starts_with(profile))
                .collect(),
            profile,
            &FORMATS,
        );
    }
}

/// Gives a place the locks of the reference: what is told apart is the build, not the locking.
fn with_locks(place: Place) -> Place {
    let locks = place.folder().join("locks");
    fs::create_dir_all(&locks).expect("a folder");
    for profile in ["vm", "card"] {
        reference(profile);
        let from = place
            .folder()
            .with_file_name(format!("reference-{profile}"));
        let name = format!("{profile}.lock");
        fs::copy(from.join("locks").join(&name), locks.join(&name)).expect("the reference's lock");
    }
    place
}

/// Wraps a command in another that ends with its own arguments: `sh -c … "$@"`, `faketime …`.
fn wrapped(command: &mut Command, by: &[&str]) {
    let mut outer = Command::new(by[0]);
    outer
        .args(&by[1..])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        outer.current_dir(folder);
    }
    *command = outer;
}

#[test]
fn every_format_holds_the_same_disk() {
    let place = world().place("one-disk");
    for profile in ["vm", "card"] {
        let files = reference(profile);
        for format in FORMATS.iter().filter(|it| **it != "ova") {
            let name = format!("{profile}.{format}");
            fs::write(place.folder().join(&name), &files[&name]).expect("a file");
        }
        for format in ["vmdk", "qcow2", "img"] {
            let tool = if format == "img" { "raw" } else { format };
            run(Command::new("qemu-img")
                .args(["compare", "-f", "raw", "-F", tool])
                .arg(format!("{profile}.raw"))
                .arg(format!("{profile}.{format}"))
                .current_dir(place.folder()));
        }
        for (format, decoder) in [("img.zst", "zstd"), ("img.xz", "xz")] {
            let script = format!("{decoder} -dc {profile}.{format} | cmp - {profile}.img");
            run(Command::new("sh")
                .args(["-c", &script])
                .current_dir(place.folder()));
        }
    }
}

#[test]
fn in_any_time_zone_locale_and_umask_with_a_cold_and_a_warm_cache() {
    let place = world().place("same-environment");
    for (zone, locale, umask) in [
        ("Pacific/Kiritimati", "tr_TR.UTF-8", "077"),
        ("America/St_Johns", "C", "000"),
    ] {
        // The first round locks, fetches and derives; the second finds it all.
        same(&place, |command| {
            command
                .env("TZ", zone)
                .env("LC_ALL", locale)
                .env("LANG", locale);
            wrapped(
                command,
                &["sh", "-c", &format!("umask {umask}; exec \"$0\" \"$@\"")],
            );
        });
        fs::remove_dir_all(place.out()).expect("artifacts");
    }
}

#[test]
fn with_any_number_of_threads() {
    let place = world().place("same-jobs");
    for jobs in ["1", "2", "7"] {
        place.forget();
        same(&place, |command| {
            command.args(["--jobs", jobs]);
        });
    }
}

#[test]
fn at_any_time_of_the_clock() {
    let place = with_locks(world().place("same-clock"));
    for time in ["1980-02-29 23:59:59", "2039-01-01 00:00:00"] {
        fs::remove_dir_all(place.out()).ok();
        same(&place, |command| {
            wrapped(command, &["faketime", "-f", &format!("@{time}")]);
        });
    }
}

#[test]
fn as_any_user_in_any_folder() {
    let home = tempfile::tempdir().expect("a folder");
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
    let copy = world().copy(home.path());
    let place = copy.place_at(home.path().join("another folder, with ümlauts"));
    run(Command::new("chown")
        .args(["-R", "nobody"])
        .arg(place.folder()));
    chown(place.folder(), Some(NOBODY), Some(NOBODY)).expect("root may");
    let program = home.path().join("a program of another name");
    fs::copy(tests::binary(), &program).expect("a copy");
    same(&place, |command| {
        let mut other = Command::new(&program);
        other
            .args(command.get_args())
            .current_dir(place.folder())
            .env_clear()
            .env("HOME", "/nonexistent");
        *command = other;
        wrapped(
            command,
            &[
                "setpriv",
                "--reuid=nobody",
                "--regid=nogroup",
                "--clear-groups",
                "--no-new-privs",
            ],
        );
    });
    assert_eq!(owner(&place.out().join("vm.ova")), NOBODY);
}

fn owner(file: &Path) -> u32 {
    std::os::unix::fs::MetadataExt::uid(&fs::metadata(file).expect("it is there"))
}

#[test]
fn from_a_cache_that_cannot_be_written() {
    let place = world().place("same-read-only");
    same(&place, |_| ());
    fs::remove_dir_all(place.out()).expect("artifacts");
    // Root may write where nobody may: only a file system that refuses says anything.
    let cache = place.cache();
    run(Command::new("mount").arg("--bind").arg(&cache).arg(&cache));
    let mounted = Mounted(&cache);
    run(Command::new("mount")
        .args(["-o", "remount,bind,ro"])
        .arg(&cache));
    same(&place, |command| {
        command.arg("--offline");
    });
    drop(mounted);
}

struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        Command::new("umount").arg(self.0).status().ok();
    }
}
