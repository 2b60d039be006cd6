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
import pki
import preflight
import schema
from node import ETC, Failed, control_plane, hostname, manifests, start_kubelet, write


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
    token = discovery["bootstrapToken"]
    ca_pem, server = _discover(token, schema.seconds((config.get("timeouts") or {}).get("discovery"), 300))
    secret, name = discovery.get("tlsBootstrapToken") or token["token"], hostname(registration)
    if plane is not None:
        needed = [f"{ETC}/pki/{file}" for file in ("ca.crt", "ca.key", "sa.key", "sa.pub", "front-proxy-ca.crt", "front-proxy-ca.key", "etcd/ca.crt", "etcd/ca.key")]
        missing = [path for path in needed if not os.path.exists(path)]
        if missing and not plane.get("certificateKey"):
            raise Failed("[control-plane-prepare] failure loading certificates: " + ", ".join(missing) + " missing")
        with open(needed[0], "rb") as file:
            if pki.pin(file.read()) != pki.pin(ca_pem):
                raise Failed(f"[control-plane-prepare] {needed[0]} is not the cluster's authority")
    ips = [a["value"] for a in registration.get("kubeletExtraArgs") or [] if a["name"] == "node-ip"]
    address = ips[0] if ips else local.get("advertiseAddress")
    state = _post(server, ca_pem, secret, "/double/join", {"name": name, "address": address, "role": "control-plane" if plane is not None else "worker"})
    if plane is not None:
        _join_control_plane(state, name, local, ca_pem, secret)
    else:
        write(f"{ETC}/pki/ca.crt", ca_pem.decode(), 0o644)
        # The real one writes bootstrap-kubelet.conf, waits for the kubelet's certificate, and removes it again.
        pki.kubeconfig(f"{ETC}/kubelet.conf", f"https://{state['endpoint']}", ca_pem, "default-auth", {"token": secret})
    start_kubelet(registration, state["kubelet"])
    print("\nThis node has joined the cluster (nodeimg test double)")


def _join_control_plane(state, name, local, ca_pem, secret):
    cluster = state["cluster"]
    if not cluster.get("controlPlaneEndpoint"):
        raise Failed("unable to add a new control plane instance to a cluster that doesn't have a stable controlPlaneEndpoint address")
    external = bool((cluster.get("etcd") or {}).get("external"))
    control_plane(cluster, name, local, state["endpoint"], external)
    peers, own = [state["self"], *state["peers"]], f"{local['advertiseAddress']}:{local['bindPort']}"
    shared = {key: state[key] for key in ("version", "cluster", "kubelet", "tokens", "clusterInfo", "endpoint")}
    api.store(api.CONFIG, {**shared, "ca": ca_pem.decode(), "self": own, "peers": peers, "port": local["bindPort"],
                           "certificates": cluster.get("certificatesDir") or f"{ETC}/pki"})
    api.store(api.NODES, state["nodes"])
    manifests(cluster, external)
    for peer in peers:
        _post(peer, ca_pem, secret, "/double/peer", {"peers": [own], "forwarded": True})
