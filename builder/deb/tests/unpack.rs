//! Packages unpacked by us equal packages unpacked by real dpkg: over real packages of Debian's, and over made ones for
//! what these do not show.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "tests run the independent tools"
)]

#[path = "oracle/host.rs"]
mod host;

use deb::{Dpkg, Outcome, PackageName, PathFilters, Stamp};
use fstree::{FileTree, Layer, Timestamp};
use std::path::{Path, PathBuf};

const TOOLS: &[(&str, &str)] = &[
    ("dpkg", "dpkg"),
    ("dpkg-deb", "dpkg"),
    ("apt-get", "apt"),
    ("mmdebstrap", "mmdebstrap"),
    ("tar", "tar"),
];

/// Libraries, daemons, scripts of all kinds, conffiles, triggers of both sides, multi-arch, hard links, set-id programs.
const PACKAGES: &[&str] = &[
    "runc",
    "containerd",
    "conntrack",
    "socat",
    "ebtables",
    "iptables",
    "ethtool",
    "nftables",
    "libseccomp2",
    "libbpf1",
    "openssh-server",
    "cron",
    "logrotate",
    "python3-yaml",
    "tzdata",
    "bash-completion",
    "dbus",
    "nginx-light",
    "nginx-common",
    "haproxy",
    "keepalived",
    "systemd-timesyncd",
    "dpkg-dev",
    "man-db",
    "zlib1g-dev",
    "kmod",
    "sudo",
    "rsyslog",
];

struct Both {
    theirs: tempfile::TempDir,
    /// Keeps the files that the tree reads.
    _pristine: tempfile::TempDir,
    tree: FileTree,
    dpkg: Dpkg,
}

fn stamp() -> Stamp {
    Stamp {
        layer: Layer(1),
        time: Timestamp::from_secs(1_000_000_000),
    }
}

impl Both {
    fn new() -> Self {
        host::require(TOOLS);
        let base = host::base();
        let (theirs, pristine) = (host::extract(&base), host::extract(&base));
        Self::over(theirs, pristine)
    }

    fn over(theirs: tempfile::TempDir, pristine: tempfile::TempDir) -> Self {
        let tree = host::tree(pristine.path());
        let dpkg = Dpkg::read(&tree, host::amd64(), PathFilters::Heeded).unwrap();
        Self {
            theirs,
            _pristine: pristine,
            tree,
            dpkg,
        }
    }

    fn dpkg(&self, arguments: &[&str]) -> String {
        let root = format!("--root={}", self.theirs.path().display());
        let mut all = vec![
            root.as_str(),
            "--force-unsafe-io",
            "--force-confold",
            "--force-confdef",
            "--no-triggers",
        ];
        all.extend(arguments);
        host::run("dpkg", &all)
    }

    fn unpack(&mut self, debs: &[PathBuf]) {
        let mut arguments = vec!["--force-depends", "--unpack"];
        arguments.extend(debs.iter().map(|it| it.to_str().unwrap()));
        self.dpkg(&arguments);
        for deb in debs {
            self.dpkg
                .unpack(&mut self.tree, &host::package(deb), stamp())
                .unwrap();
        }
        self.check();
    }

    fn check(&mut self) {
        self.dpkg.write(&mut self.tree, stamp()).unwrap();
        host::assert_same(&self.tree, &host::tree(self.theirs.path()));
    }
}

#[test]
fn real_packages_are_unpacked_as_dpkg_unpacks_them() {
    let mut both = Both::new();
    let debs = host::fetched(PACKAGES);
    both.unpack(&debs);
    // dpkg itself finds our result as it should be.
    let out = tempfile::tempdir().unwrap();
    host::write_out(&both.tree, out.path());
    let root = format!("--root={}", out.path().display());
    let listed = host::run(
        "dpkg-query",
        &[&root, "-W", "-f", "${Package} ${db:Status-Status}\n"],
    );
    for package in PACKAGES {
        assert!(
            listed.contains(&format!("{package} unpacked\n")),
            "{package}"
        );
    }
    let verify = |root: &Path| {
        let root = format!("--root={}", root.display());
        let mut all = vec![root.as_str(), "--verify"];
        all.extend(PACKAGES);
        std::process::Command::new("dpkg")
            .args(all)
            .output()
            .unwrap()
            .stdout
    };
    let theirs = String::from_utf8(verify(both.theirs.path())).unwrap();
    assert_eq!(String::from_utf8(verify(out.path())).unwrap(), theirs);
    let audit = host::run("dpkg", &[&root, "--audit"]);
    let root = format!("--root={}", both.theirs.path().display());
    assert_eq!(audit, host::run("dpkg", &[&root, "--audit"]));
}

#[test]
fn packages_of_fragments_are_configured_as_dpkg_configures_them() {
    let mut both = Both::new();
    let names = [
        "libseccomp2",
        "runc",
        "containerd",
        "libbpf1",
        "libelf1",
        "libmnl0",
        "ethtool",
    ];
    // An init script, units that are enabled and that are not, a library, and one that asks for more than is understood.
    let more = [
        "rsync",
        "libpopt0",
        "libxxhash0",
        "libssl3",
        "liblz4-1",
        "nftables",
        "libnftables1",
    ];
    let rest = [
        "libjansson4",
        "libnftnl11",
        "libxtables12",
        "libedit2",
        "libbsd0",
        "libmd0",
        "tzdata",
    ];
    let debs = host::fetched(&[&names[..], &more, &rest].concat());
    both.unpack(&debs);
    let outcomes = both.dpkg.configure(&mut both.tree, stamp()).unwrap();
    let mut configured = Vec::new();
    let mut left = Vec::new();
    for (id, outcome) in &outcomes {
        match outcome {
            Outcome::Configured => configured.push(id.to_string()),
            Outcome::LeftUnpacked { reason } => left.push(format!("{id}: {reason}")),
        }
    }
    for name in ["containerd", "runc", "libseccomp2", "rsync", "nftables"] {
        assert!(
            configured
                .iter()
                .any(|it| it.starts_with(&format!("{name}:"))),
            "{name} of {configured:?}, {left:?}"
        );
    }
    assert!(
        left.iter()
            .any(|it| it.starts_with("tzdata:all: its postinst:")),
        "{left:?}"
    );
    let pending = both.dpkg.pending();
    assert!(pending.needs_first_boot() && pending.unconfigured.len() == left.len());
    let mut arguments = vec!["--force-depends", "--configure"];
    arguments.extend(configured.iter().map(String::as_str));
    both.dpkg(&arguments);
    both.check();
}

#[test]
fn upgrades_keep_and_lose_what_dpkg_keeps_and_loses() {
    let dir = tempfile::tempdir().unwrap();
    let mut both = Both::new();
    let old = host::built(
        dir.path(),
        "Package: one\nVersion: 1\n",
        &[
            (
                "DEBIAN/conffiles",
                "/etc/one/kept\n/etc/one/gone\n/etc/one/changed\n",
            ),
            (
                "DEBIAN/triggers",
                "interest /usr/share/one\ninterest-noawait one-named\nactivate one-other\n",
            ),
            ("etc/one/kept", "kept\n"),
            ("etc/one/gone", "gone\n"),
            ("etc/one/changed", "1\n"),
            ("usr/share/one/stays", "1\n"),
            ("usr/share/one/vanishes/file", "x\n"),
            ("usr/share/one/becomes-dir", "x\n"),
            ("usr/lib/one/moved", "x\n"),
            ("usr/share/one/link", "-> stays"),
        ],
    );
    let two = host::built(
        dir.path(),
        "Package: two\nVersion: 1\n",
        &[
            ("DEBIAN/triggers", "interest one-other\n"),
            ("usr/share/one/of-two", "x\n"),
            ("usr/share/two/x", "y\n"),
        ],
    );
    both.unpack(&[old, two]);
    both.dpkg(&["--configure", "one", "two"]);
    both.dpkg.configure(&mut both.tree, stamp()).unwrap();
    both.check();
    let new = host::built(
        dir.path(),
        "Package: one\nVersion: 2\nReplaces: two (<< 2)\nSection: misc\nX-Odd: 1\n",
        &[
            (
                "DEBIAN/conffiles",
                "/etc/one/kept\n/etc/one/changed\n/etc/one/new\n",
            ),
            ("DEBIAN/triggers", "interest /usr/share/elsewhere\n"),
            ("DEBIAN/postinst", "#!/bin/sh\nexit 0\n"),
            ("etc/one/kept", "kept\n"),
            ("etc/one/changed", "2\n"),
            ("etc/one/new", "new\n"),
            ("usr/share/one/stays", "2\n"),
            ("usr/share/one/becomes-dir/file", "x\n"),
            ("usr/share/two/x", "taken\n"),
        ],
    );
    both.unpack(&[new]);
    both.dpkg(&["--configure", "one"]);
    both.dpkg.configure(&mut both.tree, stamp()).unwrap();
    both.check();
    let held = both.dpkg.hold(&[
        PackageName::new("one").unwrap(),
        PackageName::new("none").unwrap(),
    ]);
    assert_eq!(held, [PackageName::new("none").unwrap()]);
    both.dpkg.write(&mut both.tree, stamp()).unwrap();
    let root = format!("--root={}", both.theirs.path().display());
    host::run(
        "sh",
        &[
            "-c",
            &format!("echo one hold | dpkg {root} --set-selections"),
        ],
    );
    both.check();
}

#[test]
fn diversions_overrides_and_filters_are_heeded() {
    host::require(TOOLS);
    let base = host::base();
    let dir = tempfile::tempdir().unwrap();
    let prepare = || {
        let root = host::extract(&base);
        let at = format!("--root={}", root.path().display());
        host::run(
            "dpkg-divert",
            &[
                &at,
                "--no-rename",
                "--divert",
                "/usr/share/d/real",
                "--add",
                "/usr/share/d/file",
            ],
        );
        host::run(
            "dpkg-divert",
            &[
                &at,
                "--no-rename",
                "--package",
                "other",
                "--divert",
                "/usr/share/d/o",
                "--add",
                "/usr/share/d/p",
            ],
        );
        host::run(
            "dpkg-statoverride",
            &[&at, "--add", "man", "daemon", "2711", "/usr/share/d/mode"],
        );
        let filters = "path-exclude=/usr/share/doc/*\npath-include=/usr/share/doc/*/copyright\n";
        let at = root.path().join("etc/dpkg/dpkg.cfg.d/filters");
        std::fs::write(&at, filters).unwrap();
        host::run("touch", &["--date=@0", at.to_str().unwrap()]);
        root
    };
    let mut both = Both::over(prepare(), prepare());
    let debs = [
        host::built(
            dir.path(),
            "Package: d\nVersion: 1\n",
            &[
                ("usr/share/d/file", "1"),
                ("usr/share/d/p", "2"),
                ("usr/share/d/mode", "3"),
                ("usr/share/doc/d/readme", "4"),
                ("usr/share/doc/d/copyright", "5"),
                ("lib/d/through-link", "6"),
                ("DEBIAN/md5sums", "x"),
            ],
        ),
        host::built(
            dir.path(),
            "Package: other\nVersion: 1\n",
            &[("usr/share/d/p", "theirs")],
        ),
    ];
    // The host's dpkg does not read the root's configuration; on the machine it would.
    let mut arguments = vec![
        "--path-exclude=/usr/share/doc/*",
        "--path-include=/usr/share/doc/*/copyright",
        "--unpack",
    ];
    arguments.extend(debs.iter().map(|it| it.to_str().unwrap()));
    both.dpkg(&arguments);
    for deb in &debs {
        both.dpkg
            .unpack(&mut both.tree, &host::package(deb), stamp())
            .unwrap();
    }
    both.check();
}

#[test]
fn conflicts_are_refused_where_dpkg_refuses_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut both = Both::new();
    let one = host::built(
        dir.path(),
        "Package: one\nVersion: 1\n",
        &[("usr/share/x", "1"), ("usr/share/y", "1")],
    );
    let two = host::built(
        dir.path(),
        "Package: two\nVersion: 1\n",
        &[("usr/share/x", "2")],
    );
    both.unpack(&[one]);
    let error = both
        .dpkg
        .clone()
        .unpack(&mut both.tree.clone(), &host::package(&two), stamp())
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("/usr/share/x, which belongs to one:all"),
        "{error}"
    );
    // The other way around: what is there replaces what comes, and stays.
    let keeper = host::built(
        dir.path(),
        "Package: keeper\nVersion: 1\nReplaces: late\n",
        &[("usr/share/z", "keeper")],
    );
    let late = host::built(
        dir.path(),
        "Package: late\nVersion: 1\n",
        &[("usr/share/z", "late"), ("usr/share/w", "w")],
    );
    both.unpack(&[keeper, late]);
}
