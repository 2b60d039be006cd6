"""Contestants that take turns, the medians of what they took, tables of them, and goals held to them."""
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path


def run(argv, cwd, environment=None):
    """Runs a program to its end; returns wall, user and system seconds, and MiB of memory, of it and all it waited for."""
    with open(cwd / "last.log", "wb") as log:
        start = time.monotonic()
        child = subprocess.Popen([str(it) for it in argv], cwd=cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                 env={**os.environ, **(environment or {})})
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        said = (cwd / "last.log").read_text(errors="replace")[-3000:]
        sys.exit(f"ci/bench: {' '.join(map(str, argv))} ended with {child.returncode}:\n{said}")
    return wall, usage.ru_utime, usage.ru_stime, usage.ru_maxrss / 1024


class Contestant:
    """A program, what is done before each run of it, and the most runs it gets."""

    def __init__(self, name, argv, before=lambda: None, at_most=99, environment=None):
        self.name, self.argv, self.before, self.at_most, self.environment = name, argv, before, at_most, environment


class Report:
    """All that was measured: printed as it comes, and kept for the JSON file."""

    def __init__(self, facts):
        self.facts, self.tables, self.goals = facts, {}, []
        print("\n".join(f"{key}: {value}" for key, value in facts.items()))
        # A child's account begins with its parent's memory.
        self.least = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    def contest(self, title, contestants, cwd, rounds):
        """Lets contestants take turns, prints and returns their medians by name."""
        samples = {it.name: [] for it in contestants}
        for round_ in range(rounds):
            for it in contestants:
                if round_ < it.at_most:
                    it.before()
                    # What earlier runs wrote is on its way no more.
                    os.sync()
                    samples[it.name].append(run(it.argv, cwd, it.environment))
        rows = {}
        print(f"\n### {title}\n\n| | runs | wall s | from – to | user s | system s | RSS MiB |\n|---|--:|--:|--:|--:|--:|--:|")
        for name, taken in samples.items():
            wall, user, system, rss = (statistics.median(it) for it in zip(*taken))
            walls = [it[0] for it in taken]
            rows[name] = {"runs": len(taken), "wall": wall, "wall_min": min(walls), "wall_max": max(walls),
                          "user": user, "system": system, "rss_mib": rss}
            memory = f"{rss:.0f}" if rss > self.least + 1 else f"≤ {self.least:.0f}"
            print(f"| {name} | {len(taken)} | {wall:.2f} | {min(walls):.2f} – {max(walls):.2f} | {user:.2f} | {system:.2f} | {memory} |")
        print()
        sys.stdout.flush()
        self.tables[title] = rows
        return rows

    def faster(self, what, ours, theirs, goal):
        """Holds a goal: so many times less wall time than a peer."""
        self.goal(what, theirs["wall"] / ours["wall"], goal, "times faster", at_least=True)

    def goal(self, what, reached, goal, unit, at_least=False):
        """Holds a goal, and says how far it is reached."""
        met = reached >= goal if at_least else reached <= goal
        self.goals.append({"what": what, "reached": reached, "goal": goal, "at_least": at_least, "unit": unit, "met": met})
        print(f"- {what}: {reached:.3g} {unit}; goal {'≥' if at_least else '≤'} {goal:g}: {'met' if met else 'MISSED'}")
        sys.stdout.flush()

    def write(self, path):
        Path(path).write_text(json.dumps({"facts": self.facts, "tables": self.tables, "goals": self.goals}, indent=1) + "\n")
