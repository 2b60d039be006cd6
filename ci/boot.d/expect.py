"""What a report must say. Every check gives a line of text for what differs, or nothing."""

import json
import re


def calls(report):
    """The calls the kubeadm double logged: one dict each, `status` None while it has not ended."""
    found = {}
    for line in report.get("calls", "").splitlines():
        entry = json.loads(line)
        if entry["event"] == "begin":
            found[entry["call"]] = {**entry, "status": None}
        else:
            found[entry["call"]].update(status=entry["status"], message=entry["message"])
    return [found[number] for number in sorted(found)]


def document(report, name):
    """The JSON of one of its files; nothing where that is none."""
    try:
        return json.loads(report.get(name) or "{}")
    except ValueError:
        return {}


def system(report, options):
    """Any machine: settled, nothing failed, the root file system as large as the disk."""
    wrong = []
    running = report.get("running", "").strip()
    if running not in options.states:
        wrong.append(f"systemctl is-system-running: {running!r}, not {' or '.join(options.states)}; failed units: {report.get('failed', '').strip()!r}"
                     f"; jobs: {report.get('jobs', '').strip()!r}")
    cloud = document(report, "cloud-init")
    if cloud.get("status") != "done" or cloud.get("extended_status", "done") != "done" or cloud.get("errors") or cloud.get("recoverable_errors"):
        wrong.append(f"cloud-init: {cloud.get('extended_status')} {cloud.get('errors')} {cloud.get('recoverable_errors')}")
    disk, root = (int(report.get(name, "").strip() or 0) for name in ("disk-size", "root-size"))
    # Other partitions and ext4's own tables take their share: 512 MiB and a tenth.
    if root < (disk - (512 << 20)) * 9 // 10:
        wrong.append(f"the root file system has {root} bytes on a disk of {disk}: it did not grow")
    if report.get("audit", "").strip():
        wrong.append(f"dpkg --audit: {report['audit'].strip()}")
    firmware = report.get("firmware", "").strip()
    if firmware and options.hardware in ("virtio", "vbox") and firmware != options.firmware:
        wrong.append(f"booted by {firmware}, not {options.firmware}")
    return wrong


def machine(report):
    """Any machine with a seed: its secrets are its own, and nobody logs in with a password."""
    wrong = []
    # Every byte of the volume the seed is on, also those no file has any more.
    if "secrets" in report and report["secrets"].strip() != "0":
        wrong.append(f"{report['secrets'].strip()} private keys are left on the seed's volume")
    if report.get("passwords", "").strip():
        wrong.append(f"users with a password: {report['passwords'].split()}")
    return wrong


def server(report, options):
    """A machine without a kubelet: it serves, and the kernel exports what was asked for, to be mounted by whoever may."""
    wrong = []
    if document(report, "state").get("phase") != "serving":
        wrong.append(f"it does not serve: {report.get('state', '').strip()!r}; the journal says:\n{report.get('journal', '')}")
    for folder in options.exports:
        if folder not in [line.split()[0] for line in report.get("exports", "").splitlines() if line.strip()]:
            wrong.append(f"{folder} is not exported: {report.get('exports', '').strip()!r}")
    if options.exports and int(report.get("nfsd", "").strip() or 0) < 1:
        wrong.append("the kernel has no thread that serves NFS")
    return wrong


def called(report, options):
    """What kubeadm was called for, as its double logged it."""
    wrong = []
    made = [call for call in calls(report) if call["command"] in ("init", "join")]
    good = [call for call in made if call["status"] == 0]
    if any(call["command"] != options.call for call in made):
        wrong.append(f"kubeadm was called for {[call['command'] for call in made]}, not only {options.call}")
    if not made:
        wrong.append(f"kubeadm {options.call} was never called; the journal says:\n{report.get('journal', '')}")
    elif options.tried:
        pass  # nobody answers a node that is alone: that it asked is all there is to see
    elif len(good) != 1:
        wrong.append(f"kubeadm {options.call} succeeded {len(good)} times in {len(made)} calls, not once: {[call.get('message') for call in made]}")
    if options.config_sha256:
        wrong += [f"kubeadm {call['command']} was given {call['config']} with {call['sha256']}, not {options.config_sha256}"
                  for call in made if call["sha256"] != options.config_sha256]
    return wrong


def member(report):
    """That the machine is part of the cluster, as its own program says: the real kubeadm keeps no log."""
    said = document(report, "state")
    return [] if said.get("phase") == "joined" else [f"it is not part of the cluster: {said}; the journal says:\n{report.get('journal', '')}"]


def node(report, options):
    """A Kubernetes node: its runtime, its kernel, and what kubeadm was called for."""
    wrong = []
    if "Server:" not in report.get("containerd", ""):
        wrong.append(f"containerd does not answer: {report.get('containerd', '')!r} {report.get('containerd.err', '')!r}")
    if "plugins" in report and not re.search(r"grpc\S*\s+cri\s.*ok", report["plugins"]):
        wrong.append("containerd's cri plugin is not ok")
    for image in options.images:
        if image not in report.get("images", "").split():
            wrong.append(f"container image {image} is not in containerd's store: {report.get('images', '')!r}")
    loaded = {line.split()[0] for line in report.get("modules", "").splitlines()[1:]}
    for module in ("overlay", "br_netfilter"):
        if module not in loaded:
            wrong.append(f"module {module} is not loaded")
    for name in ("net.ipv4.ip_forward", "net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables"):
        if f"{name} = 1" not in report.get("sysctl", ""):
            wrong.append(f"sysctl {name} is not 1")
    if len(report.get("swaps", "").splitlines()) > 1:
        wrong.append("swap is on")
    real = options.kubernetes == "real"
    wrong += member(report) if real else called(report, options)
    if options.nodes:
        # Nobody but the double is Ready without a CNI plugin.
        words, listed = ("in the cluster", r"^\S+ +(Not)?Ready\b") if real else ("Ready", r"^\S+ +Ready\b")
        found = sum(1 for _ in re.finditer(listed, report.get("nodes", ""), re.M))
        if found != options.nodes:
            wrong.append(f"{found} nodes are {words}, not {options.nodes}: {report.get('nodes')!r}")
    return wrong


def check(report, options, before=None):
    """All that differs in a report; before: the report of the first start, when this is the second."""
    wrong = system(report, options)
    if options.call:
        wrong += machine(report)
        wrong += server(report, options) if options.call == "serve" else node(report, options)
    if before is not None:
        if report.get("boot-id") == before.get("boot-id"):
            wrong.append("the machine did not start again")
        for what in ("identity",):
            if report.get(what) != before.get(what):
                wrong.append(f"{what} changed over the reboot: {before.get(what)!r}, {report.get(what)!r}")
        said = document(report, "state")
        if options.call in ("init", "join") and options.kubernetes == "real" and said.get("attempts") != 0:
            wrong.append(f"kubeadm was called again after the reboot: {said}")
        good = [call for call in calls(report) if call["status"] == 0]
        if options.call and not options.tried and good != [call for call in calls(before) if call["status"] == 0]:
            wrong.append(f"kubeadm did something again after the reboot: {[call['command'] for call in good]}")
    return wrong
