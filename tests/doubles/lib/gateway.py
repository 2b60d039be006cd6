"""Part of the nodeimg TEST DOUBLES: what the API server's double keeps in an external etcd, a real one, by its JSON gateway (v3/kv), with the
authority, certificate and key that the kubeadm file names. A key is `/double/…`, its revision etcd's own."""

import base64
import json
import ssl
import urllib.error
import urllib.request

ROOT = "/double/"
OLDEST = (3, 5, 24)  # what kubeadm 1.36 takes


class Refused(OSError):
    """No member answers, or one does and says no."""


def _ask(external, path, body):
    """One request to the first member that answers."""
    context = ssl.create_default_context(cafile=external["caFile"])
    context.load_cert_chain(external["certFile"], external["keyFile"])
    data = None if body is None else json.dumps(body).encode()
    faults = []
    for endpoint in external["endpoints"]:
        try:
            with urllib.request.urlopen(urllib.request.Request(endpoint + path, data), context=context, timeout=5) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            faults.append(f"{endpoint}: {error.read().decode(errors='replace').strip()}")
        except OSError as error:
            faults.append(f"{endpoint}: {error}")
    raise Refused("; ".join(faults))


def _b64(text):
    return base64.b64encode(text.encode()).decode()


def version_fault(external):
    """What kubeadm would say of the members' version, or None."""
    try:
        found = _ask(external, "/version", None)["etcdserver"]
    except (OSError, KeyError) as error:
        return f"this version of kubeadm only supports external etcd version >= 3.5.24, and none answers: {error}"
    if tuple(int(it) for it in found.split(".")) < OLDEST:
        return f"this version of kubeadm only supports external etcd version >= 3.5.24. Current version: {found}"
    return None


def values(external, prefix):
    """What is stored under keys that begin so: key -> {value, revision}."""
    key = ROOT + prefix
    answer = _ask(external, "/v3/kv/range", {"key": _b64(key), "range_end": _b64(key[:-1] + chr(ord(key[-1]) + 1))})
    found = {}
    for it in answer.get("kvs", []):
        name = base64.b64decode(it["key"]).decode().removeprefix(ROOT)
        found[name] = {"value": json.loads(base64.b64decode(it.get("value", ""))), "revision": int(it["mod_revision"])}
    return found


def put(external, key, content, expect=None):
    """Stores one; says whether `expect` was its revision before."""
    one = {"key": _b64(ROOT + key), "value": _b64(json.dumps(content))}
    if expect is None:
        _ask(external, "/v3/kv/put", one)
        return True
    compare = [{"key": one["key"], "target": "MOD", "mod_revision": str(expect)}]
    return _ask(external, "/v3/kv/txn", {"compare": compare, "success": [{"request_put": one}]}).get("succeeded", False)
