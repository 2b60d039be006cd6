"""Test double of an API server: api_double.py FOLDER FAULT

Serves HTTPS on 127.0.0.1 with server.crt and server.key of FOLDER, to clients with a certificate by ca.crt, and prints its port. Two nodes;
one pod of a DaemonSet on each, which is Ready at the second look; /dial as agnhost answers it. FAULT: none, node, etcd, pods, dns, never.
Every change that was asked for is a line of FOLDER/changes.
"""

import http.server
import json
import pathlib
import ssl
import sys
import urllib.parse

FOLDER, FAULT = pathlib.Path(sys.argv[1]), sys.argv[2]
NODES = ["vm01", "card01"]
ADDRESS = {"vm01": "10.244.0.5", "card01": "10.244.1.7"}
NAMESPACE = "/api/v1/namespaces/nodeimg-verify"
made, looks = {}, 0


def node(name):
    """A Node."""
    ready = "Unknown" if FAULT == "node" and name == "card01" else "True"
    return {"metadata": {"name": name}, "status": {"nodeInfo": {"kubeletVersion": "v1.36.2"}, "conditions": [{"type": "Ready", "status": ready}]}}


def pod(name, ready=True):
    """One of the DaemonSet's pods, as its manifest has it."""
    container = made["/apis/apps/v1/namespaces/nodeimg-verify/daemonsets"]["spec"]["template"]["spec"]["containers"][0]
    status = {"podIP": ADDRESS[name], "phase": "Running", "conditions": [{"type": "Ready", "status": str(ready)}]}
    return {"metadata": {"name": f"probe-{name}"}, "spec": {"nodeName": name, "containers": [container]}, "status": status}


def dial(path):
    """What agnhost's netexec says of a call."""
    url = urllib.parse.urlsplit(path)
    asked = dict(urllib.parse.parse_qsl(url.query))
    caller = url.path.split("/pods/")[1].split(":")[0]
    if asked["request"] != "hostname" or asked["protocol"] != "http" or asked["port"] != "8080":
        return {"errors": ["bad request"]}
    if asked["host"] == "probe.nodeimg-verify.svc":
        return {"errors": ["lookup probe.nodeimg-verify.svc: no such host"]} if FAULT == "dns" else {"responses": ["probe-vm01"]}
    if FAULT == "pods" and caller == "probe-vm01":
        return {"responses": [""], "errors": ["dial tcp: i/o timeout"]}
    return {"responses": [f"probe-{name}" for name in NODES if ADDRESS[name] == asked["host"]]}


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    def answer(self, status, body):
        """Sends JSON, or text as it is."""
        text = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):  # noqa: N802
        """Reads."""
        global looks
        if self.path == "/readyz/etcd" and FAULT == "etcd":
            self.answer(500, "internal server error: etcd failed: reason withheld")
        elif self.path in ("/readyz", "/readyz/etcd"):
            self.answer(200, "ok")
        elif self.path == "/version":
            self.answer(200, {"gitVersion": "v1.36.2"})
        elif self.path == "/api/v1/nodes":
            self.answer(200, {"items": [node(it) for it in NODES]})
        elif self.path == "/api/v1/namespaces/kube-system/pods":
            self.answer(200, {"items": [{"metadata": {"name": "coredns"}, "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}]})
        elif "/proxy/dial?" in self.path and made:
            self.answer(200, dial(self.path))
        elif self.path == NAMESPACE + "/pods" and len(made) == 3:
            looks += 1
            self.answer(200, {"items": [pod(it, ready=looks > 1 and FAULT != "never") for it in NODES]})
        elif self.path.endswith("/daemonsets/probe") and len(made) == 3:
            self.answer(200, {"status": {"desiredNumberScheduled": len(NODES), "observedGeneration": 1}})
        else:
            self.answer(404, {"message": f"{self.path} not found"})

    def do_POST(self):  # noqa: N802
        """Makes."""
        made[self.path] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.change()
        self.answer(201, made[self.path])

    def do_DELETE(self):  # noqa: N802
        """Removes."""
        self.change()
        there = self.path == NAMESPACE and "/api/v1/namespaces" in made
        made.clear()
        self.answer(200 if there else 404, {})

    def change(self):
        """Takes note."""
        with open(FOLDER / "changes", "a", encoding="utf-8") as file:
            file.write(f"{self.command} {self.path}\n")

    def log_message(self, *_):
        """Says nothing."""


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=FOLDER / "ca.crt")
context.verify_mode = ssl.CERT_REQUIRED
context.load_cert_chain(FOLDER / "server.crt", FOLDER / "server.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
