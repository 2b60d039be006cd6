"""Part of the nodeimg TEST DOUBLES: a stand-in of etcd, on port 2379 over mutual TLS. The kubelet double runs it where a manifest etcd.yaml
lies. It knows members, learners and a quorum, and keeps values that every member has; the reachable voter with the lowest ID decides. It
answers what kubeadm and nodeimg ask of the real one's JSON gateway: member/list, add, promote, remove; consensus it is not."""

import json
import os
import secrets
import socket
import ssl
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler

from record import ETC

PKI = f"{ETC}/pki"
DATA = "/var/lib/etcd/member"
_deciding, _storing = threading.Lock(), threading.Lock()
_silent: dict = {}  # until when a member is not asked, by its ID


class Refused(Exception):
    """An answer that is not 200: status and text."""


def load(name="state"):
    """A file of the data directory, or None."""
    try:
        with open(f"{DATA}/{name}.json", encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return None


def store(value, name="state"):
    """Writes one, whole or not at all."""
    os.makedirs(DATA, mode=0o700, exist_ok=True)
    with open(f"{DATA}/{name}.new", "w", encoding="utf-8") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(f"{DATA}/{name}.new", f"{DATA}/{name}.json")


def member(name, address, learner=False):
    """A member as etcd lists it."""
    named = f"[{address}]" if ":" in address else address
    return {"ID": str(secrets.randbits(62)), "name": name, "peerURLs": [f"https://{named}:2380"],
            "clientURLs": [f"https://{named}:2379"] if name else [], "isLearner": learner}


def host(one):
    """A member's address, or that of one to be."""
    return one["peerURLs"][0].split("//")[1].rsplit(":", 1)[0].strip("[]")


def ask(url, path, body=None, timeout=5):
    """One request to a member (its client URL, or a member as listed), as a member. Raises OSError or Refused."""
    if isinstance(url, dict):
        url = url["peerURLs"][0].replace(":2380", ":2379")
    context = ssl.create_default_context(cafile=f"{PKI}/etcd/ca.crt")
    context.load_cert_chain(f"{PKI}/etcd/server.crt", f"{PKI}/etcd/server.key")
    try:
        with urllib.request.urlopen(urllib.request.Request(url + path, json.dumps(body or {}).encode()), context=context, timeout=timeout) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise Refused(error.code, error.read().decode()) from None


def local(path, body=None):
    """One request to this machine's member."""
    return ask("https://127.0.0.1:2379", path, body, 20)


def change(operation, body, state):
    """Carries an operation out on the state; returns the answer."""
    members, values = state["members"], state["values"]
    named = next((it for it in members if it["ID"] == body.get("ID")), None)
    if operation == "add":
        if any(it["isLearner"] for it in members):
            raise Refused(400, "etcdserver: too many learner members in cluster")
        members.append(member("", host(body), body.get("isLearner", False)))
    elif operation in ("remove", "promote", "publish") and named is None:
        raise Refused(404, "etcdserver: member not found")
    elif operation == "remove":
        members.remove(named)
    elif operation == "promote":
        named["isLearner"] = False
    elif operation == "publish":
        named.update(name=body["name"], clientURLs=[named["peerURLs"][0].replace(":2380", ":2379")])
    elif operation == "put":
        if body.get("expect") not in (None, values.get(body["key"], {}).get("revision", 0)):
            raise Refused(409, "the value has changed")
        values[body["key"]] = {"value": body["value"], "revision": state["revision"] + 1}
    elif operation == "get":
        return {"values": {key: it for key, it in values.items() if key.startswith(body["prefix"])}}
    if operation != "list":
        state["revision"] += 1
    return {"members": members, "revision": state["revision"]}


def reachable(one):
    """Says whether a member's machine takes connections. One that is off says nothing, which takes time: for some it is not asked again."""
    if _silent.get(one["ID"], 0) > time.monotonic():
        return False
    try:
        socket.create_connection((host(one), 2379), timeout=1).close()
    except ConnectionRefusedError:
        return False
    except OSError:
        _silent[one["ID"]] = time.monotonic() + 3
        return False
    return True


def revision(one):
    """What a member knows, or None when it does not answer."""
    if not reachable(one):
        return None
    try:
        return ask(one, "/double/alive", timeout=2)["revision"]
    except (OSError, Refused, ValueError):
        return None


def decide(operation, body):
    """Has the leader carry an operation out, where there is a quorum."""
    state, own = load(), load("id")
    if own not in [it["ID"] for it in state["members"]]:
        raise Refused(410, "this member has been removed from the cluster")
    voters = [it for it in state["members"] if not it["isLearner"]]
    known = {it["ID"]: state["revision"] if it["ID"] == own else revision(it) for it in voters}
    alive = [it for it in voters if known[it["ID"]] is not None]
    if len(alive) * 2 <= len(voters):
        raise Refused(503, f"etcdserver: no leader ({len(alive)} of {len(voters)} members answer)")
    leader = min(alive, key=lambda it: int(it["ID"]))
    if leader["ID"] != own:
        return ask(leader, "/double/do", {"operation": operation, "body": body}, 20)
    with _deciding:
        for _ in range(5):
            newest = max(alive, key=lambda it: known[it["ID"]])
            state = load()
            if newest["ID"] != own and known[newest["ID"]] > state["revision"]:
                state = ask(newest, "/double/state")
            before, others = state["revision"], [it for it in state["members"] if it["ID"] != own]
            answer = change(operation, body, state)
            others += [it for it in state["members"] if it["ID"] != own and it not in others]
            if state["revision"] == before or all([take(state), *(push(it, state) for it in others)]):
                return answer
            time.sleep(0.1)
    raise Refused(503, "etcdserver: request timed out")


def push(one, state):
    """Gives a member the new state; one that does not answer gets it later."""
    if not reachable(one):
        return True
    try:
        return ask(one, "/double/store", state, timeout=2)["taken"]
    except (OSError, Refused, ValueError):
        return True


def take(state):
    """Keeps a newer state; says whether it was one."""
    with _storing:
        if state["revision"] <= load()["revision"]:
            return False
        store(state)
        return True


class Handler(BaseHTTPRequestHandler):
    """One request; only those with a certificate of etcd's authority come here."""

    def do_POST(self):  # noqa: N802  the base class's name
        """All there is."""
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        try:
            self._answer(200, self._do(body))
        except Refused as error:
            self._answer(error.args[0], {"error": error.args[1]})
        except OSError as error:
            self._answer(503, {"error": str(error)})

    def _do(self, body):
        if self.path == "/double/alive":
            return {"revision": load()["revision"]}
        if self.path == "/double/state":
            return load()
        if self.path == "/double/store":
            return {"taken": take(body)}
        if self.path == "/double/do":
            return decide(body["operation"], body["body"])
        return decide(self.path.rsplit("/", 1)[1], body)

    def _answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format, *args):  # noqa: A002
        if "/v3/" in self.path:
            print("etcd double: " + format % args, file=sys.stderr, flush=True)
