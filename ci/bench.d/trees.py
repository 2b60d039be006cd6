"""A folder of files to make a file system of: a sample of /usr/lib, the same for the same machine."""
import os
import shutil
from pathlib import Path

FILES = 23_000


def make(folder, files=FILES, of="/usr/lib"):
    """Copies so many regular files, evenly spread over all there are, and returns their number and bytes."""
    found = []
    for at, folders, names in os.walk(of):
        folders.sort()
        found += [os.path.join(at, it) for it in sorted(names)]
    found = [it for it in found if os.path.isfile(it) and not os.path.islink(it)]
    count, size = min(files, len(found)), 0
    for number in range(count):
        path = Path(found[number * len(found) // count])
        to = folder / path.relative_to(of)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, to)
        size += to.stat().st_size
    return count, size
