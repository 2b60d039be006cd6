//! The TOML form of profiles and parts: what serde reads, and how a later file is laid over an earlier one.

use super::{Adapter, Firmware, Format, Forward, Role};
use crate::base::Arch;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProfileFile {
    pub(super) summary: Option<String>,
    #[serde(default)]
    pub(super) extends: Vec<String>,
    pub(super) role: Option<Role>,
    pub(super) base: Option<String>,
    #[serde(default)]
    pub(super) overlays: Vec<String>,
    #[serde(default)]
    pub(super) kubernetes: KubernetesFile,
    #[serde(default)]
    pub(super) packages: PackagesFile,
    #[serde(default)]
    pub(super) repositories: BTreeMap<String, RepositoryFile>,
    #[serde(default)]
    pub(super) keys: BTreeMap<String, KeyFile>,
    #[serde(default, rename = "file")]
    pub(super) files: Vec<RemoteFileFile>,
    #[serde(default)]
    pub(super) image: ImageFile,
    #[serde(default)]
    pub(super) preload: PreloadFile,
    #[serde(default)]
    pub(super) machine: MachineFile,
    #[serde(default)]
    pub(super) boot: BootFile,
    #[serde(default)]
    pub(super) network: NetworkFile,
    #[serde(default)]
    pub(super) admin: AdminFile,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AdminFile {
    pub(super) user: Option<String>,
    #[serde(default)]
    pub(super) ssh_keys: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KubernetesFile {
    pub(super) version: Option<String>,
    pub(super) pause_image: Option<String>,
    #[serde(default)]
    pub(super) images: KubeadmImagesFile,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KubeadmImagesFile {
    pub(super) node: Option<Vec<String>>,
    pub(super) controlplane: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PreloadFile {
    #[serde(default)]
    pub(super) images: Vec<String>,
    #[serde(default)]
    pub(super) without: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PackagesFile {
    #[serde(default)]
    pub(super) install: Vec<String>,
    #[serde(default)]
    pub(super) hold: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RepositoryFile {
    pub(crate) url: Option<String>,
    pub(crate) suites: Option<Vec<String>>,
    pub(crate) components: Option<Vec<String>>,
    pub(crate) keys: Option<Vec<String>>,
    pub(crate) priority: Option<i32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyFile {
    pub(crate) fingerprints: Option<Vec<String>>,
    pub(crate) urls: Option<Vec<String>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RemoteFileFile {
    pub(super) url: String,
    pub(super) sha256: String,
    pub(super) arch: Option<Arch>,
    pub(super) path: String,
    pub(super) mode: Option<String>,
    pub(super) unpack: Option<bool>,
    pub(super) strip: Option<u8>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ImageFile {
    pub(super) format: Option<Format>,
    pub(super) disk: Option<String>,
    pub(super) slack: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MachineFile {
    pub(super) cpus: Option<u32>,
    pub(super) memory: Option<String>,
    pub(super) firmware: Option<Firmware>,
    pub(super) nics: Option<Vec<NicFile>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NicFile {
    pub(super) link: LinkKind,
    pub(super) adapter: Adapter,
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) forwards: Vec<Forward>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum LinkKind {
    Nat,
    Internal,
    HostOnly,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BootFile {
    #[serde(default)]
    pub(super) cmdline: Vec<String>,
    #[serde(default)]
    pub(super) config: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NetworkFile {
    pub(super) uplink: Option<String>,
    pub(super) cluster: Option<String>,
}

/// Sets a value if the later file has one.
fn set<T>(under: &mut Option<T>, over: Option<T>) {
    if over.is_some() {
        *under = over;
    }
}

/// Appends what is not there yet.
fn grow(under: &mut Vec<String>, over: Vec<String>) {
    for item in over {
        if !under.contains(&item) {
            under.push(item);
        }
    }
}

impl ProfileFile {
    /// Lays a later file over this one.
    pub(super) fn lay(&mut self, over: Self) {
        set(&mut self.summary, over.summary);
        set(&mut self.role, over.role);
        set(&mut self.base, over.base);
        grow(&mut self.overlays, over.overlays);
        set(&mut self.kubernetes.version, over.kubernetes.version);
        set(
            &mut self.kubernetes.pause_image,
            over.kubernetes.pause_image,
        );
        let (under, images) = (&mut self.kubernetes.images, over.kubernetes.images);
        set(&mut under.node, images.node);
        set(&mut under.controlplane, images.controlplane);
        grow(&mut self.preload.images, over.preload.images);
        grow(&mut self.preload.without, over.preload.without);
        grow(&mut self.packages.install, over.packages.install);
        grow(&mut self.packages.hold, over.packages.hold);
        for (name, repository) in over.repositories {
            self.repositories.entry(name).or_default().lay(repository);
        }
        for (name, key) in over.keys {
            let under = self.keys.entry(name).or_default();
            set(&mut under.fingerprints, key.fingerprints);
            set(&mut under.urls, key.urls);
        }
        for file in over.files {
            self.files.retain(|it| it.url != file.url);
            self.files.push(file);
        }
        set(&mut self.image.format, over.image.format);
        set(&mut self.image.disk, over.image.disk);
        set(&mut self.image.slack, over.image.slack);
        set(&mut self.machine.cpus, over.machine.cpus);
        set(&mut self.machine.memory, over.machine.memory);
        set(&mut self.machine.firmware, over.machine.firmware);
        set(&mut self.machine.nics, over.machine.nics);
        grow(&mut self.boot.cmdline, over.boot.cmdline);
        grow(&mut self.boot.config, over.boot.config);
        set(&mut self.network.uplink, over.network.uplink);
        set(&mut self.network.cluster, over.network.cluster);
        set(&mut self.admin.user, over.admin.user);
        grow(&mut self.admin.ssh_keys, over.admin.ssh_keys);
    }
}

impl RepositoryFile {
    fn lay(&mut self, over: Self) {
        set(&mut self.url, over.url);
        set(&mut self.suites, over.suites);
        set(&mut self.components, over.components);
        set(&mut self.keys, over.keys);
        set(&mut self.priority, over.priority);
    }
}
