//! The packages and the key of the small world: a flat repository as pkgs.k8s.io has one, of packages compressed in the
//! three ways, one of which waits for the first boot.

use super::base::{TIME, noise};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use tests::{repository, run};

/// A package to be: its name, version, dependencies, compression, files, and maintainer scripts.
struct Package<'a> {
    name: &'a str,
    version: &'a str,
    depends: &'a str,
    compression: &'a str,
    files: &'a [(&'a str, &'a [u8])],
    control: &'a [(&'a str, &'a [u8])],
}

/// Makes the repository's packages and its unsigned lists.
pub(super) fn make(work: &Path, to: &Path) {
    let unit = b"[Unit]\nDescription=kubelet\n[Service]\nExecStart=/usr/bin/kubelet\n[Install]\nWantedBy=multi-user.target\n";
    for package in [
        Package {
            name: "kubeadm",
            version: "1.36.2-1.1",
            depends: "mini-tool (>= 2)",
            compression: "-Zxz",
            files: &[("usr/bin/kubeadm", &noise(10, 300 << 10))],
            control: &[],
        },
        Package {
            name: "kubelet",
            version: "1.36.2-1.1",
            depends: "",
            compression: "-Zzstd",
            files: &[
                ("usr/bin/kubelet", &noise(11, 500 << 10)),
                ("usr/lib/systemd/system/kubelet.service", unit),
                ("etc/default/kubelet", b"KUBELET_EXTRA_ARGS=\n"),
            ],
            control: &[
                ("conffiles", b"/etc/default/kubelet\n"),
                (
                    "postinst",
                    b"#!/bin/sh\nset -e\nsystemctl preset kubelet.service || :\n",
                ),
            ],
        },
        Package {
            name: "mini-tool",
            version: "2.0",
            depends: "libmini1",
            compression: "-Zgzip",
            files: &[
                ("usr/bin/mini-tool", &noise(12, 64 << 10)),
                (
                    "usr/share/doc/mini-tool/README",
                    &b"a tool of the small world\n".repeat(900),
                ),
            ],
            control: &[],
        },
    ] {
        deb(&package, work, to);
    }
    // Release is written elsewhere first, for it lists what is there.
    let script = "apt-ftparchive packages . | sed 's|^Filename: \\./|Filename: |' > Packages && gzip -9nk Packages \
        && apt-ftparchive -o APT::FTPArchive::Release::Origin=mini -o APT::FTPArchive::Release::Architectures=amd64 release . > ../Release \
        && mv ../Release Release";
    run(Command::new("sh").args(["-ec", script]).current_dir(to));
}

fn deb(package: &Package<'_>, work: &Path, to: &Path) {
    let tree = work.join(package.name);
    let put = |path: &str, bytes: &[u8], mode| {
        let path = tree.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, bytes).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
    };
    for (path, bytes) in package.files {
        let mode = if path.starts_with("usr/bin/") {
            0o755
        } else {
            0o644
        };
        put(path, bytes, mode);
    }
    let mut control = format!(
        "Package: {}\nVersion: {}\nArchitecture: amd64\nMaintainer: nodeimg tests <nodeimg@example.invalid>\n",
        package.name, package.version
    );
    if !package.depends.is_empty() {
        control += &format!("Depends: {}\n", package.depends);
    }
    control += "Description: a package of the small world\n";
    put("DEBIAN/control", control.as_bytes(), 0o644);
    for (name, bytes) in package.control {
        let mode = if bytes.starts_with(b"#!") {
            0o755
        } else {
            0o644
        };
        put(&format!("DEBIAN/{name}"), bytes, mode);
    }
    run(Command::new("dpkg-deb")
        .env("SOURCE_DATE_EPOCH", TIME)
        .args(["--root-owner-group", package.compression, "--build"])
        .arg(&tree)
        .arg(to.join(format!("{}_{}_amd64.deb", package.name, package.version))));
}

/// Makes the throw-away key, in the form that `ci/stand-ins.d/sign.sh` wants it.
pub(super) fn key(keys: &Path) {
    let script = r#"
        export GNUPGHOME="$0/home"
        mkdir -m 700 "$GNUPGHOME"
        trap 'gpgconf --kill gpg-agent' EXIT
        gpg --batch --quiet --passphrase '' --quick-gen-key "small world <mini@example.invalid>" ed25519 sign never
        gpg --batch --list-keys --with-colons | awk -F: '$1 == "fpr" { print "mini " $10; exit }' > "$0/fingerprints"
        gpg --batch --yes --export > "$0/mini.gpg"
    "#;
    run(Command::new("sh").args(["-ec", script]).arg(keys));
}

/// Signs a folder of images or a repository.
pub(super) fn sign(keys: &Path, what: &str, folder: &Path) {
    run(Command::new(repository().join("ci/stand-ins.d/sign.sh"))
        .arg(keys)
        .args(["mini", what])
        .arg(folder));
}
