# shellcheck shell=bash disable=SC2154 # pid is start's
# Power cuts: what kubeadm left half-done, and what must not be undone.

case_a_power_cut_during_init_is_repaired() { # on a controlplane
    seed controlplane init NODEIMG_RESUME_WAIT=3
    lan
    echo hang >/t/fail
    start
    until [ -e /t/hanging ]; do /bin/sleep 0.05; done
    equal "$(state phase)" init
    kill -9 -- -"$pid"
    rm -rf /run/nodeimg
    join
    equal "$(calls)" 'init reset init'
    equal "$(state phase)" joined
}

case_a_power_cut_during_join_is_repaired() { # on a worker
    seed worker join
    nic enp0s8 192.168.56.11/24
    nic gw 192.168.56.10/24
    python3 -m http.server --bind 192.168.56.10 6443 >/dev/null 2>&1 &
    echo hang >/t/fail
    start
    until [ -e /t/hanging ]; do /bin/sleep 0.05; done
    kill -9 -- -"$pid"
    rm -rf /run/nodeimg
    join
    equal "$(calls)" 'join reset join'
}

# An init was cut short, and now its API server is up and answers with this status.
cut_short() {
    seed controlplane init
    lan
    openssl req -x509 -newkey ed25519 -nodes -subj /CN=test -addext subjectAltName=IP:192.168.56.10 \
        -keyout /t/key -out /etc/nodeimg/pki/ca.crt 2>/dev/null
    echo hang >/t/fail
    start
    until [ -e /t/hanging ]; do /bin/sleep 0.05; done
    kill -9 -- -"$pid"
    python3 /t/tests/stubs/apiserver 192.168.56.10 "$1" /etc/nodeimg/pki/ca.crt /t/key 2>/dev/null &
}

case_a_cluster_that_others_can_join_is_completed_not_reset() { # on a controlplane
    cut_short 200
    echo conf >/etc/kubernetes/kubelet.conf
    join
    lacks /t/calls reset
    has /t/calls 'init phase addon all'
    equal "$(state phase)" joined
}

case_a_cluster_that_none_can_join_is_reset() { # on a controlplane
    cut_short 403
    join
    equal "$(calls)" 'init reset init'
}
