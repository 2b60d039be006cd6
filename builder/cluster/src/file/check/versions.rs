//! Kubernetes' rules of version skew, for the time of an upgrade when nodes differ.
//!
//! <https://kubernetes.io/releases/version-skew-policy/>: API servers are at most one minor apart; a kubelet is never newer than
//! an API server and at most three minors older.

use super::super::{At, Draft, DraftNode, Reader};
use super::of_role;
use crate::error::Fault;
use crate::{KubernetesVersion, Role};

/// How many minors a kubelet may be behind an API server.
const KUBELET_SKEW: u16 = 3;

pub(super) fn all(draft: &Draft, reader: &mut Reader<'_>) {
    let Some(cluster) = &draft.kubernetes else {
        return;
    };
    let version = |it: &DraftNode| version_of(it, cluster.value);
    let planes: Vec<u16> = of_role(draft, Role::ControlPlane)
        .map(|it| version(it).minor)
        .collect();
    let (Some(oldest), Some(newest)) = (planes.iter().min(), planes.iter().max()) else {
        return;
    };
    if newest - oldest > 1 {
        // Shown at the first that is not the cluster's own.
        let odd = of_role(draft, Role::ControlPlane).find_map(|it| it.kubernetes.as_ref());
        let span = odd.map_or(&cluster.span, |it| &it.span);
        let what = format!("control planes of Kubernetes 1.{oldest} and 1.{newest} in one cluster");
        let help = "upgrade one minor at a time: API servers may differ by one";
        reader.report(span, Fault::new(what, help));
    }
    for node in of_role(draft, Role::Worker) {
        let Some(At { value, span }) = node.kubernetes.as_ref().or(Some(cluster)) else {
            continue;
        };
        let minor = value.minor;
        let (what, help) = if minor > *oldest {
            let what = format!("a worker of Kubernetes {value} beside an API server of 1.{oldest}");
            (
                what,
                "upgrade all control planes before the workers".to_owned(),
            )
        } else if minor + KUBELET_SKEW < *newest {
            let what = format!("a worker of Kubernetes {value} beside an API server of 1.{newest}");
            let help = format!(
                "a kubelet may be {KUBELET_SKEW} minors older: use at least 1.{}",
                newest - KUBELET_SKEW
            );
            (what, help)
        } else {
            continue;
        };
        reader.report(span, Fault::new(what, help));
    }
}

fn version_of(node: &DraftNode, cluster: KubernetesVersion) -> KubernetesVersion {
    node.kubernetes.as_ref().map_or(cluster, |it| it.value)
}
