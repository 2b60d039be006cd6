#!/usr/bin/env bash
# metal.sh ROOT.tar.zst OUT: the packages a PC of real hardware needs beyond the cloud image, for the kernel in ROOT: linux-modules-extra-ABI,
# with a copy of one of its modules under another name, and linux-firmware, with one file. The stand-in base has all drivers itself.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
tarball=$1 out=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tar -I zstd -xf "$tarball" -C "$work" --wildcards './usr/lib/modules/*/kernel/drivers/net/dummy.ko*'
module=$(find "$work/usr" -name 'dummy.ko*')
abi=${module#"$work"/usr/lib/modules/}
abi=${abi%%/*}

control() { # TREE NAME ARCH DESCRIPTION: begins a package
  mkdir -p "$1/DEBIAN"
  printf 'Package: %s\nVersion: 1\nArchitecture: %s\nMaintainer: nodeimg tests <nodeimg@example.invalid>\nSection: kernel\nPriority: optional\nDescription: %s\n' \
    "${@:2}" > "$1/DEBIAN/control"
}
control "$work/extra" "linux-modules-extra-$abi" amd64 "Linux kernel extra modules for version $abi (nodeimg stand-in)"
# Under /lib, as Ubuntu's packages have it: on a merged-usr system dpkg follows the link.
install -D -m 644 "$module" "$work/extra/lib/modules/$abi/kernel/drivers/net/stand-in.ko${module##*dummy.ko}"
"$here/modules-package.sh" "$work/extra" "$abi" "$out"

control "$work/firmware" linux-firmware all "Firmware for Linux kernel drivers (nodeimg stand-in)"
install -D -m 644 /dev/stdin "$work/firmware/lib/firmware/stand-in.bin" <<< 'no firmware'
(cd "$work/firmware" && md5sum lib/firmware/stand-in.bin > DEBIAN/md5sums)
dpkg-deb --root-owner-group -b "$work/firmware" "$out" > /dev/null
