# shellcheck shell=sh
# HAProxy and, where the cluster has a virtual address, keepalived.
# shellcheck source-path=SCRIPTDIR/../../../../../../service/files/usr/lib/nodeimg source=serve.sh
. /usr/lib/nodeimg/serve.sh
needs haproxy.cfg
fill haproxy.cfg "$state_dir/haproxy.cfg"
haproxy -c -f "$state_dir/haproxy.cfg" >"$state_dir/said" 2>&1 ||
	{ grep ALERT "$state_dir/said" || cat "$state_dir/said"; exit 1; }
put "$state_dir/haproxy.cfg" /etc/haproxy/haproxy.cfg 0644
started haproxy.service
if given keepalived.conf; then
	changed=no
	(umask 077 && fill keepalived.conf "$state_dir/keepalived.conf")
	keepalived --config-test="$state_dir/said" -f "$state_dir/keepalived.conf" 2>&1 ||
		{ cat "$state_dir/said"; exit 1; }
	put "$state_dir/keepalived.conf" /etc/keepalived/keepalived.conf 0600
	rm -f "$state_dir/keepalived.conf"
	started keepalived.service
fi
