#!/usr/bin/env bash
# kubernetes.sh ARCH VERSION PLUGINS.deb DOUBLES OUT: the packages of pkgs.k8s.io for one architecture and version (1.36.2), with their real
# names, files, dependencies and scripts, but TEST DOUBLES (from DOUBLES) for programs. Only the CNI plugins are real, from Debian's package.
set -euo pipefail
arch=$1 version=$2 plugins=$3 doubles=$4 out=$5
mkdir -p "$out"

package() { # NAME VERSION DEPENDS DESCRIPTION: closes the tree $out/NAME into a .deb
  local tree=$out/$1 name=$1 full=$2 depends=$3 description=$4
  mkdir -p "$tree/DEBIAN" "$tree/usr/share/doc/$name"
  echo "$name: $description" > "$tree/usr/share/doc/$name/README.md"
  {
    printf 'Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: nodeimg tests <nodeimg@example.invalid>\n' "$name" "$full" "$arch"
    printf 'Section: net\nPriority: optional\nInstalled-Size: %s\n' "$(du -sk "$tree" | cut -f1)"
    [ -z "$depends" ] || printf 'Depends: %s\n' "$depends"
    printf 'Description: %s\n' "$description"
  } > "$tree/DEBIAN/control"
  (cd "$tree" && find . -type f -not -path './DEBIAN/*' -printf '%P\0' | sort -z | xargs -0 md5sum > DEBIAN/md5sums)
  dpkg-deb --root-owner-group -Zxz -z1 -b "$tree" "$out/${name}_${full}_$arch.deb" > /dev/null
  rm -rf "$tree"
}
double() { # NAME: puts a double's program where the real one would be
  mkdir -p "$out/$1/usr/bin"
  sed "s/@VERSION@/v$version/" "$doubles/$2" > "$out/$1/usr/bin/$2"
  chmod 755 "$out/$1/usr/bin/$2"
}

# kubeadm: with the drop-in that gives the kubelet its arguments. The doubles' common parts come with kubelet, which every node has;
# the real kubeadm has no dependency, and so has this one.
double kubeadm kubeadm
mkdir -p "$out/kubeadm/usr/lib/systemd/system/kubelet.service.d"
cat > "$out/kubeadm/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf" <<'END'
# Note: This dropin only works with kubeadm and kubelet v1.11+
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
END
package kubeadm "$version-1.1" "" "nodeimg test double of kubeadm: not Kubernetes"

double kubelet kubelet
tree=$out/kubelet
mkdir -p "$tree/usr/lib/systemd/system" "$tree/etc/default" "$tree/var/lib/kubelet" "$tree/etc/kubernetes/manifests" \
  "$tree/usr/lib/nodeimg-test-doubles" "$tree/DEBIAN"
cp "$doubles"/lib/*.py "$tree/usr/lib/nodeimg-test-doubles/"
chmod 644 "$tree"/usr/lib/nodeimg-test-doubles/*
cat > "$tree/usr/lib/systemd/system/kubelet.service" <<'END'
[Unit]
Description=kubelet: The Kubernetes Node Agent
Documentation=https://kubernetes.io/docs/
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/usr/bin/kubelet
Restart=always
StartLimitInterval=0
RestartSec=10

[Install]
WantedBy=multi-user.target
END
chmod 600 "$tree/usr/lib/systemd/system/kubelet.service" # as upstream's spec file installs it
echo 'KUBELET_EXTRA_ARGS=' > "$tree/etc/default/kubelet"
: > "$tree/var/lib/kubelet/.kubelet-keep"
: > "$tree/etc/kubernetes/manifests/.kubelet-keep"
echo /etc/default/kubelet > "$tree/DEBIAN/conffiles"
# Not debhelper's fragments: upstream builds with debbuild, whose systemd macros expand to calls of systemctl.
cat > "$tree/DEBIAN/postinst" <<'END'
#!/bin/sh
set -e

if [ "$1" = "configure" ] ; then
        # Initial installation
        systemctl preset kubelet.service >/dev/null 2>&1 || :
fi
END
cat > "$tree/DEBIAN/prerm" <<'END'
#!/bin/sh
set -e

if [ "$1" = "remove" ] || [ "$1" = "purge" ]; then
        # Package removal, not upgrade
        systemctl --no-reload disable kubelet.service > /dev/null 2>&1 || :
        systemctl stop kubelet.service > /dev/null 2>&1 || :
fi
END
cat > "$tree/DEBIAN/postrm" <<'END'
#!/bin/sh
set -e

systemctl daemon-reload >/dev/null 2>&1 || :
END
chmod 755 "$tree"/DEBIAN/p*
package kubelet "$version-1.1" "iptables (>= 1.4.21), kubernetes-cni (>= 1.2.0), mount, util-linux" "nodeimg test double of kubelet: not Kubernetes"

double kubectl kubectl
install -D -m 644 -t "$out/kubectl/usr/lib/nodeimg-test-doubles-kubectl" "$doubles"/lib/{pki,record}.py
package kubectl "$version-1.1" "" "nodeimg test double of kubectl: not Kubernetes"

double cri-tools crictl
package cri-tools "${version%.*}.0-1.1" "" "nodeimg test double of cri-tools: not Kubernetes"

mkdir -p "$out/kubernetes-cni/opt/cni" "$out/kubernetes-cni/etc/cni/net.d"
dpkg-deb -x "$plugins" "$out/cni"
mv "$out/cni/usr/lib/cni" "$out/kubernetes-cni/opt/cni/bin"
rm -rf "$out/cni"
: > "$out/kubernetes-cni/etc/cni/net.d/.kubernetes-cni-keep"
package kubernetes-cni 1.8.0-1.1 "" "nodeimg stand-in of kubernetes-cni: Debian's CNI plugins"
