//! Clusters of the built images form by themselves, at native speed: `ci/nodes` boots their own root file systems in
//! namespaces, in any order, all at once, through cuts of power, and flashed anew. Firmware, kernel and disks are `boots`'.

use crate::world::{built, repository, run};
use std::process::Command;

#[test]
fn clusters_form_in_any_order_and_through_cuts_of_power() {
    let built = built();
    run(Command::new(repository().join("ci/nodes"))
        .arg("--controlplane")
        .arg(built.file("controlplane-amd64.ova"))
        .arg("--worker")
        .arg(built.file("worker-amd64.ova")));
}
