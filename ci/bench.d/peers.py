"""The programs nodeimg is measured beside: whether they are there, and how they are called."""
import os
import shutil
import subprocess
import sys

PACKAGES = {"qemu-img": "qemu-utils", "mke2fs": "e2fsprogs", "cp": "coreutils", "tar": "tar",
            "virt-customize": "libguestfs-tools and linux-image-cloud-amd64"}
VERSIONS = {"qemu-img": ["--version"], "mke2fs": ["-V"], "virt-customize": ["--version"]}
TAR2EXT4 = """it is in no package of Debian. Take its source (github.com/microsoft/hcsshim, v0.9.12), then
    apt-get install golang-go golang-github-pkg-errors-dev golang-github-sirupsen-logrus-dev
    GO111MODULE=off GOPATH=FOLDER:/usr/share/gocode go build ./cmd/tar2ext4     # in FOLDER/src/github.com/Microsoft/hcsshim
  and put the program into PATH"""


def require(without):
    """Ends the program with what to install, unless all peers are there that are not left out."""
    wanted = [it for it in [*PACKAGES, "tar2ext4"] if it not in without]
    lacking = [it for it in wanted if not shutil.which(it, path=os.environ["PATH"] + ":/usr/sbin:/sbin")]
    for it in lacking:
        how = f"apt-get install {PACKAGES[it]}" if it in PACKAGES else TAR2EXT4
        print(f"ci/bench: {it} is missing: {how}; or leave it out: --without {it}", file=sys.stderr)
    if "virt-customize" in wanted and not lacking and not any(it.startswith("vmlinuz") for it in os.listdir("/boot")):
        print("ci/bench: virt-customize boots a kernel of /boot, and there is none: apt-get install linux-image-cloud-amd64; "
              "or leave it out: --without virt-customize", file=sys.stderr)
        lacking = True
    if lacking:
        sys.exit(2)


def versions(without):
    """What the peers call themselves."""
    told = {}
    for name, argument in VERSIONS.items():
        if name not in without:
            done = subprocess.run([name, *argument], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True,
                                  env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"})
            told[name] = done.stdout.splitlines()[0]
    return told


def guestfs(folder):
    """Returns the environment in which libguestfs starts, which on virtual machines it may only do without KVM."""
    own = {key: os.environ[key] for key in os.environ if key.startswith("LIBGUESTFS_")}
    for how in [own, {"LIBGUESTFS_BACKEND": "direct", "LIBGUESTFS_BACKEND_SETTINGS": "force_tcg"}]:
        with open(folder / "guestfs.log", "wb") as log:
            try:
                done = subprocess.run(["virt-filesystems", "-a", "/dev/null"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                      env={**os.environ, **how}, timeout=300, check=False)
            except subprocess.TimeoutExpired:
                continue
        if done.returncode == 0:
            return how
    said = (folder / "guestfs.log").read_text(errors="replace")[-3000:]
    sys.exit(f"ci/bench: libguestfs does not start here; leave it out: --without virt-customize\n{said}")
