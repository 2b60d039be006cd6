#!/usr/bin/env bash
# root.sh ARCH OUT DOWNLOADS: a configured Debian root file system for ARCH (amd64 or arm64) with what Ubuntu's image of that machine
# has (cloud-init, netplan, OpenSSH, a kernel with its initramfs, boot loaders), as OUT/root.tar.zst.
# It is the slow part of a stand-in base, and so it is a piece of its own; base-amd64.sh and base-arm64.sh make images of it.
# Needs root; for arm64 on another machine also qemu-user-static, through binfmt_misc.
set -euo pipefail
arch=$1 out=$2 downloads=$3
suite=trixie
root=$out/root

packages="initramfs-tools",zstd,systemd-sysv,udev,dbus,libpam-systemd,systemd-resolved,systemd-timesyncd
packages+=,cloud-init,cloud-guest-utils,openssh-server,netplan.io,sudo,iproute2,iputils-ping,netbase,procps,psmisc
packages+=,ca-certificates,curl,gnupg,less,vim-tiny,kmod,e2fsprogs,fdisk,gdisk,dosfstools,xz-utils,tzdata,lsb-release
case $arch in
amd64)
  packages+=,linux-image-amd64,grub2-common,grub-pc-bin,grub-efi-amd64-bin,bsdextrautils
  components=main
  initramfs='MODULES=list'
  # sr_mod and isofs: cloud-init's ds-identify runs before udev, and without a seed device to be seen cloud-init stays off for the boot.
  modules='virtio_pci virtio_blk virtio_scsi virtio_net sd_mod sr_mod isofs ahci ata_piix ata_generic mptspi mptsas nvme ext4'
  ;;
arm64)
  packages+=,linux-image-arm64
  components=main,non-free-firmware
  initramfs='MODULES=most'
  modules=''
  # binfmt_misc hands arm64 programs to qemu-user; a fresh container has it neither mounted nor filled.
  if ! arch-test arm64 >/dev/null; then
    [ -e /proc/sys/fs/binfmt_misc/status ] || mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
    # Newer qemu-user packages register by systemd's binfmt.d alone, older ones by update-binfmts.
    if [ -e /usr/lib/binfmt.d/qemu-aarch64.conf ]; then grep -v '^[#;]' /usr/lib/binfmt.d/qemu-aarch64.conf > /proc/sys/fs/binfmt_misc/register
    else update-binfmts --enable qemu-aarch64; fi
    arch-test arm64 >/dev/null || { echo "root.sh: arm64 programs do not run here: install qemu-user-static and mount binfmt_misc" >&2; exit 2; }
  fi
  ;;
*) echo "root.sh: no such architecture: $arch" >&2; exit 1 ;;
esac

hooks=()
if [ "$arch" = arm64 ]; then
  # Compiling byte code is most of the time under emulation. It does not depend on the machine: base-arm64.sh does it natively.
  # shellcheck disable=SC2016  # mmdebstrap's shell expands $1, the root's path
  hooks+=(
    --essential-hook='chroot "$1" dpkg-divert --quiet --local --rename --divert /usr/bin/py3compile.real --add /usr/bin/py3compile'
    --essential-hook='printf "#!/bin/sh\nexit 0\n" > "$1"/usr/bin/py3compile; chmod 755 "$1"/usr/bin/py3compile'
    --customize-hook='rm "$1"/usr/bin/py3compile'
    --customize-hook='chroot "$1" dpkg-divert --quiet --local --rename --remove /usr/bin/py3compile'
    --customize-hook='chroot "$1" sh -c "cd /var/cache/apt/archives && apt-get -q download raspi-firmware"'
    --customize-hook='mkdir "$1"/../firmware && dpkg-deb -x "$1"/var/cache/apt/archives/raspi-firmware_*.deb "$1"/../firmware'
  )
fi
mkdir -p "$downloads"
# The environment is emptied: SOURCE_DATE_EPOCH would make Python write byte code that is hashed at each import,
# PYTHONDONTWRITEBYTECODE none at all.
# shellcheck disable=SC2016
env -i PATH="$PATH" LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive ${http_proxy:+http_proxy="$http_proxy"} \
  mmdebstrap --quiet --mode=root --format=directory --variant=apt --arch="$arch" \
  --components="$components" --include="$packages" \
  --aptopt='Apt::Install-Recommends "false"' --dpkgopt=force-unsafe-io --dpkgopt=force-confold \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
  --dpkgopt='path-include=/usr/share/doc/*/copyright' --dpkgopt='path-exclude=/usr/share/locale/*' \
  --skip=download/empty --skip=essential/unlink --skip=cleanup/apt/cache \
  --setup-hook='mkdir -p "$1"/var/cache/apt/archives' \
  --setup-hook="sync-in $downloads /var/cache/apt/archives" \
  --essential-hook='mkdir -p "$1"/etc/initramfs-tools/conf.d' \
  --essential-hook="printf '%s\nCOMPRESS=zstd\nCOMPRESSLEVEL=3\n' '$initramfs' > \"\$1\"/etc/initramfs-tools/conf.d/stand-in.conf" \
  --essential-hook="printf '%s\n' $modules > \"\$1\"/etc/initramfs-tools/modules" \
  "${hooks[@]}" \
  --customize-hook="sync-out /var/cache/apt/archives $downloads" \
  --customize-hook='rm -rf "$1"/var/cache/apt/archives/* "$1"/var/cache/apt/*.bin "$1"/var/lib/apt/lists/*' \
  --customize-hook='rm -f "$1"/etc/dpkg/dpkg.cfg.d/99mmdebstrap "$1"/etc/apt/apt.conf.d/99mmdebstrap' \
  "$suite" "$root"
rm -rf "$downloads/lock" "$downloads/partial"

tar --xattrs --xattrs-include='*' --numeric-owner --sort=name -C "$root" -c . | zstd -q -3 -T0 -o "$out/root.tar.zst"
rm -rf "$root"
