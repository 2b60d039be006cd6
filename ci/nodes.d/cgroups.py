"""The nodes' control groups: one for each start of each node, under whichever hierarchies this machine has."""

import os
import pathlib

ROOT = pathlib.Path("/sys/fs/cgroup")


class Cgroups:
    """Where this machine's hierarchies are, and what systemd-nspawn is told of them.

    A node sees the unified hierarchy alone: systemd is content with it, and the doubles run no containers. (On a machine whose controllers
    are on the old hierarchy, runc is not.)"""

    arguments: tuple = ()

    def __init__(self, run):
        self.run = f"nodeimg-{run}"
        unified = ROOT if (ROOT / "cgroup.controllers").exists() else ROOT / "unified"
        if not (unified / "cgroup.procs").exists():
            raise RuntimeError("there is no unified control group hierarchy (cgroup2) at /sys/fs/cgroup: systemd-nspawn cannot boot a node")
        self.places = [it for it in (unified, ROOT / "systemd") if (it / "cgroup.procs").exists()]
        self.environment = {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}

    def _groups(self, name):
        return [it / f"{self.run}-{name}" for it in self.places]

    def enter(self, name):
        """Moves this process in: called by the child that becomes the node."""
        for group in self._groups(name):
            group.mkdir(exist_ok=True)
            (group / "cgroup.procs").write_text(str(os.getpid()))

    def leave(self, name):
        """Removes the groups. What is in them still ends: sweep removes what has to stay until then."""
        for group in self._groups(name):
            for folder in [it for it, _, _ in os.walk(group, topdown=False)]:
                try:
                    os.rmdir(folder)
                except OSError:
                    pass

    def sweep(self):
        """Removes what a run left."""
        for place in self.places:
            for group in place.glob(self.run + "-*"):
                self.leave(group.name.removeprefix(self.run + "-"))
