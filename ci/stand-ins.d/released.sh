#!/usr/bin/env bash
# released.sh ARCH PACKAGES DOUBLES CLUSTERS OUT: OUT/<hostname>/<path>, what projects release as files for one architecture. etcd, containerd and runc
# are real, from Debian's packages in PACKAGES, in the archives' layout; step-ca, crictl and nerdctl are TEST DOUBLES from DOUBLES; manifests that
# CLUSTERS name by URL are objects that do nothing. None has the digest that the profiles name: tests that use them put these digests in.
set -euo pipefail
arch=$1 packages=$2 doubles=$3 clusters=$4 out=$5
trees=$out/.trees
mkdir -p "$trees/debs"
for deb in "$packages"/etcd/*.deb "$packages"/containerd/{containerd,runc}_*.deb; do dpkg-deb -x "$deb" "$trees/debs"; done
bin=$trees/debs/usr/bin

released() { # URL-PATH, then SOURCE=NAME...: an archive of these files at github.com
  local path=$out/github.com/$1 tree pair
  shift
  tree=$(mktemp -d -p "$trees")
  chmod 755 "$tree"
  for pair; do install -D -m 755 "${pair%%=*}" "$tree/${pair#*=}"; done
  mkdir -p "$(dirname "$path")"
  tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$tree" -cf - . | gzip -1n > "$path"
}
name=etcd-v3.6.14-linux-$arch
released "etcd-io/etcd/releases/download/v3.6.14/$name.tar.gz" "$bin/etcd=$name/etcd" "$bin/etcdctl=$name/etcdctl"
released "smallstep/certificates/releases/download/v0.30.2/step-ca_linux_0.30.2_$arch.tar.gz" "$doubles/step-ca=step-ca"
released "containerd/containerd/releases/download/v2.3.4/containerd-static-2.3.4-linux-$arch.tar.gz" \
  "$bin/containerd=bin/containerd" "$bin/containerd-shim-runc-v2=bin/containerd-shim-runc-v2" "$bin/ctr=bin/ctr"
released "kubernetes-sigs/cri-tools/releases/download/v1.36.0/crictl-v1.36.0-linux-$arch.tar.gz" "$doubles/crictl=crictl"
released "containerd/nerdctl/releases/download/v2.3.0/nerdctl-2.3.0-linux-$arch.tar.gz" "$doubles/nerdctl=nerdctl"

install -D -m 755 "$trees/debs/usr/sbin/runc" "$out/github.com/opencontainers/runc/releases/download/v1.4.3/runc.$arch"
rm -rf "$trees"

sed -nE 's/^(# )?url = "https:\/\/(.*\.ya?ml)"$/\2/p' "$clusters"/*.toml | sort -u | while read -r path; do
  mkdir -p "$out/$(dirname "$path")"
  printf '# nodeimg test stand-in of %s\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: stand-in-%s\n' "$path" "$(basename "${path%.*}" | tr . -)" > "$out/$path"
done
