"""Part of the nodeimg TEST DOUBLE of kubeadm: reads a configuration file strictly. Unknown and doubled fields, wrong types, unknown kinds
and missing mandatory fields are errors that name the place; the real program is no laxer for `config validate`."""

import ipaddress
import re

import yaml

from fields import KINDS


class Invalid(Exception):
    """The configuration is wrong; the text says where."""


class _Loader(yaml.SafeLoader):
    pass


def _mapping(loader, node, deep=False):
    seen = set()
    for key, _ in node.value:
        name = loader.construct_object(key, deep=True)
        if name in seen:
            raise Invalid(f"line {key.start_mark.line + 1}: key {name!r} already set in map")
        seen.add(name)
    return yaml.SafeLoader.construct_mapping(loader, node, deep)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)

PATTERNS = {
    "token": r"[a-z0-9]{6}\.[a-z0-9]{16}",
    "pin": r"sha256:[0-9a-f]{64}",
    "duration": r"0|([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+",
    "version": r"v1\.[0-9]+\.[0-9]+(-[0-9A-Za-z.]+)?",
    "path": r"/.*",
    "socket": r"unix:///.+",
    "hostname": r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?",
    "hostport": r"(\[[0-9a-fA-F:]+\]|[-a-zA-Z0-9.]+)(:[0-9]{1,5})?",
}


def _check(value, kind, place):
    if kind == "any":
        return
    if kind == "bools":
        if not isinstance(value, dict) or not all(isinstance(v, bool) for v in value.values()):
            raise Invalid(f"{place}: expected a map to true or false")
    elif kind == "bool":
        if not isinstance(value, bool):
            raise Invalid(f"{place}: expected true or false, found {value!r}")
    elif kind == "integer" or kind == "quantity" and not isinstance(value, str):
        if isinstance(value, bool) or not isinstance(value, int):
            raise Invalid(f"{place}: expected an integer{'' if kind == 'integer' else ' or a string'}, found {value!r}")
    elif kind in ("object", "list"):
        if not isinstance(value, {"object": dict, "list": list}[kind]):
            raise Invalid(f"{place}: expected {'an object' if kind == 'object' else 'a list'}, found {value!r}")
    elif kind == "port":
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 65536:
            raise Invalid(f"{place}: expected a port, found {value!r}")
    elif not isinstance(value, str):
        raise Invalid(f"{place}: expected a string, found {value!r}")
    elif kind == "address":
        try:
            ipaddress.ip_address(value)
        except ValueError as error:
            raise Invalid(f"{place}: {error}") from None
    elif kind == "cidrs":
        for part in value.split(","):
            try:
                ipaddress.ip_network(part)
            except ValueError as error:
                raise Invalid(f"{place}: {error}") from None
    elif "|" in kind and value not in kind.split("|"):
        raise Invalid(f"{place}: unsupported value {value!r}; supported are {', '.join(kind.split('|'))}")
    elif kind in PATTERNS and not re.fullmatch(PATTERNS[kind], value):
        raise Invalid(f"{place}: {value!r} is not a {kind}")


def walk(value, spec, place):
    """Raises Invalid unless value is as spec has it. A dict is an object with these fields: `name!` has to be there, `*` are all others.
    A list of one element is a list of those. A string is the name of a check, or the words that may stand, with | between."""
    if isinstance(spec, dict):
        if not isinstance(value, dict):
            raise Invalid(f"{place}: expected an object, found {value!r}")
        for key in spec:
            if key.endswith("!") and value.get(key[:-1]) is None:
                raise Invalid(f"{place}.{key[:-1]}: required value")
        for key, inner in value.items():
            found = next((it for it in (key, f"{key}!", "*") if it in spec), None)
            if found is None:
                raise Invalid(f'strict decoding error: unknown field "{place}.{key}"')
            if inner is not None:
                walk(inner, spec[found], f"{place}.{key}")
    elif isinstance(spec, list):
        if not isinstance(value, list):
            raise Invalid(f"{place}: expected a list, found {value!r}")
        for index, inner in enumerate(value):
            walk(inner, spec[0], f"{place}[{index}]")
    else:
        _check(value, spec, place)


def read(path):
    """The documents of a file by kind, each checked on its own; raises Invalid or OSError."""
    with open(path, encoding="utf-8") as file:
        try:
            documents = [d for d in yaml.load_all(file, _Loader) if d is not None]
        except yaml.YAMLError as error:
            raise Invalid(f"{path}: {error}") from None
    kinds = {}
    for document in documents:
        if not isinstance(document, dict):
            raise Invalid(f"{path}: a document is not an object")
        which = (document.pop("apiVersion", None), document.pop("kind", None))
        if which not in KINDS:
            raise Invalid(f"{path}: no kind {which[1]!r} is registered for {which[0]!r}")
        if which[1] in kinds:
            raise Invalid(f"{path}: kind {which[1]} twice")
        walk(document, KINDS[which], which[1])
        kinds[which[1]] = document
    if not kinds:
        raise Invalid(f"{path}: no document")
    if "JoinConfiguration" in kinds and ("InitConfiguration" in kinds or "ClusterConfiguration" in kinds):
        raise Invalid(f"{path}: JoinConfiguration does not go with InitConfiguration or ClusterConfiguration")
    _joined(kinds)
    return kinds


def _joined(kinds):
    """What the fields must be together."""
    if "JoinConfiguration" in kinds:
        discovery = kinds["JoinConfiguration"].get("discovery") or {}
        token = discovery.get("bootstrapToken")
        if bool(token) == bool(discovery.get("file")):
            raise Invalid("JoinConfiguration.discovery: exactly one of bootstrapToken and file")
        if token:
            if not token.get("token") or ":" not in token.get("apiServerEndpoint", ""):
                raise Invalid("JoinConfiguration.discovery.bootstrapToken: token and apiServerEndpoint (host:port) are needed")
            if not token.get("caCertHashes") and not token.get("unsafeSkipCAVerification"):
                raise Invalid("JoinConfiguration.discovery.bootstrapToken: using token-based discovery without caCertHashes "
                              "can be unsafe. Set unsafeSkipCAVerification as true in your kubeadm config file to continue")
    networking = kinds.get("ClusterConfiguration", {}).get("networking") or {}
    pods, services = networking.get("podSubnet"), networking.get("serviceSubnet")
    if pods and services:
        for one in pods.split(","):
            for other in services.split(","):
                if ipaddress.ip_network(one).overlaps(ipaddress.ip_network(other)):
                    raise Invalid(f"ClusterConfiguration.networking: {one} and {other} overlap")


def seconds(duration, default):
    """A Go duration in seconds."""
    if not duration:
        return default
    units = {"h": 3600, "m": 60, "s": 1, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
    return sum(float(n) * units[u] for n, _, u in re.findall(r"([0-9]+(\.[0-9]+)?)(ms|us|ns|h|m|s)", duration))
