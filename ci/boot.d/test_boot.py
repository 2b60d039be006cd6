"""Tests of the boot harness itself, without a boot: `python3 -m unittest discover -s ci/boot.d`. A check that never complains is worth nothing:
each kind of difference is made once, and has to be named."""

import base64
import hashlib
import importlib.machinery
import io
import json
import os
import sys
import tarfile
import tempfile
import types
import unittest
import unittest.mock

sys.dont_write_bytecode = True

import expect  # noqa: E402
import guest  # noqa: E402
import session  # noqa: E402


class Started:
    """A machine that needs no QEMU."""

    def __init__(self, one, *_):
        self.options = one


def options(**more):
    """A worker on a BIOS PC."""
    return types.SimpleNamespace(**{"states": ["running"], "hardware": "virtio", "firmware": "bios", "call": "join", "tried": False, "nodes": 0,
                                    "config_sha256": "aa", "exports": [], "images": [], "kubernetes": "double", **more})


def call(number, command="join", status=0, sha256="aa"):
    """The two lines the double logs for a call."""
    return "".join(json.dumps(line) + "\n" for line in (
        {"call": number, "event": "begin", "command": command, "config": "/etc/join.yaml", "sha256": sha256},
        {"call": number, "event": "end", "command": command, "status": status, "message": "m"}))


def good(**more):
    """A report with nothing to complain about."""
    return {"running": "running\n", "cloud-init": '{"status": "done", "extended_status": "done", "errors": [], "recoverable_errors": {}}',
            "root-size": str(9 << 30), "disk-size": str(10 << 30), "audit": "", "firmware": "bios", "containerd": "Server:\n Version: 2",
            "plugins": "io.containerd.grpc.v1   cri   -   ok\n", "modules": "Module Size\noverlay 1 0\nbr_netfilter 1 0\n",
            "sysctl": "net.ipv4.ip_forward = 1\nnet.bridge.bridge-nf-call-iptables = 1\nnet.bridge.bridge-nf-call-ip6tables = 1\n",
            "swaps": "Filename\n", "passwords": "", "calls": call(0), "boot-id": "1", "identity": "w\nid", **more}


class Arguments(unittest.TestCase):
    """The program's own options."""

    def test_a_machine_may_start_once_beside_others_that_start_again(self):
        loader = importlib.machinery.SourceFileLoader("boot", os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "boot"))
        program = types.ModuleType("boot")
        program.__file__ = loader.path
        loader.exec_module(program)
        with unittest.mock.patch("sys.argv", ["boot", "a.ova,once=1", "b.ova,once=0", "c.ova"]):
            _, machines = program.arguments()
        self.assertEqual([it.once for it in machines], [True, False, False])
        started = []
        with (unittest.mock.patch("sys.argv", ["boot", "a.ova,once=1", "b.ova"]), unittest.mock.patch.object(program.machine, "Machine", Started),
              unittest.mock.patch.object(program.expect, "check", lambda *_: []), unittest.mock.patch("builtins.print"),
              unittest.mock.patch.object(program.session, "start", lambda them, phase, last, _: started.append(([it.options.image for it in them], phase, last)) or dict.fromkeys(them))):
            self.assertEqual(program.main(), 0)
        self.assertEqual(started, [(["a.ova", "b.ova"], 1, False), (["b.ova"], 2, True)])


class Expect(unittest.TestCase):
    """expect.py"""

    def test_a_good_report_passes(self):
        self.assertEqual(expect.check(good(), options()), [])
        self.assertEqual(expect.check(good(**{"boot-id": "2"}), options(), good()), [])

    def test_a_server_serves_what_it_is_to(self):
        nfs = options(call="serve", exports=["/srv/nfs"])
        serving = good(state='{"phase":"serving"}', exports="/srv/nfs  192.168.56.0/24(rw)\n", nfsd="8\n", calls="")
        self.assertEqual(expect.check(serving, nfs), [])
        for other in ({"state": '{"phase":"retry"}'}, {"exports": ""}, {"nfsd": "0\n"}, {"passwords": "root"}, {"secrets": "1"}):
            self.assertEqual(len(expect.check({**serving, **other}, nfs)), 1, other)

    def test_images_are_in_the_store(self):
        self.assertEqual(expect.check(good(images="a.io/b:1\na.io/c:2\n"), options(images=["a.io/b:1", "a.io/c:2"])), [])
        self.assertEqual(len(expect.check(good(images="a.io/c:2\n"), options(images=["a.io/b:1", "a.io/c:2"]))), 1)

    def test_each_difference_is_named(self):
        for name, report, wanted in (
            ("degraded", {"running": "degraded"}, options()), ("cloud-init", {"cloud-init": '{"status": "done", "extended_status": "degraded done"}'}, options()),
            ("no cloud-init", {"cloud-init": ""}, options()), ("not grown", {"root-size": str(2 << 30)}, options()),
            ("half configured", {"audit": "containerd.io"}, options()), ("firmware", {"firmware": "uefi"}, options()),
            ("no containerd", {"containerd": ""}, options()), ("no cri", {"plugins": "io.containerd.grpc.v1 cri - error"}, options()),
            ("no module", {"modules": "Module\noverlay 1 0\n"}, options()), ("no sysctl", {"sysctl": good()["sysctl"].replace("ip_forward = 1", "ip_forward = 0")}, options()),
            ("swap", {"swaps": "Filename\n/swap"}, options()), ("password", {"passwords": "ubuntu"}, options()), ("no call", {"calls": ""}, options()),
            ("failed call", {"calls": call(0, status=1)}, options()), ("twice", {"calls": call(0) + call(2)}, options()),
            ("other command", {"calls": call(0, "init")}, options()), ("other file", {"calls": call(0, sha256="bb")}, options()),
            ("nodes", {"nodes": "NAME STATUS\nw Ready\nx NotReady\n"}, options(nodes=2)),
        ):
            with self.subTest(name):
                self.assertEqual(len(expect.check(good(**report), wanted)), 1)

    def test_a_second_start_must_be_one_and_change_nothing(self):
        self.assertEqual(len(expect.check(good(), options(), good())), 1)
        again = good(calls=call(0) + call(2), **{"boot-id": "2"})
        self.assertEqual(len(expect.check(again, options(), good())), 2)
        self.assertEqual(len(expect.check(good(identity="other", **{"boot-id": "2"}), options(), good())), 1)

    def test_the_real_kubeadm_keeps_no_log(self):
        joined = {"calls": "", "state": '{"phase":"joined","attempts":0}', "nodes": "NAME STATUS\nw NotReady\nx Ready\n", "boot-id": "2"}
        real = options(kubernetes="real", nodes=2)
        before = good(calls="")
        self.assertEqual(expect.check(good(**joined), real, before), [])
        for other in ({"state": '{"phase":"retry"}'}, {"state": ""}, {"nodes": "NAME STATUS\nw Ready\n"}, {"containerd": ""}):
            self.assertEqual(len(expect.check(good(**{**joined, **other}), real)), 1, other)
        self.assertEqual(len(expect.check(good(**{**joined, "state": '{"phase":"joined","attempts":1}'}), real, before)), 1)

    def test_a_node_alone_need_only_have_tried(self):
        self.assertEqual(expect.check(good(calls=call(0, status=1)), options(tried=True)), [])


def printed(text):
    """A report with one file, `running`, as a machine prints it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo("./running")
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text.encode()))
    return f"@nodeimg:{base64.b64encode(packed.getvalue()).decode()}\n@nodeimg={hashlib.sha256(packed.getvalue()).hexdigest()}\n"


class Stub:
    """A machine whose QEMU is a shell script: it reports, and ends when its power button is pressed."""

    def __init__(self, folder, number, before):
        self.folder, self.before, self.options = os.path.join(folder, str(number)), before, options(name=str(number))
        os.makedirs(self.folder)
        self.number, self.port = number, "ttyS1"
        with open(f"{self.folder}/text", "w", encoding="utf-8") as file:
            file.write(printed("running\n"))

    def log(self, phase, what):
        return os.path.join(self.folder, f"{what}-{phase}.log")

    def report_log(self, phase):
        return self.log(phase, "report")

    def renew(self):
        with open(f"{self.folder}/renewed", "a", encoding="ascii") as file:
            file.write("\n")

    def command(self, phase, script, lan):
        pressed = 'while read -r word; do case $word in system_powerdown) echo pressed; exit;; esac; done; sleep 60'
        return ["sh", "-c", f"cd {self.folder}; echo $$ >pid; {self.before}; cat text >report-{phase}.log; {pressed}"]


class Session(unittest.TestCase):
    """session.py"""

    def test_a_group_stays_until_its_last_has_reported(self):
        with tempfile.TemporaryDirectory() as folder:
            late = "sleep 3; kill -0 $(cat ../1/pid) || exit 1"
            machines = [Stub(folder, 1, "true"), Stub(folder, 2, late)]
            common = types.SimpleNamespace(timeout=60)
            reports = session.start(machines, 1, False, common)
            self.assertEqual([reports[one]["running"] for one in machines], ["running\n"] * 2)
            for one in machines:
                with open(one.log(1, "qemu"), encoding="utf-8") as log:
                    self.assertTrue(log.read().endswith("pressed\n"))

    def test_a_machine_that_does_not_report_leaves_no_other_running(self):
        with tempfile.TemporaryDirectory() as folder:
            machines = [Stub(folder, 1, "true"), Stub(folder, 2, "sleep 60")]
            reports = session.start(machines, 1, False, types.SimpleNamespace(timeout=4))
            self.assertEqual([one.number for one in reports], [1])
            with open(f"{folder}/1/pid", encoding="ascii") as file:
                self.assertFalse(os.path.exists(f"/proc/{file.read().strip()}"))

    def test_a_machine_whose_emulation_fails_before_its_disk_is_touched_begins_anew(self):
        lost = 'echo "rcu: rcu_preempt kthread timer wakeup didn\'t happen for 5245 jiffies!" >console-1.log'
        silent = "echo ACPI >console-1.log; touch -d '1 hour ago' console-1.log"
        for how, again in ((lost, True), (silent, True), (f"{lost}; echo Run /init as init process >>console-1.log", False)):
            with self.subTest(how=how), tempfile.TemporaryDirectory() as folder:
                before = f"if [ -e begun ]; then : >console-1.log; else touch begun; {how}; sleep 60; fi"
                machines = [Stub(folder, 1, before), Stub(folder, 2, "true")]
                reports = session.start(machines, 1, True, types.SimpleNamespace(timeout=6))
                self.assertEqual([one.number for one in reports], [2, 1] if again else [2])

    def test_an_emulator_that_dies_begins_anew_with_the_disks_it_had(self):
        dies, late = "kill -ABRT $$", "echo Run /init as init process >console-$phase.log; kill -SEGV $$"
        for phase, times, how, renewed in ((1, 1, dies, 1), (1, 2, late, 2), (2, 1, dies, 0), (2, 1, late, None), (1, 3, dies, None), (1, 1, "exit 1", None)):
            with self.subTest(phase=phase, times=times, how=how), tempfile.TemporaryDirectory() as folder:
                one = Stub(folder, 1, f"phase={phase}; echo >>begun; if [ $(wc -l <begun) -le {times} ]; then {how}; fi; : >console-{phase}.log")
                machines, common = [one, Stub(folder, 2, "true")], types.SimpleNamespace(timeout=60)
                if renewed is None:
                    with self.assertRaises(RuntimeError):
                        session.start(machines, phase, True, common)
                else:
                    self.assertEqual(set(session.start(machines, phase, True, common)), set(machines))
                    self.assertEqual(session.contents(f"{one.folder}/renewed"), b"\n" * renewed)


class Extract(unittest.TestCase):
    """guest.extract"""

    def test_a_torn_copy_is_left_for_the_whole_one(self):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            member = tarfile.TarInfo("./running")
            member.size = 8
            tar.addfile(member, io.BytesIO(b"running\n"))
        encoded = base64.b64encode(packed.getvalue()).decode()
        end = f"@nodeimg={hashlib.sha256(packed.getvalue()).hexdigest()}\r\n"
        torn = f"@nodeimg:{encoded[:20]}\r\n[ 12.3] kernel: noise\r\n" + end
        whole = f"login: @nodeimg:{encoded[:40]}\r\n@nodeimg:{encoded[40:]}\r\n" + end
        self.assertIsNone(guest.extract(torn.encode()))
        self.assertIsNone(guest.extract(whole[:-20].encode()))
        self.assertEqual(guest.extract((torn + whole).encode()), {"running": "running\n"})


if __name__ == "__main__":
    unittest.main()
