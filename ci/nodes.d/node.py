"""One node: a finished image's root file system, never written to, with a layer of the node's own on top; booted by its own systemd in
namespaces (systemd-nspawn). A power cut is SIGKILL to all of it; what it wrote stays, its memory does not."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import yaml

import wires

DOUBLE = "var/lib/kubeadm-double"
# The waits are shortened, the code is the same: polls of 1 s for 3, retries after 3 to 10 s for 10 to 300, 20 s for another member of etcd to
# show itself for 60.
PACE = "NODEIMG_POLL=1\nNODEIMG_RETRY_FIRST=3\nNODEIMG_RETRY_MOST=10\nNODEIMG_ETCD_WAIT=20\n"


class Failed(Exception):
    """A claim does not hold, or a wait took too long."""


class Node:
    """A node of one case."""

    limit = 900
    # How long one kubeadm join looks for a cluster that knows its token; None: as long as the seed says.
    discovery = None

    def __init__(self, name, image, seed, work, cgroups):
        self.name, self.image, self.seed, self.cgroups = name, image, pathlib.Path(seed), cgroups
        self.folder = pathlib.Path(work, name)
        self.root, self.process, self.starts = self.folder / "root", None, 0
        self.folder.mkdir()
        config = yaml.safe_load((self.seed / "network-config").read_text())["ethernets"]
        lan = next(card for card, it in config.items() if "addresses" in it)
        nat = next((card for card in config if card != lan), None)
        self.address = config[lan]["addresses"][0].split("/")[0]
        self.nat = wires.plug(name, lan, nat)
        self.flash()

    def flash(self):
        """A new card: nothing of the node's own but its seed."""
        if self.root.is_mount():
            subprocess.run(["umount", self.root], check=True)
        for folder in ("upper", "work", "root"):
            shutil.rmtree(self.folder / folder, ignore_errors=True)
            (self.folder / folder).mkdir()
        layers = f"lowerdir={self.image},upperdir={self.folder}/upper,workdir={self.folder}/work"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, self.root], check=True)
        self.write_seed()
        self.write(f"{DOUBLE}/ready-for.json", "12")

    def flash_anew(self):
        """Another card in the place of this one, which is then started."""
        self.cut_power()
        self.flash()
        self.start()

    def write_seed(self):
        """The seed's files, where cloud-init looks first."""
        for name in ("meta-data", "network-config"):
            self.write(f"var/lib/cloud/seed/nocloud/{name}", (self.seed / name).read_text())
        config = yaml.safe_load((self.seed / "user-data").read_text())
        env = next(it for it in config["write_files"] if it["path"] == "/etc/nodeimg/node.env")
        env["content"] += PACE
        if self.discovery:
            kubeadm = next(it for it in config["write_files"] if it["path"] == "/etc/nodeimg/kubeadm.yaml")
            kubeadm["content"] = re.sub(r"^( +discovery:) \S+$", rf"\1 {self.discovery}", kubeadm["content"], flags=re.M)
        self.write("var/lib/cloud/seed/nocloud/user-data", "#cloud-config\n" + yaml.safe_dump(config, sort_keys=False))

    def files(self):
        """What the seed has cloud-init write."""
        return yaml.safe_load((self.seed / "user-data").read_text())["write_files"]

    def write(self, path, text):
        """A file of the node's."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def read(self, path):
        """A file of the node's; None where there is none."""
        try:
            return (self.root / path).read_text(errors="replace")
        except FileNotFoundError:
            return None

    def start(self):
        """Power on."""
        self.starts += 1
        command = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot", f"--directory={self.root}", f"--machine={self.name}",
                   f"--network-namespace-path=/run/netns/{self.name}", "--capability=all", "--console=read-only", "--link-journal=no",
                   # The clock and the kernel's modules are this machine's.
                   "--drop-capability=CAP_SYS_TIME,CAP_SYS_MODULE", *self.cgroups.arguments]
        environment = {**os.environ, **self.cgroups.environment, "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network", "SYSTEMD_NSPAWN_TMPFS_TMP": "0"}
        with open(self.folder / f"console-{self.starts}.log", "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
                                            preexec_fn=lambda: self.cgroups.enter(self.group()))

    def group(self):
        """Its control group, another at each start: the kernel may end what is put into one that ended."""
        return f"{self.name}-{self.starts}"

    def leader(self):
        """The process number of the node's first process, as this machine counts."""
        pid = self.process.pid
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[-1]) if children else None

    def cut_power(self):
        """Everything ends at once."""
        leader = self.leader()
        if leader:
            os.kill(leader, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        self.cgroups.leave(self.group())
        wires.still(self.name)

    def stop(self):
        """Power off by the switch, in the end."""
        if self.process and self.process.poll() is None:
            self.cut_power()

    def run(self, *command):
        """A command within the node; its status and output."""
        done = subprocess.run(["nsenter", "-t", str(self.leader()), "-m", "-u", "-i", "-n", "-p", "-r", "-w", *command],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def state(self):
        """What the join program says."""
        leader = self.leader() if self.process and self.process.poll() is None else None
        try:
            return json.loads(pathlib.Path(f"/proc/{leader}/root/run/nodeimg/state.json").read_text())
        except (OSError, ValueError):
            return {}

    def wait(self, what, condition, limit=None, every=0.1):
        """Waits for a condition; says what was waited for, and what the node says, where it takes too long."""
        began = time.monotonic()
        while True:
            found = condition()
            if found:
                return found
            if self.process.poll() is not None:
                raise Failed(f"{self.name} ended while it was to reach: {what}\n{self.told()}")
            if time.monotonic() - began > (limit or self.limit):
                raise Failed(f"{self.name}: not in {limit or self.limit} s: {what}; it says {self.state()}\n{self.told()}")
            time.sleep(every)

    def phase(self, name):
        """Waits for a phase of the image's own program."""
        self.wait(f"phase {name}", lambda: self.state().get("phase") == name)

    def told(self):
        """What the node has to say for itself."""
        try:
            _, journal = self.run("journalctl", "-b", "-u", "nodeimg*", "-u", "kubelet", "-u", "cloud-*", "--no-pager", "-n", "60", "-o", "cat")
        except (OSError, AttributeError):
            journal = ""
        console = (self.folder / f"console-{self.starts}.log").read_text(errors="replace")
        return "\n".join([*console.splitlines()[-10:], "--- journal", journal])

    def calls(self, *commands):
        """kubeadm's calls that the double logged, of these commands: dicts, `status` None while one has not ended."""
        found = {}
        for line in (self.read(f"{DOUBLE}/calls.log") or "").splitlines():
            entry = json.loads(line)
            if entry["event"] == "begin":
                found[entry["call"]] = {**entry, "status": None, "ended": None}
            else:
                found[entry["call"]].update(status=entry["status"], message=entry["message"], ended=entry["time"])
        return [it for _, it in sorted(found.items()) if it["command"] in commands]

    def hold_at(self, step):
        """The next kubeadm that comes to this step stays there."""
        self.write(f"{DOUBLE}/stop-at", step)

    def cut_power_at(self, step):
        """Lets a held kubeadm come to its step, and cuts the power there; the next start is not held."""
        self.wait(f"step {step}", lambda: self.read(f"{DOUBLE}/stopped") == step)
        self.cut_power()
        for name in ("stop-at", "stopped"):
            (self.root / DOUBLE / name).unlink()

    def ready(self):
        """The nodes that are Ready, as this control plane's kubectl lists them."""
        status, text = self.run("kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf", "get", "nodes")
        return sorted(re.findall(r"^(\S+) +Ready\b", text, re.M)) if status == 0 else []

    def identity(self):
        """What must be the same after a re-flash."""
        return [self.read("etc/hostname"), self.read("etc/ssh/ssh_host_ed25519_key.pub")]
