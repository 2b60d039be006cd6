# shellcheck shell=bash disable=SC2154 # pid is start's
# Several control planes: one joins at a time, etcd forgets who is gone, and the first one does not form its cluster twice.

plane() { # LINE...: this machine is a second control plane
    seed controlplane join "$@"
    nic enp0s8 192.168.56.12/24
    echo '[]' >/t/members
}

case_a_control_plane_joins_in_its_turn_and_gives_it_back() { # on a controlplane
    plane
    served
    join
    equal "$(calls)" join
    equal "$(tr '\n' ' ' </t/holders)" 'n1  '
    equal "$(state phase)" joined
    no_secret_shown
    gone /run/nodeimg/peer
}

case_a_control_plane_waits_while_another_joins() { # on a controlplane
    plane
    served
    echo '7 cp3' >/t/lease
    start
    until_state phase turn
    equal "$(state last_error)" 'cp3 is joining'
    equal "$(calls)" ''
    echo 8 >/t/lease
    finished
    equal "$(calls)" join
}

case_a_turn_that_is_not_renewed_passes_on() { # on a controlplane
    plane
    served
    echo '7 cp3' >/t/lease
    mkdir -p /run/nodeimg/peer
    echo '{"version": "7", "since": -1000000}' >/run/nodeimg/peer/turn.json
    join
    equal "$(calls)" join
    equal "$(head -n1 /t/holders)" n1
}

case_a_turn_that_is_renewed_does_not_pass_on() { # on a controlplane
    plane
    served
    echo '8 cp3' >/t/lease
    mkdir -p /run/nodeimg/peer
    echo '{"version": "7", "since": -1000000}' >/run/nodeimg/peer/turn.json
    start
    until_state phase turn
    until [ "$(wc -l </t/slept)" -gt 5 ]; do /bin/sleep 0.05; done
    equal "$(calls)" ''
    kill -9 -- -"$pid"
}

case_a_turn_is_kept_over_a_power_cut() { # on a controlplane
    plane
    served
    echo hang >/t/fail
    start
    power_cut
    equal "$(cat /t/lease)" '1 n1'
    join
    equal "$(calls)" 'join reset join'
}

case_a_failed_join_gives_its_turn_back() { # on a controlplane
    plane NODEIMG_RETRY_FIRST=1000
    served
    echo half >/t/fail
    start
    until_state phase retry
    equal "$(cat /t/lease)" '2 '
    kill -9 -- -"$pid"
}

# Three machines at once, each a process of its own: never two hold the turn, and each gets it. Twenty rounds.
case_a_turn_is_one_machines_alone() { # on a controlplane
    plane
    served
    python3 -B - <<'P' || fail 'two at once, or one of them never'
import importlib.machinery, importlib.util, os, sys, time
sys.path.insert(0, "/usr/lib/nodeimg")
loader = importlib.machinery.SourceFileLoader("peer", "/usr/lib/nodeimg/peer")
peer = importlib.util.module_from_spec(importlib.util.spec_from_loader("peer", loader))
loader.exec_module(peer)

def machine(name):
    api = peer.Api("192.168.56.10:6443")
    while True:
        try:
            peer.take(api, name)
            break
        except peer.NotYet:
            time.sleep(0.02)
    os.mkdir("/t/alone")
    time.sleep(0.02)
    os.rmdir("/t/alone")
    peer.give(api, name)

for _ in range(20):
    children = []
    for name in "abc":
        children.append(os.fork())
        if children[-1] == 0:
            machine(name)
            os._exit(0)
    assert [os.waitpid(it, 0)[1] for it in children] == [0, 0, 0]
P
    equal "$(sort /t/holders | uniq -c | awk '$2 { print $1 ":" $2 }' | tr '\n' ' ')" '20:a 20:b 20:c '
}

case_etcd_forgets_the_member_of_a_reflashed_control_plane() { # on a controlplane
    plane
    served
    echo '[{"ID": "41", "name": "cp1", "peerURLs": ["https://192.168.56.10:2380"]},
        {"ID": "42", "name": "n1", "peerURLs": ["https://192.168.56.12:2380"]}]' >/t/members
    join
    equal "$(python3 -c 'import json; print([it["ID"] for it in json.load(open("/t/members"))])')" "['41']"
    equal "$(calls)" join
}

# A learner that never started has no name.
case_etcd_forgets_a_member_that_never_started() { # on a controlplane
    plane
    served
    echo '[{"ID": "41", "name": "cp1", "peerURLs": ["https://192.168.56.10:2380"]},
        {"ID": "43", "isLearner": true, "peerURLs": ["https://192.168.56.12:2380"]}]' >/t/members
    join
    equal "$(python3 -c 'import json; print([it["ID"] for it in json.load(open("/t/members"))])')" "['41']"
}

# kubeadm reset would delete the data of a member whose vote the others need.
case_nothing_is_reset_while_etcd_cannot_let_the_member_go() { # on a controlplane
    plane
    served
    echo hang >/t/fail
    start
    power_cut
    rm /t/members
    start
    until_state phase members
    equal "$(state waiting_for)" "etcd to let this machine's former member go"
    equal "$(state last_error)" 'no etcd member answers at 192.168.56.10'
    equal "$(calls)" join
    echo '[]' >/t/members
    finished
    equal "$(calls)" 'join reset join'
}

case_an_external_etcd_is_left_alone() { # on a controlplane
    plane
    served
    rm /t/members
    printf 'etcd:\n  external:\n    endpoints: [https://192.168.56.30:2379]\n' >/t/etcd
    join
    equal "$(calls)" join
}

case_a_reflashed_first_control_plane_joins_what_it_once_formed() { # on a controlplane
    seed controlplane init
    nic enp0s8 192.168.56.12/24
    echo '[]' >/t/members
    served
    join
    equal "$(calls)" join
    has /t/out 'cluster demo is there already: this machine joins it instead of forming another'
    has /t/config 'kind: JoinConfiguration'
    has /t/config 'advertiseAddress: 192.168.56.12'
    has /t/config 'apiServerEndpoint: 192.168.56.10:6443'
    has /t/config "token: $TOKEN"
    has /t/config "- sha256:$(openssl x509 -in /t/pki/ca.crt -pubkey -noout | openssl pkey -pubin -outform der | sha256sum | cut -d' ' -f1)"
    gone /var/lib/nodeimg/formed
    no_secret_shown
}

# The endpoint is down, but another control plane answers under the cluster's authority.
case_a_reflashed_first_control_plane_waits_for_the_endpoint() { # on a controlplane
    for status in 200 403 500; do
        seed controlplane init NODEIMG_ENDPOINT=192.168.56.99:6443 NODEIMG_CONTROL_PLANES='192.168.56.12 192.168.56.10'
        [ $status != 200 ] || { nic enp0s8 192.168.56.12/24 && served $status; }
        # The same authority for all rounds.
        [ -e /t/first ] || cp -r /t/pki /t/first
        rm -rf /etc/nodeimg/pki && cp -r /t/first /etc/nodeimg/pki
        echo $status >/t/status
        rm -rf /run/nodeimg
        start
        until_state phase endpoint
        equal "$(calls)" ''
        kill -9 -- -"$pid"
    done
}

case_a_stranger_at_the_endpoint_keeps_nobody_from_forming() { # on a controlplane
    seed controlplane init NODEIMG_ENDPOINT=192.168.56.10:6443
    nic enp0s8 192.168.56.12/24
    served
    authorities
    echo '[]' >/t/members
    join
    equal "$(calls)" "init $OPENED"
}
