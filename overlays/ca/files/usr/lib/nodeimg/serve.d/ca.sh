# shellcheck shell=sh
# step-ca: it holds the intermediate authority's key, never the root's.
# shellcheck source-path=SCRIPTDIR/../../../../../../service/files/usr/lib/nodeimg source=serve.sh
. /usr/lib/nodeimg/serve.sh
needs ca.json root.crt intermediate.crt intermediate.key
systemd-sysusers step-ca.conf 2>&1
install -d -m 0750 -o root -g step-ca /etc/step-ca
for it in root.crt intermediate.crt; do
	put "$seed_dir/$it" "/etc/step-ca/$it" 0644
done
put "$seed_dir/intermediate.key" /etc/step-ca/intermediate.key 0600 step-ca
fill ca.json "$state_dir/ca.json"
put "$state_dir/ca.json" /etc/step-ca/ca.json 0644
started step-ca.service
