# shellcheck shell=sh disable=SC2154
# kubeadm as the join program runs it: its file filled in, its output without secrets, what it left half-done found and undone.
# Variables are those of /usr/lib/nodeimg/join.

cri=unix:///run/containerd/containerd.sock

render() {
	(umask 077 && sed "s|@NODE_IP@|$address|g" "$seed/kubeadm.yaml" >"$config")
}

# Only control planes hold what can sign. A copy, for kubeadm reset deletes it.
install_pki() {
	[ "$role" = controlplane ] && [ -d "$seed/pki" ] || return 0
	(cd "$seed/pki" && find . -type f) | while read -r file; do
		case $file in
		*.crt | *.pub) mode=0644 ;;
		*) mode=0600 ;;
		esac
		install -D -m "$mode" "$seed/pki/$file" "/etc/kubernetes/pki/$file" || return 1
	done
}

# Runs a program with its output, less its secrets, in the journal; the first complaint becomes last_error.
run() {
	(umask 077 && : >"$log")
	status=$({ { "$@" 2>&1 3>&- 4>&-; echo $? >&4; } | redact | tee "$log" >&3; } 4>&1)
	[ "$status" != 0 ] || return 0
	last_error=$(grep -m1 -F '[ERROR' "$log" || grep -m1 -iE '^(error|fatal|failed|unable)' "$log" || tail -n1 "$log")
	last_error=${last_error:-$1 $2 ended with status $status}
	return 1
}

# try COMMAND...: runs kubeadm between a mark on disk and its removal, so that a power cut in between is known afterwards.
try() {
	install_pki || { last_error='the certificates could not be copied'; return 1; }
	mark attempt "$2 $(date -u +%Y-%m-%dT%H:%M:%SZ)"
	enter "$2" "kubeadm $2 on $address, attempt $attempts" "kubeadm $2"
	if run "$@"; then
		[ ! -s /etc/kubernetes/kubelet.conf ] || return 0
		last_error="kubeadm $2 ended well but left no kubelet.conf"
		return 1
	fi
	half_done || rm -f "$marks/attempt"
	return 1
}

# Did kubeadm leave something that its next run would stumble over?
half_done() {
	for file in kubelet.conf bootstrap-kubelet.conf admin.conf manifests/etcd.yaml manifests/kube-apiserver.yaml; do
		[ ! -e "/etc/kubernetes/$file" ] || return 0
	done
	[ ! -e /var/lib/kubelet/config.yaml ] || return 0
	[ ! -e /var/lib/etcd/member ] || return 0
	[ "$role" != controlplane ] && [ -e /etc/kubernetes/pki/ca.crt ]
}

# What an attempt that was cut short left, if there was one.
undo() {
	[ -e "$marks/attempt" ] || return 0
	enter reset "undoing an attempt that was cut short or failed" 'kubeadm reset'
	run kubeadm reset -f --cri-socket "$cri" || return 1
	rm -f "$marks/attempt"
}
