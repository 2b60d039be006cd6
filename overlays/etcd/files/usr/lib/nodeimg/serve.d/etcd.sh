# shellcheck shell=sh
# A member of etcd. Its data, once there, is its own: a changed list of members does not move it.
# shellcheck source-path=SCRIPTDIR/../../../../../../service/files/usr/lib/nodeimg source=serve.sh
. /usr/lib/nodeimg/serve.sh
needs etcd.yaml ../pki/etcd/ca.crt
systemd-sysusers etcd.conf 2>&1
install -d -m 0750 -o root -g etcd /etc/etcd /etc/etcd/pki
for it in ca.crt server.crt peer.crt; do
	put "/etc/nodeimg/pki/etcd/$it" "/etc/etcd/pki/$it" 0644
done
for it in server.key peer.key; do
	put "/etc/nodeimg/pki/etcd/$it" "/etc/etcd/pki/$it" 0600 etcd
done
fill etcd.yaml "$state_dir/etcd.yaml"
put "$state_dir/etcd.yaml" /etc/etcd/etcd.yaml 0644
systemctl --quiet enable etcd.service 2>&1
# Not waited for: it is ready when most of the members are.
if [ "$changed" = yes ]; then
	systemctl --no-block restart etcd.service 2>&1
else
	systemctl --no-block start etcd.service 2>&1
fi
