use super::*;
use expect_test::{Expect, expect};

fn node(name: &str, ready: &str, pressure: &str) -> Value {
    json!({ "metadata": { "name": name }, "status": { "nodeInfo": { "kubeletVersion": "v1.36.2" }, "conditions": [
        { "type": "Ready", "status": ready }, { "type": "DiskPressure", "status": pressure },
    ] } })
}

fn pod(name: &str, node: &str, ready: &str, phase: &str) -> Value {
    json!({ "metadata": { "name": name }, "spec": { "nodeName": node }, "status": {
        "phase": phase, "podIP": format!("10.0.0.{}", name.len()), "conditions": [{ "type": "Ready", "status": ready }],
    } })
}

fn list(items: &[Value]) -> Value {
    json!({ "items": items })
}

fn found(check: &Check, want: &Expect) {
    want.assert_eq(&format!("{:?}", check.finding));
}

#[test]
fn nodes_are_good_when_all_are_ready_and_none_is_missing() {
    let (good, bad) = (node("cp1", "True", "False"), node("w1", "Unknown", "True"));
    let judge = |items: &[Value], expected: &[&str]| {
        let expected: Vec<String> = expected.iter().map(|it| (*it).to_owned()).collect();
        nodes(&list(items), &expected)
    };
    found(
        &judge(std::slice::from_ref(&good), &["cp1"]),
        &expect![[r#"Good("1 Ready, kubelet v1.36.2")"#]],
    );
    found(
        &judge(&[good, bad], &["cp1", "w1", "w2"]),
        &expect![[r#"Bad("w1 is not Ready (Unknown), w1 has DiskPressure, w2 has not joined")"#]],
    );
    found(&judge(&[], &[]), &expect![[r#"Bad("there is none")"#]]);
    found(
        &nodes(&json!("no list"), &[]),
        &expect![[r#"Bad("there is none")"#]],
    );
}

#[test]
fn pods_that_have_done_their_work_are_good() {
    let pods = [
        pod("dns", "a", "True", "Running"),
        pod("job", "a", "False", "Succeeded"),
    ];
    found(
        &system_pods(&list(&pods)),
        &expect![[r#"Good("2 of kube-system Ready")"#]],
    );
    let pods = [pod("dns", "a", "False", "Running")];
    found(
        &system_pods(&list(&pods)),
        &expect![[r#"Bad("dns is not Ready (Running)")"#]],
    );
}

#[test]
fn each_node_calls_the_next_and_a_single_one_nobody() {
    let pods = list(&[
        pod("p-bb", "b", "True", "Running"),
        pod("p-a", "a", "True", "Running"),
        pod("p-ccc", "c", "True", "Running"),
    ]);
    let probes = ready_probes(&pods, 3).unwrap();
    let pairs: Vec<String> = calls(&probes)
        .iter()
        .map(|(a, b)| format!("{}-{}", a.node, b.node))
        .collect();
    assert_eq!(pairs, ["a-b", "b-c", "c-a"]);
    assert!(calls(&probes[..1]).is_empty());
    let first = &probes[0];
    expect!["/api/v1/namespaces/nodeimg-verify/pods/p-a:8080/proxy/dial?host=10.0.0.4&port=8080&protocol=http&request=hostname&tries=3"]
        .assert_eq(&dial(first, &probes[1].address));
    assert!(dial(first, "fd00::1").contains("host=[fd00::1]&"));
}

#[test]
fn pods_that_are_not_ready_are_waited_for() {
    let pods = list(&[
        pod("p-a", "a", "True", "Running"),
        pod("p-b", "b", "False", "Pending"),
    ]);
    assert_eq!(
        ready_probes(&pods, 2).unwrap_err(),
        "the pod on b is not Ready: Pending"
    );
    assert_eq!(
        ready_probes(&json!({}), 2).unwrap_err(),
        "no pod is on 2 nodes yet"
    );
}

#[test]
fn an_answer_names_who_was_reached() {
    assert_eq!(
        answer(&json!({ "responses": ["p-b"] })),
        Ok("p-b".to_owned())
    );
    let refused = json!({ "responses": [""], "errors": ["dial tcp: i/o timeout"] });
    assert_eq!(answer(&refused), Err("dial tcp: i/o timeout".to_owned()));
    assert_eq!(answer(&json!([])), Err("no answer".to_owned()));
}
