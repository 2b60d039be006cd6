//! Roles: a founder, odd numbers of etcd members, and nobody without those it works with.

use std::ops::Range;

use super::super::{Draft, DraftNode, Reader};
use super::of_role;
use crate::error::Fault;
use crate::{Cni, Keeper, Role, Stage};

pub(super) fn all(draft: &Draft, reader: &mut Reader<'_>) {
    // A role that could not be read may have been the one that is missed: do not guess.
    if draft.nodes.iter().all(|it| it.role.is_some()) {
        control_planes(draft, reader);
        members(draft, reader);
        peers(draft, reader);
    }
    addresses(draft, reader);
    kubelets(draft, reader);
    manifests(draft, reader);
}

fn control_planes(draft: &Draft, reader: &mut Reader<'_>) {
    if of_role(draft, Role::ControlPlane).next().is_none() {
        let help = "add a [[node]] with role = \"controlplane\"";
        let span = draft.nodes.first().map_or(0..0, |it| it.span.clone());
        reader.report(&span, Fault::new("the cluster has no control plane", help));
    }
}

/// Members of etcd: the nodes for it, else the control planes.
fn members(draft: &Draft, reader: &mut Reader<'_>) {
    let external: Vec<&DraftNode> = of_role(draft, Role::Etcd).collect();
    let (whose, members) = if external.is_empty() {
        let planes = of_role(draft, Role::ControlPlane).collect();
        ("control planes", planes)
    } else {
        ("nodes of role etcd", external)
    };
    let n = members.len();
    if let Some(last) = members.last().filter(|_| n.is_multiple_of(2)) {
        let what = format!(
            "{n} {whose} make an etcd of {n} members, which tolerates no more failures than {}",
            n - 1
        );
        let help = format!("use {} or {}", n - 1, n + 1);
        reader.report(&last.span, Fault::new(what, help));
    }
}

fn peers(draft: &Draft, reader: &mut Reader<'_>) {
    let balancers = of_role(draft, Role::LoadBalancer).count();
    let keeper = draft.balancer.keeper.as_ref();
    if let (Some(at), Some(keeper)) = (&draft.balancer.virtual_address, keeper) {
        let fault = match keeper {
            Keeper::Keepalived { .. } if balancers == 0 => Some((
                "is kept by keepalived, but there is no load balancer",
                "add a [[node]] with role = \"loadbalancer\", or write keeper = \"kube-vip\"",
            )),
            Keeper::KubeVip { .. } if balancers > 0 => Some((
                "is kept by kube-vip on the control planes, past the load balancers",
                "write keeper = \"keepalived\", or remove the nodes of role loadbalancer",
            )),
            _ => None,
        };
        if let Some((what, help)) = fault {
            let what = format!("`virtual_address` {} {what}", at.value);
            reader.report(&at.span, Fault::new(what, help));
        }
    }
    for (table, role, span) in &draft.tables {
        // Folders may be served by a load balancer that has an NFS server besides.
        let instead = (*role == Role::Storage).then_some(Role::LoadBalancer);
        let has = |it| of_role(draft, it).next().is_some();
        if !has(*role) && !instead.is_some_and(has) {
            let what = format!(
                "[{table}] is set, but no node has the role {}",
                role.as_str()
            );
            let help = format!(
                "add a [[node]] with role = \"{}\", or remove it",
                role.as_str()
            );
            reader.report(span, Fault::new(what, help));
        }
    }
    if let Some(second) = of_role(draft, Role::Ca).nth(1) {
        let what = "a second node of role ca: its certificates would not be known to the first";
        reader.report(&second.span, Fault::new(what, "keep one"));
    }
}

/// Nodes that others are told of must have an address to tell.
fn addresses(draft: &Draft, reader: &mut Reader<'_>) {
    let balanced = of_role(draft, Role::LoadBalancer).next().is_some();
    for node in draft.nodes.iter().filter(|it| !it.address_given) {
        let what = match node.role {
            Some(Role::ControlPlane) if balanced => {
                "a control plane behind load balancers has no `address`".to_owned()
            }
            Some(role) if role.is_looked_for() => {
                format!("a node of role {} has no `address`", role.as_str())
            }
            _ => continue,
        };
        let help = "give it one inside `node_cidr`: other nodes are told it";
        reader.report(&node.span, Fault::new(what, help));
    }
}

/// What a kubelet is told makes no sense where there is none.
fn kubelets(draft: &Draft, reader: &mut Reader<'_>) {
    for node in &draft.nodes {
        let Some(role) = node.role.filter(|it| !it.has_kubelet()) else {
            continue;
        };
        let labels = (!node.labels.value.is_empty()).then_some(("labels", &node.labels.span));
        let taints = node.taints.as_ref().map(|it| ("taints", &it.span));
        let version = node.kubernetes.as_ref().map(|it| ("kubernetes", &it.span));
        let given: Vec<(&str, &Range<usize>)> =
            [labels, taints, version].into_iter().flatten().collect();
        for (key, span) in given {
            let what = format!(
                "`{key}` on a node of role {}, which runs no kubelet",
                role.as_str()
            );
            reader.report(span, Fault::new(what, "remove it"));
        }
    }
}

/// What is switched on must have something to be applied.
fn manifests(draft: &Draft, reader: &mut Reader<'_>) {
    let of_network = |it: &super::super::DraftManifest| it.manifest.stage == Stage::Cni;
    if let Some(cni) = draft.cni.as_ref().filter(|it| it.value != Cni::None)
        && !draft.manifests.iter().any(of_network)
    {
        let what = format!(
            "`cni` is \"{}\", but no manifest installs it",
            cni.value.as_str()
        );
        let help = "add a [[manifest]] with stage = \"cni\", and `url` and `sha256` or `file`";
        reader.report(&cni.span, Fault::new(what, help));
    }
    let metallb = |it: &super::super::DraftManifest| it.name.value.as_str().starts_with("metallb");
    if let Some(at) = draft.metallb.as_ref()
        && !draft.manifests.iter().any(metallb)
    {
        let help = "add a [[manifest]] with name = \"metallb\", and `url` and `sha256` or `file`";
        let fault = Fault::new("[metallb] is set, but no manifest installs it", help);
        reader.report(&at.span, fault);
    }
}
