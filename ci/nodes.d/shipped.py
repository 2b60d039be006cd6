"""A cluster's file, as nodeimg built it: all its machines are switched on at once, and each has to do what its role is for.

The folder holds cluster.toml and out/, with an appliance for each profile and a seed for each node. What is real: HAProxy, keepalived,
etcd, containerd, cloud-init, systemd, every file of image and seed. What is not: see tests/doubles. The kernel is this machine's, which may
have no NFS server: its unit is then replaced by one that does nothing, and the exports are looked at as a file."""

import ipaddress
import pathlib
import time
import tomllib

import roles
from cases import all_ready, claim, healthy, in_turn, joined_once, seed_is_cleared

NO_NFS = """[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
ExecReload=/bin/true
[Install]
WantedBy=multi-user.target
"""


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

    @property
    def readyz(self):
        """Where the cluster's endpoint, which its file has to name, says whether an API server is behind it."""
        return f"https://{self.file['endpoint']}/readyz"

    def of(self, role):
        """The machines of a role."""
        return [node for node, it in zip(self.nodes, self.file["node"]) if it["role"] == role]


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
            node.wait("metrics", lambda node=node: roles.answers(f"http://{node.address}:9100/metrics", "node_uname_info"), every=1)


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
    joined_once(cluster.kubelets)
    in_turn(cluster.planes)
    if cluster.of("etcd"):
        roles.etcd_is_whole(cluster)
        roles.etcd_takes_a_member_back(cluster)
    roles.authority_answers(cluster)
    roles.admin_is_in_charge(cluster)
    roles.folders_are_exported(cluster, real)
    applied = [it.split()[1] for it in (cluster.planes[0].read("var/lib/kubeadm-double/applied.log") or "").splitlines()]
    wanted = [it["name"] for it in cluster.file.get("manifest", [])]
    places = [next((n for n, it in enumerate(applied) if it.startswith(name)), None) for name in wanted]
    claim(None not in places and places == sorted(places), f"of {wanted} were applied: {applied}")
    if cluster.of("loadbalancer"):
        roles.balancer_leads_to_planes(cluster)
    if cluster.file.get("loadbalancer", {}).get("keeper") == "kube-vip":
        roles.planes_keep_an_address(cluster)
    if len(cluster.of("loadbalancer")) > 1:
        roles.balancers_keep_an_address(cluster)
    # Where there is a load balancer or an etcd, some were off meanwhile: names and routes are there again.
    network_is_the_files(cluster)
