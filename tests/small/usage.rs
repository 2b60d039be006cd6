//! What a user is told: exit code 1 for what was asked wrongly, 2 for what the world refused, each with cause, place and what to
//! do; and who may read what is written.

use crate::world::{assert_whole, mode, world};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Command, Output, Stdio};
use tests::{run, text};

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn assert_fails(command: &mut Command, code: i32, words: &[&str]) {
    let output = command.output().expect("it runs");
    let text = error(&output);
    assert_eq!(output.status.code(), Some(code), "{command:?}: {text}");
    for word in words {
        assert!(
            text.contains(word),
            "{word:?} is not in what {command:?} says: {text}"
        );
    }
}

#[test]
fn what_is_asked_wrongly_is_exit_code_1_with_place_and_help() {
    let place = world().place("asked-wrongly");
    let folder = place.folder();
    fs::write(folder.join("garbage"), "x".repeat(5000)).expect("a file");
    fs::write(folder.join("not-text"), b"\xff\xfe").expect("a file");
    fs::create_dir(folder.join("folder")).expect("a folder");
    run(Command::new("mkfifo").arg(folder.join("pipe")));
    let cases: [(&[&str], &[&str]); 15] = [
        (
            &["show", "nothing.img"],
            &["cannot read the image nothing.img", "help: check the name"],
        ),
        (
            &["show", "folder"],
            &["folder is no regular file", "help: "],
        ),
        (&["show", "pipe"], &["pipe is no regular file"]),
        (&["show", "garbage"], &["error: "]),
        (&["plan"], &["no profile was named", "--profile"]),
        (
            &["build", "--profile", "vn"],
            &["there is no profile \"vn\"", "help: known are"],
        ),
        (&["build", "--profile", "vm", "--format", "iso"], &["iso"]),
        (
            &["build", "--profile", "vm", "--jobs", "0"],
            &["--jobs", "1..=512"],
        ),
        (
            &["build", "--profile", "vm", "--jobs", "100000"],
            &["--jobs", "1..=512"],
        ),
        (
            &["build", "--profile", "vm", "--ssh-key", "id.pub"],
            &["cannot read the file of SSH keys id.pub", "help: "],
        ),
        (
            &["build", "--profile", "vm", "--ssh-key", "garbage"],
            &["garbage holds no public SSH keys", "help: "],
        ),
        (
            &["build", "--profile", "vm", "--lock", "garbage"],
            &["garbage"],
        ),
        (
            &["build", "--profile", "vm", "--lock", "folder"],
            &["cannot read the lock folder"],
        ),
        (
            &["build", "--profile", "vm", "--out", "garbage"],
            &["garbage", "help: a file is where a folder is wanted"],
        ),
        (
            &["build", "--profile", "vm", "--cluster", "not-text"],
            &["not-text cannot be read"],
        ),
    ];
    for (arguments, words) in cases {
        assert_fails(place.nodeimg().args(arguments), 1, words);
        assert!(place.files().is_empty());
    }
    fs::copy(folder.join("not-text"), folder.join("nodeimg.toml")).expect("a copy");
    assert_fails(
        place.nodeimg().arg("profiles"),
        1,
        &[
            "cannot read the settings nodeimg.toml",
            "help: it is not text",
        ],
    );
    place.forget();
    place.take_from("mirror-that-is-not-there", &world().key());
    assert_fails(
        &mut place.build("vm", &[]),
        1,
        &[
            "mirror-that-is-not-there",
            "stands in for http://mini.example",
        ],
    );
}

#[test]
fn a_signature_from_the_future_says_so() {
    let place = world().place("early-clock");
    let command = place.build("vm", &[]);
    let mut early = Command::new("faketime");
    early
        .args(["-f", "@2001-01-01 00:00:00"])
        .arg(command.get_program())
        .args(command.get_args());
    early.current_dir(place.folder());
    assert_fails(&mut early, 1, &["SHA256SUMS is not good", "because: "]);
}

#[test]
fn failures_are_events_for_programs() {
    let place = world().place("events");
    let output = place
        .nodeimg()
        .args(["--json", "show", "nothing.img"])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let last = text(&output).lines().last().expect("an event").to_owned();
    for part in [
        "\"event\":\"failed\"",
        "\"exit_code\":1",
        "\"help\":\"check the name\"",
    ] {
        assert!(last.contains(part), "{part} is not in {last}");
    }
    assert!(error(&output).contains("error: cannot read the image nothing.img"));
}

#[test]
fn a_result_that_cannot_be_written_is_a_failure_and_a_reader_that_went_away_is_none() {
    let place = world().place("output");
    run(&mut place.build("vm", &["raw"]));
    let commands: [&[&str]; 4] = [
        &["profiles"],
        &["plan", "--profile", "vm"],
        &["show", "out/vm.raw"],
        &["show", "out/vm.raw:/usr/bin/large"],
    ];
    for arguments in commands {
        let full = File::options()
            .write(true)
            .open("/dev/full")
            .expect("/dev/full");
        let mut command = place.nodeimg();
        command.args(arguments).stdout(full).stderr(Stdio::piped());
        let output = command
            .spawn()
            .and_then(std::process::Child::wait_with_output)
            .expect("it runs");
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?}: {}",
            error(&output)
        );
        assert!(
            error(&output).contains("standard output"),
            "{}",
            error(&output)
        );
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = place.nodeimg();
        assert!(
            command
                .args(arguments)
                .stdout(writer)
                .status()
                .expect("it runs")
                .success(),
            "{arguments:?}"
        );
    }
}

#[test]
fn a_folder_whose_name_is_not_text_is_as_good_as_any() {
    let place = world().place("not-utf8");
    for json in [false, true] {
        let mut command = place.build("vm", &["qcow2"]);
        command.arg("--out").arg(OsStr::from_bytes(b"out/\xff\xfe"));
        if json {
            command.arg("--json");
        }
        run(&mut command);
        let folder = place.out().join(OsStr::from_bytes(b"\xff\xfe"));
        assert_whole(&crate::world::read(&folder), "vm", &["qcow2"]);
        fs::remove_dir_all(folder).expect("artifacts");
    }
}

#[test]
fn a_format_asked_for_twice_is_written_once_and_an_appliance_of_no_machine_is_refused_early() {
    let place = world().place("formats");
    let output = run(&mut place.build("vm", &["raw", "qcow2", "raw"]));
    assert_eq!(
        text(&output).matches("vm.raw (").count(),
        1,
        "{}",
        text(&output)
    );
    let parts = place.folder().join("profiles/parts/mini.toml");
    let profile = fs::read_to_string(&parts).expect("a part");
    let (before, rest) = profile.split_once("[machine]").expect("a machine");
    let (_, after) = rest
        .split_once("[repositories.mini]")
        .expect("a repository");
    fs::write(&parts, format!("{before}[repositories.mini]{after}")).expect("a file");
    place.forget();
    assert_fails(
        &mut place.build("card", &["img", "ova"]),
        1,
        &["describes no machine", "help: "],
    );
    assert!(place.files().is_empty());
}

#[test]
fn a_raw_disk_is_hashed_whole_when_that_is_asked_for_and_an_older_digest_never_stays_beside_it() {
    let place = world().place("hashed");
    let sums = place.out().join("vm.raw.sha256");
    run(place.build("vm", &["raw"]).arg("--sha256"));
    run(Command::new("sha256sum").current_dir(place.out()).args([
        "--check",
        "--strict",
        "vm.raw.sha256",
    ]));
    let told = text(&run(place.build("vm", &["raw"]).arg("--json")));
    assert!(!sums.exists(), "the older digest is still there");
    assert_whole(&place.files(), "vm", &["raw"]);
    let built = told.lines().last().expect("a result");
    let built: serde_json::Value = serde_json::from_str(built).expect("JSON");
    let artifact = &built["artifacts"][0];
    assert_eq!(artifact["sha256"], serde_json::Value::Null);
    let map = text(&run(
        Command::new("sha256sum").arg(place.out().join("vm.bmap"))
    ));
    let map = map.split(' ').next().expect("a digest");
    assert_eq!(artifact["block_map_sha256"], map);
}

#[test]
fn a_build_that_may_open_few_files_takes_leave_to_open_more() {
    let place = world().place("few-files");
    let command = place.build("vm", &["ova"]);
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "ulimit -Sn 16; exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(place.folder());
    run(&mut limited);
    assert_whole(&place.files(), "vm", &["ova"]);
}

#[test]
fn what_holds_secrets_is_its_owners_alone() {
    let place = world().place("secrets");
    let build = |place: &crate::world::Place| {
        let command = place.build("card", &["img", "ova"]);
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "umask 022; exec \"$0\" \"$@\""])
            .arg(command.get_program())
            .args(command.get_args())
            .current_dir(place.folder());
        run(&mut shell);
    };
    build(&place);
    for name in ["card.img", "card.ova"] {
        assert_eq!(mode(&place.out().join(name)), 0o600, "{name}");
    }
    assert_eq!(mode(&place.folder().join("locks/card.lock")), 0o644);
    // A node of no cluster has no secrets.
    fs::remove_file(place.folder().join("cluster.toml")).expect("the cluster");
    build(&place);
    assert_eq!(mode(&place.out().join("card.img")), 0o644);
    for input in place
        .cached()
        .iter()
        .filter(|it| it.starts_with(place.cache().join("sha256")))
    {
        assert_eq!(mode(input), 0o444, "{}", input.display());
    }
}

#[test]
fn of_two_that_make_a_clusters_secrets_at_once_the_second_takes_the_firsts() {
    let place = world().place("two-inits");
    let folder = place.folder();
    let secrets = folder.join("cluster.secrets");
    for _ in 0..3 {
        fs::remove_dir_all(&secrets).expect("secrets");
        let init = || {
            let mut command = place.nodeimg();
            command.args(["cluster", "init"]).stdout(Stdio::null());
            command.spawn().expect("it runs")
        };
        let children: Vec<_> = (0..4).map(|_| init()).collect();
        for mut child in children {
            assert!(child.wait().expect("it ends").success());
        }
        let made = crate::world::below(&secrets);
        let read = || {
            made.iter()
                .map(|it| fs::read(it).expect("a file"))
                .collect::<Vec<_>>()
        };
        let before = read();
        assert!(init().wait().expect("it ends").success());
        // All follows from one seed: were two mixed, this would have changed some.
        assert!(before == read(), "secrets of several seeds are mixed");
        assert_eq!(mode(&secrets), 0o700);
    }
}
