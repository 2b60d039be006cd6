//! `secrets.toml`: the root seed and the time, the only things of a cluster's secrets that cannot be made again.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{RootSeed, Secrets, UnixTime};
use crate::{ClusterName, Error, Fault, NodeName, Place, Secret, hex};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretsFile {
    version: u32,
    cluster: String,
    created: u64,
    seed: String,
    #[serde(default)]
    revoked: BTreeMap<String, u32>,
}

pub(super) fn write(secrets: &Secrets) -> Secret {
    let Secrets {
        cluster,
        root,
        created,
        generations,
    } = secrets;
    let mut revoked: Vec<String> = generations
        .iter()
        .map(|(node, n)| format!("{node} = {n}\n"))
        .collect();
    if !revoked.is_empty() {
        let head = "\n# How often each node's own secrets were revoked: they are made with this number.\n[revoked]\n";
        revoked.insert(0, head.to_owned());
    }
    Secret::new(format!(
        "# The secrets of a Kubernetes cluster: whoever reads this file owns the cluster, and nobody can make it again.\n\
         # Every key, certificate and token of the cluster is derived from `seed`.\n\
         version = 1\n\
         cluster = \"{cluster}\"\n\
         # Seconds since 1970; the authorities are valid for ten years from here.\n\
         created = {}\n\
         seed = \"{}\"\n{}",
        created.0,
        hex::encode(&root.0),
        revoked.concat()
    ))
}

pub(super) fn parse(text: &str, file: &str, cluster: &ClusterName) -> Result<Secrets, Error> {
    let refuse = |what: String, help: &str| Error::Secrets {
        file: file.to_owned(),
        fault: Fault::new(what, help),
    };
    let stored: SecretsFile = toml::from_str(text).map_err(|err| {
        // The reader's message could repeat the seed; the line number cannot.
        let line = Place::of(text, err.span().unwrap_or_default().start).line;
        refuse(
            format!("line {line} is not as `cluster init` wrote it"),
            "restore the file from a backup",
        )
    })?;
    if stored.version != 1 {
        return Err(refuse(
            format!("version {} is not known", stored.version),
            "use a newer nodeimg",
        ));
    }
    if stored.cluster != cluster.as_str() {
        return Err(refuse(
            format!("the secrets are not of cluster `{cluster}`"),
            "keys depend on the cluster's name: restore the name, or make new secrets for a new cluster",
        ));
    }
    if UnixTime(stored.created) > UnixTime::LAST {
        return Err(refuse(
            "`created` is too far in the future".to_owned(),
            "write seconds since 1970",
        ));
    }
    let seed = unhex(&stored.seed).ok_or_else(|| {
        refuse(
            "`seed` is not 64 hexadecimal digits".to_owned(),
            "restore the file from a backup",
        )
    })?;
    let mut res = Secrets::new(
        cluster.clone(),
        RootSeed::new(seed),
        UnixTime(stored.created),
    );
    for (name, n) in &stored.revoked {
        let node: NodeName = name.parse().map_err(|_| {
            refuse(
                "`revoked` holds a name that is no node's".to_owned(),
                "restore the file from a backup",
            )
        })?;
        res.generations.insert(node, *n);
    }
    Ok(res)
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text
        .chars()
        .map(|it| it.to_digit(16).and_then(|it| u8::try_from(it).ok()))
        .collect::<Option<_>>()?;
    if digits.len() != 64 {
        return None;
    }
    let mut res = [0; 32];
    for (byte, pair) in res.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair.iter().fold(0, |sum, it| sum << 4 | it);
    }
    Some(res)
}
