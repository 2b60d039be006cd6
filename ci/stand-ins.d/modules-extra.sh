#!/usr/bin/env bash
# modules-extra.sh ROOT ABI ARCH OUT: moves kernel modules that Ubuntu keeps in linux-modules-extra out of ROOT into the package
# OUT/linux-modules-extra-ABI_*.deb, and makes the metapackage linux-modules-extra-raspi. The base is consistent without them: its modules.dep
# and dpkg's file list of the kernel do not name them.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$1 abi=$2 arch=$3 out=$4
package=linux-modules-extra-$abi
kernel=$(awk -v want="linux-image-$abi" '$1 == "Package:" { name = $2 } $1 == "Version:" && name == want { print $2 }' "$root/var/lib/dpkg/status")
tree=$out/tree
info=$root/var/lib/dpkg/info/linux-image-$abi

mkdir -p "$tree/DEBIAN" "$tree/usr/share/doc/$package"
moved=0
for module in drivers/net/vxlan/vxlan drivers/net/geneve drivers/net/bareudp drivers/net/macvlan drivers/net/macvtap drivers/net/wireguard/wireguard \
  net/ipv4/ipip net/ipv6/sit net/openvswitch/openvswitch net/openvswitch/vport-vxlan net/openvswitch/vport-geneve net/openvswitch/vport-gre; do
  for file in "$root/usr/lib/modules/$abi/kernel/$module".ko*; do
    [ -e "$file" ] || continue
    path=${file#"$root"/usr}
    # Under /lib, as Ubuntu's packages have it: on a merged-usr system dpkg follows the link.
    mkdir -p "$tree$(dirname "$path")"
    mv "$file" "$tree$path"
    sed -i "\\|^/usr$path\$|d; \\|^$path\$|d" "$info.list"
    sed -i "\\| usr$path\$|d; \\| ${path#/}\$|d" "$info.md5sums"
    moved=$((moved + 1))
  done
done
[ -e "$tree/lib/modules/$abi/kernel/drivers/net/vxlan" ] || { echo "modules-extra.sh: the kernel has no vxlan module" >&2; exit 2; }
rm -f "$root/usr/lib/modules/$abi"/modules.*.bin
depmod -b "$root" "$abi"

cat > "$tree/DEBIAN/control" <<END
Package: $package
Source: linux-raspi
Version: $kernel
Architecture: $arch
Maintainer: nodeimg tests <nodeimg@example.invalid>
Section: kernel
Priority: optional
Depends: linux-image-$abi
Description: Linux kernel extra modules for version $abi (nodeimg stand-in)
 $moved modules taken out of the stand-in base image, as Ubuntu keeps them out of its Pi image.
END
printf 'Modules of the Debian kernel %s, under its licence (GPL-2).\n' "$kernel" > "$tree/usr/share/doc/$package/copyright"
"$here/modules-package.sh" "$tree" "$abi" "$out"
rm -rf "$tree"

meta=$out/meta
mkdir -p "$meta/DEBIAN"
cat > "$meta/DEBIAN/control" <<END
Package: linux-modules-extra-raspi
Source: linux-meta-raspi
Version: $kernel
Architecture: $arch
Maintainer: nodeimg tests <nodeimg@example.invalid>
Section: kernel
Priority: optional
Depends: $package
Description: Extra drivers for Raspberry Pi kernels (nodeimg stand-in)
END
dpkg-deb --root-owner-group -b "$meta" "$out" > /dev/null
rm -rf "$meta"
