"""What each role but the kubelets' is for, asked of its machines."""

import ssl
import time
import urllib.request

from cases import claim
from node import Failed

HAPROXY_FALLS = 120  # seconds, many times what its three checks take
KUBE_VIP_MOVES = 120  # seconds, many times what its lease lasts and what the doubles of etcd need without a member
KEEPALIVED_MOVES = 120  # seconds, many times what three advertisements or checks take


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
        status, kept = node.run(*ask, "get", "--prefix", "--keys-only", "/double/nodes/")
        claim(status == 0 and all(it.name in kept for it in cluster.planes), f"{node.name}: the API servers' nodes are not in this etcd: {kept}")


def etcd_takes_a_member_back(cluster):
    """A member that is flashed anew comes back by itself, and has what the others kept: while they run, and where all are switched on at once."""
    members = cluster.of("etcd")
    first = members[0]
    was = first.identity()
    first.flash_anew()
    first.phase("serving")
    etcd_is_whole(cluster)
    for node in members:
        node.cut_power()
    first.flash()
    for node in members:
        node.start()
    for node in members:
        node.phase("serving")
    etcd_is_whole(cluster)
    claim(first.identity() == was, f"{first.name} is another after it was flashed: {was}, {first.identity()}")


def balancer_leads_to_planes(cluster):
    """The endpoint leads to an API server, also without the last control plane; HAProxy tells who is up."""
    metrics = cluster.file.get("loadbalancer", {}).get("metrics_port", 8405)
    first = cluster.of("loadbalancer")[0]
    first.wait("the endpoint to answer", lambda: answers(cluster.readyz, "ok"), every=1)

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
        first.wait(f"the endpoint to answer without {gone.name}", lambda: answers(cluster.readyz, "ok"), every=1)
    gone.start()
    gone.phase("joined")
    first.wait(f"{gone.name} to be taken in", lambda: up() == everybody, every=1)


def holders(nodes, address):
    """The machines that are on and have an address."""
    return [it for it in nodes if it.process.poll() is None and f"inet {address}/" in it.run("ip", "-4", "address")[1]]


def planes_keep_an_address(cluster):
    """Exactly one control plane has the virtual address, by kube-vip's static pod; another has it when that one's power is cut."""
    address = cluster.file["loadbalancer"]["virtual_address"]

    def held(nodes, why):
        """The one that has it, and where the API servers answer."""

        def one():
            found = holders(cluster.planes, address)
            return found[0] if len(found) == 1 else None

        found = nodes[0].wait(f"{address} to be of one: {why}", one, limit=KUBE_VIP_MOVES, every=1)
        nodes[0].wait(f"an API server to answer at {address}: {why}", lambda: answers(f"https://{address}:6443/readyz", "ok"), limit=KUBE_VIP_MOVES, every=1)
        return found

    first = held(cluster.planes, "all are on")
    if len(cluster.planes) > 2:
        began = time.monotonic()
        first.cut_power()
        second = held([it for it in cluster.planes if it != first], f"{first.name} is off")
        print(f"     {address} moved from {first.name} to {second.name} in {time.monotonic() - began:.0f} s", flush=True)
        first.start()
        first.phase("joined")
        held(cluster.planes, f"{first.name} is back")


def balancers_keep_an_address(cluster):
    """The first of the file that is alive, and whose HAProxy is, has the virtual address; it alone."""
    balancers = cluster.of("loadbalancer")
    first, second = balancers
    address = cluster.file["loadbalancer"]["virtual_address"]

    def moves_to(node, why):
        node.wait(f"{address} to be {node.name}'s: {why}", lambda: holders(balancers, address) == [node], limit=KEEPALIVED_MOVES, every=1)
        node.wait(f"the endpoint to answer from {node.name}", lambda: answers(cluster.readyz, "ok"), limit=KEEPALIVED_MOVES, every=1)

    moves_to(first, "it is the file's first")
    first.cut_power()
    moves_to(second, f"{first.name} is off")
    first.start()
    first.phase("serving")
    moves_to(first, "it is back")
    first.run("systemctl", "stop", "haproxy.service")
    moves_to(second, f"{first.name} has no HAProxy")
    first.run("systemctl", "start", "haproxy.service")
    moves_to(first, "its HAProxy is back")


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
