# shellcheck shell=sh
# Only root can read the file.
if [ -r /etc/kubernetes/admin.conf ]; then
	export KUBECONFIG="${KUBECONFIG:-/etc/kubernetes/admin.conf}"
fi
