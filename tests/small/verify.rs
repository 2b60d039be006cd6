//! `verify-cluster` against a double of an API server, over real TLS with the certificates that `cluster init` made.

use crate::world::{Place, world};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use tests::{repository, run, text};

/// A server that ends with this.
struct Server {
    child: Child,
    folder: PathBuf,
    kubeconfig: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Server {
    /// Starts the double of `place`'s cluster, and writes a kubeconfig for it.
    fn start(place: &Place, fault: &str) -> Self {
        let folder = place.folder().join("api");
        fs::create_dir_all(&folder).expect("a folder");
        let pki = place.folder().join("cluster.secrets/pki");
        fs::copy(pki.join("ca.crt"), folder.join("ca.crt")).expect("an authority");
        run(Command::new("openssl")
            .current_dir(&folder)
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
            ])
            .args([
                "-subj",
                "/CN=api",
                "-addext",
                "subjectAltName=IP:127.0.0.1",
                "-days",
                "1",
            ])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-CA")
            .arg(pki.join("ca.crt"))
            .arg("-CAkey")
            .arg(pki.join("ca.key"))
            .args(["-keyout", "server.key", "-out", "server.crt"]));
        let mut child = Command::new("python3")
            .arg(repository().join("tests/small/api_double.py"))
            .arg(&folder)
            .arg(fault)
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let mut port = String::new();
        let out = child.stdout.take().expect("its output");
        BufReader::new(out).read_line(&mut port).expect("a port");
        let ours = text(&run(place.nodeimg().args(["cluster", "export-kubeconfig"])));
        let server = format!("https://127.0.0.1:{}", port.trim());
        let kubeconfig = folder.join("admin.conf");
        fs::write(
            &kubeconfig,
            ours.replace("https://192.168.56.10:6443", &server),
        )
        .expect("a file");
        Self {
            child,
            folder,
            kubeconfig,
        }
    }

    fn verify(&self, place: &Place, more: &[&str]) -> Output {
        let mut command = place.nodeimg();
        command
            .arg("verify-cluster")
            .arg(&self.kubeconfig)
            .args(more);
        command.output().expect("it runs")
    }

    /// What was changed in the cluster.
    fn changes(&self) -> String {
        fs::read_to_string(self.folder.join("changes")).unwrap_or_default()
    }
}

const ELSEWHERE: [&str; 2] = ["--cluster", "api/two.toml"];

/// A cluster file of just the nodes that the double has.
fn two_nodes(place: &Place) {
    let file = fs::read_to_string(place.folder().join("cluster.toml")).expect("a cluster");
    let two = file.replacen("\"cp1\"", "\"vm01\"", 1).replacen(
        "name = \"vm01\"\nrole = \"worker\"",
        "name = \"card01\"\nrole = \"worker\"",
        1,
    );
    let end = two.rfind("[[node]]").expect("nodes");
    fs::write(place.folder().join("api/two.toml"), &two[..end]).expect("a file");
}

#[test]
fn a_cluster_that_works_is_said_to_and_left_as_it_was() {
    let place = world().place("verify");
    let server = Server::start(&place, "none");
    two_nodes(&place);
    let output = server.verify(&place, &ELSEWHERE);
    let told = text(&output);
    assert!(output.status.success(), "{output:?}");
    for line in [
        "ok   API          Kubernetes v1.36.2",
        "ok   etcd         the API server reaches it",
        "ok   nodes        2 Ready, kubelet v1.36.2",
        "ok   system pods  1 of kube-system Ready",
        "ok   pods         2 nodes' pods call each other",
        "ok   DNS          probe.nodeimg-verify.svc is found and answers on every node",
    ] {
        assert!(told.contains(line), "{line:?} is not in {told}");
    }
    let changes = server.changes();
    assert!(
        changes.ends_with("DELETE /api/v1/namespaces/nodeimg-verify\n"),
        "{changes}"
    );
    assert_eq!(changes.matches("POST ").count(), 3, "{changes}");
    let output = server.verify(&place, &["--json", "--cluster", "api/two.toml"]);
    let told = text(&output);
    let last = told.lines().last().expect("events");
    let event: serde_json::Value = serde_json::from_str(last).expect("an event");
    assert_eq!(
        (&event["event"], &event["good"]),
        (&"verified".into(), &true.into())
    );
    assert_eq!(event["checks"].as_array().map(Vec::len), Some(6));
}

#[test]
fn whatever_does_not_work_is_named_and_is_exit_code_2() {
    for (fault, line) in [
        ("node", "FAIL nodes        card01 is not Ready (Unknown)"),
        (
            "etcd",
            "FAIL etcd         HTTP 500: internal server error: etcd failed",
        ),
        (
            "pods",
            "FAIL pods         vm01 does not reach card01: dial tcp: i/o timeout",
        ),
        (
            "dns",
            "FAIL DNS          card01: lookup probe.nodeimg-verify.svc: no such host",
        ),
        (
            "never",
            "FAIL pods         the pod on card01 is not Ready: Running",
        ),
    ] {
        let place = world().place(&format!("verify-{fault}"));
        let server = Server::start(&place, fault);
        two_nodes(&place);
        let output = server.verify(&place, &["--timeout", "6", "--cluster", "api/two.toml"]);
        let told = text(&output);
        assert_eq!(output.status.code(), Some(2), "{fault}: {output:?}");
        assert!(told.contains(line), "{fault}: {told}");
        assert_eq!(told.matches("FAIL").count(), 1, "{fault}: {told}");
        assert!(
            server
                .changes()
                .ends_with("DELETE /api/v1/namespaces/nodeimg-verify\n")
        );
    }
}

#[test]
fn who_may_not_change_anything_can_look() {
    let place = world().place("verify-look");
    let server = Server::start(&place, "none");
    // The cluster's own file has a control plane that did not join.
    let output = server.verify(&place, &["--read-only"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output).contains("FAIL nodes        cp1 has not joined"),
        "{output:?}"
    );
    assert_eq!(server.changes(), "");
}

#[test]
fn an_impostor_is_told_nothing() {
    let place = world().place("verify-impostor");
    let server = Server::start(&place, "none");
    // Another cluster's authority and administrator.
    let other = place.folder().join("other");
    fs::create_dir(&other).expect("a folder");
    run(place
        .nodeimg()
        .current_dir(&other)
        .args(["cluster", "init", "other"]));
    let theirs = text(&run(place
        .nodeimg()
        .current_dir(&other)
        .args(["cluster", "export-kubeconfig"])));
    let line = |text: &str| {
        let found = text.lines().find(|it| it.trim().starts_with("server: "));
        found.expect("a server").trim().to_owned()
    };
    let ours = fs::read_to_string(&server.kubeconfig).expect("a file");
    fs::write(
        &server.kubeconfig,
        theirs.replace(&line(&theirs), &line(&ours)),
    )
    .expect("a file");
    let output = server.verify(&place, &[]);
    assert_eq!(output.status.code(), Some(2));
    let told = text(&output);
    assert!(
        told.contains("FAIL API") && told.contains("certificate"),
        "{told}"
    );
    assert_eq!(server.changes(), "");
}
