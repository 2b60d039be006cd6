#!/usr/bin/env bash
# mirror.sh KEYS OUT ARCH...: OUT/<hostname>/<path>, what Ubuntu's, Docker's and Kubernetes' servers would answer, signed with KEYS' keys.
# The pieces come by environment: BASE_AMD64, PACKAGES_AMD64, DOCKER_AMD64, KUBE_AMD64, RELEASED_AMD64 and the same for ARM64, and METAL_AMD64, folders all.
# Files are linked, not copied, for the bases are large.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
keys=$1 out=$2
shift 2

pool() { # FOLDER DEBS...: links packages into FOLDER as Debian lays out a pool
  local folder=$1 deb name
  shift
  for deb in "$@"; do
    name=$(dpkg-deb -f "$deb" Package)
    mkdir -p "$folder/${name:0:1}/$name"
    # An epoch is in the file names apt writes, and in none of a repository.
    ln -f "$deb" "$folder/${name:0:1}/$name/$(basename "$deb" | sed 's/_[0-9]*%3a/_/')"
  done
}
archive() { # ARCH PACKAGES REPOSITORY [UPDATES...]: Ubuntu's three suites
  local arch=$1 packages=$2 repository=$3 deb universe=() main=()
  shift 3
  for deb in "$packages"/debs/*.deb; do
    case $(basename "$deb") in
    ipset_* | libipset* | ipvsadm_* | jq_* | libjq* | libonig* | haproxy_* | libopentracing* | keepalived_* | prometheus-*) universe+=("$deb") ;;
    *) main+=("$deb") ;;
    esac
  done
  pool "$repository/pool/main" "${main[@]}"
  pool "$repository/pool/universe" "${universe[@]}"
  pool "$repository/pool/updates" "$@"
  "$here/index.sh" "$repository" jammy "main universe" "$arch" pool/main pool/universe
  "$here/index.sh" "$repository" jammy-updates "main universe" "$arch" pool/updates pool/none
  "$here/index.sh" "$repository" jammy-security "main universe" "$arch" pool/updates pool/none
  for suite in jammy jammy-updates jammy-security; do "$here/sign.sh" "$keys" archive release "$repository/dists/$suite"; done
}

for arch in "$@"; do
  upper=${arch^^}
  base=BASE_$upper packages=PACKAGES_$upper docker=DOCKER_$upper kube=KUBE_$upper released=RELEASED_$upper
  case $arch in
  amd64)
    images=$out/cloud-images.ubuntu.com/releases/jammy/release-20250725
    mkdir -p "$images"
    ln "${!base}/base.img" "$images/ubuntu-22.04-server-cloudimg-amd64.img"
    ln "${!base}/base.manifest" "$images/ubuntu-22.04-server-cloudimg-amd64.manifest"
    "$here/sign.sh" "$keys" cloudimg images "$images"
    archive amd64 "${!packages}" "$out/archive.ubuntu.com/ubuntu" "$METAL_AMD64"/*.deb
    mkdir -p "$out/security.ubuntu.com"
    cp -al "$out/archive.ubuntu.com/ubuntu" "$out/security.ubuntu.com/ubuntu"
    ;;
  arm64)
    images=$out/cdimage.ubuntu.com/releases/22.04.5/release
    mkdir -p "$images"
    ln "${!base}/base.img.xz" "$images/ubuntu-22.04.5-preinstalled-server-arm64+raspi.img.xz"
    ln "${!base}/base.manifest" "$images/ubuntu-22.04.5-preinstalled-server-arm64+raspi.manifest"
    "$here/sign.sh" "$keys" cdimage images "$images"
    archive arm64 "${!packages}" "$out/ports.ubuntu.com/ubuntu-ports" "${!base}"/debs/*.deb
    ;;
  esac
  repository=$out/download.docker.com/linux/ubuntu
  mkdir -p "$repository/dists/jammy/pool/stable/$arch" "$repository/dists/jammy/stable/binary-$arch"
  ln "${!docker}"/*.deb "$repository/dists/jammy/pool/stable/$arch/"
  (cd "$repository" && apt-ftparchive packages "dists/jammy/pool/stable/$arch" > "dists/jammy/stable/binary-$arch/Packages")
  gzip -9nk "$repository/dists/jammy/stable/binary-$arch/Packages"
  repository=$out/pkgs.k8s.io/core:/stable:/v1.36/deb
  mkdir -p "$repository/$arch"
  ln "${!kube}"/*.deb "$repository/$arch/"
  cp -al --no-clobber "${!released}/." "$out/"
done

# Docker's repository has one Release over all architectures.
cd "$out/download.docker.com/linux/ubuntu"
apt-ftparchive -o APT::FTPArchive::Release::Origin=Docker -o APT::FTPArchive::Release::Label="Docker CE" \
  -o APT::FTPArchive::Release::Suite=jammy -o APT::FTPArchive::Release::Codename=jammy -o APT::FTPArchive::Release::Components=stable \
  -o APT::FTPArchive::Release::Architectures="$*" release dists/jammy > dists/jammy.Release
mv dists/jammy.Release dists/jammy/Release
"$here/sign.sh" "$keys" docker release dists/jammy
# Kubernetes' is flat: suite "/", no components, all architectures in one Packages.
cd "$out/pkgs.k8s.io/core:/stable:/v1.36/deb"
apt-ftparchive packages . | sed 's|^Filename: \./|Filename: |' > Packages
gzip -9nk Packages
apt-ftparchive -o APT::FTPArchive::Release::Origin="obs://build.opensuse.org/isv:kubernetes:core:stable:v1.36/deb" \
  -o APT::FTPArchive::Release::Label="isv:kubernetes:core:stable:v1.36" -o APT::FTPArchive::Release::Architectures="$*" release . > "$out/Release"
mv "$out/Release" Release
"$here/sign.sh" "$keys" kubernetes release .
