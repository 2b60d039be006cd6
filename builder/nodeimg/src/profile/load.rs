//! Reading a profile with all that it extends, and turning text into values that are believed from then on.

use super::file::{
    KubernetesFile, LinkKind, MachineFile, NicFile, PreloadFile, ProfileFile, RemoteFileFile,
};
use super::{
    Admin, BootEdits, Format, Kubernetes, Link, Machine, Network, Nic, Profile, RemoteFile, Role,
    Unpack,
};
use crate::base::{self, Base};
use crate::digest::Digest;
use crate::error::{Error, Result, input};
use crate::preload::{self, Item, KubeadmImages, Preload};
use crate::reference::Reference;
use crate::shelf::Shelf;
use crate::size::Bytes;
use crate::toml_text;
use std::collections::BTreeMap;

/// As deep as profiles may extend one another.
const MAX_DEPTH: usize = 16;
/// So many files may be laid over one another; one that is extended on several ways counts each time.
const MAX_FILES: usize = 256;

/// Returns the names of all profiles on the shelf, in byte order; parts and bases are not profiles.
pub fn names(shelf: &dyn Shelf) -> Vec<String> {
    let stem = |path: &String| {
        Some(
            path.strip_prefix("profiles/")?
                .strip_suffix(".toml")?
                .to_owned(),
        )
    };
    shelf
        .list("profiles")
        .iter()
        .filter_map(stem)
        .filter(|it| !it.contains('/'))
        .collect()
}

/// Reads a profile and everything it extends.
pub fn load(shelf: &dyn Shelf, name: &str) -> Result<Profile> {
    let mut sources = BTreeMap::new();
    let mut trail = Trail {
        above: Vec::new(),
        files: 0,
    };
    let file = gather(shelf, name, &mut trail, &mut sources)?;
    let base_name = file.base.clone().ok_or_else(|| missing(name, "base"))?;
    let (path, bytes) = read(shelf, &base_name, &mut sources)?
        .ok_or_else(|| Error::input(format!("profile {name:?}: there is no base {base_name:?}")))?;
    let (base, (keys, repositories)) = Base::parse(&base_name, &path, &bytes)?;
    // The base's keys and repositories lie under the profile's, which may change them.
    let mut whole = ProfileFile {
        repositories,
        keys,
        ..ProfileFile::default()
    };
    whole.lay(file);
    finish(name, whole, base, sources)
}

/// How the file being read was come to, and how many were read before.
struct Trail {
    above: Vec<String>,
    files: usize,
}

/// Reads one file and lays it over what it extends.
fn gather(
    shelf: &dyn Shelf,
    name: &str,
    trail: &mut Trail,
    sources: &mut BTreeMap<String, Digest>,
) -> Result<ProfileFile> {
    if trail.above.iter().any(|it| it == name) || trail.above.len() >= MAX_DEPTH {
        return Err(Error::input(format!(
            "profile {name:?} extends itself, by way of {}",
            trail.above.join(" -> ")
        )));
    }
    trail.files += 1;
    if trail.files > MAX_FILES {
        return Err(Error::input(format!(
            "profile {:?} extends more than {MAX_FILES} files, some of them over and over",
            trail.above.first().map_or(name, String::as_str)
        )));
    }
    let (path, bytes) =
        read(shelf, name, sources)?.ok_or_else(|| unknown(shelf, name, &trail.above))?;
    let file: ProfileFile = toml_text::parse(&path, &bytes)?;
    trail.above.push(name.to_owned());
    let mut merged = ProfileFile::default();
    for part in &file.extends {
        merged.lay(gather(shelf, part, trail, sources)?);
    }
    trail.above.pop();
    merged.lay(file);
    Ok(merged)
}

fn read(
    shelf: &dyn Shelf,
    name: &str,
    sources: &mut BTreeMap<String, Digest>,
) -> Result<Option<(String, Vec<u8>)>> {
    let path = format!("profiles/{name}.toml");
    let Some(bytes) = shelf.read(&path)? else {
        return Ok(None);
    };
    sources.insert(path.clone(), Digest::of(&bytes));
    Ok(Some((path, bytes)))
}

fn unknown(shelf: &dyn Shelf, name: &str, above: &[String]) -> Error {
    match above.last() {
        Some(by) => Error::input(format!(
            "profile {by:?} extends {name:?}, which does not exist"
        )),
        None => Error::input(format!("there is no profile {name:?}")).help(format!(
            "known are {}; a folder `profiles/` here may hold more",
            names(shelf).join(", ")
        )),
    }
}

fn missing(profile: &str, key: &str) -> Error {
    Error::input(format!(
        "profile {profile:?} has no `{key}`, and nothing it extends has one"
    ))
}

fn finish(
    name: &str,
    file: ProfileFile,
    base: Base,
    sources: BTreeMap<String, Digest>,
) -> Result<Profile> {
    let role = file.role.ok_or_else(|| missing(name, "role"))?;
    let kubernetes = kubernetes(name, role, file.kubernetes)?;
    let minor = kubernetes.as_ref().map(|it| {
        it.version
            .splitn(3, '.')
            .take(2)
            .collect::<Vec<_>>()
            .join(".")
    });
    let base_arch = base.arch;
    let arch = base_arch.to_string();
    let mut values = vec![
        ("codename", base.codename.as_str()),
        ("arch", arch.as_str()),
    ];
    values.extend(minor.as_deref().map(|it| ("minor", it)));
    let repositories = file
        .repositories
        .into_iter()
        .map(|(id, it)| Ok((id.clone(), base::repository(&id, it, &values)?)))
        .collect::<Result<BTreeMap<_, _>>>()?;
    let keys = file
        .keys
        .into_iter()
        .map(|(id, it)| Ok((id.clone(), base::key(&id, it)?)))
        .collect::<Result<BTreeMap<_, _>>>()?;
    for key in repositories
        .values()
        .flat_map(|it| &it.keys)
        .chain(&base.keys)
    {
        if !keys.contains_key(key) {
            return Err(Error::input(format!(
                "profile {name:?}: there is no key {key:?}"
            )));
        }
    }
    let size = |text: Option<String>, key: &str| -> Result<Option<Bytes>> {
        text.map(|it| {
            it.parse()
                .map_err(input(format!("profile {name:?}: `{key}`")))
        })
        .transpose()
    };
    let format = file
        .image
        .format
        .ok_or_else(|| missing(name, "image.format"))?;
    let machine = machine(name, file.machine)?;
    if format == Format::Ova && machine.is_none() {
        return Err(missing(name, "machine.cpus"));
    }
    let preload = preload(name, role, &file.preload)?;
    let mut overlays = file.overlays;
    // Images that nothing brings into containerd's store would be of no use.
    if preload.is_some() && !overlays.iter().any(|it| it == preload::OVERLAY) {
        overlays.push(preload::OVERLAY.to_owned());
    }
    Ok(Profile {
        name: name.to_owned(),
        summary: file.summary.unwrap_or_default(),
        role,
        kubernetes,
        base,
        repositories,
        keys,
        install: file.packages.install,
        hold: file.packages.hold,
        files: file
            .files
            .into_iter()
            .filter(|it| it.arch.is_none_or(|it| it == base_arch))
            .map(|it| remote(name, it))
            .collect::<Result<_>>()?,
        overlays,
        preload,
        format,
        disk: size(file.image.disk, "image.disk")?,
        slack: size(file.image.slack, "image.slack")?
            .ok_or_else(|| missing(name, "image.slack"))?,
        machine,
        boot: BootEdits {
            cmdline: file.boot.cmdline,
            config: file.boot.config,
        },
        network: Network {
            uplink: file.network.uplink,
            cluster: file
                .network
                .cluster
                .ok_or_else(|| missing(name, "network.cluster"))?,
        },
        admin: Admin {
            user: file.admin.user.unwrap_or_else(|| "admin".to_owned()),
            ssh_keys: file.admin.ssh_keys,
        },
        sources,
    })
}

/// Nodes that run pods have a Kubernetes with a sandbox image; others have as much of it as they ask for.
fn kubernetes(name: &str, role: Role, file: KubernetesFile) -> Result<Option<Kubernetes>> {
    if role.runs_pods() {
        if file.version.is_none() {
            return Err(missing(name, "kubernetes.version"));
        }
        if file.pause_image.is_none() {
            return Err(missing(name, "kubernetes.pause_image"));
        }
    }
    let pause_image = file.pause_image;
    let images = KubeadmImages {
        node: file.images.node.unwrap_or_default(),
        controlplane: file.images.controlplane.unwrap_or_default(),
    };
    Ok(file.version.map(|version| Kubernetes {
        version,
        pause_image,
        images,
    }))
}

/// Images must be named such that the kubelet takes what is there and asks no registry.
fn preload(name: &str, role: Role, file: &PreloadFile) -> Result<Option<Preload>> {
    let place = |key: &str| format!("profile {name:?}: `preload.{key}`");
    if file.images.is_empty() {
        return match file.without.as_slice() {
            [] => Ok(None),
            _ => Err(Error::input(format!(
                "{} leaves out images where none are brought along",
                place("without")
            ))),
        };
    }
    if !role.runs_pods() {
        return Err(Error::input(format!(
            "profile {name:?} preloads container images, but no pods run on a machine of role {}",
            role.name()
        )));
    }
    let item = |text: &String| {
        if text == preload::KUBEADM {
            return Ok(Item::Kubeadm);
        }
        let image: Reference = text.parse().map_err(input(place("images")))?;
        if image.moves() {
            return Err(Error::input(format!(
                "{}: {text:?} names no version, and the kubelet would ask the registry for it all the same",
                place("images")
            ))
            .help("name it by a tag other than `latest`, or by its digest"));
        }
        Ok(Item::Image(image))
    };
    let without = |text: &String| text.parse().map_err(input(place("without")));
    Ok(Some(Preload {
        images: file.images.iter().map(item).collect::<Result<_>>()?,
        without: file.without.iter().map(without).collect::<Result<_>>()?,
    }))
}

fn machine(name: &str, file: MachineFile) -> Result<Option<Machine>> {
    let Some(cpus) = file.cpus else {
        return Ok(None);
    };
    let memory = file.memory.ok_or_else(|| missing(name, "machine.memory"))?;
    let memory: Bytes = memory
        .parse()
        .map_err(input(format!("profile {name:?}: `machine.memory`")))?;
    let nics = file.nics.ok_or_else(|| missing(name, "machine.nics"))?;
    if nics.len() > 8 || cpus == 0 || cpus > 64 || memory.0 < 64 << 20 {
        return Err(
            Error::input(format!("profile {name:?}: no such machine can be made"))
                .help("1 to 64 processors, at least 64MiB of memory and at most 8 network cards"),
        );
    }
    Ok(Some(Machine {
        cpus,
        memory,
        firmware: file
            .firmware
            .ok_or_else(|| missing(name, "machine.firmware"))?,
        nics: nics
            .into_iter()
            .map(|it| nic(name, it))
            .collect::<Result<_>>()?,
    }))
}

fn nic(profile: &str, file: NicFile) -> Result<Nic> {
    let wanted = |name: Option<String>| {
        name.ok_or_else(|| {
            Error::input(format!(
                "profile {profile:?}: a card of `machine.nics` needs a `name` of its network"
            ))
        })
    };
    let link = match file.link {
        LinkKind::Nat => Link::Nat(file.forwards),
        LinkKind::Internal => Link::Internal(wanted(file.name)?),
        LinkKind::HostOnly => Link::HostOnly(wanted(file.name)?),
    };
    Ok(Nic {
        adapter: file.adapter,
        link,
        mac: None,
    })
}

fn remote(profile: &str, file: RemoteFileFile) -> Result<RemoteFile> {
    let place = || format!("profile {profile:?}: file {}", file.url);
    let mode = file.mode.as_deref().unwrap_or("0644");
    let mode = u16::from_str_radix(mode, 8)
        .ok()
        .filter(|it| *it <= 0o7777)
        .ok_or_else(|| {
            Error::input(format!("{}: {mode:?} is no mode", place())).help("write it as \"0755\"")
        })?;
    let unpack = match file.unpack {
        Some(true) => Unpack::Tarball {
            strip: file.strip.unwrap_or(0),
        },
        _ => Unpack::No,
    };
    let sha256 = file.sha256.parse().map_err(input(place()))?;
    Ok(RemoteFile {
        sha256,
        url: file.url,
        path: file.path,
        mode,
        unpack,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extending_the_same_over_and_over_comes_to_an_end() {
        // Eight files, each extending the next ten times: a hundred million on all ways together.
        let mut shelf: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for it in 0..8 {
            let parts = vec![format!("\"p{}\"", it + 1); 10].join(", ");
            let text = format!("extends = [{parts}]\n");
            shelf.insert(format!("profiles/p{it}.toml"), text.into_bytes());
        }
        shelf.insert("profiles/p8.toml".to_owned(), Vec::new());
        let error = load(&shelf, "p0").unwrap_err().to_string();
        assert!(error.contains("more than 256 files"), "{error}");
    }
}
