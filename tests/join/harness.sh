# shellcheck shell=bash
# What the cases share: a seed, a network, the unit started as systemd would, and assertions that say what they found.

TOKEN=abcdef.0123456789abcdef
CERT_KEY=$(printf 'c0ffee%.0s' {1..10})c0ff

# seed ROLE ACTION [LINE...]: what cloud-init writes. The waits are short, and sleep is a stand-in.
seed() {
    local role=$1 action=$2
    shift 2
    mkdir -p /etc/nodeimg
    printf '%s\n' "NODEIMG_CLUSTER='demo'" "NODEIMG_NODE='n1'" "NODEIMG_ROLE='$role'" "NODEIMG_ACTION='$action'" \
        "NODEIMG_NODE_CIDR='192.168.56.0/24'" "NODEIMG_ADDRESS=''" "NODEIMG_ENDPOINT='192.168.56.10:6443'" \
        "NODEIMG_KUBERNETES_VERSION='v1.36.2'" NODEIMG_CLOCK_WAIT=5 "$@" >/etc/nodeimg/node.env
    case $role in controlplane | worker)
        kubeadm_file "$action" >/etc/nodeimg/kubeadm.yaml
        authorities
        ;;
    esac
    [ "$role" != worker ] || rm -r /etc/nodeimg/pki
    touch /t/containerd /t/synchronised /t/calls
}

# kubeadm_file ACTION: what the tests look at of it.
kubeadm_file() {
    local kind=${1^}
    printf '%s\n' 'apiVersion: kubeadm.k8s.io/v1beta4' "kind: ${kind}Configuration" bootstrapTokens: "- token: $TOKEN" localAPIEndpoint: \
        '  advertiseAddress: @NODE_IP@' nodeRegistration: '  name: n1' '  kubeletExtraArgs:' '  - name: node-ip' '    value: "@NODE_IP@"'
    [ "$1" = join ] || printf '%s\n' --- 'kind: ClusterConfiguration' 'controlPlaneEndpoint: 192.168.56.10:6443'
}

# Real ones, each its own server's certificate too: clients check them.
authorities() {
    local it
    mkdir -p /etc/nodeimg/pki/etcd
    for it in ca etcd/ca; do
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=${it//\//-}" -days 30 \
            -addext "subjectAltName=$(printf 'IP:192.168.56.%s,' 10 11 12 13)IP:fd00:56::10" \
            -keyout /etc/nodeimg/pki/$it.key -out /etc/nodeimg/pki/$it.crt 2>/dev/null
    done
    for it in sa front-proxy-ca; do
        cp /etc/nodeimg/pki/ca.key /etc/nodeimg/pki/$it.key
        cp /etc/nodeimg/pki/ca.crt /etc/nodeimg/pki/$it.crt
    done
    cp -r /etc/nodeimg/pki/ca.crt /t/ca.crt
    rm -rf /t/pki
    cp -r /etc/nodeimg/pki /t/pki
}

# served [STATUS]: another machine's control plane, as this one sees it over the wire, lets nodes in (or answers with STATUS).
served() {
    nic wire 192.168.56.10/24
    echo "${1:-200}" >/t/status
    cluster_runs
}
cluster_runs() {
    /t/tests/stubs/cluster 192.168.56.10 >/t/cluster.out 2>&1 &
    until [ -n "$(ss -Hltn 'sport = :2379')" ] && [ -n "$(ss -Hltn 'sport = :6443')" ]; do /bin/sleep 0.02; done
}

# The power goes while something hangs: the memory's files are gone, the disk's are not.
power_cut() {
    until [ -e /t/hanging ]; do /bin/sleep 0.05; done
    kill -9 -- -"$pid"
    rm -rf /run/nodeimg /t/hanging
}

# nic NAME ADDRESS/LEN: a network card with an address.
nic() {
    ip link add "$1" type veth peer name "peer-$1"
    ip link set "$1" up
    ip link set "peer-$1" up
    [ -z "${2:-}" ] || ip addr add "$2" dev "$1" nodad 2>/dev/null || ip addr add "$2" dev "$1"
}

lan() {
    nic enp0s3 10.0.2.15/24
    nic enp0s8 192.168.56.10/24
}

# join: the unit's program, to its end. start: the same in the background, as a process group of its own.
join() {
    status=0
    timeout 60 /usr/lib/nodeimg/join >>/t/out 2>&1 || status=$?
    [ $status = "${1:-0}" ] || fail "join ended with $status"
}
start() {
    setsid /usr/lib/nodeimg/join >>/t/out 2>&1 &
    pid=$!
}
finished() {
    wait "$pid" || fail "join ended with $?"
}

state() {
    python3 -c 'import json, sys; print(json.load(open("/run/nodeimg/state.json"))[sys.argv[1]])' "$1"
}

# until_state FIELD VALUE: waits for it, which the time limit of the whole case bounds.
until_state() {
    until [ -e /run/nodeimg/state.json ] && [ "$(state "$1")" = "$2" ]; do
        kill -0 "$pid" 2>/dev/null || fail "join ended before $1 was $2"
        /bin/sleep 0.05
    done
}

fail() {
    echo "FAILED: $*"
    for file in /t/out /t/calls /run/nodeimg/state.json; do
        echo "--- $file"
        cat "$file" 2>/dev/null || :
    done
    [ -z "${pid:-}" ] || kill -9 -- -"$pid" 2>/dev/null || :
    exit 1
}

equal() {
    [ "$1" = "$2" ] || fail "expected '$2', found '$1'"
}
has() {
    grep -qF -- "$2" "$1" || fail "$1 does not contain: $2"
}
lacks() {
    ! grep -qF -- "$2" "$1" || fail "$1 contains: $2"
}
mode() {
    equal "$2 $(stat -c %a "$2")" "$2 $1"
}
gone() {
    for it; do [ ! -e "$it" ] || fail "$it is still there"; done
}

# kubeadm's sub-commands and phases in their order, on one line.
calls() {
    awk '{ printf "%s%s", sep, $2 == "phase" ? $3 : $1; sep = " " }' /t/calls
}
# shellcheck disable=SC2034 # used by the cases
OPENED='upload-config mark-control-plane bootstrap-token kubelet-finalize addon'

# Nothing that is secret in anything that is shown or left readable.
no_secret_shown() {
    local file
    for file in /t/out /dev/console /run/nodeimg/state.json; do
        for word in $TOKEN "$CERT_KEY" 'PRIVATE KEY'; do lacks $file "$word"; done
    done
    ! grep -rlsF -e $TOKEN -e "$CERT_KEY" -e 'PRIVATE KEY' /run /var/lib/nodeimg || fail 'a secret was left outside the seed'
}
