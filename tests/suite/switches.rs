//! What is commented out in the clusters' files: each switch is right when it is on, alone and with all others, and the files that
//! switches name are manifests.

use crate::clusters::{NAMES, file, made, parse, text};
use crate::plans::repository;
use cluster::{Cluster, ManifestSource};
use nodeimg::preload;
use nodeimg::shelf::Shelf as _;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The switches of each cluster, in the order of its file.
const SWITCHES: [(&str, &[&str]); 5] = [
    (
        "cka-simple",
        &[
            "metrics-server",
            "local-path",
            "metallb",
            "ingress-nginx",
            "policies",
            "logging",
            "dashboard",
        ],
    ),
    ("goldentooth", &["external-dns"]),
    ("kubeauto", &[]),
    ("kubespray", &["flannel", "cilium", "multus"]),
    ("ten-hosts", &["etcd4"]),
];

/// Files that only the cluster's owner can make.
const OWNERS: [&str; 3] = ["cilium.yaml", "dashboard.yaml", "logging.yaml"];

/// A run of lines that are commented out and hold a table.
struct Switch {
    /// The first name in it.
    name: String,
    first: usize,
    end: usize,
}

fn bare(line: &str) -> &str {
    line.strip_prefix("# ")
        .unwrap_or_else(|| line.strip_prefix('#').unwrap_or(line))
}

/// Finds the switches of a file: from a line `# [` to the end of its comment.
fn switches(text: &str) -> Vec<Switch> {
    let lines: Vec<&str> = text.lines().collect();
    let mut res: Vec<Switch> = Vec::new();
    for (first, line) in lines.iter().enumerate() {
        let is_inside = res.last().is_some_and(|it| first < it.end);
        if is_inside || !line.starts_with("# [") {
            continue;
        }
        let rest = &lines[first..];
        let length = rest.iter().position(|it| !it.starts_with('#'));
        let end = first + length.unwrap_or(rest.len());
        let name = lines[first..end]
            .iter()
            .find_map(|it| it.strip_prefix("# name = \""))
            .unwrap_or_else(|| panic!("a switch without a name: {line}"));
        res.push(Switch {
            name: name.trim_end_matches('"').to_owned(),
            first,
            end,
        });
    }
    res
}

/// Returns the file with the switches of these names on.
fn switched(text: &str, names: &[&str]) -> String {
    let on: Vec<Switch> = switches(text)
        .into_iter()
        .filter(|it| names.contains(&it.name.as_str()))
        .collect();
    let line = |(at, line): (usize, &str)| {
        let is_on = on.iter().any(|it| (it.first..it.end).contains(&at));
        let line = if is_on { bare(line) } else { line };
        format!("{line}\n")
    };
    text.lines().enumerate().map(line).collect()
}

/// Returns the names of all manifests and nodes, those of nodes last.
fn names(cluster: &Cluster) -> BTreeSet<String> {
    let manifests = cluster.manifests.iter().map(|it| it.name.to_string());
    let nodes = cluster.nodes.iter().map(|it| it.name.to_string());
    manifests.chain(nodes).collect()
}

/// Returns the seed of the founder, which carries the manifests beside the file.
fn founders(cluster: &Cluster) -> String {
    let texts = |path: &str| {
        if OWNERS.contains(&path) {
            "kind: List\n".to_owned()
        } else {
            file(path)
        }
    };
    let manifests: BTreeMap<String, String> = cluster
        .local_manifests()
        .map(|it| (it.to_owned(), texts(it)))
        .collect();
    let founder = cluster.control_planes().next().expect("a founder");
    let made = made(&repository(), cluster, founder, &manifests);
    made.expect("a seed").file("user-data")
}

#[test]
fn every_switch_is_right_alone_and_with_all_others() {
    assert_eq!(SWITCHES.map(|(name, _)| name), NAMES);
    for (name, wanted) in SWITCHES {
        let off = text(name);
        let found: Vec<String> = switches(&off).into_iter().map(|it| it.name).collect();
        assert_eq!(found, wanted, "{name}");
        let before = names(&parse(name, &off));
        for switch in wanted {
            let on = parse(name, &switched(&off, &[switch]));
            let after = names(&on);
            assert!(before.is_subset(&after), "{name}, {switch}: {after:?}");
            assert!(
                !before.contains(*switch) && after.contains(*switch),
                "{name}, {switch}: {after:?}"
            );
            founders(&on);
        }
        // Nobody wants three networks of pods; the file is right all the same.
        let on = switched(&off, wanted);
        let all = parse(name, &on);
        assert!(wanted.iter().all(|it| names(&all).contains(*it)), "{name}");
        assert!(switches(&on).is_empty(), "{name}");
        founders(&all);
    }
    let addresses = parse("cka-simple", &switched(&text("cka-simple"), &["metallb"]));
    assert!(addresses.metallb.is_some());
}

#[test]
fn kubespray_has_another_network_by_the_steps_of_its_page() {
    let calico = text("kubespray");
    for network in ["flannel", "cilium"] {
        // Another word, neither [calico] nor Calico's manifests, and the other's.
        let word = format!("cni = \"{network}\"");
        let other = switched(&calico, &[network, "multus"]).replace("cni = \"calico\"", &word);
        let without: Vec<&str> = other
            .split("\n\n")
            .filter(|it| !it.contains("[calico]\n") && !it.contains("name = \"calico-"))
            .collect();
        let cluster = parse("kubespray", &without.join("\n\n"));
        assert_eq!(cluster.cni.as_str(), network);
        let names: Vec<&str> = cluster
            .manifests
            .iter()
            .map(|it| it.name.as_str())
            .collect();
        assert_eq!(names, [network, "multus", "metrics-server", "policies"]);
        let seed = founders(&cluster);
        assert!(!seed.contains("calico"), "{network}");
        assert_eq!(
            seed.contains("kube-flannel-cfg"),
            network == "flannel",
            "{network}"
        );
    }
    let kept = calico.replace("cni = \"calico\"", "cni = \"flannel\"");
    let refused = cluster::parse(&kept, "kubespray.toml").expect_err("[calico] stays");
    assert!(
        refused
            .to_string()
            .contains("[calico] is set, but `cni` is \"flannel\""),
        "{refused}"
    );
}

#[test]
fn what_clusters_share_is_pinned_alike_and_every_file_is_asked_for() {
    let mut pins: BTreeMap<String, String> = BTreeMap::new();
    let mut asked = BTreeSet::new();
    for (name, wanted) in SWITCHES {
        for manifest in parse(name, &switched(&text(name), wanted)).manifests {
            match manifest.source {
                ManifestSource::Remote { url, sha256 } => {
                    let pin = sha256.as_str().to_owned();
                    let first = pins.entry(url.to_string()).or_insert_with(|| pin.clone());
                    assert_eq!(*first, pin, "{name}: {url}");
                }
                ManifestSource::Local { path } => {
                    asked.insert(format!("profiles/clusters/{path}"));
                }
            }
        }
    }
    let found: BTreeSet<String> = repository()
        .list("profiles/clusters")
        .into_iter()
        .filter(|it| is_yaml(it))
        .chain(OWNERS.map(|it| format!("profiles/clusters/{it}")))
        .collect();
    assert_eq!(asked, found);
}

/// Returns the objects of a manifest beside the clusters.
fn objects(name: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    fs::write(&path, file(name)).expect("writable");
    let program =
        "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    let out = Command::new("python3")
        .args(["-c", program])
        .arg(&path)
        .output()
        .expect("python3; install the Debian package python3-yaml");
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{name}: {stderr}");
    serde_json::from_slice(&out.stdout).expect("JSON")
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|it| it["kind"] == kind).collect()
}

/// Says whether a file is a manifest, by its name.
fn is_yaml(name: &str) -> bool {
    Path::new(name).extension() == Some("yaml".as_ref())
}

#[test]
fn manifests_beside_the_clusters_are_objects_whose_images_stay() {
    for path in repository().list("profiles/clusters") {
        let Some(name) = path.strip_prefix("profiles/clusters/") else {
            continue;
        };
        if !is_yaml(name) {
            continue;
        }
        let mut seen = BTreeSet::new();
        for object in objects(name) {
            let text = |key: &str| {
                object
                    .pointer(key)
                    .and_then(Value::as_str)
                    .map(str::to_owned)
            };
            let (version, kind, own) = (
                text("/apiVersion"),
                text("/kind").expect("a kind"),
                text("/metadata/name").expect("a name"),
            );
            assert!(version.is_some(), "{name}: {kind} {own}");
            assert!(
                seen.insert((kind.clone(), own.clone())),
                "{name}: {kind} {own} twice"
            );
            // What is secret is the owner's to make.
            assert_ne!(kind, "Secret", "{name}: {own}");
        }
        for image in preload::named(&file(name)) {
            assert!(!image.moves(), "{name}: {image}");
        }
    }
}

#[test]
fn policies_deny_everything_and_allow_what_both_ends_allow() {
    let both = json!(["Ingress", "Egress"]);
    for name in ["cka-policies.yaml", "kubespray-policies.yaml"] {
        let all = objects(name);
        let denies = |it: &&&Value| {
            let spec = &it["spec"];
            it["metadata"]["name"] == "default-deny"
                && spec["podSelector"] == json!({})
                && spec["policyTypes"] == both
                && spec.get("ingress").is_none()
                && spec.get("egress").is_none()
        };
        let policies = of_kind(&all, "NetworkPolicy");
        assert_eq!(policies.iter().filter(denies).count(), 1, "{name}");
        assert!(
            policies
                .iter()
                .all(|it| it["metadata"]["namespace"] == "apps"),
            "{name}"
        );
        assert_eq!(of_kind(&all, "Namespace").len(), 1, "{name}");
    }
    let all = objects("cka-policies.yaml");
    let policy = |name: &str| {
        let policies = of_kind(&all, "NetworkPolicy");
        let found = policies
            .into_iter()
            .find(|it| it["metadata"]["name"] == name);
        found.unwrap_or_else(|| panic!("no policy {name}"))["spec"].clone()
    };
    let (caller, callee) = (
        policy("frontend-calls-backend"),
        policy("backend-hears-frontend"),
    );
    let selector = |spec: &Value| spec["podSelector"].clone();
    assert_eq!(
        caller["egress"][0]["to"][0]["podSelector"],
        selector(&callee)
    );
    assert_eq!(
        callee["ingress"][0]["from"][0]["podSelector"],
        selector(&caller)
    );
    assert_eq!(caller["egress"][0]["ports"], callee["ingress"][0]["ports"]);
}

#[test]
fn external_dns_may_look_and_has_its_key_from_the_owners_secret() {
    let all = objects("goldentooth-external-dns.yaml");
    let deployments = of_kind(&all, "Deployment");
    let [deployment] = deployments.as_slice() else {
        panic!("{deployments:?}");
    };
    let pod = &deployment["spec"]["template"];
    assert_eq!(
        deployment["spec"]["selector"]["matchLabels"],
        pod["metadata"]["labels"]
    );
    let account = &of_kind(&all, "ServiceAccount")[0]["metadata"];
    assert_eq!(pod["spec"]["serviceAccountName"], account["name"]);
    let binding = of_kind(&all, "ClusterRoleBinding")[0];
    assert_eq!(binding["subjects"][0]["name"], account["name"]);
    assert_eq!(binding["subjects"][0]["namespace"], account["namespace"]);
    let role = of_kind(&all, "ClusterRole")[0];
    assert_eq!(binding["roleRef"]["name"], role["metadata"]["name"]);
    for rule in role["rules"].as_array().expect("rules") {
        assert_eq!(rule["verbs"], json!(["get", "list", "watch"]), "{rule}");
    }
    let container = &pod["spec"]["containers"][0];
    let arguments: Vec<&str> = container["args"]
        .as_array()
        .expect("arguments")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    for wanted in ["--provider=rfc2136", "--rfc2136-tsig-secret=$(TSIG_SECRET)"] {
        assert!(arguments.contains(&wanted), "{arguments:?}");
    }
    for variable in container["env"].as_array().expect("variables") {
        let secret = &variable["valueFrom"]["secretKeyRef"]["name"];
        assert_eq!(secret, "external-dns-tsig", "{variable}");
        assert!(variable.get("value").is_none(), "{variable}");
    }
}
