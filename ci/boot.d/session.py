"""One start of all machines: QEMU runs, reports are waited for, ends are seen to."""

import json
import os
import random
import re
import subprocess
import time

import guest

# An emulated PC's kernel checks its timer against its clock, and panics when a busy host served it too late.
STARVED = b"IO-APIC + timer doesn't work!"
# A timer QEMU never delivered: the kernel says so, and stands still. It may not even say so: then so many seconds without a word tell.
LOST, SILENT = b"kthread timer wakeup didn't happen", 300
# Before this word of its the kernel has touched no disk.
FIRST_PROCESS = b"as init process"


class Again(Exception):
    """The emulation failed, not the machine: the start has to be made once more, from the same disks."""


def until(options):
    """The shell condition a machine waits for before it reports."""
    log = "/var/lib/kubeadm-double/calls.log"
    real = options.kubernetes == "real"
    if options.nodes:
        # Kept for the report: a slow machine may miss a heartbeat afterwards, as nodes do. No CNI plugin makes a real node Ready here.
        count = f'grep -cE " (Not)?Ready" {guest.NODES}' if real else f'grep -c " Ready" {guest.NODES}'
        return f"kubectl --kubeconfig /etc/kubernetes/admin.conf get nodes >{guest.NODES} && [ $({count}) -ge {options.nodes} ]"
    if options.call == "serve":
        return """grep -q '"phase":"serving"' /run/nodeimg/state.json"""
    if options.call and real:
        return """grep -q '"phase":"joined"' /run/nodeimg/state.json"""
    if options.call and options.tried:
        return f"grep -q begin {log}"
    if options.call:
        return f'''grep -qE '"command": "(init|join)".*"status": 0' {log}'''
    return "true"


def launch(one, phase, command):
    """Starts QEMU; its output goes to a log, its standard input is its monitor."""
    with open(one.log(phase, "qemu"), "w", encoding="utf-8") as log:
        log.write(" ".join(command) + "\n")
        log.flush()
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)


def emulated(one, phase, status, console):
    """`Again`, when the emulation of a machine failed, and its disks are what they were, or can be made so. status: QEMU's, None while it
    runs."""
    untouched = FIRST_PROCESS not in console
    stands = untouched and console and (LOST in console or time.time() - os.path.getmtime(one.log(phase, "console")) > SILENT)
    if STARVED in console or stands:
        raise Again("the emulated timer failed")
    # With several emulated CPUs QEMU now and then dies of an assertion of its own while one of them moves devices in the memory map that
    # another is looking at (seen with 10.0.2, when a kernel asked how large they are: `iotlb_to_section`).
    if (untouched or phase == 1) and status is not None and status < 0:
        raise Again(f"QEMU died of signal {-status}")


def look(one, phase, process):
    """The report, when it is there: name -> text. A kernel that panicked is an error."""
    status = process.poll()  # before its last words are read
    console = contents(one.log(phase, "console"))
    emulated(one, phase, status, console)
    if b"Kernel panic" in console:
        raise RuntimeError(f"{one.options.name}: start {phase}: the kernel panicked:\n{tail(one, phase)}")
    return guest.extract(contents(one.report_log(phase)))


def press_power(process):
    """Presses a machine's power button."""
    try:
        process.stdin.write(b"system_powerdown\n")
        process.stdin.flush()
    except BrokenPipeError:
        pass  # it has ended


def ended(one, phase, process, limit):
    """Whether a machine that was told to end does so. QEMU's raspi4b knows no power switch the kernel finds: there systemd's last target
    counts, and some seconds for what comes after it."""
    until = time.monotonic() + limit
    while process.poll() is None and time.monotonic() < until:
        time.sleep(1)
        if one.options.hardware == "raspi4b" and re.search(rb"Reached target \S*(poweroff|reboot)\.target", contents(one.log(phase, "console"))):
            time.sleep(20)
            process.terminate()
            process.wait()
    return process.poll() is not None


def start(machines, phase, last, common):
    """One start of all machines at once: a report each; one that gave none in time is not in the answer.

    A machine alone restarts by itself when it has reported. Those of a group stay for each other, for one may count another among its
    nodes, until all have reported: then their power buttons are pressed.
    """
    alone = len(machines) == 1
    lan = random.randrange(20000, 30000)
    commands, processes, reports, retries, began = {}, {}, {}, 3, time.monotonic()
    for one in machines:
        after = "true" if not alone else "systemctl poweroff" if last else "systemctl reboot"
        # A node that waits for others in vain does not settle.
        settle = 20 if one.options.tried else common.timeout
        text = guest.script(one.port, settle, until(one.options), after, small=one.options.hardware == "raspi4b")
        commands[one] = one.command(phase, text, lan)
        processes[one] = launch(one, phase, commands[one])
    try:
        while len(reports) < len(machines) and time.monotonic() - began < common.timeout:
            time.sleep(1)
            for one in machines:
                if one in reports:
                    continue
                try:
                    found = look(one, phase, processes[one])
                except Again as why:
                    retries -= 1
                    if retries == 0:
                        raise RuntimeError(f"{one.options.name}: {why} again and again: see {one.folder}") from None
                    print(f"{one.options.name}: start {phase}: {why}, once more", flush=True)
                    processes[one].kill()
                    processes[one].wait()
                    processes[one].stdin.close()
                    if phase == 1:
                        one.renew()
                    processes[one] = launch(one, phase, commands[one])
                    continue
                if found is not None:
                    reports[one] = found
                    print(f"{one.options.name}: start {phase}: reported after {time.monotonic() - began:.0f} s", flush=True)
                elif processes[one].poll() is not None:
                    raise RuntimeError(f"{one.options.name}: QEMU ended with {processes[one].returncode} before a report: see {one.folder}")
        if len(reports) == len(machines) and (alone or not last):
            if not alone:
                for process in processes.values():
                    press_power(process)
            for one, process in processes.items():
                limit = max(120, common.timeout - (time.monotonic() - began))
                if not ended(one, phase, process, limit):
                    raise RuntimeError(f"{one.options.name}: start {phase}: reported, but did not {'power off' if last or not alone else 'reboot'}")
    finally:
        for process in processes.values():
            if process.poll() is None:
                process.kill()
            process.wait()
            process.stdin.close()
    for one, report in reports.items():
        with open(os.path.join(one.folder, f"report-{phase}.json"), "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)
    return reports


def contents(path):
    """A file's bytes; none when it is not there yet."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def tail(one, phase):
    """The end of a console, for a message."""
    return contents(one.log(phase, "console"))[-3000:].decode(errors="replace")
