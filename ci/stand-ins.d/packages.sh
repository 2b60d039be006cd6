#!/usr/bin/env bash
# packages.sh ROOT.tar.zst ARCH OUT: the real Debian packages a node needs beyond its base, in OUT/debs: those named below with all they
# depend on and the base (dpkg's status in ROOT) lacks, as apt resolves it. OUT/containerd has containerd 2.x and runc, from a newer suite.
# A mirror may be some days old: its date is not checked. Where Debian comes from is what mmdebstrap wrote into the root.
set -euo pipefail
tarball=$1 arch=$2 out=$3
wanted=(conntrack socat ebtables iptables nftables ipset ipvsadm jq haproxy keepalived nfs-common nfs-kernel-server bash-completion
  prometheus-node-exporter bridge-utils)
again=(ethtool libseccomp2 mount util-linux iproute2 kmod) # in the base already, and in Ubuntu's archive too

state=$out/apt
mkdir -p "$state/etc/apt/preferences.d" "$state/lists/partial" "$state/archives/partial" "$out/debs" "$out/containerd" "$out/etcd"
tar -I zstd -xf "$tarball" -C "$state" ./etc/apt/sources.list ./etc/apt/trusted.gpg.d ./var/lib/dpkg/status
apt_get() { # apt on a state of its own: the machine's packages and lists play no part
  apt-get -qq -o Dir::Etc="$state/etc/apt" -o Dir::State="$state" -o Dir::State::lists="$state/lists" -o Dir::Cache="$state" \
    -o Dir::Cache::archives="$state/archives" -o Dir::State::status="$state/var/lib/dpkg/status" -o Dir::Etc::parts=/dev/null \
    -o APT::Architecture="$arch" -o APT::Architectures="$arch" -o APT::Install-Recommends=false -o APT::Sandbox::User=root \
    -o Acquire::Languages=none -o Acquire::Check-Valid-Until=false -o Debug::NoLocking=true "$@"
}
apt_get update
apt_get install --yes --download-only --no-remove "${wanted[@]}"
(cd "$state/archives" && apt_get download "${again[@]}")
find "$state/archives" -name '*.deb' -exec mv -t "$out/debs" {} +

# The stable suite has containerd 1.7; sid's 2.x is linked against a libc no newer than the base's, which dpkg's own field says.
sed -i '1s/ trixie .*/ sid main/; 1!d' "$state/etc/apt/sources.list"
rm -rf "$state"/lists/* "$state"/*.bin
mkdir -p "$state/lists/partial"
apt_get update
(cd "$out/containerd" && apt_get download containerd runc containernetworking-plugins)
(cd "$out/etcd" && apt_get download etcd-server etcd-client)
rm -rf "$state"
