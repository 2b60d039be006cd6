#!/usr/bin/env bash
# keys.sh OUT: throw-away signing keys, one for each origin the mirror stands in for. OUT/<name>.gpg and .asc are the public halves,
# OUT/fingerprints has a line "<name> <primary key's fingerprint>" each, OUT/home is the GNUPGHOME that signs.
# cloudimg and cdimage sign images; archive, docker and kubernetes repositories. docker signs with a subkey, as the real one does.
set -euo pipefail
out=$1
export GNUPGHOME=$out/home LC_ALL=C.UTF-8
mkdir -m 700 "$GNUPGHOME"
trap 'gpgconf --kill gpg-agent' EXIT
for name in cloudimg cdimage archive docker kubernetes; do
  user="nodeimg tests: throw-away $name key <$name@example.invalid>"
  usage=sign
  [ $name != docker ] || usage=cert
  gpg --batch --quiet --passphrase '' --quick-gen-key "$user" rsa4096 $usage never
  fingerprint=$(gpg --batch --list-keys --with-colons "$user" | awk -F: '$1 == "fpr" { print $10; exit }')
  [ $name != docker ] || gpg --batch --quiet --passphrase '' --quick-add-key "$fingerprint" rsa4096 sign never
  gpg --batch --yes --export "$fingerprint" > "$out/$name.gpg"
  gpg --batch --yes --armor --export "$fingerprint" > "$out/$name.asc"
  echo "$name $fingerprint" >> "$out/fingerprints"
done
