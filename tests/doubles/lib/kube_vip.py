"""Part of the nodeimg TEST DOUBLES: a stand-in of kube-vip, for the static pod of control planes. The kubelet double runs it where a manifest
kube-vip.yaml lies. As the real one it asks the API server of its own machine, as `kubernetes` and by the pod's kubeconfig, for a lease; who has
that has the address. Stricter than a kubelet, which passes over fields it does not know: a misspelt one is refused.

The variables' names are those of kube-vip v1.0.3 (pkg/kubevip/config_envvar.go), and vip_cidr, which v0.8 has."""

import datetime
import http.client
import ipaddress
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import types

import yaml

import kinds
import pki
from schema import Invalid

VARIABLES = set("""vip_arp vip_preserve_on_leadership_loss vip_leaderelection vip_leasename vip_leaseduration vip_renewdeadline vip_retryperiod
vip_leaseannotations vip_loglevel vip_interface vip_interfaceloglobal vip_servicesinterface vip_subnet vip_cidr egress_podcidr egress_servicecidr
egress_withnftables vip_address address port annotation vip_ddns vip_nodename vip_singlenode vip_startleader vip_routingtable
vip_routingtableid vip_routingtabletype vip_routingprotocol vip_cleanroutingtable cp_namespace cp_enable cp_detect kubernetes_addr svc_enable
svc_namespace svc_election svc_leasename lb_class_only lb_class_name lb_class_legacy_handling lb_enable lb_port lb_fwdmethod
enable_service_security enable_node_labeling prometheus_server vip_configmap k8s_config_file dns_mode dhcp_mode disable_service_updates
enable_endpoints mirror_dest_interface iptables_backend backend_health_check_interval health_check_port enable_upnp egress_clean""".split())
KUBECONFIG = "/etc/kubernetes/admin.conf"  # within the container
NAME = "kubernetes"


def need(condition, text):
    """Refuses the pod unless it holds."""
    if not condition:
        raise Invalid(f"kube-vip: {text}")


def settings(pod, node):
    """What a manifest asks for, refused unless an address can come of it."""
    kinds.check(pod)
    need((pod["apiVersion"], pod["kind"]) == ("v1", "Pod"), "no Pod")
    spec, container = pod["spec"], pod["spec"]["containers"][0]
    need(spec.get("hostNetwork") is True, "hostNetwork is needed")
    need(container.get("args") == ["manager"], f"args are {container.get('args')}")
    added = ((container.get("securityContext") or {}).get("capabilities") or {}).get("add") or []
    need({"NET_ADMIN", "NET_RAW"} <= set(added), f"capabilities NET_ADMIN and NET_RAW are needed, and are {added}")
    fields = {"spec.nodeName": node, "metadata.name": f"kube-vip-{node}", "metadata.namespace": "kube-system"}
    variables = {it["name"]: it["value"] if "value" in it else fields[it["valueFrom"]["fieldRef"]["fieldPath"]] for it in container["env"]}
    need(set(variables) <= VARIABLES, f"no variables of kube-vip's: {sorted(set(variables) - VARIABLES)}")
    for name in ("vip_arp", "cp_enable", "vip_leaderelection"):
        need(variables.get(name) == "true", f"{name} is {variables.get(name)!r}, not 'true'")
    for name in ("address", "port", "cp_namespace", "vip_leaseduration", "vip_renewdeadline", "vip_retryperiod"):
        need(variables.get(name), f"{name} is missing")
    lease, renew, retry = (int(variables[f"vip_{it}"]) for it in ("leaseduration", "renewdeadline", "retryperiod"))
    need(lease > renew > retry > 0, f"the lease's {lease} s have to be more than {renew} s to renew it, and those more than {retry} s between")
    hosts = {name: it["ip"] for it in spec.get("hostAliases") or [] for name in it.get("hostnames") or []}
    need(NAME in hosts, f"no host alias {NAME}, by which the API server of this machine is asked")
    mounted = next((it["name"] for it in container.get("volumeMounts") or [] if it["mountPath"] == KUBECONFIG), None)
    path = next((it["hostPath"]["path"] for it in spec.get("volumes") or [] if it["name"] == mounted and it.get("hostPath")), None)
    need(path and os.path.isfile(path), f"{KUBECONFIG} is {path}, which is no file of this machine")
    interface = variables.get("vip_interface") or default_interface()
    need(interface in dict(map(reversed, socket.if_nameindex())), f"no interface {interface}")
    return types.SimpleNamespace(
        address=str(ipaddress.ip_address(variables["address"])), interface=interface, port=int(variables["port"]), host=hosts[NAME], kubeconfig=path,
        namespace=variables["cp_namespace"], name=variables.get("vip_leasename", "plndr-cp-lock"), lease=lease, renew=renew, retry=retry,
        node=variables.get("vip_nodename") or socket.gethostname())


def default_interface():
    """The card of the default route, which kube-vip takes where it is told none."""
    routes = json.loads(subprocess.run(["ip", "-j", "route", "show", "default"], check=True, capture_output=True, text=True).stdout or "[]")
    need(routes, "no vip_interface, and no default route")
    return routes[0]["dev"]


class Lease:
    """The Lease that says who has the address. That another's is over is told by this machine's clock alone."""

    def __init__(self, it):
        self.it, self.version, self.since = it, None, 0
        self.path = f"/apis/coordination.k8s.io/v1/namespaces/{it.namespace}/leases"

    def _call(self, method, path, body=None):
        _, context = pki.client(self.it.kubeconfig)
        with socket.create_connection((self.it.host, self.it.port), timeout=self.it.renew / 2) as plain:
            server = http.client.HTTPConnection(NAME, self.it.port)
            server.sock = context.wrap_socket(plain, server_hostname=NAME)
            server.request(method, path, json.dumps(body) if body else None)
            answer = server.getresponse()
            text = answer.read()
        if answer.status not in (200, 201, 404, 409):
            raise OSError(f"{method} {path}: {answer.status} {text.decode(errors='replace')}")
        return answer.status, text

    def _object(self, holder, version):
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": self.it.name, "namespace": self.it.namespace, **({"resourceVersion": version} if version else {})},
                "spec": {"holderIdentity": holder, "leaseDurationSeconds": self.it.lease, "renewTime": now}}

    def take(self, holder):
        """Takes the lease or renews it, or gives it back where holder is empty; says whether that was done."""
        path = f"{self.path}/{self.it.name}"
        status, text = self._call("GET", path)
        if status == 404:
            return self._call("POST", self.path, self._object(holder, None))[0] == 201
        held = json.loads(text)
        version, spec = held["metadata"]["resourceVersion"], held["spec"]
        if version != self.version:
            self.version, self.since = version, time.monotonic()
        if spec.get("holderIdentity") not in ("", None, self.it.node) and time.monotonic() - self.since < spec["leaseDurationSeconds"]:
            return False
        return self._call("PUT", path, self._object(holder, version))[0] == 200


def announce(interface, address):
    """Tells the network by a gratuitous ARP whose the address is."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806)) as card:
        card.bind((interface, 0))
        own, everybody, number = card.getsockname()[4], b"\xff" * 6, socket.inet_aton(address)
        card.send(everybody + own + struct.pack(">HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1) + own + number + everybody + number)


def set_address(it, command):
    """Adds the address (replace) or removes it (del)."""
    subprocess.run(["ip", "address", command, f"{it.address}/32", "dev", it.interface], check=command != "del", capture_output=True)


def keep(it):
    """Holds the address while the lease is this node's, for ever; gives up both in the end."""
    lease, renewed = Lease(it), None
    set_address(it, "del")  # of a life that was cut short
    try:
        while True:
            try:
                done = lease.take(it.node)
            except (OSError, http.client.HTTPException) as error:
                print(f"kube-vip double: {error}", flush=True)
                done = None
            now = time.monotonic()
            if done:
                if renewed is None:
                    print(f"kube-vip double: {it.node} has {it.address} on {it.interface}", flush=True)
                renewed = now
                set_address(it, "replace")
                announce(it.interface, it.address)
            elif renewed is not None and (done is False or now - renewed > it.renew):
                print(f"kube-vip double: {it.node} no longer has {it.address}", flush=True)
                renewed = None
                set_address(it, "del")
            time.sleep(it.retry)
    finally:
        if renewed is not None:
            set_address(it, "del")
            lease.take("")


def serve(path, node):
    """Runs the pod of a manifest until it is stopped; one that is refused is looked at again, for its files may come yet."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    said = None
    while True:
        try:
            with open(path, encoding="utf-8") as file:
                found = settings(yaml.safe_load(file), node)
        except (Invalid, KeyError, ValueError) as error:
            if str(error) != said:
                said = str(error)
                print(f"kube-vip double: {path}: {said}", flush=True)
            time.sleep(1)
        else:
            keep(found)
