#!/usr/bin/env bash
# containerd-io.sh ARCH FOLDER OUT: a containerd.io package as Docker's repository has it, around the real containerd 2.x and runc of Debian
# (FOLDER holds their packages): binaries, unit, a config.toml that turns CRI off, and the maintainer scripts debhelper made for Debian's.
set -euo pipefail
arch=$1 folder=$2 out=$3
tree=$out/containerd.io
mkdir -p "$tree/DEBIAN" "$out/from"
deb=$(ls "$folder"/containerd_*.deb)
version=$(dpkg-deb -f "$deb" Version)
version=${version%%[+~-]*}-1
case $version in 2.*) ;; *) echo "containerd-io.sh: containerd $version, not 2.x" >&2; exit 2 ;; esac
dpkg-deb -x "$deb" "$out/from"
dpkg-deb -e "$deb" "$out/control"
dpkg-deb -x "$(ls "$folder"/runc_*.deb)" "$out/from"

mkdir -p "$tree/usr/bin" "$tree/usr/lib/systemd/system" "$tree/etc/containerd" "$tree/usr/share/doc/containerd.io"
cp -a "$out"/from/usr/bin/{containerd,containerd-shim-runc-v2,ctr} "$tree/usr/bin/"
cp -a "$out/from/usr/sbin/runc" "$tree/usr/bin/" 2> /dev/null || cp -a "$out/from/usr/bin/runc" "$tree/usr/bin/"
cp -a "$out/from/usr/lib/systemd/system/containerd.service" "$tree/usr/lib/systemd/system/"
cp "$out/from/usr/share/doc/containerd/copyright" "$tree/usr/share/doc/containerd.io/"
cat > "$tree/etc/containerd/config.toml" <<'END'
# Docker's package turns the CRI plugin off: who wants Kubernetes writes a configuration of their own.
disabled_plugins = ["cri"]

#root = "/var/lib/containerd"
#state = "/run/containerd"
#subreaper = true
#oom_score = 0
END
echo /etc/containerd/config.toml > "$tree/DEBIAN/conffiles"
cat > "$tree/DEBIAN/control" <<END
Package: containerd.io
Version: $version
Architecture: $arch
Maintainer: nodeimg tests <nodeimg@example.invalid>
Section: devel
Priority: optional
Installed-Size: $(du -sk "$tree" | cut -f1)
Depends: libc6 (>= 2.38), libseccomp2 (>= 2.5.0)
Provides: containerd, runc
Conflicts: containerd, runc
Replaces: containerd, runc
Description: open and reliable container runtime (nodeimg stand-in)
 Debian's containerd and runc, laid out as Docker's package.
END
for script in postinst prerm postrm; do
  [ ! -e "$out/control/$script" ] || cp "$out/control/$script" "$tree/DEBIAN/"
done
(cd "$tree" && find . -type f -not -path './DEBIAN/*' -printf '%P\0' | sort -z | xargs -0 md5sum > DEBIAN/md5sums)
dpkg-deb --root-owner-group -Zxz -z1 -b "$tree" "$out/containerd.io_${version}_$arch.deb" > /dev/null
rm -rf "$tree" "$out/from" "$out/control"
