"""Part of the nodeimg TEST DOUBLES: a stand-in of the API server, over real TLS. The kubelet double runs it where a manifest
kube-apiserver.yaml lies, as a kubelet runs static pods. It serves cluster-info signed by the bootstrap tokens, takes joins and heartbeats,
lists nodes and keeps Leases; all it knows is in the double of etcd, or in an external one that is real, without which it answers nothing."""

import base64
import hashlib
import hmac
import json
import os
import socket
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import yaml

import etcd
import gateway
import kinds
from record import STATE

CONFIG = os.path.join(STATE, "apiserver.json")
QUIET = ("/double/heartbeat", "/plndr-cp-lock")  # every two seconds, or ten
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"


def load(path, default):
    """JSON from a file, or default when there is none."""
    if not os.path.exists(path):
        return default
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def store(path, value):
    """JSON to a file, whole or not at all."""
    os.makedirs(STATE, mode=0o700, exist_ok=True)
    with os.fdopen(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(value, file, sort_keys=True, indent=1)
    os.replace(path + ".new", path)


def ready_for():
    """Seconds after its last sign of life that a node is Ready; a test may want fewer."""
    return load(os.path.join(STATE, "ready-for.json"), 40)


def values(prefix):
    """What is stored under keys that begin so: key -> {value, revision}."""
    external = load(CONFIG, {})["external"]
    if external:
        return gateway.values(external, prefix)
    return etcd.local("/double/get", {"prefix": prefix})["values"]


def value(key):
    """One value and its revision, 0 where there is none."""
    found = values(key).get(key, {"value": None, "revision": 0})
    return found["value"], found["revision"]


def put(key, content, expect=None):
    """Stores one; says whether `expect` was its revision before."""
    external = load(CONFIG, {})["external"]
    if external:
        return gateway.put(external, key, content, expect)
    try:
        etcd.local("/double/put", {"key": key, "value": content, "expect": expect})
    except etcd.Refused as error:
        if error.args[0] == 409:
            return False
        raise
    return True


def _b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signature(token, text):
    """The detached JWS that signs cluster-info with a bootstrap token."""
    identity, secret = token.split(".")
    header = _b64(json.dumps({"alg": "HS256", "kid": identity}, separators=(",", ":")).encode())
    mac = hmac.new(secret.encode(), f"{header}.{_b64(text.encode())}".encode(), hashlib.sha256)
    return f"{header}..{_b64(mac.digest())}"


def _valid(token, usage):
    return usage in token["usages"] and (token["expires"] is None or token["expires"] > time.time())


def _node(one):
    """A Node as the API shows it."""
    ready = time.time() - one["seen"] < ready_for()
    labels = {"kubernetes.io/hostname": one["name"], **({"node-role.kubernetes.io/control-plane": ""} if one["role"] == "control-plane" else {})}
    return {"metadata": {"name": one["name"], "labels": labels},
            "status": {"addresses": [{"type": "InternalIP", "address": one["address"]}],
                       "conditions": [{"type": "Ready", "status": "True" if ready else "Unknown"}], "joins": one["joins"]}}


def _lease(held, revision):
    return {**held, "metadata": {**held["metadata"], "resourceVersion": str(revision)}}


class Handler(BaseHTTPRequestHandler):
    """One request."""

    def _answer(self, status, body):
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _may_all(self, config):
        """Says whether an administrator asks. Those of admin.conf are that from kubeadm's phase upload-config on."""
        subject = dict(it[0] for it in (self.connection.getpeercert() or {}).get("subject", []))
        group = subject.get("organizationName")
        return group == "system:masters" or group == "kubeadm:cluster-admins" and config.get("admins", False)

    def _serve(self, serve):
        """Answers; without etcd as the real one does."""
        try:
            serve()
        except (OSError, etcd.Refused) as error:
            self._answer(500, f"etcdserver: request timed out ({error})")

    def do_GET(self):  # noqa: N802  the base class's name
        self._serve(self._get)

    def do_POST(self):  # noqa: N802
        self._serve(self._post)

    def do_PUT(self):  # noqa: N802
        self._serve(self._put)

    def _get(self):
        path, _, query = self.path.partition("?")
        config, _ = value("config")
        if path in ("/readyz", "/healthz", "/livez"):
            self._answer(200, "ok")
        elif path == "/version":
            self._answer(200, {"gitVersion": config["version"], "platform": "nodeimg test double"})
        elif path == "/api/v1/namespaces/kube-public/configmaps/cluster-info":
            self._cluster_info(config)
        elif not self._may_all(config):
            self._answer(401, "Unauthorized")
        elif path == "/api/v1/nodes":
            nodes = [_node(it["value"]) for _, it in sorted(values("nodes/").items())]
            wanted = "node-role.kubernetes.io/control-plane" if "labelSelector=" in query else "kubernetes.io/hostname"
            self._answer(200, {"kind": "NodeList", "items": [it for it in nodes if wanted in it["metadata"]["labels"]]})
        elif path == "/api/v1/namespaces/kube-system/configmaps/kubeadm-config":
            self._answer(200, {"kind": "ConfigMap", "data": {"ClusterConfiguration": yaml.safe_dump(config["cluster"])}})
        elif path.startswith(LEASES + "/"):
            held, revision = value(path.removeprefix(LEASES).replace("/", "leases/", 1))
            self._answer(*((200, _lease(held, revision)) if held else (404, "not found")))
        else:
            self._answer(404, "no")

    def _cluster_info(self, config):
        if config.get("clusterInfo") is None:
            self._answer(403, 'User "system:anonymous" cannot get resource "configmaps" in the namespace "kube-public"')
            return
        data = {"kubeconfig": config["clusterInfo"]}
        for token in config["tokens"]:
            if _valid(token, "signing"):
                data["jws-kubeconfig-" + token["token"].split(".")[0]] = signature(token["token"], config["clusterInfo"])
        self._answer(200, {"kind": "ConfigMap", "data": data})

    def _body(self):
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def _post(self):
        body, (config, _) = self._body(), value("config")
        bearer = self.headers.get("Authorization", "").removeprefix("Bearer ")
        known = any(t["token"] == bearer and _valid(t, "authentication") for t in config["tokens"])
        if self.path == "/double/heartbeat":
            self._heartbeat(body["name"])
        elif not (known or self._may_all(config)):
            self._answer(401, "Unauthorized")
        elif self.path == "/double/config":
            self._answer(200, {**config, "nodes": [it["value"] for it in values("nodes/").values()]})
        elif self.path == "/double/join":
            self._join(body)
        elif self.path == "/double/apply" and self._may_all(config):
            self._apply(body["documents"])
        elif self.path == LEASES and self._may_all(config):
            done = put("leases/" + body["metadata"]["name"], body, expect=0)
            self._answer(*((201, body) if done else (409, "already exists")))
        else:
            self._answer(404, "no")

    def _put(self):
        body, (config, _) = self._body(), value("config")
        if not self._may_all(config) or not self.path.startswith(LEASES + "/"):
            self._answer(401, "Unauthorized")
            return
        done = put("leases/" + body["metadata"]["name"], body, expect=int(body["metadata"]["resourceVersion"]))
        self._answer(*((200, body) if done else (409, "the object has been modified")))

    def _apply(self, documents):
        try:
            for document in documents:
                kinds.check(document)
        except kinds.Invalid as error:
            self._answer(422, str(error))
            return
        self._answer(200, {})

    def _heartbeat(self, name):
        while True:
            node, revision = value("nodes/" + name)
            if node is None:
                self._answer(404, "no such node")
                return
            if put("nodes/" + name, {**node, "seen": time.time()}, revision):
                self._answer(200, {})
                return

    def _join(self, body):
        key = "nodes/" + body["name"]
        old, revision = value(key)
        if old and time.time() - old["seen"] < ready_for():
            self._answer(409, f'a Node with name "{body["name"]}" and status "Ready" already exists in the cluster. '
                              "You must delete the existing Node or change the name of this new joining Node")
        elif put(key, {**body, "seen": time.time(), "joins": (old or {}).get("joins", 0) + 1}, revision):
            self._answer(200, {})
        else:
            self._answer(409, "the object has been modified")

    def log_message(self, format, *args):  # noqa: A002
        if not self.path.endswith(QUIET):
            print("api double: " + format % args, flush=True)


class Server(ThreadingHTTPServer):
    """Listens on all addresses of both families; a client that stalls in its TLS handshake does not stop the others."""

    address_family = socket.AF_INET6
    daemon_threads = True

    def finish_request(self, request, client_address):
        request.settimeout(60)
        request.do_handshake()
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        pass


def serve(handler, port, certificate, authority, required):
    """Serves for ever. required: whether a client must have a certificate of the authority."""
    server = Server(("::", port), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate + ".crt", certificate + ".key")
    context.load_verify_locations(authority)
    context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()
