//! The `[kubeadm]` and `[etcd]` tables: arguments, volumes, settings and patches of what kubeadm sets up.
//!
//! What other keys of the file decide cannot be set here a second time. Whether a program knows an argument is its own business.

use std::collections::BTreeMap;

use super::tables::{Any, ComponentTable, EtcdTable, KubeadmTable, PatchTable, VolumeTable};
use super::{Reader, suggest};
use crate::error::Fault;
use crate::{
    Access, Component, Etcd, ExtraArgs, Host, Kubeadm, Patch, PatchKind, PatchTarget, Setting,
    Volume,
};

/// Arguments and fields that follow from other keys, and which.
const DECIDED: &[(&str, &str)] = &[
    ("advertise-address", "the node's `address` decides"),
    ("etcd-servers", "nodes with role = \"etcd\" decide"),
    ("service-cluster-ip-range", "`service_cidr` decides"),
    ("cluster-cidr", "`pod_cidr` decides"),
    ("clusterCIDR", "`pod_cidr` decides"),
    ("clusterDomain", "`dns_domain` decides"),
    ("clusterDNS", "it is the tenth address of `service_cidr`"),
    ("cgroupDriver", "kubelet and containerd use systemd's"),
    ("apiVersion", "kubeadm's version decides"),
    ("kind", "kubeadm's version decides"),
    ("data-dir", "etcd's data is in /var/lib/etcd"),
    ("initial-cluster", "nodes with role = \"etcd\" decide"),
    ("name", "the node's `name` decides"),
];

/// What is at a host path, in Kubernetes' words.
const PATH_TYPES: &[&str] = &[
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
];

/// A patch this large is a mistake; it must fit into the seed.
const LIMIT_PATCH_BYTES: usize = 64 << 10;

/// TOML nested deeper than this is no configuration of Kubernetes.
const LIMIT_DEPTH: usize = 16;

impl Reader<'_> {
    pub(super) fn etcd(&mut self, table: Option<&EtcdTable>) -> Etcd {
        Etcd {
            extra_args: table.map_or_else(ExtraArgs::default, |it| self.extra_args(&it.extra_args)),
        }
    }

    pub(super) fn kubeadm(&mut self, table: &KubeadmTable) -> Kubeadm {
        Kubeadm {
            cert_sans: self.list("cert_sans", &table.cert_sans, str::parse::<Host>),
            ignore_preflight_errors: self.list(
                "ignore_preflight_errors",
                &table.ignore_preflight_errors,
                preflight_check,
            ),
            feature_gates: table
                .feature_gates
                .iter()
                .map(|(name, on)| (name.clone(), *on))
                .collect(),
            api_server: self.component(&table.apiserver),
            controller_manager: self.component(&table.controller_manager),
            scheduler: self.component(&table.scheduler),
            kubelet: self.settings("kubelet", &table.kubelet),
            kube_proxy: self.settings("kube_proxy", &table.kube_proxy),
            patches: table.patch.iter().filter_map(|it| self.patch(it)).collect(),
        }
    }

    fn component(&mut self, table: &ComponentTable) -> Component {
        Component {
            extra_args: self.extra_args(&table.extra_args),
            volumes: table
                .volume
                .iter()
                .filter_map(|it| self.volume(it))
                .collect(),
        }
    }

    fn extra_args(&mut self, table: &BTreeMap<String, Any>) -> ExtraArgs {
        let mut res = Vec::new();
        for (name, value) in table {
            if let Err(fault) = argument_name(name) {
                self.report(&value.span(), fault);
                continue;
            }
            match argument_values(value.get_ref()) {
                Some(values) => res.extend(values.into_iter().map(|it| (name.clone(), it))),
                None => self.report(
                    &value.span(),
                    Fault::new(
                        format!("argument `{name}` is not a text"),
                        "write it in quotes, or a list of texts for an argument that is given often",
                    ),
                ),
            }
        }
        ExtraArgs(res)
    }

    fn settings(&mut self, kind: &str, table: &BTreeMap<String, Any>) -> Vec<(String, Setting)> {
        let mut res = Vec::new();
        for (name, value) in table {
            let read = decided(name).and_then(|()| {
                setting(value.get_ref(), 0).ok_or_else(|| {
                    Fault::new(
                        format!("`{kind}.{name}` holds a value that has no place here"),
                        "use texts, whole numbers, true, false, lists and tables; for others write a patch",
                    )
                })
            });
            match read {
                Ok(setting) => res.push((name.clone(), setting)),
                Err(fault) => self.report(&value.span(), fault),
            }
        }
        res
    }

    fn volume(&mut self, table: &VolumeTable) -> Option<Volume> {
        let name = self.value("name", &table.name, str::parse);
        let host_path = self.value("host_path", &table.host_path, str::parse);
        let mount_path = match &table.mount_path {
            Some(it) => self.value("mount_path", it, str::parse),
            None => host_path.clone(),
        };
        let path_type = match &table.path_type {
            Some(it) => self.value("path_type", it, path_type).map(|it| it.value),
            None => Some("DirectoryOrCreate"),
        };
        Some(Volume {
            name: name?.value,
            host_path: host_path?.value,
            mount_path: mount_path?.value,
            access: if table.read_only.unwrap_or(false) {
                Access::ReadOnly
            } else {
                Access::ReadWrite
            },
            path_type: path_type?,
        })
    }

    fn patch(&mut self, table: &PatchTable) -> Option<Patch> {
        let target = self.value("target", &table.target, |text| {
            word("target", text, &PatchTarget::ALL, PatchTarget::as_str)
        });
        let kind = match &table.kind {
            Some(it) => self
                .value("kind", it, |text| {
                    word("kind of patch", text, &PatchKind::ALL, PatchKind::as_str)
                })
                .map(|it| it.value),
            None => Some(PatchKind::Strategic),
        };
        let content = self.value("content", &table.content, patch_content);
        Some(Patch {
            target: target?.value,
            kind: kind?,
            content: content?.value,
        })
    }
}

/// Returns the value that is written as `text`.
pub(super) fn word<T: Copy>(
    kind: &str,
    text: &str,
    all: &[T],
    name: impl Fn(T) -> &'static str,
) -> Result<T, Fault> {
    all.iter()
        .copied()
        .find(|it| name(*it) == text)
        .ok_or_else(|| {
            let known: Vec<&str> = all.iter().map(|it| name(*it)).collect();
            suggest::one_of(kind, text, &known)
        })
}

fn decided(name: &str) -> Result<(), Fault> {
    match DECIDED.iter().find(|(it, _)| *it == name) {
        Some((_, why)) => Err(Fault::new(
            format!("`{name}` follows from the rest of the file"),
            format!("remove it: {why}"),
        )),
        None => Ok(()),
    }
}

fn argument_name(name: &str) -> Result<(), Fault> {
    let plain = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-';
    if name.is_empty() || name.starts_with('-') || !name.bytes().all(plain) {
        return Err(Fault::new(
            format!("`{name}` is not the name of an argument"),
            "write it without its leading dashes, such as audit-log-path",
        ));
    }
    decided(name)
}

fn argument_values(value: &toml::Value) -> Option<Vec<String>> {
    let text = |it: &toml::Value| {
        let text = it.as_str()?;
        (!text.chars().any(char::is_control)).then(|| text.to_owned())
    };
    match value {
        toml::Value::Array(values) => values.iter().map(text).collect(),
        value => Some(vec![text(value)?]),
    }
}

fn setting(value: &toml::Value, depth: usize) -> Option<Setting> {
    if depth > LIMIT_DEPTH {
        return None;
    }
    Some(match value {
        toml::Value::String(it) => Setting::Text(it.clone()),
        toml::Value::Integer(it) => Setting::Integer(*it),
        toml::Value::Boolean(it) => Setting::Boolean(*it),
        toml::Value::Array(it) => Setting::List(
            it.iter()
                .map(|it| setting(it, depth + 1))
                .collect::<Option<_>>()?,
        ),
        toml::Value::Table(it) => Setting::Table(
            it.iter()
                .map(|(name, it)| Some((name.clone(), setting(it, depth + 1)?)))
                .collect::<Option<_>>()?,
        ),
        toml::Value::Float(_) | toml::Value::Datetime(_) => return None,
    })
}

fn path_type(text: &str) -> Result<&'static str, Fault> {
    PATH_TYPES
        .iter()
        .copied()
        .find(|it| *it == text)
        .ok_or_else(|| suggest::one_of("path type", text, PATH_TYPES))
}

fn preflight_check(text: &str) -> Result<String, Fault> {
    let plain = |it: u8| it.is_ascii_alphanumeric() || b"-_./".contains(&it);
    if text.is_empty() || !text.bytes().all(plain) {
        return Err(Fault::new(
            format!("`{text}` is not the name of a preflight check"),
            "write it as kubeadm prints it, such as NumCPU",
        ));
    }
    Ok(text.to_owned())
}

fn patch_content(text: &str) -> Result<String, Fault> {
    if text.trim().is_empty() || text.len() > LIMIT_PATCH_BYTES {
        return Err(Fault::new(
            "the patch is empty or larger than 64 KiB",
            "write the YAML or JSON of the patch between three quotes",
        ));
    }
    Ok(text.to_owned())
}
