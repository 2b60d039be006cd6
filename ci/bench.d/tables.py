"""What is measured: one method of Bench for each table."""
import datetime
import os
import platform
import shutil
import subprocess
from pathlib import Path

import peers
import trees
from contest import Contestant, Report, run

ROOT = Path(__file__).resolve().parent.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
MEASURE = TARGET / "examples/measure"
ORIGINS = """https://cloud-images.ubuntu.com https://cdimage.ubuntu.com http://archive.ubuntu.com http://ports.ubuntu.com
    https://download.docker.com https://pkgs.k8s.io https://keyserver.ubuntu.com""".split()
KEYS = {"ubuntu-cloud-images": "cloudimg", "ubuntu-cdimage": "cdimage", "ubuntu-archive": "archive",
        "docker": "docker", "kubernetes": "kubernetes"}
JOBS = str(os.cpu_count())
CONVERT = ["qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized"]
BULK = "https://bulk.invalid"


def stand_ins():
    text = subprocess.run([ROOT / "ci/stand-ins", "keys", "mirror"], check=True, stdout=subprocess.PIPE, text=True).stdout
    return dict(line.split(maxsplit=1) for line in text.splitlines() if " " in line)


def facts(without):
    model = [it.split(":")[1].strip() for it in Path("/proc/cpuinfo").read_text().splitlines() if it.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    return {"date": datetime.date.today().isoformat(), "commit": commit.stdout.strip(), "processors": f"{JOBS} × {model[0]}",
            "memory": f"{memory} GiB", "kernel": platform.release(), **peers.versions(without)}


class Bench:
    def __init__(self, folder, rounds, files, without):
        self.folder, self.rounds, self.without = folder, rounds, without
        self.report = Report(facts(without))
        pieces = stand_ins()
        self.options = ["--cache", folder / "cache", "--mirror", f"{BULK}={folder}"]
        for origin in ORIGINS:
            self.options += ["--mirror", f"{origin}={pieces['mirror']}/{origin.split('//')[1]}"]
        for name, file in KEYS.items():
            self.options += ["--key", f"{name}={pieces['keys']}/{file}.gpg"]
        overlay = folder / "overlays/bench"
        (overlay / "files/etc").mkdir(parents=True)
        (overlay / "overlay.toml").write_text('summary = "one file"\n[[file]]\npath = "/etc/bench"\n')
        self.changes = 0
        self.change()
        self.count, self.size = trees.make(folder / "tree", files)
        run(["tar", "-C", folder / "tree", "--sort=name", "-cf", folder / "tree.tar", "."], folder)
        digest = subprocess.run(["sha256sum", folder / "tree.tar"], check=True, stdout=subprocess.PIPE, text=True).stdout.split()[0]
        (folder / "profiles").mkdir()
        profile = 'summary = "for ci/bench"\nextends = ["worker-amd64"]\noverlays = ["bench"]\n'
        (folder / "profiles/bench.toml").write_text(profile)
        more = f'\n[[file]]\nurl = "{BULK}/tree.tar"\nsha256 = "{digest}"\npath = "/opt/bulk"\nunpack = true\n'
        (folder / "profiles/bulk.toml").write_text(profile + more)
        self.disks = {}
        for name in ["bench", "bulk"]:
            disk = self.disks[name] = folder / f"{name}.raw"
            run(self.build("raw", profile=name), folder)
            os.rename(folder / f"out/{name}.raw", disk)
            print(f"{name}: a disk of {disk.stat().st_size >> 20} MiB with {disk.stat().st_blocks >> 11} MiB of data")
        self.disk = self.disks["bench"]

    def build(self, form, *more, profile="bench"):
        chosen = [] if profile is None else ["--profile", profile]
        return [TARGET / "nodeimg", "build", *chosen, "--format", form, "--out", "out", *self.options, *more]

    def change(self):
        self.changes += 1
        (self.folder / "overlays/bench/files/etc/bench").write_text(f"change {self.changes}\n")

    def forget(self):
        shutil.rmtree(self.folder / "cache/grains", ignore_errors=True)

    def without_outputs(self):
        for name in ["copy.raw", "tree.img", "peer.vmdk", "out/bench.raw"]:
            (self.folder / name).unlink(missing_ok=True)

    def appliance(self):
        self.appliances("bench", self.rounds, 3)

    def bulk(self):
        # A peer takes minutes, and varies by a few hundredths.
        self.appliances("bulk", min(self.rounds, 3), 1)

    def appliances(self, name, rounds, slow):
        disk, fresh = self.disks[name], self.without_outputs
        contestants = [
            Contestant("nodeimg, grains cold", self.build("ova", profile=name), self.forget),
            Contestant("nodeimg, grains cached", self.build("ova", profile=name)),
            Contestant("nodeimg, one overlay file changed", self.build("ova", profile=name), self.change),
            Contestant("qemu-img convert (disk alone)", [*CONVERT, disk, "peer.vmdk"], fresh, slow),
            Contestant("qemu-img convert -m 16 -W (disk alone)", [*CONVERT, "-m", "16", "-W", disk, "peer.vmdk"], fresh, slow),
        ]
        guest = name == "bench" and "virt-customize" not in self.without
        if guest:
            script = f"""cp --sparse=always {disk} copy.raw
                virt-customize -q -a copy.raw --copy-in overlays/bench/files/etc/bench:/etc
                {' '.join(CONVERT)} copy.raw peer.vmdk"""
            environment = peers.guestfs(self.folder)
            print(f"libguestfs runs with {environment or 'its defaults'}")
            contestants.append(Contestant("cp, virt-customize --copy-in, qemu-img convert", ["sh", "-ec", script], fresh, 3, environment))
        title = f"OVA with {disk.stat().st_blocks >> 11} MiB of data, whole build"
        rows = list(self.report.contest(title, contestants, self.folder, rounds).values())
        cold, cached, changed, plain, wide = rows[:5]
        self.report.faster(f"{name}: OVA, grains cold, than qemu-img convert", cold, plain, 8)
        self.report.faster(f"{name}: OVA, grains cold, than qemu-img convert -m 16 -W", cold, wide, 5)
        self.report.faster(f"{name}: OVA, grains cached, than qemu-img convert", cached, plain, 25)
        self.report.faster(f"{name}: OVA, grains cached, than qemu-img convert -m 16 -W", cached, wide, 15)
        if guest:
            self.report.faster(f"{name}: OVA, grains cold, than virt-customize and qemu-img convert", cold, rows[5], 25)
            self.report.faster(f"{name}: OVA, grains cached, than virt-customize and qemu-img convert", cached, rows[5], 25)
        self.report.goal(f"{name}: rebuild, one overlay file changed", changed["wall"], 1, "s")
        if not (self.folder / "peer.vmdk").exists():
            run([*CONVERT, disk, "peer.vmdk"], self.folder)
        ours, theirs = ((self.folder / it).stat().st_size for it in [f"out/{name}.ova", "peer.vmdk"])
        self.report.goal(f"{name}: size of the OVA ({ours} B) to qemu-img's VMDK ({theirs} B)", ours / theirs, 1.03, "times")
        self.report.goal(f"{name}: most memory of an OVA's build", max(it["rss_mib"] for it in rows[:3]) * 1.048576, 300, "MB")

    def raw(self):
        rows = self.report.contest("Raw disk of 20 GiB", [
            Contestant("cp --sparse=always", ["cp", "--sparse=always", self.disk, "copy.raw"], self.without_outputs),
            Contestant("cp --sparse=always, sync", ["sh", "-ec", f"cp --sparse=always {self.disk} copy.raw; sync copy.raw"], self.without_outputs),
            Contestant("nodeimg build --format raw", self.build("raw"), self.without_outputs),
            Contestant("nodeimg build --format raw --sha256", self.build("raw", "--sha256"), self.without_outputs, 3),
            Contestant("nodeimg build --format img.zst", self.build("img.zst"), at_most=3),
        ], self.folder, self.rounds)
        cp, brought, raw, *_ = rows.values()
        self.report.goal("raw disk with its block map to cp --sparse=always", raw["wall"] / cp["wall"], 1.5, "times")
        self.report.goal("the same to cp --sparse=always, brought to the disk as ours is", raw["wall"] / brought["wall"], 1.5, "times")

    def trees(self):
        fresh = self.without_outputs
        rows = self.report.contest(f"ext4 from a tree of {self.count} files, {self.size >> 20} MiB", [
            Contestant("nodeimg's ext4", [MEASURE, "tree", "tree", "tree.img", JOBS], fresh),
            Contestant("mke2fs -d", ["/usr/sbin/mke2fs", "-q", "-t", "ext4", "-d", "tree", "tree.img", f"{(self.size * 5 // 4 >> 20) + 64}M"], fresh),
            *([] if "tar2ext4" in self.without else [Contestant("tar2ext4, from one tar file", ["tar2ext4", "-i", "tree.tar", "-o", "tree.img"], fresh)]),
        ], self.folder, self.rounds)
        ours, *theirs = rows.values()
        for name, row, goal in zip(["mke2fs -d", "tar2ext4"], theirs, [2, 1.3]):
            self.report.faster(f"ext4 from a tree, than {name}", ours, row, goal)

    def qcow2(self):
        base, fresh = self.folder / "base.qcow2", self.without_outputs
        run(["qemu-img", "convert", "-m", "16", "-W", "-c", "-O", "qcow2", self.disks["bulk"], base], self.folder)
        convert = ["qemu-img", "convert", "-f", "qcow2", "-O", "raw"]
        rows = self.report.contest("qcow2 (deflate) to raw", [
            Contestant("nodeimg's disk", [MEASURE, "raw", base, "copy.raw", JOBS], fresh),
            Contestant("qemu-img convert", [*convert, base, "copy.raw"], fresh),
            Contestant("qemu-img convert -m 16 -W", [*convert, "-m", "16", "-W", base, "copy.raw"], fresh),
        ], self.folder, self.rounds)
        ours, plain, wide = rows.values()
        self.report.faster("reading qcow2, than qemu-img convert", ours, plain, 2)
        self.report.faster("reading qcow2, than qemu-img convert -m 16 -W", ours, wide, 2)

    def stages(self):
        sample = self.folder / "sample"
        print("\n### Stages: MB/s of input\n\n| | MiB | library, 1 thread | library, a thread a processor | nodeimg |\n|---|--:|--:|--:|--:|")
        held = []
        for stage, mib in [("sha256", 512), ("deflate", 256), ("zst", 256), ("xz", 32)]:
            # In pieces: what this process holds counts as memory of those that it starts.
            with open(self.folder / "tree.tar", "rb") as source, open(sample, "wb") as out:
                source.seek(256 << 20)
                for _ in range(mib):
                    out.write(source.read(1 << 20))
            told = subprocess.run([MEASURE, "stage", stage, sample, JOBS, str(min(self.rounds, 3))], check=True, stdout=subprocess.PIPE, text=True)
            single, wide, ours = (sample.stat().st_size / 1e6 / float(it) for it in told.stdout.split())
            print(f"| {stage} | {sample.stat().st_size >> 20} | {single:.0f} | {wide:.0f} | {ours:.0f} |")
            self.report.tables.setdefault("stages, MB/s", {})[stage] = {"library": single, "library_parallel": wide, "nodeimg": ours}
            held.append((f"{stage}: of the library's speed on one thread × {JOBS}", ours / single / int(JOBS) * 100))
            held.append((f"{stage}: of the library's speed on {JOBS} threads", ours / wide * 100))
        print()
        for what, reached in held:
            self.report.goal(what, reached, 85, "%", at_least=True)

    def metadata(self):
        gib = 1 << 30
        sizes = {"nothing": (0, 0), "files": (500_000, 0), "blocks": (0, 32 * gib)}
        taken = {}
        for name, (files, data) in sizes.items():
            runs = [subprocess.run([MEASURE, "metadata", str(files), str(data), str(64 * gib)], check=True, stdout=subprocess.PIPE, text=True).stdout
                    for _ in range(min(self.rounds, 3))]
            taken[name] = [sorted(it)[len(runs) // 2] for it in zip(*([float(it) for it in run_.split()] for run_ in runs))]
        print("\n### Metadata of a volume of 64 GiB\n\n| | µs to lay out | µs to make | bytes on the volume | bytes of memory |\n|---|--:|--:|--:|--:|")
        least = taken["nothing"]
        for name, unit in [("files", 500_000), ("blocks", 32 * gib // 4096)]:
            layout, made, size = ((taken[name][it] - least[it]) / unit for it in range(3))
            memory = (taken[name][4] - least[4]) * 1024 / unit
            print(f"| {'an inode' if name == 'files' else 'a block of one file'} | {layout * 1e6:.3f} | {made * 1e6:.3f} | {size:.3f} | {memory:.1f} |")
            self.report.tables.setdefault("metadata", {})[name] = {"layout_us": layout * 1e6, "write_us": made * 1e6, "bytes": size, "memory_bytes": memory}
        print(f"\nAn empty volume: {sum(least[:2]) * 1000:.1f} ms, {least[2] / 1e6:.1f} MB written, {least[4] / 1024:.0f} MiB of memory.")

    def nodes(self):
        init = [TARGET / "nodeimg", "cluster", "init", "bench"]
        run(init, self.folder)
        workers = [f'\n[[node]]\nname = "bench{it}"\nrole = "worker"\nprofile = "bench"\n' for it in range(10)]
        with open(self.folder / "cluster.toml", "a") as file:
            file.write("".join(workers))
        run(init, self.folder)
        named = [["--node", f"bench{it}"] for it in range(10)]
        all_ = sum(named, [])
        rows = self.report.contest("Ten nodes of one profile, grains cold", [
            Contestant("one: image and seed", self.build("ova", *named[0], profile=None), self.forget, 3),
            Contestant("ten: image and seeds", self.build("ova", *all_, profile=None), self.forget, 3),
            Contestant("one image, its seed inside", self.build("ova", "--per-node", "image", *named[0], profile=None), self.forget, 3),
            Contestant("ten images, each seed inside", self.build("ova", "--per-node", "image", *all_, profile=None), self.forget, 3),
        ], self.folder, self.rounds)
        for name in ["cluster.toml", "cluster.secrets"]:
            # With a cluster, other tables' builds would ask which node they are for.
            os.rename(self.folder / name, self.folder / f"ten-{name}")
        one, ten, one_image, ten_images = (it["wall"] for it in rows.values())
        self.report.goal("ten nodes of one profile (an image, ten seeds) to one", ten / one, 1.2, "times")
        self.report.goal("ten whole images of one profile to one", ten_images / one_image, 1.2, "times")
