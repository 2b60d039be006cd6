# shellcheck shell=sh
# The NFS server: every folder of the list exists before it is exported.
# shellcheck source-path=SCRIPTDIR/../../../../../../service/files/usr/lib/nodeimg source=serve.sh
. /usr/lib/nodeimg/serve.sh
needs exports
fill exports "$state_dir/exports"
while read -r folder _; do
	case $folder in
	/*) [ -d "$folder" ] || install -d -m 0755 "$folder" ;;
	esac
done <"$state_dir/exports"
put "$state_dir/exports" /etc/exports.d/nodeimg.exports 0644
started nfs-server.service
# A folder that could not be exported is said here; the unit itself swallows it.
exportfs -r 2>&1
