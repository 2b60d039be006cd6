#!/usr/bin/env bash
# configure.sh ROOT LABEL ARCHIVE SECURITY FSTAB-LINE: makes an unpacked root file system look as Ubuntu ships it before its first boot:
# no identity, Ubuntu's names and fstab, its apt sources (ARCHIVE is their URL; nothing is ever fetched from there in a test).
set -euo pipefail
root=$1 label=$2 archive=$3 security=$4
firmware=$5 # the fstab line of the boot partition

echo ubuntu > "$root/etc/hostname"
cat > "$root/etc/hosts" <<'END'
127.0.0.1 localhost

# The following lines are desirable for IPv6 capable hosts
::1 ip6-localhost ip6-loopback
fe00::0 ip6-localnet
ff00::0 ip6-mcastprefix
ff02::1 ip6-allnodes
ff02::2 ip6-allrouters
ff02::3 ip6-allhosts
END
: > "$root/etc/machine-id"
rm -f "$root/var/lib/dbus/machine-id" "$root"/etc/ssh/ssh_host_*
printf 'LABEL=%s\t/\t ext4\tdiscard,errors=remount-ro\t0 1\n%s\n' "$label" "$firmware" > "$root/etc/fstab"

rm -rf "$root"/etc/apt/sources.list.d/*
{
  for suite in jammy jammy-updates; do for component in main restricted universe; do echo "deb $archive $suite $component"; done; done
  for component in main restricted universe; do echo "deb $security jammy-security $component"; done
} > "$root/etc/apt/sources.list"

cat > "$root/etc/cloud/cloud.cfg.d/91_ubuntu.cfg" <<'END'
system_info:
  default_user:
    name: ubuntu
    lock_passwd: True
    gecos: Ubuntu
    groups: [adm, audio, cdrom, dialout, dip, floppy, netdev, plugdev, sudo, video]
    sudo: ["ALL=(ALL) NOPASSWD:ALL"]
    shell: /bin/bash
  network:
    renderers: ['netplan', 'eni', 'sysconfig']
END
# Ubuntu's jammy package sets this boundary too: what was deprecated after 22.1 is no warning there.
sed -i 's/^DEPRECATION_INFO_BOUNDARY = .*/DEPRECATION_INFO_BOUNDARY = "22.1"/' "$root/usr/lib/python3/dist-packages/cloudinit/features.py"
grep -q '^DEPRECATION_INFO_BOUNDARY = "22.1"$' "$root/usr/lib/python3/dist-packages/cloudinit/features.py"

# An emulated machine on a busy host can take longer than systemd's 90 s to see its disk.
mkdir -p "$root/etc/systemd/system.conf.d"
printf '[Manager]\nDefaultDeviceTimeoutSec=15min\nDefaultTimeoutStartSec=15min\n' > "$root/etc/systemd/system.conf.d/50-stand-in-slow.conf"

# What a node gets from its profile must not be here beforehand.
for package in kubeadm kubelet kubectl containerd containerd.io runc conntrack socat ebtables iptables cri-tools kubernetes-cni; do
  if grep -q "^Package: $package\$" "$root/var/lib/dpkg/status"; then echo "configure.sh: $package is in the base" >&2; exit 2; fi
done

version=$(ls "$root/lib/modules")
ln -sf "vmlinuz-$version" "$root/boot/vmlinuz"
ln -sf "initrd.img-$version" "$root/boot/initrd.img"
rm -f "$root"/vmlinuz* "$root"/initrd.img*
rm -rf "$root"/tmp/* "$root"/var/log/*.log "$root"/var/log/apt/* "$root"/var/lib/apt/lists/*
mkdir -p "$root/var/lib/apt/lists/partial"
# Nothing to rebuild at the first boot (ldconfig, hwdb, journal catalog).
touch "$root/etc/.updated" "$root/var/.updated"
