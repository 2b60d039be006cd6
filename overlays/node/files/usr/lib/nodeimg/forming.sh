# shellcheck shell=sh disable=SC2154
# How the cluster comes to be: who forms it, in which turn control planes join, and the manifests that follow.
# Variables are those of /usr/lib/nodeimg/join.

# What kubeadm init does after the control plane runs. Others can join from bootstrap-token on.
opening='upload-config,upload-certs,mark-control-plane,bootstrap-token,kubelet-finalize,addon,show-join-command'

attempt() {
	render
	if [ -e "$marks/formed" ]; then
		open_cluster
	elif [ "$action" = init ] && ! served_by_others; then
		form
	else
		join
	fi
}

# Until the mark `formed` nobody can have joined, and a power cut means to begin anew; from it on nothing is reset.
form() {
	undo || return 1
	static_pods '' || { last_error='static pods could not be put in place'; return 1; }
	try kubeadm init --config "$config" "--skip-phases=$opening" || return 1
	mark formed "cluster=$cluster"
	open_cluster
}

# The steps of kubeadm init that let others in; each may be repeated.
open_cluster() {
	wait_until api "the API server of this machine" answers "$address:$(bind_port)"
	enter opening "opening cluster $cluster to its nodes" 'kubeadm init phase'
	for step in 'upload-config all' mark-control-plane bootstrap-token 'kubelet-finalize all' 'addon all'; do
		# shellcheck disable=SC2086 # a phase and its part
		run kubeadm init phase $step --config "$config" || return 1
	done
}

bind_port() {
	port=$(sed -n 's/^[[:space:]]*bindPort:[[:space:]]*//p' "$config" | head -n1)
	echo "${port:-6443}"
}

answers() {
	/usr/lib/nodeimg/probe api "$1" "$seed/pki/ca.crt"
	[ $? -ne 1 ]
}

# The first control plane comes back without its disk while the others carry on: forming once more would make two clusters.
served_by_others() {
	if [ -n "$endpoint" ] && /usr/lib/nodeimg/probe api "$endpoint" "$seed/pki/ca.crt"; then return 0; fi
	for peer in $peers; do
		[ "$peer" != "$address" ] || continue
		case $peer in
		*:*) peer="[$peer]" ;;
		esac
		if answers "$peer:$(bind_port)"; then return 0; fi
	done
	return 1
}

join() {
	wait_until endpoint "the control plane at $endpoint" /usr/lib/nodeimg/probe api "$endpoint"
	[ "$role" = controlplane ] || { undo && try kubeadm join --config "$config"; return; }
	if [ "$action" = init ]; then
		say "cluster $cluster is there already: this machine joins it instead of forming another"
		(umask 077 && /usr/lib/nodeimg/rejoin "$config" "$seed/pki/ca.crt" >"$config.new") ||
			{ last_error="no join configuration could be made of $seed/kubeadm.yaml"; return 1; }
		mv "$config.new" "$config"
	fi
	wait_until turn 'its turn among the control planes that join' /usr/lib/nodeimg/peer turn take "$endpoint" "$node"
	/usr/lib/nodeimg/peer turn keep "$endpoint" "$node" >/dev/null 2>&1 3>&- &
	keeper=$!
	join_control_plane
	joined=$?
	kill "$keeper" 2>/dev/null
	/usr/lib/nodeimg/peer turn give "$endpoint" "$node" 2>/dev/null || :
	return "$joined"
}

# etcd must not count on a member that is gone, be it of this machine's last disk or of an attempt that was cut short: kubeadm
# join refuses a cluster with one, and kubeadm reset deletes a member's data even where the others still need its vote.
join_control_plane() {
	wait_until members "etcd to let this machine's former member go" \
		/usr/lib/nodeimg/peer member leave "$endpoint" "$node" "$address"
	for file in "$seed"/static-pods/*.yaml; do rm -f "/etc/kubernetes/manifests/${file##*/}"; done
	undo && try kubeadm join --config "$config" && static_pods 's|/super-admin\.conf|/admin.conf|'
}

# Static pods of the seed. kubeadm init lets them be there, and a virtual address must be held before the cluster opens; kubeadm join
# refuses a folder that is not empty, and leaves no super-admin.conf.
static_pods() {
	for file in "$seed"/static-pods/*.yaml; do
		[ -f "$file" ] || continue
		pod=/etc/kubernetes/manifests/${file##*/}
		(umask 077 && mkdir -p /etc/kubernetes/manifests && sed "$1" "$file" >"${pod%/*}/.${file##*/}.new")
		mv "${pod%/*}/.${file##*/}.new" "$pod"
	done
}

# Only where the cluster was formed, again when the files are others. manifests.list has a line for each in their order: its name, and its
# path. Each is applied until it is taken, as one owner of fields, so that a later one may lay some over an earlier one's objects.
apply_manifests() {
	[ -e "$marks/formed" ] && [ -s "$seed/manifests.list" ] || return 0
	digest=$({ cat "$seed/manifests.list"; cut -d' ' -f2- "$seed/manifests.list" | xargs -r -d '\n' cat; } | sha256sum | cut -d' ' -f1)
	[ "$(cat "$marks/manifests" 2>/dev/null)" != "$digest" ] || return 0
	while read -r name file <&5; do apply "$name" "$file"; done 5<"$seed/manifests.list"
	mark manifests "$digest"
	last_error=''
}

# apply NAME FILE
apply() {
	enter manifests "applying $1" "$1"
	pause=$poll
	until run kubectl --kubeconfig /etc/kubernetes/admin.conf apply --server-side --force-conflicts \
		--field-manager "nodeimg-$1" --filename "$2"; do
		enter manifests "$1 was not taken: $last_error; trying again until it is" "$1, which was not taken"
		sleep "$pause"
		pause=$((pause * 2))
		[ "$pause" -le 60 ] || pause=60
	done
}
