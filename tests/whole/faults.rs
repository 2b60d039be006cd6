//! What goes wrong is said plainly, and leaves nothing that looks right.

use crate::world::{binary, built, folder, serve, world};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).map_or(true, |mut it| it.next().is_none())
}

#[test]
fn a_profile_that_does_not_exist_is_the_users_mistake() {
    let place = folder("no such profile");
    let output = world()
        .nodeimg(&place)
        .args(["build", "--profile", "worker-amd46"])
        .output()
        .expect("runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        error(&output).contains("there is no profile \"worker-amd46\"")
            && error(&output).contains("help: known are"),
        "{}",
        error(&output)
    );
}

#[test]
fn offline_says_what_is_missing() {
    let built = built();
    let place = folder("offline");
    let output = Command::new(binary())
        .current_dir(built.folder())
        .args(["--offline", "--cache"])
        .arg(place.join("cache"))
        .args(["build", "--profile", "worker-amd64", "--out"])
        .arg(place.join("out"))
        .output()
        .expect("runs");
    assert_eq!(output.status.code(), Some(1), "{}", error(&output));
    assert!(error(&output).contains("base image"), "{}", error(&output));
    assert!(is_empty(&place.join("out")));
}

#[test]
fn a_base_that_is_not_the_signed_one_is_refused() {
    let place = folder("tampered");
    let (_server, port) = serve(&world().mirror, &["*.img:wrong=70000"]);
    let mut command = world().nodeimg_with(&place, &place.join("cache"), port);
    let output = command
        .args(["build", "--profile", "worker-amd64"])
        .output()
        .expect("runs");
    assert_eq!(output.status.code(), Some(1), "{}", error(&output));
    assert!(
        error(&output).contains("digest mismatch of base image"),
        "{}",
        error(&output)
    );
    assert!(is_empty(&place.join("out")) && !place.join("locks").exists());
}

#[test]
fn a_list_signed_by_nobody_pinned_is_refused() {
    let place = folder("unsigned");
    let mut command = Command::new(binary());
    command
        .current_dir(&place)
        .arg("--cache")
        .arg(place.join("cache"));
    // The mirror, but not its keys: the shipped fingerprints stand.
    for host in [
        "cloud-images.ubuntu.com",
        "archive.ubuntu.com",
        "download.docker.com",
        "pkgs.k8s.io",
        "keyserver.ubuntu.com",
    ] {
        for scheme in ["http", "https"] {
            command.arg("--mirror").arg(format!(
                "{scheme}://{host}={}",
                world().mirror.join(host).display()
            ));
        }
    }
    let output = command
        .args(["build", "--profile", "worker-amd64"])
        .output()
        .expect("runs");
    assert_ne!(output.status.code(), Some(0));
    assert!(
        !place.join("locks").exists() && is_empty(&place.join("out")),
        "{}",
        error(&output)
    );
}

#[test]
fn cut_and_refused_downloads_are_resumed() {
    let place = folder("resumed");
    let (_server, port) = serve(
        &world().mirror,
        &[
            "*.img:cut=3000000*2",
            "*Packages*:status=503*2",
            "*.deb:cut=1000*1",
        ],
    );
    let mut command = world().nodeimg_with(&place, &place.join("cache"), port);
    let output = command
        .args(["fetch", "--profile", "worker-amd64"])
        .output()
        .expect("runs");
    assert!(output.status.success(), "{}", error(&output));
}

#[test]
fn a_killed_build_leaves_no_artifact() {
    let built = built();
    let place = folder("killed");
    for after in [50, 300, 700, 1500] {
        let mut child = built
            .nodeimg()
            .args(["build", "--profile", "worker-amd64", "--out"])
            .arg(&place)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("runs");
        std::thread::sleep(Duration::from_millis(after));
        child.kill().expect("it can be killed");
        let ended = child.wait().expect("it ends");
        let whole = place.join("worker-amd64.ova");
        if whole.exists() {
            // It was done before it was killed, or its last file was: then the appliance must be right.
            let same = Command::new("cmp")
                .arg(&whole)
                .arg(built.file("worker-amd64.ova"))
                .status()
                .expect("cmp runs");
            assert!(
                same.success(),
                "killed after {after} ms ({ended}): a wrong appliance has its name"
            );
        }
    }
}
