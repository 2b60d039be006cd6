//! An artifact that was not booted is not done: a cluster of three machines starts, forms and reports from inside; one of them
//! starts once more, after which nothing has joined twice. What befalls nodes that start again and again is `clusters`'.

use crate::world::{alone, built, repository, run};
use std::process::Command;

fn file(name: &str) -> String {
    let file = built().file(name);
    file.to_str().expect("UTF-8").to_owned()
}

#[test]
fn a_bios_machine_a_uefi_machine_and_an_sd_card_form_a_cluster_by_themselves() {
    let control_plane = file("controlplane-amd64.ova");
    let (worker, card) = (file("worker-amd64.ova"), file("worker-arm64.img"));
    let _alone = alone();
    run(Command::new(repository().join("ci/boot"))
        .args(["--cpus", "1", "--timeout", "2400"])
        .arg(format!(
            "{control_plane},hardware=vbox,firmware=bios,call=init,nodes=3,cpus=2,once=1"
        ))
        // A machine whose battery is empty: certificates are of the future to it, until its clock is put forward.
        .arg(format!(
            "{worker},hardware=vbox,firmware=uefi,call=join,qemu=-rtc,qemu=base=2021-01-01T00:00:00"
        ))
        .arg(format!("{card},hardware=virt,call=join,once=1")));
}

#[test]
fn a_storage_machine_exports_its_folders() {
    let storage = file("storage-amd64.ova");
    let _alone = alone();
    run(Command::new(repository().join("ci/boot"))
        .args(["--once", "--timeout", "2400"])
        .arg(format!(
            "{storage},hardware=vbox,firmware=uefi,call=serve,exports=/srv/nfs"
        )));
}
