# shellcheck shell=sh
# The administrator's kubeconfig, in the administrator's own home.
# shellcheck source-path=SCRIPTDIR/../../../../../../service/files/usr/lib/nodeimg source=serve.sh
. /usr/lib/nodeimg/serve.sh
home=$(getent passwd "${admin:?the seed names no administrator}" | cut -d: -f6)
[ -d "$home" ] || { echo "$admin has no home yet"; exit 1; }
# Once: the administrator may add to it, and a changed one is not ours to put back. Ours stays, for root alone: it is the
# proof that this machine has what the seed held, without which clear-seed leaves it there.
if [ ! -e "$home/.kube/config" ]; then
	needs ../admin.conf
	[ -d "$home/.kube" ] || install -d -m 0700 -o "$admin" -g "$admin" "$home/.kube"
	put /etc/nodeimg/admin.conf "$home/.kube/config" 0600 "$admin"
fi
