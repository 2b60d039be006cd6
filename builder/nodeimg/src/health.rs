//! Whether a cluster works, judged by what its API server answers: nodes, the system's pods, and pods of our own that call
//! each other by address and by name.
//!
//! Pure: what is asked and what is applied are values here, and the caller carries them. The pods are agnhost's
//! `netexec`, whose `/dial` makes one call another.

use serde_json::{Value, json};

/// The namespace of our own pods, gone when the checks are done.
pub const NAMESPACE: &str = "nodeimg-verify";
/// What our own pods run unless another image is named.
pub const PROBE_IMAGE: &str = "registry.k8s.io/e2e-test-images/agnhost:2.53";
const NAME: &str = "probe";
/// The port our own pods listen on.
pub const PORT: u16 = 8080;

/// What was looked at, and what was found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Check {
    /// A word or two.
    pub name: String,
    /// What was found.
    pub finding: Finding,
}

/// What was found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Finding {
    /// It is as it should be; how.
    Good(String),
    /// It is not; why.
    Bad(String),
}

impl Check {
    /// A check that found what it wanted, or did not.
    pub fn new(name: impl Into<String>, found: Result<String, String>) -> Self {
        let finding = found.map_or_else(Finding::Bad, Finding::Good);
        Self {
            name: name.into(),
            finding,
        }
    }

    /// A check that found nothing bad, or all this.
    pub fn of(name: impl Into<String>, bad: &[String], good: String) -> Self {
        let found = if bad.is_empty() {
            Ok(good)
        } else {
            Err(bad.join(", "))
        };
        Self::new(name, found)
    }

    /// Says whether all is well.
    pub fn is_good(&self) -> bool {
        matches!(self.finding, Finding::Good(_))
    }
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list["items"].as_array().into_iter().flatten()
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or("?")
}

/// Returns a condition's status: `True`, `False`, or `Unknown` also where there is no such condition.
fn condition<'a>(object: &'a Value, kind: &str) -> &'a str {
    let all = object["status"]["conditions"].as_array();
    all.into_iter()
        .flatten()
        .find(|it| it["type"] == kind)
        .and_then(|it| it["status"].as_str())
        .unwrap_or("Unknown")
}

/// Judges `/api/v1/nodes`: all Ready, none short of memory, disk or processes, and those of `expected` among them.
pub fn nodes(list: &Value, expected: &[String]) -> Check {
    let mut bad = Vec::new();
    let mut names = Vec::new();
    let mut versions = Vec::new();
    for node in items(list) {
        let name = name(node);
        names.push(name);
        let version = node["status"]["nodeInfo"]["kubeletVersion"].as_str();
        let version = version.unwrap_or("of unknown version").to_owned();
        if !versions.contains(&version) {
            versions.push(version);
        }
        match condition(node, "Ready") {
            "True" => {}
            other => bad.push(format!("{name} is not Ready ({other})")),
        }
        for pressure in ["MemoryPressure", "DiskPressure", "PIDPressure"] {
            if condition(node, pressure) == "True" {
                bad.push(format!("{name} has {pressure}"));
            }
        }
    }
    for wanted in expected {
        if !names.contains(&wanted.as_str()) {
            bad.push(format!("{wanted} has not joined"));
        }
    }
    if names.is_empty() {
        bad.push("there is none".to_owned());
    }
    let found = format!("{} Ready, kubelet {}", names.len(), versions.join(" and "));
    Check::of("nodes", &bad, found)
}

/// Judges the pods of `kube-system`: each is Ready or has done its work.
pub fn system_pods(list: &Value) -> Check {
    let mut bad = Vec::new();
    let mut count = 0;
    for pod in items(list) {
        count += 1;
        let phase = pod["status"]["phase"].as_str().unwrap_or("unknown");
        if phase != "Succeeded" && condition(pod, "Ready") != "True" {
            bad.push(format!("{} is not Ready ({phase})", name(pod)));
        }
    }
    if count == 0 {
        bad.push("there is none".to_owned());
    }
    let found = format!("{count} of kube-system Ready");
    Check::of("system pods", &bad, found)
}

/// Returns what is created for our own pods, each with the path it is posted to: a pod on every node, and a name for all.
pub fn probes(image: &str) -> Vec<(String, Value)> {
    let labels = json!({ "app": NAME });
    let core = format!("/api/v1/namespaces/{NAMESPACE}/services");
    let apps = format!("/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets");
    vec![
        (
            "/api/v1/namespaces".to_owned(),
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": {
                "name": NAMESPACE,
                "labels": { "pod-security.kubernetes.io/enforce": "restricted" },
            } }),
        ),
        (
            core,
            json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": NAME },
                "spec": { "selector": labels, "ports": [{ "port": PORT }] } }),
        ),
        (
            apps,
            json!({ "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": { "name": NAME }, "spec": {
                "selector": { "matchLabels": labels },
                "template": { "metadata": { "labels": labels }, "spec": {
                    "automountServiceAccountToken": false,
                    "tolerations": [{ "operator": "Exists" }],
                    "terminationGracePeriodSeconds": 1,
                    "securityContext": {
                        "runAsNonRoot": true, "runAsUser": 65534, "seccompProfile": { "type": "RuntimeDefault" },
                    },
                    "containers": [{
                        "name": NAME, "image": image, "args": ["netexec", format!("--http-port={PORT}"), "--udp-port=-1"],
                        "ports": [{ "containerPort": PORT }],
                        "readinessProbe": { "httpGet": { "path": "/healthz", "port": PORT }, "periodSeconds": 2 },
                        "securityContext": {
                            "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] },
                        },
                    }],
                } },
            } }),
        ),
    ]
}

/// One of our own pods.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Probe {
    /// The pod's name.
    pub pod: String,
    /// The node it is on.
    pub node: String,
    /// Its address.
    pub address: String,
}

/// Returns our own pods if each of `nodes` nodes has one that is Ready; else what is waited for.
pub fn ready_probes(list: &Value, nodes: usize) -> Result<Vec<Probe>, String> {
    let mut res = Vec::new();
    let mut why = format!("no pod is on {nodes} nodes yet");
    for pod in items(list) {
        let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
        let node = text(&pod["spec"]["nodeName"]);
        if condition(pod, "Ready") == "True" {
            res.push(Probe {
                pod: name(pod).to_owned(),
                node,
                address: text(&pod["status"]["podIP"]),
            });
        } else {
            let waiting = &pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"];
            let reason = waiting.as_str().or(pod["status"]["phase"].as_str());
            why = format!(
                "the pod on {node} is not Ready: {}",
                reason.unwrap_or("unknown")
            );
        }
    }
    res.sort_by(|a, b| a.node.cmp(&b.node));
    if res.len() == nodes {
        Ok(res)
    } else {
        Err(why)
    }
}

/// Returns who calls whom: each node's pod calls the next one's, round, so that each both calls and is called.
pub fn calls(probes: &[Probe]) -> Vec<(&Probe, &Probe)> {
    let next = probes.iter().cycle().skip(1);
    probes.iter().zip(next).filter(|(a, b)| a != b).collect()
}

/// Returns the path that makes a pod call `host`, an address or a name.
pub fn dial(from: &Probe, host: &str) -> String {
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    format!(
        "/api/v1/namespaces/{NAMESPACE}/pods/{}:{PORT}/proxy/dial?host={host}&port={PORT}&protocol=http&request=hostname&tries=3",
        from.pod
    )
}

/// The name all our pods have together.
pub fn service() -> String {
    format!("{NAME}.{NAMESPACE}.svc")
}

/// Judges the answer to a call: the name of the pod that was reached, or why none was.
pub fn answer(body: &Value) -> Result<String, String> {
    let first = |it: &Value| it[0].as_str().map(str::to_owned);
    match first(&body["responses"]) {
        Some(reached) if !reached.is_empty() => Ok(reached),
        _ => Err(first(&body["errors"]).unwrap_or_else(|| "no answer".to_owned())),
    }
}

#[cfg(test)]
mod tests;
