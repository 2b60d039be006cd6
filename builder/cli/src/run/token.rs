//! `nodeimg cluster token`: who may join, and how a lost card is made worthless.

use super::Host;
use super::cluster::{Loaded, load, store};
use crate::args::TokenCommand;
use crate::host::usage;
use anyhow::Result;
use cluster::{Node, NodeName, Role, UnixTime};
use nodeimg::error::Error;
use serde_json::json;
use std::path::Path;

/// Runs a sub-command.
pub(super) fn run(host: &Host, command: TokenCommand) -> Result<()> {
    match command {
        TokenCommand::List(it) => list(host, &it.file),
        TokenCommand::Revoke { node, file } => revoke(host, &node, &file.file),
        TokenCommand::Manifest(it) => manifest(host, &it.file),
    }
}

/// Lists what is no secret of each token.
fn list(host: &Host, file: &Path) -> Result<()> {
    let loaded = load(host, file)?;
    let lifetime = match loaded.cluster.token_ttl.seconds {
        0 => "for ever".to_owned(),
        _ => format!(
            "for {} after the cluster is formed",
            loaded.cluster.token_ttl
        ),
    };
    let mut text = String::new();
    let mut tokens = Vec::new();
    for node in loaded.cluster.nodes.iter().filter(|it| joins(&loaded, it)) {
        let token = loaded.secrets.node_token(&node.name);
        let revoked = loaded.secrets.revocations(&node.name);
        let remark = match revoked {
            0 => String::new(),
            n => format!(", revoked {n} times before"),
        };
        text.push_str(&format!(
            "{:<20} {}  accepted {lifetime}{remark}\n",
            node.name.to_string(),
            token.id()
        ));
        tokens.push(json!({
            "node": node.name.to_string(),
            "id": token.id(),
            "seconds": loaded.cluster.token_ttl.seconds,
            "revoked": revoked,
        }));
    }
    let by_hand = loaded.secrets.cluster_token();
    text.push_str(&format!(
        "{:<20} {}  accepted {lifetime}",
        "(joined by hand)",
        by_hand.id()
    ));
    host.voice
        .result(&text, &json!({ "event": "tokens", "tokens": tokens }))
}

/// Says whether a node carries a token: the founder makes the cluster, and others than kubelets do not join.
fn joins(loaded: &Loaded, node: &Node) -> bool {
    node.role.has_kubelet() && !loaded.cluster.founds(node)
}

fn revoke(host: &Host, name: &str, file: &Path) -> Result<()> {
    let mut loaded = load(host, file)?;
    let name: NodeName = name
        .parse()
        .map_err(|err| Error::input(format!("node {name:?}")).because(err))?;
    let node = loaded.cluster.node(&name).map_err(Error::from)?.clone();
    let old = loaded.secrets.node_token(&name);
    loaded.secrets.revoke(&name);
    store(host, file, &loaded)?;
    let new = loaded.secrets.node_token(&name);
    let mut text = format!(
        "revoked what only {name} knew: its join token {}, its SSH host key, its own certificates\n",
        old.id()
    );
    if joins(&loaded, &node) {
        let mut step = |it: &str| text.push_str(&format!("{it}\n"));
        step(
            "cluster not formed yet: make all seeds anew (nodeimg build --per-node only-seed) and give the founder its own;",
        );
        step("  the cluster it forms has never heard of the old token");
        step("cluster formed already, with the administrator's kubeconfig:");
        step(&format!(
            "  kubectl -n kube-system delete secret bootstrap-token-{} --ignore-not-found",
            old.id()
        ));
        step(&format!("  kubectl delete node {name} --ignore-not-found"));
        step(&format!(
            "  nodeimg cluster token manifest --file {} | kubectl apply -f -    # makes the new token {} known",
            file.display(),
            new.id()
        ));
    }
    text.push_str(&outlives(node.role, &name));
    let event =
        json!({ "event": "revoked", "node": name.to_string(), "old": old.id(), "new": new.id() });
    host.voice.result(text.trim_end(), &event)
}

/// What a card holds that no new token makes worthless.
fn outlives(role: Role, name: &NodeName) -> String {
    match role {
        Role::ControlPlane => format!(
            "{name} is a control plane: its card holds the cluster's authorities, with which anybody makes himself administrator.\n\
             Nothing but new secrets for the whole cluster makes it worthless: nodeimg cluster init with a new file\n"
        ),
        Role::Admin => format!(
            "{name}'s card holds a kubeconfig with full rights, which is accepted until its year is over. On the running cluster,\n\
             take the rights of its group away and give them to names of your own: kubectl delete clusterrolebinding kubeadm:cluster-admins\n"
        ),
        Role::Etcd => format!(
            "{name}'s card holds certificates that etcd accepts for as long as its authority lives: keep ports 2379 and 2380 of the\n\
             others from strangers, and make new secrets for the whole cluster when you can\n"
        ),
        Role::Worker => format!(
            "if {name} had joined before it was lost, its kubelet's certificate is accepted until it ends, a year after joining at most:\n\
             keep the API from strangers until then\n"
        ),
        _ => format!("{name}'s new secrets are in the seeds that are made from now on\n"),
    }
}

/// Prints the manifest that makes all tokens known to a cluster that is up: new nodes', and those made anew.
fn manifest(host: &Host, file: &Path) -> Result<()> {
    let loaded = load(host, file)?;
    let now = UnixTime(usage::unix_time());
    let text = loaded
        .secrets
        .bootstrap_tokens(&loaded.cluster, now)
        .map_err(Error::from)?;
    let event = json!({ "event": "manifest", "text": text.expose() });
    host.voice.result(text.expose().trim_end(), &event)
}
