#!/usr/bin/env bash
# modules-package.sh TREE ABI OUT: makes a package in OUT of TREE, which holds modules of the kernel ABI and the package's control file.
set -euo pipefail
tree=$1 abi=$2 out=$3
# Ubuntu's postinst runs depmod too: no generated fragment, so an image builder has to leave it to the first boot or know better.
for pair in postinst:configure postrm:remove; do
  install -m 755 /dev/stdin "$tree/DEBIAN/${pair%:*}" <<END
#!/bin/sh
set -e

version=$abi

if [ "\$1" != ${pair#*:} ]; then
    exit 0
fi

depmod \$version

exit 0
END
done
(cd "$tree" && find . -type f -not -path './DEBIAN/*' -printf '%P\0' | sort -z | xargs -0 md5sum > DEBIAN/md5sums)
dpkg-deb --root-owner-group -b "$tree" "$out" > /dev/null
