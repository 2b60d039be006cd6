//! The plan's text and JSON forms: one line or one object a step.

use super::{Payload, Plan, Step, UnitChange};
use crate::base::SeedPlace;
use serde_json::{Value, json};
use std::fmt;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "plan v1   profile={} lock=sha256:{} time={}",
            self.profile, self.lock, self.time
        )?;
        for step in &self.steps {
            let (verb, rest) = words(step);
            writeln!(f, "{verb:<9} {rest}")?;
        }
        if let Some(machine) = &self.machine {
            let firmware = format!("{:?}", machine.firmware).to_lowercase();
            writeln!(
                f,
                "machine   {} cpus, {} memory, {firmware}",
                machine.cpus, machine.memory
            )?;
            for nic in &machine.nics {
                writeln!(f, "nic       {}", nic_words(nic))?;
            }
        }
        Ok(())
    }
}

fn nic_words(nic: &crate::profile::Nic) -> String {
    use crate::profile::Link;
    let adapter = format!("{:?}", nic.adapter).to_lowercase();
    let mac = nic.mac.map(|it| format!(" mac {it}")).unwrap_or_default();
    let link = match &nic.link {
        Link::Nat(forwards) => {
            let forwards: String = forwards
                .iter()
                .map(|it| format!(" {}:{}->{}", it.name, it.host, it.guest))
                .collect();
            format!("{adapter} nat{forwards}")
        }
        Link::Internal(name) => format!("{adapter} internal {name}"),
        Link::HostOnly(name) => format!("{adapter} host-only {name}"),
    };
    link + &mac
}

/// Returns a step's verb and what stands behind it.
fn words(step: &Step) -> (&'static str, String) {
    match step {
        Step::Base {
            digest,
            arch,
            root_label,
            boot_label,
        } => {
            let boot = boot_label
                .as_ref()
                .map_or_else(String::new, |it| format!(" boot={it}"));
            (
                "base",
                format!("sha256:{digest} arch={arch} root={root_label}{boot}"),
            )
        }
        Step::Unpack { package, digest } => ("unpack", format!("{package} sha256:{digest}")),
        Step::Configure => (
            "configure",
            "what needs no maintainer script; the rest at first boot".to_owned(),
        ),
        Step::Hold { pattern } => ("hold", pattern.clone()),
        Step::Dir { path, owner } => (
            "dir",
            format!("{path} {:04o} {}:{}", owner.mode, owner.uid, owner.gid),
        ),
        Step::Put {
            path,
            owner,
            content,
            from,
            ..
        } => {
            let size = match content {
                Payload::Bytes(bytes) => format!("{} B ", bytes.len()),
                Payload::Blob(_) => String::new(),
            };
            let owner = format!("{:04o} {}:{}", owner.mode, owner.uid, owner.gid);
            (
                "put",
                format!("{path} {owner} {size}{content:?} from={from}"),
            )
        }
        Step::Untar {
            path,
            digest,
            strip,
        } => ("untar", format!("{path} sha256:{digest} strip={strip}")),
        Step::Link { path, target } => ("link", format!("{path} -> {target}")),
        Step::Remove { pattern } => ("remove", pattern.clone()),
        Step::Empty { path } => ("empty", path.to_string()),
        Step::LockPasswords => ("lock", "every account that has a password".to_owned()),
        Step::Unit { change, unit } => (change.verb(), unit.clone()),
        Step::Depmod { kernel } => ("depmod", kernel.clone()),
        Step::Cmdline { word } => ("cmdline", word.clone()),
        Step::Config { line } => ("config", line.clone()),
        Step::Seed { place, files } => {
            let files: String = files
                .iter()
                .map(|(name, content)| format!(" {name}={content:?}"))
                .collect();
            ("seed", format!("{}{files}", place_name(*place)))
        }
        Step::Size { slack, disk } => {
            let disk = disk.map_or_else(|| "as its content".to_owned(), |it| it.to_string());
            ("size", format!("free={slack} disk={disk}"))
        }
    }
}

fn place_name(place: SeedPlace) -> &'static str {
    match place {
        SeedPlace::BootPartition => "boot-partition",
        SeedPlace::CidataPartition => "cidata-partition",
    }
}

impl UnitChange {
    fn verb(self) -> &'static str {
        match self {
            Self::Enable => "enable",
            Self::Disable => "disable",
            Self::Mask => "mask",
        }
    }
}

/// Returns the plan as JSON: the same facts as the text, one object a step.
pub fn json(plan: &Plan) -> Value {
    let steps: Vec<Value> = plan
        .steps
        .iter()
        .map(|step| {
            let (verb, text) = words(step);
            json!({ "step": verb, "what": text })
        })
        .collect();
    let machine = plan.machine.as_ref().map(|machine| {
        let nics: Vec<String> = machine.nics.iter().map(nic_words).collect();
        json!({ "cpus": machine.cpus, "memory": machine.memory.0, "firmware": machine.firmware, "nics": nics })
    });
    json!({
        "version": 1,
        "profile": plan.profile,
        "lock": plan.lock.to_string(),
        "time": plan.time,
        "digest": plan.digest().to_string(),
        "steps": steps,
        "machine": machine,
    })
}
