"""Finished images as lower layers: a disk's root partition by a loop device, read only; a folder as it is."""

import json
import os
import pathlib
import subprocess


def root_partition(disk):
    """First byte and size of the ext4 partition that is the root file system, the largest of the table."""
    table = json.loads(subprocess.run(["sfdisk", "--json", disk], check=True, capture_output=True, text=True).stdout)["partitiontable"]
    largest = max(table["partitions"], key=lambda it: it["size"])
    return largest["start"] * 512, largest["size"] * 512


def lower(image, work):
    """A folder with the image's root file system; it goes with our mount namespace."""
    if os.path.isdir(image):
        return image
    start, size = root_partition(image)
    target = pathlib.Path(work, "image-" + os.path.basename(image))
    if not target.exists():
        target.mkdir()
        # Its journal is clean: a finished image was never mounted.
        subprocess.run(["mount", "-t", "ext4", "-o", f"loop,ro,noload,offset={start},sizelimit={size}", image, target], check=True)
    return target
