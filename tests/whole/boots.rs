//! An artifact that was not booted is not done: each starts, settles, reports from inside, and starts once more.

use crate::world::{built, repository, run};
use std::process::Command;
use std::sync::Mutex;

/// Guests are emulated on every processor there is: one boot at a time.
static PROCESSORS: Mutex<()> = Mutex::new(());

fn boot(arguments: &[&str]) {
    let _one = PROCESSORS
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    run(Command::new(repository().join("ci/boot")).args(arguments));
}

fn file(name: &str) -> String {
    built().file(name).to_str().expect("UTF-8").to_owned()
}

#[test]
fn the_control_plane_appliance_starts_by_bios_and_forms_a_cluster() {
    boot(&[
        "--hardware",
        "vbox",
        "--firmware",
        "bios",
        "--call",
        "init",
        &file("controlplane-amd64.ova"),
    ]);
}

#[test]
fn the_worker_appliance_starts_by_uefi_and_asks_to_join() {
    boot(&[
        "--hardware",
        "vbox",
        "--firmware",
        "uefi",
        "--call",
        "join",
        "--tried",
        &file("worker-amd64.ova"),
    ]);
}

#[test]
fn control_plane_and_worker_form_a_cluster_by_themselves() {
    let (control_plane, worker) = (file("controlplane-amd64.ova"), file("worker-amd64.ova"));
    let control_plane = format!("{control_plane},call=init,nodes=2");
    let worker = format!("{worker},call=join");
    boot(&["--hardware", "vbox", "--cpus", "1", &control_plane, &worker]);
}

#[test]
fn the_sd_card_starts_and_asks_to_join() {
    boot(&[
        "--hardware",
        "virt",
        "--call",
        "join",
        "--tried",
        &file("worker-arm64.img"),
    ]);
}
