"""A cluster file that nodeimg ships, as nodeimg built it: all its machines are switched on at once, and each has to do what its role is for.

The folder holds cluster.toml and out/, with an appliance for each profile and a seed for each node. What is real: HAProxy, etcd,
containerd, cloud-init, systemd, every file of image and seed. What is not: see tests/doubles. The kernel is this machine's, which may
have no NFS server: its unit is then replaced by one that does nothing, and the exports are looked at as a file."""

import ipaddress
import pathlib
import ssl
import time
import tomllib
import urllib.request

from cases import all_ready, claim, healthy, in_turn, seed_is_cleared
from node import Failed

NO_NFS = """[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
ExecReload=/bin/true
[Install]
WantedBy=multi-user.target
"""
HAPROXY_FALLS = 120  # seconds, many times what its three checks take


class Cluster:
    """What the file says, and the machines."""

    def __init__(self, world, folder):
        self.folder = pathlib.Path(folder)
        self.file = tomllib.loads((self.folder / "cluster.toml").read_text())
        self.net = ipaddress.ip_network(self.file["node_cidr"])
        gateway = self.file.get("network", {}).get("gateway", str(self.net[-2]))
        world.own_address(f"{gateway}/{self.net.prefixlen}")
        self.nodes = world.built(self.folder / "out", [(it["name"], it["profile"]) for it in self.file["node"]])
        self.planes = self.of("controlplane")
        self.kubelets = self.planes + self.of("worker")
        balancer = self.file.get("loadbalancer", {})
        if balancer.get("keeper") == "kube-vip":
            # A static pod, which the kubelet's double does not run.
            world.balanced(balancer["virtual_address"], [it.address for it in self.planes])

    def of(self, role):
        """The machines of a role."""
        return [node for node, it in zip(self.nodes, self.file["node"]) if it["role"] == role]


def answer(url, trusted=None):
    """What a server says; the switch asks, a machine of nobody's. Raises OSError."""
    context = ssl.create_default_context(cafile=trusted)
    if not trusted:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with urllib.request.urlopen(url, context=context, timeout=10) as found:
        return found.read().decode()


def answers(url, text, trusted=None):
    """Whether a server says something."""
    try:
        return text in answer(url, trusted)
    except OSError:
        return False


def etcd_is_whole(cluster):
    """Each member is healthy and knows all others; nobody without a certificate of its authority is answered."""
    members = cluster.of("etcd")
    pki = ["--cacert=/etc/etcd/pki/ca.crt", "--cert=/etc/etcd/pki/server.crt", "--key=/etc/etcd/pki/server.key"]
    for node in members:
        ask = ["etcdctl", f"--endpoints=https://{node.address}:2379", *pki]
        node.wait("etcd to be healthy", lambda ask=ask, node=node: node.run(*ask, "endpoint", "health", "--cluster")[1].count("is healthy") == len(members), every=1)
        _, listed = node.run(*ask, "member", "list")
        claim(all(f"https://{it.address}:2380" in listed for it in members), f"{node.name}: {listed}")
        try:
            raise Failed(f"{node.name}: etcd answers a stranger: {answer(f'https://{node.address}:2379/version')}")
        except OSError:
            pass
    status, kept = members[-1].run(*ask, "get", "--prefix", "--keys-only", "/double/nodes/")
    claim(status == 0 and all(it.name in kept for it in cluster.planes), f"the API servers' nodes are not in this etcd: {kept}")


def balancer_leads_to_planes(cluster):
    """The endpoint leads to an API server, also without the last control plane; HAProxy tells who is up."""
    host, port = cluster.file["endpoint"].rsplit(":", 1)
    metrics = cluster.file.get("loadbalancer", {}).get("metrics_port", 8405)
    url = f"https://{host}:{port}/readyz"
    first = cluster.of("loadbalancer")[0]
    first.wait("the endpoint to answer", lambda: answers(url, "ok"), every=1)

    def up():
        """Whom HAProxy says to be up; None while it says nothing."""
        try:
            text = answer(f"http://{first.address}:{metrics}/metrics")
        except OSError:
            return None
        lines = [it for it in text.splitlines() if it.startswith("haproxy_server_status{") and 'state="UP"' in it and it.endswith(" 1")]
        return {plane for plane in cluster.planes if any(f'server="{plane.name}"' in it for it in lines)}

    everybody = set(cluster.planes)
    first.wait("every API server to be up", lambda: up() == everybody, every=1)
    gone = cluster.planes[-1]
    gone.cut_power()
    first.wait(f"{gone.name} to be taken out", lambda: up() == everybody - {gone}, limit=HAPROXY_FALLS, every=1)
    for _ in range(4):
        first.wait(f"the endpoint to answer without {gone.name}", lambda: answers(url, "ok"), every=1)
    gone.start()
    gone.phase("joined")
    first.wait(f"{gone.name} to be taken in", lambda: up() == everybody, every=1)


def authority_answers(cluster):
    """step-ca's own certificate is one of the authority whose root is in the seed."""
    for node in cluster.of("ca"):
        root = next(it["content"] for it in node.files() if it["path"].endswith("/root.crt"))
        trusted = cluster.folder / "root.crt"
        trusted.write_text(root)
        node.wait("step-ca", lambda node=node: answers(f"https://{node.address}/health", "ok", str(trusted)), every=1)


def admin_is_in_charge(cluster):
    """The administrator's kubectl lists the nodes, as the administrator."""
    names = sorted(it.name for it in cluster.kubelets)
    user = cluster.file["admin"].get("user", "admin")
    for node in cluster.of("admin"):
        ask = ["runuser", "-u", user, "--", "kubectl", "get", "nodes"]
        node.wait(f"{user} to see {names}", lambda node=node, ask=ask: all(f"{name} " in node.run(*ask)[1] for name in names), every=1)
        status, _ = node.run("systemctl", "cat", "kubelet.service")
        claim(status != 0, f"{node.name}: an admin host has a kubelet")


def folders_are_exported(cluster, real):
    """The folders of the cluster's file are there and exported to the node network, and to nobody else."""
    for node in cluster.of("storage") or (cluster.of("loadbalancer")[:1] if "storage" in cluster.file else []):
        for folder in cluster.file["storage"]["exports"]:
            line = next((it for it in (node.read("etc/exports.d/nodeimg.exports") or "").splitlines() if it.split()[:1] == [folder]), None)
            claim(line and f"{cluster.net}(" in line and len(line.split()) == 2, f"{node.name}: {folder} is exported as {line}")
            claim((node.root / folder.lstrip("/")).is_dir(), f"{node.name}: no {folder}")
            if real:
                _, exported = node.run("exportfs", "-s")
                claim(folder in exported, f"{node.name}: exported is {exported}")


def network_is_the_files(cluster):
    """Each machine knows every other by name, has the file's routes and its name in the file's domain; its metrics are there where they were asked for."""
    domain = cluster.file.get("node_domain")
    for node in cluster.nodes:
        name = f"{node.name}.{domain}" if domain else node.name
        _, own = node.run("hostname", "--fqdn")
        claim(own.strip() == name, f"{node.name} is called {own}")
        for other in cluster.nodes:
            claim(node.run("getent", "ahostsv4", other.name)[1].startswith(other.address), f"{node.name} does not know {other.name}")
        _, routes = node.run("ip", "route")
        for it in cluster.file.get("network", {}).get("routes", []):
            claim(f"{it['to']} via {it['via']}" in routes, f"{node.name}: no route to {it['to']} in {routes}")
        if (node.root / "usr/bin/prometheus-node-exporter").exists():
            node.wait("metrics", lambda node=node: answers(f"http://{node.address}:9100/metrics", "node_uname_info"), every=1)


def files_are_valid(cluster):
    """cloud-init knows every word of each seed, containerd of its configuration."""
    for node in cluster.nodes:
        for kind, name in (("cloud-config", "user-data"), ("network-config", "network-config")):
            node.write(f"run-{name}", (node.seed / name).read_text())
            status, text = node.run("cloud-init", "schema", "--schema-type", kind, "--config-file", f"/run-{name}")
            (node.root / f"run-{name}").unlink()
            claim(status == 0 and "Valid schema" in text and "deprecat" not in text.lower(), f"{node.name}: {name}: {text}")
    for node in cluster.kubelets:
        status, text = node.run("containerd", "config", "dump")
        claim(status == 0 and "SystemdCgroup = true" in text and "level=" not in text, f"{node.name}: {text}")


def settles(cluster):
    """Everything is as the image's program wants it, and systemd content."""
    for node in cluster.nodes:
        if node in cluster.kubelets:
            healthy(node)
        else:
            node.phase("serving")
            claim(node.state()["address"] == node.address, f"{node.name}: {node.state()}")
            node.wait("cloud-init to end", lambda node=node: "status: done" in node.run("cloud-init", "status")[1], every=1)
        seed_is_cleared(node)
        status, failed = node.run("systemctl", "list-units", "--failed", "--plain", "--no-legend", "nodeimg*", "haproxy*", "keepalived*", "etcd*", "step-ca*", "kubelet*", "containerd*")
        claim(status == 0 and not failed.strip(), f"{node.name}: {failed}")


def form(world, folder):
    """The whole of a cluster's file."""
    cluster = Cluster(world, folder)
    real = "nfsd" in pathlib.Path("/proc/filesystems").read_text()
    for node in cluster.nodes:
        if not real and (node.root / "usr/lib/systemd/system/nfs-server.service").exists():
            node.write("etc/systemd/system/nfs-server.service", NO_NFS)
        node.start()
    began = time.monotonic()
    for node in cluster.kubelets:
        node.phase("joined")
    all_ready(cluster.planes[0], [it.name for it in cluster.kubelets])
    print(f"     {len(cluster.nodes)} machines formed {cluster.file['name']} in {time.monotonic() - began:.0f} s", flush=True)
    settles(cluster)
    network_is_the_files(cluster)
    files_are_valid(cluster)
    # A balancer that has just started knows nothing of who is up: what it breaks off is tried again.
    for node in cluster.kubelets:
        calls = node.calls("init", "join")
        statuses = [it["status"] for it in calls]
        claim(statuses.count(0) == 1 and statuses[-1] == 0, f"{node.name}: kubeadm was called with {calls}")
    in_turn(cluster.planes)
    if cluster.of("etcd"):
        etcd_is_whole(cluster)
    authority_answers(cluster)
    admin_is_in_charge(cluster)
    folders_are_exported(cluster, real)
    applied = [it.split()[1] for it in (cluster.planes[0].read("var/lib/kubeadm-double/applied.log") or "").splitlines()]
    wanted = [it["name"] for it in cluster.file.get("manifest", [])]
    places = [next((n for n, it in enumerate(applied) if it.startswith(name)), None) for name in wanted]
    claim(None not in places and places == sorted(places), f"of {wanted} were applied: {applied}")
    if cluster.of("loadbalancer"):
        balancer_leads_to_planes(cluster)
