//! The endpoint: somebody answers there, on that port.

use core::net::Ipv4Addr;

use super::super::{API_PORT, At, Draft, DraftNode, Reader};
use super::{of_role, places};
use crate::error::Fault;
use crate::{Host, HostPort, Keeper, Role};

const ELSEWHERE: &str = "point it at a control plane, a load balancer or a virtual address";

/// On which ports somebody answers.
enum Ports {
    /// A load balancer listens on the endpoint's, whichever it is.
    Any,
    /// The API server listens on its own.
    Own,
}

pub(super) fn all(draft: &Draft, reader: &mut Reader<'_>) {
    match &draft.endpoint {
        Some(at) => given(draft, at, reader),
        None if !draft.endpoint_given => absent(draft, reader),
        None => {}
    }
}

/// Without an endpoint there must be an address to take it from.
fn absent(draft: &Draft, reader: &mut Reader<'_>) {
    // A load balancer without an address has its own problem.
    let elsewhere = draft.balancer.virtual_address.is_some()
        || of_role(draft, Role::LoadBalancer).next().is_some();
    let founder = of_role(draft, Role::ControlPlane).next();
    if let Some(founder) = founder.filter(|it| !elsewhere && !it.address_given) {
        let what = "no `endpoint`, and the first control plane has no `address` to take it from";
        let help = "give it an `address`, or write endpoint = \"host:6443\"";
        reader.report(&founder.span, Fault::new(what, help));
    }
}

fn given(draft: &Draft, at: &At<HostPort>, reader: &mut Reader<'_>) {
    let At { value, span } = at;
    if let Host::Address(address) = value.host {
        in_the_cluster(draft, at, address, reader);
    }
    let ports = served(draft, at, reader);
    if matches!(ports, Some(Ports::Own)) && value.port != API_PORT {
        let what = format!("`endpoint` {value}: the API server listens on port {API_PORT}");
        let help = format!(
            "write {}:{API_PORT}, or put a load balancer before it",
            value.host
        );
        reader.report(span, Fault::new(what, help));
    }
}

/// Pods and services are reached when the cluster is up, which it is not without its endpoint.
fn in_the_cluster(draft: &Draft, at: &At<HostPort>, address: Ipv4Addr, reader: &mut Reader<'_>) {
    for (key, cidr) in [
        ("pod_cidr", &draft.pod_cidr),
        ("service_cidr", &draft.service_cidr),
    ] {
        let Some(cidr) = cidr.as_ref().filter(|it| it.value.contains(address)) else {
            continue;
        };
        let what = format!("`endpoint` {} is inside `{key}` {}", at.value, cidr.value);
        let help = "give an address that nodes reach before the cluster is up";
        reader.report(&at.span, Fault::new(what, help));
    }
}

/// Returns the ports of whoever answers, `None` where nobody does or the file does not tell.
fn served(draft: &Draft, at: &At<HostPort>, reader: &mut Reader<'_>) -> Option<Ports> {
    let At { value, span } = at;
    let balancer = &draft.balancer;
    let kept = |it: &At<Ipv4Addr>| Host::Address(it.value) == value.host;
    if balancer.virtual_address.as_ref().is_some_and(kept) {
        let direct = matches!(balancer.keeper, Some(Keeper::KubeVip { .. }));
        return Some(if direct { Ports::Own } else { Ports::Any });
    }
    // An address given twice has its own problem.
    let owners: Vec<&DraftNode> = draft
        .nodes
        .iter()
        .filter(|it| is_at(draft, it, &value.host))
        .collect();
    if owners.is_empty() {
        nobody(draft, at, reader);
        return None;
    }
    let is = |role| owners.iter().any(|it| it.role == Some(role));
    if is(Role::LoadBalancer) {
        return Some(Ports::Any);
    }
    if is(Role::ControlPlane) {
        return Some(Ports::Own);
    }
    let role = owners.iter().find_map(|it| it.role)?;
    let what = format!(
        "`endpoint` {value} is a node of role {}, where no API server runs",
        role.as_str()
    );
    reader.report(span, Fault::new(what, ELSEWHERE));
    None
}

fn is_at(draft: &Draft, node: &DraftNode, host: &Host) -> bool {
    match host {
        Host::Address(address) => node.address.as_ref().is_some_and(|it| it.value == *address),
        Host::Name(wanted) => node.name.as_ref().is_some_and(|name| {
            let domain = draft
                .node_domain
                .as_ref()
                .map(|it| format!("{}.{}", name.value, it.value));
            wanted.as_str() == name.value.as_str() || domain.as_deref() == Some(wanted.as_str())
        }),
    }
}

/// An address inside the node network that no node has, where all who could answer there are known.
fn nobody(draft: &Draft, at: &At<HostPort>, reader: &mut Reader<'_>) {
    let Host::Address(address) = at.value.host else {
        return;
    };
    let inside = draft
        .node_cidr
        .as_ref()
        .is_some_and(|it| it.value.contains(address));
    let answers = |it: &DraftNode| {
        matches!(
            it.role,
            None | Some(Role::ControlPlane | Role::LoadBalancer)
        )
    };
    // Without a control plane there is a greater problem, which has been told.
    let absent = of_role(draft, Role::ControlPlane).next().is_none();
    let unknown = draft
        .nodes
        .iter()
        .any(|it| answers(it) && it.address.is_none());
    if !inside || unknown || absent || places::owner(draft, address).is_some() {
        return;
    }
    let what = format!(
        "`endpoint` {} is no machine's address in this file",
        at.value
    );
    let help =
        format!("{ELSEWHERE}; a load balancer that is not in this file is given by its name");
    reader.report(&at.span, Fault::new(what, help));
}
