//! `nodeimg verify-cluster`: whether a running cluster works, by what its API server says and by pods that call each other.

use super::{Host, cluster as clusters, select};
use crate::args::VerifyCluster;
use crate::host::api::{Answer, Api};
use crate::host::given;
use anyhow::Result;
use cluster::kubeconfig;
use nodeimg::error::Error;
use nodeimg::health::{self, Check, Finding, NAMESPACE, Probe};
use serde_json::{Value, json};
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_secs(2);

/// Looks, tells, and fails if something is not well.
pub(super) fn run(host: &Host, args: &VerifyCluster) -> Result<()> {
    let text =
        fs::read_to_string(&args.kubeconfig).map_err(given("the kubeconfig", &args.kubeconfig))?;
    let config =
        kubeconfig::parse(&text, &args.kubeconfig.display().to_string()).map_err(Error::from)?;
    let expected = match select::cluster_file(args.cluster.as_deref()) {
        Some(file) => clusters::read(&file)?
            .nodes
            .iter()
            .filter(|it| it.role.has_kubelet())
            .map(|it| it.name.to_string())
            .collect(),
        None => Vec::new(),
    };
    let api = Api::new(&config)?;
    let mut checks = look(&api, &expected);
    // Where the API does not answer nothing more can be known.
    if checks.first().is_some_and(Check::is_good) && !args.read_only {
        host.voice.note(&format!(
            "starting a pod on every node, in namespace {NAMESPACE}"
        ));
        checks.extend(call(&api, args));
    }
    let bad = checks.iter().filter(|it| !it.is_good()).count();
    let mut told = String::new();
    let mut events = Vec::new();
    for check in &checks {
        let (mark, found) = match &check.finding {
            Finding::Good(it) => ("ok  ", it),
            Finding::Bad(it) => ("FAIL", it),
        };
        told.push_str(&format!("{mark} {:<12} {found}\n", check.name));
        events.push(json!({ "name": check.name, "good": check.is_good(), "found": found }));
    }
    host.voice.result(
        told.trim_end(),
        &json!({ "event": "verified", "good": bad == 0, "checks": events }),
    )?;
    if bad == 0 {
        return Ok(());
    }
    Err(Error::world(format!("{bad} of {} checks failed", checks.len()))
        .help("on the machine in question: cat /run/nodeimg/state.json; journalctl -u nodeimg-join -u kubelet")
        .into())
}

/// What can be seen without changing anything.
fn look(api: &Api, expected: &[String]) -> Vec<Check> {
    let ready = |path: &str| api.get(path).and_then(Answer::good);
    let version = || {
        let version = ready("/version")?.json();
        Ok(format!(
            "Kubernetes {}",
            version["gitVersion"]
                .as_str()
                .unwrap_or("of unknown version")
        ))
    };
    let answers = Check::new("API", ready("/readyz").and_then(|_| version()));
    if !answers.is_good() {
        return vec![answers];
    }
    let etcd = ready("/readyz/etcd").map(|_| "the API server reaches it".to_owned());
    let list = |path: &str, judge: &dyn Fn(&Value) -> Check, name: &str| match ready(path) {
        Ok(answer) => judge(&answer.json()),
        Err(why) => Check::new(name, Err(why)),
    };
    vec![
        answers,
        Check::new("etcd", etcd),
        list("/api/v1/nodes", &|it| health::nodes(it, expected), "nodes"),
        list(
            "/api/v1/namespaces/kube-system/pods",
            &health::system_pods,
            "system pods",
        ),
    ]
}

/// What pods of our own find; they are gone afterwards.
fn call(api: &Api, args: &VerifyCluster) -> Vec<Check> {
    let deadline = Instant::now() + Duration::from_secs(args.timeout);
    let checks = match start(api, args, deadline) {
        Ok(probes) => ring(api, &probes),
        Err(why) => vec![Check::new("pods", Err(why))],
    };
    let gone = remove(api).err();
    let left = gone.map(|why| {
        Check::new(
            "clean-up",
            Err(format!("namespace {NAMESPACE} is left: {why}")),
        )
    });
    checks.into_iter().chain(left).collect()
}

/// Starts our pods and waits for them.
fn start(api: &Api, args: &VerifyCluster, deadline: Instant) -> Result<Vec<Probe>, String> {
    remove(api)?;
    let namespace = format!("/api/v1/namespaces/{NAMESPACE}");
    wait(deadline, || match api.get(&namespace)?.status {
        404 => Ok(()),
        _ => Err(format!("an earlier namespace {NAMESPACE} is still there")),
    })?;
    for (path, object) in health::probes(&args.image) {
        // A namespace is of use a moment after it is made.
        wait(
            deadline.min(Instant::now() + Duration::from_secs(20)),
            || api.post(&path, &object)?.good().map(drop),
        )?;
    }
    let daemons = format!("/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets/probe");
    wait(deadline, || {
        let set = api.get(&daemons)?.good()?.json();
        let wanted = set["status"]["desiredNumberScheduled"]
            .as_u64()
            .unwrap_or(0);
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        if wanted == 0 || set["status"]["observedGeneration"].is_null() {
            return Err("no node was given a pod".to_owned());
        }
        let pods = api.get(&format!("{namespace}/pods"))?.good()?.json();
        health::ready_probes(&pods, wanted)
    })
}

/// Has each pod call the next node's, and all of them by name.
fn ring(api: &Api, probes: &[Probe]) -> Vec<Check> {
    let dial = |from: &Probe, host: &str| {
        health::answer(&api.get(&health::dial(from, host))?.good()?.json())
    };
    let reached = |from: &Probe, to: &Probe| match dial(from, &to.address) {
        Ok(name) if name == to.pod => None,
        Ok(name) => Some(format!(
            "{} reached {name} instead of {}",
            from.node, to.pod
        )),
        Err(why) => Some(format!("{} does not reach {}: {why}", from.node, to.node)),
    };
    let calls = health::calls(probes);
    let bad: Vec<String> = calls.iter().filter_map(|(a, b)| reached(a, b)).collect();
    let good = if calls.is_empty() {
        "one node alone: there is nobody to call".to_owned()
    } else {
        format!("{} nodes' pods call each other", probes.len())
    };
    let pods = Check::of("pods", &bad, good);
    let named = |from: &Probe| match dial(from, &health::service()) {
        Ok(name) if probes.iter().any(|it| it.pod == name) => None,
        Ok(name) => Some(format!(
            "{} reached {name}, which is none of ours",
            from.node
        )),
        Err(why) => Some(format!("{}: {why}", from.node)),
    };
    let bad: Vec<String> = probes.iter().filter_map(named).collect();
    let good = format!("{} is found and answers on every node", health::service());
    vec![pods, Check::of("DNS", &bad, good)]
}

/// Asks for our namespace to go; it need not be there.
fn remove(api: &Api) -> Result<(), String> {
    let answer = api.delete(&format!("/api/v1/namespaces/{NAMESPACE}"))?;
    // 409: it is on its way out already.
    if answer.status == 404 || answer.status == 409 {
        return Ok(());
    }
    answer.good().map(drop)
}

/// Tries until it succeeds or the time is over; then the last complaint is returned.
fn wait<T>(deadline: Instant, mut attempt: impl FnMut() -> Result<T, String>) -> Result<T, String> {
    loop {
        match attempt() {
            Err(_) if Instant::now() + POLL < deadline => sleep(POLL),
            done => return done,
        }
    }
}
