#!/usr/bin/env bash
# vbox.sh OUT DOWNLOADS: a chroot with VirtualBox's user-space programs, OUT/root, from Debian's unstable suite, the only one that has them.
# A mirror of it may be some days old, hence no check of its date.
# No driver: virtualbox-source stands for the kernel module, and is never built. Enough to import, inspect and clone, not to start a machine.
set -euo pipefail
out=$1 downloads=$2
mkdir -p "$downloads"
# shellcheck disable=SC2016  # mmdebstrap's shell expands $1, the root's path
env -i PATH="$PATH" LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive ${http_proxy:+http_proxy="$http_proxy"} \
  mmdebstrap --quiet --mode=root --format=directory --variant=apt --arch=amd64 --components=main,contrib \
  --include=virtualbox,virtualbox-source --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Apt::Install-Recommends "false"' --dpkgopt=force-unsafe-io \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  --skip=download/empty --skip=essential/unlink --skip=cleanup/apt/cache \
  --setup-hook='mkdir -p "$1"/var/cache/apt/archives' --setup-hook="sync-in $downloads /var/cache/apt/archives" \
  --customize-hook="sync-out /var/cache/apt/archives $downloads" \
  --customize-hook='rm -rf "$1"/var/cache/apt/archives/* "$1"/var/cache/apt/*.bin "$1"/var/lib/apt/lists/*' \
  sid "$out/root"
rm -rf "$downloads/lock" "$downloads/partial"
# It asks /proc where it is.
# shellcheck disable=SC2016  # the inner shell's argument
unshare --mount sh -euc 'mount -t proc proc "$1/proc"; chroot "$1" /usr/lib/virtualbox/VBoxManage --version' sh "$out/root"
