#!/usr/bin/env bash
# base-amd64.sh ROOT.tar.zst OUT: OUT/base.img, a qcow2 laid out as Ubuntu's jammy-server-cloudimg-amd64.img is: GPT with p1 ext4
# "cloudimg-rootfs", p14 BIOS boot, p15 ESP, in Ubuntu's sectors; GRUB for both firmwares. Also OUT/base.manifest.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
tarball=$1 out=$2
root=$out/root raw=$out/disk.raw grub=$out/grub
fsuuid=4e2d6a10-0000-4000-8000-00000000aa01
partuuid=4e2d6a10-0000-4000-8000-000000000001
export LC_ALL=C.UTF-8 SOURCE_DATE_EPOCH=1704067200 MTOOLS_SKIP_CHECK=1

mkdir -p "$root" "$grub"
tar -I zstd --xattrs --xattrs-include='*' --numeric-owner -xf "$tarball" -C "$root"
"$here/configure.sh" "$root" cloudimg-rootfs http://archive.ubuntu.com/ubuntu http://security.ubuntu.com/ubuntu \
  "$(printf 'LABEL=UEFI\t/boot/efi\tvfat\tumask=0077\t0 1')"
version=$(ls "$root/lib/modules")
mkdir -p "$root/boot/efi" "$root/etc/default/grub.d"
cat > "$root/etc/cloud/cloud.cfg.d/90_dpkg.cfg" <<'END'
# to update this file, run dpkg-reconfigure cloud-init
datasource_list: [ NoCloud, ConfigDrive, OpenNebula, DigitalOcean, Azure, AltCloud, OVF, MAAS, GCE, OpenStack, CloudSigma, SmartOS, Bigstep, Scaleway, AliYun, Ec2, CloudStack, Hetzner, IBMCloud, Oracle, Exoscale, RbxCloud, UpCloud, VMware, Vultr, LXD, NWCS, Akamai, None ]
END
cat > "$root/etc/default/grub" <<'END'
GRUB_DEFAULT=0
GRUB_TIMEOUT_STYLE=hidden
GRUB_TIMEOUT=0
GRUB_DISTRIBUTOR=Ubuntu
GRUB_CMDLINE_LINUX_DEFAULT="quiet splash"
GRUB_CMDLINE_LINUX=""
END
cat > "$root/etc/default/grub.d/50-cloudimg-settings.cfg" <<'END'
GRUB_RECORDFAIL_TIMEOUT=0
GRUB_TIMEOUT=0
GRUB_CMDLINE_LINUX_DEFAULT="console=tty1 console=ttyS0"
GRUB_TERMINAL=console
END
echo "GRUB_FORCE_PARTUUID=$partuuid" > "$root/etc/default/grub.d/40-force-partuuid.cfg"
printf 'build_name: server\nserial: 20250725\n' > "$root/etc/cloud/build.info"

# GRUB: modules and a grub.cfg as update-grub writes there, and the two images the firmwares start.
mkdir -p "$root/boot/grub/i386-pc" "$root/boot/grub/x86_64-efi" "$root/boot/grub/fonts"
cp "$root"/usr/lib/grub/i386-pc/*.{mod,lst} "$root/boot/grub/i386-pc/"
cp "$root"/usr/lib/grub/x86_64-efi/*.{mod,lst} "$root/boot/grub/x86_64-efi/"
cat > "$root/boot/grub/grub.cfg" <<END
set default=0
set timeout=0
insmod part_gpt
insmod ext2
insmod gzio
search --no-floppy --fs-uuid --set=root $fsuuid
menuentry 'Ubuntu' --class ubuntu --class gnu-linux --class gnu --class os {
	linux /boot/vmlinuz-$version root=PARTUUID=$partuuid ro  console=tty1 console=ttyS0
	initrd /boot/initrd.img-$version
}
END
# shellcheck disable=SC2016  # GRUB's own variables
printf 'search.fs_uuid %s root\nset prefix=($root)'"'/boot/grub'"'\nconfigfile $prefix/grub.cfg\n' "$fsuuid" > "$grub/early.cfg"
chroot "$root" grub-mkimage -O i386-pc -o /tmp/core.img -p '(,gpt1)/boot/grub' \
  biosdisk part_gpt ext2 search search_fs_uuid search_label normal linux configfile gzio echo test
chroot "$root" grub-mkimage -O x86_64-efi -o /tmp/grubx64.efi -p /EFI/ubuntu \
  part_gpt fat ext2 search search_fs_uuid search_label normal linux configfile gzio echo test all_video boot minicmd
mv "$root/tmp/core.img" "$root/tmp/grubx64.efi" "$grub/"
cp "$root/usr/lib/grub/i386-pc/boot.img" "$grub/"
chroot "$root" dpkg-query -W > "$out/base.manifest"

# The same sgdisk call as livecd-rootfs makes, hence the same sectors. 2252 MiB is what Ubuntu calls 2.2 GiB.
truncate -s 2252M "$raw"
sgdisk -a 2048 --new=14::+4M --new=15::+106M --new=1:: -t 14:ef02 -t 15:ef00 -t 1:8300 \
  -U 4e2d6a10-0000-4000-8000-0000000000ff -u "1:$partuuid" -u 14:4e2d6a10-0000-4000-8000-000000000014 \
  -u 15:4e2d6a10-0000-4000-8000-000000000015 "$raw" > /dev/null
read -r start sectors < <(sfdisk -J "$raw" | python3 -c '
import json, sys
part = next(p for p in json.load(sys.stdin)["partitiontable"]["partitions"] if p["node"].endswith("raw1"))
print(part["start"], part["size"])')

# livecd-rootfs' options, and the features of jammy's e2fsprogs 1.46: newer ones are taken back.
# shellcheck disable=SC2017  # whole blocks
truncate -s $((sectors / 8 * 4096)) "$out/root.ext4"
E2FSPROGS_FAKE_TIME=$SOURCE_DATE_EPOCH mke2fs -q -F -t ext4 -b 4096 -i 8192 -m 0 -L cloudimg-rootfs -U "$fsuuid" \
  -O ^orphan_file,^metadata_csum_seed -E "resize=536870912,lazy_itable_init=1,hash_seed=$fsuuid" -d "$root" "$out/root.ext4"
dd if="$out/root.ext4" of="$raw" bs=1M oflag=seek_bytes seek=$((start * 512)) conv=notrunc,sparse status=none

truncate -s $((217088 * 512)) "$out/esp"
mkfs.vfat -F 32 -n UEFI -i 4E2D6A15 --invariant "$out/esp" > /dev/null
mmd -i "$out/esp" ::/EFI ::/EFI/BOOT ::/EFI/ubuntu
mcopy -i "$out/esp" "$grub/grubx64.efi" ::/EFI/BOOT/BOOTX64.EFI
mcopy -i "$out/esp" "$grub/grubx64.efi" ::/EFI/ubuntu/
mcopy -i "$out/esp" "$grub/early.cfg" ::/EFI/ubuntu/grub.cfg
dd if="$out/esp" of="$raw" bs=1M oflag=seek_bytes seek=$((10240 * 512)) conv=notrunc,sparse status=none

"$here/bios-boot.py" "$grub/boot.img" "$grub/core.img" "$raw" 2048 8192
qemu-img convert -c -m 2 -W -O qcow2 -o compression_type=zlib "$raw" "$out/base.img"
rm -rf "$root" "$grub" "$raw" "$out/root.ext4" "$out/esp"
