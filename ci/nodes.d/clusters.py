"""The clusters of the cases: their files, seeds made by the cluster crate, and machines to be switched on."""

import os
import shutil
import subprocess
import time

import balance
import images
import wires
from node import Failed, Node

HEAD = """name = "lab"
kubernetes = "1.36"
node_cidr = "192.168.56.0/24"
pod_cidr = "10.244.0.0/16"
service_cidr = "10.96.0.0/12"
dns_domain = "cluster.local"
cni = "none"
{more}
[admin]
user = "admin"
ssh_keys = []
"""
NODE = """
[[node]]
name = "{name}"
role = "{role}"
profile = "{role}-amd64"
address = "{address}"
"""
VIRTUAL = f"{wires.LAN}.100"


class World:
    """What a case is given: images, a place, and machines."""

    def __init__(self, images, seeder, folder, work, cgroups):
        self.images, self.seeder, self.folder, self.work, self.cgroups = images, seeder, folder, work, cgroups
        self.nodes, self.servers, self.addresses, self.cases = [], [], [], 0

    def cluster(self, planes, workers, cards=("enp0s3", "enp0s8"), more="", age=3600):
        """Nodes cp1… and node01…, switched off; more than one control plane is behind a load balancer. cards: the NAT's, the LAN's. more: lines
        of the cluster's file. age: seconds since its cards were made."""
        self.cases += 1
        place = self.work / str(self.cases)
        place.mkdir()
        listed = [(f"cp{it}", "controlplane", f"{wires.LAN}.{9 + it}") for it in range(1, planes + 1)]
        listed += [(f"node{it:02}", "worker", f"{wires.LAN}.{30 + it}") for it in range(1, workers + 1)]
        text = HEAD.format(more="\n".join([more, *([f'endpoint = "{VIRTUAL}:6443"'] if planes > 1 else [])]))
        # The load balancer's machine is not booted here: the switch answers for it.
        others = [("lb1", "loadbalancer", VIRTUAL)] if planes > 1 else []
        text += "".join(NODE.format(name=name, role=role, address=address) for name, role, address in listed + others)
        (place / "cluster.toml").write_text(text)
        self.made = (place, str(int(time.time()) - age), cards)
        self.seeds("seeds")
        for name, role, _ in listed:
            self.nodes.append(Node(name, self.images[role], place / "seeds" / name, place, self.cgroups))
        self.nats()
        if planes > 1:
            self.balanced(VIRTUAL, [address for _, role, address in listed if role == "controlplane"])
        return self.nodes

    def built(self, folder, nodes):
        """Nodes that nodeimg built, switched off: (name, profile) of each, their seeds and images in the folder."""
        self.cases += 1
        place = self.work / str(self.cases)
        place.mkdir()
        for name, profile in nodes:
            if profile not in self.images:
                self.images[profile] = images.lower(str(folder / f"{profile}.ova"), profile, self.folder, self.work)
            self.nodes.append(Node(name, self.images[profile], folder / "seeds" / name, place, self.cgroups))
        self.nats()
        return self.nodes

    def nats(self):
        """Switches the NATs on."""
        for node in self.nodes:
            if node.nat:
                self.serve(wires.dhcp, namespace=node.nat)

    def balanced(self, address, backends):
        """An address of the switch's own that leads to the API servers."""
        self.own_address(address + "/32")
        self.serve(balance.serve, address, backends)

    def own_address(self, address):
        """Gives the switch an address, until the case ends."""
        wires.ip("addr", "add", address, "dev", "lan")
        self.addresses.append(address)

    def seeds(self, folder, *revoked):
        """Writes the nodes' seeds into a folder of the cluster's, after the tokens of some were revoked."""
        place, created, cards = self.made
        command = [self.seeder, place / "cluster.toml", place / folder, created, *cards, *revoked]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failed(f"no seeds: {done.stderr}")
        return place / folder

    def serve(self, function, *arguments, namespace=None):
        """Runs a server in a process of its own, in a network namespace."""
        pid = os.fork()
        if pid == 0:
            try:
                if namespace:
                    with open(f"/run/netns/{namespace}", "rb") as file:
                        setns(file.fileno())
                function(*arguments)
            finally:
                os._exit(1)
        self.servers.append(pid)

    def clear(self):
        """Ends a case's machines and servers."""
        for node in self.nodes:
            node.stop()
        for pid in self.servers:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
        for node in self.nodes:
            subprocess.run(["umount", "-l", node.root], check=False)
            wires.unplug(node.name, node.nat)
            shutil.rmtree(node.folder, ignore_errors=True)
        for address in self.addresses:
            wires.ip("addr", "del", address, "dev", "lan")
        self.nodes, self.servers, self.addresses = [], [], []

    def keep_consoles(self, case):
        """Copies what the nodes' consoles said."""
        for node in self.nodes:
            for log in node.folder.glob("console-*.log"):
                shutil.copy(log, self.folder / f"{case}-{node.name}-{log.name}")


def setns(descriptor):
    """Enters a network namespace; Python has it since 3.12."""
    if hasattr(os, "setns"):
        os.setns(descriptor, 0)
        return
    import ctypes  # noqa: PLC0415
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, 0) != 0:
        raise OSError(ctypes.get_errno(), "setns")
