"""Finished images as lower layers: a disk's root partition by a loop device, read only; a folder as it is. An appliance's disk is converted
first, with its holes."""

import json
import os
import pathlib
import subprocess
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "boot.d"))

import disk  # noqa: E402


def root_partition(raw):
    """First byte and size of the ext4 partition that is the root file system, the largest of the table."""
    table = json.loads(subprocess.run(["sfdisk", "--json", raw], check=True, capture_output=True, text=True).stdout)["partitiontable"]
    largest = max(table["partitions"], key=lambda it: it["size"])
    return largest["start"] * 512, largest["size"] * 512


def lower(image, role, folder, work):
    """A folder with the image's root file system; it goes with our mount namespace."""
    if os.path.isdir(image):
        return image
    raw, kind, _ = disk.unpack(image, folder)
    if kind != "raw":
        converted = pathlib.Path(folder, f"{role}.raw")
        disk.run("qemu-img", "convert", "-f", kind, "-O", "raw", raw, converted)
        if raw != os.path.abspath(image):
            os.unlink(raw)
        raw = converted
    start, size = root_partition(raw)
    target = pathlib.Path(work, "image-" + role)
    target.mkdir()
    # Its journal is clean: a finished image was never mounted.
    subprocess.run(["mount", "-t", "ext4", "-o", f"loop,ro,noload,offset={start},sizelimit={size}", raw, target], check=True)
    return target
