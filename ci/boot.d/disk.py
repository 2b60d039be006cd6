"""Disks for the boots: a copy-on-write overlay over the artifact, so that nothing is ever written to it; and what the Raspberry Pi's
firmware would take from the boot partition."""

import os
import re
import subprocess
import tarfile

FORMATS = {".img": "raw", ".raw": "raw", ".qcow2": "qcow2", ".vmdk": "vmdk"}


def run(*command, **more):
    """A program that must succeed."""
    return subprocess.run(command, check=True, capture_output=True, **more).stdout


def unpack(artifact, folder):
    """The disk image inside an artifact, its format, and further disks: an OVA's VMDKs are taken out, a compressed image unpacked with holes."""
    name = os.path.basename(artifact)
    if name.endswith(".ova"):
        with tarfile.open(artifact) as tar:
            names = [member.name for member in tar if re.fullmatch(r"[^/]+\.vmdk", member.name)]
            for disk in names:
                tar.extract(disk, folder)
        if not names:
            raise RuntimeError(f"{artifact}: no .vmdk in it")
        first, *more = (os.path.join(folder, disk) for disk in names)
        return first, "vmdk", more
    for suffix, program in ((".xz", ["xz", "-T0", "-dc"]), (".zst", ["zstd", "-dcq"]), (".gz", ["gzip", "-dc"])):
        if name.endswith(suffix):
            target = os.path.join(folder, name.removesuffix(suffix))
            with subprocess.Popen([*program, artifact], stdout=subprocess.PIPE) as source:
                subprocess.run(["dd", f"of={target}", "bs=1M", "iflag=fullblock", "conv=sparse", "status=none"], stdin=source.stdout, check=True)
            if source.returncode != 0:
                raise RuntimeError(f"{artifact}: {program[0]} failed")
            os.truncate(target, (os.path.getsize(target) + 511) // 512 * 512)
            return target, "raw", []
    suffix = os.path.splitext(name)[1]
    if suffix not in FORMATS:
        raise RuntimeError(f"{artifact}: no disk image I know: {sorted(FORMATS)}, .ova, or one of them with .xz, .zst, .gz")
    with open(artifact, "rb") as file:
        # Ubuntu's cloud image is a qcow2 by the name of .img.
        magic = file.read(4)
    return os.path.abspath(artifact), "qcow2" if magic == b"QFI\xfb" else FORMATS[suffix], []


def overlay(image, kind, size, folder):
    """A qcow2 over an image, of the given size (as qemu-img takes it; None: the image's own)."""
    path = os.path.join(folder, "overlay.qcow2")
    run("qemu-img", "create", "-q", "-f", "qcow2", "-F", kind, "-b", image, path, *([size] if size else []))
    return path


def mcopy(image, *arguments):
    """Copies from or to partition 1 of a raw image, `::/`."""
    with open(image, "rb") as file:
        start = int.from_bytes(file.read(512)[446 + 8:446 + 12], "little") * 512
    run("mcopy", "-o", "-i", f"{image}@@{start}", *arguments, env={**os.environ, "MTOOLS_SKIP_CHECK": "1"})


def with_seed(image, seed, folder):
    """A copy of a Pi's card, with a node's files copied onto its boot partition, as its owner does it."""
    card = os.path.join(folder, "card.img")
    run("cp", "--sparse=always", image, card)
    mcopy(card, *(os.path.join(seed, name) for name in sorted(os.listdir(seed))), "::/")
    return card


def firmware_files(image, folder):
    """What the Pi's firmware reads from partition 1 of a raw image: kernel, initrd, command line, device tree. Returns their paths."""
    paths = {name: os.path.join(folder, name) for name in ("vmlinuz", "initrd.img", "cmdline.txt", "bcm2711-rpi-4-b.dtb")}
    for name, path in paths.items():
        mcopy(image, f"::/{name}", path)
    return paths


def qemu_device_tree(source, target):
    """The Pi 4's device tree, cut down to what QEMU's raspi4b emulates."""
    run("cp", source, target)

    def put(*arguments):
        subprocess.run(["fdtput", *arguments], check=False, capture_output=True)

    # Display, camera and HDMI: touching them is a synchronous external abort.
    for node in run("fdtget", "-l", source, "/soc", text=True).split():
        if re.match(r".*@7ef|(hvs|pixelvalve|vec|txp|dsi|csi)@", node):
            put("-t", "s", target, f"/soc/{node}", "status", "disabled")
    # Otherwise ttyAMA0 becomes Bluetooth's port, and has no terminal.
    put("-r", target, "/soc/serial@7e201000/bluetooth")
    # QEMU hangs the SD card on the older controller, which the tree gives to Wi-Fi.
    for name in ("mmc-pwrseq", "non-removable"):
        put("-d", target, "/soc/mmc@7e300000", name)
    put("-r", target, "/soc/mmc@7e300000/wifi@1")
    put(target, "/soc/mmc@7e300000", "broken-cd")
    put("-t", "s", target, "/soc/mmc@7e300000", "status", "okay")
    put("-t", "s", target, "/emmc2bus/mmc@7e340000", "status", "disabled")
    return target
