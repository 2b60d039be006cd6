//! A profile: what a person asks for, after all that it extends has been laid under it.
//!
//! `profiles/<name>.toml` extends parts; tables merge, lists grow, single values are replaced by the later file. The text
//! form is [`Profile`]'s `Display`. Nothing here knows a version that a repository holds: that is the lock's business.

mod file;
mod keys;
mod load;

use crate::base::Base;
use crate::preload::{Item, KUBEADM, KubeadmImages, Preload};
use crate::size::Bytes;
use std::collections::BTreeMap;
use std::fmt;

pub(crate) use file::{KeyFile, RepositoryFile};
pub use keys::{Key, Repository};
pub use load::{load, names};

/// What a node is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Runs the API server, etcd and their friends.
    Controlplane,
    /// Runs pods.
    Worker,
    /// A member of an etcd that control planes share.
    Etcd,
    /// Stands before the API servers.
    Loadbalancer,
    /// Issues certificates.
    Ca,
    /// Serves files.
    Storage,
    /// Administers clusters.
    Admin,
}

/// What a file of an artifact is.
#[derive(
    Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, serde::Deserialize, serde::Serialize,
)]
pub enum Format {
    /// A VirtualBox appliance.
    #[serde(rename = "ova")]
    Ova,
    /// A streamOptimized VMDK.
    #[serde(rename = "vmdk")]
    Vmdk,
    /// A compressed qcow2.
    #[serde(rename = "qcow2")]
    Qcow2,
    /// A disk, byte for byte, with holes.
    #[serde(rename = "raw")]
    Raw,
    /// The same for an SD card, with a block map beside it.
    #[serde(rename = "img")]
    Img,
    /// The same, compressed with zstd.
    #[serde(rename = "img.zst")]
    ImgZst,
    /// The same, compressed with xz.
    #[serde(rename = "img.xz")]
    ImgXz,
}

/// Firmware of a virtual machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Firmware {
    /// PC BIOS.
    Bios,
    /// UEFI.
    Efi,
}

/// The network card a virtual machine shows.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Adapter {
    /// Paravirtual.
    Virtio,
    /// Intel PRO/1000.
    E1000,
}

/// What a network card is plugged into.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Link {
    /// The host's address translation, with ports of the host that lead inside.
    Nat(Vec<Forward>),
    /// A network among machines of that name.
    Internal(String),
    /// The host's own network of that name.
    HostOnly(String),
}

/// A port of the host that leads to a port of the machine.
#[derive(Clone, Debug, Eq, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forward {
    /// What it is for: `ssh`.
    pub name: String,
    /// Port on the host's 127.0.0.1.
    pub host: u16,
    /// Port in the machine.
    pub guest: u16,
}

/// A network card.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Nic {
    /// Its kind.
    pub adapter: Adapter,
    /// What it is plugged into.
    pub link: Link,
    /// Its address, where the machine is a certain node; else one is made from the plan.
    pub mac: Option<cluster::Mac>,
}

/// The virtual machine an appliance describes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Machine {
    /// Processors.
    pub cpus: u32,
    /// Memory.
    pub memory: Bytes,
    /// Firmware.
    pub firmware: Firmware,
    /// Cards, in order.
    pub nics: Vec<Nic>,
}

/// Which Kubernetes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Kubernetes {
    /// A minor (`1.36`: its newest patch when locked) or an exact version (`1.36.2`).
    pub version: String,
    /// The sandbox image that this version's kubeadm names; only nodes that run pods have one.
    pub pause_image: Option<String>,
    /// What else this version's kubeadm starts.
    pub images: KubeadmImages,
}

/// A single file by URL and SHA-256.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RemoteFile {
    /// Where it is.
    pub url: String,
    /// What it hashes to.
    pub sha256: crate::digest::Digest,
    /// Where it goes: the file itself, or the folder its tarball is unpacked in.
    pub path: String,
    /// Permission bits of the file; a tarball's members bring their own.
    pub mode: u16,
    /// Whether it is a file or a tarball.
    pub unpack: Unpack,
}

/// What is done with a remote file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unpack {
    /// It is put where it goes.
    No,
    /// It is a tarball (plain, gz, xz, zst); so many leading names of its members are dropped.
    Tarball {
        /// Leading names to drop.
        strip: u8,
    },
}

/// Edits of a Pi's boot partition.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct BootEdits {
    /// Words that `cmdline.txt`'s one line must hold.
    pub cmdline: Vec<String>,
    /// Lines that `config.txt` must hold, under `[all]`.
    pub config: Vec<String>,
}

/// What a person asks for.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The file's name without `.toml`.
    pub name: String,
    /// One line for lists.
    pub summary: String,
    /// What the node is for.
    pub role: Role,
    /// The base image.
    pub base: Base,
    /// Which Kubernetes, where the node has any of it.
    pub kubernetes: Option<Kubernetes>,
    /// Where packages come from, by name.
    pub repositories: BTreeMap<String, Repository>,
    /// Signing keys, by name.
    pub keys: BTreeMap<String, Key>,
    /// Packages to install; `{kernel}` stands for the base's kernel release, `=` pins a version prefix.
    pub install: Vec<String>,
    /// Packages to hold, with `*` for any text.
    pub hold: Vec<String>,
    /// Single files and tarballs.
    pub files: Vec<RemoteFile>,
    /// Overlays, from the bottom up.
    pub overlays: Vec<String>,
    /// Container images that are brought along, if any are.
    pub preload: Option<Preload>,
    /// The format that is built unless another is asked for.
    pub format: Format,
    /// Size of a virtual machine's disk; an SD card's image is as large as its content.
    pub disk: Option<Bytes>,
    /// Free space on the root file system as it is built.
    pub slack: Bytes,
    /// The virtual machine, for appliances.
    pub machine: Option<Machine>,
    /// Edits of the boot partition.
    pub boot: BootEdits,
    /// How the node's network cards are found, by the name the kernel gives them.
    pub network: Network,
    /// The person who may log in.
    pub admin: Admin,
    /// All files this profile was read from, by name, with their bytes' digests: what a lock is bound to.
    pub sources: BTreeMap<String, crate::digest::Digest>,
}

/// The person who may log in: by key, never by password.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Admin {
    /// Login name.
    pub user: String,
    /// Public keys as in `authorized_keys`.
    pub ssh_keys: Vec<String>,
}

/// The node's network cards as the kernel names them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Network {
    /// Card with a way out, configured by DHCP: `enp0s3`. None on a Pi, whose one card is both.
    pub uplink: Option<String>,
    /// Card that is on the cluster's network: `enp0s8`, `eth0`.
    pub cluster: String,
}

impl Format {
    /// Every format, in the order help lists them.
    pub const ALL: [Self; 7] = [
        Self::Ova,
        Self::Vmdk,
        Self::Qcow2,
        Self::Raw,
        Self::Img,
        Self::ImgZst,
        Self::ImgXz,
    ];

    /// Returns the name, which is the file's extension too.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ova => "ova",
            Self::Vmdk => "vmdk",
            Self::Qcow2 => "qcow2",
            Self::Raw => "raw",
            Self::Img => "img",
            Self::ImgZst => "img.zst",
            Self::ImgXz => "img.xz",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Role {
    /// Returns whether machines of the role have a kubelet, and so run pods.
    pub fn runs_pods(self) -> bool {
        matches!(self, Self::Controlplane | Self::Worker)
    }

    /// Returns the word used in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Controlplane => "controlplane",
            Self::Worker => "worker",
            Self::Etcd => "etcd",
            Self::Loadbalancer => "loadbalancer",
            Self::Ca => "ca",
            Self::Storage => "storage",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "profile   {} ({}, {})",
            self.name,
            self.role.name(),
            self.base.arch
        )?;
        writeln!(f, "base      {}", self.base.summary)?;
        if let Some(it) = &self.kubernetes {
            write!(f, "kube      {}", it.version)?;
            match &it.pause_image {
                Some(image) => writeln!(f, " with {image}")?,
                None => writeln!(f)?,
            }
        }
        for (name, repository) in &self.repositories {
            writeln!(
                f,
                "repo      {name} {} {}",
                repository.url,
                repository.suites.join(" ")
            )?;
        }
        writeln!(f, "install   {}", self.install.join(" "))?;
        writeln!(f, "hold      {}", self.hold.join(" "))?;
        writeln!(f, "overlays  {}", self.overlays.join(" "))?;
        if let Some(it) = &self.preload {
            let word = |it: &Item| match it {
                Item::Kubeadm => KUBEADM.to_owned(),
                Item::Image(it) => it.to_string(),
            };
            let words: Vec<String> = it.images.iter().map(word).collect();
            writeln!(f, "preload   {}", words.join(" "))?;
        }
        write!(f, "artifact  {}, {} free", self.format, self.slack)?;
        match self.disk {
            Some(disk) => writeln!(f, ", disk {disk}"),
            None => writeln!(f),
        }
    }
}
