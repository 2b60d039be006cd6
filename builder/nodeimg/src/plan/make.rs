//! Making the plan: pure, from profile, lock, shelf and seed.

use super::{Payload, Plan, Step, UnitChange, images, layer};
use crate::base::SeedPlace;
use crate::digest::Digest;
use crate::error::{Result, input};
use crate::lock::{self, Lock};
use crate::overlay::{
    self, BaseValues, BuildValues, KubernetesValues, Overlay, Owner, ProfileValues, Values,
};
use crate::preload::{self, Need};
use crate::profile::{Machine, Profile, Unpack};
use crate::shelf::Shelf;
use crate::time;
use cluster::Mac;
use fstree::ImgPath;
use serde_json::json;

/// What is built: a profile as locked, with a node's seed.
#[derive(Debug)]
pub struct Order<'a> {
    /// What a person asked for.
    pub profile: &'a Profile,
    /// What that came to.
    pub lock: &'a Lock,
    /// The seed's files by name; their content may be secret. None for an image whose seed comes on a disk of its own.
    pub seed: Vec<(String, Vec<u8>)>,
    /// Container images that the cluster needs besides kubeadm's.
    pub needs: Vec<Need>,
    /// Address of the card on the node network, where this is a certain node's virtual machine.
    pub mac: Option<Mac>,
}

const ROOT_FILE: Owner = Owner {
    mode: 0o644,
    uid: 0,
    gid: 0,
};

/// Writes out every step.
pub fn plan(order: &Order<'_>, shelf: &dyn Shelf) -> Result<Plan> {
    let (profile, lock) = (order.profile, order.lock);
    let present = lock.images.iter().map(|it| it.name.clone()).collect();
    preload::check(profile, lock.kubernetes.as_deref(), &present, &order.needs)?;
    let values = values(profile, lock);
    let overlays: Vec<Overlay> = profile
        .overlays
        .iter()
        .map(|name| overlay::load(shelf, name, &values))
        .collect::<Result<_>>()?;
    let lock_digest = Digest::of(lock::render(lock).as_bytes());
    let mut steps = vec![Step::Base {
        digest: lock.base.sha256,
        arch: profile.base.arch,
        root_label: profile.base.root_label.clone(),
        boot_label: profile.base.boot_label.clone(),
    }];
    steps.extend(lock.packages.iter().map(|it| Step::Unpack {
        package: format!("{} {} {}", it.name, it.version, it.arch),
        digest: it.deb.sha256,
    }));
    steps.push(Step::Configure);
    steps.extend(profile.hold.iter().map(|it| Step::Hold {
        pattern: it.clone(),
    }));
    files(profile, &mut steps)?;
    images::steps(lock, &profile.base.arch.to_string(), &mut steps)?;
    for overlay in &overlays {
        lay(overlay, &mut steps);
    }
    steps.push(Step::LockPasswords);
    steps.push(Step::Depmod {
        kernel: lock.kernel.clone(),
    });
    steps.push(description(profile, lock, lock_digest, &overlays)?);
    steps.extend(
        profile
            .boot
            .cmdline
            .iter()
            .map(|it| Step::Cmdline { word: it.clone() }),
    );
    steps.extend(
        profile
            .boot
            .config
            .iter()
            .map(|it| Step::Config { line: it.clone() }),
    );
    let files: Vec<(String, Payload)> = order
        .seed
        .iter()
        .map(|(name, bytes)| (name.clone(), Payload::new(bytes.as_slice())))
        .collect();
    if !files.is_empty() {
        steps.push(Step::Seed {
            place: seed_place(profile),
            files,
        });
    }
    steps.push(Step::Size {
        slack: profile.slack,
        disk: profile.disk,
    });
    Ok(Plan {
        profile: profile.name.clone(),
        lock: lock_digest,
        time: lock.time,
        steps,
        machine: machine(profile, order.mac),
    })
}

/// Returns the profile's machine with its card on the node network, the one after the uplink's, at the given address.
fn machine(profile: &Profile, mac: Option<Mac>) -> Option<Machine> {
    let mut machine = profile.machine.clone()?;
    let card = usize::from(profile.network.uplink.is_some());
    if let Some(nic) = machine.nics.get_mut(card) {
        nic.mac = mac;
    }
    Some(machine)
}

fn seed_place(profile: &Profile) -> SeedPlace {
    profile.base.seed
}

fn values(profile: &Profile, lock: &Lock) -> Values {
    Values {
        kubernetes: lock.kubernetes.as_ref().map(|version| KubernetesValues {
            version: version.clone(),
            minor: version.splitn(3, '.').take(2).collect::<Vec<_>>().join("."),
            pause_image: profile
                .kubernetes
                .as_ref()
                .and_then(|it| it.pause_image.clone()),
        }),
        profile: ProfileValues {
            name: profile.name.clone(),
            role: profile.role.name().to_owned(),
        },
        arch: profile.base.arch.to_string(),
        build: BuildValues {
            time: lock.time,
            time_rfc3339: time::rfc3339(lock.time),
        },
        base: BaseValues {
            summary: profile.base.summary.clone(),
        },
    }
}

fn files(profile: &Profile, steps: &mut Vec<Step>) -> Result<()> {
    for file in &profile.files {
        let path = ImgPath::new(&file.path).map_err(input(format!("file {}", file.url)))?;
        steps.push(match file.unpack {
            Unpack::Tarball { strip } => Step::Untar {
                path,
                digest: file.sha256,
                strip,
            },
            Unpack::No => Step::Put {
                path,
                owner: Owner {
                    mode: file.mode,
                    uid: 0,
                    gid: 0,
                },
                content: Payload::Blob(file.sha256),
                from: "profile".to_owned(),
                layer: layer::OVERLAYS,
            },
        });
    }
    Ok(())
}

/// Removals come first, so that an overlay may put back what it removes by a pattern.
fn lay(overlay: &Overlay, steps: &mut Vec<Step>) {
    steps.extend(overlay.remove.iter().map(|it| Step::Remove {
        pattern: it.clone(),
    }));
    steps.extend(overlay.dirs.iter().map(|(path, owner)| Step::Dir {
        path: path.clone(),
        owner: *owner,
    }));
    steps.extend(overlay.files.iter().map(|it| Step::Put {
        path: it.path.clone(),
        owner: it.owner,
        content: Payload::new(it.bytes.as_slice()),
        from: overlay.name.clone(),
        layer: layer::OVERLAYS,
    }));
    steps.extend(overlay.links.iter().map(|(path, target)| Step::Link {
        path: path.clone(),
        target: target.clone(),
    }));
    steps.extend(
        overlay
            .empty
            .iter()
            .map(|it| Step::Empty { path: it.clone() }),
    );
    let units = [
        (UnitChange::Mask, &overlay.units.mask),
        (UnitChange::Disable, &overlay.units.disable),
        (UnitChange::Enable, &overlay.units.enable),
    ];
    for (change, names) in units {
        steps.extend(names.iter().map(|it| Step::Unit {
            change,
            unit: it.clone(),
        }));
    }
}

/// Where the image says what it is, for `nodeimg show` and for people on the node.
pub(crate) const DESCRIPTION: &str = "/usr/lib/nodeimg/image.json";

fn description(
    profile: &Profile,
    lock: &Lock,
    lock_digest: Digest,
    overlays: &[Overlay],
) -> Result<Step> {
    let packages: Vec<_> = lock
        .packages
        .iter()
        .map(|it| json!({ "name": it.name, "version": it.version, "sha256": it.deb.sha256.to_string() }))
        .collect();
    let laid: serde_json::Map<_, _> = overlays
        .iter()
        .map(|it| {
            let mut paths: Vec<String> = it.files.iter().map(|it| it.path.to_string()).collect();
            paths.extend(it.links.iter().map(|(path, _)| path.to_string()));
            paths.extend(it.empty.iter().map(ToString::to_string));
            (it.name.clone(), json!(paths))
        })
        .collect();
    let mut text = json!({
        "profile": profile.name,
        "role": profile.role.name(),
        "kubernetes": lock.kubernetes,
        "base": { "url": lock.base.url, "sha256": lock.base.sha256.to_string() },
        "lock": lock_digest.to_string(),
        "time": lock.time,
        "packages": packages,
        "overlays": laid,
    });
    if !lock.images.is_empty() {
        text["images"] = images::described(lock);
    }
    let mut bytes = serde_json::to_vec_pretty(&text).map_err(input("the image's description"))?;
    bytes.push(b'\n');
    Ok(Step::Put {
        path: ImgPath::new(DESCRIPTION).expect("a constant path"),
        owner: ROOT_FILE,
        content: Payload::new(bytes),
        from: "nodeimg".to_owned(),
        layer: layer::MADE,
    })
}
