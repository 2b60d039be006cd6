//! step-ca: `ca.json`, and the authorities it issues with.
//!
//! <https://smallstep.com/docs/step-ca/configuration/>. It speaks ACME (RFC 8555) to whoever reaches it. It holds the key of an
//! intermediate authority; the root's is derived from the cluster's root seed and travels nowhere.

use super::{NODE_IP, NodeFile, SERVICE};
use crate::{Cluster, Error, Node, Secrets};

/// Makes the files of `node`.
pub(super) fn files(
    cluster: &Cluster,
    secrets: &Secrets,
    node: &Node,
) -> Result<Vec<NodeFile>, Error> {
    let issuing = secrets.issuing_authority()?;
    Ok(vec![
        NodeFile::public(format!("{SERVICE}/ca.json"), config(cluster, node)),
        NodeFile::public(format!("{SERVICE}/root.crt"), issuing.root),
        NodeFile::public(format!("{SERVICE}/intermediate.crt"), issuing.intermediate),
        NodeFile::private(
            format!("{SERVICE}/intermediate.key"),
            issuing.intermediate_key,
        ),
    ])
}

/// No name needs escaping: they are DNS names, paths and what stands for an address.
fn config(cluster: &Cluster, node: &Node) -> String {
    let mut names = vec![
        node.name.to_string(),
        cluster.fqdn(node),
        NODE_IP.to_owned(),
    ];
    names.extend(cluster.ca.dns_names.iter().map(ToString::to_string));
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|it| seen.insert(it.clone()));
    let names: Vec<String> = names.iter().map(|it| format!("\"{it}\"")).collect();
    format!(
        r#"{{
  "root": "/etc/step-ca/root.crt",
  "crt": "/etc/step-ca/intermediate.crt",
  "key": "/etc/step-ca/intermediate.key",
  "address": "{NODE_IP}:443",
  "dnsNames": [{}],
  "logger": {{ "format": "text" }},
  "db": {{ "type": "badgerv2", "dataSource": "/var/lib/step-ca/db" }},
  "authority": {{
    "provisioners": [{{ "type": "ACME", "name": "acme" }}]
  }}
}}
"#,
        names.join(", ")
    )
}
