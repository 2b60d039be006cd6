#!/usr/bin/env bash
# metal.sh ROOT.tar.zst OUT: the packages a PC of real hardware needs beyond the cloud image, for the kernel in ROOT: linux-modules-extra-ABI,
# with a copy of one of its modules under another name, and linux-firmware, with one file. The stand-in base has all drivers itself.
set -euo pipefail
tarball=$1 out=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tar -I zstd -xf "$tarball" -C "$work" --wildcards './usr/lib/modules/*/kernel/drivers/net/dummy.ko*'
module=$(find "$work/usr" -name 'dummy.ko*')
abi=${module#"$work"/usr/lib/modules/}
abi=${abi%%/*}

package() { # NAME VERSION ARCH DESCRIPTION: closes the tree $work/NAME into a .deb
  local tree=$work/$1
  mkdir -p "$tree/DEBIAN"
  printf 'Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: nodeimg tests <nodeimg@example.invalid>\nSection: kernel\nPriority: optional\nDescription: %s\n' \
    "$@" > "$tree/DEBIAN/control"
  (cd "$tree" && find . -type f -not -path './DEBIAN/*' -printf '%P\0' | sort -z | xargs -0 md5sum > DEBIAN/md5sums)
  dpkg-deb --root-owner-group -b "$tree" "$out" > /dev/null
}
name=linux-modules-extra-$abi
# Under /lib, as Ubuntu's packages have it: on a merged-usr system dpkg follows the link.
install -D -m 644 "$module" "$work/$name/lib/modules/$abi/kernel/drivers/net/stand-in.ko${module##*dummy.ko}"
install -D -m 755 /dev/stdin "$work/$name/DEBIAN/postinst" <<END
#!/bin/sh
set -e

version=$abi

if [ "\$1" != configure ]; then
    exit 0
fi

depmod \$version

exit 0
END
package "$name" 1 amd64 "Linux kernel extra modules for version $abi (nodeimg stand-in)"
install -D -m 644 /dev/stdin "$work/linux-firmware/lib/firmware/stand-in.bin" <<< 'no firmware'
package linux-firmware 1 all "Firmware for Linux kernel drivers (nodeimg stand-in)"
