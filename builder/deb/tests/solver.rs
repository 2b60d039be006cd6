//! What is chosen for real wishes is what apt chooses without recommendations, over the indexes of this machine.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "tests run the independent tools"
)]

#[path = "oracle/host.rs"]
#[expect(dead_code, reason = "the other tests use the rest")]
mod host;

use deb::solve::{Installed, Repository, Wanted, solve};
use deb::{Compression, Index};
use std::collections::BTreeSet;

const WISHES: &[&[&str]] = &[
    &["containerd", "runc", "conntrack", "socat", "ethtool"],
    &["openssh-server", "cron", "logrotate"],
    &["haproxy", "keepalived"],
    &["nginx-light", "python3-yaml", "man-db"],
    &["cloud-init", "sudo", "dbus"],
    &["build-essential"],
];

#[test]
fn choices_are_apts() {
    host::require(&[("apt-get", "apt"), ("mmdebstrap", "mmdebstrap")]);
    let dir = tempfile::tempdir().unwrap();
    let (base, at) = (host::base(), dir.path().to_str().unwrap());
    host::run(
        "tar",
        &[
            "-x",
            "-C",
            at,
            "-f",
            base.to_str().unwrap(),
            "./var/lib/dpkg/status",
        ],
    );
    let status = format!("{at}/var/lib/dpkg/status");
    let targets = host::run(
        "apt-get",
        &[
            "indextargets",
            "--format",
            "$(FILENAME) $(RELEASE)",
            "Created-By: Packages",
        ],
    );
    let mut indexes = Vec::new();
    for line in targets.lines() {
        let (file, release) = line.split_once(' ').unwrap();
        let text = host::run("/usr/lib/apt/apt-helper", &["cat-file", file]);
        let index = Index::read(text.as_bytes(), Compression::None, 1 << 30).unwrap();
        indexes.push((
            if release.contains("backports") {
                100
            } else {
                500
            },
            index,
        ));
    }
    let count: usize = indexes.iter().map(|it| it.1.entries().len()).sum();
    assert!(
        count > 10_000,
        "there are no package indexes here: run apt-get update"
    );
    let repositories: Vec<_> = indexes
        .iter()
        .map(|(priority, index)| Repository {
            index,
            priority: *priority,
        })
        .collect();
    let native = host::amd64();
    let installed = Installed::parse(&std::fs::read(&status).unwrap(), &native).unwrap();
    for wish in WISHES {
        let wanted: Vec<_> = wish.iter().map(|it| Wanted::parse(it).unwrap()).collect();
        let ours = solve(&installed, &repositories, &native, &wanted).unwrap();
        let ours: BTreeSet<_> = ours
            .iter()
            .map(|it| format!("{} {}", it.entry.name, it.entry.version))
            .collect();
        let option = format!("Dir::State::status={status}");
        let mut arguments = vec![
            "-o",
            &option,
            "--simulate",
            "--no-install-recommends",
            "install",
        ];
        arguments.extend(*wish);
        let text = host::run("apt-get", &arguments);
        let mut theirs = BTreeSet::new();
        for line in text.lines().filter_map(|it| it.strip_prefix("Inst ")) {
            let (name, rest) = line.split_once(' ').unwrap();
            let version = rest.split_once('(').unwrap().1.split(' ').next().unwrap();
            theirs.insert(format!("{name} {version}"));
        }
        assert_eq!(ours, theirs, "{wish:?}");
    }
}
