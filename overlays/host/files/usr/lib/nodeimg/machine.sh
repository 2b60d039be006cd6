# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # set here for the unit, and by report.sh, image.env and the unit for us
# What every unit of the image does before its work: reads the seed, and waits for a clock, an address, programs that answer.

# Seconds; the seed may set others (NODEIMG_POLL and so on).
poll=3 clock_wait=60 retry_first=10 retry_most=300 etcd_wait=60
cluster='' node='' role='' action='' node_cidr='' wanted_address='' admin='' endpoint='' kubernetes='' seed_time=0 address='' peers=''

# The seed's values are data: no line of it is executed.
read_seed() {
	while IFS='=' read -r key value || [ -n "$key" ]; do
		value=${value#[\"\']} value=${value%[\"\']}
		case $key in
		NODEIMG_CLUSTER) cluster=$value ;;
		NODEIMG_NODE) node=$value ;;
		NODEIMG_ROLE) role=$value ;;
		NODEIMG_ACTION) action=$value ;;
		NODEIMG_NODE_CIDR) node_cidr=$value ;;
		NODEIMG_ADDRESS) wanted_address=$value ;;
		NODEIMG_ADMIN) admin=$value ;;
		NODEIMG_ENDPOINT) endpoint=$value ;;
		NODEIMG_CONTROL_PLANES) peers=$value ;;
		NODEIMG_KUBERNETES_VERSION) kubernetes=${value#v} ;;
		NODEIMG_TIME_FLOOR) seed_time=$value ;;
		NODEIMG_POLL) poll=$value ;;
		NODEIMG_CLOCK_WAIT) clock_wait=$value ;;
		NODEIMG_RETRY_FIRST) retry_first=$value ;;
		NODEIMG_RETRY_MOST) retry_most=$value ;;
		NODEIMG_ETCD_WAIT) etcd_wait=$value ;;
		esac
	done </etc/nodeimg/node.env
	[ -n "$node" ] || node=$(uname -n)
}

# Waiting cannot mend a wrong seed: the unit fails, which is seen.
misconfigured() {
	last_error="node.env: $1"
	enter misconfigured "the seed is wrong: $1; correct it and start this machine again"
	exit 78
}

# wait_until PHASE WHAT COMMAND...: returns when COMMAND succeeds, with a reminder about every ten minutes.
wait_until() {
	name=$1 what=$2 waited=0
	shift 2
	until "$@" >/dev/null 2>"$state_dir/why"; do
		why=$(tail -n1 "$state_dir/why")
		last_error=${why:-$last_error}
		enter "$name" "waiting for $what" "$what"
		sleep "$poll"
		waited=$((waited + poll))
		[ "$waited" -lt 600 ] || { say "still waiting for $what"; waited=0; }
	done
}

find_address() {
	address=$(/usr/lib/nodeimg/probe address "$node_cidr" "$wanted_address" 2>"$state_dir/probe.err") && return
	[ $? -ne 78 ] || misconfigured "address: $(cat "$state_dir/probe.err")" >&3
	return 1
}

# Certificates are checked against the clock, and a Pi has none: wait for time servers, but never without end, and never go
# on before the build of image or seed.
settle_clock() {
	waited=0
	while ! synchronised && [ "$waited" -lt "$clock_wait" ] &&
		systemctl is-active --quiet systemd-timesyncd.service chrony.service chronyd.service ntpsec.service; do
		enter clock "waiting for a time server, at most $clock_wait s" 'a time server'
		sleep "$poll"
		waited=$((waited + poll))
	done
	clock_wait=0 # Once a start is enough: later attempts find the clock as good as it gets.
	floor=$image_time
	[ "$seed_time" -le "$floor" ] || floor=$seed_time
	now=$(date +%s)
	[ "$now" -lt "$floor" ] || return 0
	say "the clock says $(date -u +%F), before this image was made: set to $(date -u -d "@$floor" +%F)"
	date -s "@$floor" >/dev/null || say 'the clock could not be set'
}

synchronised() {
	[ "$(timedatectl show --property=NTPSynchronized --value 2>/dev/null)" = yes ]
}

# numbers VALUE...: the seed's numbers of seconds are such.
numbers() {
	for number; do
		case $number in
		'' | *[!0-9]*) misconfigured "'$number' is not a number of seconds" ;;
		esac
	done
	[ "$poll" -gt 0 ] || poll=1
}
