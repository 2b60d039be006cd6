//! An appliance: the image's disk and the profile's machine, in one OVA.

use super::{Draft, Target, ova, ovf, uuid_text};
use crate::apply::Image;
use crate::digest::Digest;
use crate::error::{Result, world};
use crate::plan::Plan;
use crate::profile::Machine;
use crate::time;
use cluster::Mac;
use disk::vmdk::VmdkOptions;
use fstree::ReadAt as _;

/// Writes the appliance; returns its size and digest.
pub(super) fn write(
    image: &Image,
    (plan, machine): (&Plan, &Machine),
    target: &Target<'_>,
    (draft, options): (&dyn Draft, &VmdkOptions<'_>),
    progress: &mut dyn FnMut(u64),
) -> Result<(u64, Digest)> {
    let broken = format!("writing {}.ova", target.name);
    let (uuid, made) = (
        uuid_text(image.plan.uuid("machine")),
        time::rfc3339(plan.time),
    );
    let description = format!(
        "Kubernetes node of profile {}, made by nodeimg",
        plan.profile
    );
    let text = |file_bytes: u64| {
        let cards = machine.nics.iter().enumerate();
        ovf::text(&ovf::Appliance {
            name: target.name,
            description: &description,
            uuid: &uuid,
            time: &made,
            cpus: machine.cpus,
            memory_mib: machine.memory.0 >> 20,
            firmware: machine.firmware,
            cards: cards
                .map(|(at, nic)| ovf::Card {
                    nic,
                    mac: nic.mac.unwrap_or_else(|| mac(image, at)),
                })
                .collect(),
            disk: ovf::Disk {
                file: &options.file_name,
                file_bytes,
                capacity_bytes: image.disk.size(),
                uuid: &options.uuid,
            },
        })
    };
    let names = ova::Names {
        base: target.name,
        disk: &options.file_name,
    };
    let mtime = u64::try_from(plan.time).unwrap_or_default();
    let written = ova::write(draft, names, mtime, &text, |out| {
        disk::vmdk::write_stream(&image.disk, options, target.jobs, out, progress).map(|_| ())
    });
    let size = written.map_err(|failure| match failure {
        ova::Failure::Disk(cause) => world(broken.as_str())(cause),
        ova::Failure::Archive(cause) => world(broken.as_str())(cause),
    })?;
    draft.set_len(size).map_err(world(broken.as_str()))?;
    Ok((
        size,
        Digest::of_awaited(draft).map_err(world(broken.as_str()))?,
    ))
}

/// Returns the address of a card that belongs to no node, from the plan and the card's place.
fn mac(image: &Image, card: usize) -> Mac {
    let uuid = image.plan.uuid(&format!("card {card}"));
    Mac::virtualbox([uuid[0], uuid[1], uuid[2]])
}
