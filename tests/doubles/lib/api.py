"""Part of the nodeimg TEST DOUBLES: a stand-in of the API server, over real TLS. The kubelet double runs it where a manifest
kube-apiserver.yaml lies, as a kubelet runs static pods. It serves cluster-info signed by the bootstrap tokens, takes joins and heartbeats,
lists nodes, and keeps its state (its "etcd") in /var/lib/kubeadm-double; control planes pass news on to each other."""

import base64
import hashlib
import hmac
import json
import os
import socket
import ssl
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pki
from record import STATE

CONFIG = os.path.join(STATE, "apiserver.json")
NODES = os.path.join(STATE, "nodes.json")
READY_FOR = 40
_lock = threading.Lock()


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


class Handler(BaseHTTPRequestHandler):
    """One request."""

    def _answer(self, status, body):
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):  # noqa: N802  the base class's name
        config = load(CONFIG, {})
        if self.path in ("/readyz", "/healthz", "/livez"):
            self._answer(200, "ok")
        elif self.path == "/version":
            self._answer(200, {"gitVersion": config["version"], "platform": "nodeimg test double"})
        elif self.path == "/api/v1/namespaces/kube-public/configmaps/cluster-info":
            data = {"kubeconfig": config["clusterInfo"]}
            for token in config["tokens"]:
                if _valid(token, "signing"):
                    data["jws-kubeconfig-" + token["token"].split(".")[0]] = signature(token["token"], config["clusterInfo"])
            self._answer(200, {"kind": "ConfigMap", "data": data})
        elif self.path == "/api/v1/nodes" and self.connection.getpeercert():
            now = time.time()
            self._answer(200, [{"name": name, **node, "ready": now - node["seen"] < READY_FOR}
                               for name, node in sorted(load(NODES, {}).items())])
        else:
            self._answer(401 if self.path == "/api/v1/nodes" else 404, "no")

    def do_POST(self):  # noqa: N802
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        config = load(CONFIG, {})
        bearer = self.headers.get("Authorization", "").removeprefix("Bearer ")
        known = any(t["token"] == bearer and _valid(t, "authentication") for t in config["tokens"])
        if self.path in ("/double/join", "/double/apply", "/double/peer") and not (known or self.connection.getpeercert()):
            self._answer(401, "Unauthorized")
            return
        with _lock:
            nodes = load(NODES, {})
            if self.path == "/double/join":
                old = nodes.get(body["name"])
                if old and time.time() - old["seen"] < READY_FOR and not body.get("forwarded"):
                    self._answer(409, f'a Node with name "{body["name"]}" and status "Ready" already exists in the cluster')
                    return
                nodes[body["name"]] = {**body, "seen": time.time(), "joins": (old or {}).get("joins", 0) + 1}
                store(NODES, nodes)
            elif self.path == "/double/heartbeat" and body["name"] in nodes:
                nodes[body["name"]]["seen"] = time.time()
                store(NODES, nodes)
            elif self.path == "/double/peer":
                config["peers"] = sorted(set(config["peers"]) | set(body["peers"]) - {config["self"]})
                store(CONFIG, config)
            elif self.path == "/double/apply":
                with open(os.path.join(STATE, "applied.log"), "a", encoding="utf-8") as file:
                    file.write(json.dumps(body) + "\n")
            elif self.path == "/double/heartbeat":
                self._answer(404, "no such node")
                return
        shared = {key: config[key] for key in ("version", "cluster", "kubelet", "tokens", "clusterInfo", "self", "peers", "endpoint")}
        self._answer(200, {**shared, "nodes": nodes} if self.path == "/double/join" else {})
        if not body.get("forwarded"):
            self._forward(config, {**body, "forwarded": True})

    def _forward(self, config, body):
        for peer in config["peers"]:
            request = urllib.request.Request(f"https://{peer}{self.path}", json.dumps(body).encode(),
                                             {"Authorization": self.headers.get("Authorization", "")})
            try:
                with urllib.request.urlopen(request, context=pki.context(config["ca"].encode()), timeout=10):
                    pass
            except OSError as error:
                print(f"api double: {peer}: {error}", flush=True)

    def log_message(self, format, *args):  # noqa: A002
        if "/double/heartbeat" not in self.path:
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


def serve(certificates, port):
    """Serves for ever."""
    server = Server(("::", port), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{certificates}/apiserver.crt", f"{certificates}/apiserver.key")
    context.load_verify_locations(f"{certificates}/ca.crt")
    context.verify_mode = ssl.CERT_OPTIONAL
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()
