//! Addresses: each a machine's, inside the node network, and nobody's twice.

use core::net::Ipv4Addr;
use std::ops::Range;

use super::super::addons::DraftRoute;
use super::super::{At, Draft, DraftNode, Reader};
use crate::error::Fault;
use crate::{Announce, Cidr};

pub(super) fn all(draft: &Draft, reader: &mut Reader<'_>) {
    let Some(At { value: cidr, .. }) = draft.node_cidr.as_ref() else {
        return;
    };
    for node in &draft.nodes {
        if let Some(At { value, span }) = &node.address {
            host("address", *value, span, *cidr, reader);
        }
    }
    if let Some(At { value, span }) = &draft.gateway {
        host("gateway", *value, span, *cidr, reader);
        if owner(draft, *value).is_some() {
            let what = format!("`gateway` {value} is the address of a node");
            reader.report(span, Fault::new(what, "give the router's address"));
        }
    }
    virtual_address(draft, *cidr, reader);
    let of_nodes = draft.nodes.iter().flat_map(|it| &it.routes);
    for route in draft.routes.iter().chain(of_nodes) {
        check_route(route, *cidr, reader);
    }
    metallb(draft, *cidr, reader);
}

/// Returns the node that has an address.
pub(super) fn owner(draft: &Draft, address: Ipv4Addr) -> Option<&DraftNode> {
    draft
        .nodes
        .iter()
        .find(|it| it.address.as_ref().is_some_and(|it| it.value == address))
}

fn host(key: &str, address: Ipv4Addr, span: &Range<usize>, cidr: Cidr, reader: &mut Reader<'_>) {
    if let Some(fault) = not_a_host(key, address, cidr) {
        reader.report(span, fault);
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

fn virtual_address(draft: &Draft, cidr: Cidr, reader: &mut Reader<'_>) {
    let Some(At { value, span }) = &draft.balancer.virtual_address else {
        return;
    };
    host("virtual_address", *value, span, cidr, reader);
    let gateway = draft.gateway.as_ref().is_some_and(|it| it.value == *value);
    let taken = if owner(draft, *value).is_some() {
        "a node"
    } else if gateway {
        "the router"
    } else {
        return;
    };
    let what = format!("`virtual_address` {value} is the address of {taken}");
    reader.report(
        span,
        Fault::new(
            what,
            "choose one that no machine has: it moves between them",
        ),
    );
}

fn check_route(route: &DraftRoute, cidr: Cidr, reader: &mut Reader<'_>) {
    host("via", route.via.value, &route.via.span, cidr, reader);
    let At { value, span } = &route.to;
    if value.prefix() == 0 {
        let fault = Fault::new(
            "a route to everywhere",
            "write it as `gateway` in [network]",
        );
        reader.report(span, fault);
    } else if value.overlaps(cidr) {
        let what = format!("the route to {value} overlaps `node_cidr` {cidr}, which is next door");
        reader.report(
            span,
            Fault::new(what, "remove it, or choose another network"),
        );
    }
}

fn metallb(draft: &Draft, cidr: Cidr, reader: &mut Reader<'_>) {
    let Some(At { value, span }) = &draft.metallb else {
        return;
    };
    let taken: Vec<(Ipv4Addr, &str)> = draft
        .nodes
        .iter()
        .filter_map(|it| Some((it.address.as_ref()?.value, "a node")))
        .chain(draft.gateway.iter().map(|it| (it.value, "the router")))
        .chain(
            draft
                .balancer
                .virtual_address
                .iter()
                .map(|it| (it.value, "the API")),
        )
        .collect();
    for range in &value.addresses {
        let text = format!("{}-{}", range.first, range.last);
        let inside = |it: Ipv4Addr| range.first <= it && it <= range.last;
        if let Some((address, whose)) = taken.iter().find(|(it, _)| inside(*it)) {
            let what = format!("[metallb] gives out {text}, which holds {address} of {whose}");
            let help = "choose a range that no machine has an address in";
            reader.report(span, Fault::new(what, help));
        }
        for (key, other) in [
            ("pod_cidr", &draft.pod_cidr),
            ("service_cidr", &draft.service_cidr),
        ] {
            let Some(other) = other else { continue };
            if range.first <= other.value.broadcast() && other.value.network() <= range.last {
                let what = format!(
                    "[metallb] gives out {text}, which overlaps `{key}` {}",
                    other.value
                );
                let help = "choose addresses that the network outside of the cluster routes";
                reader.report(span, Fault::new(what, help));
            }
        }
        let in_sight = cidr.contains(range.first) && cidr.contains(range.last);
        if value.announce == Announce::Layer2 && !in_sight {
            let what = format!(
                "[metallb] gives out {text} by ARP, but that is not inside `node_cidr` {cidr}"
            );
            let help = "choose a range inside it, or announce the addresses with mode = \"bgp\"";
            reader.report(span, Fault::new(what, help));
        }
    }
}
