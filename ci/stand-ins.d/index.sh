#!/usr/bin/env bash
# index.sh REPOSITORY SUITE COMPONENTS ARCH POOL-OF-COMPONENT...: writes dists/SUITE of an apt repository, by apt-ftparchive: Packages (plain,
# gz, xz, by hash) of each component from its pool folder (relative to REPOSITORY; may be empty or absent), and Release. sign.sh signs it.
set -euo pipefail
repository=$1 suite=$2 components=$3 arch=$4
shift 4
cd "$repository"
dist=dists/$suite
for component in $components; do
  folder=$dist/$component/binary-$arch
  mkdir -p "$folder"
  if [ -d "$1" ]; then apt-ftparchive -o APT::FTPArchive::SHA512=false packages "$1" > "$folder/Packages"; else : > "$folder/Packages"; fi
  shift
  gzip -9nk "$folder/Packages"
  xz -k "$folder/Packages"
  printf 'Archive: %s\nComponent: %s\nArchitecture: %s\n' "$suite" "$component" "$arch" > "$folder/Release"
done
apt-ftparchive -o APT::FTPArchive::Release::Origin=Ubuntu -o APT::FTPArchive::Release::Label=Ubuntu \
  -o APT::FTPArchive::Release::Suite="$suite" -o APT::FTPArchive::Release::Codename=jammy -o APT::FTPArchive::Release::Version=22.04 \
  -o APT::FTPArchive::Release::Components="$components" -o APT::FTPArchive::Release::Architectures="$arch" \
  -o APT::FTPArchive::Release::Acquire-By-Hash=yes -o APT::FTPArchive::Release::Description="Ubuntu Jammy 22.04 (nodeimg stand-in)" \
  -o APT::FTPArchive::SHA512=false release "$dist" > "$dist.Release"
mv "$dist.Release" "$dist/Release"
for component in $components; do
  folder=$dist/$component/binary-$arch
  for hash in MD5Sum:md5sum SHA1:sha1sum SHA256:sha256sum; do
    mkdir -p "$folder/by-hash/${hash%:*}"
    for file in "$folder"/Packages*; do ln "$file" "$folder/by-hash/${hash%:*}/$("${hash#*:}" < "$file" | cut -d' ' -f1)"; done
  done
done
