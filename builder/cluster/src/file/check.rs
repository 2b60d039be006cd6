//! What must hold between the values of a cluster file: networks apart, names and addresses distinct, a founder, an odd etcd.
//!
//! Limits of the networks are those kubeadm itself checks. Values that could not be read are passed over.

mod endpoint;
mod places;
mod roles;
mod versions;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use super::{At, Draft, DraftNode, Reader};
use crate::error::Fault;
use crate::{Cidr, Role};

/// The size of each node's share of the pod network, the controller manager's default.
const POD_PREFIX_OF_NODE: u8 = 24;

/// Reports everything that is wrong between the values of `draft`.
pub(super) fn all(draft: &Draft, reader: &mut Reader<'_>) {
    networks(draft, reader);
    pod_network(draft, reader);
    service_network(draft, reader);
    distinct(draft, reader);
    places::all(draft, reader);
    roles::all(draft, reader);
    versions::all(draft, reader);
    endpoint::all(draft, reader);
}

/// Returns the nodes that are known to have a role.
fn of_role(draft: &Draft, role: Role) -> impl Iterator<Item = &DraftNode> {
    draft.nodes.iter().filter(move |it| it.role == Some(role))
}

fn networks(draft: &Draft, reader: &mut Reader<'_>) {
    let given: Vec<(&str, &At<Cidr>)> = [
        ("node_cidr", &draft.node_cidr),
        ("pod_cidr", &draft.pod_cidr),
        ("service_cidr", &draft.service_cidr),
    ]
    .into_iter()
    .filter_map(|(key, it)| it.as_ref().map(|it| (key, it)))
    .collect();
    for (i, (key, cidr)) in given.iter().enumerate() {
        for (other_key, other) in given.iter().take(i) {
            if cidr.value.overlaps(other.value) {
                // A default stands nowhere; the fault is shown at the value that can be changed.
                let span = if cidr.span.is_empty() {
                    &other.span
                } else {
                    &cidr.span
                };
                let what = format!(
                    "`{key}` {} overlaps `{other_key}` {}",
                    cidr.value, other.value
                );
                reader.report(
                    span,
                    Fault::new(what, "choose networks that share no address"),
                );
            }
        }
    }
}

fn pod_network(draft: &Draft, reader: &mut Reader<'_>) {
    let Some(At { value, span }) = &draft.pod_cidr else {
        return;
    };
    let prefix = value.prefix();
    if !(8..=POD_PREFIX_OF_NODE).contains(&prefix) {
        let what = format!("`pod_cidr` {value} cannot be cut into a /24 for each node");
        reader.report(span, Fault::new(what, "use a prefix from /8 to /24"));
        return;
    }
    let shares = 1_usize << (POD_PREFIX_OF_NODE - prefix);
    let with_pods = |it: &&DraftNode| it.role.is_none_or(Role::has_kubelet);
    let nodes = draft.nodes.iter().filter(with_pods).count();
    if shares < nodes {
        let what =
            format!("`pod_cidr` {value} has a /24 for {shares} nodes, but there are {nodes}");
        reader.report(
            span,
            Fault::new(what, "use a larger network such as 10.244.0.0/16"),
        );
    }
}

fn service_network(draft: &Draft, reader: &mut Reader<'_>) {
    let Some(At { value, span }) = &draft.service_cidr else {
        return;
    };
    if !(12..=28).contains(&value.prefix()) {
        let what = format!("`service_cidr` {value} is too large or too small for kubeadm");
        reader.report(span, Fault::new(what, "use a prefix from /12 to /28"));
    }
}

fn distinct(draft: &Draft, reader: &mut Reader<'_>) {
    unique(
        "name",
        draft.nodes.iter().filter_map(|it| it.name.as_ref()),
        reader,
    );
    unique(
        "address",
        draft.nodes.iter().filter_map(|it| it.address.as_ref()),
        reader,
    );
    unique(
        "mac",
        draft.nodes.iter().filter_map(|it| it.mac.as_ref()),
        reader,
    );
    unique(
        "serial",
        draft.nodes.iter().filter_map(|it| it.serial.as_ref()),
        reader,
    );
    unique("name", draft.manifests.iter().map(|it| &it.name), reader);
}

fn unique<'a, T: Ord + fmt::Display + 'a>(
    key: &str,
    values: impl Iterator<Item = &'a At<T>>,
    reader: &mut Reader<'_>,
) {
    let mut seen: BTreeMap<&T, Range<usize>> = BTreeMap::new();
    for At { value, span } in values {
        if let Some(first) = seen.get(value) {
            let line = crate::Place::of(reader.text, first.start).line;
            let what = format!("`{key}` {value} is given twice, first in line {line}");
            reader.report(span, Fault::new(what, "give each its own"));
        } else {
            seen.insert(value, span.clone());
        }
    }
}
