# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # set here for others, and by `serve` for us
# What the scripts of serve.d share. `serve` runs each by `sh -e`, with `address`, `interface` and `admin` in the environment;
# what they print becomes the complaint if they fail.

seed_dir=/etc/nodeimg/service
state_dir=/run/nodeimg
changed=no

# given NAME: says whether the seed has that file; ../NAME is one beside the services' folder, which a seed may be without.
given() {
	case $1 in
	../*) [ -e "${seed_dir%/*}/${1#../}" ] ;;
	*) [ -e "$seed_dir/$1" ] ;;
	esac
}

# needs NAME...: fails if the seed lacks a file this service cannot do without.
needs() {
	for it in "$@"; do
		given "$it" || { echo "the seed has no file ${it##*/}: was it made for another role?"; return 1; }
	done
}

# fill NAME FILE: writes the seed's file with this machine's address and interface in the places kept for them.
fill() {
	[ -n "${interface:-}" ] || { echo 'the interface that holds the address is not known'; return 1; }
	sed "s|@NODE_IP@|$address|g; s|@NODE_INTERFACE@|$interface|g" "$seed_dir/$1" >"$2"
}

# put FROM TO MODE [OWNER]: puts a file in its place, whole or not at all. Prints nothing; `changed` says whether it is news.
put() {
	if cmp -s "$1" "$2"; then return 0; fi
	changed=yes
	install -D -m "$3" ${4:+-o "$4" -g "$4"} "$1" "$2.new"
	mv "$2.new" "$2"
}

# started UNIT: starts a unit, or lets it read what was changed; it is started on the next boot too.
started() {
	systemctl --quiet enable "$1" 2>&1
	if [ "$changed" = yes ]; then
		systemctl reload-or-restart "$1" 2>&1
	else
		systemctl start "$1" 2>&1
	fi
}
