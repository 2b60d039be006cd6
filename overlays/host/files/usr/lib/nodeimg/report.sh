# shellcheck shell=sh
# How the units of the image speak: lines for people, /run/nodeimg/state.json for programs. No secret passes through here.

state_dir=/run/nodeimg
attempts=0
phase=''
waiting_for=''
last_error=''
since=''

# One line on standard output (the journal) and on each console the kernel uses: /dev/console alone is only the last of them.
say() {
	printf '%s\n' "$*"
	shown=no
	# shellcheck disable=SC2013 # words of one line
	for tty in $(cat /sys/class/tty/console/active 2>/dev/null); do
		[ -c "/dev/$tty" ] || continue
		console_line "/dev/$tty" "$*" && shown=yes
	done
	[ "$shown" = yes ] || console_line /dev/console "$*" || :
}

# A serial line that nobody reads must not hold us up.
console_line() {
	# shellcheck disable=SC2016 # expanded by the inner shell
	timeout 2 sh -c 'printf "\rnodeimg: %s\r\n" "$2" >"$1"' sh "$1" "$2" 2>/dev/null
}

# enter PHASE TEXT [WAITING_FOR]: says TEXT and records the phase, if either is news.
enter() {
	[ "$phase $waiting_for" != "$1 ${3:-}" ] || return 0
	phase=$1 waiting_for=${3:-} since=$(date -u +%Y-%m-%dT%H:%M:%SZ)
	say "$2"
	write_state
}

write_state() {
	mkdir -p "$state_dir"
	{
		printf '{"phase":"%s","since":"%s","waiting_for":%s,' "$phase" "$since" "$(json "$waiting_for")"
		printf '"attempts":%s,"last_error":%s,' "$attempts" "$(json "$last_error")"
		printf '"cluster":%s,"node":%s,"address":%s}\n' \
			"$(json "${cluster:-}")" "$(json "${node:-}")" "$(json "${address:-}")"
	} >"$state_dir/state.json.new"
	mv "$state_dir/state.json.new" "$state_dir/state.json"
}

# A JSON string, or null for nothing.
json() {
	[ -n "$1" ] || { printf null; return; }
	printf '"%s"' "$(printf %s "$1" | tr '\n\t' '  ' | tr -d '\000-\037' | sed 's/[\\"]/\\&/g')"
}

# Standard input without bootstrap tokens and certificate keys: kubeadm prints both when it is done.
redact() {
	sed -u -E 's/\b[a-z0-9]{6}\.[a-z0-9]{16}\b/<token>/g; s/(certificate-key[ =:]+)[0-9a-f]{64}/\1<key>/g'
}
