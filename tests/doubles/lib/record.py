"""Part of the nodeimg TEST DOUBLES: what was called is kept as JSON lines in /var/lib/kubeadm-double/calls.log, for tests to read.
One line when a call begins and one when it ends, with the same number: a power cut in between shows."""

import hashlib
import json
import os
import time

STATE = os.environ.get("KUBEADM_DOUBLE_STATE", "/var/lib/kubeadm-double")
LOG = os.path.join(STATE, "calls.log")
# Where Kubernetes keeps its files; tests have others.
ETC = os.environ.get("KUBEADM_DOUBLE_ETC", "/etc/kubernetes")


def _boot():
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def _append(line):
    os.makedirs(STATE, mode=0o700, exist_ok=True)
    with open(LOG, "a", encoding="utf-8") as file:
        file.write(json.dumps(line, sort_keys=True) + "\n")
        file.flush()
        os.fsync(file.fileno())


def begin(command, argv, config):
    """Notes that a call begins; returns its number."""
    number = 0
    if os.path.exists(LOG):
        with open(LOG, encoding="utf-8") as file:
            number = sum(1 for _ in file)
    digest = None
    if config and os.path.isfile(config):
        with open(config, "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
    _append({"call": number, "event": "begin", "command": command, "argv": argv, "config": config, "sha256": digest,
             "boot": _boot(), "time": time.time()})
    return number


def end(number, command, status, message, **more):
    """Notes how the call ended."""
    _append({"call": number, "event": "end", "command": command, "status": status, "message": message, "boot": _boot(),
             "time": time.time(), **more})


def step(name):
    """A moment within a command. A test that wrote the name into `stop-at` finds the command held here, to cut the power."""
    wanted = os.path.join(STATE, "stop-at")
    if os.path.exists(wanted):
        with open(wanted, encoding="utf-8") as file:
            held = file.read().strip() == name
        if held:
            os.sync()
            with open(os.path.join(STATE, "stopped"), "w", encoding="utf-8") as file:
                file.write(name)
            while True:
                time.sleep(60)


def applied(name, digest):
    """Notes that the cluster took a manifest."""
    os.makedirs(STATE, mode=0o700, exist_ok=True)
    with open(os.path.join(STATE, "applied.log"), "a", encoding="utf-8") as file:
        file.write(f"{digest} {name}\n")
    step("applied " + name)
