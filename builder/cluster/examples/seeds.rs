//! Writes the seeds of a cluster's nodes, each into a folder of its name: for tests that boot them. The secrets are not secret.
//!
//! `cargo run -p cluster --example seeds CLUSTER.toml OUT CREATED UPLINK CARD [REVOKED...]`, where CREATED is a Unix time,
//! UPLINK the name of the card that leads out and CARD that of the one on the node network. The nodes REVOKED have their secrets made anew.

#![expect(clippy::disallowed_methods, reason = "an example has a host")]

use cluster::seed::{NicConfig, NicRole, Nics, Order};
use cluster::{RootSeed, Secrets, UnixTime};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [file, out, created, uplink, card, revoked @ ..] = args.as_slice() else {
        return Err("usage: seeds CLUSTER.toml OUT CREATED UPLINK CARD [REVOKED...]".into());
    };
    let text = String::from_utf8(std::fs::read(file)?)?;
    let cluster = cluster::parse(&text, file)?;
    let mut secrets = Secrets::new(
        cluster.name.clone(),
        RootSeed::new([7; 32]),
        UnixTime(created.parse()?),
    );
    for name in revoked {
        secrets.revoke(&name.parse()?);
    }
    let nics = Nics::new(vec![
        NicConfig::named(uplink, NicRole::Uplink),
        NicConfig::named(card, NicRole::Cluster),
    ])?;
    let mut manifests = BTreeMap::new();
    for name in cluster.local_manifests() {
        let path = Path::new(file).with_file_name(name);
        manifests.insert(name.to_owned(), std::fs::read_to_string(path)?);
    }
    for node in &cluster.nodes {
        let seed = cluster::seed::render(&Order {
            cluster: &cluster,
            secrets: &secrets,
            node: &node.name,
            release: "v1.36.2".parse()?,
            nics: &nics,
            manifests: &manifests,
        })?;
        let folder = Path::new(out).join(node.name.as_str());
        std::fs::create_dir_all(&folder)?;
        for (name, content) in seed.files() {
            std::fs::write(folder.join(name), content.expose())?;
        }
    }
    Ok(())
}
