#!/usr/bin/env bash
# base-arm64.sh ROOT-FOLDER AMD64-ROOT.tar.zst OUT: OUT/base.img.xz, laid out as Ubuntu's preinstalled-server-arm64+raspi image is: MBR with
# FAT32 "system-boot" and ext4 "writable". As on Ubuntu's Pi image part of the kernel's modules is not in the base but in a package
# linux-modules-extra-<abi>, in OUT/debs. Also OUT/base.manifest.
# The amd64 root is used for its Python alone: byte code is the same on every architecture, and compiling it natively saves minutes.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
from=$1 native=$2 out=$3
root=$out/root boot=$out/system-boot image=$out/disk.raw
fsuuid=4e2d6a10-0000-4000-8000-00000000bb02
export LC_ALL=C.UTF-8 SOURCE_DATE_EPOCH=1704067200 MTOOLS_SKIP_CHECK=1

mkdir -p "$root" "$boot/overlays"
tar -I zstd --xattrs --xattrs-include='*' --numeric-owner -xf "$from/root.tar.zst" -C "$root"
"$here/configure.sh" "$root" writable http://ports.ubuntu.com/ubuntu-ports http://ports.ubuntu.com/ubuntu-ports \
  "$(printf 'LABEL=system-boot       /boot/firmware  vfat    defaults        0       1')"
version=$(ls "$root/lib/modules")
mkdir -p "$root/boot/firmware"
printf 'datasource_list: [ NoCloud, None ]\n' > "$root/etc/cloud/cloud.cfg.d/90_dpkg.cfg"
cat > "$root/etc/cloud/cloud.cfg.d/99-fake_cloud.cfg" <<'END'
# configure cloud-init for NoCloud
datasource_list: [ NoCloud, None ]
datasource:
  NoCloud:
    fs_label: system-boot
END

mkdir "$out/native"
tar -I zstd -xf "$native" -C "$out/native"
# Time-stamped byte code, as py3compile writes: SOURCE_DATE_EPOCH would make it hashed. A mount namespace of its own leaves no mount behind.
# shellcheck disable=SC2016  # the inner shell's arguments
unshare --mount sh -euc '
  mount --bind "$1" "$2/mnt"
  env -u SOURCE_DATE_EPOCH -u PYTHONDONTWRITEBYTECODE chroot "$2" sh -c \
    "python3 -m compileall -q -j0 --invalidation-mode timestamp -s /mnt -p / /mnt/usr/lib/python3 /mnt/usr/lib/python3.[0-9]* || true"
' sh "$root" "$out/native"
rm -rf "$out/native"

"$here/modules-extra.sh" "$root" "$version" arm64 "$out/debs"
chroot "$root" dpkg-query -W > "$out/base.manifest"

cp "$root/boot/vmlinuz-$version" "$boot/vmlinuz"
cp "$root/boot/initrd.img-$version" "$boot/initrd.img"
find "$root/usr/lib/linux-image-$version/broadcom" \( -name 'bcm27*.dtb' -o -name 'bcm2837*.dtb' \) -print0 | xargs -0 cp -t "$boot"
find "$from/firmware/usr/lib/raspi-firmware" \( -name bootcode.bin -o -name 'start*.elf' -o -name 'fixup*.dat' \) -print0 | xargs -0 cp -t "$boot"
cp "$here"/system-boot/* "$boot/"

# 3500 MiB: no power of two, as the real one is none.
truncate -s 3500M "$image"
sfdisk -q "$image" <<'END'
label: dos
label-id: 0x4e2d6a20
unit: sectors

start=2048, size=524288, type=c, bootable
start=526336, type=83
END
truncate -s 256M "$out/fat"
mkfs.vfat -F 32 -n system-boot -i 4E2D6A20 --invariant "$out/fat" > /dev/null
mcopy -s -i "$out/fat" "$boot"/* ::/
dd if="$out/fat" of="$image" bs=1M seek=1 conv=notrunc,sparse status=none

blocks=$(sfdisk -J "$image" | python3 -c 'import json, sys; print(json.load(sys.stdin)["partitiontable"]["partitions"][1]["size"] // 8)')
truncate -s $((blocks * 4096)) "$out/root.ext4"
E2FSPROGS_FAKE_TIME=$SOURCE_DATE_EPOCH mke2fs -q -F -t ext4 -b 4096 -i 8192 -m 0 -L writable -U "$fsuuid" \
  -O ^orphan_file,^metadata_csum_seed -E "resize=536870912,lazy_itable_init=1,hash_seed=$fsuuid" -d "$root" "$out/root.ext4"
dd if="$out/root.ext4" of="$image" bs=1M seek=257 conv=notrunc,sparse status=none

# Blocks of 24 MiB are what xz -T makes at its default level; level 1 costs a quarter of the time.
xz -T0 -1 --block-size=24MiB -c "$image" > "$out/base.img.xz"
rm -rf "$root" "$boot" "$image" "$out/root.ext4" "$out/fat"
