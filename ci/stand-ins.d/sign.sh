#!/usr/bin/env bash
# sign.sh KEYS NAME images FOLDER: writes FOLDER/SHA256SUMS over the images there, and SHA256SUMS.gpg, as Ubuntu's image servers have them.
# sign.sh KEYS NAME release FOLDER: signs FOLDER/Release as InRelease and Release.gpg, as apt repositories have them.
set -euo pipefail
keys=$1 name=$2 what=$3 folder=$4
export GNUPGHOME=$keys/home LC_ALL=C.UTF-8
trap 'gpgconf --kill gpg-agent' EXIT
fingerprint=$(awk -v name="$name" '$1 == name { print $2 }' "$keys/fingerprints")
# A name by fingerprint takes the primary key's newest signing subkey where it has one.
sign() { gpg --batch --yes --quiet --local-user "$fingerprint" --digest-algo SHA512 "$@"; }
cd "$folder"
case $what in
images)
  find . -maxdepth 1 -type f -not -name 'SHA256SUMS*' -printf '%P\0' | sort -z | xargs -0 sha256sum -b > SHA256SUMS
  sign --armor -o SHA256SUMS.gpg --detach-sign SHA256SUMS
  gpgv -q --keyring "$keys/$name.gpg" SHA256SUMS.gpg SHA256SUMS
  ;;
release)
  sign -o InRelease --clearsign Release
  sign --armor -o Release.gpg --detach-sign Release
  gpgv -q --keyring "$keys/$name.gpg" InRelease > /dev/null
  ;;
esac
