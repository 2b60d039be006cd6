"""Part of the nodeimg TEST DOUBLE of kubeadm: join, with discovery over real TLS: the token's signature on cluster-info, the pinned
authority, then a connection that trusts that authority alone."""

import base64
import json
import os
import time
import urllib.error
import urllib.request

import yaml

import api
import etcd
import pki
import preflight
import schema
from node import Failed, components, control_plane, hostname, manifests, start_kubelet, wait, write
from record import ETC, step


def _discover(token, limit):
    """The authority and the endpoint, from cluster-info, checked by the token's signature and by the pin."""
    until, server = time.time() + limit, token["apiServerEndpoint"]
    while True:
        try:
            url = f"https://{server}/api/v1/namespaces/kube-public/configmaps/cluster-info"
            with urllib.request.urlopen(url, context=pki.context(), timeout=10) as answer:
                data = json.load(answer)["data"]
            signed = data.get("jws-kubeconfig-" + token["token"].split(".")[0])
            if signed is None:
                raise OSError(f"could not find a JWS signature in the cluster-info ConfigMap for token ID {token['token'].split('.')[0]!r}")
            if signed != api.signature(token["token"], data["kubeconfig"]):
                raise Failed("[discovery] the JWS signature of cluster-info does not match the token")
            cluster = yaml.safe_load(data["kubeconfig"])["clusters"][0]["cluster"]
            ca_pem = base64.b64decode(cluster["certificate-authority-data"])
            pins = token.get("caCertHashes") or []
            if pins and pki.pin(ca_pem) not in pins:
                raise Failed(f"[discovery] cluster CA found in cluster-info ConfigMap is invalid: none of the public keys {pki.pin(ca_pem)!r} are pinned")
            with urllib.request.urlopen(f"https://{server}/version", context=pki.context(ca_pem), timeout=10):
                return ca_pem, cluster["server"].removeprefix("https://")
        except OSError as error:
            if time.time() > until:
                raise Failed(f"[discovery] couldn't validate the identity of the API Server {server}: {error}") from None
            time.sleep(3)


def _post(server, ca_pem, token, path, body):
    request = urllib.request.Request(f"https://{server}{path}", json.dumps(body).encode(), {"Authorization": "Bearer " + token})
    try:
        with urllib.request.urlopen(request, context=pki.context(ca_pem), timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise Failed(f"[kubelet-start] {server}: {error.code} {error.read().decode()}") from None
    except OSError as error:
        raise Failed(f"[kubelet-start] {server}: {error}") from None


def join(kinds):
    """kubeadm join."""
    config = kinds["JoinConfiguration"]
    registration, plane = config.get("nodeRegistration") or {}, config.get("controlPlane")
    discovery = config["discovery"]
    if "bootstrapToken" not in discovery:
        raise Failed("discovery.file is not in this test double")
    local = {"bindPort": 6443, **((plane or {}).get("localAPIEndpoint") or {})}
    preflight.check(registration, plane is None, local, join=True)
    step("preflight")
    token = discovery["bootstrapToken"]
    ca_pem, server = _discover(token, schema.seconds((config.get("timeouts") or {}).get("discovery"), 300))
    secret, name = discovery.get("tlsBootstrapToken") or token["token"], hostname(registration)
    state = _post(server, ca_pem, secret, "/double/config", {})
    external = (state["cluster"].get("etcd") or {}).get("external")
    if plane is not None:
        _prepare_control_plane(state, name, local, ca_pem, bool(plane.get("certificateKey")), external)
    ips = [a["value"] for a in registration.get("kubeletExtraArgs") or [] if a["name"] == "node-ip"]
    address = ips[0] if ips else local.get("advertiseAddress")
    _register(state, server, ca_pem, secret, {"name": name, "address": address, "role": "control-plane" if plane is not None else "worker"})
    start_kubelet(registration, state["kubelet"])
    step("kubelet-start")
    if plane is not None and not external:
        _join_etcd(state, name, local["advertiseAddress"])
    # The real kubelet makes the second file of the first, by a certificate of its own.
    kubelet_server = f"{local['advertiseAddress']}:{local['bindPort']}" if plane is not None else state["endpoint"]
    pki.kubeconfig(f"{ETC}/kubelet.conf", f"https://{kubelet_server}", ca_pem, "default-auth", {"token": secret})
    step("tls-bootstrap")
    os.remove(f"{ETC}/bootstrap-kubelet.conf")
    if plane is not None:
        wait(kubelet_server, ca_pem, 60)
        step("mark-control-plane")
    print("\nThis node has joined the cluster (nodeimg test double)")


def _register(state, server, ca_pem, secret, node):
    """Makes the node known, unless the cluster takes one of this name for Ready. By then the real one has written two files."""
    os.makedirs(ETC, exist_ok=True)
    pki.kubeconfig(f"{ETC}/bootstrap-kubelet.conf", f"https://{state['endpoint']}", ca_pem, "tls-bootstrap-token-user", {"token": secret})
    if not os.path.exists(f"{ETC}/pki/ca.crt"):
        write(f"{ETC}/pki/ca.crt", ca_pem.decode(), 0o644)
    try:
        _post(server, ca_pem, secret, "/double/join", node)
    except Failed:
        os.remove(f"{ETC}/bootstrap-kubelet.conf")
        raise


def _prepare_control_plane(state, name, local, ca_pem, certificate_key, external):
    """Certificates, kubeconfigs, manifests; then etcd has to be healthy, each member of it."""
    needed = [f"{ETC}/pki/{file}" for file in ("ca.crt", "ca.key", "sa.key", "sa.pub", "front-proxy-ca.crt", "front-proxy-ca.key")]
    needed += [] if external else [f"{ETC}/pki/etcd/ca.crt", f"{ETC}/pki/etcd/ca.key"]
    missing = [path for path in needed if not os.path.exists(path)]
    if missing and not certificate_key:
        raise Failed("[control-plane-prepare] failure loading certificates: " + ", ".join(missing) + " missing")
    with open(needed[0], "rb") as file:
        if pki.pin(file.read()) != pki.pin(ca_pem):
            raise Failed(f"[control-plane-prepare] {needed[0]} is not the cluster's authority")
    cluster = state["cluster"]
    if not cluster.get("controlPlaneEndpoint"):
        raise Failed("unable to add a new control plane instance to a cluster that doesn't have a stable controlPlaneEndpoint address")
    control_plane(cluster, name, local, state["endpoint"], external)
    api.store(api.CONFIG, {"certificates": cluster.get("certificatesDir") or f"{ETC}/pki", "port": local["bindPort"], "external": external})
    os.remove(f"{ETC}/kubelet.conf")
    manifests(cluster, [it for it in components(external) if it != "etcd"])
    step("control-plane-prepare")
    if not external:
        for one in _member(state, "/v3/cluster/member/list", {})["members"]:
            try:
                etcd.ask(one, "/double/alive")
            except (OSError, etcd.Refused) as error:
                url = (one["clientURLs"] or one["peerURLs"])[0]
                raise Failed(f"error execution phase check-etcd: etcd cluster is not healthy: failed to dial endpoint {url} "
                             f"with maintenance client: {error}") from None


def _member(state, path, body):
    """Asks the members on the cluster's control planes, until one answers."""
    fault = "no control plane"
    for node in state["nodes"]:
        if node["role"] == "control-plane":
            try:
                return etcd.ask(etcd.member(node["name"], node["address"]), path, body, 20)
            except (OSError, etcd.Refused) as error:
                fault = error
    raise Failed(f"[etcd] {path}: {fault}")


def _join_etcd(state, name, address):
    """A learner, its manifest, its first state, then a voter."""
    wanted = etcd.member("", address)["peerURLs"]
    known = _member(state, "/v3/cluster/member/list", {})["members"]
    if not any(it["peerURLs"] == wanted for it in known):
        known = _member(state, "/v3/cluster/member/add", {"peerURLs": wanted, "isLearner": True})["members"]
    own = next(it for it in known if it["peerURLs"] == wanted)
    step("member-added")
    etcd.store(own["ID"], "id")
    etcd.store(_member(state, "/double/state", {}))
    manifests(state["cluster"], ["etcd"])
    until = time.time() + 60
    while True:
        try:
            etcd.local("/v3/cluster/member/publish", {"ID": own["ID"], "name": name})
            etcd.local("/v3/cluster/member/promote", {"ID": own["ID"]})
            break
        except (OSError, etcd.Refused) as error:
            if time.time() > until:
                raise Failed(f"[etcd] the new member did not become a voter: {error}") from None
        time.sleep(0.3)
    step("member-promoted")
