//! What must hold between the values of a cluster file: networks apart, names and addresses distinct, a founder, an odd etcd.
//!
//! Limits of the networks are those kubeadm itself checks. Values that could not be read are passed over.

use core::net::Ipv4Addr;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use super::{At, Draft, DraftNode, Reader};
use crate::error::Fault;
use crate::{Cidr, Host, Role};

/// The size of each node's share of the pod network, the controller manager's default.
const POD_PREFIX_OF_NODE: u8 = 24;

/// Reports everything that is wrong between the values of `draft`.
pub(super) fn all(draft: &Draft, reader: &mut Reader<'_>) {
    networks(draft, reader);
    pod_network(draft, reader);
    service_network(draft, reader);
    distinct(draft, reader);
    addresses(draft, reader);
    gateway(draft, reader);
    control_planes(draft, reader);
    endpoint(draft, reader);
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
    if shares < draft.nodes.len() {
        let what = format!(
            "`pod_cidr` {value} has a /24 for {shares} nodes, but there are {}",
            draft.nodes.len()
        );
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
            reader.report(span, Fault::new(what, "give each node its own"));
        } else {
            seen.insert(value, span.clone());
        }
    }
}

fn addresses(draft: &Draft, reader: &mut Reader<'_>) {
    let Some(At { value: cidr, .. }) = &draft.node_cidr else {
        return;
    };
    for node in &draft.nodes {
        let Some(At { value, span }) = &node.address else {
            continue;
        };
        if let Some(fault) = not_a_host("address", *value, *cidr) {
            reader.report(span, fault);
        }
    }
}

/// Says why `address` cannot be a machine's in `cidr`.
fn not_a_host(key: &str, address: Ipv4Addr, cidr: Cidr) -> Option<Fault> {
    let help = format!("choose one inside {cidr}, neither its first nor its last");
    if !cidr.contains(address) {
        let what = format!("`{key}` {address} is outside `node_cidr` {cidr}");
        return Some(Fault::new(what, help));
    }
    // /31 and /32 have no network and broadcast address (RFC 3021).
    if cidr.prefix() >= 31 {
        return None;
    }
    let kind = if address == cidr.network() {
        "network"
    } else if address == cidr.broadcast() {
        "broadcast"
    } else {
        return None;
    };
    let what = format!("`{key}` {address} is the {kind} address of `node_cidr` {cidr}");
    Some(Fault::new(what, help))
}

fn gateway(draft: &Draft, reader: &mut Reader<'_>) {
    let (Some(gateway), Some(cidr)) = (&draft.gateway, &draft.node_cidr) else {
        return;
    };
    if let Some(fault) = not_a_host("gateway", gateway.value, cidr.value) {
        reader.report(&gateway.span, fault);
    }
    let same = |it: &&DraftNode| {
        it.address
            .as_ref()
            .is_some_and(|it| it.value == gateway.value)
    };
    if draft.nodes.iter().any(|it| same(&it)) {
        let what = format!("`gateway` {} is the address of a node", gateway.value);
        reader.report(&gateway.span, Fault::new(what, "give the router's address"));
    }
}

fn control_planes(draft: &Draft, reader: &mut Reader<'_>) {
    // A role that could not be read may have been the control plane: do not guess.
    if draft.nodes.iter().any(|it| it.role.is_none()) {
        return;
    }
    let members: Vec<&DraftNode> = planes(draft).collect();
    match members.as_slice() {
        [] => {
            let help = "add a [[node]] with role = \"controlplane\"";
            let span = draft.nodes.first().map_or(0..0, |it| it.span.clone());
            reader.report(&span, Fault::new("the cluster has no control plane", help));
        }
        [.., last] if members.len().is_multiple_of(2) => {
            let n = members.len();
            let what = format!(
                "{n} control planes make an etcd of {n} members, which tolerates no more failures than {}",
                n - 1
            );
            let help = format!("use {} or {}", n - 1, n + 1);
            reader.report(&last.span, Fault::new(what, help));
        }
        _ => {}
    }
}

fn planes(draft: &Draft) -> impl Iterator<Item = &DraftNode> {
    draft
        .nodes
        .iter()
        .filter(|it| it.role == Some(Role::ControlPlane))
}

fn endpoint(draft: &Draft, reader: &mut Reader<'_>) {
    let Some(At { value, span }) = &draft.endpoint else {
        let Some(founder) = planes(draft).next() else {
            return;
        };
        if !draft.endpoint_given && !founder.address_given {
            let what =
                "no `endpoint`, and the first control plane has no `address` to take it from";
            let help = "give it an `address`, or write endpoint = \"host:6443\"";
            reader.report(&founder.span, Fault::new(what, help));
        }
        return;
    };
    let at_endpoint = |it: &&DraftNode| {
        let address = it.address.as_ref().map(|it| Host::Address(it.value));
        address.as_ref() == Some(&value.host)
    };
    // An address given twice has its own problem.
    let owners: Vec<&DraftNode> = draft.nodes.iter().filter(at_endpoint).collect();
    if !owners.is_empty() && owners.iter().all(|it| it.role == Some(Role::Worker)) {
        let what = format!("`endpoint` {value} is a worker, where no API server runs");
        let help = "point it at a control plane, a load balancer or a virtual address";
        reader.report(span, Fault::new(what, help));
    }
    let Host::Address(address) = value.host else {
        return;
    };
    for (key, cidr) in [
        ("pod_cidr", &draft.pod_cidr),
        ("service_cidr", &draft.service_cidr),
    ] {
        let Some(cidr) = cidr.as_ref().filter(|it| it.value.contains(address)) else {
            continue;
        };
        let what = format!("`endpoint` {value} is inside `{key}` {}", cidr.value);
        let help = "give an address that nodes reach before the cluster is up";
        reader.report(span, Fault::new(what, help));
    }
}
