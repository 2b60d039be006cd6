"""What the booted machine is asked to report, and how the question gets in without a change to the image.

systemd takes units as credentials (systemd.extra-unit.*, since version 256), and credentials from SMBIOS strings (PCs), from QEMU's fw_cfg
(the `virt` machine) and from the kernel's command line (the Raspberry Pi machine, whose kernel QEMU loads). The unit, wanted by the target
that is booted, waits until the machine is settled, and prints a tar file in base64, each line marked, on a serial port.
Not for systemd before 256: Ubuntu 22.04's real images need another way in.
"""

import base64
import gzip
import hashlib
import io
import re
import tarfile

UNIT = "r.service"  # fw_cfg takes names of 55 characters, and its prefix has 46 of them
# Where the kernel's command line cannot ask for the unit (systemd.wants=), this credential does; its name is too long for fw_cfg.
WANTED = {"systemd.unit-dropin.multi-user.target": f"[Unit]\nWants={UNIT}\n".encode()}
MARK = "@nodeimg"

NODES = "/run/nodeimg-nodes"  # what kubectl said of them when enough were Ready

# Each is a file of the report: its name, and the command whose output it holds. No quotes within: the text is in one.
QUESTIONS = {
    "boot-id": "cat /proc/sys/kernel/random/boot_id",
    "running": "systemctl is-system-running",
    "cloud-init": "cloud-init status --long --format json",
    "failed": "systemctl --failed --plain --no-legend",
    "jobs": "systemctl list-jobs --no-legend",
    "root-size": "findmnt -bnro SIZE /",
    "disk-size": "lsblk -bdnro SIZE $(lsblk -nro PKNAME $(findmnt -nro SOURCE /) | sed s,^,/dev/,)",
    "containerd": "ctr version",
    "plugins": "ctr plugins ls",
    "images": "ctr -n k8s.io images list -q",
    "calls": "cat /var/lib/kubeadm-double/calls.log",
    "nodes": "cat %s" % NODES,
    "state": "cat /run/nodeimg/state.json",
    "exports": "exportfs -s",
    "nfsd": "cat /proc/fs/nfsd/threads",
    "audit": "dpkg --audit",
    "hold": "apt-mark showhold",
    "modules": "lsmod",
    "sysctl": "sysctl net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables net.bridge.bridge-nf-call-ip6tables",
    "swaps": "cat /proc/swaps",
    "addresses": "ip -j addr",
    "identity": "hostname; cat /etc/machine-id",
    "secrets": "grep -ac PRIVATE.KEY----- $(blkid -o device -t LABEL=CIDATA || blkid -o device -t LABEL=system-boot)",
    "firmware": "[ -d /sys/firmware/efi ] && echo uefi || echo bios",
    "cmdline": "cat /proc/cmdline",
    "passwords": "awk -F: $P /etc/shadow",
    "warnings": "journalctl -b -p warning -o short-monotonic --no-pager | tail -n 80",
    "journal": "journalctl -b -u nodeimg* -u kubelet -u containerd -u nfs* -o short-monotonic --no-pager | tail -n 150",
    "blame": "systemd-analyze; systemd-analyze blame --no-pager | head -n 12",
}
SMALL = ["boot-id", "running", "cloud-init", "failed", "root-size", "disk-size", "containerd", "calls", "audit", "modules", "sysctl"]


def script(port, settle, until, after, small=False):
    """The report's shell script. port: where to print; until: a shell condition to wait for, then for a settled system, settle seconds at
    most; after: the last command. It waits without end: whoever started the machine has a limit."""
    names = SMALL if small else list(QUESTIONS)
    lines = [
        "T=%d; P='$2!~/^[!*]/{print$1}'; d=/run/nodeimg-report; mkdir -p $d; cd $d" % settle,
        # Who asks is emulated too: each question takes seconds of a processor that others want.
        "until { %s; } >/dev/null 2>&1; do sleep 15; done" % until,
        "timeout $T cloud-init status --wait >/dev/null 2>&1; timeout $T systemctl is-system-running --wait >/dev/null 2>&1",
        *("(%s) >%s 2>%s.err" % (QUESTIONS[name], name, name) for name in names),
        "p=/dev/%s; [ -c $p ] || p=/dev/ttyAMA0" % port,
        # agetty's vhangup makes an earlier open of its terminal write into the void.
        "i=0; while [ $i -lt 60 ] && [ $p = /dev/ttyAMA0 ] && ! systemctl is-active -q serial-getty@ttyAMA0; do sleep 1; i=$((i+1)); done; sleep 2",
        "dmesg -n 1; stty -F $p 115200 -opost; tar c . | gzip -9 >/run/r; s=$(sha256sum </run/r)",
        "for n in 1 2; do { echo; base64 -w 100 /run/r | sed s,^,%s:,; echo %s=$s; } >$p; done; sync" % (MARK, MARK),
        after,
    ]
    return "\n".join(lines) + "\n"


def unit(text, embedded):
    """The unit that runs a script: given inside the unit (compressed), or read from the unit's own credential."""
    if embedded:
        packed = base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()
        run = f"ExecStart=/bin/sh -c 'echo {packed}|base64 -d|gunzip>/run/q;exec sh /run/q'"
    else:
        run = "ImportCredential=nodeimg.report\nExecStart=/bin/sh ${CREDENTIALS_DIRECTORY}/nodeimg.report"
    return f"[Service]\nType=exec\n{run}\n"


def credentials(text, embedded=False):
    """The credentials that put the report into a machine: name -> content."""
    given = {f"systemd.extra-unit.{UNIT}": unit(text, embedded).encode()}
    if not embedded:
        given["nodeimg.report"] = text.encode()
    return given


def extract(console):
    """The report in a serial port's output (bytes): name -> text; None until there is a whole one."""
    rows = []
    for line in console.replace(b"\r", b"").split(b"\n"):
        match = re.search(rb"@nodeimg([:=])(\S*)", line)
        if match and match[1] == b":":
            rows.append(match[2])
        elif match:
            try:
                packed = base64.b64decode(b"".join(rows), validate=True)
            except ValueError:
                packed = b""
            rows = []
            if hashlib.sha256(packed).hexdigest().encode() == match[2]:
                with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as tar:
                    return {member.name.removeprefix("./"): tar.extractfile(member).read().decode(errors="replace")
                            for member in tar if member.isfile()}
    return None
