"""Part of the nodeimg TEST DOUBLE of kubeadm: init and reset, as far as a machine's first boot can see them: files, certificates,
TLS, token, endpoint, kubelet. No real control plane comes of it."""

import base64
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request

import yaml

import api
import pki
import preflight
import schema

ETC = "/etc/kubernetes"
KUBELET = "/var/lib/kubelet"


class Failed(Exception):
    """The command fails; the text says why."""


def write(path, text, mode=0o600):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as file:
        file.write(text)


def start_kubelet(registration, configuration):
    write(f"{KUBELET}/config.yaml", yaml.safe_dump({"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", **configuration}), 0o644)
    extra = " ".join(f"--{a['name']}={a['value']}" for a in registration.get("kubeletExtraArgs") or [])
    write(f"{KUBELET}/kubeadm-flags.env", f'KUBELET_KUBEADM_ARGS="{extra}"\n', 0o644)
    socket_name = registration.get("criSocket") or preflight.DEFAULT_SOCKET
    write(f"{KUBELET}/instance-config.yaml", yaml.safe_dump({"containerRuntimeEndpoint": socket_name}), 0o644)
    print("[kubelet-start] Starting the kubelet")
    subprocess.run(["systemctl", "daemon-reload"], check=False)
    if subprocess.run(["systemctl", "restart", "kubelet"], check=False).returncode != 0:
        raise Failed("[kubelet-start] could not start the kubelet")


def hostname(registration):
    return registration.get("name") or socket.gethostname().lower()


def _host(endpoint):
    return endpoint.rsplit(":", 1)[0].strip("[]")


def control_plane(cluster, name, local, endpoint, external_etcd):
    """Certificates, kubeconfigs and manifests; returns the authority's certificate."""
    folder = cluster.get("certificatesDir") or f"{ETC}/pki"
    ca = pki.authority(folder, "ca", "/CN=kubernetes")
    front = pki.authority(folder, "front-proxy-ca", "/CN=front-proxy-ca")
    pki.key_pair(folder, "sa")
    names = [name, "kubernetes", "kubernetes.default", "kubernetes.default.svc", local["advertiseAddress"], _host(endpoint),
             *((cluster.get("apiServer") or {}).get("certSANs") or [])]
    pki.leaf(ca, f"{folder}/apiserver", "/CN=kube-apiserver", sorted(set(names)), "serverAuth")
    pki.leaf(ca, f"{folder}/apiserver-kubelet-client", "/O=kubeadm:cluster-admins/CN=kube-apiserver-kubelet-client")
    pki.leaf(front, f"{folder}/front-proxy-client", "/CN=front-proxy-client")
    if not external_etcd:
        etcd = pki.authority(f"{folder}/etcd", "ca", "/CN=etcd-ca")
        pki.leaf(etcd, f"{folder}/etcd/server", "/CN=" + name, [name, local["advertiseAddress"], "127.0.0.1"], "serverAuth,clientAuth")
        os.makedirs("/var/lib/etcd/member", exist_ok=True)
    with open(ca[0], "rb") as file:
        ca_pem = file.read()
    for user, subject in (("admin", "/O=kubeadm:cluster-admins/CN=kubernetes-admin"), ("super-admin", "/O=system:masters/CN=kubernetes-super-admin"),
                          ("controller-manager", "/CN=system:kube-controller-manager"), ("scheduler", "/CN=system:kube-scheduler"),
                          ("kubelet", f"/O=system:nodes/CN=system:node:{name}")):
        crt, key = pki.leaf(ca, f"{folder}/{user}-double", subject)
        pki.kubeconfig(f"{ETC}/{user}.conf", f"https://{endpoint}", ca_pem, user, pki.certificate_credentials(crt, key))
        os.remove(f"{folder}/{user}-double.crt")
        os.remove(f"{folder}/{user}-double.key")
    return ca_pem


def manifests(cluster, external_etcd):
    for component in preflight.MANIFESTS:
        if component != "etcd" or not external_etcd:
            image = f"{cluster.get('imageRepository') or 'registry.k8s.io'}/{component}:{cluster['kubernetesVersion']}"
            write(f"{ETC}/manifests/{component}.yaml", "# nodeimg TEST DOUBLE: the kubelet double runs api.py for kube-apiserver, nothing for the others\n"
                   + yaml.safe_dump({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": component, "namespace": "kube-system"},
                                     "spec": {"containers": [{"name": component, "image": image}]}}))


def _wait(server, ca_pem, limit):
    until = time.time() + limit
    while True:
        try:
            with urllib.request.urlopen(f"https://{server}/readyz", context=pki.context(ca_pem), timeout=10) as answer:
                if answer.status == 200:
                    return
        except OSError as error:
            if time.time() > until:
                raise Failed(f"[kubeconfig] could not bootstrap the admin user in file admin.conf: https://{server} never answered: {error}") from None
        time.sleep(1)


def init(kinds):
    """kubeadm init."""
    start, cluster = kinds.get("InitConfiguration", {}), kinds.get("ClusterConfiguration", {})
    local = {"bindPort": 6443, **(start.get("localAPIEndpoint") or {})}
    registration = start.get("nodeRegistration") or {}
    if not cluster.get("kubernetesVersion"):
        raise Failed("ClusterConfiguration.kubernetesVersion is not set: kubeadm would ask the internet for it")
    if not local.get("advertiseAddress"):
        raise Failed("InitConfiguration.localAPIEndpoint.advertiseAddress is not set: kubeadm would take the default route's")
    external = bool((cluster.get("etcd") or {}).get("external"))
    preflight.check(registration, False, local, external)
    name, own = hostname(registration), f"{local['advertiseAddress']}:{local['bindPort']}"
    endpoint = cluster.get("controlPlaneEndpoint") or own
    endpoint = endpoint if ":" in endpoint else f"{endpoint}:{local['bindPort']}"
    ca_pem = control_plane(cluster, name, local, endpoint, external)
    tokens = [{"token": t["token"], "usages": t.get("usages") or ["signing", "authentication"],
               "expires": None if schema.seconds(t.get("ttl"), 86400) == 0 else time.time() + schema.seconds(t.get("ttl"), 86400)}
              for t in start.get("bootstrapTokens") or []]
    info = yaml.safe_dump({"apiVersion": "v1", "kind": "Config", "clusters": [{"name": "", "cluster": {
        "server": f"https://{endpoint}", "certificate-authority-data": base64.b64encode(ca_pem).decode()}}]})
    kubelet = kinds.get("KubeletConfiguration", {})
    api.store(api.CONFIG, {"version": cluster["kubernetesVersion"], "cluster": cluster, "kubelet": kubelet, "tokens": tokens, "clusterInfo": info,
                           "ca": ca_pem.decode(), "self": own, "peers": [], "endpoint": endpoint, "certificates": cluster.get("certificatesDir") or f"{ETC}/pki",
                           "port": local["bindPort"]})
    api.store(api.NODES, {name: {"name": name, "address": local["advertiseAddress"], "role": "control-plane", "seen": time.time(), "joins": 0}})
    manifests(cluster, external)
    start_kubelet(registration, kubelet)
    _wait(own, ca_pem, schema.seconds((start.get("timeouts") or {}).get("kubernetesAPICall"), 60))
    print("\nYour Kubernetes control-plane has initialized successfully! (nodeimg test double)")


def reset():
    """kubeadm reset -f: the call log stays, for the tests."""
    subprocess.run(["systemctl", "stop", "kubelet"], check=False)
    for path in (ETC, KUBELET):
        for entry in os.listdir(path) if os.path.isdir(path) else []:
            full = os.path.join(path, entry)
            if entry in ("manifests", "pki") or (path == KUBELET and os.path.isdir(full)):
                shutil.rmtree(full, ignore_errors=True)
            elif entry.endswith(".conf") or path == KUBELET:
                os.remove(full)
    os.makedirs(f"{ETC}/manifests", exist_ok=True)
    shutil.rmtree("/var/lib/etcd", ignore_errors=True)
    for path in (api.CONFIG, api.NODES):
        if os.path.exists(path):
            os.remove(path)
