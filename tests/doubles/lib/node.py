"""Part of the nodeimg TEST DOUBLE of kubeadm: init, its phases, and reset, as far as a machine can see them: files, certificates, TLS,
token, endpoint, kubelet, etcd's members. No real control plane comes of it."""

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
import etcd
import pki
import preflight
import schema
from record import ETC, step

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
        etcd_ca = pki.authority(f"{folder}/etcd", "ca", "/CN=etcd-ca")
        pki.leaf(etcd_ca, f"{folder}/etcd/server", "/CN=" + name, [name, local["advertiseAddress"], "127.0.0.1"], "serverAuth,clientAuth")
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


def manifests(cluster, components):
    """Static pods' manifests."""
    for component in components:
        image = f"{cluster.get('imageRepository') or 'registry.k8s.io'}/{component}:{cluster['kubernetesVersion']}"
        write(f"{ETC}/manifests/{component}.yaml", "# nodeimg TEST DOUBLE: the kubelet double runs its own for kube-apiserver and etcd, nothing for the others\n"
              + yaml.safe_dump({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": component, "namespace": "kube-system"},
                                "spec": {"containers": [{"name": component, "image": image}]}}))


def components(external_etcd):
    """Those of a control plane, etcd last."""
    return [it for it in preflight.MANIFESTS if it != "etcd" or not external_etcd]


def wait(server, ca_pem, limit):
    """Waits for an API server to be ready."""
    until = time.time() + limit
    while True:
        try:
            with urllib.request.urlopen(f"https://{server}/readyz", context=pki.context(ca_pem), timeout=10) as answer:
                if answer.status == 200:
                    return
        except OSError as error:
            if time.time() > until:
                raise Failed(f"[kubeconfig] could not bootstrap the admin user in file admin.conf: https://{server} never answered: {error}") from None
        time.sleep(0.3)


class Init:
    """What kubeadm init's phases share."""

    def __init__(self, kinds):
        self.start, self.cluster, self.kubelet = (kinds.get(it, {}) for it in ("InitConfiguration", "ClusterConfiguration", "KubeletConfiguration"))
        self.local = {"bindPort": 6443, **(self.start.get("localAPIEndpoint") or {})}
        self.registration = self.start.get("nodeRegistration") or {}
        if not self.cluster.get("kubernetesVersion"):
            raise Failed("ClusterConfiguration.kubernetesVersion is not set: kubeadm would ask the internet for it")
        if not self.local.get("advertiseAddress"):
            raise Failed("InitConfiguration.localAPIEndpoint.advertiseAddress is not set: kubeadm would take the default route's")
        self.external = (self.cluster.get("etcd") or {}).get("external")
        self.own = f"{self.local['advertiseAddress']}:{self.local['bindPort']}"
        endpoint = self.cluster.get("controlPlaneEndpoint") or self.own
        self.endpoint = endpoint if ":" in endpoint else f"{endpoint}:{self.local['bindPort']}"
        self.pki = self.cluster.get("certificatesDir") or f"{ETC}/pki"

    def control_plane(self):
        """All phases until the control plane runs."""
        preflight.check(self.registration, False, self.local, self.external)
        step("preflight")
        name = hostname(self.registration)
        ca_pem = control_plane(self.cluster, name, self.local, self.endpoint, self.external)
        step("certs")
        node = {"name": name, "address": self.local["advertiseAddress"], "role": "control-plane", "seen": time.time(), "joins": 0}
        config = {"version": self.cluster["kubernetesVersion"], "cluster": self.cluster, "kubelet": self.kubelet, "tokens": [],
                  "clusterInfo": None, "endpoint": self.endpoint}
        api.store(api.CONFIG, {"certificates": self.pki, "port": self.local["bindPort"], "external": self.external})
        first = {"config": {"value": config, "revision": 1}, f"nodes/{name}": {"value": node, "revision": 1}}
        if self.external:
            for key, it in first.items():
                api.put(key, it["value"])
        else:
            member = etcd.member(name, self.local["advertiseAddress"])
            etcd.store(member["ID"], "id")
            etcd.store({"revision": 1, "members": [member], "values": first})
        manifests(self.cluster, components(self.external))
        step("manifests")
        start_kubelet(self.registration, self.kubelet)
        step("kubelet-start")
        self.wait()
        step("wait-control-plane")

    def wait(self):
        """Waits for this machine's API server."""
        with open(f"{self.pki}/ca.crt", "rb") as file:
            wait(self.own, file.read(), schema.seconds((self.start.get("timeouts") or {}).get("kubernetesAPICall"), 60))

    def phase(self, name):
        """One phase after that; each can be repeated."""
        self.wait()
        if name == "upload-config":
            self._change(admins=True)
        elif name == "bootstrap-token":
            self._publish()
        step(name)

    def _publish(self):
        with open(f"{self.pki}/ca.crt", "rb") as file:
            ca_pem = file.read()
        tokens = [{"token": t["token"], "usages": t.get("usages") or ["signing", "authentication"],
                   "expires": None if schema.seconds(t.get("ttl"), 86400) == 0 else time.time() + schema.seconds(t.get("ttl"), 86400)}
                  for t in self.start.get("bootstrapTokens") or []]
        info = yaml.safe_dump({"apiVersion": "v1", "kind": "Config", "clusters": [{"name": "", "cluster": {
            "server": f"https://{self.endpoint}", "certificate-authority-data": base64.b64encode(ca_pem).decode()}}]})
        self._change(tokens=tokens, clusterInfo=info)

    def _change(self, **more):
        config, _ = api.value("config")
        api.put("config", {**config, **more})


PHASES = ["upload-config", "upload-certs", "mark-control-plane", "bootstrap-token", "kubelet-finalize", "addon", "show-join-command"]


def init(kinds, skip):
    """kubeadm init, but for the phases to skip."""
    unknown = set(skip) - set(PHASES)
    if unknown:
        raise Failed(f"phases {sorted(unknown)} are unknown to this test double, or cannot be skipped there")
    it = Init(kinds)
    it.control_plane()
    for name in PHASES:
        if name not in skip:
            it.phase(name)
    if "show-join-command" not in skip:
        print("\nYour Kubernetes control-plane has initialized successfully! (nodeimg test double)")


def _leave_etcd():
    """Removes this machine's member from etcd; as with the real one, a failure is no more than a warning."""
    try:
        own = etcd.load("id")
        others = [it for it in etcd.load()["members"] if it["ID"] != own]
        if others:
            etcd.local("/v3/cluster/member/remove", {"ID": own})
    except (OSError, TypeError, etcd.Refused) as error:
        print(f"[reset] Failed to remove etcd member: {error}, please manually remove this etcd member using etcdctl", flush=True)


def reset():
    """kubeadm reset -f: the call log stays, for the tests."""
    if os.path.exists(f"{ETC}/manifests/etcd.yaml"):
        _leave_etcd()
    subprocess.run(["systemctl", "stop", "kubelet"], check=False)
    step("reset")
    for path in (ETC, KUBELET):
        for entry in os.listdir(path) if os.path.isdir(path) else []:
            full = os.path.join(path, entry)
            if entry in ("manifests", "pki") or (path == KUBELET and os.path.isdir(full)):
                shutil.rmtree(full, ignore_errors=True)
            elif entry.endswith(".conf") or path == KUBELET:
                os.remove(full)
    os.makedirs(f"{ETC}/manifests", exist_ok=True)
    shutil.rmtree("/var/lib/etcd", ignore_errors=True)
    if os.path.exists(api.CONFIG):
        os.remove(api.CONFIG)
