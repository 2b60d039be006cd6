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
    printf 'token: %s\nadvertiseAddress: @NODE_IP@\nnode-ip: "@NODE_IP@"\n' $TOKEN >/etc/nodeimg/kubeadm.yaml
    if [ "$role" = controlplane ]; then
        mkdir -p /etc/nodeimg/pki/etcd
        for it in ca sa front-proxy-ca etcd/ca; do
            echo "SECRET KEY $it" >/etc/nodeimg/pki/$it.key
            echo "certificate $it" >/etc/nodeimg/pki/$it.crt
        done
    fi
    touch /t/containerd /t/synchronised /t/calls
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

# kubeadm's sub-commands in their order, on one line.
calls() {
    awk '{ printf "%s%s", sep, $1; sep = " " }' /t/calls
}

# Nothing that is secret in anything that is shown or left readable.
no_secret_shown() {
    local file
    for file in /t/out /dev/console /run/nodeimg/state.json; do
        for word in $TOKEN "$CERT_KEY" 'SECRET KEY'; do lacks $file "$word"; done
    done
    ! grep -rlsF -e $TOKEN -e "$CERT_KEY" /run /var/lib/nodeimg || fail 'a secret was left outside the seed'
}
