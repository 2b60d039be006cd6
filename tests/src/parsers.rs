//! Every parser of input from outside, as a function of bytes that a fuzzer or a test can call.
//!
//! Each does all that the program would do with a parsed input, within a budget: it may fail, but not panic, and not read
//! its input over and over. What is computed is thrown away. Checksums that would keep a fuzzer out are set right first.

pub mod appliance;
pub mod disks;
pub mod journal;
pub mod kernel;
mod metered;
pub mod packages;
pub mod signatures;
pub mod texts;
pub mod volumes;

use crate::seeds;

/// A parser, and inputs that it understands.
#[derive(Clone, Copy, Debug)]
pub struct Parser {
    /// What it parses; the fuzz target's name.
    pub name: &'static str,
    /// Does with an input all that can be done.
    pub run: fn(&[u8]),
    /// Makes inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// No input is larger: the bound of what a hostile file may cost is stated for this size.
pub const MAX_INPUT: usize = 1 << 20;

/// All parsers, by name.
pub const ALL: &[Parser] = &[
    parser("appliance", appliance::appliance, seeds::disks::appliance),
    parser("cluster", texts::cluster, seeds::texts::cluster),
    parser("control", packages::control, seeds::packages::control),
    parser("deb", packages::deb, seeds::packages::deb),
    parser("ext4", volumes::ext4, seeds::volumes::ext4),
    parser("fat", volumes::fat, seeds::volumes::fat),
    parser("image", texts::image, seeds::texts::image),
    parser("journal", journal::journal, seeds::volumes::journal),
    parser("lock", texts::lock, seeds::texts::lock),
    parser("module", kernel::module, seeds::kernel::module),
    parser(
        "modules_dep",
        kernel::modules_dep,
        seeds::kernel::modules_dep,
    ),
    parser("openpgp", signatures::openpgp, seeds::signatures::openpgp),
    parser("packages", packages::packages, seeds::packages::packages),
    parser("profile", texts::profile, seeds::texts::profile),
    parser("qcow2", disks::qcow2, seeds::disks::qcow2),
    parser("release", packages::release, seeds::packages::release),
    parser("script", packages::script, seeds::packages::script),
    parser("stream", disks::stream, seeds::disks::stream),
    parser("table", disks::table, seeds::disks::table),
    parser("tar", packages::tar, seeds::packages::tar),
    parser("vmdk", disks::vmdk, seeds::disks::vmdk),
    parser("xz", disks::xz, seeds::disks::xz),
];

const fn parser(name: &'static str, run: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>) -> Parser {
    Parser { name, run, seeds }
}

/// Returns the parser called `name`.
pub fn named(name: &str) -> &'static Parser {
    ALL.iter()
        .find(|it| it.name == name)
        .unwrap_or_else(|| panic!("there is no parser {name:?}"))
}
