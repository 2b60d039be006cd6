"""Part of the nodeimg TEST DOUBLE of kubeadm: the checks the real one makes before it touches the machine (1.36's list), and two of ours:
the advertised address and the node's address must be on an interface of this machine."""

import json
import os
import shutil
import socket
import subprocess

import gateway
from record import ETC

DEFAULT_SOCKET = "unix:///var/run/containerd/containerd.sock"
MANIFESTS = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"]


class Failed(Exception):
    """Pre-flight errors, one a line."""


def addresses():
    """All addresses of this machine's interfaces."""
    output = subprocess.run(["ip", "-j", "addr"], check=True, capture_output=True, text=True).stdout
    return {a["local"] for link in json.loads(output) for a in link.get("addr_info", []) if "local" in a}


def _occupied(port):
    with socket.socket(socket.AF_INET6 if socket.has_ipv6 else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return True
    return False


def _runtime(endpoint):
    """What is wrong with the container runtime behind endpoint, or None."""
    path = endpoint.removeprefix("unix://")
    done = subprocess.run(["ctr", "--address", path, "plugins", "ls"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return f"could not connect to the container runtime: {done.stderr.strip()}"
    rows = [line.split() for line in done.stdout.splitlines()]
    if not any(row[1:2] == ["cri"] and row[-1] == "ok" and "grpc" in row[0] for row in rows):
        return "container runtime is not running: unknown service runtime.v1.RuntimeService (its cri plugin is disabled or failed)"
    return None


def check(registration, worker, endpoint, external_etcd=None, join=False):
    """Raises Failed with all errors that registration.ignorePreflightErrors does not name. `endpoint` is the localAPIEndpoint."""
    errors = []

    def need(condition, name, text):
        if not condition:
            errors.append((name, text))

    need(os.geteuid() == 0, "IsPrivilegedUser", "user is not running as root")
    for program in ("losetup", "mount", "cp"):
        need(shutil.which(program), f"FileExisting-{program}", f"{program} not found in system path")
    with open("/proc/sys/net/ipv4/ip_forward", encoding="ascii") as file:
        need(file.read().strip() == "1", "FileContent--proc-sys-net-ipv4-ip_forward",
             "/proc/sys/net/ipv4/ip_forward contents are not set to 1")
    with open("/proc/swaps", encoding="ascii") as file:
        need(len(file.read().splitlines()) <= 1, "Swap", "swap is on")
    fault = _runtime(registration.get("criSocket") or DEFAULT_SOCKET)
    need(fault is None, "CRI", fault)

    ports = [10250]
    if worker:
        absent = ["kubelet.conf", "bootstrap-kubelet.conf", "pki/ca.crt"]
    else:
        need((os.cpu_count() or 1) >= 2, "NumCPU", f"the number of available CPUs {os.cpu_count()} is less than the required 2")
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (1 << 20)
        need(memory >= 1700, "Mem", f"the system RAM ({memory} MB) is less than the minimum 1700 MB")
        absent = [f"manifests/{name}.yaml" for name in MANIFESTS] + (["kubelet.conf", "bootstrap-kubelet.conf"] if join else [])
        ports += [endpoint.get("bindPort", 6443), 10257, 10259] + ([] if external_etcd else [2379, 2380])
        if external_etcd:
            fault = gateway.version_fault(external_etcd)
            need(fault is None, "ExternalEtcdVersion", fault)
        else:
            need(not os.path.isdir("/var/lib/etcd") or not os.listdir("/var/lib/etcd"), "DirAvailable--var-lib-etcd",
                 "/var/lib/etcd is not empty")
    for path in (f"{ETC}/{name}" for name in absent):
        need(not os.path.exists(path), "FileAvailable-" + path.replace("/", "-"), f"{path} already exists")
    for port in ports:
        need(not _occupied(port), f"Port-{port}", f"Port {port} is in use")

    here = addresses()
    advertise = endpoint.get("advertiseAddress")
    need(worker or not advertise or advertise in here, "Double-advertiseAddress", f"advertiseAddress {advertise} is on no interface of this machine")
    for item in registration.get("kubeletExtraArgs") or []:
        if item["name"] == "node-ip":
            for part in item["value"].split(","):
                need(part in here, "Double-node-ip", f"node-ip {part} is on no interface of this machine")

    ignored = {name.lower() for name in registration.get("ignorePreflightErrors") or []}
    left = [(name, text) for name, text in errors if "all" not in ignored and name.lower() not in ignored]
    if left:
        raise Failed("[preflight] Some fatal errors occurred:\n" + "\n".join(f"\t[ERROR {name}]: {text}" for name, text in left))
